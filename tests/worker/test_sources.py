"""Sources other than sessions: the mock, the host, a growing CSV file, a growing log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import Stack
from tussle.lobby.environment import BadSetting
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.sources import (
    CsvTail,
    HostMetrics,
    LogTail,
    MockSource,
    Source,
    SourceProcess,
    make_source,
)


def test_the_mock_is_the_same_each_time() -> None:
    """The mock has three sensors with reproducible readings."""
    first, second = MockSource(), MockSource()
    for n in range(1, 5):
        (one,) = first.read_new()
        assert [one] == second.read_new()
        assert one["ramp"] == n
        assert set(one) == {sensor.name for sensor in first.sensors}


def test_the_host_is_measured(tmp_path: Path) -> None:
    """Memory and CPU share are read from /proc; without it only the load is measured."""
    source = HostMetrics()
    first, second = source.read_new()[0], source.read_new()[0]
    assert set(second) <= {sensor.name for sensor in source.sensors}
    assert first["load"] is not None
    if Path("/proc/meminfo").exists():
        used, total = first["memory_used"], first["memory_total"]
        assert isinstance(used, float) and isinstance(total, float) and 0 < used < total
        assert first["cpu"] is None
        assert second["cpu"] is None or 0.0 <= float(str(second["cpu"])) <= 1.0
    assert set(HostMetrics(tmp_path).read_new()[0]) == {"load"}


def test_a_csv_file_is_read_as_it_grows(tmp_path: Path) -> None:
    """Each complete row is read once, its numbers only; a replaced file is read from its beginning."""
    path = tmp_path / "bench.csv"
    source = CsvTail(path)
    with pytest.raises(OSError):
        source.read_new()
    path.write_text("time,force,label\n0.1,2.5,a\n0.2,nan,b\n0.3,")
    assert source.read_new() == [{"time": 0.1, "force": 2.5}, {"time": 0.2}]
    assert [sensor.name for sensor in source.sensors] == ["time", "force", "label"]
    assert source.read_new() == []
    with path.open("a") as file:
        file.write("7,c\n")
    assert source.read_new() == [{"time": 0.3, "force": 7.0}]
    path.write_text("time,force,label\n9,9,z\n")
    assert source.read_new() == [{"time": 9.0, "force": 9.0}]


def test_a_log_is_counted_from_the_start_of_the_source(tmp_path: Path) -> None:
    """A reading has lines, bytes and errors since the previous one; an unchanged log gives none."""
    path = tmp_path / "app.log"
    path.write_text("old\n")
    source = LogTail(path)
    assert source.read_new() == []
    with path.open("a") as file:
        file.write("fine\nAn ERROR happened\nhalf")
    assert source.read_new() == [{"lines": 2.0, "bytes": 23.0, "errors": 1.0}]
    assert source.read_new() == []


@pytest.mark.parametrize("source", ["nothing", "csv", "csv:", "mock:x"])
def test_an_unknown_source_is_refused(source: str) -> None:
    """An unusable SOURCE raises BadSetting with its name."""
    with pytest.raises(BadSetting, match="SOURCE"):
        make_source(Settings.read({}, source=source))


def test_a_name_must_not_look_like_a_session() -> None:
    """A SOURCE_NAME of the form of a session token is refused, because clients could not tell the two apart."""
    with pytest.raises(BadSetting, match="SOURCE_NAME"):
        make_source(Settings.read({}, source="mock", source_name="k7qm2xpv"))
    made: tuple[str, Source] = make_source(Settings.read({}, source="csv:/data/rig.csv"))
    assert made[0] == "rig.csv"
    assert make_source(Settings.read({}, source="log:/data/rig.log"))[0] == "rig.log"


async def entries(store: Store, count: int) -> list[dict[str, Any]]:
    """Wait with XREAD for the first ``count`` batches of the mock, and return them."""
    stream = store.keys.source("mock")
    found: list[dict[str, Any]] = []
    last = "0-0"
    async with asyncio.timeout(20):
        while len(found) < count:
            reply = await store.call("XREAD", "BLOCK", 1000, "STREAMS", stream, last)
            for entry, flat in reply[0][1] if reply else []:
                last = entry
                found.append(dict(zip(flat[::2], flat[1::2], strict=True)))
    return found


async def test_a_source_process_publishes_without_a_gap(store_url: str, realm: str, store: Store) -> None:
    """n has no gap over a kill -9, timestamps are UTC, and a clean end removes the source from the list."""
    stack = Stack.up(store_url, realm, SOURCE="mock", SOURCE_HZ="100")
    try:
        process = await stack.start("worker", "source", "source")
        await entries(store, 5)
        info = json.loads(await store.call("HGET", store.keys.sources, "mock"))
        assert [sensor["name"] for sensor in info["sensors"]] == ["sine", "ramp", "walk"]
        await process.kill()
        had = int(await store.call("XLEN", store.keys.source("mock")))
        process = await stack.start("worker", "source", "source")
        batches = await entries(store, had + 5)
        assert await process.end() == 0
    finally:
        await stack.close()
    assert [int(batch["n"]) for batch in batches] == list(range(1, len(batches) + 1))
    assert all(batch["timestamp"].endswith("+00:00") for batch in batches)
    assert await store.call("HGET", store.keys.sources, "mock") is None


async def test_readings_are_not_repeated(store: Store, tmp_path: Path) -> None:
    """An unchanged file gives no readings."""
    path = tmp_path / "rig.csv"
    path.write_text("a\n1\n2\n")
    source = SourceProcess(store, Settings.read({}, source=f"csv:{path}", source_hz=200))
    task = asyncio.create_task(source.run())
    stream = store.keys.source("rig.csv")
    async with asyncio.timeout(10):
        newest = "0"
        while await store.call("XLEN", stream) < 2:
            for _, entries in await store.call("XREAD", "BLOCK", 1000, "STREAMS", stream, newest) or ():
                newest = entries[-1][0]
        assert await store.call("XREAD", "BLOCK", 100, "STREAMS", stream, "$") is None
    source.stop()
    await task
    assert source.published == 2
