"""A plugin of pytest for ``./run test --quick``: after BUDGET_S no further test starts, and the summary says how many
did not run. Loaded with ``-p tests.support.budget`` only. With pytest-xdist each worker counts, and the first process
adds up."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

BUDGET_S = float(os.environ.get("TEST_BUDGET_S", "75"))
"""From the start of the first process of pytest on [s]; the test that runs when it is over may take longer."""

_END = float(os.environ.setdefault("TEST_BUDGET_END", str(time.monotonic() + BUDGET_S)))
"""The workers of pytest-xdist start later and inherit it."""

_left = 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Run no test after the end of the time; True says that this is done."""
    global _left
    if time.monotonic() < _END:
        return None
    _left += 1
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left"] = _left


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    global _left
    _left += getattr(node, "workeroutput", {}).get("left", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left:
        terminalreporter.write_line(
            f"{_left} tests of the changed files DID NOT RUN: the time is over", red=True
        )
