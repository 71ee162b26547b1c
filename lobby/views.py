"""Reads sessions: one, a list, the newest events. This module must never write.

A view is consistent: if its session's v changed while it was read, it is read again. Its ``v`` is the newest event that
it includes. It is not read in a transaction, because a store that is out of memory refuses those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from tussle.lobby.addresses import socket_address
from tussle.lobby.errors import Conflict, NotFound, Refused, StoreError
from tussle.lobby.lifecycle import ENDED, LIVE, WAITING, Status
from tussle.lobby.servers import HolderAddress
from tussle.lobby.store.store import Store
from tussle.lobby.store.stored_json import read_stored
from tussle.lobby.wire.messages import (
    Event,
    HeldSeat,
    ObserversData,
    RatingChange,
    SeatView,
    Series,
    SessionView,
)

__all__ = ["Views", "observer_name"]

EVENTS_AT_ONCE = 1000
SESSIONS_SCANNED = 500
"""Limit of the sessions of an index that a list reads."""

SESSIONS_LISTED = 20_000
"""Limit of the sessions of an index that the lists of a server have."""

TRANSITIONS_READ = 500
TOKENS_AT_ONCE = 1000
VERSIONS_AT_ONCE = 100
"""What is read without a pause of the event loop: about a millisecond."""

READ_TRIES = 8

OBSERVERS_NAMED = 12
"""Limit of the observers whose names a view has. All are counted."""

BOT_SUFFIX = "\tbot"
"""Follows the name of a bot in the list of observers; no name has a tab."""

_FIELDS = (
    "status", "mode", "size", "host", "opened_at", "started_at", "ended_at", "epoch", "v", "tick", "round", "turn",
    "turn_seat", "turn_ends_at", "brief", "result", "reason", "holder_url", "private",
    "timeout_ms", "closes_at", "params", "min_distance", "parent", "parent_tick", "exact",
    "series", "held", "held_until", "rematch", "ratings",
)  # fmt: skip


class Views:
    """The sessions of a realm, as every player may see them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def view(self, session: str) -> SessionView:
        """The whole view of a session. Raises NotFound."""
        view, _ = await self.view_and_privacy(session)
        return view

    async def view_and_privacy(self, session: str) -> tuple[SessionView, bool]:
        """The whole view of a session, and whether it is private. Raises NotFound."""
        found = await self.read([session])
        if session not in found:
            raise NotFound(f"there is no session {session}", field="session")
        return found[session]

    async def holder_of(self, session: str) -> tuple[HolderAddress, str]:
        """The server that holds a session, and the session's status. Raises NotFound."""
        key = self._store.keys.session(session)
        server, nonce, url, status = await self._store.call(
            "HMGET", key, "holder", "holder_nonce", "holder_url", "status"
        )
        if status is None:
            raise NotFound(f"there is no session {session[:16]}", field="session")
        return HolderAddress(server or "", nonce or "", url or ""), status

    async def newest_v(self, session: str) -> int:
        """The v of the newest event; 0 if the session does not exist."""
        return int(await self._store.call("HGET", self._store.keys.session(session), "v") or 0)

    async def dt_of(self, session: str) -> float:
        """The length of a session's tick [s]; 0 before it runs."""
        return float(await self._store.call("HGET", self._store.keys.session(session), "dt") or 0)

    async def now_ms(self) -> int:
        """The store's clock [ms]."""
        return await self._store.now_ms()

    async def sessions(
        self, mode: str | None = None, status: str | None = None, limit: int = 50, search: str = ""
    ) -> list[SessionView]:
        """Public sessions: waiting ones, oldest first, then running ones, newest first; or those of one status.

        ``search`` matches the token, the mode and the names of the players. Raises Refused for an unknown status.
        """
        tokens = await self._tokens(status)
        found = await self.read(tokens)
        wanted = []
        for token in tokens:
            if token not in found:
                continue
            view, private = found[token]
            if private or (mode and view.mode != mode) or (status and view.status != status):
                continue
            if search and not _matches(view, search.casefold()):
                continue
            wanted.append(view)
        return wanted[:limit]

    async def all_present(self, limit: int) -> list[SessionView]:
        """Sessions that wait or run, private ones too, for operators: waiting ones first, at most ``limit``."""
        found = await self.read((await self._tokens(None))[:limit])
        return [view for view, _ in found.values()]

    async def transitions_after(self, entry: str) -> tuple[str, list[str]]:
        """The id of the newest entry of the lifecycle stream ('' if there is none), and the sessions of entries after
        ``entry`` that no worker has handled, at most TRANSITIONS_READ. An entry without a session is left out."""
        key = self._store.keys.lifecycle
        newest, entries = await self._store.batch(
            [
                ("XREVRANGE", key, "+", "-", "COUNT", 1),
                ("XRANGE", key, f"({entry}" if entry else "-", "+", "COUNT", TRANSITIONS_READ),
            ]
        )
        named = [_pairs(fields).get("session") for _, fields in entries]
        return str(newest[0][0]) if newest else "", [session for session in named if session]

    async def listed_since(self, at_ms: int) -> tuple[int, dict[str, int]]:
        """The store's clock [ms], and the sessions that opened, began or ended at ``at_ms`` or later: 0 waits, 1 runs,
        2 has ended."""
        keys = self._store.keys
        clock, *indexes = await self._store.batch(
            [
                ("TIME",),
                *(
                    ("ZRANGEBYSCORE", index, at_ms, "+inf")
                    for index in (keys.lobbies, keys.running, keys.ended)
                ),
            ]
        )
        found = {token: kind for kind, index in enumerate(indexes) for token in index}
        return int(clock[0]) * 1000 + int(clock[1]) // 1000, found

    async def every_listed(self) -> dict[str, int]:
        """The sessions of every index, at most SESSIONS_LISTED of each: the oldest that wait, the newest others. The
        numbers are those of ``listed_since``."""
        keys = self._store.keys
        found: dict[str, int] = {}
        indexes = ((keys.lobbies, ()), (keys.running, ("REV",)), (keys.ended, ("REV",)))
        for kind, (index, order) in enumerate(indexes):
            for at in range(0, SESSIONS_LISTED, TOKENS_AT_ONCE):
                page = await self._store.call("ZRANGE", index, at, at + TOKENS_AT_ONCE - 1, *order)
                found |= dict.fromkeys(page, kind)
                if len(page) < TOKENS_AT_ONCE:
                    break
        return found

    async def versions(self, tokens: Sequence[str]) -> dict[str, int | None]:
        """The v of each session; None if it does not exist."""
        found: dict[str, int | None] = {}
        for at in range(0, len(tokens), VERSIONS_AT_ONCE):
            some = tokens[at : at + VERSIONS_AT_ONCE]
            replies = await self._store.batch([("HGET", self._store.keys.session(t), "v") for t in some])
            found |= {t: None if v is None else int(v) for t, v in zip(some, replies, strict=True)}
        return found

    async def events(self, session: str, after_v: int, limit: int | None = None) -> list[Event]:
        """Events with a v greater than ``after_v``, in order, at most ``limit``.

        Raises NotFound. Raises Conflict ``gap`` if some of them were trimmed, or if ``after_v`` is ahead of the store
        because the store lost its newest writes. The reader then needs the whole view.
        """
        keys = self._store.keys
        events: list[Event] = []
        while limit is None or len(events) < limit:
            count = EVENTS_AT_ONCE if limit is None else min(EVENTS_AT_ONCE, limit - len(events))
            newest, entries = await self._store.batch(
                [
                    ("HGET", keys.session(session), "v"),
                    ("XRANGE", keys.events(session), f"{after_v + 1}-0", "+", "COUNT", count),
                ]
            )
            if newest is None:
                raise NotFound(f"there is no session {session}", field="session")
            first = int(entries[0][0].partition("-")[0]) if entries else None
            if after_v > int(newest) or (after_v < int(newest) and first != after_v + 1):
                raise Conflict(f"the events after {after_v} are no longer kept", code="gap")
            events += [_event(entry) for entry in entries]
            if len(entries) < count:
                break
            after_v = events[-1].v
        return events

    async def observers(self, session: str) -> ObserversData:
        """The observers of a session; none if the session does not exist."""
        count, members = await self._store.batch(_ask_observers(self._store.keys.observers(session)))
        return _observers(count, members)

    async def _tokens(self, status: str | None) -> list[str]:
        keys = self._store.keys
        last = SESSIONS_SCANNED - 1
        if status is None:
            waiting, running = await self._store.batch(
                [("ZRANGE", keys.lobbies, 0, last), ("ZRANGE", keys.running, 0, last, "REV")]
            )
            return [*waiting, *running]
        try:
            wanted = Status(status)
        except ValueError:
            raise Refused(f"no such status: {status}", code="bad_status", field="status") from None
        if wanted in ENDED:
            return list(await self._store.call("ZRANGE", keys.ended, 0, last, "REV"))
        if wanted in LIVE:
            return list(await self._store.call("ZRANGE", keys.running, 0, last, "REV"))
        return list(await self._store.call("ZRANGE", keys.lobbies, 0, last))

    async def read(self, tokens: Sequence[str]) -> dict[str, tuple[SessionView, bool]]:
        """(view, private) of each session that exists, in one batch."""
        keys = self._store.keys
        found: dict[str, tuple[SessionView, bool]] = {}
        seats_of = dict(zip(tokens, await self._seats(tokens), strict=True))
        left = list(tokens)
        for _ in range(READ_TRIES):
            if not left:
                return found
            commands: list[Sequence[str | int]] = []
            for token in left:
                commands.append(("HMGET", keys.session(token), *_FIELDS))
                commands.append(("HGETALL", keys.seats(token)))
                commands += _ask_observers(keys.observers(token))
                commands += [("HGETALL", keys.session_player(token, p)) for p in seats_of[token].values()]
                commands.append(("HGET", keys.session(token), "v"))
            replies = iter(await self._store.batch(commands))
            again = []
            for token in left:
                fields = dict(zip(_FIELDS, next(replies), strict=True))
                seats = _pairs(next(replies))
                observers = _observers(next(replies), next(replies))
                members = {player: _pairs(next(replies)) for player in seats_of[token].values()}
                v = next(replies)
                if seats != seats_of[token] or v != fields["v"]:  # it changed while it was read
                    seats_of[token] = seats
                    again.append(token)
                elif fields["status"] is not None:
                    view = _view(token, fields, seats, members, observers)
                    found[token] = view, fields["private"] == "1"
            left = again
        raise StoreError("sessions change faster than they can be read")

    async def _seats(self, tokens: Sequence[str]) -> list[dict[str, str]]:
        keys = self._store.keys
        return [
            _pairs(reply) for reply in await self._store.batch([("HGETALL", keys.seats(t)) for t in tokens])
        ]


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _view(
    token: str,
    fields: dict[str, Any],
    seats: dict[str, str],
    members: dict[str, dict[str, str]],
    observers: ObserversData,
) -> SessionView:
    def number(name: str) -> int:
        return int(fields[name] or 0)

    def document(name: str) -> dict[str, Any] | None:
        return read_stored(fields[name], dict[str, Any], f"{name} of the session") if fields[name] else None

    return SessionView(
        session=token,
        status=fields["status"],
        mode=fields["mode"],
        size=number("size"),
        host=fields["host"] or "",
        seats=tuple(_seat(int(seat), player, members[player]) for seat, player in _in_order(seats.items())),
        opened_at=number("opened_at"),
        started_at=number("started_at"),
        ended_at=number("ended_at"),
        epoch=number("epoch"),
        v=number("v"),
        tick=number("tick"),
        round=number("round"),
        turn=number("turn"),
        turn_seat=int(fields["turn_seat"]) if fields["turn_seat"] else None,
        turn_ends_at=number("turn_ends_at"),
        brief=document("brief"),
        result=document("result"),
        reason=fields["reason"] or "",
        ws_url=socket_address(fields["holder_url"] or ""),
        closes_at=(number("closes_at") or number("opened_at") + number("timeout_ms"))
        if fields["status"] in WAITING
        else 0,
        params=document("params") or {},
        min_distance=float(fields["min_distance"]) if fields["min_distance"] else None,
        observers=observers,
        parent=fields["parent"],
        parent_tick=None if fields["parent_tick"] is None else number("parent_tick"),
        exact=None if fields["exact"] is None else fields["exact"] == "1",
        series=read_stored(fields["series"], Series, "series of the session") if fields["series"] else None,
        held=_held(fields["held"], number("held_until"), seats) if fields["status"] in WAITING else (),
        rematch=fields["rematch"],
        ratings=read_stored(fields["ratings"] or "[]", tuple[RatingChange, ...], "ratings of the session"),
    )


def _held(held: str | None, until: int, seats: Mapping[str, str]) -> tuple[HeldSeat, ...]:
    """The seats that are held and still free."""
    rows = read_stored(held, dict[str, dict[str, str]], "held of the session") if held else {}
    return tuple(
        HeldSeat(int(seat), one["player"], one["name"], until)
        for seat, one in sorted(rows.items())
        if seat not in seats
    )


def observer_name(name: str, kind: str) -> str:
    """The name of an observer as the list in the store has it."""
    return name + BOT_SUFFIX if kind == "bot" else name


def _ask_observers(key: str) -> list[tuple[str | int, ...]]:
    return [("ZCARD", key), ("ZRANGE", key, 0, OBSERVERS_NAMED - 1)]


def _observers(count: int, members: Sequence[str]) -> ObserversData:
    named = sorted(member.partition(" ")[2] for member in members)
    bots = [name.removesuffix(BOT_SUFFIX) for name in named if name.endswith(BOT_SUFFIX)]
    return ObserversData(count, tuple(name.removesuffix(BOT_SUFFIX) for name in named), tuple(bots))


def _in_order(seats: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(seats, key=lambda item: int(item[0]))


def _seat(seat: int, player: str, member: dict[str, str]) -> SeatView:
    kind: Literal["person", "bot"] = "bot" if member.get("kind") == "bot" else "person"
    return SeatView(
        seat=seat,
        player=player,
        name=member.get("name", ""),
        kind=kind,
        body=member.get("body", ""),
        ready=member.get("ready") == "1",
        connected=member.get("connected") == "1",
        health=float(member["health"]) if "health" in member else None,
        score=float(member["score"]) if "score" in member else None,
        out=member.get("out") == "1",
        fills=member.get("fills") == "1",
    )


def _matches(view: SessionView, text: str) -> bool:
    return any(
        text in word.casefold() for word in (view.session, view.mode, *(seat.name for seat in view.seats))
    )


def _event(entry: Sequence[Any]) -> Event:
    name, flat = entry
    fields = _pairs(flat)
    return Event(
        v=int(name.partition("-")[0]),
        t=fields["t"],
        d=read_stored(fields["d"], dict[str, Any], f"event {name} of the session"),
        tick=int(fields["tick"]),
        epoch=int(fields["epoch"]),
    )
