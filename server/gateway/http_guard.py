"""uvicorn's HTTP protocol with a limit on connections per address and on the time and size of a request's head.

The connection is aborted unless the head is complete within HEAD_S and HEAD_BYTES, so that clients that send one byte a
minute occupy nothing. The HTTP API limits bodies and server/gateway/gateway.py limits WebSockets. This
module must never read a body.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.limits import Proxies, owner_of_address
from tussle.server.security_headers import SECURITY_HEADERS

__all__ = ["http_protocol"]

HEAD_S = 10.0
HEAD_BYTES = 65_536


class _GuardedHttp(HttpToolsProtocol):
    ledger: ClassVar[Ledger]
    proxies: ClassVar[Proxies]
    _address = ""
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _had_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if address and not self.proxies.trust(address):
            address = owner_of_address(address)
            if not self.ledger.hold(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, address):
                transport.abort()
                return
            self._address = address
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._had_body = False
        super().data_received(data)
        if self._in_head and not self._had_body:  # data that comes with a body is not all head
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._had_body = False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes, self._had_body = True, 0, True

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP. uvicorn's own answer has no security headers."""
        headers = b"".join(b"%s: %s\r\n" % header for header in SECURITY_HEADERS)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (headers, len(msg), msg.encode("ascii"))
        )
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        self._release()  # the gateway counts the connection from now on
        super().handle_websocket_upgrade()

    def _wait_for_head(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        self._stop_timer()
        if self._address:
            self.ledger.release(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, self._address)
            self._address = ""


def http_protocol(ledger: Ledger, proxies: Proxies) -> type[Any]:
    """The protocol class of one server, for uvicorn's ``http`` option."""
    return type("GuardedHttp", (_GuardedHttp,), {"ledger": ledger, "proxies": proxies})
