"""The payloads of the duel's events, and its result. Functions of a state and a view.

The payloads contain all that a bot, a viewer or an analyst needs. This module must never change the course of a duel.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec
from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.duel.mat import RIM_APOTHEM, distance_to_rim, side_distances
from tussle.server.modes.duel.moves import opening_scale
from tussle.server.modes.duel.state import (
    ARENA_BOTTOM,
    ARENA_DEPTH,
    ARENA_RADIUS,
    ARENA_SIDES,
    DRAW_GAP,
    ELEVATION_MAX,
    HOP_ELEVATION,
    HOP_SPEED,
    SPIN_RATE,
    SPIN_SPEED,
    UNTOUCHED,
    DuelParams,
    DuelState,
    Out,
    Rim,
    Turn,
)
from tussle.server.modes.mode import CatalogueBody, Result, Score, Seat, View, describe_seat
from tussle.server.modes.turn_mode import base_xp, find_winner
from tussle.server.physics.world_state import Floats

__all__ = [
    "ACTION_KINDS",
    "first_turn",
    "out_payload",
    "rank",
    "recall",
    "result_payload",
    "set_up_payload",
    "turn_ended_payload",
    "turn_started_payload",
]

_AZIMUTH = ActionField(low=-360.0, high=360.0, unit="degree")
_ELEVATION = ActionField(low=0.0, high=ELEVATION_MAX, unit="degree")
_POWER = ActionField(low=0.0, high=1.0)

ACTION_KINDS = (
    ActionKind(
        "launch",
        {"azimuth": _AZIMUTH, "elevation": _ELEVATION, "power": _POWER},
        "Throw yourself at someone.",
    ),
    ActionKind(
        "spin",
        {"azimuth": _AZIMUTH, "elevation": _ELEVATION, "power": _POWER},
        "A shorter launch that turns you like a top.",
    ),
    ActionKind("hop", {"azimuth": _AZIMUTH, "power": _POWER}, "A steep jump: another place, another face."),
    ActionKind("brace", {}, "Stay: less damage and more grip until you act again."),
)


def set_up_payload(
    name: str,
    version: int,
    seed: int,
    params: DuelParams,
    seats: Sequence[Seat],
    bodies: Sequence[CatalogueBody],
) -> dict[str, Any]:
    """Return the payload of ``set_up``: the seats, their bodies and the arena."""
    return {
        "mode": name,
        "rules_version": version,
        "catalogue_hash": _catalogue_hash(bodies),
        "seed": seed,
        "params": msgspec.to_builtins(params),
        "arena": {
            "id": "octagon",
            "sides": ARENA_SIDES,
            "radius": ARENA_RADIUS,
            "depth": ARENA_DEPTH,
            "bottom_scale": ARENA_BOTTOM,
        },
        "seats": [
            {**describe_seat(seat), "body": body.id, "mass": body.mass, "health": float(body.health)}
            for seat, body in zip(seats, bodies, strict=True)
        ],
    }


def _catalogue_hash(bodies: Sequence[CatalogueBody]) -> str:
    """A short hash of the bodies that play. Duels are comparable only if it is equal."""
    data = msgspec.json.encode(bodies, order="sorted")
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def turn_started_payload(
    state: DuelState,
    view: View,
    bodies: Sequence[CatalogueBody],
    actions: ActionSpec,
    deadline_s: float | None,
) -> dict[str, Any]:
    """Return the payload of ``turn_started``, from which every bot decides. Arrays run over the seats.

    orientations: the images of the local axes, 3 x 3 numbers; the first axis points to the soft face. speeds: at full
    power in this turn [m/s]. sides: the distance of each side of the mat from the centre [m]; fallen, cracked: those
    that are gone, and those that fall before the next round.
    """
    count = len(bodies)
    scale = opening_scale(state.order.turn - state.first_turn)
    return {
        "seat": state.order.current,
        "deadline_s": deadline_s,
        "actions": msgspec.json.decode(msgspec.json.encode(actions)),
        "positions": view.positions[:count].tolist(),
        "orientations": view.rows[:count].tolist(),
        "health": [max(0.0, health) for health in state.health],
        "health_full": [float(body.health) for body in bodies],
        "alive": [state.order.lives(seat) for seat in range(count)],
        "braced": list(state.braced),
        "touching": list(state.touching),
        "distance_to_rim": distance_to_rim(view.positions[:count], state.fallen).tolist(),
        "sides": list(side_distances(state.fallen)),
        "fallen": list(state.fallen),
        "cracked": list(state.cracked),
        "speeds": [body.speed * scale for body in bodies],
        "masses": view.masses[:count].tolist(),
        "toughness": [body.toughness for body in bodies],
        "bodies": [body.id for body in bodies],
        "skips": [state.order.skips_of(seat) for seat in range(count)],
        "bout": state.bout,
        "wins": list(state.wins),
        "rules": {
            "gravity": 9.81,
            "arena_radius": ARENA_RADIUS,
            "arena_sides": ARENA_SIDES,
            "elevation_max": ELEVATION_MAX,
            "hop_elevation": HOP_ELEVATION,
            "hop_speed": HOP_SPEED,
            "spin_speed": SPIN_SPEED,
            "spin_rate": SPIN_RATE,
            "opening": scale != 1.0,
            "rim_apothem": RIM_APOTHEM,
        },
    }


def recall(brief: Mapping[str, Any], count: int, to_win: int) -> tuple[DuelState, list[Floats | None]]:
    """Return the state and the poses that a ``turn_started`` payload of ``count`` seats describes. The match ends with
    this bout, so that what follows it is not foreseen. Raises Refused (bad_brief)."""
    try:
        seat, alive = int(brief["seat"]), [bool(lives) for lives in brief["alive"]]
        poses = np.concatenate(
            [
                np.array(brief["positions"], dtype=float)[:, None],
                np.array(brief["orientations"], dtype=float),
            ],
            1,
        )
        if poses.shape != (count, 4, 3) or not 0 <= seat < count or not np.isfinite(poses).all():
            raise ValueError(f"its arrays do not describe {count} seats")
        state = DuelState(
            stage="acting",
            order=TurnOrder(
                order=tuple(range(count)),
                living=tuple(alive),
                skips=tuple(int(skips) for skips in brief["skips"]),
                position=seat,
                round=int(brief["round"]),
                turn=int(brief["turn"]),
            ),
            health=tuple(float(health) for health in brief["health"]),
            braced=tuple(bool(braced) for braced in brief["braced"]),
            touching=tuple(bool(touching) for touching in brief["touching"]),
            damage=(0.0,) * count**2,
            outs=tuple(
                Out(seat=out, cause="broken", by=None, tick=0, place=count)
                for out in range(count)
                if not alive[out]
            ),
            turn=first_turn(seat, poses[:, 0], poses[:, 1:]),
            bout=2 * to_win - 1,
            first_turn=int(brief["turn"]) if brief["rules"]["opening"] else 0,
            wins=(0,) * count,
            rim=_recalled_rim(brief),
        )
        if any(
            len(part) != count
            for part in (alive, state.health, state.braced, state.touching, state.order.skips)
        ):
            raise ValueError("its arrays differ in length")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Refused(f"not a turn_started payload: {error}", code="bad_brief") from None
    return state, [pose if lives else None for pose, lives in zip(poses, alive, strict=True)]


def _recalled_rim(brief: Mapping[str, Any]) -> Rim | msgspec.UnsetType:
    """The mat of a payload; an older server has none in it. Raises ValueError."""
    fallen, cracked = _sides(brief.get("fallen", ())), _sides(brief.get("cracked", ()))
    return Rim(fallen, cracked) if fallen or cracked else msgspec.UNSET


def _sides(numbers: Sequence[Any]) -> tuple[int, ...]:
    """Numbers of sides of the mat. Raises ValueError."""
    sides = tuple(int(side) for side in numbers)
    if not set(sides) <= set(range(ARENA_SIDES)):
        raise ValueError("the mat has no such side")
    return sides


def first_turn(seat: int, positions: Floats, rows: Floats, energy: float = 0.0) -> Turn:
    """Return the sums of a turn that begins. Arrays run over all seats."""
    count = len(positions)
    return Turn(
        positions=tuple(positions.ravel().tolist()),
        axes=tuple(rows.ravel().tolist()),
        energy=energy,
        damage=(0.0,) * count,
        depth=tuple(0 if other == seat else UNTOUCHED for other in range(count)),
    )


def turn_ended_payload(state: DuelState, view: View, *, at_rest: bool) -> dict[str, Any]:
    """Return the payload of ``turn_ended``. Distances in m, angles in degrees, energies in J."""
    turn = state.turn
    count = len(state.health)
    moved = np.linalg.norm(view.positions[:count] - np.array(turn.positions).reshape(-1, 3), axis=1)
    living = state.order.living_seats
    rim = distance_to_rim(view.positions[list(living)], state.fallen)
    return {
        "seat": state.order.current,
        "ticks": turn.ticks,
        "end": "rest" if at_rest else "limit" if len(living) > 1 else "decided",
        "discarded_energy_J": view.kinetic,
        "displacement": moved.tolist(),
        "tumble_deg": _tumble(view.rows[:count], np.array(turn.axes).reshape(-1, 3, 3)).tolist(),
        "damage": list(turn.damage),
        "health": [max(0.0, health) for health in state.health],
        "energy_launch_J": turn.launch_energy,
        "energy_dissipated_J": turn.energy + turn.launch_energy - view.energy,
        "newton_iterations": turn.iterations,
        "dist_min_mm": 1e3 * turn.min_distance if math.isfinite(turn.min_distance) else None,
        "min_margin": float(rim.min()) if len(living) else None,
    }


def out_payload(out: Out, view: View, health: float) -> dict[str, Any]:
    """Return the payload of ``out``."""
    return {
        "seat": out.seat,
        "cause": out.cause,
        "by": out.by,
        "position": view.positions[out.seat].tolist(),
        "health_left": max(0.0, health),
        "place": out.place,
    }


def rank(state: DuelState, bodies: Sequence[CatalogueBody]) -> Result:
    """Return the result. Seats that went out are placed by the order of going out, the last one best. The remaining
    seats are placed by their share of health; a gap of less than 5 % to the best of a group is a tie."""
    places = {out.seat: out.place for out in state.outs}
    living = state.order.living_seats
    shares = {seat: state.health[seat] / bodies[seat].health for seat in living}
    best, place = math.inf, 0
    for index, seat in enumerate(sorted(living, key=lambda seat: -shares[seat])):
        if best - shares[seat] >= DRAW_GAP:
            best, place = shares[seat], index + 1
        places[seat] = place
    cause = "rounds" if len(living) > 1 else "last_standing" if living else "nobody_left"
    count = len(bodies)
    forfeits = {out.seat for out in state.outs if out.cause == "forfeit"}
    scores = {}
    for seat in range(count):
        dealt = sum(state.damage[seat * count + other] for other in range(count) if other != seat)
        ring_outs = sum(out.cause == "fallen" and out.by == seat != out.seat for out in state.outs)
        xp = 0 if seat in forfeits else int(base_xp(places, seat) + dealt / 20.0 + 5 * ring_outs)
        scores[seat] = Score(place=places[seat], points=dealt, xp=xp)
    return Result(
        places=dict(sorted(places.items())),
        winner=find_winner(places),
        cause=cause,
        scores=scores,
    )


def result_payload(state: DuelState, result: Result, tick: int) -> dict[str, Any]:
    """Return the payload of ``result``. Lists run over the seats."""
    count = len(state.health)
    causes = [out.cause for out in (*state.past, *state.outs)]
    return {
        "places": [result.places[seat] for seat in range(count)],
        "winner": result.winner,
        "cause": result.cause,
        "rounds": state.order.round,
        "turns": state.order.turn + 1,
        "ticks": tick,
        "damage_matrix": [list(state.damage[by * count : (by + 1) * count]) for by in range(count)],
        "blows": state.blow_count,
        "bouts": state.bout,
        "wins": list(state.wins),
        "outs_by_cause": {cause: causes.count(cause) for cause in ("fallen", "broken", "forfeit")},
        "points": [result.scores[seat].points for seat in range(count)],
        "xp": [result.scores[seat].xp for seat in range(count)],
    }


def _tumble(rows: Floats, was: Floats) -> Floats:
    """The angle between two orientations [degrees], shape (n,)."""
    cosine = (np.einsum("nij,nij->n", rows, was) - 1.0) / 2.0
    angle: Floats = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return angle
