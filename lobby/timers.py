"""The deadlines of lobbies: when the next one is due, and what happens then.

    lobby:T    the lobby did not fill, or its members were not ready in time: it ends as timed out.
               A session that was starting and never began to run ends as failed.
    bots:T     one person has waited alone in the lobby for some seconds: it asks for bots.
    hold:T     the seats of a rematch are no longer held.
    seat:T:P   the player did not connect or come back in time: the seat is free again.

Deadlines are members of one sorted set in the store. Any process may execute them, and each takes effect once. This
module must never wait: the server and the worker decide when they call it.
"""

from __future__ import annotations

from tussle.lobby.errors import StoreError
from tussle.lobby.filling import Filling
from tussle.lobby.seating import Seating
from tussle.lobby.session_scripts import SessionScripts

__all__ = ["Timers"]

MEMBERS_TRIES = 16
DUE_AT_ONCE = 200
"""Deadlines that one call of ``run_due`` executes at most."""


class Timers:
    """The deadlines of a realm."""

    def __init__(self, scripts: SessionScripts, seating: Seating) -> None:
        self._scripts = scripts
        self._store = scripts.store
        self._keys = scripts.keys
        self._seating = seating
        self._filling = Filling(scripts)

    async def run_due(self, now: int | None = None) -> int:
        """Execute the deadlines up to ``now`` [ms, default: the store's clock]. Returns how many had an effect."""
        now = await self._store.now_ms() if now is None else now
        due = await self._store.call(
            "ZRANGEBYSCORE", self._keys.deadlines, "-inf", now, "LIMIT", 0, DUE_AT_ONCE
        )
        effects = 0
        for timer in due:
            kind, session, *player = timer.split(":")
            if await self._scripts.find_shape(session) is None:
                await self._store.call("ZREM", self._keys.deadlines, timer)
            elif kind == "lobby":
                effects += await self._time_out(session, now)
            elif kind == "bots":
                effects += await self._filling.request_alone(session, due_at=now)
            elif kind == "hold":
                reply = await self._scripts.run("release_held", session, [], [now])
                effects += int(reply[1])
            else:
                effects += await self._seating.unseat(player[0], session, "absent", due_at=now)
        return effects

    async def next_due(self) -> int | None:
        """The earliest deadline [ms of the store's clock], or None."""
        first = await self._store.call("ZRANGE", self._keys.deadlines, 0, 0, "WITHSCORES")
        return int(float(first[1])) if first else None

    async def _time_out(self, session: str, now: int) -> int:
        """The script needs the key of every member, so the members are read first. It refuses when they changed."""
        for _ in range(MEMBERS_TRIES):
            members = sorted(await self._store.call("SMEMBERS", self._keys.session_players(session)))
            keys = [self._keys.player(member) for member in members]
            reply = await self._scripts.run("time_out", session, keys, [now, *members])
            if reply[0] == "OK":
                return int(reply[1] != "")
        raise StoreError(f"the members of {session} change faster than they can be freed")
