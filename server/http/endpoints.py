"""The description of one HTTP call: its route, its right and its entry in the OpenAPI document.

    Endpoint -> Rights (server/http/rights.py) -> OperationRoute
             -> document (server/http/openapi.py)

Each call is described once, in the table of its module. This module must never handle a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.roles import Operation
from tussle.server.http.rights import OperationRoute, Rights

__all__ = ["Endpoint", "make_routes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One call. Exactly one of ``public`` (needs no login) and ``handler`` (gets the player) is set.

    body: the Struct of the JSON body; query: names and meanings of the parameters; errors: statuses of its refusals.
    summary: for the OpenAPI document; a call without one is not in the document. Its answer:
    server/http/answer_schemas.py.
    """

    method: str = "GET"
    path: str
    operation: Operation
    public: Callable[[Request], Awaitable[Response]] | None = None
    handler: Callable[[Request, PlayerInfo], Awaitable[Response]] | None = None
    summary: str = ""
    body: type | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()


def make_routes(endpoints: Iterable[Endpoint], rights: Rights) -> list[OperationRoute]:
    """The routes of the endpoints, in order."""
    routes = []
    for endpoint in endpoints:
        path, operation, methods = endpoint.path, endpoint.operation, [endpoint.method]
        if endpoint.public is not None:
            routes.append(rights.public_route(path, operation, endpoint.public, methods=methods))
        else:
            assert endpoint.handler is not None, path
            routes.append(rights.route(path, operation, endpoint.handler, methods=methods))
    return routes
