"""The store users of compose/store.sh: each role may do its work, and is refused what it does not need."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import until
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.lobby.errors import StoreError
from tussle.lobby.store.store import Store

SCRIPT = ROOT / "compose" / "store.sh"
ROLES = ("server", "worker", "seed", "reader")


@dataclass(frozen=True, slots=True)
class Users:
    """Builds the store address of each role."""

    store_url: str
    names: dict[str, str]

    def url(self, role: str) -> str:
        return self.store_url.replace("redis://", f"redis://{self.names[role]}:password-of-{role}@")


@pytest.fixture
async def users(store: Store, store_url: str, realm: str, tmp_path: Path) -> AsyncIterator[Users]:
    """Create the script's users for the realm of this test, under unique names."""
    passwords = {f"STORE_{role.upper()}_PASSWORD": f"password-of-{role}" for role in ROLES}
    subprocess.run(  # noqa: ASYNC221 - takes milliseconds
        ["sh", SCRIPT, "users", tmp_path / "users.acl"],
        env={"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": "x", "REALM": realm, **passwords},
        check=True, timeout=30,
    )  # fmt: skip
    names = {}
    for line in (tmp_path / "users.acl").read_text().splitlines():
        _, role, *rules = line.split()
        if role != "default":
            names[role] = f"{role}-{realm}"
            await store.call("ACL", "SETUSER", names[role], "reset", *rules)
    yield Users(store_url, names)
    for name in names.values():
        await store.call("ACL", "DELUSER", name)


async def denied(store: Store, users: Users) -> list[str]:
    """List the commands that the store refused these users, from its ACL log."""
    entries = await store.call("ACL", "LOG", 1000)
    records = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in entries]
    return [
        f"{record['username']}: {record['reason']} {record['object']} in {record['context']}"
        for record in records
        if record["username"] in users.names.values()
    ]


@pytest.mark.timeout(300)
async def test_every_role_can_do_its_work(store: Store, users: Users, realm: str, tmp_path: Path) -> None:
    """Seeding, play, logs, awards, expiry, storage, springs, sources and the sweep run without a refused command."""
    settings = {
        "SIM_SPEED": "0",
        "LOG_PUBLISH": "true",
        "EXPIRY_S": "5",
        "SWEEP_S": "0.5",
        "STORAGE_FLUSH_S": "0.1",
    }
    worker = {"REDIS_URL": users.url("worker")}
    keys = store.keys
    async with Stack.up(users.url("seed"), realm, **settings) as stack:
        await stack.server(REDIS_URL=users.url("server"))
        await stack.worker(**worker)
        storage = await stack.worker("storage", STORAGE_URL=str(tmp_path / "lake"), **worker)
        for program in (("meshes",), ("velocity",), ("position",), ("source",), ("bridge",)):
            await stack.worker(*program, SOURCE="mock", SOURCE_NAME="mock", SPRING_CYCLES="50", **worker)
        bots = await stack.bots(2, 1)
        assert await bots.wait(90) == 0, bots.output
        start = '{"x":0,"v":1,"t":0.0}'
        await store.call("XADD", keys.positions, "*", "name", "mine", "in", start, "out", start)

        async def all_done() -> bool:
            rated = await store.call("ZCARD", keys.leaderboard("duel"))
            steps = await store.call("XLEN", keys.positions)
            sources = await store.call("EXISTS", keys.sources)
            return bool(rated == 2 and steps == 51 and sources and "session_stored" in storage.output)

        async def swept() -> bool:
            return not await store.call("ZCARD", keys.ended)

        await until(all_done, 60)
        await until(swept, 60)
        assert await denied(store, users) == []
        for process in stack.processes:
            assert "NOPERM" not in process.output, process.output[-2000:]
    assert await denied(store, users) == []


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("worker", ("HGETALL", "login:x")),
        ("worker", ("GET", "ticket:x")),
        ("worker", ("HSET", "catalogue:bodies", "x", "{}")),
        ("worker", ("HGETALL", "players:by-name")),
        ("seed", ("HGETALL", "player:x")),
        ("seed", ("XADD", "lifecycle", "*", "event", "ended")),
        ("reader", ("DEL", "meta")),
        ("reader", ("XADD", "lifecycle", "*", "event", "ended")),
        ("reader", ("HGETALL", "login:x")),
        ("reader", ("HGETALL", "player:x")),
    ],
)
async def test_a_role_is_refused_the_keys_of_another(
    users: Users, realm: str, role: str, command: tuple[str, ...]
) -> None:
    """Workers cannot read logins, tickets and names; seeders cannot read players; readers cannot write."""
    connection = Store(users.url(role), realm, timeout_s=5.0, connections=1)
    try:
        name, key, *rest = command
        with pytest.raises(StoreError, match="permission"):
            await connection.call(name, f"{connection.keys.prefix}{key}", *rest)
    finally:
        await connection.close()


async def test_a_reader_reads_what_is_public(users: Users, store: Store, realm: str) -> None:
    """A reader can read lists, events and the state of the store."""
    connection = Store(users.url("reader"), realm, timeout_s=5.0, connections=1)
    keys = connection.keys
    try:
        await store.call("XADD", keys.lifecycle, "*", "event", "opened")
        assert await connection.call("XLEN", keys.lifecycle) == 1
        assert await connection.call("ZRANGE", keys.running, 0, -1) == []
        assert await connection.call("HGETALL", keys.catalogue("bodies")) == []
        assert "redis_version" in str(await connection.call("INFO", "server"))
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_may_administer_or_use_another_realm(users: Users, realm: str, role: str) -> None:
    """Flushing, configuration, user management and keys of another realm are refused."""
    connection = Store(users.url(role), realm, timeout_s=5.0, connections=1)
    try:
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("KEYS", "*"),
            ("GET", "{other}:meta"),
        ):
            with pytest.raises(StoreError, match="permission"):
                await connection.call(*command)
    finally:
        await connection.close()
