"""The HTTP calls of operators. They must never be in the OpenAPI document.

    GET  /api/admin/overview                          sessions, servers, solvers, players, bans, limits
    POST /api/admin/ban, /unban, /notice, /drain      over all servers
    POST /api/admin/ban-address, /unban-address       over all servers
    POST /api/sessions/{token}/pause, /resume, /end, /kick; /api/drain: this server

Every call that changes something is in the log with the operator, whether it succeeded or was refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Conflict, LobbyError, Refused
from tussle.lobby.logs import get_logger, short
from tussle.lobby.operators import Operators
from tussle.lobby.overview import Overviews
from tussle.lobby.roles import Operation
from tussle.server.costs import Owner, Resource
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.responses import json_response
from tussle.server.limits import owner_of_address

__all__ = [
    "AddressRequest",
    "BanRequest",
    "DrainRequest",
    "KickRequest",
    "NoticeRequest",
    "OperatorRoutes",
    "UnbanRequest",
]

log = get_logger("server.operations")

Player = Annotated[str, msgspec.Meta(min_length=1, max_length=48)]

Call = Callable[[Request, PlayerInfo], Awaitable[tuple[dict[str, Any], Mapping[str, object]]]]
"""Performs a call: (the answer, what the log says about it)."""


class KickRequest(StrictRequest, frozen=True):
    """The player to remove from the session."""

    player: Player


class BanRequest(StrictRequest, frozen=True):
    """A player by id or registered name, and the length of the ban [s]; null: ten years."""

    player: Player
    for_s: float | None = None


class UnbanRequest(StrictRequest, frozen=True):
    """A player by id or registered name."""

    player: Player


class AddressRequest(StrictRequest, frozen=True):
    """An IP address, and the length of its ban [s]; null: a day. ``unban-address`` ignores the length."""

    address: Annotated[str, msgspec.Meta(min_length=2, max_length=64)]
    for_s: float | None = None


class NoticeRequest(StrictRequest, frozen=True):
    """One line for everybody in a session, or in all sessions."""

    text: Annotated[str, msgspec.Meta(max_length=1000)]
    session: Annotated[str, msgspec.Meta(max_length=48)] = ""


class DrainRequest(StrictRequest, frozen=True):
    """The id of the server to drain."""

    server: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class OperatorRoutes:
    """The calls of operators. ``drain`` hands this server's sessions over and stops it, as SIGTERM does."""

    def __init__(
        self,
        operators: Operators,
        overviews: Overviews,
        drain: Callable[[], None],
        is_proxy: Callable[[str], bool],
        requests: Requests,
    ) -> None:
        self._is_proxy = is_proxy
        self._operators = operators
        self._overviews = overviews
        self._drain = drain
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        session = "/api/sessions/{token}"
        operators = self._operators
        return [
            Endpoint(
                path="/api/admin/overview", operation=Operation.OVERSEE, handler=self.show_overview,
                summary="Sessions, servers, solvers, players and bans, for operators", errors=(403,),
            ),
            _post(f"{session}/pause", Operation.PAUSE, self._session_call(operators.pause), "Pause a session"),
            _post(f"{session}/resume", Operation.RESUME, self._session_call(operators.resume), "Resume a session"),
            _post(f"{session}/end", Operation.END, self._session_call(operators.end), "End a session"),
            _post(f"{session}/kick", Operation.KICK, self.kick, "Free a player's seat", KickRequest),
            _post("/api/admin/ban", Operation.BAN, self.ban, "Ban a player", BanRequest),
            _post("/api/admin/unban", Operation.BAN, self.unban, "Lift the ban of a player", UnbanRequest),
            _post("/api/admin/ban-address", Operation.BAN, self.ban_address, "Ban an address", AddressRequest),
            _post(
                "/api/admin/unban-address", Operation.BAN, self.unban_address, "Lift the ban of an address",
                AddressRequest,
            ),
            _post("/api/admin/notice", Operation.NOTIFY, self.notify, "Show a line to everybody", NoticeRequest),
            _post("/api/admin/drain", Operation.DRAIN, self.drain_server, "Drain a server", DrainRequest),
            _post("/api/drain", Operation.DRAIN, self.drain_this, "Drain this server"),
        ]  # fmt: skip

    async def show_overview(self, _: Request, player: PlayerInfo) -> Response:
        self._requests.charge(Resource.OVERVIEWS, Owner.PLAYER, player.player)
        return json_response(await self._overviews.read())

    def _session_call(self, change: Callable[[str, str], Awaitable[None]]) -> Call:
        async def call(request: Request, player: PlayerInfo) -> tuple[dict[str, Any], Mapping[str, object]]:
            token = check_token(request.path_params["token"])
            await change(token, player.player)
            return {}, {"token": short(token)}

        return call

    async def kick(self, request: Request, _: PlayerInfo) -> tuple[dict[str, Any], Mapping[str, object]]:
        body = await self._requests.decode(request, KickRequest)
        token = check_token(request.path_params["token"])
        await self._operators.kick(token, body.player)
        return {}, {"token": short(token), "target": body.player}

    async def ban(self, request: Request, player: PlayerInfo) -> tuple[dict[str, Any], Mapping[str, object]]:
        body = await self._requests.decode(request, BanRequest)
        banned, until = await self._operators.ban(body.player, player.player, body.for_s)
        return {"player": banned, "until": until}, {"target": banned, "until": until}

    async def unban(
        self, request: Request, player: PlayerInfo
    ) -> tuple[dict[str, Any], Mapping[str, object]]:
        body = await self._requests.decode(request, UnbanRequest)
        unbanned = await self._operators.unban(body.player, player.player)
        return {"player": unbanned}, {"target": unbanned, "lifted": True}

    async def ban_address(
        self, request: Request, player: PlayerInfo
    ) -> tuple[dict[str, Any], Mapping[str, object]]:
        body = await self._requests.decode(request, AddressRequest)
        address = self._address(body.address)
        if address == address_owner(request):
            raise Conflict("an operator cannot ban its own address", field="address")
        until = await self._operators.address_bans.ban(address, player.player, body.for_s)
        return {"address": address, "until": until}, {"target": address, "until": until}

    async def unban_address(
        self, request: Request, player: PlayerInfo
    ) -> tuple[dict[str, Any], Mapping[str, object]]:
        address = self._address((await self._requests.decode(request, AddressRequest)).address)
        await self._operators.address_bans.unban(address, player.player)
        return {"address": address}, {"target": address, "lifted": True}

    def _address(self, text: str) -> str:
        """The key of an address's budgets. Raises Refused ``not_an_address`` for other text and for a trusted proxy."""
        plain = text.strip().removesuffix("/64")
        try:
            ip_address(plain)
        except ValueError:
            raise Refused(
                f"{text!r} is no IPv4 or IPv6 address", code="not_an_address", field="address"
            ) from None
        if self._is_proxy(plain):
            raise Refused("this is the address of a trusted proxy", code="not_an_address", field="address")
        return owner_of_address(plain)

    async def notify(
        self, request: Request, player: PlayerInfo
    ) -> tuple[dict[str, Any], Mapping[str, object]]:
        self._requests.charge(Resource.NOTICES, Owner.PLAYER, player.player)
        body = await self._requests.decode(request, NoticeRequest)
        if body.session:
            check_token(body.session)
        await self._operators.notify(body.text, player.player, body.session)
        return {}, {"token": short(body.session) if body.session else "all", "text": body.text}

    async def drain_server(
        self, request: Request, player: PlayerInfo
    ) -> tuple[dict[str, Any], Mapping[str, object]]:
        body = await self._requests.decode(request, DrainRequest)
        await self._operators.drain(body.server, player.player)
        return {"draining": True}, {"server": body.server}

    async def drain_this(self, _: Request, __: PlayerInfo) -> tuple[dict[str, Any], Mapping[str, object]]:
        self._drain()
        return {"draining": True}, {"server": "this"}


def _post(path: str, operation: Operation, call: Call, summary: str, body: type | None = None) -> Endpoint:
    """A call that changes something, and its line in the log."""

    async def handle(request: Request, player: PlayerInfo) -> Response:
        who = {"operation": operation.value, "by": player.player, "name": player.name}
        try:
            answer, about = await call(request, player)
        except LobbyError as error:
            log.warning("operator_call_refused", **who, path=request.url.path[:80], code=error.reason)
            raise
        log.info("operator_call", **who, **about)
        return json_response(answer)

    return Endpoint(
        method="POST", path=path, operation=operation, handler=handle, body=body, errors=(403, 404, 409, 422),
        summary=f"{summary}, as an operator",
    )  # fmt: skip
