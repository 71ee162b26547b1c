"""uvicorn's HTTP protocol with a limit on connections per address and on the time and size of a request's head.

The connection is aborted unless the head is complete within HEAD_S and HEAD_BYTES, so that a client which sends a byte
a minute does not hold a connection. A request line that is longer than any path and query is answered before the rest
of the head is read. After a refused request the connection reads nothing for a while, or is closed if more of its
requests wait: an address gets at most REFUSALS_S refusals a second. The HTTP API limits bodies and
server/gateway/gateway.py limits WebSockets. This module must never read a body.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tussle.lobby.logs import get_logger
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.gateway.socket import Socket
from tussle.server.limits import ABORT, PROXIED, SLOW_DOWN, Proxies, owner_of_address
from tussle.server.security_headers import SECURITY_HEADERS

__all__ = ["PATH_BYTES", "QUERY_BYTES", "admit_connection", "http_protocol"]

PATH_BYTES = 2048
QUERY_BYTES = 4096
"""The longest path and query of a request. The security middleware answers longer ones with 414."""

HEAD_S = 10.0
HEAD_BYTES = 65_536
URL_BYTES = PATH_BYTES + QUERY_BYTES + 1024
"""The longest request target that is parsed. The security middleware refuses shorter ones that are too long."""

REFUSALS_S = 100.0
"""Refused requests of an address that are answered in a second, on all its connections."""

PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""The shortest and the longest time for which a connection reads nothing after a refused request."""

UNACCEPTABLE_COST = 5.0
"""What bytes that are not acceptable cost in units of Resource.CONNECTS: their connection is closed."""

PIPELINED = 16
"""Requests of a connection that may wait for the answer to another one. One chunk of the network holds thousands of
small ones, and each makes a task."""

REFUSED_LOG_S = 10.0

log = get_logger("server.gateway")

_errors = logging.getLogger("uvicorn.error.requests")
"""uvicorn logs a warning for each connection that sends what is not HTTP. They are counted instead."""
_errors.setLevel(logging.ERROR)


class _Unacceptable(Exception):
    """Ends the parsing of a connection that gets an error and is closed."""


class _GuardedHttp(HttpToolsProtocol):
    ledger: ClassVar[Ledger]
    proxies: ClassVar[Proxies]
    idle: ClassVar[dict[_GuardedHttp, None]]
    refused: ClassVar[_Refused]
    _holds = False
    _address = ""
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _proxied = False
    _had_body = False
    _too_long = False
    _slowed = False
    _resuming: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.logger = _errors
        super().connection_made(transport)
        if not self._hold_descriptor():
            transport.abort()
            return
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        self._proxied = self.proxies.trust(address)
        if address and not self._proxied:
            address = owner_of_address(address)
            if not self.ledger.hold(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, address):
                transport.abort()
                return
            self._address = address
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self._release_descriptor()
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._had_body = False
        super().data_received(data)
        if self._in_head and not self._had_body:  # data that comes with a body is not all head
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise _Unacceptable
        self._wait_for_head()
        super().on_message_begin()
        self.scope[PROXIED] = self._proxied  # type: ignore[literal-required]
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]
        self.scope[SLOW_DOWN] = self._slow_down  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > URL_BYTES:
            self._too_long = True
            raise _Unacceptable
        super().on_url(url)

    def on_headers_complete(self) -> None:
        self.idle.pop(self, None)
        self._in_head, self._had_body = False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes, self._had_body = True, 0, True

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, or not acceptable. uvicorn's own answer has no security headers."""
        self._stop_timer()
        if self._address:
            self.ledger.spend(
                Resource.CONNECTS, Owner.ADDRESS, self._address, time.monotonic(), UNACCEPTABLE_COST
            )
        status, text = (
            (b"414 URI Too Long", _TOO_LONG) if self._too_long else (b"400 Bad Request", msg.encode("ascii"))
        )
        self.transport.write(
            b"HTTP/1.1 %s\r\n%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, _HEADERS, len(text), text)
        )
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        self._release()  # the gateway counts the connection from now on
        super().handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        if isinstance(socket, Socket):
            socket.on_lost = self._release_descriptor

    def on_response_complete(self) -> None:
        if self._slowed and self.pipeline:  # they would be answered before the pause
            self.pipeline.clear()
            self.transport.close()
        super().on_response_complete()
        if self._holds and not self.transport.is_closing():
            self.idle[self] = None
            if self._slowed:
                self._pause()

    def _slow_down(self) -> None:
        """The request was refused: read nothing for a while after its answer. A proxy's connection is not slowed,
        because the next request on it may be of another client."""
        self._slowed = bool(self._address)

    def _pause(self) -> None:
        self._slowed = False
        held = self.ledger.held(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, self._address)
        pause_s = min(max(held / REFUSALS_S, PAUSE_S), LONGEST_PAUSE_S)
        self.flow.pause_reading()
        self._resuming = self.loop.call_later(pause_s, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _hold_descriptor(self) -> bool:
        """Hold a descriptor of the clients' share. If none is left, the connection that is idle for the longest time is
        closed for this one. Returns False if every connection is in use."""
        budget = Resource.DESCRIPTORS, Owner.SERVER, ""
        self._holds = True
        if not self.ledger.hold(*budget):
            self.ledger.hold(*budget, beyond=True)  # until the closed one is gone
            longest = next(iter(self.idle), None)
            self.refused.count(self.loop.time(), closed_idle=longest is not None)
            if longest is None:
                return False
            del self.idle[longest]
            longest.transport.abort()
        self.idle[self] = None
        return True

    def _release_descriptor(self) -> None:
        self.idle.pop(self, None)
        if self._holds:
            self._holds = False
            self.ledger.release(Resource.DESCRIPTORS, Owner.SERVER, "")

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


_HEADERS = b"".join(b"%s: %s\r\n" % header for header in SECURITY_HEADERS)
_TOO_LONG = b"the path or query is too long"


def admit_connection(ledger: Ledger, address: str) -> bool:
    """Whether a new connection of an address is made. Charges it."""
    if ledger.held(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, address) >= ledger.most(
        Resource.HTTP_CONNECTIONS, Owner.ADDRESS
    ):
        ledger.count_refusal(Resource.HTTP_CONNECTIONS, Owner.ADDRESS, address)
        return False
    return ledger.spend(Resource.CONNECTS, Owner.ADDRESS, address, time.monotonic())


class _Refused:
    """Counts connections that were closed because no descriptor was left, and logs them every REFUSED_LOG_S."""

    def __init__(self) -> None:
        self._next_log = -math.inf
        self._refused = self._closed_idle = 0

    def count(self, now: float, *, closed_idle: bool) -> None:
        if closed_idle:
            self._closed_idle += 1
        else:
            self._refused += 1
        if now >= self._next_log:
            self._next_log = now + REFUSED_LOG_S
            log.warning("connections_refused", refused=self._refused, closed_idle=self._closed_idle)
            self._refused = self._closed_idle = 0


def http_protocol(ledger: Ledger, proxies: Proxies) -> type[Any]:
    """The protocol class of one server, for uvicorn's ``http`` option."""
    members = {"ledger": ledger, "proxies": proxies, "idle": {}, "refused": _Refused()}
    return type("GuardedHttp", (_GuardedHttp,), members)
