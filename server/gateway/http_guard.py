"""uvicorn's HTTP protocol with limits on connections per address and on the time and size of a request.

    bytes -> slices -> head: HEAD_S, HEAD_BYTES, HEADERS -> body: chunks, what is not body -> end
                                                              '- answered already: LINGER_S, LINGER_BYTES, then closed

The connection is aborted unless the head is complete within HEAD_S, so that a client which sends a byte a minute does
not hold a connection. A head that is too large is refused before it is stored, and so is any trailer. A request line
that is longer than any path and query is answered before the rest of the head is read. After a refused request the
connection reads nothing for a while, or is closed if more of its requests wait: an address gets at most REFUSALS_S
refusals a second. The HTTP API limits bodies that it reads, and server/gateway/gateway.py limits WebSockets. What a
connection leaves is freed without the cycle collector. This module must never read a body.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections import deque
from functools import partial
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tussle.lobby.logs import get_logger
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.gateway.socket import Socket
from tussle.server.limits import ABORT, PROXIED, SLOW_DOWN, Proxies, owner_of_address
from tussle.server.security_headers import SECURITY_HEADERS

__all__ = ["HEADERS", "HEAD_BYTES", "PATH_BYTES", "QUERY_BYTES", "admit_connection", "http_protocol"]

PATH_BYTES = 2048
QUERY_BYTES = 4096
"""The longest path and query of a request. The security middleware answers longer ones with 414."""

HEAD_S = 10.0
HEAD_BYTES = 16_384
HEADERS = 100
"""The largest head of a request. It is refused with 431 before more of it is stored: a stored header needs about 20
times its bytes if it is short."""

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

WAITING_BYTES = 32_768
"""Bytes of requests that wait for the answer to another one. Nothing is read while a request waits, but what arrived
with it may hold more."""

SLICE_BYTES = 8192
"""Bytes that are parsed at once. Bounds are checked between them."""

FRAMING_BYTES, FRAMING_SHARE = 16_384, 8
"""Bytes of a body in chunks that are not body, and how many bytes of body allow one more: lengths, extensions."""

CHUNKS, CHUNK_BYTES = 1024, 64
"""Chunks of a body, and how many bytes of body allow one more."""

BODYLESS = ("GET", "HEAD")
BODYLESS_BYTES = 16_384
"""Methods whose bodies nobody reads. They must end within HEAD_S, as their heads, and within these bytes."""

LINGER_S, LINGER_BYTES = 2.0, 1_048_576
"""Time and bytes in which a body must end whose request is answered already. The answer says that the connection is
closed; the rest is read meanwhile, since a client may not look for an answer before it has sent everything."""

ENDED_PER_COLLECTION = 200
"""Closed connections between two collections of young garbage."""

REFUSED_LOG_S = 10.0

log = get_logger("server.gateway")

_errors = logging.getLogger("uvicorn.error.requests")
"""uvicorn logs a warning for each connection that sends what is not HTTP. They are counted instead."""
_errors.setLevel(logging.ERROR)


class _Unacceptable(Exception):
    """Ends the parsing of a connection that gets an error and is closed."""


class _Flow(FlowControl):
    """Reads nothing while a request waits, whatever the request that is being answered wants to receive."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class _GuardedHttp(HttpToolsProtocol):
    ledger: ClassVar[Ledger]
    proxies: ClassVar[Proxies]
    idle: ClassVar[dict[_GuardedHttp, None]]
    refused: ClassVar[_Refused]
    ended: ClassVar[_Collection]
    _holds = False
    _address = ""
    _timer: asyncio.TimerHandle | None = None
    _in_body = False
    """Between the end of a head and the end of its message."""
    _framing = 0
    """Bytes of the current head, or of the current body that are not body."""
    _head_bytes = _body_bytes = _chunks = _late = _waiting = 0
    _answering: RequestResponseCycle | None = None
    """The request that is or was answered last."""
    _lingers = False
    _proxied = False
    _status = b"400 Bad Request"
    _reason = b""
    _slowed = False
    _resuming: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.logger = _errors
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
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
        self.pipeline.clear()
        answering = self._answering
        if answering is not None and not answering.response_complete:  # uvicorn tells the newest request only
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)
        self._forget()
        self.ended.count()

    def _forget(self) -> None:
        """Drop what refers to this protocol, and what is large."""
        self._unset_keepalive_if_required()
        self._answering = self.cycle = self.scope = self.headers = self.parser = None  # type: ignore[assignment]
        self.url = b""

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._timer is None and not self._in_body and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()  # empty lines before a request begin no message
        for start in range(0, len(data), SLICE_BYTES):
            if not self._parse(data[start : start + SLICE_BYTES]):
                return

    def _parse(self, data: bytes) -> bool:
        """Parse a slice. Returns False if nothing more is to be parsed."""
        self._framing += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                if self._answering is not None and not self._answering.response_complete:
                    self.send_400_response(_NO_HTTP)  # the answer would go on in the frames of the socket
                else:
                    self.handle_websocket_upgrade()
            return False
        except httptools.HttpParserError:
            self.send_400_response(_NO_HTTP)
            return False
        if self.transport.is_closing():
            return False
        if not self._in_body:
            if self._framing > HEAD_BYTES:
                self._large_head()
                self.send_400_response(_NO_HTTP)
                return False
        elif self._framing > FRAMING_BYTES + self._body_bytes // FRAMING_SHARE:
            self.send_400_response(_NO_HTTP)
            return False
        elif self.cycle is not None and self.cycle.response_complete:
            self._late += len(data)
            if self._late > LINGER_BYTES:
                self.transport.abort()
                return False
        return True

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED or self.transport.is_closing():
            raise _Unacceptable
        if self._timer is None:
            self._wait_for_head()
        self._head_bytes = 0
        super().on_message_begin()
        self.scope[PROXIED] = self._proxied  # type: ignore[literal-required]
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]
        self.scope[SLOW_DOWN] = self._slow_down  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > URL_BYTES:
            self._status, self._reason = b"414 URI Too Long", b"the path or query is too long"
            raise _Unacceptable
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # a trailer, which uvicorn would add to the headers
            raise _Unacceptable
        self._head_bytes += len(name) + len(value) + 4
        if len(self.headers) >= HEADERS or self._head_bytes + len(self.url) > HEAD_BYTES:
            self._large_head()
            raise _Unacceptable
        super().on_header(name, value)

    def _large_head(self) -> None:
        self._status, self._reason = b"431 Request Header Fields Too Large", b"the headers are too large"

    def on_headers_complete(self) -> None:
        self.idle.pop(self, None)
        self._in_body = True
        self._framing = self._body_bytes = self._chunks = self._late = 0
        super().on_headers_complete()
        if self.scope["method"] not in BODYLESS:
            self._stop_timer()
        self._wait(self._head_bytes + len(self.url))

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > CHUNKS + self._body_bytes // CHUNK_BYTES:
            raise _Unacceptable

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        self._body_bytes += len(body)
        if self.scope["method"] in BODYLESS and self._body_bytes > BODYLESS_BYTES:
            raise _Unacceptable
        self._wait(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_timer()
        self._in_body, self._framing = False, 0
        if self._lingers and self.cycle.response_complete:
            self.transport.close()

    def _wait(self, size: int) -> None:
        """Count bytes of the request that is being received if it waits for the answer to another one."""
        if not self.pipeline:
            self._waiting = 0
            return
        self._waiting += size
        if self._waiting > WAITING_BYTES:
            raise _Unacceptable

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, partial(self._answer, cycle, app))

    async def _answer(
        self, cycle: RequestResponseCycle, app: Any, scope: Any, receive: Any, send: Any
    ) -> Any:
        return await app(scope, receive, partial(self._send_early, cycle) if cycle.more_body else send)

    async def _send_early(self, cycle: RequestResponseCycle, message: Any) -> None:
        """Send a part of an answer to a request that may not have ended. If it has not, the answer is the last one."""
        if cycle.more_body and not cycle.disconnected:
            if not cycle.response_started:
                if cycle.keep_alive:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            elif not message.get("more_body", False):
                cycle.keep_alive = self._lingers = True  # uvicorn would close it before the body has ended
        await cycle.send(message)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, or not acceptable. uvicorn's own answer has no security headers. Nothing
        is written into another answer, or after that of this request."""
        if self.transport.is_closing():
            return
        self._stop_timer()
        if self._address:
            self.ledger.spend(
                Resource.CONNECTS, Owner.ADDRESS, self._address, time.monotonic(), UNACCEPTABLE_COST
            )
        answering = self._answering
        if (
            answering is None
            or not answering.response_started
            or (answering.response_complete and not self._in_body)
        ):
            reason = self._reason or msg.encode("ascii")
            self.transport.write(
                b"HTTP/1.1 %s\r\n%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (self._status, _HEADERS, len(reason), reason)
            )
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        self._release()  # the gateway counts the connection from now on
        super().handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        if isinstance(socket, Socket):
            socket.on_lost = self._release_descriptor
        self._forget()

    def on_response_complete(self) -> None:
        if self._slowed and self.pipeline:  # they would be answered before the pause
            self.pipeline.clear()
            self.transport.close()
        super().on_response_complete()
        if not self.transport.is_closing() and self._in_body and self.cycle.response_complete:
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
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


_NO_HTTP = "Invalid HTTP request received."
_HEADERS = b"".join(b"%s: %s\r\n" % header for header in SECURITY_HEADERS)


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


class _Collection:
    """Counts closed connections and collects young garbage now and then: the thresholds that server/app.py sets leave
    it for long. A connection leaves no cycle by itself; an answer may."""

    def __init__(self) -> None:
        self._ended = 0

    def count(self) -> None:
        self._ended += 1
        if self._ended % ENDED_PER_COLLECTION == 0:
            gc.collect(1)


def http_protocol(ledger: Ledger, proxies: Proxies) -> type[Any]:
    """The protocol class of one server, for uvicorn's ``http`` option."""
    members = {
        "ledger": ledger,
        "proxies": proxies,
        "idle": {},
        "refused": _Refused(),
        "ended": _Collection(),
    }
    return type("GuardedHttp", (_GuardedHttp,), members)
