"""A connection to one session: its events, frames and commands.

    async with client.connect(join) as connection:
        async for event in connection:
            if connection.my_turn(event):
                await connection.act("launch", azimuth=30.0, elevation=0.0, power=1.0)

One task, owned by the ``async with``, keeps the connection (``player/reconnecting.py``). A call that waits for an
answer keeps waiting during a reconnection. This module must never check the rules of a mode, and never decode a frame
that nobody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tussle.lobby.errors import LobbyError, RateLimited
from tussle.lobby.wire.delta_layout import CODEC
from tussle.lobby.wire.messages import Event, NoticeData, ObserversData, SessionView, WelcomeData
from tussle.player.frame_inbox import FrameInbox
from tussle.player.reconnecting import ReconnectingSocket, Renew
from tussle.player.transcript import (
    Acknowledged,
    Announced,
    Delivered,
    Disconnected,
    Noticed,
    Outcome,
    Paced,
    Ponged,
    Rejected,
    SceneAck,
    Synced,
    Transcript,
    Welcomed,
)

if TYPE_CHECKING:
    from tussle.lobby.wire.frames import Frame, Topology

__all__ = [
    "SessionConnection",
]

EVENTS_KEPT = 4096
"""Events that wait for a slow reader. When there are more, all are dropped and the whole view is requested: see
__aiter__."""

COMMANDS_PENDING = 64
"""Commands that may wait for their answers at once; the server keeps as many replies."""


class SessionConnection:
    """One client's connection to a session. Enter it with ``async with``, which connects or raises Disconnected.

    Read its events: unread ones are kept, up to EVENTS_KEPT. ``reconnections`` counts reconnections, ``rtt_s`` is the
    newest round-trip time [s], ``notice`` the newest notice since the newest welcome, ``dilation`` wall time per
    simulated time (1 is real time), ``announcement`` the newest notice of an operator and ``announced_at`` its time on
    the monotonic clock, ``error`` why the client gave up.
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
        deltas: bool = True,
        frame_hz: float | None = None,
        without: Sequence[str] = (),
        network: str | None = None,
    ) -> None:
        """deltas: take delta frames, which need a tenth of the bytes and some time to decode. frame_hz: the most frames
        per simulated second that are needed; None: all. without: types of events that are not needed. network: a bad
        network for this connection only, such as "120ms 40ms 3%" (docs/protocol.md)."""
        self.reconnections = 0
        self.rtt_s: float | None = None
        self.error: Disconnected | None = None
        self.notice: NoticeData | None = None
        self.dilation = 1.0
        self.announcement = ""
        self.announced_at = 0.0
        self._welcomed_at = 0.0
        self._paused = ""
        codecs = (CODEC,) if deltas else ()
        self._transcript = Transcript(
            ticket,
            resume,
            history=history,
            codecs=codecs,
            frame_hz=frame_hz,
            without=without,
            network=network,
        )
        self._reader = FrameInbox(self._transcript.admit_frame)
        self._line = ReconnectingSocket(
            ws_url,
            self._transcript,
            on_outcome=self._take,
            on_binary=self._binary,
            on_cut=self._cut,
            servers=servers,
            renew=renew,
            give_up_s=give_up_s,
            open_timeout_s=open_timeout_s,
            answer_timeout_s=answer_timeout_s,
            rng=rng or random.Random(),
        )
        self._store_ahead_ms = 0.0
        self._give_up_s = give_up_s
        self._answer_timeout_s = answer_timeout_s
        self._group = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None
        self._events: deque[Event] = deque()
        self._lost_since: int | None = None
        self._changed = asyncio.Event()
        self._welcomed = asyncio.Event()
        self._framed = asyncio.Event()
        self._noticed = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Acknowledged]] = {}
        self._pings: dict[float, asyncio.Future[float]] = {}

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
        # The task group must see a cancellation. Any other error of the body goes to the caller unchanged.
        passed = error if isinstance(error, asyncio.CancelledError) else None
        await self._group.__aexit__(type(passed) if passed else None, passed, trace if passed else None)

    # -- state -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The WebSocket address of the newest connection, or of the attempt that follows."""
        return self._line.url

    @property
    def servers(self) -> tuple[str, ...]:
        """The WebSocket addresses at which the seat can be taken: of the newest connection, and of other servers."""
        return self._line.servers

    @property
    def connected(self) -> bool:
        """Whether the connection is open. A command sent while it is not waits for the reconnection."""
        return self._transcript.live

    @property
    def closed(self) -> bool:
        """Whether the connection is over: left, ended, or given up (then ``error`` is the reason)."""
        return self._keeper is not None and self._keeper.done()

    @property
    def welcome(self) -> WelcomeData:
        """The newest welcome message."""
        assert self._transcript.welcome is not None, "not entered"
        return self._transcript.welcome

    @property
    def view(self) -> SessionView | None:
        """The session as of the last whole view; later events are not applied to it."""
        return self._transcript.view

    @property
    def observers(self) -> ObserversData:
        """How many observers there are, and the first of their names."""
        return self._transcript.observers

    @property
    def session(self) -> str:
        """The session's token."""
        return self.welcome.session

    @property
    def seat(self) -> int | None:
        """This player's seat; None for an observer."""
        return self.welcome.seat

    @property
    def v(self) -> int:
        """Number of the newest event that was delivered or is covered by a view."""
        return self._transcript.v

    @property
    def epoch(self) -> int:
        """The epoch of the session's newest holder that was seen."""
        return self._transcript.epoch

    @property
    def resume_token(self) -> str | None:
        """The token with which another process can take over this seat. A secret."""
        return self._transcript.resume

    def store_ms(self) -> float:
        """Estimate of the store's clock now [ms since 1970]. Deadlines such as ``ends_at`` are in it."""
        return time.time() * 1000 + self._store_ahead_ms

    @property
    def last_id(self) -> int:
        """Id of the newest command of this seat."""
        return self._transcript.last_id

    @property
    def frame(self) -> Frame | None:
        """The newest frame, decoded when it is first read. None before the first."""
        return self._reader.frame

    @property
    def topology(self) -> Topology | None:
        """The meshes that the frames move. None before they have arrived."""
        return self._reader.topology

    def my_turn(self, event: Event) -> Mapping[str, Any] | None:
        """What this seat may act on, if ``event`` says that it may act now; else None.

        That is the payload of this seat's ``turn_started``, of a ``brief`` in modes without turns, or the brief of a
        whole view that comes during this seat's turn. A view may repeat a turn that was acted on already.
        """
        if self.seat is None:
            return None
        if event.t == "brief" or (event.t == "turn_started" and event.d.get("seat") == self.seat):
            return event.d
        if event.t == "session" and event.d["status"] == "running" and event.d["turn_seat"] == self.seat:
            brief: Mapping[str, Any] | None = event.d["brief"]
            return brief
        return None

    # -- events and frames -----------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The session's events in the order of ``v``, each once, across reconnections.

        Ends when the connection was closed by the session's end or by leaving; raises Disconnected when the client
        gave up. An event of type ``session`` carries a whole view (also in ``connection.view``): its ``d["missed"]``
        is None, or [first, last] of the events that are lost.
        """
        while (event := await self.next_event()) is not None:
            yield event

    async def next_event(self) -> Event | None:
        """The next event; None when the connection is over. Raises Disconnected when the client gave up."""
        while not self._events:
            if self.closed:
                if self.error is not None:
                    raise self.error
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    async def wait_for(self, *types: str) -> Event:
        """Return the next event of a type in ``types``; skip others. Raises Disconnected if the session ends first."""
        async for event in self:
            if event.t in types:
                return event
        raise Disconnected(f"the session ended before {' or '.join(types)}")

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames as they arrive, always the newest: a slow reader skips. Ends with the connection."""
        frame: Frame | None = None
        while (frame := await self.next_frame(frame)) is not None:
            yield frame

    async def next_frame(self, after: Frame | None = None) -> Frame | None:
        """The newest frame, once it is another one than ``after``; None when the connection is over."""
        while (frame := self.frame) is None or frame is after:
            if self.closed:
                return None
            self._framed.clear()
            await self._framed.wait()
        return frame

    async def notices(self) -> AsyncIterator[NoticeData]:
        """Notices of the service, always the newest: ``paused`` while the store does not answer and the session does
        not step, ``resumed`` with the turn's new deadline. Also in ``notice``. Ends with the connection."""
        last: NoticeData | None = None
        while not self.closed:
            self._noticed.clear()
            if self.notice is not None and self.notice is not last:
                last = self.notice
                yield last
                continue
            await self._noticed.wait()

    # -- commands --------------------------------------------------------------------------------

    async def act(self, kind: str, /, **numbers: Any) -> int | None:
        """Act in the world; returns the first tick that the input acts in. If a newer input of this seat superseded
        it (kinds that are ``latest``, such as a drag), that is the tick of the newer one.

        Raises the server's error (NotYourTurn, Refused with its ``field``, ...) or Disconnected. After Disconnected the
        action may have happened.
        """
        return (await self._command("act", {"kind": kind, "d": numbers})).tick

    async def chat(self, text: str) -> None:
        """Say something to all members."""
        await self._command("chat", {"text": text})

    async def ready(self, ready: bool = True) -> None:
        """Declare whether this seat is ready; the session starts when all are."""
        await self._command("ready", {"ready": ready})

    async def choose(self, body: str) -> None:
        """Choose a body while the lobby waits."""
        await self._command("choose", {"body": body})

    async def edit_scene(self, kind: str, d: dict[str, Any] | None) -> SceneAck:
        """Send a command on the scene of a waiting lobby: lock, unlock, edit, undo, redo or skip. ``Client.scene``
        has the calls for it."""
        return (await self._command(kind, d)).scene

    async def leave(self) -> None:
        """Give up the seat; the server closes the connection. A later join is a new seat."""
        with contextlib.suppress(Disconnected):
            await self._command("leave", None)

    async def resync(self) -> None:
        """Request the whole view; it arrives as an event of type ``session``."""
        self._transcript.request_resync()
        await self._line.flush()

    async def ping(self) -> float:
        """The round-trip time to the server [s]; also kept in ``rtt_s``. Raises Disconnected, and TimeoutError if
        there is no answer."""
        if not self.connected:
            raise Disconnected("not connected now")
        at = time.monotonic()
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings[at] = future
        try:
            self._transcript.ping(at)
            await self._line.flush()
            async with asyncio.timeout(self._answer_timeout_s):
                return await future
        except TimeoutError:
            raise TimeoutError(f"no answer to a ping within {self._answer_timeout_s:g} s") from None
        finally:
            self._pings.pop(at, None)

    async def _command(self, kind: str, d: dict[str, Any] | None) -> Acknowledged:
        if self.closed:
            raise self.error or Disconnected("the connection is over")
        if len(self._answers) >= COMMANDS_PENDING:
            raise RateLimited(f"{COMMANDS_PENDING} commands wait for their answer already")
        number = self._transcript.command(kind, d)
        future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._line.flush()
            return await self._answer(kind, future)
        finally:
            self._answers.pop(number, None)
            self._transcript.forget(number)

    async def _answer(self, kind: str, answer: asyncio.Future[Acknowledged]) -> Acknowledged:
        """Wait for an answer; a paused session answers when it continues. Raises Disconnected with the cause."""
        began, patience_s = time.monotonic(), self._answer_timeout_s
        while not (await asyncio.wait([answer], timeout=patience_s))[0]:
            now, notice = time.monotonic(), self.notice
            paused = self._paused or (notice.reason if notice and notice.state == "paused" else "")
            waited = f"no answer to {kind} within {now - began:.0f} s"
            if paused and now - began > self._give_up_s:
                raise Disconnected(f"{waited}: the session is paused ({paused})")
            if self.connected and not paused and now - self._welcomed_at > patience_s:
                raise Disconnected(f"{waited}, although the server is connected")
        return answer.result()

    # -- what arrives ----------------------------------------------------------------------------

    async def _keep(self) -> None:
        try:
            self.error = await self._line.run()
        finally:
            self._finish()

    def _cut(self) -> None:
        for ping in self._pings.values():
            if not ping.done():
                ping.set_exception(Disconnected("the connection was lost"))

    def _binary(self, data: bytes) -> None:
        if self._reader.receive(data):
            self._framed.set()

    def _take(self, outcome: Outcome) -> None:
        match outcome:
            case Delivered(event):
                if event.t in ("session_paused", "session_resumed"):
                    self._paused = (
                        str(event.d.get("reason") or "paused") if event.t == "session_paused" else ""
                    )
                self._put(event)
            case Synced(v, view, missed):
                self._paused = "paused" if view.status == "paused" else ""
                if self._lost_since is not None:
                    missed = (self._lost_since, v)
                    self._lost_since = None
                d = {**msgspec.to_builtins(view), "missed": list(missed) if missed else None}
                self._put(Event(v=v, t="session", d=d, tick=view.tick, epoch=view.epoch))
            case Acknowledged(number):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(outcome)
            case Rejected(number, error):
                answer = self._answers.get(number or 0)
                if answer is not None and not answer.done():
                    answer.set_exception(error)
            case Ponged(at, _):
                self.rtt_s = time.monotonic() - at
                ping = self._pings.get(at)
                if ping is not None and not ping.done():
                    ping.set_result(self.rtt_s)
            case Announced(text):
                self.announcement, self.announced_at = text, time.monotonic()
            case Noticed(notice):
                self.notice = notice
                self._noticed.set()
            case Paced(dilation):
                self.dilation = dilation
            case Welcomed(welcome, again):
                self.reconnections += again
                self.notice = None
                self.dilation = 1.0
                self._store_ahead_ms = welcome.server_time - time.time() * 1000
                self._welcomed_at = time.monotonic()
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
        # Wake the readers after this task is done, so that they find ``closed`` true.
        loop.call_soon(self._changed.set)
        loop.call_soon(self._framed.set)
        loop.call_soon(self._noticed.set)
