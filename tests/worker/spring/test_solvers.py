"""The spring-damper's solver processes on a real store, under kill -9."""

from __future__ import annotations

import asyncio
import itertools
import json
import shlex
import shutil
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import until
from tests.support.stack import Stack
from tussle.lobby.rules.spring import Spring
from tussle.lobby.store.store import Store

TRIGGER = 'XADD {main}:positions * name mymodel in \'{"x":0,"v":1,"t":0.0}\' out \'{"x":0,"v":1,"t":0.0}\''


@pytest.fixture
async def stack(stream_store: Store) -> AsyncIterator[Stack]:
    stack = Stack.up(stream_store.url, stream_store.keys.realm, CLAIM_IDLE_S="0.2", SPRING_CYCLES="300")
    yield stack
    await stack.close()


async def trigger(store: Store, name: str = "mymodel", x: float = 0.0, v: float = 1.0) -> str:
    state = json.dumps({"x": x, "v": v, "t": 0.0})
    return str(await store.call("XADD", store.keys.positions, "*", "name", name, "in", state, "out", state))


async def states(store: Store, stream: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    rows = await store.call("XRANGE", stream, "-", "+")
    found = []
    for _, flat in rows:
        assert flat[::2] == ["name", "in", "out"]
        found.append((flat[1], json.loads(flat[3]), json.loads(flat[5])))
    return found


async def reached(store: Store, count: int, stream: str | None = None, timeout_s: float = 40.0) -> None:
    """Wait with XREAD until the positions have ``count`` entries."""
    stream = stream or store.keys.positions
    last = "0-0"
    seen = 0
    async with asyncio.timeout(timeout_s):
        while seen < count:
            reply = await store.call("XREAD", "BLOCK", "1000", "COUNT", count - seen, "STREAMS", stream, last)
            if reply:
                rows = reply[0][1]
                seen += len(rows)
                last = rows[-1][0]


def series(
    rows: list[tuple[str, dict[str, Any], dict[str, Any]]], name: str, run: str
) -> list[tuple[int, float, float, float]]:
    return [(s["n"], s["x"], s["v"], s["t"]) for n, _, s in rows if n == name and s.get("run") == run]


def marched(cycles: int, x: float = 0.0, v: float = 1.0) -> list[tuple[int, float, float, float]]:
    """Return the steps that a single process computes; the solvers must match them bit for bit."""
    spring, t, found = Spring(cycles=cycles), 0.0, []
    for n in range(1, cycles + 1):
        v = v + (spring.h / spring.m) * (-spring.k * x - spring.d * v)
        t = t + spring.h
        x = x + spring.h * v
        found.append((n, x, v, t))
    return found


async def test_a_thousand_steps_agree_with_the_closed_form(stream_store: Store, stack: Stack) -> None:
    """Two solvers write 1000 velocities and 1001 positions within 1e-9 of the closed form, then remove their groups."""
    run = await trigger(stream_store)
    for name in ("velocity", "position"):
        await stack.start("worker", name, name, SPRING_CYCLES="1000")
    await reached(stream_store, 1001)
    positions = await states(stream_store, stream_store.keys.positions)
    assert len(positions) == 1001
    assert await stream_store.call("XLEN", stream_store.keys.velocities) == 1000
    spring = Spring()
    for n, x, v, _ in series(positions, "mymodel", run):
        exact = spring.closed_form(0.0, 1.0, n)
        assert x == pytest.approx(exact[0], abs=1e-9)
        assert v == pytest.approx(exact[1], abs=1e-8)
    assert series(positions, "mymodel", run) == marched(1000)
    for process in stack.processes:
        assert await process.end() == 0
    for stream in (stream_store.keys.positions, stream_store.keys.velocities):
        assert await stream_store.call("XINFO", "GROUPS", stream) == []


@pytest.mark.parametrize("order", list(itertools.permutations(["velocity", "position", "trigger"])))
async def test_the_start_order_does_not_matter(
    stream_store: Store, stack: Stack, order: tuple[str, ...]
) -> None:
    """Solvers and trigger may start in any order."""
    run = ""
    for what in order:
        if what == "trigger":
            run = await trigger(stream_store)
        else:
            await stack.start("worker", what, what, SPRING_CYCLES="50")
            if order.index(what) == 0:  # the first one waits on its stream before the next starts
                await _group_up(stream_store, what)
    await reached(stream_store, 51)
    assert series(await states(stream_store, stream_store.keys.positions), "mymodel", run) == marched(50)


async def _group_up(store: Store, solver: str) -> None:
    stream = store.keys.positions if solver == "velocity" else store.keys.velocities

    async def there() -> bool:
        return bool(await store.call("EXISTS", stream) and await store.call("XINFO", "GROUPS", stream))

    await until(there)


@pytest.mark.parametrize("victim", ["velocity", "position"])
async def test_a_killed_solver_changes_nothing(stream_store: Store, stack: Stack, victim: str) -> None:
    """After three kill -9 of a solver in one run the result is bit-equal and no step is written twice."""
    processes = {name: await stack.start("worker", name, name) for name in ("velocity", "position")}
    run = await trigger(stream_store)
    for count in (40, 130, 220):
        await reached(stream_store, count)
        await processes[victim].kill()
        processes[victim] = await stack.start("worker", victim, victim)
    await reached(stream_store, 301)
    for process in processes.values():
        await process.end()
    positions = await states(stream_store, stream_store.keys.positions)
    assert series(positions, "mymodel", run) == marched(300)
    assert len(positions) == 301
    velocities = await states(stream_store, stream_store.keys.velocities)
    assert [state["n"] for _, _, state in velocities] == list(range(1, 301))


async def test_a_suspended_replica_is_replaced_and_writes_no_late_step(
    stream_store: Store, stack: Stack
) -> None:
    """Another replica claims the entry of a suspended one, whose late step is then refused."""
    await stack.start("worker", "position", "position")
    replicas = [await stack.start("worker", f"velocity{i}", "velocity") for i in range(2)]
    run = await trigger(stream_store)
    for i, count in enumerate((30, 90, 150, 210)):
        await reached(stream_store, count)
        replicas[i % 2].send(signal.SIGSTOP)
        await reached(stream_store, count + 40)
        replicas[i % 2].send(signal.SIGCONT)
    await reached(stream_store, 301)
    assert series(await states(stream_store, stream_store.keys.positions), "mymodel", run) == marched(300)
    assert await stream_store.call("XLEN", stream_store.keys.velocities) == 300


async def test_models_triggers_and_replicas_run_side_by_side(stream_store: Store, stack: Stack) -> None:
    """With two models, two triggers each and two replicas of each solver, every run is complete, without duplicates."""
    for name in ("velocity", "position") * 2:
        await stack.start("worker", name, name)
    starts = [("one", 0.0, 1.0), ("one", 0.5, 0.0), ("two", -1.0, 0.25), ("two", 0.0, 1.0)]
    runs = [await trigger(stream_store, name, x, v) for name, x, v in starts]
    await reached(stream_store, 4 * 301)
    for stream in (stream_store.keys.positions, stream_store.keys.velocities):
        rows = await states(stream_store, stream)
        for run, (name, x, v) in zip(runs, starts, strict=True):
            assert [s[0] for s in series(rows, name, run)] == list(range(1, 301))
            if stream == stream_store.keys.positions:
                assert series(rows, name, run) == marched(300, x, v)


async def test_a_group_that_is_created_again_repeats_nothing(stream_store: Store, stack: Stack) -> None:
    """A clean exit removes the group; the next solver reads from the beginning and writes no step twice."""
    run = await trigger(stream_store)
    first = [
        await stack.start("worker", name, name, SPRING_CYCLES="100") for name in ("velocity", "position")
    ]
    await reached(stream_store, 101)
    for process in first:
        assert await process.end() == 0
    again = await trigger(stream_store, "again")
    for name in ("velocity", "position"):
        await stack.start("worker", name, name, SPRING_CYCLES="100")
    await reached(stream_store, 202)
    rows = await states(stream_store, stream_store.keys.positions)
    assert len(rows) == 202
    assert series(rows, "mymodel", run) == series(rows, "again", again) == marched(100)


async def test_an_idle_solver_ends_and_removes_its_group(stream_store: Store, stack: Stack) -> None:
    """SPRING_IDLE_S ends a solver with exit code 0, and XINFO GROUPS no longer lists its group."""
    run = await trigger(stream_store)
    started = [
        await stack.start("worker", name, name, SPRING_CYCLES="20", SPRING_IDLE_S="4")
        for name in ("velocity", "position")
    ]
    for process in started:
        assert await process.wait(30) == 0
    assert series(await states(stream_store, stream_store.keys.positions), "mymodel", run) == marched(20)
    for stream in (stream_store.keys.positions, stream_store.keys.velocities):
        assert await stream_store.call("XINFO", "GROUPS", stream) == []


async def test_a_solver_skips_unreadable_and_trimmed_entries(stream_store: Store, stack: Stack) -> None:
    """An unreadable entry is skipped with a warning; an entry trimmed while pending is dropped."""
    store, positions = stream_store, stream_store.keys.positions
    await store.call("XGROUP", "CREATE", positions, "velocity", "0", "MKSTREAM")
    lost = await trigger(store, "lost")
    await store.call("XREADGROUP", "GROUP", "velocity", "a-dead-one", "STREAMS", positions, ">")
    await store.call("XDEL", positions, lost)
    await store.call("XADD", positions, "*", "name", "bad", "in", "{}", "out", "nonsense")
    await store.call("XADD", positions, "*", "something", "else")
    run = await trigger(store)
    processes = [
        await stack.start("worker", name, name, SPRING_CYCLES="20") for name in ("velocity", "position")
    ]
    await reached(store, 23)
    rows = await store.call("XRANGE", positions, "-", "+")
    assert series(
        [(f[1], {}, json.loads(f[5])) for _, f in rows if len(f) == 6 and f[1] == "mymodel"], "mymodel", run
    ) == marched(20)
    assert processes[0].output.count("entry_refused") == 2

    async def settled() -> bool:
        return bool((await store.call("XPENDING", positions, "velocity"))[0] == 0)

    await until(settled)  # the last entry is acknowledged after the one that it leads to


async def test_a_solver_waits_for_its_store() -> None:
    """A solver that starts before its store waits for it, and ends on SIGTERM."""
    stack = Stack.up("redis://127.0.0.1:1", "nowhere")
    try:
        process = await stack.start("worker", "velocity", "velocity")
        await process.logged("store_waiting")
        assert await process.end() == 0
    finally:
        await stack.close()


async def test_the_trigger_of_the_documentation_works_as_written(stream_store_url: str) -> None:
    """The XADD line of docs/streams.md works in redis-cli, in the default realm."""
    if shutil.which("redis-cli") is None:
        pytest.skip(
            "NO redis-cli on PATH: the documented trigger was not tried (apt-get install redis-tools)"
        )
    store = await Store.connect(stream_store_url, "main")
    stack = Stack.up(stream_store_url, "main", SPRING_CYCLES="25")
    try:
        for name in ("velocity", "position"):
            await stack.start("worker", name, name)
        port = stream_store_url.rsplit(":", 1)[1]
        typed = await asyncio.create_subprocess_exec(
            "redis-cli", "-p", port, *shlex.split(TRIGGER), stdout=asyncio.subprocess.PIPE
        )  # fmt: skip
        run = (await typed.communicate())[0].decode().strip()
        await reached(store, 26)
        assert series(await states(store, store.keys.positions), "mymodel", run) == marched(25)
    finally:
        await stack.close()
        await store.call("DEL", store.keys.positions, store.keys.velocities)
        await store.close()
