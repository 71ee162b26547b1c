"""The connection to a replay room: follow the presenter, present, add bookmarks, chat.

    async with client.replay("k7qm2xpv") as room:
        async for message in room:                  # follow: Scrubbed, BookmarkAdded, ReplayChatLine ...
            print(room.frame, room.presenter)
        await room.present()                        # or present
        await room.scrub(120)

``room`` has the state after each message. Old scrubs are dropped, and of the scrubs that wait only the newest is kept.
After a lost connection it reconnects with back-off, to another server if this one does not answer, and begins with the
new welcome. This module must never open a recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tussle.lobby.addresses import is_own_machine, socket_address
from tussle.lobby.backoff import Backoff
from tussle.lobby.error_codes import error_of
from tussle.lobby.errors import CloseCode, Conflict
from tussle.lobby.wire.negotiation import PROTOCOL, PROTOCOLS
from tussle.lobby.wire.replay import (
    AddBookmark,
    AddBookmarkData,
    Bookmark,
    BookmarkAdded,
    BookmarkRemoved,
    CameraView,
    NamedView,
    PresenceNow,
    Present,
    Presenter,
    RecordingGrew,
    Release,
    RemoveBookmark,
    RemoveData,
    ReplayChat,
    ReplayChatData,
    ReplayChatLine,
    ReplayError,
    ReplayHello,
    ReplayHelloData,
    ReplayMessage,
    ReplayReply,
    ReplayRoomMember,
    ReplayServers,
    ReplayWelcome,
    ReplayWelcomeData,
    Scrub,
    Scrubbed,
    ScrubData,
    SetView,
    SetViewData,
    ViewRemoved,
    ViewSet,
    decode_reply,
    encode_replay,
)
from tussle.player.known_servers import KnownServers
from tussle.player.reconnecting import PING_S, PONG_S
from tussle.player.transcript import Disconnected

__all__ = ["ReplayRoomConnection"]

OPEN_S = 10.0
RENEW_S = 2.0
"""Time between two renewals of the presenter's token while nothing is scrubbed."""

WAIT_MOST = 1000
"""Most messages that wait for a reader. Beyond it the oldest are dropped; the state has their effect."""

FINAL = frozenset({CloseCode.RESUME_REFUSED, CloseCode.BAD_MESSAGE, CloseCode.VERSION_MISMATCH})
"""Close codes after which it does not reconnect."""


class ReplayRoomConnection:
    """One member of a replay room. ``Client.replay`` makes it; enter it with ``async with``, iterate it for messages.

    ``frame``, ``playing``, ``speed``: of the newest scrub. ``presenter``: player id of the presenter, or None.
    ``presenting``: whether this connection is the presenter. ``length``, ``live``: of the recording. ``members``,
    ``bookmarks`` (by id) and ``views`` (by name).
    """

    def __init__(
        self,
        server_url: str,
        token: str,
        session: str,
        *,
        give_up_s: float = 60.0,
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.Random()
        self._at = KnownServers(socket_address(server_url, f"/replay/{session}"), (), rng)
        self._token = token
        self.session = session
        self._give_up_s = give_up_s
        self._rng = rng
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._messages: deque[ReplayReply] = deque(maxlen=WAIT_MOST)
        self._news = asyncio.Event()
        self._failed: Disconnected | None = None
        self._asked: dict[int, tuple[Callable[[ReplayReply], bool], asyncio.Future[ReplayReply]]] = {}
        self._id = 0
        self._newest = (0, 0)
        self.me = ""
        self._connection = ""
        self._presenting_connection: str | None = None
        self.grant = 0
        self.frame, self.playing, self.speed = 0, False, 1.0
        self.length, self.live = 0, False
        self.presenter: str | None = None
        self.members: tuple[ReplayRoomMember, ...] = ()
        self.bookmarks: dict[str, Bookmark] = {}
        self.views: dict[str, NamedView] = {}

    @property
    def presenting(self) -> bool:
        """Whether this connection is the presenter."""
        return self._presenting_connection == self._connection != ""

    @property
    def servers(self) -> tuple[str, ...]:
        """The WebSocket addresses at which the room can be joined: of the newest connection, and of other servers."""
        return self._at.all

    # -- the connection ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Join the room. Raises Disconnected if the room cannot be joined."""
        welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(welcomed), name=f"replay-{self.session}")
        try:
            await welcomed
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for task in (self._renewing, self._running):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._fail(Disconnected("the connection was closed"))

    def _fail(self, error: Disconnected) -> None:
        self._failed = self._failed or error
        for _, future in self._asked.values():
            if not future.done():
                future.set_exception(error)
        self._asked.clear()
        self._news.set()

    async def _run(self, welcomed: asyncio.Future[None]) -> None:
        backoff, down_since = Backoff(self._rng), time.monotonic()
        while True:
            code, reason = 1006, "the connection was lost"
            try:
                opened = False
                async with open_socket(
                    self._at.url,
                    open_timeout=OPEN_S,
                    close_timeout=2,
                    ping_interval=PING_S,
                    ping_timeout=PONG_S,
                    compression=None,
                    proxy=None if is_own_machine(self._at.url) else True,
                ) as socket:
                    opened = True
                    await socket.send(
                        encode_replay(ReplayHello(ReplayHelloData(self._token, PROTOCOL, PROTOCOLS))),
                        text=True,
                    )
                    async for data in socket:
                        message = decode_reply(data)
                        self._take(message)
                        if isinstance(message, ReplayWelcome):
                            backoff.reset()
                            self._socket = socket
                            if not welcomed.done():
                                welcomed.set_result(None)
                        down_since = time.monotonic()
                    code, reason = socket.close_code or 1006, socket.close_reason or reason
            except ConnectionClosed as closed:
                if closed.rcvd is not None:
                    code, reason = closed.rcvd.code, closed.rcvd.reason or reason
            except (OSError, TimeoutError, InvalidHandshake, msgspec.MsgspecError) as error:
                reason = str(error) or type(error).__name__
                if not opened:
                    self._at.try_elsewhere()
            finally:
                self._socket = None
                self._presenting_connection = None
            delay_s = backoff.next_s(at_least_s=1.0 if code == CloseCode.RATE_LIMITED else 0.0)
            over = time.monotonic() + delay_s - down_since > self._give_up_s
            if code in FINAL or over:
                failure = Disconnected(f"the replay room of {self.session}: {reason}", close=code)
                self._fail(failure)
                if not welcomed.done():
                    welcomed.set_exception(failure)
                return
            await asyncio.sleep(delay_s)

    # -- messages ------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[ReplayReply]:
        """The messages as they arrive. Raises Disconnected when the connection is over."""
        while True:
            yield await self.next_message()

    async def next_message(self) -> ReplayReply:
        """The next message. Raises Disconnected when the connection is over."""
        while not self._messages:
            if self._failed is not None:
                raise self._failed
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()

    def _take(self, message: ReplayReply) -> None:
        if not self._apply(message):
            return
        for number, (matches, future) in list(self._asked.items()):
            if isinstance(message, ReplayError) and message.id == number:
                del self._asked[number]
                if not future.done():
                    wait = message.d.retry_after
                    future.set_exception(
                        error_of(
                            message.d.code,
                            message.d.message,
                            field=message.d.field,
                            retry_after=None if wait is msgspec.UNSET else wait,
                        )
                    )
            elif matches(message):
                del self._asked[number]
                if not future.done():
                    future.set_result(message)
        if isinstance(message, Scrubbed) and self._messages and isinstance(self._messages[-1], Scrubbed):
            self._messages.pop()
        self._messages.append(message)
        self._news.set()

    def _apply(self, message: ReplayReply) -> bool:
        """Update the state. Returns False for a scrub that is old."""
        match message:
            case ReplayWelcome():
                self._enter(message.d)
            case Presenter():
                if message.d.grant < self.grant:
                    return False
                self.grant, self.presenter = message.d.grant, message.d.player
                self._presenting_connection = message.d.connection
            case Scrubbed():
                if message.d.grant < self.grant or (message.d.grant, message.d.n) <= self._newest:
                    return False
                self._newest = message.d.grant, message.d.n
                self.frame, self.playing, self.speed = message.d.frame, message.d.playing, message.d.speed
            case BookmarkAdded():
                self.bookmarks[message.d.id] = message.d
            case BookmarkRemoved():
                self.bookmarks.pop(message.d.id, None)
            case ViewSet():
                self.views[message.d.name] = message.d
            case ViewRemoved():
                self.views.pop(message.d.name, None)
            case PresenceNow():
                self.members = message.d.members
            case RecordingGrew():
                self.length, self.live = message.d.length, message.d.live
            case ReplayServers():
                self._at.learn(message.d.servers)
            case ReplayError() if message.d.code == "not_presenter":
                self._presenting_connection = None
        return True

    def _enter(self, room: ReplayWelcomeData) -> None:
        self._at.learn(room.servers)
        self.me, self._connection = room.you.player, room.you.connection
        self.grant, self._newest = room.grant, (room.grant, room.n)
        self.frame, self.playing, self.speed = room.frame, room.playing, room.speed
        self.length, self.live = room.length, room.live
        self.presenter, self._presenting_connection = room.presenter, room.presenter_connection
        self.members = room.members
        self.bookmarks = {mark.id: mark for mark in room.bookmarks}
        self.views = {view.name: view for view in room.views}

    # -- presenting ----------------------------------------------------------------------------

    async def present(self) -> int:
        """Become the presenter; returns the number of the grant. The token is renewed, also without a scrub, until
        ``release`` or the end of the connection. Raises Conflict ``presenter_taken``, Disconnected."""
        if not self.presenting:
            await self._ask(
                lambda id: Present(id=id),
                lambda reply: isinstance(reply, Presenter) and reply.d.connection == self._connection,
            )
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name=f"present-{self.session}")
        return self.grant

    async def release(self) -> None:
        """Give the presenter's token back; does nothing without it."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self.presenting:
            self._presenting_connection = None
            await self._send(Release())

    async def _renew(self) -> None:
        while self.presenting:
            await asyncio.sleep(RENEW_S)
            if self.presenting:
                with contextlib.suppress(Disconnected):
                    await self._send(Present())

    async def scrub(self, frame: int, *, playing: bool = False, speed: float = 1.0) -> None:
        """Show a frame to all members. Raises Conflict ``not_presenter`` without the token, Disconnected. If the server
        refuses it, the iterator yields a ReplayError."""
        if not self.presenting:
            raise Conflict("ask for the presenter's token first", code="not_presenter")
        await self._send(Scrub(ScrubData(frame, playing, speed)))

    # -- chat, bookmarks, views ----------------------------------------------------------------

    async def chat(self, text: str) -> None:
        """Send a line of chat to all members. Raises Refused, RateLimited, Disconnected."""
        await self._ask(
            lambda id: ReplayChat(ReplayChatData(text), id),
            lambda reply: (
                isinstance(reply, ReplayChatLine) and (reply.d.player, reply.d.text) == (self.me, text)
            ),
        )

    async def bookmark(self, name: str, frame: int | None = None) -> Bookmark:
        """Keep a bookmark of ``frame``, by default the presented one. Raises Refused, Conflict."""
        place = self.frame if frame is None else frame

        def mine(reply: ReplayReply) -> bool:
            return isinstance(reply, BookmarkAdded) and (reply.d.by, reply.d.name, reply.d.frame) == (
                self.me,
                name,
                place,
            )

        made = await self._ask(lambda id: AddBookmark(AddBookmarkData(name, place), id), mine)
        assert isinstance(made, BookmarkAdded)
        return made.d

    async def remove_bookmark(self, bookmark: str) -> None:
        """Remove a bookmark by its id. Raises Forbidden for a bookmark of another player, NotFound."""
        await self._ask(
            lambda id: RemoveBookmark(RemoveData(bookmark), id),
            lambda reply: isinstance(reply, BookmarkRemoved) and reply.d.id == bookmark,
        )

    async def set_view(self, name: str, camera: CameraView) -> None:
        """Keep a camera under a name; ``default`` is the first camera of every client. Raises Forbidden, Conflict."""
        await self._ask(
            lambda id: SetView(SetViewData(name, camera), id),
            lambda reply: isinstance(reply, ViewSet) and (reply.d.name, reply.d.by) == (name, self.me),
        )

    async def _ask(
        self, make: Callable[[int], ReplayMessage], matches: Callable[[ReplayReply], bool]
    ) -> ReplayReply:
        """Send a message and wait for its effect, or raise its error."""
        self._id += 1
        number = self._id
        future: asyncio.Future[ReplayReply] = asyncio.get_running_loop().create_future()
        self._asked[number] = matches, future
        try:
            await self._send(make(number))
            async with asyncio.timeout(OPEN_S):
                return await future
        except TimeoutError:
            raise Disconnected("the server did not answer") from None
        finally:
            self._asked.pop(number, None)

    async def _send(self, message: ReplayMessage) -> None:
        if self._socket is None:
            raise self._failed or Disconnected("the connection is being restored")
        try:
            await self._socket.send(encode_replay(message), text=True)
        except ConnectionClosed:
            raise Disconnected("the connection was lost") from None
