"""The public sessions of a realm in memory, in the order of the lists, with indexes for each filter.

    put, remove -> rows by token, places by status, mode and player -> find(Choice), from a cursor, until its limit
                                                    '-> text of all rows, in which a search finds a part of a word

A page of one status or mode reads only its own rows. A search is one scan of the text in C: 0.2 ms for 5000 sessions.
This module must never read the store or a clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

__all__ = ["Choice", "Place", "SessionIndex", "SessionRow"]

Place = tuple[int, int, str]
"""Waiting sessions, oldest first; running ones, newest first; ended ones, newest first. The last part is the token."""

ENDED_PLACE: Place = (2, -(2**63), "")
"""Before every ended session."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sessions of the lists a client asks for."""

    mode: str
    status: str
    search: str
    """A part of a token, a mode or a player's name, casefolded."""
    player: str
    """Identity or whole name of somebody who has a seat, casefolded; a guest's name also without what follows "#"."""
    since: int
    until: int
    """The last change of status lies between these times, if they are not 0 [ms since 1970]."""
    limit: int
    after: Place | None = None
    ended: int = 0
    """Ended sessions that follow those which wait or run, if no status is asked for."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the lists. shown: what a client gets."""

    place: Place
    status: str
    mode: str
    changed_at: int
    """The time when it opened, began or ended, whichever is last [ms since 1970]."""
    words: tuple[str, ...]
    """The text that a search matches, casefolded."""
    players: frozenset[str]
    shown: Mapping[str, Any]

    @property
    def filters(self) -> list[tuple[str, str]]:
        """The keys of the lists of places that have this row."""
        return [("", ""), (self.status, ""), ("", self.mode), (self.status, self.mode)]


class SessionIndex:
    """Rows by token, and what finds them."""

    def __init__(self) -> None:
        self._rows: dict[str, SessionRow] = {}
        self._places: dict[tuple[str, str], list[Place]] = {("", ""): []}
        self._tokens_of: dict[str, set[str]] = {}
        self._text = ""
        self._starts: list[int] = []
        self._text_is_old = False

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: SessionRow) -> bool:
        """Add a row, or replace the row of the same session. Returns whether anything changed."""
        token = row.place[2]
        if self._rows.get(token) == row:
            return False
        self.remove(token)
        self._rows[token] = row
        for key in row.filters:
            insort(self._places.setdefault(key, []), row.place)
        for player in row.players:
            self._tokens_of.setdefault(player, set()).add(token)
        self._text_is_old = True
        return True

    def remove(self, token: str) -> bool:
        """Remove the row of a session. Returns whether there was one."""
        row = self._rows.pop(token, None)
        if row is None:
            return False
        for key in row.filters:
            places = self._places[key]
            del places[bisect_left(places, row.place)]
            if not places and key != ("", ""):
                del self._places[key]
        for player in row.players:
            tokens = self._tokens_of[player]
            tokens.discard(token)
            if not tokens:
                del self._tokens_of[player]
        self._text_is_old = True
        return True

    def find(self, choice: Choice) -> tuple[list[SessionRow], str]:
        """The rows of one page, and the cursor of the page after it, or ''."""
        page: list[SessionRow] = []
        following = ""
        places = self._candidates(choice)
        end = len(places) if choice.status else bisect_left(places, ENDED_PLACE)
        begin = bisect_right(places, choice.after) if choice.after is not None else 0
        for row in self._suiting(places, begin, end, choice):
            if len(page) == choice.limit:
                following = ".".join(map(str, page[-1].place))
                break
            page.append(row)
        if not choice.status:
            ended = self._suiting(places, max(begin, end), len(places), choice)
            page += islice(ended, choice.ended)
        return page, following

    def _candidates(self, choice: Choice) -> Sequence[Place]:
        """The places among which the rows of a choice are, in order: those of its narrowest filter."""
        if choice.player:
            tokens = self._tokens_of.get(choice.player, ())
            return sorted(self._rows[token].place for token in tokens)
        if choice.search:
            return self._matching(choice.search)
        return self._places.get((choice.status, choice.mode), [])

    def _suiting(self, places: Sequence[Place], begin: int, end: int, choice: Choice) -> Iterator[SessionRow]:
        for at in range(begin, end):
            row = self._rows[places[at][2]]
            if (
                (not choice.status or row.status == choice.status)
                and (not choice.mode or row.mode == choice.mode)
                and choice.since <= row.changed_at
                and (not choice.until or row.changed_at <= choice.until)
                and (not choice.search or any(choice.search in word for word in row.words))
            ):
                yield row

    def _matching(self, search: str) -> list[Place]:
        """The places of the rows that have ``search`` in a word, in order."""
        places = self._places["", ""]
        if self._text_is_old:
            parts = ["\n".join((*self._rows[place[2]].words, "")) for place in places]
            self._text, self._text_is_old = "".join(parts), False
            self._starts = list(accumulate(map(len, parts), initial=0))
        found = []
        at = self._text.find(search)
        while at >= 0:
            row = bisect_right(self._starts, at) - 1
            found.append(places[row])
            at = self._text.find(search, self._starts[row + 1])
        return found
