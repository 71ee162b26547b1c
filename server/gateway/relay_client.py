"""The members' end of a relay: sessions that another server holds, and the connections to those servers.

server/gateway/relay_messages.py has the picture. This module must never answer an input itself unless the session has
no holder: only the holder decides whether an input is admitted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tussle.lobby.addresses import socket_address
from tussle.lobby.error_codes import error_of
from tussle.lobby.errors import Conflict, LobbyError, StoreError
from tussle.lobby.lifecycle import ENDED, WAITING, Status
from tussle.lobby.logs import get_logger
from tussle.lobby.servers import Servers
from tussle.lobby.store.call_lanes import own_task
from tussle.lobby.views import Views
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.lanes import KEY_S
from tussle.server.gateway.relay_messages import RELAY_PATH, decode_relay, encode_relay
from tussle.server.sessions.core import Answer, Superseded
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.run import Run
from tussle.server.solver.delta_streams import FAST, SLOW

__all__ = ["Relays", "RemoteRun"]

log = get_logger("server.relay")

RETRY_S = 0.1
OPEN_TIMEOUT_S = 3.0
GIVE_UP_S = 30.0
"""An input that no holder has answered within this time is refused."""


class _PendingInput:
    """An input that the holder has not answered yet."""

    __slots__ = ("again", "answer", "command", "d", "kind", "run", "seat", "since")

    def __init__(
        self, seat: int, command: int, kind: str, d: dict[str, Any], since: float, answer: Answer, again: bool
    ) -> None:
        self.seat, self.command, self.kind, self.d, self.since = seat, command, kind, d, since
        self.answer, self.again = answer, again
        self.run: Run | None = None
        """The run on this server that has it."""


class RemoteRun:
    """A session that another server holds, for the members on this server. Follows it from holder to holder."""

    def __init__(self, token: str, audience: Audience, relays: Relays) -> None:
        self.token = token
        self.audience = audience
        self._relays = relays
        self._pending: dict[int, _PendingInput] = {}
        self._connection: RelayConnection | None = None
        self._settled = asyncio.Event()
        self._streams = 0
        self._keyed_at = float("-inf")
        self.over = False
        self.task = own_task(self._follow(), name=f"remote-{token}")

    def accept_input(
        self, seat: int, command: int, kind: str, d: dict[str, Any], at: float, answer: Answer, again: bool
    ) -> None:
        """Send an input to the holder; ``answer`` gets the tick or error; ``again``: see Admissions.queue. Raises
        Conflict if the session is over."""
        if self.over:
            raise Conflict("the session is over", code="not_running")
        pending = _PendingInput(seat, command, kind, d, at, answer, again)
        number = self._relays.next_number()
        self._pending[number] = pending
        if self._connection is not None:
            self._send(self._connection, number, pending)

    async def _follow(self) -> None:
        """Watch the session at its holder, and then at the next one, until it ends or this server holds it."""
        while True:
            try:
                connection = await self._relays.connect_to_holder(self.token)
            except LobbyError as error:
                if error.reason == "ours":
                    await self._submit_locally()
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
            self._connection, self._streams = connection, 0
            connection.watchers[self.token] = self
            connection.send("watch", self.token)
            for number, pending in self._pending.items():
                self._send(connection, number, pending)
            await connection.wait_until_gone(self.token)
            self._connection = None
            self._refuse_old()
            await asyncio.sleep(RETRY_S)

    def show(self, frame: bytes, chains: Sequence[Sequence[Any]] = ()) -> None:
        """Show the members a frame of the holder, and report to the holder which delta frames they need. chains: the
        frames of the fast and of the slow stream, one pair for each advance since the frame before."""
        self.audience.show(frame, [(fast, slow, None) for fast, slow in chains])
        now = time.monotonic()
        wanted = self.audience.wanted_chains(now)
        streams = wanted & (FAST | SLOW)
        if wanted != streams and now - self._keyed_at >= KEY_S:
            self._keyed_at = now
        elif streams == self._streams:
            return
        else:
            wanted = streams
        self._streams = streams
        if self._connection is not None:
            self._connection.send("want", self.token, wanted)

    def _send(self, connection: RelayConnection, number: int, pending: _PendingInput) -> None:
        word = "act_again" if pending.again else "act"
        connection.send(word, number, self.token, pending.seat, pending.command, pending.kind, pending.d)

    def _refuse_old(self) -> None:
        now = time.monotonic()
        for number in [n for n, pending in self._pending.items() if now - pending.since > GIVE_UP_S]:
            self.answer(number, Conflict("nobody holds the session", code="not_running"))

    def _refuse_all(self, why: str) -> None:
        for number in list(self._pending):
            self.answer(number, Conflict(why, code="not_running"))

    async def _submit_locally(self) -> None:
        """Submit the unanswered inputs to the run on this server and wait for the answers."""
        run = self._relays.own_run(self.token)
        if run is None:
            return
        self.submit_to(run)
        while any(pending.run is run for pending in self._pending.values()):
            self._settled.clear()
            await self._settled.wait()

    def submit_to(self, run: Run) -> None:
        """Submit the unanswered inputs to a run on this server, each once. Called before a newer input is submitted, so
        that none overtakes them."""
        for number, p in list(self._pending.items()):
            if p.run is run:
                continue
            p.run = run
            try:
                run.accept_input(
                    p.seat, p.command, p.kind, p.d, p.since, partial(self._answer_of_run, number), p.again
                )
            except LobbyError as error:
                self._answer_of_run(number, error)

    def _answer_of_run(self, number: int, answer: int | Superseded | LobbyError | None) -> None:
        """``answer``: None if the run has stopped to journal inputs; the input then goes to the next holder."""
        if answer is not None:
            self.answer(number, answer)
        elif number in self._pending:
            self._pending[number].run = None
        self._settled.set()

    def answer(self, number: int, answer: int | Superseded | LobbyError) -> None:
        """Pass the tick or the error to the client of an input. Does nothing if the input is answered already."""
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.answer(answer)

    def owns(self, number: int) -> bool:
        """Whether an input of this session has that number and no answer yet."""
        return number in self._pending

    def close(self) -> None:
        """Stop watching the session. Unanswered inputs get None: their clients send them again."""
        self.task.cancel()
        if self._connection is not None:
            self._connection.watchers.pop(self.token, None)
            self._connection.send("unwatch", self.token)
        waiting, self._pending = self._pending, {}
        for pending in waiting.values():
            pending.answer(None)


class RelayConnection:
    """The WebSocket to one other server. ``watchers``: the sessions that are watched there."""

    def __init__(self, socket: ClientConnection) -> None:
        self.watchers: dict[str, RemoteRun] = {}
        self._socket = socket
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone: dict[str, asyncio.Event] = {}
        self.closed = False

    def send(self, *message: Any) -> None:
        """Queue a message; one task sends them in order. The rate limits of the members bound the queue."""
        if not self.closed:
            self._outbox.put_nowait(encode_relay(*message))

    async def wait_until_gone(self, token: str) -> None:
        """Wait until that server no longer holds the session or the connection is closed."""
        event = self._gone.setdefault(token, asyncio.Event())
        if not self.closed:
            await event.wait()
        self._gone.pop(token, None)
        self.watchers.pop(token, None)

    async def receive(self) -> None:
        """Handle messages until the connection closes."""
        sending = asyncio.create_task(self._send(), name="relay-send")
        try:
            async for data in self._socket:
                self._handle(decode_relay(data))
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

    def _handle(self, message: list[Any]) -> None:
        match message:
            case ["frame", str(token), bytes(frame)] if token in self.watchers:
                self.watchers[token].show(frame)
            case ["frame", str(token), bytes(frame), list(chains)] if token in self.watchers:
                self.watchers[token].show(frame, chains)
            case ["topology", str(token), bytes(topology)] if token in self.watchers:
                self.watchers[token].audience.set_topology(topology)
            case ["notice", str(token), state, str(reason), int(ends_at)] if token in self.watchers:
                self.watchers[token].audience.notify(state, reason, ends_at)
            case ["pace", str(token), float(dilation)] if token in self.watchers:
                self.watchers[token].audience.show_pace(dilation)
            case ["taken", int(number), int(tick)]:
                self._answer(number, tick)
            case ["superseded", int(number), int(tick)]:
                self._answer(number, Superseded(tick))
            case ["refused", int(number), str(code), str(text), where, retry_after]:
                self._answer(number, error_of(code, text, field=where, retry_after=retry_after))
            case ["gone", str(token)]:
                if token in self._gone:
                    self._gone[token].set()

    def _answer(self, number: int, answer: int | Superseded | LobbyError) -> None:
        for watcher in self.watchers.values():
            if watcher.owns(number):
                watcher.answer(number, answer)
                return


class Relays:
    """The relays of this server, at most one to each other server, opened at the first use."""

    def __init__(self, views: Views, servers: Servers, holder: Holder) -> None:
        self._views = views
        self._servers = servers
        self._holder = holder
        self._connections: dict[str, tuple[RelayConnection, asyncio.Task[None]]] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._remotes: dict[str, RemoteRun] = {}
        self._number = 0

    def next_number(self) -> int:
        """A number for an input, unique among those of this server."""
        self._number += 1
        return self._number

    def remote(self, audience: Audience) -> RemoteRun:
        """The remote run of an audience's session, created if there is none."""
        remote = self._remotes.get(audience.token)
        if remote is None or (remote.task.done() and not remote.over):
            remote = self._remotes[audience.token] = RemoteRun(audience.token, audience, self)
        return remote

    def own_run(self, token: str) -> Run | None:
        """The run of a session that this server holds, otherwise None."""
        return self._holder.runs.get(token)

    def find_run(self, token: str) -> Run | None:
        """``own_run`` for a new input. Inputs that came before the run existed and waited for a holder are submitted
        to the run first."""
        run = self._holder.runs.get(token)
        if run is not None and (remote := self._remotes.get(token)) is not None:
            remote.submit_to(run)
        return run

    def drop(self, token: str) -> None:
        """Close the remote run of a session that nobody on this server watches."""
        if token in self._remotes:
            self._remotes.pop(token).close()

    async def connect_to_holder(self, token: str) -> RelayConnection:
        """The connection to the server that holds a session.

        Raises Conflict with code ``over``, ``waiting`` or ``ours`` (this server holds it), NotFound if the session
        does not exist, and StoreError if the holder cannot be reached.
        """
        at, status = await self._views.holder_of(token)
        if status in ENDED:
            raise Conflict("the session is over", code="over")
        if status in WAITING:
            raise Conflict("the session has not begun", code="waiting")
        if at.id == self._holder.address.id:
            if status != Status.STARTING:
                self._holder.restore_session(token)  # another server may have handed it over just now
            raise Conflict("this server holds the session", code="ours")
        async with self._opening.setdefault(at.id, asyncio.Lock()):
            known = self._connections.get(at.id)
            if known is not None and not known[0].closed:
                return known[0]
            info = await self._servers.get(at.id)
            if info is None or info.nonce != at.nonce:
                raise StoreError(f"server {at.id} has no lease", code="unheld")
            connection = await self._open(info.internal_url)
            task = asyncio.create_task(connection.receive(), name=f"relay-{at.id}")
            self._connections[at.id] = connection, task
            log.info("relay_opened", to=at.id)
            return connection

    async def _open(self, url: str) -> RelayConnection:
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
        return RelayConnection(socket)

    async def close(self) -> None:
        """Drop every remote run and close every relay."""
        for token in list(self._remotes):
            self.drop(token)
        tasks = [task for _, task in self._connections.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)
