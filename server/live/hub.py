"""Live mode: the readings of sessions and other sources, pushed to whoever asked for them.

    telemetry stream --(hint)--> LiveHub: one reader per source --> Outbox of each client --> its socket

Each source that anyone follows is read once per server, however many follow it; when the last one goes, so does the
subscription to its hints. A client that comes back says how far it got and is given what it missed, or told the gap.
Live clients are observers or operators; they never touch a session. This module must never write to the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from tussle.lobby.accounts import Accounts
from tussle.lobby.errors import (
    ClientError,
    CloseCode,
    LobbyError,
    NotFound,
    ProtocolError,
    RateLimited,
    StoreError,
)
from tussle.lobby.ids import is_session_token
from tussle.lobby.logs import get_logger
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Operation, Role, check_right
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups
from tussle.lobby.wire.live import (
    Failure,
    FailureData,
    ListSources,
    LiveHello,
    LiveMessage,
    LivePing,
    LivePong,
    LiveWelcome,
    LiveWelcomeData,
    ReadInfo,
    SourceAdded,
    SourceData,
    SourceGone,
    Sources,
    SourcesData,
    Subscribe,
    Subscribed,
    SubscribedData,
    TellInfo,
    Unsubscribe,
    Unsubscribed,
    decode_live,
    encode_live,
)
from tussle.lobby.wire.messages import PROTOCOL
from tussle.lobby.wire.sensors import ReadingBatch, SensorInfo, decode_batch, source_stream
from tussle.server.gateway.protocol import TokenBucket
from tussle.server.live.outbox import Outbox

__all__ = ["LiveHub", "Socket"]

log = get_logger("server.live")

HELLO_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 10.0
READ_COUNT = 1000
SOURCES_EACH = 100
"""Sources that one connection may follow."""

OPERATIONS: dict[type[LiveMessage], Operation] = {
    LiveHello: Operation.WATCH,
    LivePing: Operation.WATCH,
    ListSources: Operation.SENSOR_INFO,
    ReadInfo: Operation.SENSOR_INFO,
    Subscribe: Operation.SUBSCRIBE,
    Unsubscribe: Operation.SUBSCRIBE,
}
"""The right that each message needs."""


class Socket(Protocol):
    """What is needed of a WebSocket."""

    async def recv(self) -> str | bytes: ...
    async def send(self, message: str) -> None: ...
    async def drained(self) -> None:
        """Wait while too much of what was sent waits."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


@dataclass(slots=True, eq=False)
class _Client:
    socket: Socket
    role: Role
    outbox: Outbox = field(default_factory=Outbox)
    follows: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Tail:
    """How far a source has been read, and for whom."""

    stream: str
    cursor: str = "0-0"
    n: int = 0
    clients: set[_Client] = field(default_factory=set)


class LiveHub:
    """All live clients of one server. ``run`` reads for them, as a task of the server's; ``serve`` is one client."""

    def __init__(self, store: Store, accounts: Accounts, operators: Operators, settings: Settings) -> None:
        self._store = store
        self._accounts = accounts
        self._settings = settings
        self._operators = operators
        self._clients: set[_Client] = set()
        self._tails: dict[str, _Tail] = {}
        self._by_channel: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._hints: Wakeups | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def followers(self, source: str) -> int:
        """How many clients follow a source here."""
        return len(self._tails[source].clients) if source in self._tails else 0

    # reading

    async def run(self) -> None:
        """Turn hints into batches for the clients, until cancelled."""
        keys = self._store.keys
        async with self._store.wakeups() as hints:
            self._hints = hints
            with contextlib.suppress(StoreError):  # they stay wanted, and the next reconnection has them
                await hints.add(keys.sources, keys.lifecycle)
            async for channel, payload in hints:
                try:
                    if channel == RECONNECTED:
                        for source in list(self._tails):
                            await self._read(source)
                    elif channel == keys.sources:
                        self._tell(SourceAdded(SourceData(payload)))
                    elif channel == keys.lifecycle:
                        await self._lifecycle(payload)
                    elif channel in self._by_channel:
                        await self._read(self._by_channel[channel])
                except StoreError as error:
                    log.warning("store_waiting", work="live", error=error.message)

    async def _lifecycle(self, payload: str) -> None:
        session, _, event = payload.partition(" ")
        if event == "running":
            self._tell(SourceAdded(SourceData(session)))
        elif event in ("ended", "failed"):
            await self._read(session)
            self._tell(SourceGone(SourceData(session)))

    def _tell(self, message: SourceAdded | SourceGone) -> None:
        for client in self._clients:
            with contextlib.suppress(RateLimited):
                client.outbox.reply(message)

    async def _read(self, source: str) -> None:
        """Give what is new of a source to its followers."""
        async with self._lock:
            tail = self._tails.get(source)
            while tail is not None:
                reply = await self._store.call(
                    "XREAD", "COUNT", READ_COUNT, "STREAMS", tail.stream, tail.cursor
                )
                rows = reply[0][1] if reply else []
                batches = _batches(rows)
                if rows:
                    tail.cursor = rows[-1][0]
                if batches:
                    tail.n = batches[-1].n
                for client in tail.clients:
                    client.outbox.offer(source, batches)
                if len(rows) < READ_COUNT:
                    return

    # one client

    async def serve(self, socket: Socket) -> None:
        """One connection from its first message on. Exceptions of the socket pass through."""
        bucket = TokenBucket(self._settings.message_rate, self._settings.message_burst)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                client = await self._welcome(socket, await socket.recv())
        except TimeoutError:
            return await socket.close(CloseCode.BAD_MESSAGE, "no hello in time")
        except LobbyError as error:
            return await socket.close(error.close_code, f"{error.reason}: {error.message}"[:120])
        self._clients.add(client)
        sending = asyncio.create_task(self._send(client), name="live-send")
        try:
            while True:
                data = await socket.recv()
                if not bucket.take(time.monotonic()):
                    return await socket.close(CloseCode.RATE_LIMITED, "too many messages")
                try:
                    await self._take(client, data)
                except RateLimited as error:
                    return await socket.close(CloseCode.TOO_SLOW, error.message)
        finally:
            self._clients.discard(client)
            for source in list(client.follows):
                await self._unfollow(client, source)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def close(self) -> None:
        """Tell every client that the server shuts down."""
        await asyncio.gather(
            *(
                client.socket.close(CloseCode.SHUTTING_DOWN, "the server shuts down")
                for client in list(self._clients)
            )
        )

    async def _welcome(self, socket: Socket, data: str | bytes) -> _Client:
        message = decode_live(data)
        if not isinstance(message, LiveHello):
            raise ProtocolError("live comes first, and once", code="hello_expected")
        if message.d.protocol != PROTOCOL:
            raise _VersionMismatch(f"this server speaks protocol {PROTOCOL}")
        player = await self._accounts.authenticate(message.d.login)
        operator = Role.OPERATOR in self._operators.roles_of(player)
        client = _Client(socket, Role.OPERATOR if operator else Role.OBSERVER)
        check_right(OPERATIONS[LiveHello], client.role)
        client.outbox.reply(LiveWelcome(LiveWelcomeData(player.player, player.name, client.role, PROTOCOL)))
        return client

    async def _send(self, client: _Client) -> None:
        """Empty the outbox onto the socket; a client that takes nothing for SEND_TIMEOUT_S is closed."""
        try:
            while True:
                await client.outbox.ready.wait()
                for message in client.outbox.take():
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await client.socket.send(encode_live(message))
                        await client.socket.drained()
        except TimeoutError:
            await client.socket.close(CloseCode.TOO_SLOW, "too slow")

    async def _take(self, client: _Client, data: str | bytes) -> None:
        command = 0
        try:
            message = decode_live(data)
            if isinstance(message, LiveHello):
                raise ProtocolError("live comes first, and once", code="hello_again")
            if not isinstance(message, LivePing):
                command = message.id
            await self._obey(client, message)
        except RateLimited:
            raise
        except LobbyError as error:
            text = error.message if isinstance(error, ClientError | StoreError) else "an error on our side"
            client.outbox.reply(Failure(FailureData(error.reason, text, error.field), command))

    async def _obey(self, client: _Client, message: LiveMessage) -> None:
        check_right(OPERATIONS[type(message)], client.role)
        match message:
            case LivePing():
                client.outbox.reply(LivePong(message.d))
            case ListSources():
                client.outbox.reply(Sources(SourcesData(await self._sources()), message.id))
            case ReadInfo():
                client.outbox.reply(TellInfo(await self._info(message.d.source), message.id))
            case Subscribe():
                await self._follow(client, message)
            case Unsubscribe():
                await self._unfollow(client, message.d.source)
                client.outbox.reply(Unsubscribed(message.d, message.id))

    async def _sources(self) -> tuple[str, ...]:
        """Every source there is: those with a name, then the running sessions."""
        keys = self._store.keys
        named, running = await self._store.batch([("HKEYS", keys.sources), ("ZRANGE", keys.running, 0, -1)])
        return (*sorted(named), *running)

    async def _info(self, source: str) -> SensorInfo:
        keys = self._store.keys
        if is_session_token(source):
            text, status = await self._store.call("HMGET", keys.session(source), "sensor_info", "status")
            if status is not None and text is None:
                raise NotFound(
                    "this session has measured nothing yet", code="no_readings_yet", field="source"
                )
        else:
            text = await self._store.call("HGET", keys.sources, source)
        if text is None:
            raise NotFound(f"there is no source {source!r}", code="no_such_source", field="source")
        return msgspec.json.decode(text, type=SensorInfo)

    async def _exists(self, source: str) -> bool:
        keys = self._store.keys
        if is_session_token(source):
            return bool(await self._store.call("EXISTS", keys.session(source)))
        return bool(await self._store.call("HEXISTS", keys.sources, source))

    async def _follow(self, client: _Client, message: Subscribe) -> None:
        """Hints first, then the position, then what was missed: nothing falls between."""
        source, after = message.d.source, message.d.after
        if not await self._exists(source):
            raise NotFound(f"there is no source {source!r}", code="no_such_source", field="source")
        if len(client.follows) >= SOURCES_EACH:
            raise ProtocolError(f"at most {SOURCES_EACH} sources", code="too_many", field="source")
        async with self._lock:
            tail = self._tails.get(source)
            if tail is None:
                tail = await self._begin(source)
            missed = await self._missed(tail, after)
            client.follows.add(source)
            tail.clients.add(client)
            client.outbox.begin(source, tail.n if after is None or after > tail.n else after)
            client.outbox.reply(Subscribed(SubscribedData(source, tail.n), message.id))
            client.outbox.offer(source, missed)

    async def _begin(self, source: str) -> _Tail:
        tail = _Tail(source_stream(self._store.keys, source))
        channel = self._store.keys.live(tail.stream)
        if self._hints is not None:
            await self._hints.add(channel)
        newest = _newest(await self._store.call("XREVRANGE", tail.stream, "+", "-", "COUNT", 1))
        if newest is not None:
            tail.cursor, tail.n = newest
        self._by_channel[channel] = source
        self._tails[source] = tail
        return tail

    async def _missed(self, tail: _Tail, after: int | None) -> list[ReadingBatch]:
        """Batches after + 1 to the tail's position, as far as they are still there."""
        if after is None or after >= tail.n:
            return []
        count = min(tail.n - after, READ_COUNT)
        return _batches(
            (await self._store.call("XREVRANGE", tail.stream, tail.cursor, "-", "COUNT", count))[::-1]
        )

    async def _unfollow(self, client: _Client, source: str) -> None:
        client.follows.discard(source)
        client.outbox.end(source)
        async with self._lock:
            tail = self._tails.get(source)
            if tail is None:
                return
            tail.clients.discard(client)
            if not tail.clients:
                del self._tails[source]
                channel = self._store.keys.live(tail.stream)
                self._by_channel.pop(channel, None)
                if self._hints is not None:
                    await self._hints.remove(channel)


class _VersionMismatch(ProtocolError):
    code = "version_mismatch"
    close_code = CloseCode.VERSION_MISMATCH


def _fields(row: Any) -> dict[str, str]:
    return dict(zip(row[1][::2], row[1][1::2], strict=True))


def _newest(rows: Sequence[Any]) -> tuple[str, int] | None:
    return (rows[0][0], int(_fields(rows[0])["n"])) if rows else None


def _batches(rows: Sequence[Any]) -> list[ReadingBatch]:
    """Batches of a stream's entries; an unreadable one is a gap like any other."""
    found = []
    for row in rows:
        with contextlib.suppress(KeyError, ValueError):
            found.append(decode_batch(_fields(row)))
    return found
