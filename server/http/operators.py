"""The HTTP calls of operators: pause, resume, end, kick and drain. Thin: who asks, may they, do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.logs import get_logger, short
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Operation, check_right

__all__ = ["operator_routes"]

log = get_logger("server.operations")


class Kick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    player: str


def operator_routes(
    operators: Operators,
    drain: Callable[[], None],
    player_of: Callable[[Request], Awaitable[PlayerInfo]],
    read: Callable[[Request, Any], Awaitable[Any]],
    check_token: Callable[[str], str],
) -> list[Route]:
    """``drain``: hand the sessions over and stop, as SIGTERM does. The others are those of server/http/api.py."""

    async def allowed(request: Request, operation: Operation) -> str:
        player = await player_of(request)
        check_right(operators.role_of(player), operation)
        log.info("operator_asked", operation=operation, player=player.player)
        return player.player

    def call(operation: Operation, act: Callable[[str, str], Awaitable[None]]) -> Route:
        async def handle(request: Request) -> Response:
            by = await allowed(request, operation)
            token = check_token(request.path_params["token"])
            await act(token, by)
            log.info("session_operated", operation=operation, token=short(token))
            return Response(b"{}", media_type="application/json")

        return Route(f"/api/sessions/{{token}}/{operation}", handle, methods=["POST"])

    async def kick(request: Request) -> Response:
        await allowed(request, Operation.KICK)
        asked = await read(request, Kick)
        await operators.kick(check_token(request.path_params["token"]), asked.player)
        return Response(b"{}", media_type="application/json")

    async def drained(request: Request) -> Response:
        await allowed(request, Operation.DRAIN)
        drain()
        return Response(orjson.dumps({"draining": True}), media_type="application/json")

    return [
        call(Operation.PAUSE, operators.pause),
        call(Operation.RESUME, operators.resume),
        call(Operation.END, operators.end),
        Route("/api/sessions/{token}/kick", kick, methods=["POST"]),
        Route("/api/drain", drained, methods=["POST"]),
    ]
