"""The storage worker on real streams. Each entry is stored once, whichever process is killed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from tests.conftest import until
from tests.support.http import http_client
from tests.support.stack import Stack
from tussle.lobby.accounts import Accounts
from tussle.lobby.environment import BadSetting
from tussle.lobby.ids import new_server_id
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.consumer_group import Entry, trim_acknowledged
from tussle.lobby.store.embedded import free_port
from tussle.lobby.store.store import Store
from tussle.worker.storage.influx import line
from tussle.worker.storage.parquet import MERGED, PARTS_MERGED, ParquetSink
from tussle.worker.storage.sink import Position, SinkUnavailable
from tussle.worker.storage.sink_choice import make_sink
from tussle.worker.storage.storage import Storage
from tussle.worker.storage.tables import Feed


def settings(**more: Any) -> Settings:
    return Settings.read({}, storage_flush_s=0.02, storage_lease_s=0.5, **more)


def query(
    root: Path, table: str, columns: str = "count(*), count(DISTINCT id)", tail: str = ""
) -> list[tuple[Any, ...]]:
    """Return the rows of a table, [] if nothing is stored yet."""
    if not list((root / table).rglob("[!.]*.parquet")):
        return []
    with duckdb.connect() as lake:
        source = f"read_parquet('{root}/{table}/**/*.parquet', hive_partitioning = true)"
        return lake.execute(f"SELECT {columns} FROM {source} {tail}").fetchall()


async def holds(root: Path, table: str, count: int) -> None:
    """Wait until the files of a table have ``count`` entries, all distinct."""

    async def there() -> bool:
        return query(root, table) == [(count, count)]

    await until(there)


async def stored(store: Store, count: int, timeout_s: float = 30.0) -> None:
    """Wait until the storage worker reports ``count`` stored entries."""

    async def there() -> bool:
        return int(await store.call("HGET", store.keys.storage, "stored") or 0) >= count

    await until(there, timeout_s)


@contextlib.asynccontextmanager
async def running(storage: Storage) -> AsyncIterator[None]:
    task = asyncio.create_task(storage.run())
    try:
        yield
    finally:
        storage.stop()
        async with asyncio.timeout(10):
            await task


async def add_steps(store: Store, first: int, count: int) -> None:
    state = [
        json.dumps({"x": float(n), "v": -float(n), "t": n / 10, "n": n, "run": "1-0"})
        for n in range(first, first + count)
    ]
    await store.batch(
        [("XADD", store.keys.positions, "*", "name", "m", "in", text, "out", text) for text in state]
    )


async def open_session(store: Store) -> tuple[str, str]:
    """Open a lobby with one player; return (session, player)."""
    made = Settings.read({})
    player = (await Accounts(store, made).login(name="ada", secret=None, kind="person", bearer=None)).player
    seat = await Seating(SessionScripts(store), made).open(
        player, "duel", 2, holder=HolderAddress(new_server_id(), "nonce", "http://127.0.0.1:1")
    )
    return seat.session, player


async def add_telemetry(store: Store, session: str, count: int) -> None:
    for n in range(1, count + 1):
        readings = json.dumps({"energy": n * 1.5, "score": [n, 0], "min_distance": None})
        at = datetime.now(UTC).isoformat()
        await store.call(
            "XADD", store.keys.telemetry(session), "*", "n", n, "timestamp", at, "readings", readings
        )


async def test_every_stream_becomes_its_table(stream_store: Store, tmp_path: Path) -> None:
    """Each stream's table has one row per entry, partitioned by day and session."""
    store = stream_store
    session, player = await open_session(store)
    await store.call(
        "XADD", store.keys.journal(session), "7-1", "d", '{"seat":0,"kind":"launch","id":3,"d":{"power":0.5}}'
    )
    await add_telemetry(store, session, 5)
    await store.call("HSET", store.keys.sources, "mock", "{}")
    at = "2026-11-20T10:00:00+00:00"
    await store.call(
        "XADD", store.keys.source("mock"), "*", "n", 1, "timestamp", at, "readings", '{"sine":0.25}'
    )
    await add_steps(store, 1, 40)
    async with running(Storage(store, settings(), ParquetSink(tmp_path))):
        await Seating(SessionScripts(store), Settings.read({})).leave(player, session)
        await store.call("XADD", store.keys.positions, "*", "name", "bad", "in", "{}", "out", "{")
        entries = sum(
            [
                int(await store.call("XLEN", key))
                for key in (store.keys.lifecycle, store.keys.events(session), store.keys.positions)
            ]
        )
        await stored(store, entries + 1 + 5 + 1)
    lifecycle = query(tmp_path, "lifecycle", "event, session, epoch_ms(happened_at)", "ORDER BY id")
    assert [(event, token) for event, token, _ in lifecycle] == [("opened", session), ("ended", session)]
    today = datetime.fromtimestamp(lifecycle[0][2] / 1000, UTC).date()
    events = query(tmp_path, "events", "v, type, data, day, session", "ORDER BY v")
    assert [row[0] for row in events] == list(range(1, len(events) + 1))
    assert {row[4] for row in events} == {session} and {row[3] for row in events} == {today}
    assert json.loads(events[0][2])["player"] == player
    assert query(tmp_path, "inputs", "tick, n, seat, kind, command, data") == [
        (7, 1, 0, "launch", 3, '{"power":0.5}')
    ]
    assert query(tmp_path, "telemetry") == [(15, 5)]
    sensors = query(tmp_path, "telemetry", "DISTINCT sensor", "ORDER BY ALL")
    assert sensors == [("energy",), ("score.0",), ("score.1",)]
    assert query(tmp_path, "readings", "source, sensor, value, timestamp::VARCHAR")[0][:3] == (
        "mock",
        "sine",
        0.25,
    )
    assert query(tmp_path, "positions") == [(40, 40)]
    assert query(tmp_path, "positions", "n, x, v, t", "ORDER BY n")[6] == (7, 7.0, -7.0, 0.7)
    assert len(list((tmp_path / "events").rglob("[!.]*.parquet"))) == 1, (
        "the parts of a finished session are merged"
    )


async def test_an_entry_that_no_column_can_have_is_left_out(stream_store: Store, tmp_path: Path) -> None:
    """Numbers of more than 64 bits or that are not finite, times that no calendar has and documents that are too deep,
    as people write them to a stream, have no row; the entries after them are stored."""
    store = stream_store
    start, deep = '{"x":0,"v":0,"t":0}', "[" * 5000 + "]" * 5000
    states = [
        '{"x":1,"v":2,"t":3,"n":99999999999999999999}',
        '{"x":"inf","v":2,"t":3}',
        '{"x":"nan","v":2,"t":3}',
        deep,
    ]
    states += ['{"x":1,"v":2,"t":3,"n":1%s}' % ("0" * 400), '{"x":[],"v":2,"t":3}', "[]"]
    await store.call("HSET", store.keys.sources, "mock", "{}")
    readings = [
        ("1", "2026-11-20T10:00:00+00:00", '{"sine":"nan"}'),
        ("99999999999999999999", "2026-11-20T10:00:00+00:00", '{"sine":1}'),
        ("1", "9999-12-31T23:59:59-23:59", '{"sine":1}'),
        ("1", "0001-01-01T00:00:00+23:59", '{"sine":1}'),
        ("1", "2026-11-20T10:00:00+00:00", deep),
    ]
    events = [
        "event opened session abcdefgh at 1e9 size 2",
        f"event opened session abcdefgh at 1 size {10**20}",
    ]
    async with running(Storage(store, settings(), ParquetSink(tmp_path))):
        await add_steps(store, 1, 1)
        for text in states:
            await store.call("XADD", store.keys.positions, "*", "name", "m", "in", start, "out", text)
        for n, at, text in readings:
            await store.call(
                "XADD", store.keys.source("mock"), "*", "n", n, "timestamp", at, "readings", text
            )
        for text in events:
            await store.call("XADD", store.keys.lifecycle, "*", *text.split())
        await add_steps(store, 2, 1)
        await store.call("XADD", store.keys.positions, f"{2**63}-1", "name", "m", "in", start, "out", start)
        await stored(store, 3 + len(states) + len(readings) + len(events))
    assert query(tmp_path, "positions", "n", "ORDER BY n") == [(0,), (1,), (2,)]
    assert query(tmp_path, "readings") == query(tmp_path, "lifecycle") == [(0, 0)]


async def test_kill_9_loses_and_repeats_nothing(stream_store: Store, tmp_path: Path) -> None:
    """A storage process is killed repeatedly while entries arrive; afterwards rows = XLEN, without duplicates."""
    stack = Stack.up(
        stream_store.url,
        stream_store.keys.realm,
        STORAGE_URL=str(tmp_path),
        STORAGE_FLUSH_S="0.01",
        STORAGE_LEASE_S="0.5",
    )
    await stream_store.call("DEL", stream_store.keys.storage)
    try:
        written = 0
        for _ in range(4):
            process = await stack.start("worker", "storage", "storage")
            for _ in range(40):
                await add_steps(stream_store, written + 1, 25)
                written += 25
            await stored(stream_store, 1)
            await process.kill()
            await stream_store.call("DEL", stream_store.keys.storage)
        await stack.start("worker", "storage", "storage")
        await add_steps(stream_store, written + 1, 1)
        async with asyncio.timeout(30):
            while query(tmp_path, "positions", "max(n)") != [(written + 1,)]:
                await stored(stream_store, 1)
        assert await stack.processes[-1].end() == 0
    finally:
        await stack.close()
    length = int(await stream_store.call("XLEN", stream_store.keys.positions))
    assert query(tmp_path, "positions") == [(length, length)]
    assert query(tmp_path, "positions", "min(n), max(n)") == [(1, length)]
    assert not [path for path in parts(tmp_path) if path.suffix == ".tmp"]


class Flaky:
    """A sink that is unavailable until a test changes it."""

    name = "flaky"

    def __init__(self) -> None:
        self.away = True
        self.rows: list[str] = []
        self.refused = asyncio.Event()

    async def open(self) -> None: ...
    async def finish(self, feed: Feed) -> None: ...
    async def close(self) -> None: ...

    async def position(self, feed: Feed) -> Position:
        mine = [entry for key, entry in (row.split(" ") for row in self.rows) if key == feed.key]
        return Position(mine[-1], len(mine)) if mine else Position()

    async def write(self, feed: Feed, after: Position, entries: Sequence[Entry]) -> Position:
        if self.away:
            self.refused.set()
            raise SinkUnavailable("away")
        self.rows += [f"{feed.key} {entry.id}" for entry in entries]
        return Position(entries[-1].id, after.count + len(entries))


async def test_an_unavailable_sink_loses_only_trimmed_entries(stream_store: Store) -> None:
    """While the sink is unavailable entries wait in the stream; trimmed ones count as lost, the rest is stored."""
    sink = Flaky()
    storage = Storage(stream_store, settings(), sink)
    async with running(storage):
        await add_steps(stream_store, 1, 100)
        async with asyncio.timeout(10):
            await sink.refused.wait()
        await stream_store.call("XTRIM", stream_store.keys.positions, "MAXLEN", 60)
        sink.away = False
        await stored(stream_store, 60)
    assert (len(sink.rows), storage.lost) == (60, 40)
    said = await stream_store.call("HMGET", stream_store.keys.storage, "state", "sink", "stored", "lost")
    assert said == ["stopped", "flaky", "60", "40"]


async def test_entries_before_the_first_start_are_not_lost(stream_store: Store) -> None:
    """Storage that has stored nothing of a stream begins with what the stream has, although older entries were
    trimmed. What is trimmed later counts."""
    await add_steps(stream_store, 1, 100)
    await stream_store.call("XTRIM", stream_store.keys.positions, "MAXLEN", 60)
    sink = Flaky()
    sink.away = False
    storage = Storage(stream_store, settings(), sink)
    async with running(storage):
        await stored(stream_store, 60)
    assert (len(sink.rows), storage.lost) == (60, 0)


async def test_one_worker_writes_and_the_next_one_takes_over(stream_store: Store, tmp_path: Path) -> None:
    """When the writer ends, another replica continues from the files without a gap or a duplicate."""
    first, second = (Storage(stream_store, settings(), ParquetSink(tmp_path)) for _ in range(2))
    async with running(first):
        await add_steps(stream_store, 1, 10)
        await stored(stream_store, 10)
        async with running(second):
            first.stop()
            await add_steps(stream_store, 11, 10)
            await holds(tmp_path, "positions", 20)
    assert first.stored + second.stored == 20


async def test_the_lifecycle_is_not_trimmed_before_it_is_stored(stream_store: Store, tmp_path: Path) -> None:
    """The sweep trims only entries that all groups acknowledged, also the storage group while no worker runs."""
    store, lifecycle = stream_store, stream_store.keys.lifecycle
    async with running(Storage(store, settings(), ParquetSink(tmp_path))):
        await open_session(store)
        await stored(store, 1)
    had = int(await store.call("XLEN", lifecycle))
    await store.call("XADD", lifecycle, "*", "session", "k7qm2xpv", "event", "opened", "at", "1")
    assert await trim_acknowledged(store, lifecycle) == had
    async with running(Storage(store, settings(), ParquetSink(tmp_path))):
        await holds(tmp_path, "lifecycle", had + 1)
    assert await trim_acknowledged(store, lifecycle) == 1


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("gone", [0, 3, 5])
async def test_a_merge_that_was_killed_is_finished(tmp_path: Path, gone: int) -> None:
    """After a kill between merge and deletion of the parts, the next writer ends with each row once."""
    sink, feed, position = ParquetSink(tmp_path), Feed("positions", "positions"), Position()
    await sink.open()
    out = '{"x":1,"v":2,"t":3}'
    for n in range(5):
        entries = [Entry(f"{1795183709051 + n}-{i}", {"name": "m", "in": out, "out": out}) for i in range(3)]
        position = await sink.write(feed, position, entries)
    files = sorted(parts(tmp_path))
    kept = {path: path.read_bytes() for path in files}
    await sink.finish(feed)
    (merged,) = parts(tmp_path)
    merged.rename(merged.with_name(f".{files[0].stem}{MERGED}"))
    for path in files[gone:]:
        path.write_bytes(kept[path])
    again = ParquetSink(tmp_path)
    await again.open()
    assert query(tmp_path, "positions") == [(15, 15)]
    assert await again.position(feed) == position == Position("1795183709055-2", 15)


async def test_small_parts_are_merged(tmp_path: Path) -> None:
    """After PARTS_MERGED writes a folder has one file, and the stored position is that of the newest entry."""
    sink, feed, position = ParquetSink(tmp_path), Feed("positions", "positions"), Position()
    await sink.open()
    out = '{"x":1,"v":2,"t":3}'
    for n in range(PARTS_MERGED + 2):
        position = await sink.write(
            feed, position, [Entry(f"{1795183709051 + n}-0", {"name": "m", "in": out, "out": out})]
        )
    assert len(parts(tmp_path)) == 3
    assert await ParquetSink(tmp_path).position(feed) == position
    assert query(tmp_path, "positions") == [(PARTS_MERGED + 2, PARTS_MERGED + 2)]


async def test_a_folder_that_cannot_be_synced_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails to write the names of a folder refuses the write and the position, until it succeeds; a system
    that cannot sync folders at all is no failure."""
    sink, feed = ParquetSink(tmp_path), Feed("positions", "positions")
    out = '{"x":1,"v":2,"t":3}'
    entries = [Entry(f"{1795183709051 + n}-0", {"name": "m", "in": out, "out": out}) for n in range(2)]
    await sink.open()
    fsync, failure = os.fsync, errno.EIO
    folder = tmp_path / "positions" / "day=2026-11-20"

    def fail(descriptor: int) -> None:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode) and os.path.samestat(about, folder.stat()):
            raise OSError(failure, os.strerror(failure))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkUnavailable, match="Errno 5"):
        await sink.write(feed, Position(), entries[:1])
    with pytest.raises(SinkUnavailable, match="Errno 5"):
        await ParquetSink(tmp_path).position(feed)
    failure = errno.EINVAL
    position = await ParquetSink(tmp_path).position(feed)
    assert position == Position(entries[0].id, 1)
    assert await sink.write(feed, position, entries[1:]) == Position(entries[1].id, 2)
    assert query(tmp_path, "positions") == [(2, 2)]


@pytest.mark.parametrize("level", [1, 2, 3])
async def test_the_names_of_new_folders_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    """An entry is stored once the names of all folders above its file are on the disk, up to the folder of the lake."""
    lake = tmp_path / "lake"
    sink, feed = ParquetSink(lake), Feed("positions", "positions")
    entry = Entry("1795183709051-0", {"name": "m", "in": '{"x":1,"v":2,"t":3}', "out": '{"x":1,"v":2,"t":3}'})
    await sink.open()
    fsync, failing = (
        os.fsync,
        [lake / "positions" / "day=2026-11-20", lake / "positions", lake, tmp_path][level],
    )

    def fail(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), failing.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkUnavailable, match="Errno 5"):
        await sink.write(feed, Position(), [entry])
    assert query(lake, "positions") == []
    monkeypatch.setattr(os, "fsync", fsync)
    await sink.write(feed, Position(), [entry])
    assert query(lake, "positions") == [(1, 1)]


async def test_two_writers_cannot_store_the_same_entries(tmp_path: Path) -> None:
    """The file system refuses a writer that was replaced and does not know it: part names are never reused."""
    old, new, feed = ParquetSink(tmp_path), ParquetSink(tmp_path), Feed("positions", "positions")
    entry = Entry("1795183709051-0", {"name": "m", "in": '{"x":1,"v":2,"t":3}', "out": '{"x":1,"v":2,"t":3}'})
    await new.write(feed, Position(), [entry])
    with pytest.raises(SinkUnavailable, match="FileExists"):
        await old.write(feed, Position(), [entry])
    assert query(tmp_path, "positions") == [(1, 1)]


def test_a_point_is_written_in_line_protocol() -> None:
    """Line protocol has InfluxDB's escapes and types, and omits empty tags."""
    made = line("a b", {"k,1": "x=y z", "none": ""}, {"i": 3, "f": 0.5, "s": 'say "a\\b"', "b": True}, 12)
    assert made == r'a\ b,k\,1=x\=y\ z i=3i,f=0.5,s="say \"a\\b\"",b=true 12'


async def test_an_unknown_storage_url_is_refused(stream_store: Store) -> None:
    """A STORAGE_URL of an unknown kind or without a database stops the worker at its start."""
    for url in ("s3://bucket", "influx+http://127.0.0.1:8086"):
        with pytest.raises(BadSetting, match="STORAGE_URL"):
            make_sink(stream_store, Settings.read({}, storage_url=url))


@pytest.fixture(scope="module")
def influx() -> Iterator[str]:
    """Start a separate InfluxDB and yield its address."""
    binary = shutil.which("influxd")
    if binary is None:
        pytest.skip(
            "NO influxd on PATH: line protocol was not tried against InfluxDB (apt-get install influxdb)"
        )
    port, other = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="tussle-influx-") as folder:
        config = Path(folder) / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{other}"\n[meta]\ndir = "{folder}/meta"\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n[http]\nbind-address = "127.0.0.1:{port}"\n'
        )
        process = subprocess.Popen(
            [binary, "-config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


async def influx_counts(http: httpx.AsyncClient, measurement: str, field: str) -> int:
    answer = await http.get(
        "/query", params={"db": "tussle", "q": f'SELECT count("{field}") FROM "{measurement}"'}
    )
    result = answer.json()["results"][0]
    return int(result["series"][0]["values"][0][1]) if "series" in result else 0


async def test_influxdb_gets_every_row_once(stream_store: Store, influx: str) -> None:
    """A real InfluxDB has one point per entry with equal numbers, also after a kill -9 of the worker."""
    store = stream_store
    session, _ = await open_session(store)
    await add_telemetry(store, session, 7)
    stack = Stack.up(
        store.url,
        store.keys.realm,
        STORAGE_URL=f"influx+{influx}/tussle",
        STORAGE_FLUSH_S="0.02",
        STORAGE_LEASE_S="0.5",
    )
    async with http_client(influx) as http:
        await http_up(http)
        await http.post("/query", params={"q": "DROP DATABASE tussle"})
        try:
            await add_steps(store, 1, 200)
            process = await stack.start("worker", "storage", "storage")
            await stored(store, 1)
            await process.kill()
            await store.call(
                "DEL", store.keys.storage, store.keys.stored("influx")
            )  # as after a kill between the write and the stored position
            await add_steps(store, 201, 100)
            await stack.start("worker", "storage", "storage")
            await stored(store, 300)
        finally:
            await stack.close()
        assert await influx_counts(http, "positions", "x") == 300
        assert await influx_counts(http, "telemetry", "value") == 21
        assert await influx_counts(http, "events", "data") == int(
            await store.call("XLEN", store.keys.events(session))
        )
        asked = {"db": "tussle", "q": 'SELECT "x", "v", "n" FROM "positions" WHERE "n" = 77'}
        found = (await http.get("/query", params=asked)).json()["results"][0]["series"][0]["values"][0]
        assert found[1:] == [77, -77, 77]


async def http_up(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/ping")).status_code == 204:
                    return
            await asyncio.sleep(0.02)
