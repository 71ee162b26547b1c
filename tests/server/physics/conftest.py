"""Kernels are compiled before the first test, so that no test's time limit pays for it."""

from __future__ import annotations

import pytest

from tussle.server.physics.warmup import warm_up


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items and not session.config.option.collectonly:
        warm_up()
