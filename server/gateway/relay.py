"""Members who came to another server than the one that holds their session: one WebSocket per pair of servers.

    client -> gateway (here) -> RemoteRun -> Relay === /relay ===> RelayPeer -> Run (there)
    client <- audience (here) <- frames, topology, notices <====== sink of the audience (there)

Events do not come this way: every server reads them from the stream. Messages are msgpack arrays, first their word.
An input that was not answered is asked again of whoever holds the session next; its id makes that harmless. A relay
is opened with a ticket from the store, so that only servers of the realm can.

    here -> there: ["watch", T] ["unwatch", T] ["act", n, T, seat, id, kind, d]
    there -> here: ["frame", T, bytes] ["topology", T, bytes] ["notice", T, state, reason, turn_ends_at]
                   ["taken", n, tick] ["refused", n, code, message, field] ["gone", T]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tussle.lobby.addresses import socket_address
from tussle.lobby.errors import ClientError, Conflict, LobbyError, NotYourTurn, Refused, StoreError
from tussle.lobby.lifecycle import ENDED, Status
from tussle.lobby.logs import get_logger
from tussle.lobby.servers import Servers
from tussle.lobby.views import Views
from tussle.server.fanout.audience import Audience
from tussle.server.sessions.core import Answer
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.run import Run

__all__ = ["RELAY_PATH", "Relays", "RemoteRun", "serve_relay"]

log = get_logger("server.relay")

RELAY_PATH = "/relay"
RETRY_S = 0.1
OPEN_TIMEOUT_S = 3.0
BACKLOG_BYTES = 4 * 2**20
"""Bytes that may wait on a relay before frames are left out."""

GIVE_UP_S = 30.0
"""An input that no holder has answered for so long is refused."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode

_ERRORS: dict[str, type[ClientError]] = {"not_your_turn": NotYourTurn}


class _Pending:
    """An input on its way to the holder."""

    __slots__ = ("answer", "command", "d", "kind", "seat", "since")

    def __init__(
        self, seat: int, command: int, kind: str, d: dict[str, Any], since: float, answer: Answer
    ) -> None:
        self.seat, self.command, self.kind, self.d, self.since = seat, command, kind, d, since
        self.answer = answer


class RemoteRun:
    """A session that does not run here, or not yet, as our members see it. Follows it when it changes hands."""

    def __init__(self, token: str, audience: Audience, relays: Relays) -> None:
        self.token = token
        self.audience = audience
        self._relays = relays
        self._pending: dict[int, _Pending] = {}
        self._link: _Link | None = None
        self.over = False
        self.task = asyncio.create_task(self._follow(), name=f"remote-{token}")

    def accept_input(
        self, seat: int, command: int, kind: str, d: dict[str, Any], at: float, answer: Answer
    ) -> None:
        """As Run.accept_input, only that refusals come as answers. Raises Conflict when the session is over."""
        if self.over:
            raise Conflict("the session is over", code="not_running")
        pending = _Pending(seat, command, kind, d, at, answer)
        number = self._relays.next_number()
        self._pending[number] = pending
        if self._link is not None:
            self._link.send("act", number, self.token, seat, command, kind, d)

    async def _follow(self) -> None:
        """Watch the session at its holder, and at the next one when that is gone, until it is over or ours."""
        while True:
            try:
                link = await self._relays.link_to(self.token)
            except LobbyError as error:
                if error.reason == "ours":
                    await self._ask_ourselves()
                    if not self._pending:
                        return
                if error.reason in ("over", "not_found"):
                    self.over = True
                    self._refuse_all("the session is over")
                    return
                if error.reason == "waiting":
                    self._refuse_all("the session has not begun")
                    return
                self._refuse_old()
                await asyncio.sleep(RETRY_S)
                continue
            self._link = link
            link.watchers[self.token] = self
            link.send("watch", self.token)
            for number, pending in self._pending.items():
                link.send("act", number, self.token, pending.seat, pending.command, pending.kind, pending.d)
            await link.gone(self.token)
            self._link = None
            self._refuse_old()
            await asyncio.sleep(RETRY_S)

    def _refuse_old(self) -> None:
        now = time.monotonic()
        for number in [n for n, pending in self._pending.items() if now - pending.since > GIVE_UP_S]:
            self.answer(number, Conflict("nobody holds the session", code="not_running"))

    def _refuse_all(self, why: str) -> None:
        for number in list(self._pending):
            self.answer(number, Conflict(why, code="not_running"))

    async def _ask_ourselves(self) -> None:
        """The session came to this server: its run, once it stands, answers what still waits."""
        run = self._relays.own_run(self.token)
        if run is None:
            return
        waiting = set(self._pending)
        answered = asyncio.Event()

        def answer(number: int, told: int | LobbyError | None) -> None:
            if told is not None:
                self.answer(number, told)
            waiting.discard(number)
            if not waiting:
                answered.set()

        # All in one go, so that none that comes meanwhile, and is admitted at once, overtakes them.
        for number, p in list(self._pending.items()):
            try:
                run.accept_input(p.seat, p.command, p.kind, p.d, p.since, partial(answer, number))
            except LobbyError as error:
                answer(number, error)
        if waiting:
            await answered.wait()

    def answer(self, number: int, answer: int | LobbyError) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.answer(answer)

    def owns(self, number: int) -> bool:
        return number in self._pending

    def close(self) -> None:
        self.task.cancel()
        if self._link is not None:
            self._link.watchers.pop(self.token, None)
            self._link.send("unwatch", self.token)
        waiting, self._pending = self._pending, {}
        for pending in waiting.values():
            pending.answer(None)


class _Link:
    """Our end of the WebSocket to one other server."""

    def __init__(self, socket: ClientConnection) -> None:
        self.watchers: dict[str, RemoteRun] = {}
        self._socket = socket
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone: dict[str, asyncio.Event] = {}
        self.closed = False

    def send(self, *message: Any) -> None:
        """In order, by one task; bounded by what our own members may send."""
        if not self.closed:
            self._outbox.put_nowait(_encode(message))

    async def gone(self, token: str) -> None:
        """Wait until that session is not to be had here any more."""
        event = self._gone.setdefault(token, asyncio.Event())
        if not self.closed:
            await event.wait()
        self._gone.pop(token, None)
        self.watchers.pop(token, None)

    async def run(self) -> None:
        sending = asyncio.create_task(self._send(), name="relay-send")
        try:
            async for data in self._socket:
                self._take(_decode(data if isinstance(data, bytes) else data.encode()))
        except (ConnectionClosed, msgspec.MsgspecError):
            pass
        finally:
            self.closed = True
            sending.cancel()
            for event in list(self._gone.values()):
                event.set()
            await self._socket.close()

    async def _send(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._socket.send(await self._outbox.get())

    def _take(self, message: list[Any]) -> None:
        match message:
            case ["frame", str(token), bytes(frame)] if token in self.watchers:
                self.watchers[token].audience.show(frame)
            case ["topology", str(token), bytes(topology)] if token in self.watchers:
                self.watchers[token].audience.set_topology(topology)
            case ["notice", str(token), state, str(reason), int(ends_at)] if token in self.watchers:
                self.watchers[token].audience.notify(state, reason, ends_at)
            case ["taken", int(number), int(tick)]:
                self._answer(number, tick)
            case ["refused", int(number), str(code), str(text), where]:
                self._answer(number, _ERRORS.get(code, Refused)(text, code=code, field=where))
            case ["gone", str(token)]:
                if token in self._gone:
                    self._gone[token].set()

    def _answer(self, number: int, answer: int | LobbyError) -> None:
        for watcher in self.watchers.values():
            if watcher.owns(number):
                watcher.answer(number, answer)
                return


class Relays:
    """Our relays to other servers, one for each, opened when first needed."""

    def __init__(self, views: Views, servers: Servers, holder: Holder) -> None:
        self._views = views
        self._servers = servers
        self._holder = holder
        self._links: dict[str, tuple[_Link, asyncio.Task[None]]] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._remotes: dict[str, RemoteRun] = {}
        self._number = 0

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def remote(self, audience: Audience) -> RemoteRun:
        """The session of an audience here, at its holder, which may be this server in a moment."""
        remote = self._remotes.get(audience.token)
        if remote is None or (remote.task.done() and not remote.over):
            remote = self._remotes[audience.token] = RemoteRun(audience.token, audience, self)
        return remote

    def own_run(self, token: str) -> Run | None:
        return self._holder.runs.get(token)

    def drop(self, token: str) -> None:
        """Nobody here watches that session any more."""
        if token in self._remotes:
            self._remotes.pop(token).close()

    async def link_to(self, token: str) -> _Link:
        """The relay to the server that holds a session now.

        Raises Conflict ``over``, ``waiting`` or ``ours``, NotFound, StoreError when it cannot be reached.
        """
        at, status = await self._views.holder_of(token)
        if status in ENDED:
            raise Conflict("the session is over", code="over")
        if status in (Status.OPEN, Status.FILLED):
            raise Conflict("the session has not begun", code="waiting")
        if at.id == self._holder.address.id:
            if status != Status.STARTING:
                self._holder.restore_session(token)  # if it was given to us just now
            raise Conflict("the session is ours", code="ours")
        async with self._opening.setdefault(at.id, asyncio.Lock()):
            known = self._links.get(at.id)
            if known is not None and not known[0].closed:
                return known[0]
            info = await self._servers.get(at.id)
            if info is None or info.nonce != at.nonce:
                raise StoreError(f"server {at.id} has no lease", code="unheld")
            link = await self._open(info.internal_url)
            task = asyncio.create_task(link.run(), name=f"relay-{at.id}")
            self._links[at.id] = link, task
            log.info("relay_opened", to=at.id)
            return link

    async def _open(self, url: str) -> _Link:
        ticket = await self._servers.issue_relay_ticket(self._holder.address.id)
        address = socket_address(url, RELAY_PATH)
        try:
            socket = await connect(
                address,
                additional_headers={"authorization": f"Bearer {ticket}"},
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=1.0,
                compression=None,
                max_size=2**26,
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            raise StoreError(f"{address} cannot be reached: {error}", code="unreachable") from None
        return _Link(socket)

    async def close(self) -> None:
        for token in list(self._remotes):
            self.drop(token)
        tasks = [task for _, task in self._links.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)


class _Sink:
    """What one audience here sends to another server."""

    def __init__(self, token: str, write: Callable[[bytes], None], backlog: Callable[[], int]) -> None:
        self.token = token
        self._write = write
        self._backlog = backlog

    def send_frame(self, frame: bytes) -> bool:
        """Send a frame; False if it was skipped because too much is unsent."""
        if self._backlog() > BACKLOG_BYTES:
            return False
        self._write(_encode(("frame", self.token, frame)))
        return True

    def send_topology(self, topology: bytes) -> None:
        self._write(_encode(("topology", self.token, topology)))

    def send_notice(self, state: str, reason: str, turn_ends_at: int) -> None:
        self._write(_encode(("notice", self.token, state, reason, turn_ends_at)))

    def send_gone(self) -> None:
        self._write(_encode(("gone", self.token)))


async def serve_relay(
    socket: ServerConnection,
    write: Callable[[bytes], None],
    backlog: Callable[[], int],
    holder: Holder,
    watch: Callable[[str], Awaitable[Audience | None]],
    unwatched: Callable[[str], None],
) -> None:
    """The holder's end of a relay: until the other server closes it."""
    sinks: dict[str, tuple[Audience, _Sink]] = {}

    def answer(number: int, told: int | LobbyError | None) -> None:
        """None: it is asked again of the next holder."""
        if isinstance(told, int):
            write(_encode(("taken", number, told)))
        elif told is not None:
            write(_encode(("refused", number, told.reason, told.message, told.field)))

    def act(number: int, token: str, seat: int, command: int, kind: str, d: dict[str, Any]) -> None:
        run = holder.runs.get(token)
        if (
            run is None
        ):  # it is being stood up, has just been given to us, or is not ours: ask the store, and again
            write(_encode(("gone", token)))
            return
        try:
            run.accept_input(seat, command, kind, d, time.monotonic(), partial(answer, number))
        except LobbyError as error:
            answer(number, error)

    try:
        async for data in socket:
            match _decode(data if isinstance(data, bytes) else data.encode()):
                case ["watch", str(token)]:
                    if token in sinks:  # asked again: one sink, or every frame would go twice
                        before, old = sinks.pop(token)
                        before.sinks.discard(old)
                    sink = _Sink(token, write, backlog)
                    watched = await watch(token)
                    if watched is None:
                        sink.send_gone()
                    else:
                        sinks[token] = watched, sink
                        watched.add_sink(sink)
                case ["unwatch", str(token)] if token in sinks:
                    watched, sink = sinks.pop(token)
                    watched.sinks.discard(sink)
                    unwatched(token)
                case ["act", int(number), str(token), int(seat), int(command), str(kind), dict(d)]:
                    act(number, token, seat, command, kind, d)
                case unknown:
                    log.warning("relay_misunderstood", word=str(unknown[:1]))
    except (ConnectionClosed, msgspec.MsgspecError):
        log.info("relay_closed")
    finally:
        for token, (watched, sink) in sinks.items():
            watched.sinks.discard(sink)
            unwatched(token)
