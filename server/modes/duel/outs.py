"""Who is hurt and who is out: hits become damage and blows, and seats leave. State in, state and events out.
It must never begin or end a turn.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from tussle.server.modes.duel.damage import Hit, OpenBlow, blow_payload, extend_blow
from tussle.server.modes.duel.report import out_payload
from tussle.server.modes.duel.state import OUT_BELOW_Y, UNTOUCHED, Cause, DuelState, Out
from tussle.server.modes.mode import Event, View

__all__ = ["close_blows", "find_outs", "take_hits", "take_out", "tell"]


def tell(state: DuelState, type_: str, d: dict[str, Any]) -> Event:
    """An event at the present round and turn."""
    return Event(type_, d, state.order.round, state.order.turn)


def take_hits(state: DuelState, view: View, hits: Sequence[Hit]) -> tuple[DuelState, list[Event]]:
    """Lay damage and prolong, begin and end blows."""
    actor = state.order.current
    health, dealt = list(state.health), list(state.damage)
    suffered, depth = list(state.turn.damage), list(state.turn.depth)
    going = {(blow.a, blow.b): blow for blow in state.blows}
    kept: list[OpenBlow] = []
    for hit in hits:
        for seat, damage in ((hit.a, hit.damages[0]), (hit.b, hit.damages[1])):
            health[seat] -= damage
            suffered[seat] += damage
            dealt[actor * len(health) + seat] += damage
        nearest = min(depth[hit.a], depth[hit.b])
        for seat in (hit.a, hit.b):
            depth[seat] = min(depth[seat], nearest + 1)
        chain = nearest if nearest < UNTOUCHED else None
        kept.append(extend_blow(going.pop((hit.a, hit.b), None), hit, view, state.braced, chain))
    ended = [tell(state, "blow", blow_payload(blow)) for blow in going.values()]
    state = msgspec.structs.replace(
        state,
        health=tuple(health),
        damage=tuple(dealt),
        blows=tuple(kept),
        blow_count=state.blow_count + len(ended),
        turn=msgspec.structs.replace(state.turn, damage=tuple(suffered), depth=tuple(depth)),
    )
    return state, ended


def find_outs(state: DuelState, view: View) -> tuple[DuelState, tuple[int, ...], list[Event]]:
    """Seats that fell or broke in this tick; the last blow is the actor's."""
    living = state.order.living_seats
    fallen = [seat for seat in living if view.positions[seat, 1] < OUT_BELOW_Y]
    broken = [seat for seat in living if seat not in fallen and state.health[seat] <= 0.0]
    if not fallen and not broken:
        return state, (), []
    actor = state.order.current
    if actor in broken and len(broken) + len(fallen) > 1:
        broken.remove(actor)
        health = list(state.health)
        health[actor] = 1.0
        state = msgspec.structs.replace(state, health=tuple(health))
    outs: list[tuple[int, Cause]] = [(seat, "fallen") for seat in fallen]
    outs += [(seat, "broken") for seat in broken]
    gone = {seat for seat, _ in outs}
    state, events = close_blows(state, gone)
    state, more = take_out(state, view, outs, view.tick)
    return state, tuple(seat for seat, _ in outs), events + more


def close_blows(state: DuelState, seats: Container[int]) -> tuple[DuelState, list[Event]]:
    """Tell the open blows of these seats: they cannot go on."""
    closed = [blow for blow in state.blows if blow.a in seats or blow.b in seats]
    kept = tuple(blow for blow in state.blows if blow not in closed)
    state = msgspec.structs.replace(state, blows=kept, blow_count=state.blow_count + len(closed))
    return state, [tell(state, "blow", blow_payload(blow)) for blow in closed]


def take_out(
    state: DuelState, view: View, outs: Sequence[tuple[int, Cause]], tick: int
) -> tuple[DuelState, list[Event]]:
    """Seats that go in one tick share the place after those that remain."""
    order = state.order
    for seat, _ in outs:
        order = order.eliminate(seat)
    place = len(order.living_seats) + 1
    actor = state.order.current if state.stage == "moving" else None
    records = [
        Out(seat=seat, cause=cause, by=None if cause == "forfeit" else actor, tick=tick, place=place)
        for seat, cause in outs
    ]
    events = [tell(state, "out", out_payload(out, view, state.health[out.seat])) for out in records]
    earlier = [msgspec.structs.replace(out, place=place) if out.tick == tick else out for out in state.outs]
    return msgspec.structs.replace(state, order=order, outs=(*earlier, *records)), events
