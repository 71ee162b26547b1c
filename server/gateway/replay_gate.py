"""The sockets of replay rooms: hello, rights, budgets, the messages of the members.

    upgrade /replay/T -> hello with a login -> ReplayFollower -> welcome -> messages -> scripts of the store
                                                    ^-- ReplayRoom: scrubs (the newest), everything else (in order)

Any server serves any room, because its state is in the store (lobby/replay_rooms.py). Every client with a login that
knows the token may join. This module must never decide who presents: the store does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from tussle.lobby.accounts import Accounts
from tussle.lobby.errors import CloseCode, Conflict, LobbyError, Refused
from tussle.lobby.ids import is_session_token, new_secret
from tussle.lobby.logs import get_logger, short
from tussle.lobby.operators import Operators
from tussle.lobby.replay_rooms import Author, ReplayRooms, ReplayRoomState
from tussle.lobby.roles import Operation, Role, check_right
from tussle.lobby.settings import Settings
from tussle.lobby.store.call_lanes import known_as
from tussle.lobby.store.store import Store
from tussle.lobby.text import MESSAGE_LENGTH, check_text, clip
from tussle.lobby.wire.negotiation import PROTOCOL, choose_protocol
from tussle.lobby.wire.replay import (
    AddBookmark,
    PresenceData,
    Present,
    Release,
    RemoveBookmark,
    RemoveView,
    ReplayChat,
    ReplayError,
    ReplayErrorData,
    ReplayHello,
    ReplayMessage,
    ReplayPing,
    ReplayPong,
    ReplayServers,
    ReplayServersData,
    ReplayWelcome,
    ReplayWelcomeData,
    ReplayYou,
    Scrub,
    SetView,
)
from tussle.server.costs import REQUEST_COSTS, STORE_COSTS, Ledger, Owner, Resource
from tussle.server.fanout.presence import LIFE_MS
from tussle.server.fanout.replay_room import ReplayRoom, framed
from tussle.server.fanout.server_replay_rooms import ServerReplayRooms
from tussle.server.gateway.outlet import Outlet, short_reason
from tussle.server.gateway.protocol import REPLAY_RULES, Connection
from tussle.server.gateway.socket import OUTBOX_BYTES, Socket
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.library import Library
from tussle.server.store_memory import StoreMemory

__all__ = ["REPLAY_PATH", "ReplayGate", "replay_token"]

log = get_logger("server.replay")

REPLAY_PATH = "/replay/"
HELLO_TIMEOUT_S = 5.0

BACKLOG_BYTES = 1024
"""Unsent bytes above which a member gets no scrub, in this process and again in the kernel. Later it gets only the
newest scrub, not those of the last seconds."""

OPERATIONS: dict[type[ReplayMessage], Operation] = {
    ReplayHello: Operation.REPLAY,
    ReplayPing: Operation.REPLAY,
    Present: Operation.PRESENT,
    Release: Operation.PRESENT,
    Scrub: Operation.PRESENT,
    AddBookmark: Operation.DISCUSS,
    RemoveBookmark: Operation.DISCUSS,
    SetView: Operation.DISCUSS,
    RemoveView: Operation.DISCUSS,
    ReplayChat: Operation.DISCUSS,
}
"""The right that each message needs."""


def replay_token(path: str) -> str | None:
    """The token of the recording whose room is at a path; None for any other path."""
    token = path.removeprefix(REPLAY_PATH)
    return token if path.startswith(REPLAY_PATH) and is_session_token(token) else None


class ReplayFollower(Outlet):
    """The sending side of one member. Implements ``ReplayMember`` of server/fanout/replay_room.py. ``grant``: number of
    the presenter's token that the connection was given, 0 without one."""

    def __init__(
        self,
        socket: Socket,
        core: Connection[ReplayMessage],
        author: Author,
        roles: frozenset[Role],
        telemetry: Telemetry,
        protocol: int = PROTOCOL,
        *,
        path: str = REPLAY_PATH,
    ) -> None:
        super().__init__(socket, OUTBOX_BYTES, telemetry, path)
        self.protocol = protocol
        self.core = core
        self.author = author
        self.roles = roles
        self.connection = new_secret()[:16]
        self.grant = 0
        self._before_welcome: list[tuple[bytes, int]] | None = []
        self._scrub: bytes | None = None
        if self._transport.is_closing():  # the client closed it: a closed transport takes no limits
            raise ConnectionAbortedError("the connection is closed")
        self._transport.set_write_buffer_limits(high=BACKLOG_BYTES, low=0)
        kernel = self._transport.get_extra_info("socket")
        if kernel is not None and hasattr(sockets, "TCP_NOTSENT_LOWAT"):
            kernel.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NOTSENT_LOWAT, BACKLOG_BYTES)
        socket.on_room = self._on_room

    def welcome(self, message: ReplayWelcome) -> None:
        """Send the state of the room, then the messages that arrived while it was read."""
        self.write(framed(message))
        newest = message.d.chat[-1].n if message.d.chat else 0
        waiting, self._before_welcome = self._before_welcome or [], None
        for frame, n in waiting:
            if n == 0 or n > newest:
                self.write(frame)
        self._on_room(self.socket.room)

    def hear(self, framed: bytes, n: int = 0) -> None:
        if self._before_welcome is not None:
            self._before_welcome.append((framed, n))
            return
        if self._scrub is not None:  # it came before
            scrub, self._scrub = self._scrub, None
            self.write(scrub)
        self.write(framed)

    def show(self, framed: bytes) -> None:
        self._scrub = framed
        self._on_room(self.socket.room)

    def _send_servers(self, addresses: tuple[str, ...]) -> None:
        self.hear(framed(ReplayServers(ReplayServersData(addresses))))

    def _on_room(self, room: bool) -> None:
        if room and self._scrub is not None and self._before_welcome is None and not self.ending:
            scrub, self._scrub = self._scrub, None
            self._transport.write(scrub)

    def refuse(self, command: int | None, error: LobbyError) -> None:
        self._telemetry.refusals.labels(code=error.reason).inc()
        retry_after = msgspec.UNSET if error.retry_after is None else error.retry_after
        text = clip(error.message, MESSAGE_LENGTH)
        self.write(
            framed(ReplayError(ReplayErrorData(error.reason, text, error.field, retry_after), command or 0))
        )


class ReplayGate:
    """All connections to replay rooms on one server. The server runs ``keep``; ``serve`` handles one connection."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        ledger: Ledger,
        accounts: Accounts,
        operators: Operators,
        stored: ReplayRooms,
        library: Library,
        store_memory: StoreMemory,
        telemetry: Telemetry,
        neighbours: Callable[[], Sequence[str]],
    ) -> None:
        """``neighbours``: the addresses of the other servers now."""
        self._settings = settings
        self._neighbours = neighbours
        self._ledger = ledger
        self._accounts = accounts
        self._operators = operators
        self._store_memory = store_memory
        self._telemetry = telemetry
        self._stored = stored
        self.rooms = ServerReplayRooms(store, self._stored, library, self._welcome_again)
        self._followers: set[ReplayFollower] = set()

    # one connection

    async def serve(self, socket: Socket, token: str) -> None:
        """Handle one connection, from its first message until it closes. Exceptions of the socket propagate."""
        core = Connection(self._settings, REPLAY_RULES)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                follower = await self._greet(socket, core, token)
        except TimeoutError:
            await self._refuse(socket, CloseCode.BAD_MESSAGE, "no hello in time")
            return
        except LobbyError as error:
            await self._refuse(socket, error.close_code, f"{error.reason}: {error.message}")
            return
        player = follower.author.player
        if not self._ledger.hold(Resource.SOCKETS, Owner.PLAYER, player):
            await self._refuse(socket, CloseCode.RATE_LIMITED, "too many sockets of this player")
            return
        self._followers.add(follower)
        try:
            with structlog.contextvars.bound_contextvars(token=short(token)):
                await self._stay(follower, token)
        finally:
            self._followers.discard(follower)
            self._ledger.release(Resource.SOCKETS, Owner.PLAYER, player)
            core.close()
            self.rooms.leave(token, follower)
            if follower.grant:
                with contextlib.suppress(LobbyError):  # the token expires by itself
                    await self._stored.release(token, follower.connection)

    async def _refuse(self, socket: Socket, code: CloseCode, reason: str) -> None:
        self._telemetry.closes.labels(code=str(int(code))).inc()
        await socket.close(code, short_reason(reason))

    async def _greet(self, socket: Socket, core: Connection[ReplayMessage], token: str) -> ReplayFollower:
        message = core.receive(await socket.recv(), time.monotonic())
        assert isinstance(message, ReplayHello), "the first message of REPLAY_RULES"
        protocol = choose_protocol(message.d.protocol, message.d.protocols)
        player = await self._accounts.authenticate(message.d.token)
        known_as(player.player)
        roles = self._operators.roles_of(player)
        check_right(OPERATIONS[ReplayHello], *roles)
        now = time.monotonic()
        price = REQUEST_COSTS[Operation.REPLAY]
        address = socket.address or ""
        self._ledger.charge(Resource.REQUESTS, Owner.ADDRESS, address, now, price - 1.0)  # 1 at the upgrade
        self._ledger.charge(Resource.REQUESTS, Owner.PLAYER, player.player, now, price)
        self._charge_store(token, player.player, address, STORE_COSTS[Operation.REPLAY])
        self._store_memory.admit()
        core.share_budget(self._ledger.bucket(Resource.MESSAGES, Owner.SEAT, f"{token} {player.player}"))
        author = Author(player.player, player.name, Role.OPERATOR in roles)
        path = f"{REPLAY_PATH}{token}"
        return ReplayFollower(socket, core, author, roles, self._telemetry, protocol, path=path)

    async def _stay(self, follower: ReplayFollower, token: str) -> None:
        author = follower.author
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                room = await self.rooms.join(token, follower)
                await self._stored.attend(token, [f"{author.player} {author.name}"], life_ms=LIFE_MS)
                await self._send_welcome(follower, room)
        except TimeoutError:
            follower.close(CloseCode.ERROR, "store_unavailable")
            await follower.closed()
            return
        except LobbyError as error:
            follower.close(error.close_code, f"{error.reason}: {error.message}")
            await follower.closed()
            return
        with self.rooms.present.watching(token, author.player, author.name):
            await self._listen(follower, room)

    async def _send_welcome(self, follower: ReplayFollower, room: ReplayRoom) -> None:
        state, present = await self._stored.read(room.token), await self._stored.members(room.token)
        room.meet(state)
        follower.welcome(_welcome(follower, room, state, present, self._neighbours()))

    async def _welcome_again(self, room: ReplayRoom) -> None:
        """Send the whole state to every member: messages may have been lost with the connection to the store."""
        state, present = await self._stored.read(room.token), await self._stored.members(room.token)
        room.reset(state)
        for follower in [one for one in self._followers if one in room.members]:
            follower.welcome(_welcome(follower, room, state, present, self._neighbours()))

    def show_neighbours(self) -> None:
        """Send the members the addresses of the other servers, which have changed since their welcome."""
        for follower in list(self._followers):
            follower.show_servers(self._neighbours())

    async def _listen(self, follower: ReplayFollower, room: ReplayRoom) -> None:
        async for data in follower.socket:
            message = follower.receive(follower.core, data)
            if message is not None:
                await self._handle(follower, room, message)
            if follower.ending:
                break
        await follower.closed()

    async def _handle(self, follower: ReplayFollower, room: ReplayRoom, message: ReplayMessage) -> None:
        self._telemetry.messages.inc(1.0, f"replay_{message.__struct_config__.tag}")
        if isinstance(message, ReplayHello):
            return
        if isinstance(message, ReplayPing):
            follower.write(framed(ReplayPong(message.d)))
            return
        try:
            check_right(OPERATIONS[type(message)], *follower.roles)
            await self._execute(follower, room, message)
        except LobbyError as error:
            follower.refuse(message.id, error)

    async def _execute(self, follower: ReplayFollower, room: ReplayRoom, message: ReplayMessage) -> None:
        token, author, stored = room.token, follower.author, self._stored
        match message:
            case Present():
                follower.grant = await stored.present(token, author.player, follower.connection)
            case Release():
                follower.grant = 0
                await stored.release(token, follower.connection)
            case Scrub():
                await self._scrub(follower, room, message)
            case ReplayChat():
                check_text(message.d.text, field="text")
                seat = f"{token} {author.player}"
                self._ledger.charge(Resource.CHATS, Owner.SEAT, seat, time.monotonic())
                size = STORE_COSTS[Operation.DISCUSS] + len(message.d.text.encode())
                self._charge_store(token, author.player, follower.socket.address or "", size)
                await stored.say(token, author.player, author.name, message.d.text)
            case AddBookmark():
                check_text(message.d.name, field="name")
                await self._check_frame(room, message.d.frame)
                self._admit_mark(follower, token)
                await stored.add_bookmark(token, author, message.d.name, message.d.frame)
            case SetView():
                check_text(message.d.name, field="name")
                check_text(message.d.camera.follow, field="follow")
                self._admit_mark(follower, token)
                await stored.set_view(token, author, message.d.name, message.d.camera)
            case RemoveBookmark():
                await stored.remove_bookmark(token, author, message.d.id)
            case RemoveView():
                await stored.remove_view(token, author, message.d.name)

    async def _scrub(self, follower: ReplayFollower, room: ReplayRoom, message: Scrub) -> None:
        if not follower.grant:
            raise Conflict("ask for the presenter's token first", code="not_presenter")
        await self._check_frame(room, message.d.frame)
        try:
            await self._stored.scrub(
                room.token, follower.connection, message.d.frame, message.d.playing, message.d.speed
            )
        except Conflict:  # the token expired
            follower.grant = 0
            raise

    async def _check_frame(self, room: ReplayRoom, frame: int) -> None:
        """Raises Refused ``bad_range`` for a frame that the recording does not have."""
        if frame >= room.length and room.live:
            await self.rooms.refresh(room)
        if frame >= room.length:
            raise Refused(f"the recording has {room.length} frames", code="bad_range", field="frame")

    def _admit_mark(self, follower: ReplayFollower, token: str) -> None:
        self._store_memory.admit()
        player, address, now = follower.author.player, follower.socket.address or "", time.monotonic()
        self._charge_store(token, player, address, STORE_COSTS[Operation.DISCUSS])
        self._ledger.charge(Resource.MARKS, Owner.PLAYER, player, now)
        self._ledger.charge(Resource.MARKS, Owner.ADDRESS, address, now)

    def _charge_store(self, token: str, player: str, address: str, amount: float) -> None:
        self._ledger.charge_store(
            time.monotonic(), amount, address=address, player=player, session=f"{token} replay"
        )

    # operators, and the end of the server

    def close_player(self, player: str, reason: str) -> None:
        """Close every connection of a player with RESUME_REFUSED."""
        for follower in [one for one in self._followers if one.author.player == player]:
            follower.close(CloseCode.RESUME_REFUSED, reason)

    def close(self) -> None:
        """Close every connection with SHUTTING_DOWN."""
        for follower in list(self._followers):
            follower.close(CloseCode.SHUTTING_DOWN, "the server shuts down")


def _welcome(
    follower: ReplayFollower,
    room: ReplayRoom,
    state: ReplayRoomState,
    present: PresenceData,
    neighbours: Sequence[str],
) -> ReplayWelcome:
    author = follower.author
    player, connection = state.presenter or (None, None)
    return ReplayWelcome(
        ReplayWelcomeData(
            session=room.token,
            you=ReplayYou(
                author.player, author.name, "operator" if author.operator else "observer", follower.connection
            ),
            members=present.members,
            member_count=present.member_count,
            presenter=player,
            presenter_connection=connection,
            grant=state.grant,
            n=state.n,
            frame=state.frame,
            playing=state.playing,
            speed=state.speed,
            bookmarks=state.bookmarks,
            views=state.views,
            chat=state.chat,
            length=room.length,
            live=room.live,
            protocol=follower.protocol,
            servers=follower.servers_of(neighbours),
        )
    )
