"""Sessions as they finish, read from the lifecycle stream, and a sentence about each.

The stream is read after each hint on its channel, and every LOOK_S without a hint, because a hint may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from tussle.cli.palette import counted, number, short_names
from tussle.cli.picture import Picture
from tussle.lobby.errors import NotFound, StoreError
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import Wakeups
from tussle.lobby.text import escape_values
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import SessionView

__all__ = ["finished_sessions", "length", "sentence"]

WORDS = ("round", "turn")

LOOK_S = 2.0
"""Time between two reads of the stream without a hint [s]."""


async def finished_sessions(store: Store) -> AsyncGenerator[SessionView, None]:
    """Yield each session that ends from now on, failed and timed-out ones too. Retries while the store is
    unreachable."""
    views = Views(store)
    position = await _newest(store)
    async with Wakeups(store) as hints:
        await hints.add(store.keys.lifecycle)
        reading = aiter(hints)
        hint: asyncio.Future[tuple[str, str]] = asyncio.ensure_future(_next(reading))
        try:
            while True:
                try:
                    entries = await store.call(
                        "XRANGE", store.keys.lifecycle, f"({position}", "+", "COUNT", 500
                    )
                    for name, flat in entries:
                        position = name
                        fields = dict(zip(flat[::2], flat[1::2], strict=True))
                        if fields.get("event") in ENDED and "session" in fields:
                            try:
                                yield await views.view(fields["session"])
                            except NotFound:
                                continue
                except StoreError:
                    entries = []
                if not entries:
                    await asyncio.wait([hint], timeout=LOOK_S)
                    if hint.done():
                        hint = asyncio.ensure_future(_next(reading))
        finally:
            hint.cancel()


def sentence(view: SessionView, columns: int) -> str:
    """``Ada (cobble) beat Otto (marl): 4 rounds, 7 turns, 10 s``; without the bodies where it is wider than that."""
    view = escape_values(view)
    picture = Picture.of(view)
    result = view.result
    if result is None:
        return picture.verdict()
    counts = [counted(count, word) for count, word in zip(length(view), WORDS, strict=True) if count]
    if view.started_at and view.ended_at:
        counts.append(f"{number((view.ended_at - view.started_at) / 1000, 0)} s")
    names = short_names([seat.name for seat in view.seats])
    with_bodies = [
        f"{name} ({seat.body})" if seat.body else name for seat, name in zip(view.seats, names, strict=True)
    ]
    for shown in (with_bodies, names):
        named = {seat.seat: name for seat, name in zip(view.seats, shown, strict=True)}
        line = f"{_outcome(named, result.get('winner'))}: {', '.join(counts)}"
        if len(line) <= columns:
            break
    return line


def _outcome(names: Mapping[int, str], winner: int | None) -> str:
    """Who beat whom, by the names of the seats."""
    others = " and ".join(name for seat, name in names.items() if seat != winner)
    return f"{others} drew" if winner is None else f"{names.get(winner, f'seat {winner}')} beat {others}"


def length(view: SessionView) -> tuple[int, int]:
    """Rounds and turns that were played."""
    result = view.result or {}
    return int(result.get("rounds") or view.round), int(result.get("turns") or view.turn + 1)


async def _newest(store: Store) -> str:
    entries = await store.call("XREVRANGE", store.keys.lifecycle, "+", "-", "COUNT", 1)
    return str(entries[0][0]) if entries else "0-0"


async def _next(reading: AsyncIterator[tuple[str, str]]) -> tuple[str, str]:
    return await anext(reading)
