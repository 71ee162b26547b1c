"""docs/streams.md is correct: fields, types, channels, and the command lines."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from datetime import datetime
from typing import Any

import msgspec
import pytest

from tests.conftest import World, until
from tests.support.paths import ROOT
from tussle.lobby.mesh_store import Meshes
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.server.metrics.readings import SENSORS
from tussle.server.simulation.simulation import Input
from tussle.worker.sources import SourceProcess
from tussle.worker.spring.solvers import StreamSolver, make_position_solver, make_velocity_solver

PAGE = (ROOT / "docs" / "streams.md").read_text()
CHECKS = {
    "text": str,
    "int": lambda text: int(text or 0),
    "json": json.loads,
    "time": datetime.fromisoformat,
}


def documented() -> dict[str, dict[str, str]]:
    """Stream -> field -> type."""
    found = {}
    for part in re.split(r"^### ", PAGE.split("## Channels")[0], flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0].strip()
        found[name] = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", part, re.MULTILINE))
    return found


def lines() -> list[str]:
    """Every line of a bash block."""
    return [
        line
        for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
        for line in block.strip().split("\n")
    ]


async def run_until(solvers: list[StreamSolver], store: Store, count: int) -> None:
    tasks = [asyncio.create_task(solver.run()) for solver in solvers]

    async def there() -> bool:
        return int(await store.call("XLEN", store.keys.positions)) >= count

    await until(there)
    for solver in solvers:
        solver.stop()
    await asyncio.gather(*tasks)


async def write_all(world: World) -> str:
    """Write to each stream with its real writer; return the token of the session."""
    store, keys = world.store, world.store.keys
    fence, players = await world.running()
    given = Input(seat=0, kind="launch", id=1, d={"power": 0.5})
    await world.runs.journal(fence, 1, [msgspec.json.encode(given)])
    stream = keys.telemetry(fence.session)
    info = json.dumps({"source": fence.session, "kind": "session", "period_s": 0.1, "sensors": []})
    await store.run(
        "telemetry",
        [keys.session(fence.session), stream],
        [
            fence.server,
            fence.nonce,
            fence.epoch,
            keys.live(stream),
            100,
            "2026-11-20T10:00:00.000+00:00",
            '{"tick":1}',
            info,
        ],
    )
    source = SourceProcess(store, Settings.read({}, source="host", source_hz=100))
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(10):
        while not await store.call("XREAD", "BLOCK", 1000, "STREAMS", keys.source("host"), "0"):
            pass
    source.stop()
    await task
    state = '{"x":0,"v":1,"t":0.0}'
    await store.call("XADD", keys.positions, "*", "name", "m", "in", state, "out", state)
    meshes = Meshes(store, 1000)
    assert await meshes.reserve("0" * 64, 100, ".stl", "ada") == "storing"
    await meshes.queue("0" * 64)
    settings = Settings.read({}, spring_cycles=3)
    await run_until([make_velocity_solver(store, settings), make_position_solver(store, settings)], store, 4)
    await world.runs.finish(fence, 1, [], world.result(players, {}))
    return fence.session


def real(name: str, world: World, session: str) -> str:
    """Return the name of the page's stream in the realm of this test."""
    named = name.replace("{main}", f"{{{world.store.keys.realm}}}").replace("NAME", "host")
    return re.sub(r":T\b", f":{session}", named)


async def test_the_streams_have_the_documented_fields(world: World) -> None:
    """Each stream of the page exists, and each entry has exactly the documented fields, of the documented types."""
    session = await write_all(world)
    streams = documented()
    assert len(streams) == 8
    for name, fields in streams.items():
        rows = await world.store.call("XRANGE", real(name, world, session), "-", "+")
        assert rows, f"{name} is empty"
        for _, flat in rows:
            entry: dict[str, str] = dict(zip(flat[::2], flat[1::2], strict=True))
            assert set(entry) == set(fields), name
            for field, value in entry.items():
                CHECKS[fields[field]](value)
    found = {key for key in await world.keys() if await world.store.call("TYPE", key) == "stream"}
    assert found == {real(name, world, session) for name in streams}, "a stream that is not on the page"


async def test_the_channels_are_all_on_the_page(world: World) -> None:
    """Each channel that is published to has a row, and its payload has the documented form."""
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", PAGE.split("## Channels")[1], re.MULTILINE)
    realm = f"{{{world.store.keys.realm}}}"
    patterns = {
        re.compile(
            re.escape(name.replace("{main}", realm))
            .replace(":T:", r":\w{8}:")
            .replace("NAME", r"\w+")
            .replace("LOGGER", ".+")
        ): name
        for name, _ in rows[:7]
    }
    link = await world.store.link()
    await link.send("PSUBSCRIBE", f"{realm}*")
    await link.receive(5.0)
    await write_all(world)
    seen = set()
    while (reply := await link.receive(0.2)) is not None:
        (name,) = [name for pattern, name in patterns.items() if pattern.fullmatch(reply[2])] or [
            f"no row for {reply[2]}"
        ]
        seen.add(name)
        payload = reply[3]
        if name.endswith((":live", ":wake")):
            assert int(payload) > 0
        elif name == "{main}:lifecycle":
            assert re.fullmatch(r"\w{8} [a-z_]+", payload)
    await link.close()
    expected = {name for name, _ in rows[:5]}
    assert seen == expected


def test_the_sensors_of_a_session() -> None:
    """Energy, contacts, minimum distance, iterations, step time, input rate and scores are measured."""
    names = {sensor.name for sensor in SENSORS}
    assert {"energy", "contacts", "min_distance", "iterations", "step_time", "input_rate", "score"} <= names


async def test_the_lines_of_the_page_run_as_written(world: World) -> None:
    """Every redis-cli line, in the realm of this test."""
    if shutil.which("redis-cli") is None:
        pytest.skip("NO redis-cli on PATH: the lines of the page were not run (apt-get install redis-tools)")
    session = await write_all(world)
    port = world.store.url.rsplit(":", 1)[1].split("/")[0]
    for line in lines():
        words = shlex.split(real(line, world, session))
        assert words[0] == "redis-cli", line
        endless = words[1] in ("SUBSCRIBE", "PSUBSCRIBE")
        process = await asyncio.create_subprocess_exec(
            "redis-cli",
            "-p",
            port,
            *words[1:],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        async with asyncio.timeout(10):
            if endless:
                first: Any = await process.stdout.readline()
                process.terminate()
                rest = await process.stdout.read()
            else:
                first, rest = b"", await process.stdout.read()
            await process.wait()
        output = (first + rest).decode()
        assert "ERR" not in output and "WRONG" not in output, (line, output)
        blocks = words[1] in ("XREAD", "XINFO", "HGETALL")
        assert blocks or output.strip(), line
