"""The lists of recorded sessions: found by mode, player and date, also after the keys of their sessions have expired.

    a session is over -> a worker: row -> RECORDINGS_URL/index/T.json, and the store: one script -> the lists
    page: the shortest list that a choice allows, from its newest or a cursor -> rows -> those that match

A list is read in pages of a bounded number of rows, whatever it has; nothing reads the files of recordings. The files
of the index are what the lists are made of again if the store is lost. The recording of a private session has no row.
This module must never open a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tussle.lobby.recorded_sessions import RecordedSession, RecordingChoice
from tussle.lobby.store.store import Store

__all__ = ["EXAMINED", "RecordingIndex"]

EXAMINED = 1000
"""Most rows that are read for one page."""

BATCH = 200

TRIMMED = 100
"""Most rows that one call takes off because the lists are full."""


class RecordingIndex:
    """The lists of a realm. most: rows that they keep, the newest."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._keys = store.keys
        self._most = most

    async def add(self, row: RecordedSession) -> None:
        """Put a recorded session on the lists, and take the oldest off while they are full. A repeated call changes
        nothing."""
        text = msgspec.json.encode(row).decode()
        await self._store.run("list_recording", self._lists(row), [row.session, row.ended_at, text])
        over = int(await self._store.call("ZCARD", self._keys.recorded)) - self._most
        if over > 0:
            oldest = await self._store.call("ZRANGE", self._keys.recorded, 0, min(over, TRIMMED) - 1)
            for session in oldest:
                await self.remove(session)

    async def remove(self, session: str) -> bool:
        """Take a session off the lists. Returns False if it is on none."""
        text = await self._store.call("HGET", self._keys.recorded_rows, session)
        if text is None:
            await self._store.call("ZREM", self._keys.recorded, session)
            return False
        row = msgspec.json.decode(text, type=RecordedSession)
        reply = await self._store.run("unlist_recording", self._lists(row), [session, text])
        return bool(reply[1] == "1")

    async def sessions(self) -> list[str]:
        """Every session on the lists, the oldest first, for a worker."""
        return list(await self._store.call("ZRANGE", self._keys.recorded, 0, -1))

    async def row(self, session: str) -> RecordedSession | None:
        """The row of a recorded session; None if it has none."""
        return (await self._rows([session])).get(session)

    async def page(self, choice: RecordingChoice) -> tuple[list[RecordedSession], str]:
        """The newest rows of a choice, and the cursor of the page after them, or ''. At most EXAMINED rows are read: a
        page may be empty although another one follows."""
        name = await self._list_of(choice)
        newest = min((at for at in (choice.until, choice.after[0] if choice.after else 0) if at), default=0)
        last, first = str(newest) if newest else "+inf", str(choice.since) if choice.since else "-inf"
        found: list[RecordedSession] = []
        seen = 0
        while seen < EXAMINED:
            flat = await self._store.call(
                "ZREVRANGEBYSCORE", name, last, first, "WITHSCORES", "LIMIT", seen, BATCH
            )
            places = [(int(float(at)), session) for session, at in zip(flat[::2], flat[1::2], strict=True)]
            rows = await self._rows([session for _, session in places])
            for place in places:
                seen += 1
                row = rows.get(place[1])
                if row is None or (choice.after and place >= choice.after) or not row.suits(choice):
                    continue
                found.append(row)
                if len(found) == choice.limit:
                    return found, _cursor(place)
            if len(places) < BATCH:
                return found, ""
        return found, _cursor(places[-1])

    async def _list_of(self, choice: RecordingChoice) -> str:
        if choice.player:
            own = self._keys.recorded_of(choice.player)
            return (
                own
                if await self._store.call("EXISTS", own)
                else self._keys.recorded_of(choice.player.casefold())
            )
        return self._keys.recorded_in(choice.mode) if choice.mode else self._keys.recorded

    async def _rows(self, sessions: Sequence[str]) -> Mapping[str, RecordedSession]:
        if not sessions:
            return {}
        texts = await self._store.call("HMGET", self._keys.recorded_rows, *sessions)
        return {
            session: msgspec.json.decode(text, type=RecordedSession)
            for session, text in zip(sessions, texts, strict=True)
            if text is not None
        }

    def _lists(self, row: RecordedSession) -> list[str]:
        """The rows, and every list that a row belongs to."""
        keys = self._keys
        return [
            keys.recorded_rows, keys.recorded, keys.recorded_in(row.mode),
            *(keys.recorded_of(name) for name in sorted(row.names())),
        ]  # fmt: skip


def _cursor(place: tuple[int, str]) -> str:
    return f"{place[0]}.{place[1]}"
