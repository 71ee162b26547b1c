"""The damage of the duel: which contact impulses are blows, their damage, and the record of each blow.

For each pair of bodies and each tick, in N s:

    J   the sum of barrier impulses between the two bodies, as the solver reports it
    J'  = min(J, momentum exchanged, 1.2 m_red v_rel + m_red g h)             the credited impulse
    a blow iff J' > 2 g h min(m_i, m_j)                                       the gate: leaning does no damage
    damage = J' * face * (0.35 for the actor) * (0.6 braced) / toughness      points

The gate tests the credited impulse and not J, because a tick that converged badly may report a hundred times the
impulse that two leaning bodies exchange. This module must never decide who is out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from tussle.server.modes.mode import View
from tussle.server.physics.world_state import Floats

__all__ = ["DamageRules", "Hit", "OpenBlow", "blow_payload", "extend_blow", "find_hits"]

GRAVITY = 9.81

Bound = Literal["none", "momentum", "collision"]


class DamageRules(msgspec.Struct, frozen=True):
    """Constants tuned by simulated duels. The bodies of the catalogue are balanced for these values only."""

    gate: float = 2.0
    collision_bound: float = 1.2
    own_blow: float = 0.35
    face: float = 0.6
    braced: float = 0.6


@dataclass(frozen=True, slots=True)
class Hit:
    """A pair that passed the gate in one tick. faces: the face factors of a and b. damages: points of health, to a
    and b."""

    a: int
    b: int
    barrier: float
    credited: float
    bound: Bound
    speed: float
    spin: float
    direction: tuple[float, float, float]
    point: tuple[float, float, float]
    faces: tuple[float, float]
    damages: tuple[float, float]


class OpenBlow(msgspec.Struct, frozen=True):
    """A blow that may continue in the next tick. ``normal`` and ``point`` are sums weighted by the credited impulse."""

    a: int
    b: int
    first_tick: int
    last_tick: int
    ticks: int
    barrier: float
    credited: float
    bound: Bound
    peak: float
    normal: tuple[float, float, float]
    point: tuple[float, float, float]
    speed: float
    spin: float
    faces: tuple[float, float]
    damages: tuple[float, float]
    braced: tuple[bool, bool]
    contacts: int
    min_distance: float
    depth: int | None


def find_hits(
    rules: DamageRules,
    before: View,
    view: View,
    drag: Floats,
    toughness: Sequence[float],
    braced: Sequence[bool],
    actor: int | None,
) -> list[Hit]:
    """Return the hits of one tick, pairs in ascending order.

    before: the world at the beginning of the tick, after pushes and before drag. drag [1/s], shape (n,).
    """
    count = len(view.masses)
    impulses = view.impulses[:count, :count]
    sizes = np.sqrt(np.einsum("ijk,ijk->ij", impulses, impulses))
    pairs = [(int(i), int(j)) for i, j in np.argwhere(np.triu(sizes, 1) > 0.0)]
    exchanged = _momentum_changes(before, view, drag) - view.impulses[:count].sum(axis=1)
    return [
        hit
        for a, b in pairs
        if (hit := _pair_hit(rules, before, view, exchanged, a, b, toughness, braced, actor)) is not None
    ]


def extend_blow(
    blow: OpenBlow | None, hit: Hit, view: View, braced: Sequence[bool], depth: int | None
) -> OpenBlow:
    """Return the blow with one more tick; a new blow if ``blow`` is None."""
    force = hit.barrier / view.dt
    if blow is None:
        return OpenBlow(
            a=hit.a,
            b=hit.b,
            first_tick=view.tick,
            last_tick=view.tick,
            ticks=1,
            barrier=hit.barrier,
            credited=hit.credited,
            bound=hit.bound,
            peak=force,
            normal=_scaled(hit.direction, hit.credited),
            point=_scaled(hit.point, hit.credited),
            speed=hit.speed,
            spin=hit.spin,
            faces=hit.faces,
            damages=hit.damages,
            braced=(bool(braced[hit.a]), bool(braced[hit.b])),
            contacts=view.contacts,
            min_distance=view.min_distance,
            depth=depth,
        )
    return msgspec.structs.replace(
        blow,
        last_tick=view.tick,
        ticks=blow.ticks + 1,
        barrier=blow.barrier + hit.barrier,
        credited=blow.credited + hit.credited,
        bound=hit.bound if hit.credited > blow.credited / blow.ticks else blow.bound,
        peak=max(blow.peak, force),
        normal=_added(blow.normal, _scaled(hit.direction, hit.credited)),
        point=_added(blow.point, _scaled(hit.point, hit.credited)),
        faces=hit.faces if hit.credited > blow.credited / blow.ticks else blow.faces,
        damages=(blow.damages[0] + hit.damages[0], blow.damages[1] + hit.damages[1]),
        contacts=max(blow.contacts, view.contacts),
        min_distance=min(blow.min_distance, view.min_distance),
    )


def blow_payload(blow: OpenBlow) -> dict[str, Any]:
    """Return the payload of a ``blow`` event. normal: the direction of the impulse on a. Speeds in m/s and rad/s."""
    length = math.hypot(*blow.normal) or 1.0
    return {
        "a": blow.a,
        "b": blow.b,
        "first_tick": blow.first_tick,
        "ticks": blow.ticks,
        "impulse_barrier_Ns": blow.barrier,
        "impulse_credited_Ns": blow.credited,
        "bound": blow.bound,
        "peak_force_N": blow.peak,
        "normal": [x / length for x in blow.normal],
        "point": [x / blow.credited for x in blow.point],
        "v_rel_before": blow.speed,
        "spin_before": blow.spin,
        "face_a": blow.faces[0],
        "face_b": blow.faces[1],
        "damage_a": blow.damages[0],
        "damage_b": blow.damages[1],
        "braced": list(blow.braced),
        "contacts_max": blow.contacts,
        "dist_min_mm": 1e3 * blow.min_distance if math.isfinite(blow.min_distance) else None,
        "chain_depth": blow.depth,
    }


def _momentum_changes(before: View, view: View, drag: Floats) -> Floats:
    """The momentum that contacts gave each body in the tick, m (v_after - v_before exp(-d h)) + m g h y [N s],
    shape (n, 3)."""
    decay = np.exp(-drag * view.dt)[:, None]
    change = view.masses[:, None] * (view.velocities - before.velocities * decay)
    change[:, 1] += view.masses * (GRAVITY * view.dt)
    return change


def _pair_hit(
    rules: DamageRules,
    before: View,
    view: View,
    exchanged: Floats,
    a: int,
    b: int,
    toughness: Sequence[float],
    braced: Sequence[bool],
    actor: int | None,
) -> Hit | None:
    """The hit of one pair, or None. ``exchanged``: momentum changes less all contact impulses [N s], shape (n, 3);
    the sum with the pair's own impulse is the momentum that the pair exchanged."""
    masses, impulse = view.masses, view.impulses[a, b]
    barrier = float(np.linalg.norm(impulse))
    momentum = max(
        float(np.linalg.norm(exchanged[a] + impulse)),
        float(np.linalg.norm(exchanged[b] + view.impulses[b, a])),
    )
    speed = float(np.linalg.norm(before.velocities[a] - before.velocities[b]))
    spins = [float(np.linalg.norm(before.rates[x])) / math.sqrt(2.0) for x in (a, b)]
    reduced = float(masses[a] * masses[b] / (masses[a] + masses[b]))
    closing = speed + spins[0] * float(view.radii[a]) + spins[1] * float(view.radii[b])
    collision = rules.collision_bound * reduced * closing + reduced * GRAVITY * view.dt
    credited = min(barrier, momentum, collision)
    if not credited > rules.gate * GRAVITY * view.dt * float(min(masses[a], masses[b])):
        return None
    direction = impulse / barrier
    faces = (
        1.0 - rules.face * float(direction @ view.rows[a, 0]),
        1.0 + rules.face * float(direction @ view.rows[b, 0]),
    )
    damages = [
        max(0.0, face)
        * credited
        * (rules.own_blow if x == actor else 1.0)
        * (rules.braced if braced[x] else 1.0)
        / toughness[x]
        for x, face in zip((a, b), faces, strict=True)
    ]
    bound: Bound = "none" if credited == barrier else "momentum" if credited == momentum else "collision"
    point = view.points[a, b]
    return Hit(
        a=a,
        b=b,
        barrier=barrier,
        credited=credited,
        bound=bound,
        speed=speed,
        spin=max(spins),
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        point=(float(point[0]), float(point[1]), float(point[2])),
        faces=faces,
        damages=(damages[0], damages[1]),
    )


def _scaled(vector: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    return vector[0] * by, vector[1] * by, vector[2] * by


def _added(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
