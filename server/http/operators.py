"""The HTTP calls of operators: pause, resume, end, kick and drain. They must never be in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.logs import get_logger, short
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Operation
from tussle.lobby.text import Key
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, check_token
from tussle.server.http.responses import json_response

__all__ = ["KickRequest", "operator_endpoints"]

log = get_logger("server.operations")


class KickRequest(StrictRequest, frozen=True):
    """The player to remove from the session."""

    player: Key


def operator_endpoints(operators: Operators, drain: Callable[[], None], requests: Requests) -> list[Endpoint]:
    """The calls of operators. ``drain`` hands the sessions over and stops the server, as SIGTERM does."""

    def session_call(operation: Operation, change: Callable[[str, str], Awaitable[None]]) -> Endpoint:
        async def change_session(request: Request, player: PlayerInfo) -> Response:
            _log_call(operation, player)
            token = check_token(request.path_params["token"])
            await change(token, player.player)
            log.info("session_operated", operation=operation, token=short(token))
            return json_response({})

        return Endpoint(
            method="POST",
            path=f"/api/sessions/{{token}}/{operation}",
            operation=operation,
            handler=change_session,
        )

    async def kick(request: Request, player: PlayerInfo) -> Response:
        _log_call(Operation.KICK, player)
        body = await requests.decode(request, KickRequest)
        await operators.kick(check_token(request.path_params["token"]), body.player)
        return json_response({})

    async def start_drain(_: Request, player: PlayerInfo) -> Response:
        _log_call(Operation.DRAIN, player)
        drain()
        return json_response({"draining": True})

    return [
        session_call(Operation.PAUSE, operators.pause),
        session_call(Operation.RESUME, operators.resume),
        session_call(Operation.END, operators.end),
        Endpoint(method="POST", path="/api/sessions/{token}/kick", operation=Operation.KICK, handler=kick),
        Endpoint(method="POST", path="/api/drain", operation=Operation.DRAIN, handler=start_drain),
    ]


def _log_call(operation: Operation, player: PlayerInfo) -> None:
    log.info("operator_asked", operation=operation, player=player.player)
