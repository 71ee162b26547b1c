"""The store's verbs on real stores: replies, refusals, outages, hints."""

from __future__ import annotations

import asyncio

import pytest
import redis

from tests.conftest import World, until
from tussle.lobby.errors import Conflict, StoreError
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore
from tussle.lobby.store.scripting import load_scripts
from tussle.lobby.store.store import REFUSALS, SCHEMA, Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups


async def test_it_tells_the_store_s_time(store: Store) -> None:
    """The clock counts milliseconds and does not go back."""
    first, second = await store.now_ms(), await store.now_ms()
    assert 1_600_000_000_000 < first <= second


async def test_a_batch_is_answered_in_order(store: Store) -> None:
    """Replies are plain text and numbers, in the order of the commands; bytes only where they are asked for."""
    key = store.keys.prefix + "probe"
    assert await store.batch([("SET", key, b"\xff"), ("STRLEN", key), ("GET", "nothing")]) == ["OK", 1, None]
    assert await store.batch([("INCR", key + "n"), ("INCR", key + "n")], atomic=True) == [1, 2]
    assert await store.call("GET", key, raw=True) == b"\xff"
    assert await store.batch([]) == []


async def test_what_the_store_refuses_is_a_store_error(store: Store) -> None:
    """A command that the store refuses raises, and the connection is good for the next one."""
    key = store.keys.prefix + "probe"
    await store.call("SET", key, "text")
    with pytest.raises(StoreError, match="refused"):
        await store.call("HGET", key, "field")
    with pytest.raises(StoreError, match="refused"):
        await store.batch([("GET", key), ("HGET", key, "field")])
    assert await store.call("GET", key) == "text"


async def test_a_script_that_the_store_forgot_is_sent_again(world: World) -> None:
    """EVALSHA of an unknown script falls back to EVAL, with the same effect."""
    name = "chat"
    assert world.store._scripts[name].sha != load_scripts()[name].sha
    session, players = await world.starting()
    await world.seating.chat(players[0], session, 1, "once")
    assert (await world.events(session)).count("chat") == 1


async def test_a_cancelled_call_does_not_poison_the_next(store: Store) -> None:
    """A connection whose reply is outstanding is not used again."""
    key = store.keys.prefix + "probe"
    for i in range(50):
        call = asyncio.create_task(store.call("INCR", key))
        for _ in range(i % 7):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await store.call("ECHO", str(i)) == str(i)


async def test_a_store_that_is_closed_while_it_connects_leaves_no_connection(store: Store) -> None:
    """Closed after each number of steps of a first call: that call ends, and the store has no client more than
    before."""
    before = await clients(store)

    async def gone() -> bool:
        return await clients(store) <= before

    for steps in range(30):
        closed = Store(store.url, "x")
        call = asyncio.create_task(closed.call("ECHO", "late"))
        for _ in range(steps):
            await asyncio.sleep(0)
        await closed.close()
        (end,) = await asyncio.gather(call, return_exceptions=True)
        assert end == "late" or isinstance(end, StoreError)
        await until(gone)


async def clients(store: Store) -> int:
    """How many connections the store has."""
    return len(str(await store.call("CLIENT", "LIST")).splitlines())


async def test_many_calls_share_few_connections(store: Store) -> None:
    """More calls than connections wait for their turn."""
    key = store.keys.prefix + "probe"
    assert sorted(await asyncio.gather(*(store.call("INCR", key) for _ in range(200)))) == list(range(1, 201))


async def test_a_connection_looks_nothing_up(
    store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection does not read the metadata of installed packages, and still tells the store its version, which
    stores from 7.2 on show."""
    read: list[str] = []
    monkeypatch.setattr("redis.utils.metadata.version", read.append)
    store = await Store.connect(store_url, realm)
    try:
        clients = await store.call("CLIENT", "LIST")
    finally:
        await store.close()
    assert read == [] and ("lib-ver=" not in clients or f"lib-ver={redis.__version__}" in clients)


async def test_a_newer_schema_is_refused(store: Store) -> None:
    """A store whose layout is of another number is not touched."""
    await store.call("HSET", store.keys.meta, "schema", SCHEMA + 1)
    with pytest.raises(StoreError, match="too old") as refused:
        await Store.connect(store.url, store.keys.realm)
    assert refused.value.reason == "schema_mismatch"
    await store.call("HSET", store.keys.meta, "schema", SCHEMA - 1)
    with pytest.raises(StoreError, match="tussle migrate"):
        await Store.connect(store.url, store.keys.realm)


async def test_an_old_store_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis before 7 is named and refused."""

    async def info(self: Store, *command: object, raw: bool = False) -> str:
        return "# Server\r\nredis_version:6.2.14\r\n"

    monkeypatch.setattr(Store, "call", info)
    with pytest.raises(StoreError, match=r"6\.2\.14") as refused:
        await Store.connect(store.url, store.keys.realm)
    assert refused.value.reason == "store_too_old"


@pytest.mark.parametrize("url", ["nonsense", "http://user:hush@here:1"])
async def test_a_bad_address_is_refused(url: str) -> None:
    """What is no address of a store is said to be none, without the secret in it."""
    with pytest.raises(StoreError) as refused:
        await Store.connect(url, "x")
    assert refused.value.reason == "bad_address" and "hush" not in refused.value.message


async def test_calls_survive_a_change_of_the_pool(store: Store) -> None:
    """Calls that are under way when the realm's node changes end as answers or StoreErrors, and later ones work."""
    before = store._pool
    calls = [asyncio.create_task(store.call("ECHO", str(i))) for i in range(60)]
    for _ in range(20):
        await asyncio.sleep(0)
    store._pool = store._make_pool(store.url)
    await before.disconnect()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(end == str(i) or isinstance(end, StoreError) for i, end in enumerate(ends)), ends
    assert await store.call("ECHO", "on") == "on"
    await before.disconnect()


async def test_a_store_that_is_not_there() -> None:
    """No store at the address: a StoreError, soon."""
    with pytest.raises(StoreError):
        await Store.connect("redis://127.0.0.1:1", "x", timeout_s=1)


async def test_a_store_that_is_silent() -> None:
    """A peer that accepts and never answers costs the timeout and no more."""
    over = asyncio.Event()

    async def be_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreError):
            await Store.connect(f"redis://127.0.0.1:{port}", "x", timeout_s=0.1)
        over.set()


async def test_an_unknown_refusal_is_our_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that is not in the table is no message for clients."""
    session, players = await world.starting()
    monkeypatch.delitem(REFUSALS, "not_open")
    with pytest.raises(StoreError, match="unknown code"):
        await world.seating.set_ready(players[0], session, False)
    monkeypatch.setitem(REFUSALS, "not_open", Conflict)
    with pytest.raises(Conflict):
        await world.seating.set_ready(players[0], session, False)


async def test_hints_arrive_for_the_wanted_channels(store: Store) -> None:
    """What is published after ``add`` returned arrives; after ``remove`` it does not; equal hints are one."""
    async with Wakeups(store) as hints, asyncio.timeout(10):
        await hints.add("a", "b")
        for channel, payload in [("a", "1"), ("b", "2"), ("b", "2"), ("other", "3"), ("a", "4")]:
            await store.call(
                "PUBLISH", store.keys.prefix + channel if channel == "other" else channel, payload
            )
        reader = aiter(hints)
        seen = [await anext(reader) for _ in range(3)]
        while seen[-1] != ("a", "4"):
            seen.append(await anext(reader))
        assert set(seen) == {("a", "1"), ("b", "2"), ("a", "4")}
        await hints.remove("b", "never added")
        await hints.add("c")
        await store.call("PUBLISH", "b", "5")
        await store.call("PUBLISH", "c", "6")
        assert await anext(reader) == ("c", "6")


async def test_hints_survive_a_restart_of_the_store(valkey: Binary, settings: Settings) -> None:
    """After the store was away the reader is asked to read again, and its channels are subscribed once more."""
    async with EmbeddedStore(settings, binary=valkey) as embedded, asyncio.timeout(30):
        store = await Store.connect(embedded.url, "x", timeout_s=10)
        await store.call("SET", "kept", "1")
        async with Wakeups(store) as hints:
            await hints.add("a")
            reader = aiter(hints)
            port = int(embedded.url.rpartition(":")[2])
            await embedded.stop_async()
            with pytest.raises(StoreError):
                await store.call("GET", "kept")
            embedded._wanted_port = port
            await embedded.start_async()
            assert await anext(reader) == (RECONNECTED, "")
            await hints.add("a", "b")
            await store.call("PUBLISH", "a", "back")
            assert await anext(reader) == ("a", "back")
        assert await store.call("GET", "kept") == "1"
        await store.close()
