"""A seat in a session over WebSocket: a thin layer of sockets and waiting around a Transcript.

    async with client.connect(join) as connection:
        async for event in connection:
            if event.t == "turn_started" and event.d["seat"] == connection.seat:
                await connection.act("launch", azimuth=30.0, elevation=0.0, power=1.0)

One task, owned by the ``async with``, keeps the connection: it connects, says hello, reads, and after a
close does what the table in docs/protocol.md says. A call that waits for an answer goes on waiting over a
reconnection. This module must never judge the rules of a mode, and never decode a frame that nobody looks
at.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from tussle.lobby.errors import CloseCode, LobbyError, ProtocolError, RateLimited
from tussle.lobby.wire.messages import Event, NoticeData, ObserversData, SessionView, WelcomeData
from tussle.player.backoff import Backoff
from tussle.player.transcript import (
    Acknowledged,
    Delivered,
    Disconnected,
    Next,
    Noticed,
    Outcome,
    Ponged,
    Rejected,
    Synced,
    Transcript,
    Welcomed,
)

if TYPE_CHECKING:
    from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["Renew", "SessionConnection", "is_loopback"]

Renew = Callable[[], Awaitable[tuple[str, str]]]
"""Another ticket for the same place, and the address to show it at. Raises LobbyError."""

EVENTS_KEPT = 4096
"""Events that wait for a slow reader. When more come they are given up for one whole view: see __aiter__."""

COMMANDS_PENDING = 64
"""Commands that may wait for their answer at once; the server remembers as many replies."""

STABLE_S = 3.0
"""A connection that lived this long was a good one: the next trouble starts from the shortest delay.
Without it a server that welcomes and closes at once would be called ten times a second."""

_FRAME_KIND, _TOPOLOGY_KIND = 1, 2
_EPOCH_TICK = struct.Struct("<II")  # at byte 4 of a frame: see the layout in lobby/wire/frames.py


class SessionConnection:
    """Obliges the caller to enter it (``async with``), which connects or raises, and to read its events: an
    unread event is kept, up to EVENTS_KEPT.

    view: the session as of the last whole view; events since then are not worked into it. notice: the newest word on
    how the service fares, since the newest welcome.
    servers: other addresses that take the ticket, for when the first one does not answer.
    """

    def __init__(
        self,
        ws_url: str,
        *,
        ticket: str | None = None,
        resume: str | None = None,
        servers: Sequence[str] = (),
        renew: Renew | None = None,
        history: bool = False,
        give_up_s: float = 60.0,
        open_timeout_s: float = 5.0,
        answer_timeout_s: float = 20.0,
        rng: random.Random | None = None,
    ) -> None:
        self.url = ws_url
        self.reconnections = 0
        self.rtt_s: float | None = None
        self.error: Disconnected | None = None
        self.notice: NoticeData | None = None
        self._transcript = Transcript(ticket, resume, history=history)
        self._renew = renew
        self._ticket_spent = False
        self._renewed = False
        self._known = [urljoin(ws_url, one) for one in (ws_url, *servers)]
        self._store_ahead_ms = 0.0
        self._give_up_s = give_up_s
        self._open_timeout_s = open_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._rng = rng or random.Random()
        self._backoff = Backoff(self._rng)
        self._group = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._sending = asyncio.Lock()
        self._events: deque[Event] = deque()
        self._lost_since: int | None = None
        self._changed = asyncio.Event()
        self._welcomed = asyncio.Event()
        self._framed = asyncio.Event()
        self._noticed = asyncio.Event()
        self._answers: dict[int, asyncio.Future[int | None]] = {}
        self._pings: dict[float, asyncio.Future[float]] = {}
        self._frame_bytes: bytes | None = None
        self._frame: Frame | None = None
        self._topology_bytes: bytes | None = None
        self._topology: Topology | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._keeper = self._group.create_task(self._keep(), name="session-connection")
        try:
            await self._welcomed.wait()
            if self.error is not None:
                raise self.error
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        # The body's own error is the caller's: the group is only told of cancellation, which it must know of.
        passed = error if isinstance(error, asyncio.CancelledError) else None
        await self._group.__aexit__(type(passed) if passed else None, passed, trace if passed else None)

    # -- what is known ---------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the server would hear a command now. A command in between waits for the reconnection."""
        return self._transcript.live

    @property
    def closed(self) -> bool:
        """Whether it is over: left, ended or given up (then ``error`` says why)."""
        return self._keeper is not None and self._keeper.done()

    @property
    def welcome(self) -> WelcomeData:
        assert self._transcript.welcome is not None, "not entered"
        return self._transcript.welcome

    @property
    def view(self) -> SessionView | None:
        return self._transcript.view

    @property
    def observers(self) -> ObserversData:
        """Who only watches: how many, and the first of their names."""
        return self._transcript.observers

    @property
    def session(self) -> str:
        return self.welcome.session

    @property
    def seat(self) -> int | None:
        return self.welcome.seat

    @property
    def v(self) -> int:
        return self._transcript.v

    @property
    def epoch(self) -> int:
        return self._transcript.epoch

    @property
    def resume_token(self) -> str | None:
        """What another process needs to take this seat over."""
        return self._transcript.resume

    def store_ms(self) -> float:
        """The store's clock now [ms], as far as this client can tell: what deadlines (``ends_at``) are in."""
        return time.time() * 1000 + self._store_ahead_ms

    @property
    def last_id(self) -> int:
        """Number of the newest command of this seat."""
        return self._transcript.last_id

    @property
    def frame(self) -> Frame | None:
        """The newest frame, decoded when first looked at."""
        if self._frame is None and self._frame_bytes is not None:
            from tussle.lobby.wire.frames import decode_frame

            self._frame = decode_frame(self._frame_bytes)
        return self._frame

    @property
    def topology(self) -> Topology | None:
        """The meshes that the frames move; None until they came."""
        if self._topology is None and self._topology_bytes is not None:
            from tussle.lobby.wire.frames import decode_topology

            self._topology = decode_topology(self._topology_bytes)
        return self._topology

    # -- what is heard ---------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The session's events in the order of ``v``, each once, over reconnections. Ends when the
        connection is over on purpose; raises Disconnected when it was given up.

        An event of type ``session`` stands for a whole view (``connection.view`` has it): ``d["missed"]``
        is None, or [first, last] of the events that can no longer be had.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self.closed:
                if self.error is not None:
                    raise self.error
                return
            self._changed.clear()
            await self._changed.wait()

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames as they come, the newest only: a slow reader skips. Ends with the connection."""
        last: Frame | None = None
        while True:
            frame = self.frame
            if frame is not None and frame is not last:
                last = frame
                yield frame
                continue
            if self.closed:
                return
            self._framed.clear()
            await self._framed.wait()

    async def notices(self) -> AsyncIterator[NoticeData]:
        """How the service fares, the newest only: ``paused`` while the store is away and nothing steps, ``resumed``
        when it goes on, with the turn's new end. ``notice`` has it too. Ends with the connection."""
        last: NoticeData | None = None
        while not self.closed:
            self._noticed.clear()
            if self.notice is not None and self.notice is not last:
                last = self.notice
                yield last
                continue
            await self._noticed.wait()

    # -- what is said ----------------------------------------------------------------------------

    async def act(self, kind: str, /, **numbers: Any) -> int | None:
        """Act in the world; returns the first tick that the input acts in. Raises what the server answers
        (NotYourTurn, Refused with its field, ...) or Disconnected; after Disconnected it may have acted."""
        return await self._command("act", {"kind": kind, "d": numbers})

    async def chat(self, text: str) -> None:
        await self._command("chat", {"text": text})

    async def ready(self, ready: bool = True) -> None:
        await self._command("ready", {"ready": ready})

    async def choose(self, body: str) -> None:
        """Choose a body while the lobby waits."""
        await self._command("choose", {"body": body})

    async def leave(self) -> None:
        """Give up the seat. The server closes the connection; there is no way back."""
        with contextlib.suppress(Disconnected):
            await self._command("leave", None)

    async def resync(self) -> None:
        """Ask for the whole view; it comes as an event of type ``session``."""
        self._transcript.request_resync()
        await self._flush()

    async def ping(self) -> float:
        """The round trip to the server and back [s]; also kept in ``rtt_s``. Raises Disconnected, and
        TimeoutError when no answer comes."""
        if not self.connected:
            raise Disconnected("not connected now")
        at = time.monotonic()
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings[at] = future
        try:
            self._transcript.ping(at)
            await self._flush()
            async with asyncio.timeout(self._answer_timeout_s):
                return await future
        finally:
            self._pings.pop(at, None)

    async def _command(self, kind: str, d: dict[str, Any] | None) -> int | None:
        if self.closed:
            raise self.error or Disconnected("the connection is over")
        if len(self._answers) >= COMMANDS_PENDING:
            raise RateLimited(f"{COMMANDS_PENDING} commands wait for their answer already")
        number = self._transcript.command(kind, d)
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._flush()
            # The keeper ends every wait when it gives up; the timeout is for a server that takes and never
            # answers.
            async with asyncio.timeout(self._give_up_s + self._answer_timeout_s):
                return await future
        except TimeoutError:
            raise Disconnected(f"no answer to {kind}") from None
        finally:
            self._answers.pop(number, None)
            self._transcript.forget(number)

    async def _flush(self) -> None:
        socket = self._socket
        if socket is None:
            return
        # One at a time: commands must arrive in the order of their ids. A closed socket is the keeper's to
        # notice; what is pending is said again on the next one.
        async with self._sending:
            for data in self._transcript.data_to_send():
                with contextlib.suppress(ConnectionClosed):
                    async with asyncio.timeout(self._answer_timeout_s):
                        await socket.send(data, text=True)

    # -- keeping the connection ------------------------------------------------------------------

    async def _keep(self) -> None:
        down_since = time.monotonic()
        reason = ""
        try:
            while True:
                at_least_s, opened_at = 0.0, time.monotonic()
                code, reason = await self._serve()
                welcomed = self.connected
                if welcomed:
                    down_since = time.monotonic()
                    if down_since - opened_at > STABLE_S:
                        self._backoff.reset()
                following = self._transcript.closed(code)
                for ping in self._pings.values():
                    if not ping.done():
                        ping.set_exception(Disconnected("the connection was lost"))
                match following:
                    case Next.STOP:
                        return
                    case Next.GIVE_UP if code == CloseCode.RESUME_REFUSED and self._may_renew():
                        pass  # the ticket has lapsed on the way
                    case Next.GIVE_UP:
                        self.error = Disconnected(_sentence(code, reason), close=code)
                        return
                    case Next.MOVE if reason.startswith(("ws://", "wss://", "/")):
                        self.url = urljoin(self.url, reason)
                        self._ticket_spent = self._ticket_spent and welcomed  # who was sent on still has it
                    case Next.BACK_OFF:
                        at_least_s = 1.0
                    case _:
                        pass
                delay_s = self._backoff.next_s(at_least_s=at_least_s)
                if time.monotonic() + delay_s - down_since > self._give_up_s:
                    tried = f"gave up after {self._give_up_s:g} s without a connection"
                    self.error = Disconnected(f"{tried}: {_sentence(code, reason)}", close=code)
                    return
                await asyncio.sleep(delay_s)
        finally:
            self._finish()

    async def _serve(self) -> tuple[int, str]:
        """One connection from open to close: its close code and reason."""
        try:
            await self._renew_ticket()
        except Disconnected as error:
            return CloseCode.ERROR, error.message
        except LobbyError as error:
            return CloseCode.RESUME_REFUSED, error.message
        try:
            socket = await open_socket(
                self.url,
                open_timeout=self._open_timeout_s,
                close_timeout=2,
                compression=None,
                max_size=2**24,
                proxy=None if is_loopback(self.url) else True,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            unreachable = f"{self.url} cannot be reached ({str(error) or type(error).__name__})"
            self._try_elsewhere()
            return CloseCode.ERROR, unreachable
        except InvalidURI as error:
            return CloseCode.BAD_MESSAGE, str(error)
        async with socket:
            self._socket = socket
            try:
                self._transcript.opened()
                self._ticket_spent = True
                await self._flush()
                while True:
                    # Only the welcome is waited for under a clock: later the protocol's own pings find a
                    # dead line.
                    async with asyncio.timeout(None if self.connected else self._answer_timeout_s):
                        data = await socket.recv()
                    if isinstance(data, bytes):
                        self._binary(data)
                        continue
                    for outcome in self._transcript.receive(data):
                        self._take(outcome)
                    await self._flush()
            except ConnectionClosed as closed:
                said = closed.rcvd
                return (said.code, said.reason) if said else (1006, "the line went dead")
            except TimeoutError:
                return CloseCode.ERROR, "no welcome came"
            except ProtocolError as error:
                await socket.close(CloseCode.BAD_MESSAGE, error.message[:100])
                return CloseCode.ERROR, error.message
            finally:
                self._socket = None

    def _try_elsewhere(self) -> None:
        """Any server of the realm can say where the session is now: take another of those that we were told of."""
        others = [url for url in self._known if url != self.url]
        if others:
            self.url = self._rng.choice(others)

    async def _renew_ticket(self) -> None:
        """Observers have no resume token, and nobody has one before the first welcome: they need a new
        ticket."""
        if self._ticket_spent and self._transcript.resume is None and self._renew is not None:
            try:
                self._transcript.ticket, self.url = await self._renew()
            except Disconnected:
                raise
            except LobbyError:
                self._renewed = True
                raise
            self._ticket_spent, self._renewed = False, True

    def _may_renew(self) -> bool:
        """Whether another ticket may be asked for after one was refused: once between two welcomes."""
        return self._renew is not None and self._transcript.resume is None and not self._renewed

    def _binary(self, data: bytes) -> None:
        kind = data[0] if data else 0
        if kind == _TOPOLOGY_KIND:
            self._topology_bytes, self._topology = data, None
        elif kind == _FRAME_KIND and len(data) >= 12:
            epoch, tick = _EPOCH_TICK.unpack_from(data, 4)
            if self._transcript.admit_frame(epoch, tick):
                self._frame_bytes, self._frame = data, None
                self._framed.set()

    def _take(self, outcome: Outcome) -> None:
        match outcome:
            case Delivered(event):
                self._put(event)
            case Synced(v, view, missed):
                if self._lost_since is not None:
                    missed = (self._lost_since, v)
                    self._lost_since = None
                d = {**msgspec.to_builtins(view), "missed": list(missed) if missed else None}
                self._put(Event(v=v, t="session", d=d, tick=view.tick, epoch=view.epoch))
            case Acknowledged(number, tick):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(tick)
            case Rejected(number, error):
                answer = self._answers.get(number or 0)
                if answer is not None and not answer.done():
                    answer.set_exception(error)
            case Ponged(at, _):
                self.rtt_s = time.monotonic() - at
                ping = self._pings.get(at)
                if ping is not None and not ping.done():
                    ping.set_result(self.rtt_s)
            case Noticed(notice):
                self.notice = notice
                self._noticed.set()
            case Welcomed(welcome, again):
                self.reconnections += again
                self.notice = None
                self._store_ahead_ms = welcome.server_time - time.time() * 1000
                self._renewed = False
                self._known = [self.url, *(urljoin(self.url, one) for one in welcome.servers)]
                self._welcomed.set()

    def _put(self, event: Event) -> None:
        if self._lost_since is None and len(self._events) >= EVENTS_KEPT and event.t != "session":
            self._lost_since = self._events[0].v
            self._events.clear()
            self._transcript.request_resync()
        if self._lost_since is None:
            self._events.append(event)
            self._changed.set()

    def _finish(self) -> None:
        error: LobbyError = self.error or Disconnected("the connection is over")
        waiting: list[asyncio.Future[Any]] = [*self._answers.values(), *self._pings.values()]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
        self._welcomed.set()
        loop = asyncio.get_running_loop()
        # After this task is done, so that readers who wake up find ``closed`` true.
        loop.call_soon(self._changed.set)
        loop.call_soon(self._framed.set)
        loop.call_soon(self._noticed.set)


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, where no proxy can help."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _sentence(code: int, reason: str) -> str:
    try:
        name = CloseCode(code).name.lower().replace("_", " ")
    except ValueError:
        name = "connection lost"
    return f"{name} ({code}): {reason}" if reason else f"{name} ({code})"
