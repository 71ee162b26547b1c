"""The HTTP API: log in, find a seat, look at what is there. Thin: parse, ask the lobby, answer.

Errors are problem documents (RFC 9457) with our ``code`` and, where one is to blame, ``field``. Nothing here keeps
state; the socket's part is in gateway.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tussle.lobby.accounts import Accounts, PlayerInfo
from tussle.lobby.addresses import socket_address
from tussle.lobby.errors import (
    AuthError,
    ClientError,
    LobbyError,
    NotFound,
    ProtocolError,
    RateLimited,
    Refused,
    StoreError,
)
from tussle.lobby.ids import is_session_token
from tussle.lobby.logs import get_logger
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Operation
from tussle.lobby.seating import Seating, SeatReservation
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings
from tussle.lobby.spring_runs import SpringRuns
from tussle.lobby.standings import Standings
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import PROTOCOL
from tussle.server.http.openapi import Call, document
from tussle.server.http.operators import operator_routes
from tussle.server.http.rights import Rights, public_route
from tussle.server.http.security import Shield
from tussle.server.http.springs import Begin, spring_routes
from tussle.server.http.static import web_routes
from tussle.server.limits import RateLimit
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.modes.registry import get_mode

__all__ = ["create_app"]

log = get_logger("server.http")

Name = Annotated[str, msgspec.Meta(max_length=48)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Login(_Body, frozen=True):
    """No secret: a guest. With one: the player of that name, created at first."""

    name: str | None = None
    secret: str | None = None
    kind: Literal["person", "bot"] = "person"
    skill: Annotated[str, msgspec.Meta(max_length=24)] = ""


class Find(_Body, frozen=True):
    mode: Name = "duel"
    size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    body: Name = ""
    ready: bool = True


class Open(_Body, frozen=True):
    mode: Name = "duel"
    size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    body: Name = ""
    ready: bool = False
    private: bool = False
    scene: str = ""
    params: dict[str, Any] = {}


class Join(_Body, frozen=True):
    session: str
    body: Name = ""
    ready: bool = False


class Session(_Body, frozen=True):
    session: str


class Backend(Protocol):
    """What the API needs of the server it runs in."""

    settings: Settings
    accounts: Accounts
    seating: Seating
    views: Views
    operators: Operators
    springs: SpringRuns
    standings: Standings
    telemetry: Telemetry
    build: str

    def address(self) -> HolderAddress: ...
    def neighbours(self) -> Sequence[str]: ...
    def bodies(self) -> dict[str, dict[str, Any]]: ...
    async def catalogue(self) -> dict[str, dict[str, Any]]: ...
    def health(self) -> dict[str, Any]: ...
    def stop(self) -> None: ...


BODY_S = 10.0
"""A request's body must be here within this."""

SESSION_ERRORS = (404, 409, 422)

ALTERNATES = 3
"""Other addresses that come with a seat, at most."""

CALLS = [
    Call("POST", "/api/login", "Log in: a guest, or by name and secret", Login, open=True, errors=(401, 409, 422)),
    Call("GET", "/api/me", "Who am I"),
    Call("POST", "/api/find", "A seat in an open lobby, or in a new one", Find, errors=SESSION_ERRORS),
    Call("POST", "/api/open", "Open a lobby; its seat 0 is yours", Open, errors=SESSION_ERRORS),
    Call("POST", "/api/join", "A seat in it, or a new ticket for yours", Join, errors=SESSION_ERRORS),
    Call("POST", "/api/observe", "Watch that session", Session, errors=SESSION_ERRORS),
    Call("POST", "/api/leave", "Give up your seat", Session, errors=SESSION_ERRORS),
    Call(
        "GET", "/api/sessions", "What is open, runs and has ended", open=True, errors=(404, 422),
        query={"mode": "only of this mode", "status": "only in this status", "search": "in tokens and names"},
    ),
    Call("GET", "/api/sessions/{token}", "One session", open=True, errors=(404,)),
    Call("POST", "/api/springs", "Begin a run of the spring-damper's two stream solvers", Begin, errors=(422,)),
    Call(
        "GET", "/api/springs/{run}", "Its steps, beside the closed form", errors=(404, 422),
        query={"after": "the entry that the last look ended with"},
    ),
    Call("GET", "/api/catalogue", "Bodies, materials and scenes", open=True),
    Call("GET", "/api/leaderboard/{mode}", "Standings of a mode", open=True, errors=(404, 422)),
    Call("GET", "/healthz", "Whether this server is well", open=True),
    Call("GET", "/metrics", "What it measures, for Prometheus", open=True),
]  # fmt: skip
"""What the document at /openapi.json says; the operators' calls are not for everyone and not in it."""

Handler = Callable[[Request], Awaitable[Response]]


def json_response(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(
        orjson.dumps(value, default=msgspec.to_builtins),
        status,
        media_type=media_type,
        headers={"cache-control": "no-store"},
    )


def _problem(error: LobbyError) -> Response:
    document: dict[str, Any] = {
        "type": f"urn:tussle:error:{error.reason}",
        "title": type(error).__name__,
        "status": error.status,
        "detail": error.message if isinstance(error, ClientError | StoreError) else "an error of the server",
        "code": error.reason,
    }
    if error.field is not None:
        document["field"] = error.field
    response = json_response(document, error.status, "application/problem+json")
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def create_app(backend: Backend) -> Starlette:
    """The ASGI application of one server."""
    settings, seating = backend.settings, backend.seating
    logins = RateLimit(settings.login_rate, 10 * settings.login_rate)
    guesses = RateLimit(settings.guess_rate, 20 * settings.guess_rate)
    requests = RateLimit(settings.request_rate, 5 * settings.request_rate)

    async def read(request: Request, shape: Any) -> Any:
        declared = request.headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > settings.max_body_bytes:
            raise ProtocolError("the request is too large", code="too_large")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > settings.max_body_bytes:
                        raise ProtocolError("the request is too large", code="too_large")
        except TimeoutError:
            raise ProtocolError("the body did not arrive in time", code="too_slow") from None
        except ClientDisconnect:
            raise ProtocolError("the request was cut off", code="bad_request") from None
        try:
            return msgspec.json.decode(bytes(body) or b"{}", type=shape)
        except msgspec.ValidationError as error:
            raise ProtocolError(str(error), code="bad_request") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProtocolError("the body is not JSON", code="bad_json") from None

    def bearer(request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    async def player_of(request: Request) -> PlayerInfo:
        token = bearer(request)
        if token is None:
            raise AuthError("log in first: POST /api/login gives a token", code="login_required")
        player = await backend.accounts.authenticate(token)
        if not requests.take(player.player, time.monotonic()):
            raise RateLimited("too many requests of this player")
        return player

    def seat_answer(request: Request, seat: SeatReservation) -> Response:
        def socket_of(url: str) -> str:
            if url.startswith("/"):  # a path behind the proxy that the client came through
                url = f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}{url}"
            return socket_address(url)

        others = [url for url in (backend.address().url, *backend.neighbours()) if url != seat.holder_url]
        return json_response(
            {
                "session": seat.session,
                "seat": seat.seat,
                "role": seat.role,
                "ticket": seat.ticket,
                "ws_url": socket_of(seat.holder_url),
                "servers": [socket_of(url) for url in others[:ALTERNATES]],
                "protocol": PROTOCOL,
                "build": backend.build,
            }
        )

    def check_size(mode_name: str, size: int) -> None:
        low, high = get_mode(mode_name).seats
        high = min(high, settings.max_seats)
        if not low <= size <= high:
            raise Refused(f"{mode_name} takes {low} to {high} seats", code="bad_size", field="size")

    def check_body(body: str) -> None:
        if body and body not in backend.bodies():
            raise Refused(
                f"there is no body {body!r}; GET /api/catalogue lists them", code="unknown_body", field="body"
            )

    def check_token(token: str) -> str:
        if not is_session_token(token):
            raise NotFound(f"{token[:16]!r} is not a session token", code="no_such_session", field="session")
        return token

    async def login(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not logins.take(address, time.monotonic()):
            raise RateLimited("too many logins from this address")
        asked = await read(request, Login)
        if asked.secret is not None and not guesses.take((asked.name or "").lower(), time.monotonic()):
            raise RateLimited("too many logins with a secret for this name")
        done = await backend.accounts.login(
            name=asked.name, secret=asked.secret, kind=asked.kind, bearer=bearer(request), skill=asked.skill
        )
        return json_response(
            {
                "player": done.player,
                "name": done.name,
                "token": done.token,
                "expires_s": done.expires_s,
                "guest": done.guest,
            }
        )

    async def me(_: Request, player: PlayerInfo) -> Response:
        return json_response(msgspec.to_builtins(await backend.standings.profile(player.player)))

    async def find(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Find)
        check_size(asked.mode, asked.size)
        check_body(asked.body)
        return seat_answer(
            request,
            await seating.find(
                player.player,
                asked.mode,
                asked.size,
                body=asked.body,
                bodies=sorted(backend.bodies()),
                ready=asked.ready,
                holder=backend.address(),
            ),
        )

    async def open_lobby(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Open)
        check_size(asked.mode, asked.size)
        check_body(asked.body)
        return seat_answer(
            request,
            await seating.open(
                player.player,
                asked.mode,
                asked.size,
                body=asked.body,
                bodies=sorted(backend.bodies()),
                ready=asked.ready,
                private=asked.private,
                holder=backend.address(),
                scene=asked.scene,
                params=asked.params,
            ),
        )

    async def join(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Join)
        check_body(asked.body)
        return seat_answer(
            request,
            await seating.join(
                player.player,
                check_token(asked.session),
                body=asked.body,
                bodies=sorted(backend.bodies()),
                ready=asked.ready,
            ),
        )

    async def observe(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Session)
        return seat_answer(request, await seating.observe(player.player, check_token(asked.session)))

    async def leave(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Session)
        await seating.leave(player.player, check_token(asked.session))
        return json_response({})

    async def sessions(request: Request) -> Response:
        query = request.query_params
        views = await backend.views.sessions(
            mode=query.get("mode"), status=query.get("status"), limit=200, search=query.get("search", "")
        )
        return json_response({"sessions": views})

    async def session(request: Request) -> Response:
        return json_response(await backend.views.view(check_token(request.path_params["token"])))

    async def catalogue(_: Request) -> Response:
        return json_response(await backend.catalogue())

    async def leaderboard(request: Request) -> Response:
        mode = get_mode(request.path_params["mode"]).name
        return json_response({"mode": mode, "rows": await backend.standings.leaderboard(mode)})

    described = document(CALLS, version=backend.build)

    async def openapi(_: Request) -> Response:
        return json_response(described)

    async def healthz(_: Request) -> Response:
        health = backend.health()
        return json_response(health, 200 if health["ok"] else 503)

    async def metrics(_: Request) -> Response:
        return Response(backend.telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def on_error(_: Request, error: Exception) -> Response:
        if isinstance(error, LobbyError):
            backend.telemetry.refusals.labels(code=error.reason).inc()
            return _problem(error)
        if isinstance(error, HTTPException):
            return json_response(
                {
                    "type": "about:blank",
                    "title": error.detail,
                    "status": error.status_code,
                    "detail": error.detail,
                    "code": f"http_{error.status_code}",
                },
                error.status_code,
                "application/problem+json",
            )
        log.error("request_failed", exc_info=error)
        return json_response(
            {
                "type": "about:blank",
                "title": "Internal Server Error",
                "status": 500,
                "detail": "an error of the server",
                "code": "server_error",
            },
            500,
            "application/problem+json",
        )

    rights = Rights(player_of, backend.operators.roles_of)
    routes = [
        public_route("/api/login", Operation.LOGIN, login, methods=["POST"]),
        rights.route("/api/me", Operation.PROFILE, me),
        rights.route("/api/find", Operation.FIND, find, methods=["POST"]),
        rights.route("/api/open", Operation.OPEN, open_lobby, methods=["POST"]),
        rights.route("/api/join", Operation.JOIN, join, methods=["POST"]),
        rights.route("/api/observe", Operation.WATCH, observe, methods=["POST"]),
        rights.route("/api/leave", Operation.RELEASE, leave, methods=["POST"]),
        public_route("/api/sessions", Operation.LIST, sessions),
        public_route("/api/sessions/{token}", Operation.LIST, session),
        *operator_routes(backend.operators, backend.stop, rights, read, check_token),
        *spring_routes(backend.springs, rights, read),
        public_route("/api/catalogue", Operation.LIST, catalogue),
        public_route("/api/leaderboard/{mode}", Operation.LIST, leaderboard),
        public_route("/openapi.json", Operation.INSPECT, openapi),
        public_route("/healthz", Operation.INSPECT, healthz),
        public_route("/metrics", Operation.INSPECT, metrics),
        *web_routes(),
    ]

    def refused(code: str) -> None:
        backend.telemetry.refusals.labels(code=code).inc()

    return Starlette(
        routes=routes,
        middleware=[Middleware(Shield, settings=settings, refused=refused)],
        exception_handlers={LobbyError: on_error, HTTPException: on_error, Exception: on_error},
    )
