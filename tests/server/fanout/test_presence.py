"""The lists of who is present, with a list of calls instead of the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from tussle.server.fanout import presence
from tussle.server.fanout.presence import PresenceLists


async def test_lists_are_renewed_although_others_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who joins and leaves one list in every round does not keep the other lists from being renewed."""
    monkeypatch.setattr(presence, "RENEW_S", 0.02)
    monkeypatch.setattr(presence, "ROUND_S", 0.001)
    renewed, first = asyncio.Event(), True

    async def write(session: str, present: Sequence[str], gone: Sequence[str]) -> None:
        nonlocal first
        if session == "noisy":
            with lists.watching("noisy", "p2", "otto"):
                pass
        elif first:
            first = False
        else:
            renewed.set()

    async def show(session: str) -> bool:
        return True

    lists = PresenceLists(write, show, work="test")
    with lists.watching("calm", "p1", "ada"), lists.watching("noisy", "p3", "eve"):
        keeping = asyncio.create_task(lists.keep())
        async with asyncio.timeout(20):
            await renewed.wait()
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
