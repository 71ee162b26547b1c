"""The HTTP calls of the spring-damper's two stream solvers: start a run, read its progress.

This module must never compute a step or wait for a solver; a run without a solver is reported as waiting.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import RateLimited
from tussle.lobby.roles import Operation
from tussle.lobby.spring_runs import SpringRuns
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, client_address
from tussle.server.http.responses import json_response
from tussle.server.limits import RateLimit

__all__ = ["SpringRequest", "SpringRoutes"]

START_RATE, START_BURST = 0.5, 5.0
"""Runs that one player may start per second, and at once: each is thousands of entries. An address: four times that."""

READ_RATE, READ_BURST = 10.0, 30.0
"""Reads of one player per second, and at once: each computes hundreds of steps. An address: four times that."""


class SpringRequest(StrictRequest, frozen=True):
    """A new run; x [m] and v [m/s] are its initial state."""

    name: str = "web"
    x: float = 0.0
    v: float = 1.0


class SpringRoutes:
    """The calls about runs of the stream solvers."""

    def __init__(self, runs: SpringRuns, requests: Requests) -> None:
        self._runs = runs
        self._requests = requests
        self._starts = _PairLimit(START_RATE, START_BURST)
        self._reads = _PairLimit(READ_RATE, READ_BURST)

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
        self._starts.count(request, player, "runs")
        return json_response({"run": await self._runs.begin(body.name, body.x, body.v)})

    async def read_run(self, request: Request, player: PlayerInfo) -> Response:
        self._reads.count(request, player, "looks")
        after = request.query_params.get("after", "")
        return json_response(await self._runs.read(request.path_params["run"], after))


class _PairLimit:
    """A rate limit per player, and one of four times that per address."""

    def __init__(self, rate: float, burst: float) -> None:
        self._by_player = RateLimit(rate, burst)
        self._by_address = RateLimit(4 * rate, 4 * burst)

    def count(self, request: Request, player: PlayerInfo, what: str) -> None:
        """Count one request. Raises RateLimited if it exceeds a limit."""
        now = time.monotonic()
        if not (
            self._by_player.take(player.player, now) and self._by_address.take(client_address(request), now)
        ):
            raise RateLimited(f"too many {what} of this player, or from this address")
