"""Runs on the two stream solvers, with real solvers and a real store."""

from __future__ import annotations

import asyncio
import math

import pytest

from tests.conftest import until
from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.rules.spring import SpringRun
from tussle.lobby.settings import Settings
from tussle.lobby.spring_runs import SpringRuns, spring_of
from tussle.lobby.store.store import Store
from tussle.worker.spring.solvers import make_position_solver, make_velocity_solver


async def solve(store: Store, settings: Settings, runs: SpringRuns, *wanted: str) -> list[SpringRun]:
    """Run both solvers until the wanted runs are done; returns their steps."""
    solvers = [make_velocity_solver(store, settings), make_position_solver(store, settings)]
    tasks = [asyncio.create_task(solver.run()) for solver in solvers]

    async def done() -> bool:
        return all([(await runs.read(run)).done for run in wanted])

    try:
        await until(done)
    finally:
        for solver in solvers:
            solver.stop()
        await asyncio.gather(*tasks)
    return [await runs.read(run) for run in wanted]


async def test_a_run_waits_for_its_solvers_and_is_followed_to_its_end(store: Store) -> None:
    """Without solvers a run names the solvers it waits for. With them it gets all steps, and the closed form uses the
    parameters of the solvers, not the settings of the reading process."""
    runs = SpringRuns(store, Settings.read({}))
    run = await runs.begin("swing", 0.5, -0.25)
    waiting = await runs.read(run)
    assert (waiting.name, waiting.x0, waiting.v0, waiting.cycles) == ("swing", 0.5, -0.25, None)
    assert waiting.waits_for == ("velocity", "position") and waiting.n == () and not waiting.done
    settings = Settings.read(
        {}, spring_cycles=40, spring_k=2.0, spring_zeta=0.05, spring_m=1.5, spring_h=0.05
    )
    (seen,) = await solve(store, settings, runs, run)
    spring = spring_of(settings)
    assert seen.cycles == 40 and seen.waits_for == ()
    assert seen.n == tuple(range(1, 41))
    for n, x, v, closed_x, closed_v in zip(seen.n, seen.x, seen.v, seen.closed_x, seen.closed_v, strict=True):
        assert (closed_x, closed_v) == spring.closed_form(0.5, -0.25, n)
        assert closed_x == pytest.approx(x, abs=1e-9)
        assert closed_v == pytest.approx(v, abs=1e-8)


async def test_a_read_returns_new_steps_of_one_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs share a stream. Each read continues after the previous one and returns no step twice."""
    monkeypatch.setattr("tussle.lobby.spring_runs.READ_COUNT", 7)
    runs = SpringRuns(store, Settings.read({}))
    wanted = [await runs.begin("one", 0.0, 1.0), await runs.begin("two", 1.0, 0.0)]
    await store.call("XADD", store.keys.positions, "*", "something", "else")
    settings = Settings.read({}, spring_cycles=25)
    solvers = [make_velocity_solver(store, settings), make_position_solver(store, settings)]
    tasks = [asyncio.create_task(solver.run()) for solver in solvers]
    try:
        for run, x0 in zip(wanted, (0.0, 1.0), strict=True):
            steps: list[tuple[int, float]] = []
            after, done = "", False
            async with asyncio.timeout(30):
                while not done:
                    seen = await runs.read(run, after)
                    assert seen.x0 == x0 and (seen.after != after or not seen.n)
                    steps += zip(seen.n, seen.x, strict=True)
                    after, done = seen.after, seen.done
            assert [n for n, _ in steps] == list(range(1, 26))
    finally:
        for solver in solvers:
            solver.stop()
        await asyncio.gather(*tasks)


async def test_a_scheme_that_does_not_oscillate_has_no_closed_form(store: Store) -> None:
    """The steps are returned, with None as closed form."""
    runs = SpringRuns(store, Settings.read({}))
    run = await runs.begin("stiff", 0.0, 1.0)
    (seen,) = await solve(store, Settings.read({}, spring_cycles=5, spring_zeta=20.0), runs, run)
    assert len(seen.n) == 5 and set(seen.closed_x) == {None}


@pytest.mark.parametrize(
    ("name", "x", "v", "code"),
    [
        ("", 0.0, 1.0, "bad_name"),
        ("n" * 65, 0.0, 1.0, "bad_name"),
        ("a\nb", 0.0, 1.0, "bad_name"),
        ("m", math.nan, 1.0, "bad_start"),
        ("m", 0.0, -2e6, "bad_start"),
    ],
)
async def test_a_bad_start_writes_nothing(store: Store, name: str, x: float, v: float, code: str) -> None:
    """A bad name or a value out of range is refused before the stream is written."""
    with pytest.raises(Refused) as refused:
        await SpringRuns(store, Settings.read({})).begin(name, x, v)
    assert refused.value.reason == code
    assert await store.call("EXISTS", store.keys.positions) == 0


async def test_only_a_run_that_was_begun_can_be_read(store: Store) -> None:
    """A malformed id is refused; an id without a trigger is not found."""
    runs = SpringRuns(store, Settings.read({}))
    with pytest.raises(NotFound):
        await runs.read("1-1")
    for run, after in (("mymodel", ""), ("1-1", "+"), ("-", "")):
        with pytest.raises(Refused):
            await runs.read(run, after)
