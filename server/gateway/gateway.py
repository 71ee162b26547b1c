"""The WebSocket connections of a server, from the upgrade to the close.

    upgrade -> Socket -> hello -> welcome -> Commands, for each message -> close
                                  Sender <- audience, replies

uvicorn passes an upgraded transport to the protocol that ``ws=`` returns. That protocol is a ServerConnection of
websockets, so that HTTP and WebSocket share one port without a layer in between. It reads four semi-internal names from
its server: ``handler``, ``handler_tasks``, ``is_serving`` and ``logger``. The version of websockets is pinned for that
reason, and tests/server/gateway/test_socket.py tests the contract. This module turns errors into close codes;
server/gateway/commands.py turns them into replies. It must never execute a command.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from tussle.lobby.addresses import socket_address
from tussle.lobby.connections import Connected, Connections
from tussle.lobby.errors import (
    AuthError,
    CloseCode,
    LobbyError,
    Moved,
    ProtocolError,
    RateLimited,
)
from tussle.lobby.ids import is_session_token, new_secret
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.logs import get_logger, short
from tussle.lobby.network import Network, parse_network
from tussle.lobby.roles import Role, check_right
from tussle.lobby.seating import Seating
from tussle.lobby.servers import Servers
from tussle.lobby.settings import Settings
from tussle.lobby.store.call_lanes import known_as
from tussle.lobby.views import Views, observer_name
from tussle.lobby.wire.client_messages import ClientMessage, Hello, HelloData
from tussle.lobby.wire.delta_layout import CODEC
from tussle.lobby.wire.frames import schema_hash
from tussle.lobby.wire.messages import Welcome, WelcomeData
from tussle.lobby.wire.negotiation import choose_protocol
from tussle.lobby.wire.numbers import as_sent
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.client_calls import serve_socket
from tussle.server.costs import Ledger, Owner, Resource, frame_bucket
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.framing import binary_frame
from tussle.server.fanout.observers import Observers
from tussle.server.gateway.channels import Channels
from tussle.server.gateway.commands import OPERATIONS, Commands
from tussle.server.gateway.editing import Editing
from tussle.server.gateway.outlet import short_reason
from tussle.server.gateway.protocol import SESSION_RULES, Connection
from tussle.server.gateway.relay_client import Relays
from tussle.server.gateway.relay_messages import RELAY_PATH
from tussle.server.gateway.relay_server import serve_relay
from tussle.server.gateway.replay_gate import ReplayGate, replay_token
from tussle.server.gateway.replies import Replies
from tussle.server.gateway.sender import Sender
from tussle.server.gateway.socket import OUTBOX_BYTES, Socket, header
from tussle.server.limits import Hosts, Origins, Proxies, owner_of_address, request_address
from tussle.server.live.hub import LiveHub
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.security_headers import SECURITY_HEADERS
from tussle.server.sessions.holder import Holder
from tussle.server.solver.delta_streams import SLOW_FRAMES

__all__ = ["BUILD", "Gateway"]

log = get_logger("server.gateway")

BUILD = "0.1.0"
SOCKET_PATH = "/ws"
LIVE_PATH = "/live"
HELLO_TIMEOUT_S = 5.0
RELAY_UNSENT_BYTES = 16 * OUTBOX_BYTES
"""Unsent bytes on a relay above which it is closed. The other server opens a new one."""

TICKET_LENGTH = 128

ENDED_PER_COLLECTION = 200
"""Closed connections between two full garbage collections. websockets leaves each as a reference cycle of about 10 KiB,
and the thresholds that server/app.py sets would not collect old cycles for days (measured with ``bench.load soak``)."""


class Gateway:
    """All connections of one server. ``upgrade`` is what uvicorn calls for every WebSocket request."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        proxies: Proxies,
        hosts: Hosts,
        connections: Connections,
        seating: Seating,
        views: Views,
        holder: Holder,
        telemetry: Telemetry,
        server_id: str,
        audiences: Audiences,
        relays: Relays,
        servers: Servers,
        observers: Observers,
        editing: Editing,
        banned: BannedAddresses,
        channels: Channels,
    ) -> None:
        self._channels = channels
        self._banned = banned
        self._open: set[Socket] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._settings = settings
        self._network = parse_network(settings.network)
        self._connections = connections
        self._views = views
        self._holder = holder
        self._telemetry = telemetry
        self._server_id = server_id
        self._audiences = audiences
        self._relays = relays
        self._servers = servers
        self._observers = observers
        self._commands = Commands(
            seating, views, holder, telemetry, audiences, relays, ledger, editing, channels
        )
        self._editing = editing
        self._replies: dict[tuple[str, int], Replies] = {}
        self._senders: dict[tuple[str, str], Sender] = {}
        self._serving = True
        self.live: LiveHub | None = None
        self.replay: ReplayGate | None = None
        self._ended = 0
        self._origins = Origins(settings.allowed_origins)
        self._proxies = proxies
        self._hosts = hosts
        self._ledger = ledger
        # ServerConnection of websockets reads these two
        self.handler_tasks: set[asyncio.Task[None]] = set()
        self.logger = log

    # two more names that ServerConnection reads

    def is_serving(self) -> bool:
        """Whether new connections are accepted."""
        return self._serving

    async def handler(self, socket: Socket) -> None:
        """Handle one connection, from its handshake to its close. Raises nothing but CancelledError."""
        task = asyncio.current_task()
        self._open.add(socket)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                await socket.handshake(self._check_request)  # type: ignore[arg-type]
            if socket.state is State.OPEN:
                socket.keep_watch()
                if socket.request is not None and path_of(socket) == RELAY_PATH:
                    await self._serve_relay(socket)
                else:
                    serve_socket(self._ledger, socket.address or "")
                    with self._telemetry.connections.track_inprogress():
                        room = replay_token(path_of(socket))
                        if self.live is not None and path_of(socket) == LIVE_PATH:
                            await self.live.serve(socket)
                        elif self.replay is not None and room is not None:
                            await self.replay.serve(socket, room)
                        else:
                            await self._serve(socket)
        except (ConnectionClosed, ConnectionError, TimeoutError):
            socket.transport.abort()
        except LobbyError as error:  # such as a store that is away, in a message that has no answer
            log.warning("connection_closed", code=error.reason, error=error.message)
            await self._close(socket, error.close_code, f"{error.reason}: {error.message}")
        except Exception:  # such as a full disk or no free descriptor: no client's doing
            log.exception("connection_failed")
            await socket.close(CloseCode.ERROR, "server_error")
        finally:
            self._open.discard(socket)
            self._release_address(socket)
            socket.quick = socket.on_room = None
            self._ended += 1
            if self._ended % ENDED_PER_COLLECTION == 0:
                gc.collect()
            if task is not None:
                self.handler_tasks.discard(task)

    def _check_request(self, socket: Socket, request: Request) -> Response | None:
        """Refuse unknown paths, foreign origins, and addresses with too many connections."""
        refusal = self._refuse_request(socket, request)
        if refusal is not None:
            refusal.headers.update((name.decode(), value.decode()) for name, value in SECURITY_HEADERS)
        return refusal

    def _refuse_request(self, socket: Socket, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path not in (SOCKET_PATH, RELAY_PATH, LIVE_PATH) and replay_token(path) is None:
            return socket.respond(404, "no such socket\n")
        headers = request.headers
        peer = socket.remote_address
        proxy = str(peer[0]) if peer else ""
        proxied = self._proxies.trust(proxy)
        socket.came = request_address(partial(header, headers), proxied=proxied)
        if not self._hosts.allow(header(headers, "host")) and not proxied:
            self._telemetry.refusals.labels(code="unknown_host").inc()
            return socket.respond(421, "this server does not accept this host name; see ALLOWED_HOSTS\n")
        if not self._origins.allow(header(headers, "origin"), header(headers, "host"), self._holder.met):
            self._telemetry.refusals.labels(code="origin_refused").inc()
            return socket.respond(403, "pages of this origin may not use this server\n")
        socket.client = self._proxies.client(proxy, header(headers, "x-forwarded-for"))
        address = owner_of_address(socket.client)
        if self._banned.contains(address):
            self._telemetry.refusals.labels(code="banned").inc()
            return socket.respond(403, "an operator has banned this address for some time\n")
        try:
            self._ledger.charge(Resource.REQUESTS, Owner.ADDRESS, address, time.monotonic())
        except RateLimited as error:
            self._telemetry.refusals.labels(code=error.reason).inc()
            return socket.respond(429, "too many requests of this address\n")
        if not self._ledger.hold(Resource.SOCKETS, Owner.ADDRESS, address):
            self._telemetry.refusals.labels(code="too_many_connections").inc()
            return socket.respond(429, "too many connections from this address\n")
        socket.address = address
        return None

    def _release_address(self, socket: Socket) -> None:
        """Stop counting a socket against its address."""
        if socket.address is not None:
            self._ledger.release(Resource.SOCKETS, Owner.ADDRESS, socket.address)
            socket.address = None

    def upgrade(self, **_: Any) -> Socket:
        """The protocol for one upgraded socket. Permessage-deflate is off: a frame is encoded once for all viewers."""
        socket = Socket(
            self,
            max_size=self._settings.max_message_bytes,
            ping_interval=None,
            close_timeout=2.0,
            max_queue=32,
        )
        socket.limit_frames(*frame_bucket(self._settings))
        socket.on_refused = self._count_refused
        return socket

    def _count_refused(self, code: CloseCode) -> None:
        self._telemetry.closes.labels(code=str(int(code))).inc()
        if code is CloseCode.RATE_LIMITED:
            self._telemetry.count_overspending(Resource.FRAMES, Owner.CONNECTION)

    async def _serve_relay(self, socket: Socket) -> None:
        """Handle a relay from another server of the realm."""
        request = socket.request
        scheme, _, ticket = (request.headers.get("authorization", "") if request else "").partition(" ")
        try:
            if scheme != "Bearer":
                raise AuthError("a relay needs a ticket")
            if len(ticket) > TICKET_LENGTH:
                raise AuthError("a relay needs a ticket")
            await self._servers.redeem_relay_ticket(ticket)
        except LobbyError as error:
            await self._close(socket, CloseCode.RESUME_REFUSED, error.reason)
            return
        self._release_address(socket)  # a server of the realm
        socket.limit_frames(None)

        def write(message: bytes) -> None:
            if socket.state is not State.OPEN:
                return
            if socket.transport.get_write_buffer_size() > RELAY_UNSENT_BYTES:
                socket.transport.abort()
                return
            framed = binary_frame(message)
            socket.written += len(framed)
            socket.transport.write(framed)

        await serve_relay(
            socket,
            write,
            lambda: socket.transport.get_write_buffer_size(),
            self._holder,
            self._watch_for_relay,
            self._audiences.drop_unwatched,
        )

    async def _watch_for_relay(self, session: str) -> Audience | None:
        try:
            at, _ = await self._views.holder_of(session)
            v = await self._views.newest_v(session)
        except LobbyError:
            return None
        return self._audiences.get(session, v) if at.id == self._server_id else None

    # one connection

    async def _serve(self, socket: Socket) -> None:
        core = Connection(self._settings, SESSION_RULES)
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = core.receive(await socket.recv(), time.monotonic())
            assert isinstance(hello, Hello)
            sender, audience = await self._welcome(socket, core, hello)
        except TimeoutError:
            await self._close(socket, CloseCode.BAD_MESSAGE, "no hello in time")
            return
        except LobbyError as error:
            reason = error.message if isinstance(error, Moved) else f"{error.reason}: {error.message}"
            await self._close(socket, error.close_code, reason)
            return
        with structlog.contextvars.bound_contextvars(token=short(sender.who.session), seat=sender.who.seat):
            who = sender.who
            entered = self._ledger.hold(Resource.SOCKETS, Owner.PLAYER, who.player)
            try:
                if not entered:
                    await self._close(socket, CloseCode.RATE_LIMITED, "too many sockets of this player")
                elif who.seat is None:
                    with self._observers.watching(who.session, who.player, observer_name(who.name, who.kind)):
                        await self._listen(sender, audience)
                else:
                    await self._listen(sender, audience)
            finally:
                if entered:
                    self._ledger.release(Resource.SOCKETS, Owner.PLAYER, who.player)
                core.close()
                self._channels.leave(sender)
                self._audiences.leave(audience, sender)
                await self._disconnect(sender)

    async def _close(self, socket: ServerConnection, code: CloseCode, reason: str) -> None:
        self._telemetry.closes.labels(code=str(int(code))).inc()
        await socket.close(code, short_reason(reason))

    async def _welcome(
        self, socket: Socket, core: Connection[ClientMessage], message: Hello
    ) -> tuple[Sender, Audience]:
        hello = message.d
        choose_protocol(hello.protocol, hello.protocols)
        if (hello.ticket is None) == (hello.resume is None):
            raise ProtocolError("hello needs a ticket or a resume token", field="ticket")
        try:
            asked = None if hello.network is None else parse_network(hello.network)
        except ValueError as error:
            raise ProtocolError(str(error), code="bad_network", field="network") from None
        await self._redirect_to_holder(socket, (hello.ticket or hello.resume or "").split(".")[0])
        who = await self._connections.connect(
            ticket=hello.ticket, resume=hello.resume, conn=new_secret()[:16], server=self._server_id
        )
        known_as(who.player)
        network = self._network if asked is None else asked
        if network != Network():
            socket.slow_down(network, f"seat {who.seat}")
        audience = self._audiences.get(who.session, who.v)
        core.share_budget(self._ledger.bucket(Resource.MESSAGES, Owner.SEAT, f"{who.session} {who.player}"))
        sender = Sender(
            socket,
            who,
            core,
            audience,
            OUTBOX_BYTES,
            self._telemetry,
            network="" if network == Network() else str(network),
            deltas=CODEC in hello.codecs,
            slow=hello.frame_hz is not None and hello.frame_hz * SLOW_FRAMES <= self._settings.frame_hz,
            without=frozenset(hello.without),
        )
        audience.arriving += 1
        try:
            await self._send_welcome(sender, audience, hello)
        except BaseException:
            self._audiences.leave(audience, sender)
            await self._disconnect(sender)
            raise
        finally:
            audience.arriving -= 1
        return sender, audience

    async def _send_welcome(self, sender: Sender, audience: Audience, hello: HelloData) -> None:
        """Send the welcome and everything after ``last_v`` of the hello, and close the seat's older connection."""
        who = sender.who
        check_right(OPERATIONS[Hello], Role(who.role))
        previous = self._senders.get((who.session, who.player))
        self._senders[who.session, who.player] = sender
        if previous is not None:
            previous.close(CloseCode.REPLACED, "this seat has a newer connection")
        if who.seat is not None:
            sender.replies = self._replies.setdefault((who.session, who.seat), Replies(who.last_id))
            last_id = max(sender.replies.last_id, who.last_id)
        else:
            last_id = 0
        sender.reply(
            Welcome(
                WelcomeData(
                    session=who.session,
                    player=who.player,
                    role=who.role,
                    seat=who.seat,
                    resume=who.resume,
                    v=who.v,
                    tick=who.tick,
                    dt=as_sent(self._holder.dt_of(who.session) or await self._views.dt_of(who.session)),
                    frame_hz=self._settings.frame_hz,
                    epoch=who.epoch,
                    schema_hash=schema_hash(),
                    protocol=choose_protocol(hello.protocol, hello.protocols),
                    build=BUILD,
                    server_time=await self._views.now_ms(),
                    last_id=last_id,
                    servers=sender.servers_of(self._holder.neighbours),
                    codec=CODEC if sender.deltas else msgspec.UNSET,
                    webrtc=self._channels.welcome(who.player, hello.transports),
                    network=sender.network or msgspec.UNSET,
                    seat_kept_s=self._settings.reconnect_grace_s,
                )
            )
        )
        await audience.catch_up(sender, hello.last_v)
        if audience.observers is None:
            self._observers.refresh(who.session)
        if who.holder != self._server_id and who.status not in ENDED:
            self._relays.remote(audience)
        elif who.status == "starting":
            self._holder.start_session(who.session, who.v)
        log.info("member_connected", role=who.role, player=who.player, token=short(who.session))

    async def _redirect_to_holder(self, socket: Socket, session: str) -> None:
        """Redirect a client to the living holder of its session, unless both servers share one public address or the
        client cannot reach the holder.

        Raises Moved with the holder's address.
        """
        if self._holder.holds(session) or not is_session_token(session):
            return
        at, status = await self._views.holder_of(session)
        ours = self._holder.address
        if at.id == ours.id or at.url == ours.url or status in ENDED:
            return
        address = socket.came.of_server(at.url)
        living = await self._servers.get(at.id) if address else None
        if living is not None and living.nonce == at.nonce:
            raise Moved(socket_address(address))

    async def _listen(self, sender: Sender, audience: Audience) -> None:
        sender.socket.done()  # the hello
        seat = sender.who.seat
        if seat is not None:
            # If the replaced connection was the session's last one on this server, its replies were forgotten.
            sender.replies = replies = self._replies.setdefault((sender.who.session, seat), sender.replies)
            if sender.socket.open and not sender.ending:
                sender.socket.quick = partial(self._commands.handle_input, sender, replies, seat)
        async for data in sender.socket:
            message = self._commands.read(sender, data)
            if message is not None and await self._commands.handle(sender, audience, message):
                return
            if sender.ending:
                break
            sender.socket.done()
        await sender.closed()

    async def _disconnect(self, sender: Sender) -> None:
        """Record in the store that the connection is closed, unless a newer one has the seat. Its locks are free."""
        who = sender.who
        await self._editing.leave(who)
        if self._senders.get((who.session, who.player)) is sender:
            del self._senders[who.session, who.player]
            if who.seat is not None and self._serving:
                try:
                    await self._connections.disconnect(who.session, who.player, who.conn)
                except LobbyError as error:
                    log.warning("disconnect_not_recorded", code=error.reason)

    def seat_taken_elsewhere(self, session: str, player: str, conn: str, v: int) -> None:
        """Close the connection of a seat that has a newer one on any server."""
        sender = self._senders.get((session, player))
        if sender is not None and sender.who.conn != conn and sender.who.v < v:
            sender.close(CloseCode.REPLACED, "this seat has a newer connection")

    def show_neighbours(self) -> None:
        """Send the members the addresses of the other servers, which have changed since their welcome."""
        for sender in list(self._senders.values()):
            sender.show_servers(self._holder.neighbours)
        if self.replay is not None:
            self.replay.show_neighbours()

    # operators

    def players(self) -> list[Connected]:
        """Everybody who is connected to a session at this server, one entry per connection."""
        return [sender.who for sender in self._senders.values()]

    def close_player(self, player: str, reason: str) -> None:
        """Close every connection of a player with RESUME_REFUSED."""
        for sender in [one for one in self._senders.values() if one.who.player == player]:
            sender.close(CloseCode.RESUME_REFUSED, reason)
        if self.live is not None:
            self.live.close_player(player, reason)
        if self.replay is not None:
            self.replay.close_player(player, reason)

    def close_banned_addresses(self) -> None:
        """Close every connection of an address that is banned, with RESUME_REFUSED."""
        for socket in list(self._open):
            if socket.address is not None and self._banned.contains(socket.address):
                closing = asyncio.create_task(
                    self._close(
                        socket, CloseCode.RESUME_REFUSED, "banned: an operator has banned this address"
                    )
                )
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    # the end of the server, and of sessions

    def forget(self, session: str) -> None:
        """Forget the replies of a session that has no viewer on this server."""
        for key in [key for key in self._replies if key[0] == session]:
            del self._replies[key]

    async def close(self) -> None:
        """Close every connection with SHUTTING_DOWN and wait for the handlers, five seconds at most."""
        self._serving = False
        for sender in list(self._senders.values()):
            sender.close(CloseCode.SHUTTING_DOWN, "the server shuts down")
        if self.live is not None:
            await self.live.close()
        if self.replay is not None:
            self.replay.close()
        tasks = list(self.handler_tasks)
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=5.0)
            for task in pending:
                task.cancel()
            if pending:
                with suppress(asyncio.CancelledError):
                    await asyncio.wait(pending, timeout=1.0)


def path_of(socket: ServerConnection) -> str:
    """The path that a WebSocket asked for, without its query."""
    return socket.request.path.partition("?")[0] if socket.request is not None else ""
