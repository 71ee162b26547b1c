"""Live mode: the readings of sessions and other sources, pushed to the clients that subscribed to them.

    telemetry stream --(hint)--> LiveHub: one reader per source --> Outbox of each client --> its socket

A server reads each source once, whatever the number of its subscribers, and unsubscribes from the hints of a source
that has none left. A client that reconnects sends the number of its last batch and gets the missed batches, or the
numbers of those that were trimmed. Live clients are observers or operators and have no effect on a session. This module
must never write to the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
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
from tussle.lobby.store.call_lanes import known_as
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups
from tussle.lobby.text import MESSAGE_LENGTH, clip
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
    SensorInfoReply,
    SourceAdded,
    SourceData,
    SourceGone,
    Sources,
    SourcesData,
    Subscribe,
    Subscribed,
    SubscribedData,
    Unsubscribe,
    Unsubscribed,
    decode_live,
    encode_live,
)
from tussle.lobby.wire.negotiation import choose_protocol
from tussle.lobby.wire.sensors import ReadingBatch, SensorInfo, decode_batch, source_stream
from tussle.server.costs import (
    LIST_SOURCES_COST,
    REQUEST_COSTS,
    SOURCE_COST,
    Ledger,
    Owner,
    Resource,
    message_bucket,
)
from tussle.server.limits import TokenBucket
from tussle.server.live.outbox import Outbox

__all__ = ["LiveHub", "LiveSocket"]

log = get_logger("server.live")

HELLO_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 10.0
READ_COUNT = 1000
NEWEST_COUNT = 10
"""Newest entries of a stream among which a new reader looks for a readable one, which has the number. More unreadable
entries than this make a gap."""
SOURCES_EACH = 100
"""Sources that one connection may subscribe to."""

OPERATIONS: dict[type[LiveMessage], Operation] = {
    LiveHello: Operation.WATCH,
    LivePing: Operation.WATCH,
    ListSources: Operation.SENSOR_INFO,
    ReadInfo: Operation.SENSOR_INFO,
    Subscribe: Operation.SUBSCRIBE,
    Unsubscribe: Operation.SUBSCRIBE,
}
"""The right that each message needs."""

PRICES: dict[type[LiveMessage], float] = {
    ListSources: LIST_SOURCES_COST,
    ReadInfo: SOURCE_COST,
    Subscribe: SOURCE_COST,
    Unsubscribe: SOURCE_COST,
}
"""What a message costs in units of Resource.MESSAGES; any other costs 1."""


class LiveSocket(Protocol):
    """The methods of a WebSocket that the hub calls. ``address``: the key of its client's budgets; None: no budget."""

    address: str | None

    async def recv(self) -> str | bytes: ...
    async def send(self, message: str) -> None: ...
    async def drained(self) -> None:
        """Wait until the write buffer has room."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


@dataclass(slots=True, eq=False)
class _LiveClient:
    socket: LiveSocket
    role: Role
    player: str
    bucket: TokenBucket
    mean: float
    outbox: Outbox = field(default_factory=Outbox)
    sources: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _SourceReader:
    """The read position of one source, and its subscribers. ``n``: number of the newest batch read."""

    stream: str
    cursor: str = "0-0"
    n: int = 0
    clients: set[_LiveClient] = field(default_factory=set)


class LiveHub:
    """All live clients of one server. The server runs ``follow_sources`` as a task; ``serve`` handles one client."""

    def __init__(
        self, store: Store, accounts: Accounts, operators: Operators, settings: Settings, ledger: Ledger
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._settings = settings
        self._ledger = ledger
        self._operators = operators
        self._clients: set[_LiveClient] = set()
        self._readers: dict[str, _SourceReader] = {}
        self._by_channel: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._hints: Wakeups | None = None

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def source_count(self) -> int:
        """Number of sources that this server reads."""
        return len(self._readers)

    def subscriber_count(self, source: str) -> int:
        """Number of clients of this server that subscribed to a source."""
        return len(self._readers[source].clients) if source in self._readers else 0

    # reading

    async def follow_sources(self) -> None:
        """Read a source after each of its hints and queue the new batches for its subscribers, until cancelled."""
        keys = self._store.keys
        async with Wakeups(self._store) as hints:
            self._hints = hints
            with contextlib.suppress(StoreError):  # the next reconnection subscribes again
                await hints.add(keys.sources, keys.lifecycle)
            async for channel, payload in hints:
                try:
                    if channel == RECONNECTED:
                        for source in list(self._readers):
                            await self._read(source)
                    elif channel == keys.sources:
                        self._announce(SourceAdded(SourceData(payload)))
                    elif channel == keys.lifecycle:
                        await self._handle_lifecycle(payload)
                    elif channel in self._by_channel:
                        await self._read(self._by_channel[channel])
                except StoreError as error:
                    log.warning("store_waiting", work="live", error=error.message)

    async def _handle_lifecycle(self, payload: str) -> None:
        session, _, event = payload.partition(" ")
        if event == "running":
            await self._announce_session(SourceAdded(SourceData(session)))
        elif event in ("ended", "failed"):
            await self._read(session)
            await self._announce_session(SourceGone(SourceData(session)))

    async def _announce_session(self, message: SourceAdded | SourceGone) -> None:
        """Announce a session to the clients that may see it, or that subscribed to it by its token."""
        session = message.d.source
        clients = list(self._clients)
        shown = await self._shown(clients, [session])
        self._announce(message, [c for c in clients if session in c.sources or session in shown[c]])

    def _announce(
        self, message: SourceAdded | SourceGone, clients: Iterable[_LiveClient] | None = None
    ) -> None:
        for client in self._clients if clients is None else clients:
            with contextlib.suppress(RateLimited):
                client.outbox.reply(message)

    async def _read(self, source: str) -> None:
        """Read the new batches of a source and queue them for its subscribers."""
        async with self._lock:
            reader = self._readers.get(source)
            while reader is not None:
                reply = await self._store.call(
                    "XREAD", "COUNT", READ_COUNT, "STREAMS", reader.stream, reader.cursor
                )
                rows = reply[0][1] if reply else []
                batches = _batches(rows)
                if rows:
                    reader.cursor = rows[-1][0]
                if batches:
                    reader.n = batches[-1].n
                for client in reader.clients:
                    client.outbox.offer(source, batches)
                if len(rows) < READ_COUNT:
                    return

    # one client

    async def serve(self, socket: LiveSocket) -> None:
        """Handle one connection, from its first message until it closes. Exceptions of the socket propagate."""
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                client = await self._welcome(socket, await socket.recv())
        except TimeoutError:
            return await socket.close(CloseCode.BAD_MESSAGE, "no hello in time")
        except LobbyError as error:
            return await socket.close(error.close_code, f"{error.reason}: {error.message}"[:120])
        if not self._ledger.hold(Resource.SOCKETS, Owner.PLAYER, client.player):
            return await socket.close(CloseCode.RATE_LIMITED, "too many sockets of this player")
        self._clients.add(client)
        sending = asyncio.create_task(self._send_outbox(client), name="live-send")
        try:
            while True:
                data = await socket.recv()
                if not self._spend(client, max(1.0, len(data) / client.mean)):
                    return await socket.close(CloseCode.RATE_LIMITED, "too many messages")
                try:
                    within = await self._handle_message(client, data)
                except RateLimited as error:
                    return await socket.close(CloseCode.TOO_SLOW, error.message)
                if not within:
                    return await socket.close(CloseCode.RATE_LIMITED, "too many costly messages")
        finally:
            self._clients.discard(client)
            self._ledger.release(Resource.SOCKETS, Owner.PLAYER, client.player)
            for source in list(client.sources):
                await self._unsubscribe(client, source)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    def close_player(self, player: str, reason: str) -> None:
        """Close every client of a player with RESUME_REFUSED."""
        for client in [one for one in self._clients if one.player == player]:
            closing = asyncio.create_task(client.socket.close(CloseCode.RESUME_REFUSED, reason))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every client with SHUTTING_DOWN."""
        await asyncio.gather(
            *(
                client.socket.close(CloseCode.SHUTTING_DOWN, "the server shuts down")
                for client in list(self._clients)
            )
        )

    async def _welcome(self, socket: LiveSocket, data: str | bytes) -> _LiveClient:
        message = decode_live(data)
        if not isinstance(message, LiveHello):
            raise ProtocolError("the first message must be live", code="hello_expected")
        protocol = choose_protocol(message.d.protocol, message.d.protocols)
        player = await self._accounts.authenticate(message.d.login)
        known_as(player.player)
        operator = Role.OPERATOR in self._operators.roles_of(player)
        bucket, mean = message_bucket(self._settings)
        client = _LiveClient(
            socket, Role.OPERATOR if operator else Role.OBSERVER, player.player, bucket, mean
        )
        check_right(OPERATIONS[LiveHello], client.role)
        now, price = time.monotonic(), REQUEST_COSTS[Operation.WATCH]
        if socket.address:
            self._ledger.charge(
                Resource.REQUESTS, Owner.ADDRESS, socket.address, now, price - 1.0
            )  # 1 at the upgrade
        self._ledger.charge(Resource.REQUESTS, Owner.PLAYER, player.player, now, price)
        client.outbox.reply(LiveWelcome(LiveWelcomeData(player.player, player.name, client.role, protocol)))
        return client

    async def _send_outbox(self, client: _LiveClient) -> None:
        """Send what the outbox holds. Closes a client that accepts nothing for SEND_TIMEOUT_S."""
        try:
            while True:
                await client.outbox.ready.wait()
                for message in client.outbox.take():
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await client.socket.send(encode_live(message))
                        await client.socket.drained()
        except TimeoutError:
            await client.socket.close(CloseCode.TOO_SLOW, "too slow")

    def _spend(self, client: _LiveClient, amount: float) -> bool:
        """Charge messages to the connection and to its player. False if either has spent its budget."""
        now = time.monotonic()
        return client.bucket.take(now, amount) and self._ledger.spend(
            Resource.MESSAGES, Owner.PLAYER, client.player, now, amount
        )

    async def _handle_message(self, client: _LiveClient, data: str | bytes) -> bool:
        """Execute one message. Returns False, and does nothing, if it costs more than the client has left. Raises
        RateLimited if too many replies are unread."""
        command = 0
        try:
            message = decode_live(data)
            if isinstance(message, LiveHello):
                raise ProtocolError("live may be sent only once", code="hello_again")
            if not isinstance(message, LivePing):
                command = message.id
            if not self._spend(client, PRICES.get(type(message), 1.0) - 1.0):
                return False
            await self._execute(client, message)
        except RateLimited:
            raise
        except LobbyError as error:
            text = error.message if isinstance(error, ClientError | StoreError) else "an error of the server"
            client.outbox.reply(
                Failure(FailureData(error.reason, clip(text, MESSAGE_LENGTH), error.field), command)
            )
        return True

    async def _execute(self, client: _LiveClient, message: LiveMessage) -> None:
        check_right(OPERATIONS[type(message)], client.role)
        match message:
            case LivePing():
                client.outbox.reply(LivePong(message.d))
            case ListSources():
                client.outbox.reply(Sources(SourcesData(await self._sources(client)), message.id))
            case ReadInfo():
                client.outbox.reply(SensorInfoReply(await self._info(message.d.source), message.id))
            case Subscribe():
                await self._subscribe(client, message)
            case Unsubscribe():
                await self._unsubscribe(client, message.d.source)
                client.outbox.reply(Unsubscribed(message.d, message.id))

    async def _sources(self, client: _LiveClient) -> tuple[str, ...]:
        """The names of all sources: first those in the index of sources, then the running sessions.

        Private sessions are listed for their members and for operators only.
        """
        keys = self._store.keys
        named, running = await self._store.batch([("HKEYS", keys.sources), ("ZRANGE", keys.running, 0, -1)])
        shown = await self._shown([client], running)
        return (*sorted(named), *(session for session in running if session in shown[client]))

    async def _shown(
        self, clients: Sequence[_LiveClient], sessions: Sequence[str]
    ) -> dict[_LiveClient, set[str]]:
        """The sessions that each client may see without their tokens: public ones, and those it is a member of."""
        keys = self._store.keys
        private = await self._store.batch(
            [("HGET", keys.session(session), "private") for session in sessions]
        )
        hidden = [session for session, flag in zip(sessions, private, strict=True) if flag == "1"]
        members = await self._store.batch([("SMEMBERS", keys.session_players(session)) for session in hidden])
        players = dict(zip(hidden, map(set, members), strict=True))
        return {
            client: {
                session
                for session in sessions
                if client.role is Role.OPERATOR or session not in players or client.player in players[session]
            }
            for client in clients
        }

    async def _info(self, source: str) -> SensorInfo:
        keys = self._store.keys
        if is_session_token(source):
            text, status = await self._store.call("HMGET", keys.session(source), "sensor_info", "status")
            if status is not None and text is None:
                raise NotFound(
                    "this session has published no readings yet", code="no_readings_yet", field="source"
                )
        else:
            text = await self._store.call("HGET", keys.sources, source)
        if text is None:
            raise NotFound(f"there is no source {source!r}", code="no_such_source", field="source")
        try:
            return msgspec.json.decode(text, type=SensorInfo)
        except msgspec.MsgspecError as error:
            raise StoreError(f"the sensor info of {source!r} is unreadable: {error}") from None

    async def _exists(self, source: str) -> bool:
        keys = self._store.keys
        if is_session_token(source):
            return bool(await self._store.call("EXISTS", keys.session(source)))
        return bool(await self._store.call("HEXISTS", keys.sources, source))

    async def _subscribe(self, client: _LiveClient, message: Subscribe) -> None:
        """Subscribe a client. The order is: hints, read position, missed batches; so no batch is lost in between.

        Raises NotFound, ProtocolError or StoreError; the client is then not subscribed, and no reader is left over.
        """
        source, after = message.d.source, message.d.after
        if not await self._exists(source):
            raise NotFound(f"there is no source {source!r}", code="no_such_source", field="source")
        if len(client.sources) >= SOURCES_EACH:
            raise ProtocolError(f"at most {SOURCES_EACH} sources", code="too_many", field="source")
        async with self._lock:
            reader = self._readers.get(source)
            try:
                if reader is None:
                    reader = self._readers[source] = _SourceReader(source_stream(self._store.keys, source))
                    await self._open_reader(source, reader)
                missed = await self._missed(reader, after)
                client.sources.add(source)
                reader.clients.add(client)
                client.outbox.follow(source, reader.n if after is None or after > reader.n else after)
                client.outbox.reply(Subscribed(SubscribedData(source, reader.n), message.id))
                client.outbox.offer(source, missed)
            finally:
                await self._close_unused(source)

    async def _open_reader(self, source: str, reader: _SourceReader) -> None:
        channel = self._store.keys.live(reader.stream)
        self._by_channel[channel] = source
        if self._hints is not None:
            await self._hints.add(channel)
        rows = await self._store.call("XREVRANGE", reader.stream, "+", "-", "COUNT", NEWEST_COUNT)
        if rows:
            reader.cursor = rows[0][0]
        readable = _batches(rows)
        if readable:
            reader.n = readable[0].n

    async def _close_unused(self, source: str) -> None:
        """Forget a reader that has no client, and its hints."""
        reader = self._readers.get(source)
        if reader is None or reader.clients:
            return
        del self._readers[source]
        channel = self._store.keys.live(reader.stream)
        self._by_channel.pop(channel, None)
        if self._hints is not None:
            await self._hints.remove(channel)

    async def _missed(self, reader: _SourceReader, after: int | None) -> list[ReadingBatch]:
        """The batches from after + 1 to the read position that the stream still has, and perhaps some before them."""
        if after is None or after >= reader.n:
            return []
        count = min(reader.n - after + NEWEST_COUNT, READ_COUNT)
        return _batches(
            (await self._store.call("XREVRANGE", reader.stream, reader.cursor, "-", "COUNT", count))[::-1]
        )

    async def _unsubscribe(self, client: _LiveClient, source: str) -> None:
        client.sources.discard(source)
        client.outbox.unfollow(source)
        async with self._lock:
            if source in self._readers:
                self._readers[source].clients.discard(client)
                await self._close_unused(source)


def _fields(row: Any) -> dict[str, str]:
    return dict(zip(row[1][::2], row[1][1::2], strict=True))


def _batches(rows: Sequence[Any]) -> list[ReadingBatch]:
    """The batches in a stream's entries. An unreadable entry is left out, which makes a gap."""
    found = []
    for row in rows:
        with contextlib.suppress(KeyError, ValueError):
            found.append(decode_batch(_fields(row)))
    return found
