"""The HTTP call for a rematch: the same people again, in a new lobby, with their seats moved and their score kept.

    POST /api/sessions/T/rematch -> Rematches.plan -> its rematch: Seating.join
                                          '---------> none yet:    Seating.open_rematch, bots are asked for

The first call opens the lobby, every other one gets a seat in it. This module must never open a second one.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Conflict
from tussle.lobby.roles import Operation
from tussle.lobby.seating import SeatReservation
from tussle.lobby.text import Key
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.lobby_routes import LobbyRoutes
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.modes.registry import get_mode

__all__ = ["RematchRequest", "RematchRoutes"]

TRIES = 8
"""How often the rematch that a session has may change while one call is answered."""


class RematchRequest(StrictRequest, frozen=True):
    """The rematch of a session in which the caller had a seat. body: '': the one of that session. bots: whether bots
    that played are asked for again, and fill the seats of people who do not come."""

    body: Key = ""
    ready: bool = False
    bots: bool = True


class RematchRoutes:
    """The call for a rematch. ``lobbies``: reserves seats."""

    def __init__(self, backend: Backend, requests: Requests, lobbies: LobbyRoutes) -> None:
        self._backend = backend
        self._requests = requests
        self._lobbies = lobbies

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/sessions/{token}/rematch", operation=Operation.REMATCH,
                handler=self.rematch, body=RematchRequest,
                summary="A seat in the rematch of a session, which the first call opens", errors=(404, 409, 422),
            ),
        ]  # fmt: skip

    async def rematch(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, RematchRequest)
        token = check_token(request.path_params["token"])
        self._lobbies.admit(Operation.REMATCH, request, player)
        self._lobbies.check_body(body.body)
        for _ in range(TRIES):
            seat = await self._seat(request, player, token, body)
            if seat is not None:
                return self._lobbies.answer(request, seat)
        raise Conflict("too many players ask for this rematch at once; try again", code="crowded")

    async def _seat(
        self, request: Request, player: PlayerInfo, token: str, body: RematchRequest
    ) -> SeatReservation | None:
        """A seat in the rematch; None if it has changed meanwhile."""
        backend = self._backend
        plan = await backend.rematches.plan(player.player, token)
        if get_mode(plan.mode).policy != "turns":
            raise Conflict(f"{plan.mode} has no rematch", code="no_rematch")
        bodies = sorted(backend.bodies())
        if plan.lobby:
            try:
                async with self._lobbies.reserving(request, player) as reserved:
                    seat = await backend.seating.join(
                        player.player,
                        plan.lobby,
                        body=body.body or plan.body,
                        bodies=bodies,
                        ready=body.ready,
                    )
                    reserved(seat)
                return seat
            except Conflict as error:
                if error.reason == "ended":
                    return None
                raise
        backend.mode_scenes.check(plan.mode, msgspec.json.decode(plan.params), plan.size, "")
        if not body.bots:
            plan = plan.without_bots()
        alone = body.bots and not plan.private
        alone_ms = self._lobbies.alone_ms(plan.mode, plan.size, player) if alone else 0
        try:
            async with self._lobbies.reserving_alone(request, player, plan.size, alone_ms) as reserved:
                seat = await backend.seating.open_rematch(
                    player.player,
                    plan,
                    holder=backend.address(),
                    body=body.body,
                    bodies=bodies,
                    ready=body.ready,
                    alone_ms=alone_ms,
                    address=address_owner(request),
                )
                reserved(seat)
            return seat
        except Conflict as error:
            if error.reason == "crowded":
                return None
            raise
