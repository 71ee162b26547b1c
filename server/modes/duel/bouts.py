"""The bouts of a duel: a match is won by the seat that first wins ``rounds_to_win`` of them.

    a bout is decided -> close_bout -> the next bout: every body at a new place, whole again; or the match is over

Another seat acts first in each bout. A seat that has left stays out. This module must never decide a turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.duel.moves import spawn_poses
from tussle.server.modes.duel.state import DuelState, Out, Turn
from tussle.server.modes.mode import CatalogueBody, Effect, Mode, ModeEvent, Result, Score
from tussle.server.modes.turn_mode import base_xp, find_winner

__all__ = ["close_bout", "fresh_places", "match_result", "most_bouts"]


def most_bouts(to_win: int) -> int:
    """The most bouts of a match."""
    return 2 * to_win - 1


def present(state: DuelState) -> list[int]:
    """The seats that have not left."""
    left = {out.seat for out in state.outs if _has_left(out)}
    return [seat for seat in range(len(state.health)) if seat not in left]


def _has_left(out: Out) -> bool:
    return out.cause == "forfeit"


def close_bout(
    mode: Mode, state: DuelState, bout: Result, to_win: int, full: Sequence[float]
) -> tuple[DuelState, list[ModeEvent], bool]:
    """Count the win of a decided bout. Returns the state in which the next bout settles or, if the match is decided,
    the state with the score; the events; whether the match is decided. full: health of each seat at the start."""
    count = len(state.health)
    wins = tuple(won + (seat == bout.winner) for seat, won in enumerate(state.wins))
    state = msgspec.structs.replace(state, wins=wins)
    here = present(state)
    decided = max(wins) >= to_win or state.bout >= most_bouts(to_win) or len(here) < 2
    payload = {
        "bout": state.bout,
        "winner": bout.winner,
        "cause": bout.cause,
        "places": [bout.places[seat] for seat in range(count)],
        "wins": list(wins),
        "decided": decided,
    }
    events = [mode.event(state, "bout_ended", payload)]
    if decided:
        return state, events, True
    number, turn = state.bout + 1, state.order.turn + 1
    seats = tuple((number - 1 + step) % count for step in range(count))
    living = tuple(seat in here for seat in seats)
    state = msgspec.structs.replace(
        state,
        stage="settling",
        order=TurnOrder(
            order=seats, living=living, skips=(0,) * count, position=living.index(True), turn=turn
        ),
        health=tuple(full),
        braced=(False,) * count,
        touching=(False,) * count,
        turn=Turn(),
        quiet=0,
        outs=tuple(msgspec.structs.replace(out, place=len(here) + 1) for out in state.outs if _has_left(out)),
        blows=(),
        past=(*state.past, *(out for out in state.outs if not _has_left(out))),
        bout=number,
        first_turn=turn,
        rim=msgspec.UNSET,
    )
    begun = {"bout": number, "wins": list(wins), "order": [seat for seat in seats if seat in here]}
    return state, [*events, mode.event(state, "bout_started", begun)], False


def fresh_places(state: DuelState, bodies: Sequence[CatalogueBody], *, rebuild: bool) -> Effect:
    """Move every body to its place in a bout that begins. rebuild: the mat was no longer whole."""
    here = present(state)
    poses = spawn_poses(state.seed, state.bout, bodies)
    return Effect(
        remove=tuple(seat for seat in range(len(poses)) if seat not in here),
        place={seat: poses[seat] for seat in here},
        halt=True,
        rebuild=rebuild,
    )


def match_result(state: DuelState, bout: Result) -> Result:
    """The result of a match of several bouts. Seats are placed by the bouts that they won, then as in the last one;
    those that left come last."""
    here = set(present(state))
    keys = {seat: (seat not in here, -state.wins[seat], place) for seat, place in bout.places.items()}
    places = {seat: 1 + sum(other < key for other in keys.values()) for seat, key in keys.items()}
    pushed = [out for out in (*state.past, *state.outs) if out.cause == "fallen"]
    count = len(state.health)
    scores = {}
    for seat, place in places.items():
        dealt = sum(state.damage[seat * count + other] for other in range(count) if other != seat)
        ring_outs = sum(out.by == seat != out.seat for out in pushed)
        xp = int(base_xp(places, seat) + dealt / 20.0 + 5 * ring_outs) if seat in here else 0
        scores[seat] = Score(place=place, points=dealt, xp=xp)
    cause = "bouts" if len(here) > 1 else bout.cause
    return Result(places=dict(sorted(places.items())), winner=find_winner(places), cause=cause, scores=scores)
