"""The pool with real solver processes: worlds are opened, stepped and restored, and processes are replaced."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.stack import alive, until
from tussle.build_db import catalogue_path, read_catalogue
from tussle.lobby.errors import Refused, SolverFailed
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, encode_scene
from tussle.lobby.settings import Settings
from tussle.server.modes.mode import Seat
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.pool import BACKGROUND_S, Pool
from tussle.server.solver.solver_calls import (
    HEAVY_NICE,
    PATIENCE,
    PIPELINE_CALLS,
    PIPELINE_S,
    Solver,
    _Call,
)
from tussle.server.solver.usage import HEAVY_TICK_S, TRIAL_TICKS

BOX = Recipe(kind="box", params={"size": [0.2, 0.2, 0.2]})

pytestmark = pytest.mark.asyncio(loop_scope="module")


def spec(session: str = "k7qm2xpv", seed: int = 5) -> SessionSpec:
    bodies = read_catalogue(catalogue_path(Settings()))["bodies"]
    seats = tuple(
        Seat(seat=i, player=f"p{i}", name=f"P{i}", kind="bot", skill="good", body=body)
        for i, body in enumerate(("halo", "crux"))
    )
    return SessionSpec(
        session=session,
        mode="duel",
        seats=seats,
        catalogue={body: json.loads(bodies[body]) for body in ("halo", "crux")},
        seed=seed,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[Pool]:
    """Two processes for all tests of this module."""
    started = Pool(2, timeout_s=60.0)
    await started.start()  # returns when the first one runs
    await until(lambda: all(solver.running for solver in started.solvers), "both processes", 120.0)
    yield started
    pids = [solver.pid for solver in started.solvers]
    await started.close()
    assert not [pid for pid in pids if pid is not None and alive(pid)]


async def turn(solver: Solver, session: str, first: Advance) -> list[bytes]:
    """The hashes of one launch until rest."""
    assert first.seat is not None
    given = Input(first.seat, "launch", 1, {"azimuth": 20.0, "elevation": 10.0, "power": 0.6})
    advance, *_ = await solver.step_world(session, [given], 16)
    hashes = list(advance.hashes)
    while advance.phase == "moving":
        advance, *_ = await solver.step_world(session, [], 16)
        hashes += advance.hashes
    return hashes


async def test_a_process_that_dies_while_it_starts_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start raises SolverFailed ``solver_lost`` and nothing runs. The pool reports that no process could start."""
    monkeypatch.setattr("tussle.server.solver.spawning.module_command", lambda *_: [sys.executable, "-c", ""])
    solver = Solver(0, timeout_s=5.0)
    with pytest.raises(SolverFailed) as failed:
        await solver.start()
    assert failed.value.reason == "solver_lost"
    assert (solver.running, solver.pid) == (False, None)
    await solver.close()
    pool = Pool(2, timeout_s=5.0)
    with pytest.raises(SolverFailed, match="no solver process could start"):
        await pool.start()
    await pool.close()


async def test_the_second_process_starts_with_the_second_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool is ready with its first process. The other one starts when a session is placed beside another."""
    monkeypatch.setattr("tussle.server.solver.pool.OTHERS_S", 1e6)
    pool = Pool(2, timeout_s=60.0)
    try:
        await pool.start()
        assert [solver.running for solver in pool.solvers] == [True, False]
        first = pool.place("k7qm2xpv")
        await first.open_world(spec("k7qm2xpv"), epoch=1)
        assert first is pool.solvers[0]
        pool.place("sgnaaaaa")
        await until(lambda: pool.solvers[1].running, "the other process", 120.0)
    finally:
        await pool.close()


async def test_two_processes_compute_the_same(pool: Pool) -> None:
    """The same specification and input: the same hashes in both, tick by tick."""
    runs = []
    for solver in pool.solvers:
        first = await solver.open_world(spec(), epoch=1)
        runs.append(await turn(solver, "k7qm2xpv", first))
        await solver.drop_world("k7qm2xpv")
    assert runs[0] == runs[1]
    assert len(runs[0]) > 10


async def test_a_world_is_restored_elsewhere(pool: Pool) -> None:
    """A checkpoint of one process passes its contact check. The other process restores it and computes equal hashes."""
    one, other = pool.solvers
    first = await one.open_world(spec(), epoch=1)
    kept = await one.checkpoint_world("k7qm2xpv", check_contact=True)
    assert kept.contact_ok is True
    there = await other.restore_world(spec(), kept.data, epoch=2)
    assert (there.tick, there.seat) == (first.tick, first.seat)
    assert await turn(one, "k7qm2xpv", first) == await turn(other, "k7qm2xpv", there)
    for solver in pool.solvers:
        await solver.drop_world("k7qm2xpv")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_to_the_group_ends_no_solver(pool: Pool, number: int) -> None:
    """A process manager or a terminal signals the whole group. The server hands its sessions over first and ends the
    solver processes itself."""
    solver = pool.solvers[0]
    assert solver.pid is not None
    os.kill(solver.pid, number)
    first = await solver.open_world(spec("sgnaaaaa"), epoch=1)
    await solver.drop_world("sgnaaaaa")
    assert first.phase == "acting"
    assert alive(solver.pid)


async def test_a_refusal_leaves_other_worlds_unchanged(pool: Pool) -> None:
    """A specification that cannot be run, an input that the rules refuse, a session that is not there."""
    solver = pool.solvers[0]
    first = await solver.open_world(spec(), epoch=1)
    bad = spec("aaaaaaaa")
    with pytest.raises(Refused):
        await solver.open_world(SessionSpec(bad.session, bad.mode, bad.seats, {}, bad.seed), epoch=1)
    with pytest.raises(Refused):
        await solver.step_world("k7qm2xpv", [Input(1 - (first.seat or 0), "launch", 1, {})], 1)
    with pytest.raises(SolverFailed):
        await solver.step_world("nosuchone", [], 1)
    assert await turn(solver, "k7qm2xpv", first)
    await solver.drop_world("k7qm2xpv")
    await solver.drop_world("aaaaaaaa")


async def test_a_process_that_dies_fails_its_calls_and_is_replaced(pool: Pool) -> None:
    """kill -9 while it computes: the waiting call raises SolverFailed. The next ``open_world`` starts a new process."""
    solver = pool.solvers[0]
    await solver.open_world(spec(), epoch=1)
    before = solver.pid
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    waiting = asyncio.create_task(solver.look_at_world("k7qm2xpv"))
    await asyncio.sleep(0)
    os.kill(before, signal.SIGKILL)
    with pytest.raises(SolverFailed):
        await waiting
    await solver.drop_world("k7qm2xpv")
    assert (await solver.open_world(spec(), epoch=2)).phase == "acting"
    assert solver.pid not in (None, before)
    await solver.drop_world("k7qm2xpv")


async def test_a_process_that_hangs_is_killed(pool: Pool) -> None:
    """A stopped process is killed at its timeout. The oldest call raises ``solver_failed``; the call behind it, of
    another session, raises ``solver_lost``."""
    hanging = Solver(7, timeout_s=60.0)
    await hanging.open_world(spec("aaaaaaaa"), epoch=1)
    await hanging.open_world(spec("bbbbbbbb"), epoch=1)
    pid = hanging.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    hanging._timeout_s = 0.5
    guilty = asyncio.create_task(hanging.look_at_world("aaaaaaaa"))
    await asyncio.sleep(0)
    hanging._timeout_s = 0.1  # its own time would be over first
    behind = asyncio.create_task(hanging.look_at_world("bbbbbbbb"))
    with pytest.raises(SolverFailed, match="in time") as hung:
        await guilty
    with pytest.raises(SolverFailed) as lost:
        await behind
    assert (hung.value.reason, lost.value.reason) == ("solver_failed", "solver_lost")
    with pytest.raises(SolverFailed) as gone:
        await hanging.look_at_world("bbbbbbbb")
    assert gone.value.reason == "solver_lost"
    await until(lambda: not alive(pid), "the end of the process that hung", 5.0)
    await hanging.close()


async def test_a_starved_process_that_makes_progress_is_not_killed(
    monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> None:
    """The timeout passes while the process gets little of the cores: it gets more time as long as it computes, and is
    killed when it does not, or when the call has used as much CPU time as its timeout."""
    used = iter([0.1, 0.2, 0.2, 0.1, 0.9])
    starved = Solver(9, timeout_s=60.0)
    await starved.open_world(spec(), epoch=1)
    process = starved._process
    assert process is not None
    monkeypatch.setattr(
        "tussle.server.solver.solver_calls._cpu_time", lambda pid: process.spent_s + next(used)
    )
    hung: list[float] = []
    monkeypatch.setattr(starved, "_hung", lambda *_: hung.append(0.0))
    call = _Call("advance", 0.5, asyncio.get_running_loop().create_future(), {}, 0.0, 0.0)
    starved._timed_out(process, call, 0.0, 1)
    starved._timed_out(process, call, 0.1, 2)
    assert not hung
    starved._timed_out(process, call, 0.2, 3)  # no progress
    assert len(hung) == 1
    starved._timed_out(process, call, 0.0, PATIENCE)  # long enough
    starved._timed_out(process, call, 0.0, 1)  # as much CPU time as an idle machine would have given it
    assert len(hung) == 3
    await starved.close()


async def test_a_busy_process_is_not_killed(pool: Pool) -> None:
    """Calls wait longer than their timeout for earlier calls: the timeout counts from when a call is the oldest."""
    busy = Solver(8, timeout_s=60.0)
    first = await busy.open_world(spec(), epoch=1)
    began = asyncio.get_running_loop().time()
    await busy.step_world(
        "k7qm2xpv",
        [Input(first.seat or 0, "launch", 1, {"azimuth": 20.0, "elevation": 0.0, "power": 0.6})],
        1,
    )
    await busy.checkpoint_world("k7qm2xpv", check_contact=True)
    alone_s = asyncio.get_running_loop().time() - began
    busy._timeout_s = max(3.0, 30 * alone_s)  # a loaded machine may hold one call up for seconds
    count = int(1.2 * busy._timeout_s / alone_s)
    answers = await asyncio.gather(
        *(busy.checkpoint_world("k7qm2xpv", check_contact=True) for _ in range(count))
    )
    assert len({answer.data for answer in answers}) == 1
    await busy.close()


async def test_a_light_session_is_served_after_the_call_that_runs(pool: Pool) -> None:
    """Three sessions wait with long calls in one process. A session that used little comes second, in every round."""
    solver = pool.solvers[0]
    heavy = ("aaaaaaaa", "bbbbbbbb", "cccccccc")
    for name in (*heavy, "light000"):
        await solver.open_world(spec(name), epoch=1)
    answered: list[str] = []

    async def call(name: str) -> None:
        if name == "light000":
            await solver.look_at_world(name)
        else:
            await solver.checkpoint_world(name, check_contact=True)
        answered.append(name)

    for _ in range(20):  # more than the credit of a session that is new
        await asyncio.gather(*map(call, heavy))
    answered.clear()
    for number in range(5):
        await asyncio.gather(*map(call, (*heavy, "light000")))
        assert answered[4 * number + 1] == "light000", answered
    for name in (*heavy, "light000"):
        await solver.drop_world(name)


async def test_the_sessions_of_an_owner_share_a_place(pool: Pool) -> None:
    """Eight sessions of one owner have a call each before one of another owner has: that one is served second."""
    solver, many = pool.solvers[0], [f"many000{number}" for number in range(8)]
    for name in (*many, "single00"):
        await solver.open_world(spec(name), epoch=1, owner="192.0.2.1" if name in many else "192.0.2.2")
    answered: list[str] = []

    async def call(name: str) -> None:
        await solver.checkpoint_world(name, check_contact=True)
        answered.append(name)

    await asyncio.gather(*map(call, (*many, "single00")))
    assert answered.index("single00") == 1, answered
    for name in (*many, "single00"):
        await solver.drop_world(name)


async def test_sessions_that_begin_share_a_place(pool: Pool) -> None:
    """While six sessions begin in one process, a session there that always wants more is served in between. Together
    they have the credit of one session: two may follow each other at first."""
    solver, begins = pool.solvers[0], [f"begins0{number}" for number in range(6)]
    await solver.open_world(spec("runs0000"), epoch=1)
    for _ in range(60):  # it has no credit left
        await solver.checkpoint_world("runs0000", check_contact=True)
    answered: list[str] = []

    async def begin(name: str) -> None:
        await solver.open_world(spec(name), epoch=1)
        answered.append(name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(begin(name)) for name in begins]
        while not all(task.done() for task in tasks):
            await solver.checkpoint_world("runs0000", check_contact=True)
            answered.append("runs0000")
    assert [name for name in answered if name != "runs0000"] == begins
    places = [place for place, name in enumerate(answered) if name != "runs0000"]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert gaps.count(1) <= 1, answered
    for name in (*begins, "runs0000"):
        await solver.drop_world(name)


async def test_a_process_has_few_calls_at_a_time(pool: Pool) -> None:
    """Of twenty calls, those that the process has at once are expected to take PIPELINE_S together, or it is one."""
    solver = pool.solvers[0]
    names = [f"session{number:02}" for number in range(20)]
    for name in names:
        await solver.open_world(spec(name), epoch=1)
    process = solver._process
    assert process is not None
    calls = [
        asyncio.ensure_future(solver.checkpoint_world(name, check_contact=False)) for name in names[:10]
    ] + [asyncio.ensure_future(solver.look_at_world(name)) for name in names[10:]]
    while not all(call.done() for call in calls):
        expected_s = sum(call.expected_s for call in process.waiting.values())
        assert len(process.waiting) == 1 or expected_s <= PIPELINE_S
        assert len(process.waiting) <= PIPELINE_CALLS
        await asyncio.sleep(0)
    for name in names:
        await solver.drop_world(name)


async def test_a_call_that_nobody_awaits_any_more_is_not_sent(pool: Pool) -> None:
    """The caller of a waiting call is cancelled: the process never runs it, and the session goes on."""
    solver = pool.solvers[0]
    first = await solver.open_world(spec("aaaaaaaa"), epoch=1)
    await solver.open_world(spec("bbbbbbbb"), epoch=1)
    running = asyncio.ensure_future(solver.checkpoint_world("bbbbbbbb", check_contact=True))
    launch = Input(first.seat or 0, "launch", 1, {"azimuth": 20.0, "elevation": 0.0, "power": 0.6})
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(solver.step_world("aaaaaaaa", [launch], 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await running
    assert (await solver.look_at_world("aaaaaaaa")).tick == first.tick
    for name in ("aaaaaaaa", "bbbbbbbb"):
        await solver.drop_world(name)


async def test_a_heavy_process_starts_when_it_is_needed() -> None:
    """A heavy session beside another one: one process of lower priority starts, and the session is to move there."""
    pool = Pool(1, timeout_s=60.0, heavy=1)
    await pool.start()
    [light, heavy] = pool.solvers
    assert (light.running, heavy.running) == (True, False)
    for name in ("aaaaaaaa", "bbbbbbbb"):
        await pool.place(name).open_world(spec(name), epoch=1)
    usage = pool.usage.get("aaaaaaaa", 0.0)
    usage.add_ticks(TRIAL_TICKS, TRIAL_TICKS * 2 * HEAVY_TICK_S, time.monotonic())

    def moves() -> bool:
        usage.look_at = 0.0
        return pool.find_better("aaaaaaaa", light) is heavy

    assert not moves()
    await until(moves, "the start of the heavy process", 120.0)
    assert light.pid is not None and heavy.pid is not None
    difference = os.getpriority(os.PRIO_PROCESS, heavy.pid) - os.getpriority(os.PRIO_PROCESS, light.pid)
    assert difference == HEAVY_NICE
    assert pool.find_better("bbbbbbbb", light) is None
    await pool.close()


async def test_new_sessions_spread_over_the_processes(pool: Pool) -> None:
    """Placed one after the other, before anything is measured, they alternate."""
    placed = []
    for name in ("eeeeeeee", "ffffffff", "gggggggg", "hhhhhhhh"):
        solver = pool.place(name)
        solver.sessions.add(name)
        placed.append(solver.index)
    assert placed == [0, 1, 0, 1]
    for solver in pool.solvers:
        solver.sessions.clear()


async def test_a_long_check_takes_no_process_of_a_session(pool: Pool) -> None:
    """It is answered while every process that may hold sessions is stopped, by a process of low priority that ends when
    it is not used. A short check needs no other process."""
    document = encode_scene(Scene(bodies=(Body(id="a", shape=BOX, material=Material(density=500.0)),)))
    assert (await pool.check_scene(document, expected_s=BACKGROUND_S)).ok
    assert pool._background.solver is None
    stopped = [solver.pid for solver in pool.solvers if solver.pid is not None]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(120.0):
            assert (await pool.check_scene(document, expected_s=1.0)).ok
            assert (await pool.make_shape(BOX, expected_s=1.0)).vertices == 8
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    process = pool._background.solver
    assert isinstance(process, Solver) and process.pid is not None and process not in pool.solvers
    pid = process.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0) == HEAVY_NICE
    pool._background.end()
    await until(lambda: not alive(pid), "the end of the process")
    assert pool._background.solver is None
