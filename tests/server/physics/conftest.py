"""Compiles the kernels before the first test, so that the compilation does not count towards a test's time limit."""

from __future__ import annotations

import pytest

from tussle.server.solver.kernels import load_kernels


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items and not session.config.option.collectonly:
        load_kernels()
