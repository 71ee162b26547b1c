"""What stands before every HTTP request: how many an address may send, which pages may ask, what a browser is told.

    request -> rate of its address -> origin -> the application -> security headers

The web client needs scripts, styles and sockets of its own origin only; anything else that gets into a page is dead
there. Tokens travel in the Authorization header and never in a cookie or a URL: a foreign page has nothing to ride on.
This module must never look into a body.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tussle.lobby.settings import Settings
from tussle.server.limits import Origins, RateLimit

__all__ = ["SECURITY_HEADERS", "Shield"]

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self' ws: wss:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Sockets may lead to other servers of the realm, so their scheme is allowed and not their host."""

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

UNLIMITED = ("/healthz", "/metrics")


class Shield:
    """ASGI middleware. ``refused`` counts what it turned away, by code."""

    def __init__(self, app: ASGIApp, settings: Settings, refused: Callable[[str], None]) -> None:
        self._app = app
        self._origins = Origins(settings.allowed_origins)
        self._requests = RateLimit(settings.request_rate, 5 * settings.request_rate)
        self._refused = refused

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
                (b"access-control-allow-headers", b"authorization, content-type"),
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-max-age", b"600"),
                (b"vary", b"origin"),
            ]
            extra.remove((b"cross-origin-resource-policy", b"same-origin"))
            if scope["method"] == "OPTIONS":
                await _answer(send, 204, b"", extra)
                return
        address = scope["client"][0] if scope.get("client") else ""
        if scope["path"] not in UNLIMITED and not self._requests.take(address, time.monotonic()):
            self._refused("rate_limited")
            await _problem(send, 429, "rate_limited", "too many requests from this address", extra)
            return
        if scope["method"] not in ("GET", "HEAD") and not self._origins.allow(origin, host):
            self._refused("origin_refused")
            await _problem(send, 403, "origin_refused", "pages of this origin may not use this server", extra)
            return

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message = {
                    **message,
                    "headers": [*message["headers"], *((n, v) for n, v in extra if n not in own)],
                }
            await send(message)

        await self._app(scope, receive, shielded)


async def _problem(
    send: Send, status: int, code: str, detail: str, headers: list[tuple[bytes, bytes]]
) -> None:
    document = {
        "type": f"urn:tussle:error:{code}",
        "title": code,
        "status": status,
        "detail": detail,
        "code": code,
    }
    await _answer(
        send, status, orjson.dumps(document), [*headers, (b"content-type", b"application/problem+json")]
    )


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
