"""Which worker of ``pytest -n`` runs which file."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest

from tests.support import scheduler
from tests.support.paths import ROOT
from tests.support.scheduler import BROWSER, LONGEST, LONGEST_COMPUTE, Scheduler, is_spare, worker_count

TORTURE = "tests/server/physics/test_torture.py"
FILES = (
    "tests/lobby/rules/test_slots.py",
    TORTURE,
    "tests/cli/test_up.py",
    "tests/whole/test_play.py",
    BROWSER,
)


class Node:
    """A worker as the scheduler knows it: the numbers of the tests that it got, and whether it may end."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.got: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, tests: list[int]) -> None:
        self.got += tests

    def shutdown(self) -> None:
        self.shutting_down = True


def make_scheduler(count: int) -> Scheduler:
    """One with the units of FILES, of a test each."""
    one = Scheduler.__new__(Scheduler)
    one.workqueue = OrderedDict((name, {f"{name}::test": False}) for name in FILES)
    one.assigned_work, one.registered_collections, one.numnodes = {}, {}, count
    one.log = lambda *_: None
    return one


def order_of(worker: str, count: int) -> list[str]:
    """The units that a worker of so many would run alone, in order."""
    one = make_scheduler(count)
    found = []
    while unit := one._next_unit(Node(worker)):
        found.append(unit)
        del one.workqueue[unit]
    return found


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no right to give up a nice value."""
    monkeypatch.setattr(scheduler, "_cores", lambda: 2)
    monkeypatch.setattr(scheduler, "_may_hurry", lambda: False)


def test_what_takes_longest_begins_first() -> None:
    """The browser tests, then what waits for processes, then what computes long, then the rest."""
    assert order_of("gw0", 3) == [
        BROWSER,
        "tests/whole/test_play.py",
        "tests/cli/test_up.py",
        TORTURE,
        FILES[0],
    ]


def test_the_lists_name_what_is_there() -> None:
    """And a file that computes is not among those that begin at once."""
    assert all((ROOT / name).exists() for name in (*LONGEST, *LONGEST_COMPUTE))
    assert not any(scheduler._waits(name) for name in LONGEST_COMPUTE)
    assert all(scheduler._waits(name) for name in LONGEST)


def test_the_worker_beyond_the_cores_waits_for_nothing() -> None:
    """It runs only files that compute: its nice value would make others late. Those that take long come last."""
    assert worker_count() == 3 and is_spare("gw2", 3)
    assert order_of("gw2", 3) == [FILES[0], TORTURE]


def test_the_worker_beyond_the_cores_helps_when_no_browser_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it may give up its nice value. Until then it waits with the last file that computes."""
    monkeypatch.setattr(scheduler, "_may_hurry", lambda: True)
    one, browser, spare = make_scheduler(3), Node("gw0"), Node("gw2")
    for node in (browser, spare):
        one.assigned_work[node] = {}
        one.registered_collections[node] = [f"{name}::test" for name in FILES]
        one._assign_work_unit(node)
    one._assign_work_unit(spare)
    assert (browser.got, spare.got) == ([4], [0, 1])
    one.mark_test_complete(spare, 0)
    assert spare.got == [0, 1] and not spare.shutting_down
    one.mark_test_complete(browser, 4)
    assert (browser.got, spare.got) == ([4, 3], [0, 1, 2])


def test_without_one_more_worker_each_runs_everything() -> None:
    assert not is_spare("gw1", 2)
    assert order_of("gw1", 2) == order_of("gw0", 3)


def test_a_time_limit_of_pytest_is_no_wait() -> None:
    """Files with such a limit, and those that only wait for processes which compute, are for the spare worker too."""
    assert "mark.timeout(" in (ROOT / "tests/lobby/wire/test_deltas.py").read_text()
    assert not scheduler._waits("tests/lobby/wire/test_deltas.py")
    assert all((ROOT / name).is_file() and not scheduler._waits(name) for name in scheduler.COMPUTE)
    assert scheduler._waits("tests/server/sessions/test_holder.py")
