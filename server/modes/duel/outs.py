"""Damage and outs of the duel: hits become damage and blows, and seats go out.

Each function takes a state and returns the new state and its events. ``mode`` gives the round and the turn of the
events. This module must never begin or end a turn.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from tussle.server.modes.duel.damage import Hit, OpenBlow, blow_payload, extend_blow
from tussle.server.modes.duel.report import out_payload
from tussle.server.modes.duel.state import OUT_BELOW_Y, UNTOUCHED, Cause, DuelState, Out
from tussle.server.modes.mode import Mode, ModeEvent, View

__all__ = ["close_blows", "find_outs", "take_hits", "take_out"]


def take_hits(
    mode: Mode, state: DuelState, view: View, hits: Sequence[Hit]
) -> tuple[DuelState, list[ModeEvent]]:
    """Apply the damage of hits, and begin, extend and end blows."""
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
    ended = [mode.event(state, "blow", blow_payload(blow)) for blow in going.values()]
    state = msgspec.structs.replace(
        state,
        health=tuple(health),
        damage=tuple(dealt),
        blows=tuple(kept),
        blow_count=state.blow_count + len(ended),
        turn=msgspec.structs.replace(state.turn, damage=tuple(suffered), depth=tuple(depth)),
    )
    return state, ended


def find_outs(mode: Mode, state: DuelState, view: View) -> tuple[DuelState, tuple[int, ...], list[ModeEvent]]:
    """Take out the seats that fell or broke in this tick. When the actor breaks in the same tick as another seat goes
    out, it stays in with 1 point of health."""
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
    state, events = close_blows(mode, state, gone)
    state, more = take_out(mode, state, view, outs, view.tick)
    return state, tuple(seat for seat, _ in outs), events + more


def close_blows(mode: Mode, state: DuelState, seats: Container[int]) -> tuple[DuelState, list[ModeEvent]]:
    """End the open blows of these seats."""
    closed = [blow for blow in state.blows if blow.a in seats or blow.b in seats]
    kept = tuple(blow for blow in state.blows if blow not in closed)
    state = msgspec.structs.replace(state, blows=kept, blow_count=state.blow_count + len(closed))
    return state, [mode.event(state, "blow", blow_payload(blow)) for blow in closed]


def take_out(
    mode: Mode, state: DuelState, view: View, outs: Sequence[tuple[int, Cause]], tick: int
) -> tuple[DuelState, list[ModeEvent]]:
    """Take seats out. Seats that go out in one tick share a place: the next one after the seats that remain."""
    order = state.order
    for seat, _ in outs:
        order = order.eliminate(seat)
    place = len(order.living_seats) + 1
    actor = state.order.current if state.stage == "moving" else None
    records = [
        Out(seat=seat, cause=cause, by=None if cause == "forfeit" else actor, tick=tick, place=place)
        for seat, cause in outs
    ]
    events = [mode.event(state, "out", out_payload(out, view, state.health[out.seat])) for out in records]
    earlier = [msgspec.structs.replace(out, place=place) if out.tick == tick else out for out in state.outs]
    return msgspec.structs.replace(state, order=order, outs=(*earlier, *records)), events
