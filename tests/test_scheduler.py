"""Which worker of ``pytest -n`` runs which file."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest

from tests.support import scheduler
from tests.support.paths import ROOT
from tests.support.scheduler import (
    BROWSER,
    LONGEST,
    LONGEST_COMPUTE,
    Scheduler,
    Waits,
    is_spare,
    share_of_files,
    waits,
    worker_count,
)

TORTURE = "tests/server/physics/test_torture.py"
STORE = "tests/lobby/test_seating.py"
FILES = (
    "tests/lobby/rules/test_slots.py",
    STORE,
    TORTURE,
    "tests/cli/test_up.py",
    "tests/whole/test_play.py",
    BROWSER,
)


def order_of(worker: str, count: int) -> list[str]:
    """The units that a worker of so many would run alone, in order."""
    one = Scheduler.__new__(Scheduler)
    one.workqueue, one.numnodes = OrderedDict((name, {"test": False}) for name in FILES), count
    found = []
    while unit := one._next_unit(SimpleNamespace(gateway=SimpleNamespace(id=worker))):
        found.append(unit)
        del one.workqueue[unit]
    return found


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_cores", lambda: 2)


def test_what_takes_longest_begins_first() -> None:
    """The browser tests, then what waits for processes, then for a store, then what computes long, then the rest."""
    assert order_of("gw0", 3) == [
        BROWSER,
        "tests/whole/test_play.py",
        "tests/cli/test_up.py",
        STORE,
        TORTURE,
        FILES[0],
    ]


def test_the_lists_name_what_is_there() -> None:
    """And a file that computes is not among those that begin at once."""
    assert all((ROOT / name).exists() for name in (*LONGEST, *LONGEST_COMPUTE))
    assert not any(waits(name) for name in LONGEST_COMPUTE)
    assert all(waits(name) is Waits.ANYTHING for name in LONGEST)


def test_the_worker_beyond_the_cores_waits_for_no_process() -> None:
    """It runs only files that compute, those that take long last, and then those that wait for a store: its nice value
    would make others late."""
    assert worker_count() == 3 and is_spare("gw2", 3)
    assert order_of("gw2", 3) == [FILES[0], TORTURE, STORE]


def test_what_a_fixture_of_the_folder_waits_for_counts() -> None:
    """A file that only waits for a store itself may start processes by the fixtures beside it."""
    assert waits("tests/server/http/test_rights.py") is Waits.ANYTHING
    assert waits("tests/lobby/test_rematches.py") is Waits.STORE


def test_without_one_more_worker_each_runs_everything() -> None:
    assert not is_spare("gw1", 2)
    assert order_of("gw1", 2) == order_of("gw0", 3)


def test_a_time_limit_of_pytest_is_no_wait() -> None:
    """Files with such a limit, and those that only wait for processes which compute, are for the spare worker too."""
    assert "mark.timeout(" in (ROOT / "tests/lobby/wire/test_deltas.py").read_text()
    assert not waits("tests/lobby/wire/test_deltas.py")
    assert all((ROOT / name).is_file() and not waits(name) for name in scheduler.COMPUTE)
    assert waits("tests/server/sessions/test_holder.py")


@pytest.mark.parametrize("count", [2, 3])
def test_each_file_is_compiled_by_one_worker(count: int) -> None:
    """Which is none that has only the time that the others leave."""
    shares = [share_of_files(f"gw{worker}", count) for worker in range(count)]
    files = [name for share in shares for name in share]
    assert __name__ in files and len(set(files)) == len(files)
    assert len(files) == len(list((ROOT / "tests").rglob("test_*.py")))
    assert [bool(share) for share in shares] == [True, True, False][:count]
