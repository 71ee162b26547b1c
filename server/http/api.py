"""The ASGI application of one server: the routes of all modules, the security middleware and the error responses.

    request -> SecurityMiddleware -> route -> rights -> handler -> the lobby
                                                 error -> problem document (RFC 9457)

Handlers decode a request, call the lobby and encode its answer. The HTTP API must never keep state about a session.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import LobbyError
from tussle.lobby.logs import get_logger
from tussle.lobby.roles import Operation
from tussle.server.http.account_routes import AccountRoutes
from tussle.server.http.backend import Backend
from tussle.server.http.bot_routes import BotRoutes
from tussle.server.http.docs_page import DescriptionOnDemand
from tussle.server.http.endpoints import Endpoint, make_routes
from tussle.server.http.fork_routes import ForkRoutes
from tussle.server.http.lobby_routes import LobbyRoutes
from tussle.server.http.mark_routes import MarkRoutes
from tussle.server.http.mesh_routes import MeshRoutes
from tussle.server.http.operators import OperatorRoutes
from tussle.server.http.picture_routes import PictureRoutes, share_routes
from tussle.server.http.public_routes import PublicRoutes
from tussle.server.http.recording_lists import RecordingLists
from tussle.server.http.recording_routes import RecordingRoutes
from tussle.server.http.rematch_routes import RematchRoutes
from tussle.server.http.requests import Requests
from tussle.server.http.responses import error_response, problem_response
from tussle.server.http.rights import Rights
from tussle.server.http.scene_routes import SceneRoutes
from tussle.server.http.security import SecurityMiddleware
from tussle.server.http.shape_routes import ShapeRoutes
from tussle.server.http.springs import SpringRoutes
from tussle.server.http.static import allows_playground, web_routes
from tussle.server.http.upload_routes import UploadRoutes

__all__ = ["create_app", "described_endpoints"]

log = get_logger("server.http")


def described_endpoints(backend: Backend, requests: Requests) -> list[Endpoint]:
    """The calls of the OpenAPI document. Nothing is asked of the backend."""
    lobbies = LobbyRoutes(backend, requests)
    return [
        *AccountRoutes(backend, requests).endpoints(),
        *lobbies.endpoints(),
        *ForkRoutes(backend, requests, lobbies).endpoints(),
        *BotRoutes(backend, requests, lobbies).endpoints(),
        *RematchRoutes(backend, requests, lobbies).endpoints(),
        *PublicRoutes(backend).endpoints(),
        *RecordingLists(backend, requests).endpoints(),
        *PictureRoutes(backend, requests).endpoints(),
        *RecordingRoutes(backend, requests).endpoints(),
        *UploadRoutes(backend, requests).endpoints(),
        *MeshRoutes(backend, requests).endpoints(),
        *MarkRoutes(backend, requests).endpoints(),
        *SceneRoutes(backend).endpoints(),
        *OperatorRoutes(
            backend.operators, backend.overviews, backend.stop, backend.is_proxy, requests
        ).endpoints(),
        *ShapeRoutes(backend, requests).endpoints(),
        *SpringRoutes(backend.springs, requests, backend.store_memory).endpoints(),
    ]


def _described(content: bytes, media_type: str = "application/json") -> Response:
    return Response(content, media_type=media_type, headers={"cache-control": "no-store"})


def create_app(backend: Backend) -> Starlette:
    """The ASGI application of one server."""
    requests = Requests(backend.settings, backend.accounts, backend.ledger)
    endpoints = described_endpoints(backend, requests)
    description = DescriptionOnDemand(endpoints, backend.build)

    async def show_calls(_: Request) -> Response:
        return _described((await description.get()).openapi)

    async def show_sockets(_: Request) -> Response:
        return _described((await description.get()).asyncapi)

    async def show_page(_: Request) -> Response:
        return _described((await description.get()).page, "text/html")

    async def show_file(request: Request) -> Response:
        content = (await description.get()).files.get(request.path_params["name"])
        if content is None:
            raise HTTPException(404, "Not Found")
        return Response(content, media_type="application/json", headers={"cache-control": "no-cache"})

    endpoints += [
        Endpoint(path="/openapi.json", operation=Operation.INSPECT, public=show_calls),
        Endpoint(path="/asyncapi.json", operation=Operation.INSPECT, public=show_sockets),
        Endpoint(path="/docs", operation=Operation.INSPECT, public=show_page),
        Endpoint(path="/docs/{name}", operation=Operation.INSPECT, public=show_file),
    ]

    def count_refusal(code: str) -> None:
        backend.telemetry.refusals.labels(code=code).inc()

    def explain(error: Exception) -> Response:
        if isinstance(error, LobbyError):
            count_refusal(error.reason)
            return error_response(error)
        if isinstance(error, HTTPException):
            return problem_response(error.status_code, f"http_{error.status_code}", error.detail)
        log.error("request_failed", exc_info=error)
        return problem_response(500, "server_error", "an error of the server", title="Internal Server Error")

    async def handle_error(_: Request, error: Exception) -> Response:
        return explain(error)

    rights = Rights(requests.authenticate, backend.operators.roles_of, requests.charge_operation)
    settings = backend.settings
    pages = web_routes(rights, playground=allows_playground(settings.playground, settings.host))
    return Starlette(
        routes=[*make_routes(endpoints, rights), *share_routes(backend, rights), *pages],
        middleware=[
            Middleware(
                SecurityMiddleware,
                settings=backend.settings,
                hosts=backend.hosts,
                ledger=backend.ledger,
                banned=backend.banned,
                count_refusal=count_refusal,
                explain=explain,
            )
        ],
        exception_handlers={LobbyError: handle_error, HTTPException: handle_error},
    )
