"""Distributes the tests over the processes of ``pytest -n``.

A file is run by one process, and all browser tests by one process: a browser draws on the CPU, so two at a time are too
slow for their tests, and so is a second set of servers and bots. What takes longest begins first.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

__all__ = ["Scheduler"]

BROWSER = "tests/player/web"

LONGEST = (
    BROWSER,
    "tests/whole/test_play.py",
    "tests/worker/spring/test_solvers.py",
    "tests/whole/test_deaths.py",
    "tests/cli/test_up.py",
    "tests/server/gateway/test_replay_gate.py",
    "tests/whole",
)
"""Folders and files, in the order in which they begin. The others follow, those with the most tests first."""


class Scheduler(LoadScopeScheduling):
    """``--dist loadfile`` with one unit for all browser tests, and the longest units first."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(f"{BROWSER}/") else nodeid.split("::", 1)[0]

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=_place), last=False)
        super()._assign_work_unit(node)


def _place(scope: str) -> int:
    return next((place for place, name in enumerate(LONGEST) if scope.startswith(name)), len(LONGEST))
