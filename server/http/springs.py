"""The HTTP calls of the spring-damper's two stream solvers: start a run, read its progress.

This module must never compute a step or wait for a solver; a run without a solver is reported as waiting.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.roles import Operation
from tussle.lobby.spring_runs import SpringRuns
from tussle.lobby.text import Label
from tussle.server.costs import Owner, Resource
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, query_text
from tussle.server.http.responses import json_response
from tussle.server.store_memory import StoreMemory

__all__ = ["SpringRequest", "SpringRoutes"]


class SpringRequest(StrictRequest, frozen=True):
    """A new run; x [m] and v [m/s] are its initial state."""

    name: Label = "web"
    x: float = 0.0
    v: float = 1.0


class SpringRoutes:
    """The calls about runs of the stream solvers."""

    def __init__(self, runs: SpringRuns, requests: Requests, store_memory: StoreMemory) -> None:
        self._runs = runs
        self._store_memory = store_memory
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/springs", operation=Operation.SPRING, handler=self.start_run,
                body=SpringRequest, summary="Start a run of the spring-damper's two stream solvers", errors=(422,),
            ),
            Endpoint(
                path="/api/springs/{run}", operation=Operation.SPRING, handler=self.read_run,
                summary="The steps of a run, beside the closed form", errors=(404, 422),
                query={"after": "id of the last entry in the previous answer"},
            ),
        ]  # fmt: skip

    async def start_run(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, SpringRequest)
        self._store_memory.admit()
        self._charge(Resource.SPRING_STARTS, request, player)
        run = await self._runs.begin(body.name, body.x, body.v)
        return json_response({"run": run, "stream": self._runs.stream})

    async def read_run(self, request: Request, player: PlayerInfo) -> Response:
        self._charge(Resource.SPRING_READS, request, player)
        after = query_text(request, "after")
        return json_response(await self._runs.read(request.path_params["run"], after), exact=True)

    def _charge(self, resource: Resource, request: Request, player: PlayerInfo) -> None:
        self._requests.charge(resource, Owner.PLAYER, player.player)
        self._requests.charge(resource, Owner.ADDRESS, address_owner(request))
