"""Rematches: what a new lobby of the same people takes over from a session that is over.

    an ended session -> Rematches.plan -> its rematch, if it has one    -> Seating.join
                              '--------> a plan: seats, series, bots    -> Seating.open_rematch

The script that opens the lobby also writes it into the session that it repeats, so that a session has one rematch
however many ask for it, and after a crash either both exist or neither. This module must never seat a player.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from tussle.lobby.errors import Conflict, NotFound
from tussle.lobby.filling import ALONE_SKILL, REQUEST_MS
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Argument, Store
from tussle.lobby.wire.messages import Series, SeriesWins

__all__ = ["RematchPlan", "Rematches"]

_FIELDS: Final = (
    "status", "mode", "size", "params", "private", "started_at", "result", "rematch", "series",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RematchPlan:
    """A rematch of the session ``of``. ``lobby``: the one that exists and can be joined, or ''. The rest describes a
    new one: ``known``: the rematch that the session has, whose lobby never began, or ''. ``seat`` and ``body``: of who
    asks. ``held``: seat -> (player, name, body) of the other people. ``bots``: how many played, ``skill``: of one of
    them."""

    of: str
    lobby: str
    mode: str
    size: int
    params: bytes
    private: bool
    seat: int
    body: str
    known: str
    series: Series
    held: dict[int, tuple[str, str, str]]
    hold_ms: int
    bots: int
    skill: str

    def without_bots(self) -> RematchPlan:
        """The same plan, with seats of bots for anyone."""
        return replace(self, bots=0)

    def arguments(self) -> list[Argument]:
        """The arguments 31 to 38 of open.lua."""
        held = {
            str(seat): {"player": player, "name": name, "body": body}
            for seat, (player, name, body) in self.held.items()
        }
        encode = msgspec.json.encode
        return [
            self.known, encode(self.series), encode(held), self.hold_ms, self.bots, self.seat, self.skill,
            REQUEST_MS,
        ]  # fmt: skip


class Rematches:
    """The rematches of a realm."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._keys = store.keys
        self._hold_ms = round(settings.rematch_hold_s * 1000)

    async def plan(self, player: str, session: str) -> RematchPlan:
        """The rematch of a session that is over, for one of its members. Every seat moves down by one, so that each
        person acts first in turn; two people swap.

        Raises NotFound, Conflict ``not_over``, ``not_member``, or ``rematch_played`` if its rematch is over: ask for
        that session's rematch.
        """
        keys = self._keys
        fields, seats = await self._store.batch(
            [("HMGET", keys.session(session), *_FIELDS), ("HGETALL", keys.seats(session))]
        )
        status, mode, size, params, private, started, result, rematch, series = fields
        if status is None:
            raise NotFound(f"there is no session {session}", code="no_such_session", field="session")
        if status not in ENDED or not int(started or 0):
            raise Conflict("only a session that was played has a rematch", code="not_over")
        players = {int(seat): one for seat, one in zip(seats[::2], seats[1::2], strict=True)}
        if player not in players.values():
            raise Conflict("you had no seat in this session", code="not_member")
        rows = await self._store.batch(
            [
                ("HMGET", keys.session_player(session, one), "name", "kind", "skill", "body")
                for one in players.values()
            ]
        )
        members = dict(zip(players, rows, strict=True))
        count = int(size)
        skills = [skill for _, kind, skill, _ in members.values() if kind == "bot"]
        own = next(seat for seat, one in players.items() if one == player)
        lobby, known = await self._present(rematch or "")
        return RematchPlan(
            of=session,
            lobby=lobby,
            mode=mode,
            size=count,
            params=(params or "{}").encode(),
            private=private == "1",
            seat=(own - 1) % count,
            body=members[own][3] or "",
            known=known,
            series=_series(session, series, result, players, members),
            held={
                (seat - 1) % count: (players[seat], name or "", body or "")
                for seat, (name, kind, _, body) in members.items()
                if seat != own and kind != "bot"
            },
            hold_ms=self._hold_ms,
            bots=sum(kind == "bot" for seat, (_, kind, _, _) in members.items() if seat != own),
            skill=next((skill for skill in skills if skill), ALONE_SKILL),
        )

    async def _present(self, rematch: str) -> tuple[str, str]:
        """(the rematch that can be joined, or ''; the one that the session has and that never began, or '')."""
        if not rematch:
            return "", ""
        status, started = await self._store.call("HMGET", self._keys.session(rematch), "status", "started_at")
        if status is not None and status not in ENDED:
            return rematch, ""
        if status is None or int(started or 0):
            raise Conflict(f"its rematch {rematch} is over", code="rematch_played", field="session")
        return "", rematch


def _series(
    session: str,
    before: str | None,
    result: str | None,
    players: dict[int, str],
    members: dict[int, Any],
) -> Series:
    """The score after a session: of each person, and of all bots together, who are others each time."""
    was = msgspec.json.decode(before, type=Series) if before else Series(match=1)
    wins = {one.player: one for one in was.wins}
    for seat, player in sorted(players.items()):
        name, kind, _, _ = members[seat]
        if kind != "bot":
            wins.setdefault(player, SeriesWins(player, name or "", 0))
    bots, drawn = was.bots, was.drawn
    if result:
        winner = msgspec.json.decode(result).get("winner")
        if winner not in players:
            drawn += 1
        elif members[winner][1] == "bot":
            bots += 1
        else:
            one = wins[players[winner]]
            wins[one.player] = msgspec.structs.replace(one, won=one.won + 1)
    return Series(match=was.match + 1, wins=tuple(wins.values()), bots=bots, drawn=drawn, before=session)
