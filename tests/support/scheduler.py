"""Distributes the tests over the processes of ``pytest -n``.

    a worker per core         everything: what takes longest first, then what waits for processes, then the rest
    one more (``-n auto``)    only files that compute and wait for nothing, then those that wait for a store only, with
                              a nice value: it has the time in which the others wait

A file is run by one process, and all browser tests by one process: a browser draws on the CPU, so two at a time are too
slow for their tests, and so is a third set of servers and bots.
"""

from __future__ import annotations

import functools
import os
import re
from enum import IntEnum
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.support.paths import ROOT

__all__ = ["NICE", "Scheduler", "Waits", "is_spare", "share_of_files", "waits", "worker_count"]

BROWSER = "tests/player/web"

LONGEST = (
    BROWSER,
    "tests/whole/test_play.py",
    "tests/worker/spring/test_solvers.py",
    "tests/whole/test_deaths.py",
    "tests/server/physics/test_determinism.py",
    "tests/cli/test_up.py",
    "tests/server/gateway/test_replay_gate.py",
    "tests/whole",
)
"""Folders and files, in the order in which they begin. The others follow: those that wait, then those with the most
tests."""

LONGEST_COMPUTE = (
    "tests/server/physics/test_golden.py",
    "tests/golden/test_golden.py",
    "tests/server/physics/test_torture.py",
    "tests/lobby/test_whole_program.py",
)
"""Files that only compute, and take long with few tests: once nothing is left that waits, they begin first, so that no
core is idle at the end. The worker beyond the cores begins with the others: with its nice value one of these could take
longer than its time limit."""

NICE = 10
"""Nice value of the worker beyond the cores."""

WAITS = re.compile(
    r"\bsubprocess\b|\bthreading\b|\bimport socket\b|\bmultiprocessing\b|\bsleep\(|\bperf_counter\b"
    r"|\bmonotonic\b|\bprocess_time\b|\bthread_time\b|\bdistributed\b|\basyncio\.timeout\b|\bwait_for\b"
    r"|support\.(stack|witness|stranger|gateway|http|person|one_store|notebooks)\b"
)
"""A word of a file that waits for something, or measures time. A time limit of pytest does neither."""

WAITS_FOR_STORE = re.compile(r"\basync def|\bstore_url\b")
"""A word of a file that waits for a store, at least."""

COMPUTE = (
    "tests/golden/test_golden.py",
    "tests/lobby/test_whole_program.py",
    "tests/server/modes/test_imports.py",
    "tests/server/physics/test_golden.py",
    "tests/server/physics/test_jit.py",
    "tests/server/simulation/test_identity.py",
    "tests/server/solver/test_kernels.py",
)
"""Files that only wait for processes of their own which compute."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count() -> int:
    """What ``-n auto`` means: with more that wait for other processes at once, tests fail."""
    return min(_cores(), 4) + 1


def is_spare(worker: str, count: int) -> bool:
    """Whether this worker of so many is the one beyond the cores."""
    return count > _cores() and worker == f"gw{count - 1}"


def share_of_files(worker: str, count: int) -> list[str]:
    """The test modules that this worker of so many compiles for all. The one beyond the cores is slow, and has none."""
    if is_spare(worker, count):
        return []
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("tests/**/test_*.py")
    ]
    return sorted(names)[int(worker.removeprefix("gw")) :: count - is_spare(f"gw{count - 1}", count)]


class Waits(IntEnum):
    """What a file waits for."""

    NOTHING = 0
    STORE = 1
    ANYTHING = 2


@functools.cache
def waits(scope: str) -> Waits:
    """What this file waits for, or a fixture that it may use with it."""
    path = ROOT / scope
    if scope in COMPUTE:
        return Waits.NOTHING
    if not path.is_file() or WAITS.search(text := path.read_text()):
        return Waits.ANYTHING
    if not WAITS_FOR_STORE.search(text):
        return Waits.NOTHING
    fixtures = [folder / "conftest.py" for folder in path.parents if ROOT / "tests" in folder.parents]
    near = any(one.is_file() and WAITS.search(one.read_text()) for one in fixtures)
    return Waits.ANYTHING if near else Waits.STORE


class Scheduler(LoadScopeScheduling):
    """``--dist loadfile`` with one unit for all browser tests, and the longest units first."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(f"{BROWSER}/") else nodeid.split("::", 1)[0]

    def _next_unit(self, node: Any) -> str | None:
        """The unit that this worker takes next; None if there is none for it."""
        spare = is_spare(node.gateway.id, self.numnodes)
        units = [scope for scope in self.workqueue if not (spare and waits(scope) is Waits.ANYTHING)]
        return min(units, key=_spare_place if spare else _place, default=None)

    def _assign_work_unit(self, node: Any) -> None:
        if (unit := self._next_unit(node)) is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(unit, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if self.workqueue and not node.shutting_down and self._next_unit(node) is None:
            node.shutdown()
        super()._reschedule(node)


def _place(scope: str) -> int:
    last = len(LONGEST)
    if waits(scope) is Waits.ANYTHING:
        return next((place for place, name in enumerate(LONGEST) if scope.startswith(name)), last)
    if waits(scope) is Waits.STORE:
        return last + 1
    longest = LONGEST_COMPUTE.index(scope) if scope in LONGEST_COMPUTE else len(LONGEST_COMPUTE)
    return last + 2 + longest


def _spare_place(scope: str) -> tuple[Waits, bool]:
    return waits(scope), scope in LONGEST_COMPUTE
