"""The client's lists of sessions and of their recordings: what a list is asked for, and its pages.

    query -> the parameters of a list      read_pages -> page after page, until there are enough rows

This module must never send a request itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.standings import LeaderboardRow
from tussle.lobby.wire.messages import SessionView

__all__ = ["LeaderboardPage", "RecordedPage", "SessionPage", "query", "read_pages"]

Row = TypeVar("Row")


class Page(Protocol[Row]):
    """One page of a list. next: its cursor, or '' if it is the last one."""

    @property
    def rows(self) -> list[Row]: ...

    @property
    def next(self) -> str: ...


class SessionPage(msgspec.Struct, frozen=True):
    """A page of GET /api/sessions."""

    rows: list[SessionView] = msgspec.field(name="sessions")
    next: str = ""


class RecordedPage(msgspec.Struct, frozen=True):
    """A page of GET /api/recordings?kind=sessions."""

    rows: list[RecordedSession] = msgspec.field(name="recordings")
    next: str = ""


class LeaderboardPage(msgspec.Struct, frozen=True):
    """GET /api/leaderboard/<mode>."""

    rows: list[LeaderboardRow]


def query(*, since: float | None = None, until: float | None = None, **words: str | None) -> dict[str, str]:
    """The parameters of a list. since, until: [s since 1970]."""
    times = {"since": since, "until": until}
    asked = {name: value for name, value in words.items() if value}
    return asked | {name: str(int(at * 1000)) for name, at in times.items() if at is not None}


async def read_pages(
    get: Callable[[dict[str, str]], Awaitable[Page[Row]]], params: dict[str, str], limit: int | None
) -> list[Row]:
    """At most ``limit`` rows of a list."""
    found: list[Row] = []
    while limit is None or len(found) < limit:
        page = await get(params)
        found += page.rows
        if not page.next:
            break
        params = {**params, "cursor": page.next}
    return found[:limit]
