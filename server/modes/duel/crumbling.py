"""The rim of the mat falls away: when its sides crack, and when they fall.

    round falls_from - 1: two sides crack -> before the next round they fall, and two others crack -> ...

Functions of a state that return the new state and its events. ``mode`` gives the round and the turn of the events. This
module must never move a body.
"""

from __future__ import annotations

import msgspec

from tussle.server.modes.duel.mat import next_sides, side_distances
from tussle.server.modes.duel.state import DuelState, Rim, Turn
from tussle.server.modes.mode import Mode, ModeEvent, View

__all__ = ["crack_sides", "drop_sides"]


def crack_sides(mode: Mode, state: DuelState, falls_from: int) -> tuple[DuelState, list[ModeEvent]]:
    """At the start of a round, crack the sides that fall before the next one, if any do."""
    sides = next_sides(state.seed, state.fallen) if state.order.round + 1 >= falls_from else ()
    if sides != state.cracked:
        state = msgspec.structs.replace(state, rim=Rim(state.fallen, sides, state.loose))
    if not sides:
        return state, []
    return state, [mode.event(state, "rim_cracked", {"sides": list(sides), "falls": state.order.round + 1})]


def drop_sides(mode: Mode, state: DuelState, view: View) -> tuple[DuelState, list[ModeEvent]]:
    """Break the cracked sides off: they are bodies of the scene from now on. The world runs until all is at rest."""
    sides, fallen = state.cracked, (*state.fallen, *state.cracked)
    state = msgspec.structs.replace(
        state,
        stage="settling",
        rim=Rim(fallen, loose=len(sides)),
        quiet=0,
        turn=Turn(start_tick=view.tick),
    )
    payload = {"sides": list(sides), "distances": list(side_distances(fallen))}
    return state, [mode.event(state, "rim_fell", payload)]
