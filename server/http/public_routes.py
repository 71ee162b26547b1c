"""The HTTP calls that only read and need no login: sessions, the catalogue, the modes, health and metrics."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.roles import Operation
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import check_token
from tussle.server.http.responses import json_response
from tussle.server.http.tagged_bodies import TaggedBodies
from tussle.server.modes.offers import offered_modes

__all__ = ["PublicRoutes"]


class PublicRoutes:
    """The calls that need no login."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._bodies = TaggedBodies()

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                path="/api/sessions", operation=Operation.LIST, public=self.list_sessions, errors=(404, 422),
                summary="Sessions that are open, running or ended",
                query={
                    "mode": "only of this mode", "status": "only in this status", "search": "in tokens and names",
                    "player": "identity or whole name of somebody in it",
                    "since": "opened, begun or ended since then [ms since 1970]", "until": "before then",
                    "limit": "sessions of a page, at most 200", "cursor": "the `next` of the page before",
                    "ended": "how many ended ones follow, if no status is asked for",
                },
            ),
            Endpoint(
                path="/api/sessions/changes", operation=Operation.LIST, public=self.follow_sessions,
                summary="Changes of the list of sessions, as server-sent events", errors=(422,),
            ),
            Endpoint(
                path="/api/sessions/{token}", operation=Operation.LIST, public=self.show_session,
                summary="One session", errors=(404,),
            ),
            Endpoint(
                path="/api/catalogue", operation=Operation.LIST, public=self.show_catalogue,
                summary="Bodies, materials, scenes and ready meshes",
            ),
            Endpoint(
                path="/api/modes", operation=Operation.LIST, public=self.show_modes,
                summary="The modes that this server offers, and the schemas of their parameters",
            ),
            Endpoint(
                path="/healthz", operation=Operation.INSPECT, public=self.show_health,
                summary="Whether this server accepts sessions",
            ),
            Endpoint(
                path="/metrics", operation=Operation.INSPECT, public=self.show_metrics,
                summary="Metrics in the Prometheus text format",
            ),
        ]  # fmt: skip

    async def list_sessions(self, request: Request) -> Response:
        return await self._backend.session_lists.respond(request)

    async def follow_sessions(self, request: Request) -> Response:
        return await self._backend.session_changes.respond(request)

    async def show_session(self, request: Request) -> Response:
        return json_response(await self._backend.views.view(check_token(request.path_params["token"])))

    async def show_catalogue(self, request: Request) -> Response:
        return self._bodies.respond(request, await self._backend.catalogue())

    async def show_modes(self, request: Request) -> Response:
        return self._bodies.respond(request, offered_modes())

    async def show_health(self, _: Request) -> Response:
        health = self._backend.health()
        return json_response(health, 200 if health["ok"] else 503)

    async def show_metrics(self, _: Request) -> Response:
        text = self._backend.telemetry.exposition()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
