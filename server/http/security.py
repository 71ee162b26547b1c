"""The security middleware: length of the path, budget per address, origin, security headers of every response.

    request -> length -> budget of its address -> origin -> the application -> security headers
                  |                  |
                  '- too long        '- banned, or too many: refused, and the next request of its connection waits
                                                                `-> an error that nothing handled: 500, with the headers

The policy allows scripts, styles and workers of the server's origin only, so that injected content cannot run. Tokens
are sent in the Authorization header and never in a cookie or a URL, so that a foreign page cannot use them. This module
must never read a body.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tussle.lobby.errors import AddressTooLong, Forbidden, RateLimited, UnknownHost
from tussle.lobby.settings import Settings
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.client_calls import serve_request
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.gateway.http_guard import PATH_BYTES, QUERY_BYTES
from tussle.server.http.responses import error_response, problem_response
from tussle.server.limits import ABORT, PROXIED, SLOW_DOWN, Hosts, Origins, owner_of_address
from tussle.server.security_headers import SECURITY_HEADERS

__all__ = ["SecurityMiddleware"]

PROBES = ("/healthz", "/metrics")
"""Paths that are answered while an address is banned or has spent its budget of requests."""


class SecurityMiddleware:
    """ASGI middleware. ``count_refusal`` is called with the code of each refused request, ``explain`` with an error
    that nothing else handled; it returns the response."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        hosts: Hosts,
        ledger: Ledger,
        banned: BannedAddresses,
        count_refusal: Callable[[str], None],
        explain: Callable[[Exception], Response],
    ) -> None:
        self._explain = explain
        self._app = app
        self._origins = Origins(settings.allowed_origins)
        self._hosts = hosts
        self._ledger = ledger
        self._banned = banned
        self._count_refusal = count_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1") or None
        host = headers.get(b"host", b"").decode("latin-1")
        extra = list(SECURITY_HEADERS)
        if origin is not None and self._origins.named(origin):
            extra += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-headers", b"authorization, content-type, if-none-match, range"),
                (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
                (b"access-control-expose-headers", b"content-range, etag, retry-after"),
                (b"access-control-max-age", b"600"),
                (b"vary", b"origin"),
            ]
            extra.remove((b"cross-origin-resource-policy", b"same-origin"))
            if scope["method"] == "OPTIONS":
                await _respond(
                    Response(status_code=204, headers={"cache-control": "no-store"}),
                    scope,
                    receive,
                    send,
                    extra,
                )
                return
        if (
            len(scope.get("raw_path") or scope["path"]) > PATH_BYTES
            or len(scope["query_string"]) > QUERY_BYTES
        ):
            self._count_refusal(AddressTooLong.code)
            refusal = error_response(AddressTooLong("the path or query is too long"))
            _slow_down(scope)
            await _respond(refusal, scope, receive, send, extra)
            return
        address = scope["client"][0] if scope.get("client") else ""
        owner, probes = owner_of_address(address), scope["path"] in PROBES
        try:
            if not probes:
                self._banned.check(owner)
            resource = Resource.PROBES if probes else Resource.REQUESTS
            self._ledger.charge(resource, Owner.ADDRESS, owner, time.monotonic())
        except (Forbidden, RateLimited) as error:
            self._count_refusal(error.reason)
            _slow_down(scope)
            await _respond(error_response(error), scope, receive, send, extra)
            return
        reads = scope["method"] in ("GET", "HEAD")
        if not reads and not scope.get(PROXIED) and not self._hosts.allow(host):
            self._count_refusal(UnknownHost.code)
            unknown = UnknownHost("this server does not accept this host name; see ALLOWED_HOSTS")
            await _respond(error_response(unknown), scope, receive, send, extra)
            return
        if not reads and not self._origins.allow(origin, host):
            refusal = _problem(403, "origin_refused", "pages of this origin may not use this server")
            self._count_refusal("origin_refused")
            await _respond(refusal, scope, receive, send, extra)
            return

        started = False

        async def send_secured(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name.lower() for name, _ in message["headers"]}
                message = {
                    **message,
                    "headers": [*message["headers"], *((n, v) for n, v in extra if n not in present)],
                }
            await send(message)

        serve_request(owner)
        try:
            with self._banned.passing(owner, scope.get(ABORT, _nothing)):
                await self._app(scope, receive, send_secured)
        except Exception as error:
            response = self._explain(error)
            if started:  # the client has a part of another response: cut it off
                raise
            await response(scope, receive, send_secured)


def _nothing() -> None:
    """Closes no connection: the request came without one."""


def _slow_down(scope: Scope) -> None:
    """Delay the next request of this connection."""
    slow_down = scope.get(SLOW_DOWN)
    if slow_down is not None:
        slow_down()


def _problem(status: int, code: str, detail: str) -> Response:
    return problem_response(status, code, detail, title=code, kind=f"urn:tussle:error:{code}")


async def _respond(
    response: Response, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
) -> None:
    response.raw_headers.extend(headers)
    await response(scope, receive, send)
