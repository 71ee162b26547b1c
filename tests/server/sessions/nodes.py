"""Servers without sockets on a store of a test's own, for tests/server/sessions/test_holder.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import World, until
from tussle.build_db import catalogue_path, read_catalogue
from tussle.lobby.claims import Claims
from tussle.lobby.errors import LobbyError
from tussle.lobby.forks import Forks
from tussle.lobby.operators import Operators
from tussle.lobby.runs import Runs
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.views import Views
from tussle.server.archive.archive import Archive
from tussle.server.costs import Ledger
from tussle.server.fanout.audiences import Audiences
from tussle.server.gateway.relay_client import RemoteRun
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.recordings import Recordings
from tussle.server.sessions.context import SessionContext
from tussle.server.sessions.first_scenes import ModeScenes
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.lease import Lease
from tussle.server.sessions.run import Run
from tussle.server.simulation.identity import physics_id
from tussle.server.solver.pool import Pool

LEASE_MS = 900
TURN_S = 600.0
"""No turn ends by itself, also where a test waits for new solver processes."""

LAUNCH = {"azimuth": 20.0, "elevation": 10.0, "power": 0.4}


def bodies() -> dict[str, dict[str, Any]]:
    stored = read_catalogue(catalogue_path(Settings()))["bodies"]
    return {body: json.loads(entry) for body, entry in stored.items()}


class Node:
    """One server of the realm, without sockets; ``start`` it."""

    def __init__(self, store: Store, settings: Settings, pool: Pool, address: HolderAddress) -> None:
        self.store = store
        self.address = address
        self.pool = pool
        self.telemetry = Telemetry()
        self.servers = Servers(store)
        self.views = Views(store)
        self.lease = Lease(
            self.servers,
            address,
            physics_id=physics_id(),
            internal_url="http://127.0.0.1:1",
            period_ms=settings.lease_ms,
            load=lambda: self.holder.tokens,
            max_sessions=settings.max_sessions,
            telemetry=self.telemetry,
        )
        self.archive = Archive(str(settings.data_dir / "archive"))
        self.recordings = Recordings(settings.recordings_address)
        claims = Claims(store)
        self.context = SessionContext(
            settings,
            Runs(store),
            Forks(store),
            claims,
            self.lease,
            self.telemetry,
            self.archive,
            self.recordings,
            Ledger(settings, lambda *_: None),
            SceneStore(store, settings, ModeScenes(bodies)),
        )
        self.audiences = Audiences(
            store,
            self.views,
            self.telemetry,
            on_event=lambda token, event: self.holder.events_seen(token, event),
            on_holder_change=lambda _: self.holder.look_soon(),
            needed=lambda token: self.holder.holds(token),
            on_dropped=lambda _: None,
            on_observers=lambda *_: None,
            on_reconnected=lambda: None,
            on_message=lambda *_: None,
        )
        catalogue = bodies()
        self.holder = Holder(
            self.context,
            self.views,
            claims,
            self.servers,
            pool,
            lambda: catalogue,
            self.audiences,
            on_neighbours=lambda: None,
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, watching: bool = True) -> Node:
        """``watching``: it looks around by itself."""
        await self.lease.acquire()
        self.tasks = [asyncio.create_task(work) for work in (self.lease.keep(), self.audiences.watch())]
        if watching:
            self.tasks.append(asyncio.create_task(self.holder.watch()))
        return self

    async def run(self, token: str) -> Run:
        """The run of that session, once it is set up."""

        async def is_set_up() -> bool:
            return token in self.holder.runs

        await until(is_set_up, 120.0)
        return self.holder.runs[token]

    async def gone(self, token: str) -> None:
        """Wait until the node does not hold the session any more."""

        async def gone() -> bool:
            return not self.holder.holds(token)

        await until(gone, 60.0)

    async def die(self) -> None:
        await self.close()
        await self.store.call("DEL", self.store.keys.server(self.address.id))

    async def close(self) -> None:
        tasks = [*self.tasks, *self.holder._tasks.values()]
        self.audiences.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.tasks = []

    def nothing_left(self, token: str) -> None:
        """Neither a world in a solver process nor an open file of the archive."""
        for solver in self.pool.solvers:
            assert token not in solver.sessions and token not in solver._owners
            assert solver._process is None or token not in solver._process.worlds
        for handle in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                assert token not in str(handle.readlink())


@dataclass
class Site:
    """A realm of a test's own."""

    world: World
    settings: Settings
    pools: list[Pool]
    nodes: list[Node] = field(default_factory=list)

    @property
    def operators(self) -> Operators:
        return Operators(self.world.scripts, self.world.seating)

    async def node(self, name: str, *, watching: bool = True, nonce: str = "") -> Node:
        """One more server, each on the next pool."""
        pool = self.pools[len(self.nodes) % len(self.pools)]
        address = HolderAddress(name, nonce or secrets.token_hex(4), f"http://{name}:1")
        node = Node(self.world.store, self.settings, pool, address)
        self.nodes.append(node)
        self.world.holder = address
        return await node.start(watching=watching)

    async def duel(self, node: Node) -> tuple[str, Run]:
        """A duel that runs on that node, with a turn that waits."""
        self.world.holder = node.address
        token, _ = await self.world.starting()
        node.holder.start_session(token, await self.world.views.newest_v(token))
        run = await node.run(token)
        assert run.core.phase == "acting"
        return token, run

    async def said(self, token: str, kind: str, count: int = 1) -> dict[str, Any]:
        """The data of the ``count``-th event of that kind, once it happened."""
        found: list[dict[str, Any]] = []

        async def happened() -> bool:
            found[:] = [dict(e.d) for e in await self.world.views.events(token, 0) if e.t == kind]
            return len(found) >= count

        await until(happened, 120.0)
        return found[count - 1]

    async def paused(self, token: str, run: Run) -> None:
        """Pause the session as an operator, and wait until its holder has applied that."""
        await self.operators.pause(token, "boss")

        async def is_paused() -> bool:
            return run._paused

        await until(is_paused)

    async def left_ms(self, token: str) -> int:
        """Time left of a turn whose clock is stopped [ms]; -1 if the clock runs."""
        store = self.world.store
        return int(await store.call("HGET", store.keys.session(token), "turn_left_ms") or -1)


async def acted(run: Run, number: int) -> int:
    """Launch for the seat whose turn it is. Returns the tick of the input."""
    assert run.core.seat is not None
    return await admitted(run, run.core.seat, number)


def admitted(run: Run | RemoteRun, seat: int, number: int) -> asyncio.Future[int]:
    """Send a launch. The future gets its tick or its error; it is cancelled if the session moved."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answer(outcome: int | LobbyError | None) -> None:
        if outcome is None:
            future.cancel()
        elif isinstance(outcome, int):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    run.accept_input(seat, number, "launch", dict(LAUNCH), time.monotonic(), answer, False)
    return future
