"""A plugin of pytest for ``./run test --quick``: after BUDGET_S no further test starts, and the summary says how many
did not run. Loaded with ``-p tests.support.budget`` only."""

from __future__ import annotations

import os
import time

import pytest

BUDGET_S = float(os.environ.get("TEST_BUDGET_S", "70"))
"""From the first test on [s]; collecting, and the test that runs when it is over, take more."""

_left = 0
_end = 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run no test after the end of the time; True says that this is done."""
    global _end, _left
    _end = _end or time.monotonic() + BUDGET_S
    if time.monotonic() < _end:
        return None
    _left += 1
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left:
        terminalreporter.write_line(
            f"{_left} tests of the changed files DID NOT RUN: the time is over", red=True
        )
