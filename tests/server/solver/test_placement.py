"""In which solver process a session belongs, and what it uses, without processes or a clock."""

from __future__ import annotations

import pytest

from tussle.server.solver.placement import STAY_S, Slot, choose_better_slot, choose_slot
from tussle.server.solver.usage import CALL_S, FORGET_S, MOST_TICKS, NEW_LOAD, UsageTable


def slots(*rows: tuple[bool, bool, float, int]) -> list[Slot]:
    """(heavy, running, load, sessions) of each process."""
    return [Slot(index, *row) for index, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "heavy", "slot"),
    [
        ([(False, True, 0.9, 1), (False, True, 0.4, 9), (True, True, 0.0, 0)], False, 1),
        ([(False, False, 0.0, 0), (False, True, 0.4, 9)], False, 1),
        ([(False, True, 0.1, 1), (True, False, 0.0, 0)], True, 0),
        ([(False, True, 0.1, 1), (True, True, 0.9, 3), (True, True, 0.9, 2)], True, 2),
        ([(False, False, 0.0, 0), (False, False, 0.0, 0)], False, 0),
    ],
)
def test_a_new_world_goes_to_the_least_load(
    rows: list[tuple[bool, bool, float, int]], heavy: bool, slot: int
) -> None:
    """By load, not by the number of sessions; in a process that runs, if one does; never light beside heavy."""
    assert choose_slot(slots(*rows), heavy=heavy) == slot


TWO = [(False, True, 1.0, 2), (False, True, 0.1, 1)]
FOUR = [*TWO, (True, True, 0.9, 3), (True, True, 0.9, 1)]


@pytest.mark.parametrize(
    ("rows", "here", "heavy", "load", "stayed_s", "slot"),
    [
        (FOUR, 0, True, 0.9, 0.0, 3),  # a heavy session leaves at once
        (FOUR, 2, False, 0.1, STAY_S, 1),  # a light one returns to the least load, after some time
        (FOUR, 2, False, 0.1, STAY_S / 2, None),
        (FOUR, 2, True, 0.3, STAY_S, 3),  # heavy ones are evened out by number
        (FOUR, 3, True, 0.9, STAY_S, None),
        (TWO, 0, False, 0.3, STAY_S, 1),  # a busy process sends a light session away
        (TWO, 0, False, 0.8, STAY_S, None),  # unless the other would then be as busy
        (TWO, 0, True, 0.9, STAY_S, None),  # no heavy process runs yet
        ([(False, True, 0.9, 1), (True, True, 0.0, 0)], 0, True, 0.9, STAY_S, None),  # nobody is disturbed
    ],
)
def test_a_session_moves_where_it_belongs(
    rows: list[tuple[bool, bool, float, int]],
    here: int,
    heavy: bool,
    load: float,
    stayed_s: float,
    slot: int | None,
) -> None:
    """Heavy sessions leave the light ones, light sessions leave the heavy ones, and processes of a kind are evened."""
    assert choose_better_slot(slots(*rows), here, heavy=heavy, load=load, stayed_s=stayed_s) == slot


def test_a_session_is_judged_by_its_ticks() -> None:
    """Ticks of 32 ms make it heavy after five of them. Ticks of 1 ms make it light again, once they are the average."""
    usage = UsageTable().get("one", 0.0)
    assert usage.ticks_per_call == 1
    now, ticks = 0.0, 0
    while not usage.heavy:
        now, ticks = now + 0.033, ticks + 1
        usage.add_ticks(1, 0.032, now)
    assert (ticks, usage.ticks_per_call) == (5, 1)
    while usage.heavy:
        now, ticks = now + 0.033, ticks + 1
        usage.add_ticks(1, 0.001, now)
        assert ticks < 1000
    assert usage.tick_s < 0.005


def test_one_call_runs_the_ticks_that_fit_in_it() -> None:
    """Eight ticks of a millisecond fit, and never more than MOST_TICKS; one long tick is enough to be cautious."""
    usage = UsageTable().get("one", 0.0)
    usage.add_ticks(10, 10 * CALL_S / 8.5, 1.0)
    assert usage.ticks_per_call == 8
    usage.add_ticks(1, 0.02, 1.1)
    assert usage.ticks_per_call == 1
    quick = UsageTable().get("two", 0.0)
    quick.add_ticks(10, 1e-6, 1.0)
    assert quick.ticks_per_call == MOST_TICKS


def test_a_load_decays_and_a_silent_session_is_forgotten() -> None:
    """A new session counts with a small load. After a minute without a call nothing is known of it."""
    table = UsageTable()
    usage = table.get("one", 100.0)
    assert table.load("one", 100.0) == pytest.approx(NEW_LOAD)
    for tick in range(3000):
        usage.cpu.add(0.01, 100.0 + tick / 60)
    assert table.load("one", 150.0) == pytest.approx(0.6, abs=0.01)
    assert table.load("one", 155.0) == pytest.approx(0.6 / 2.718, abs=0.01)
    table.get("two", 151.0 + FORGET_S)
    assert table.load("one", 151.0 + FORGET_S) == 0.0
