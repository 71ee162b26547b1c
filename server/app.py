"""The server process: construction of its parts, and the order in which they start and stop.

    start:  (a solver process, in entry.py) -> store -> catalogue -> lease -> pool -> HTTP and WebSocket on one port
    stop:   no new connections -> runs end -> sockets close (4001) -> pool -> lease -> store

Every task lives in the task group of ``Server.run``. This module must never decide anything about sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from tussle.lobby.accounts import Accounts
from tussle.lobby.address_bans import AddressBans
from tussle.lobby.addresses import local_url
from tussle.lobby.bot_holdings import BotHoldings
from tussle.lobby.claims import Claims
from tussle.lobby.connections import Connections
from tussle.lobby.environment import split_list
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.filling import Filling
from tussle.lobby.forks import Forks
from tussle.lobby.ids import new_secret, new_server_id
from tussle.lobby.logs import get_logger
from tussle.lobby.mesh_files import MeshFiles
from tussle.lobby.mesh_store import Meshes
from tussle.lobby.name_guesses import NameGuesses
from tussle.lobby.operators import Operators
from tussle.lobby.overview import Overviews
from tussle.lobby.recording_index import RecordingIndex
from tussle.lobby.recording_marks import RecordingMarks
from tussle.lobby.rematches import Rematches
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.runs import Runs
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.session_shares import SessionShares
from tussle.lobby.settings import Settings
from tussle.lobby.spring_runs import SpringRuns
from tussle.lobby.standings import Standings
from tussle.lobby.store.store import Store
from tussle.lobby.timers import Timers
from tussle.lobby.uploads import Uploads
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import Event
from tussle.server.archive.archive import Archive
from tussle.server.banned_addresses import LOAD_S, BannedAddresses
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.observers import Observers
from tussle.server.gateway.acceptor import with_connection_limit
from tussle.server.gateway.channels import Channels
from tussle.server.gateway.editing import Editing
from tussle.server.gateway.gateway import BUILD, Gateway
from tussle.server.gateway.http_guard import admit_connection, http_protocol
from tussle.server.gateway.http_server import HttpServer
from tussle.server.gateway.relay_client import Relays
from tussle.server.gateway.replay_gate import ReplayGate
from tussle.server.http.api import create_app
from tussle.server.http.bot_shares import BotShares
from tussle.server.http.reporter import Reporter
from tussle.server.http.reservations import Reservations
from tussle.server.http.session_changes import SessionChanges
from tussle.server.http.session_lists import SessionLists
from tussle.server.limits import Hosts, Proxies, owner_of_address
from tussle.server.live.hub import LiveHub
from tussle.server.metrics.solver_meters import SolverReading
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.library import Library
from tussle.server.recordings.pictures import Pictures
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploading import Uploading
from tussle.server.rtc.data_channels import DataChannels, is_installed
from tussle.server.rtc.ice_servers import configuration_of
from tussle.server.sessions.context import SessionContext
from tussle.server.sessions.first_scenes import ModeScenes
from tussle.server.sessions.forking import Forking
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.lease import Lease
from tussle.server.sessions.shape_cache import ShapeCache
from tussle.server.simulation.identity import physics_id
from tussle.server.solver.pool import Pool
from tussle.server.solver.spawning import Spawned
from tussle.server.store_memory import StoreMemory

__all__ = ["Server", "reduce_garbage_collection"]

log = get_logger("server.app")

DEADLINE_POLL_S = 0.25
"""Lobby deadlines are met within this time plus one store call; the documented limit is one second."""

CATALOGUE = ("bodies", "materials", "scenes", "meshes")
CATALOGUE_POLL_S = 30.0
MEMORY_POLL_S = 1.0
REPLAY_POLL_S = 1.0
SETTLE_S = 1.0


class Server:
    """One server. ``run`` returns once ``stop`` has been called and everything is closed."""

    def __init__(
        self, settings: Settings, store: Store, listener: socket.socket, first_solver: Spawned | None = None
    ) -> None:
        """first_solver: a solver process that was spawned before; the caller ends it if it still runs at the end."""
        self.build = BUILD
        self.telemetry = Telemetry()
        settings = with_connection_limit(settings)
        self.settings = settings
        self._proxies = Proxies(settings.trusted_proxies)
        self.hosts = Hosts(
            settings.allowed_hosts, settings.public_url, settings.internal_url, f"http://{settings.host}",
            f"http://{socket.gethostname()}", *split_list(settings.allowed_origins),
        )  # fmt: skip
        self.ledger = Ledger(settings, self.telemetry.count_overspending)
        self.store_memory = StoreMemory(store, self.telemetry, self._tell_store_full)
        self.banned = BannedAddresses(AddressBans(store))
        self.reservations = Reservations(store, self.ledger, settings.ticket_ttl_s)
        self.accounts = Accounts(store, settings)
        scripts = SessionScripts(store)
        self.seating = Seating(scripts, settings)
        self.filling = Filling(scripts)
        self.rematches = Rematches(store, settings)
        guesses = self.ledger.most(Resource.GUESSES, Owner.NAME)
        self.name_guesses = NameGuesses(store, settings.guess_rate, guesses)
        self.bot_holdings = BotHoldings(store, self.filling)
        self.bot_shares = BotShares(self.filling, self.bot_holdings, self.ledger)
        self.views = Views(store)
        self.mode_scenes = ModeScenes(self.bodies)
        self.meshes = Meshes(store, settings.mesh_store_bytes)
        self.scenes = SceneStore(store, settings, self.mode_scenes, self.meshes.sizes)
        self.session_lists = SessionLists(self.views)
        self.session_changes = SessionChanges(self.session_lists, self.ledger)
        self._timers = Timers(scripts, self.seating)
        self.standings = Standings(store)
        self.springs = SpringRuns(store, settings)
        host, port = listener.getsockname()[:2]
        public = settings.public_url.replace("{hostname}", socket.gethostname()).rstrip("/")
        local = local_url(host, port)
        self.url = public or local
        self.follows_requests = not public
        self.id = settings.server_id or new_server_id()
        self._holder_address = HolderAddress(self.id, new_secret()[:16], self.url)
        self._store = store
        self._listener = listener
        self._stop = asyncio.Event()
        self._ready = False
        self._bodies: dict[str, dict[str, Any]] = {}
        cores = os.cpu_count() or 1
        self.pool = Pool(
            settings.solvers or cores,
            archive_url=settings.archive_address,
            timeout_s=settings.solver_timeout_s,
            heavy=cores if settings.heavy_solvers < 0 else settings.heavy_solvers,
            meters=self.telemetry.solvers,
            first=first_solver,
        )
        self.telemetry.solvers.read = self._read_solvers
        servers = Servers(store)
        self.lease = Lease(
            servers,
            self._holder_address,
            physics_id=physics_id(),
            internal_url=settings.internal_url.replace("{hostname}", socket.gethostname()).rstrip("/")
            or local,
            period_ms=settings.lease_ms,
            load=lambda: self.holder.tokens,
            max_sessions=settings.max_sessions,
            telemetry=self.telemetry,
        )
        claims = Claims(store)
        connections = Connections(scripts, settings)
        self.forks = Forks(store, settings.archive_days)
        archive = Archive(settings.archive_address)
        self.shapes = ShapeCache(self.pool)
        self.forking = Forking(archive.url, self.pool, self.forks, settings.fork_ticks)
        recordings = Recordings(settings.recordings_address)
        self.recording_index = RecordingIndex(store, settings.recordings_listed)
        self.uploads = Uploads(store, settings)
        self.library = Library(recordings, RecordingMarks(store), self.views, self.uploads)
        self.pictures = Pictures(self.library)
        self.uploading = Uploading(settings, recordings, self.uploads)
        context = SessionContext(
            settings,
            Runs(store),
            self.forks,
            claims,
            self.lease,
            self.telemetry,
            archive,
            recordings,
            self.ledger,
            self.scenes,
        )
        self.audiences = Audiences(
            store,
            self.views,
            self.telemetry,
            on_event=self._handle_event,
            on_holder_change=lambda _: self.holder.look_soon(),
            on_observers=lambda token: self.observers.refresh(token),
            needed=lambda token: self.holder.holds(token),
            on_dropped=self._forget_session,
            on_reconnected=lambda: self.editing.missed(),
            on_message=lambda token, text: self.editing.heard(token, text),
        )
        self.editing = Editing(self.scenes, self.audiences, self.ledger, self.store_memory.admit)
        self.mesh_files = MeshFiles(settings.archive_address, settings.realm)
        self.observers = Observers(connections, self.views, self.audiences)
        self.holder = Holder(
            context,
            self.views,
            claims,
            servers,
            self.pool,
            self.bodies,
            self.audiences,
            on_neighbours=lambda: self.gateway.show_neighbours(),
        )
        self.relays = Relays(self.views, servers, self.holder)
        self.data_channels = self._make_data_channels()
        self.gateway = Gateway(
            settings,
            self.ledger,
            self._proxies,
            self.hosts,
            connections,
            self.seating,
            self.views,
            self.holder,
            self.telemetry,
            self.id,
            self.audiences,
            self.relays,
            servers,
            self.observers,
            self.editing,
            self.banned,
            Channels(
                settings,
                self.ledger,
                self.data_channels,
                missing=settings.webrtc and self.data_channels is None,
            ),
        )

        self.operators = Operators(scripts, self.seating)
        self.overviews = Overviews(
            store,
            servers,
            self.views,
            self.operators.bans,
            self.operators.address_bans,
            {"sessions": SessionShares(store, settings).counts, "bots": self.bot_holdings.counts},
        )
        self.reporter = Reporter(
            self._holder_address,
            BUILD,
            overviews=self.overviews,
            orders=self.operators.orders,
            lease=self.lease,
            holder=self.holder,
            gateway=self.gateway,
            audiences=self.audiences,
            telemetry=self.telemetry,
            ledger=self.ledger,
            sim_speed=settings.sim_speed,
            draining=self._stop.is_set,
            stop=self.stop,
            banned=self.banned,
        )
        self.live = LiveHub(store, self.accounts, self.operators, settings, self.ledger)
        self.gateway.live = self.live
        self.replay_rooms = ReplayRooms(store, settings)
        self.replay = ReplayGate(
            settings,
            store,
            self.ledger,
            self.accounts,
            self.operators,
            self.replay_rooms,
            self.library,
            self.store_memory,
            self.telemetry,
            lambda: self.holder.neighbours,
        )
        self.gateway.replay = self.replay

    # what the HTTP API calls

    def address(self) -> HolderAddress:
        return self._holder_address

    def neighbours(self) -> Sequence[str]:
        return self.holder.neighbours

    def _make_data_channels(self) -> DataChannels | None:
        """The data channels, if WEBRTC is on and the extra is installed."""
        if not self.settings.webrtc:
            return None
        if not is_installed():
            log.warning("webrtc_missing", install="pip install 'tussle[webrtc]'")
            return None
        return DataChannels(configuration_of(self.settings), self._count_channel_frames)

    def _count_channel_frames(self, sent: int, skipped: int, size: int) -> None:
        self.telemetry.frames(sent=sent, skipped=skipped, size=size)

    def bodies(self) -> dict[str, dict[str, Any]]:
        return self._bodies

    async def catalogue(self) -> dict[str, dict[str, Any]]:
        return {kind: await self._read_catalogue(kind) for kind in CATALOGUE}

    def health(self) -> dict[str, Any]:
        ok = self._ready and self.lease.held() and not self._stop.is_set()
        return {
            "ok": ok,
            "accepts": ok and not self.store_memory.full,
            "store": "full" if self.store_memory.full else "ok",
            "server": self.id,
            "build": self.build,
            "sessions": len(self.holder),
            "draining": self._stop.is_set(),
            "connections": self._connections(),
            "connection_limit": self.settings.max_connections,
        }

    def _read_solvers(self) -> list[SolverReading]:
        slots = [(solver, solver.slot(time.monotonic())) for solver in self.pool.solvers]
        return [
            SolverReading(
                index=slot.index,
                kind="heavy" if slot.heavy else "light",
                running=slot.running,
                sessions=slot.sessions,
                queue=solver.queue_length,
                busy=solver.busy(),
                load=slot.load,
            )
            for solver, slot in slots
        ]

    def _connections(self) -> int:
        return self.ledger.held(Resource.DESCRIPTORS, Owner.SERVER, "")

    def is_proxy(self, peer: str) -> bool:
        """Whether this is the address of a trusted proxy."""
        return self._proxies.trust(peer)

    def _admit_connection(self, peer: str) -> bool:
        """Whether an address may have one more connection. A proxy's connections belong to its clients."""
        return not peer or self._proxies.trust(peer) or admit_connection(self.ledger, owner_of_address(peer))

    # start and stop

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``. Raises StoreError or SolverFailed if it cannot start."""
        await self._load_catalogue()
        if not self._bodies:
            raise StoreError(
                f"the realm {self.settings.realm!r} has no catalogue, so no duel could begin: run"
                " `tussle seed`"
            )
        await self.banned.load()
        await self.lease.acquire()
        http = HttpServer(
            create_app(self),
            self.gateway.upgrade,
            self._listener,
            protocol=http_protocol(self.ledger, self._proxies),
            proxies=self._proxies.hosts(),
            connections=self._connections,
            most=self.settings.max_connections,
            admit=self._admit_connection,
        )
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [
                    group.create_task(self.lease.keep(), name="lease"),
                    group.create_task(self.live.follow_sources(), name="live"),
                    group.create_task(
                        self.telemetry.readings.keep(
                            self._store, hz=self.settings.telemetry_hz, kept=self.settings.telemetry_kept
                        ),
                        name="readings",
                    ),
                    group.create_task(self.audiences.watch(), name="audiences"),
                    group.create_task(self.observers.keep(), name="observers"),
                    group.create_task(self.editing.keep(), name="locks"),
                    group.create_task(self.replay.rooms.follow(), name="replay"),
                    group.create_task(self.replay.rooms.present.keep(), name="replay_members"),
                    group.create_task(self._every(REPLAY_POLL_S, self._look_at_replays), name="replay_look"),
                    group.create_task(self.reporter.keep(), name="report"),
                    group.create_task(self.reporter.follow_orders(), name="orders"),
                    group.create_task(self._every(DEADLINE_POLL_S, self._run_due), name="deadlines"),
                    group.create_task(self.holder.watch(), name="holder"),
                    group.create_task(self.holder.announce_outages(), name="outages"),
                    group.create_task(self.session_changes.keep(), name="session_changes"),
                    group.create_task(self._every(MEMORY_POLL_S, self.store_memory.look), name="memory"),
                    group.create_task(self._every(SETTLE_S, self.reservations.settle), name="reservations"),
                    group.create_task(self._every(CATALOGUE_POLL_S, self._load_catalogue), name="catalogue"),
                    group.create_task(
                        self._every(LOAD_S, self.reporter.read_address_bans), name="address_bans"
                    ),
                ]
                if self.data_channels is not None:
                    keepers.append(group.create_task(self.data_channels.keep(), name="rtc"))
                starting = group.create_task(self.pool.start(), name="solvers")
                await self._wait_for_stop(starting)
                if starting.done() and starting.exception() is None:
                    await self._serve(http, group)
                starting.cancel()
                for task in keepers:
                    task.cancel()
                self.audiences.close()
        finally:
            await self.pool.close()
            with contextlib.suppress(LobbyError):
                await self.lease.release()
            log.info("server_stopped", server=self.id)

    async def _serve(self, http: HttpServer, group: asyncio.TaskGroup) -> None:
        serving = group.create_task(http.serve(sockets=[self._listener]), name="http")
        reduce_garbage_collection()
        self._ready = True
        log.info(
            "server_started",
            url=self.url,
            server=self.id,
            solvers=sum(not solver.heavy for solver in self.pool.solvers),
        )
        await self._wait_for_stop(serving)
        log.info("server_stopping", sessions=len(self.holder))
        await self.holder.stop()
        await self.gateway.close()
        await self.relays.close()
        await self.pictures.close()
        self.session_changes.close()
        http.should_exit = True
        await serving

    async def _wait_for_stop(self, serving: asyncio.Task[None]) -> None:
        """Wait until ``stop`` is called, the lease is lost, or the task is done."""
        waits = [asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(self.lease.lost.wait())]
        await asyncio.wait([*waits, serving], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _every(self, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                await work()
            except LobbyError as error:
                log.warning("store_waiting", work=work.__name__, error=error.message)

    async def _run_due(self) -> None:
        await self._timers.run_due()

    async def _look_at_replays(self) -> None:
        await self.replay.rooms.look()

    async def _read_catalogue(self, kind: str) -> dict[str, Any]:
        flat = await self._store.call("HGETALL", self._store.keys.catalogue(kind))
        return {key: orjson.loads(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}

    async def _load_catalogue(self) -> None:
        self._bodies = await self._read_catalogue("bodies")

    # events

    def _tell_store_full(self, full: bool) -> None:
        if full:
            self.audiences.notify_all("store_full", "the store is almost full: no new lobbies for now")
        else:
            self.audiences.notify_all("store_ok", "")

    def _handle_event(self, token: str, event: Event) -> None:
        self.holder.events_seen(token, event)
        if event.t in ("starting", "recovered") and event.d.get("holder") != self.id:
            self.relays.remote(self.audiences.get(token, event.v))  # another server holds it now
        if event.t == "seat_connected":
            self.gateway.seat_taken_elsewhere(token, event.d["player"], event.d["conn"], event.v)

    def _forget_session(self, token: str) -> None:
        """Forget a session that has no viewer and no run on this server."""
        self.gateway.forget(token)
        self.observers.forget(token)
        self.relays.drop(token)


def reduce_garbage_collection() -> None:
    """Have the garbage collector run less often: with its defaults it used a fifth of the CPU time of a busy server.

    Objects that exist at the start are never examined again. Messages and frames are freed by reference counting; only
    cycles wait for the collector, and a closed connection leaves few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
