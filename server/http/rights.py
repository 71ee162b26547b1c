"""Routes that ask the rights table (lobby/roles.py) and charge their price (server/costs.py) before their handler runs.

    Route -> player_of -> roles_of -> check_right -> charge -> handler

Every route of the application is an OperationRoute. This module must never decide a right itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.roles import Operation, Role, check_right
from tussle.lobby.store.call_lanes import known_as

__all__ = ["OperationRoute", "Rights"]

PublicHandler = Callable[[Request], Awaitable[Response]]
PlayerHandler = Callable[[Request, PlayerInfo], Awaitable[Response]]


class OperationRoute(Route):
    """A route that performs ``operation``."""

    def __init__(
        self, path: str, operation: Operation, endpoint: PublicHandler, methods: Sequence[str]
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self.operation = operation


class Rights:
    """Makes the routes."""

    def __init__(
        self,
        player_of: Callable[[Request], Awaitable[PlayerInfo]],
        roles_of: Callable[[PlayerInfo], frozenset[Role]],
        charge: Callable[[Operation, Request, PlayerInfo | None], None],
    ) -> None:
        """``player_of`` raises AuthError for a request without a valid login. ``charge`` raises RateLimited."""
        self._player_of = player_of
        self._roles_of = roles_of
        self._charge = charge

    def public_route(
        self, path: str, operation: Operation, handler: PublicHandler, *, methods: Sequence[str] = ("GET",)
    ) -> OperationRoute:
        """A route that needs no login."""

        async def handle(request: Request) -> Response:
            check_right(operation, Role.ANONYMOUS)
            if (
                operation is not Operation.INSPECT
            ):  # health and metrics are readable while all else is refused
                self._charge(operation, request, None)
            return await handler(request)

        return OperationRoute(path, operation, handle, methods)

    def route(
        self, path: str, operation: Operation, handler: PlayerHandler, *, methods: Sequence[str] = ("GET",)
    ) -> OperationRoute:
        """A route whose caller is logged in and has the right; otherwise it raises AuthError or Forbidden."""

        async def handle(request: Request) -> Response:
            player = await self._player_of(request)
            known_as(player.player)
            check_right(operation, *self._roles_of(player))
            self._charge(operation, request, player)
            return await handler(request, player)

        return OperationRoute(path, operation, handle, methods)
