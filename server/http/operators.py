"""The HTTP calls of operators: pause, resume, end, kick and drain. Thin: who asks, may they, do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.logs import get_logger, short
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Operation
from tussle.server.http.rights import OperationRoute, Rights

__all__ = ["operator_routes"]

log = get_logger("server.operations")


class Kick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    player: str


def operator_routes(
    operators: Operators,
    drain: Callable[[], None],
    rights: Rights,
    read: Callable[[Request, Any], Awaitable[Any]],
    check_token: Callable[[str], str],
) -> list[OperationRoute]:
    """``drain``: hand the sessions over and stop, as SIGTERM does. The others are those of server/http/api.py."""

    def call(operation: Operation, act: Callable[[str, str], Awaitable[None]]) -> OperationRoute:
        async def handle(request: Request, player: PlayerInfo) -> Response:
            _log_call(operation, player)
            token = check_token(request.path_params["token"])
            await act(token, player.player)
            log.info("session_operated", operation=operation, token=short(token))
            return Response(b"{}", media_type="application/json")

        return rights.route(f"/api/sessions/{{token}}/{operation}", operation, handle, methods=["POST"])

    async def kick(request: Request, player: PlayerInfo) -> Response:
        _log_call(Operation.KICK, player)
        asked = await read(request, Kick)
        await operators.kick(check_token(request.path_params["token"]), asked.player)
        return Response(b"{}", media_type="application/json")

    async def drained(_: Request, player: PlayerInfo) -> Response:
        _log_call(Operation.DRAIN, player)
        drain()
        return Response(orjson.dumps({"draining": True}), media_type="application/json")

    return [
        call(Operation.PAUSE, operators.pause),
        call(Operation.RESUME, operators.resume),
        call(Operation.END, operators.end),
        rights.route("/api/sessions/{token}/kick", Operation.KICK, kick, methods=["POST"]),
        rights.route("/api/drain", Operation.DRAIN, drained, methods=["POST"]),
    ]


def _log_call(operation: Operation, player: PlayerInfo) -> None:
    log.info("operator_asked", operation=operation, player=player.player)
