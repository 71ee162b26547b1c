"""The events of the modes, as types: the AsyncAPI document and the TypeScript types are made from them.

    MODE_EVENTS  mode -> type of the event -> the Struct of its ``d``

docs/events.md says what the fields mean. tests/server/modes/test_events.py compares both with what the modes publish.
This module must never import a mode.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tussle.lobby.wire.session_events import EventFields
from tussle.lobby.wire.world_events import (
    UNSET,
    ForkBegun,
    Place,
    SeatAtStart,
    TurnStarted,
    Unset,
    WorldEvent,
    WorldSetUp,
)

__all__ = ["MODE_EVENTS"]

# Duel


class DuelSeat(SeatAtStart, frozen=True):
    """Who has a seat of a duel, with its body, mass [kg] and health [points]."""

    body: str
    mass: float
    health: float


class Arena(msgspec.Struct, frozen=True):
    """The arena; lengths in m."""

    id: str
    sides: int
    radius: float
    depth: float
    bottom_scale: float


class DuelSetUp(WorldSetUp, frozen=True, kw_only=True):
    """The rules, the arena and the bodies of a duel."""

    catalogue_hash: str
    arena: Arena
    seats: tuple[DuelSeat, ...]


class DuelTurnStarted(TurnStarted, frozen=True, kw_only=True):
    """A seat may act; all that a bot needs. Arrays run over the seats."""

    positions: tuple[Place, ...]
    orientations: tuple[tuple[Place, Place, Place], ...]
    health: tuple[float, ...]
    health_full: tuple[float, ...]
    braced: tuple[bool, ...]
    touching: tuple[bool, ...]
    distance_to_rim: tuple[float, ...]
    speeds: tuple[float, ...]
    masses: tuple[float, ...]
    toughness: tuple[float, ...]
    bodies: tuple[str, ...]
    skips: tuple[int, ...]
    sides: tuple[float, ...]
    fallen: tuple[int, ...]
    cracked: tuple[int, ...]
    bout: int
    wins: tuple[int, ...]


class DuelAction(WorldEvent, frozen=True):
    """What a seat did. Numbers that the action does not have are null."""

    seat: int
    kind: str
    azimuth: float | None
    elevation: float | None
    power: float | None
    impulse_Ns: float
    energy_J: float
    target: int | None
    timed_out: bool


class DuelBlow(WorldEvent, frozen=True):
    """Two seats touched."""

    a: int
    b: int
    first_tick: int
    ticks: int
    impulse_barrier_Ns: float
    impulse_credited_Ns: float
    bound: Literal["none", "momentum", "collision"]
    peak_force_N: float
    normal: Place
    point: Place
    v_rel_before: float
    spin_before: float
    face_a: float
    face_b: float
    damage_a: float
    damage_b: float
    braced: tuple[bool, bool]
    contacts_max: int
    dist_min_mm: float | None
    chain_depth: int | None


class DuelOut(WorldEvent, frozen=True):
    """A body is out."""

    seat: int
    cause: Literal["fallen", "broken", "forfeit"]
    by: int | None
    position: Place
    health_left: float
    place: int


class DuelBoutEnded(WorldEvent, frozen=True):
    """A bout of a match of several is decided. Arrays run over the seats. ``wins``: bouts won so far; ``decided``: the
    match is, too."""

    bout: int
    winner: int | None
    cause: Literal["last_standing", "rounds", "nobody_left"]
    places: tuple[int, ...]
    wins: tuple[int, ...]
    decided: bool


class DuelBoutStarted(WorldEvent, frozen=True):
    """The next bout: every body is whole, at a new place, and settles. ``order``: the seats that play, in order."""

    bout: int
    wins: tuple[int, ...]
    order: tuple[int, ...]


class DuelRimCracked(WorldEvent, frozen=True):
    """Sides of the mat have cracked. ``falls``: the round before which they fall."""

    sides: tuple[int, ...]
    falls: int


class DuelRimFell(WorldEvent, frozen=True):
    """Sides of the mat fall. ``distances``: of every side from the centre from now on [m]."""

    sides: tuple[int, ...]
    distances: tuple[float, ...]


class DuelTurnEnded(WorldEvent, frozen=True):
    """The effect of a turn. Arrays run over the seats."""

    seat: int
    ticks: int
    end: Literal["rest", "limit", "decided"]
    discarded_energy_J: float
    displacement: tuple[float, ...]
    tumble_deg: tuple[float, ...]
    damage: tuple[float, ...]
    health: tuple[float, ...]
    energy_launch_J: float
    energy_dissipated_J: float
    newton_iterations: int
    dist_min_mm: float | None
    min_margin: float | None
    state_hash: str


class DuelResult(WorldEvent, frozen=True):
    """Who won. Arrays run over the seats."""

    places: tuple[int, ...]
    winner: int | None
    cause: Literal["last_standing", "rounds", "nobody_left", "bouts"]
    rounds: int
    turns: int
    ticks: int
    damage_matrix: tuple[tuple[float, ...], ...]
    blows: int
    bouts: int
    wins: tuple[int, ...]
    outs_by_cause: dict[str, int]
    points: tuple[float, ...]
    xp: tuple[int, ...]
    state_hash: str


# Curling


class CurlingSheet(msgspec.Struct, frozen=True):
    """The sheet: its size, and where its centre is along x [m]."""

    size: tuple[float, ...]
    centre: float


class CurlingHouse(msgspec.Struct, frozen=True):
    """The house: where it is along x, and the radii of its rings [m]."""

    x: float
    rings: tuple[float, ...]


class LyingStone(msgspec.Struct, frozen=True):
    """A stone on the sheet."""

    stone: int
    seat: int
    position: tuple[float, ...]


class CurlingSetUp(WorldSetUp, frozen=True, kw_only=True):
    """The rules and the sheet."""

    sheet: CurlingSheet
    house: CurlingHouse
    seats: tuple[SeatAtStart, ...]


class CurlingTurnStarted(TurnStarted, frozen=True, kw_only=True):
    """A seat may throw ``stone`` in the end ``end``, from 1."""

    end: int
    stone: int
    stones: tuple[LyingStone, ...]
    points: tuple[int, ...]
    house: CurlingHouse


class CurlingAction(WorldEvent, frozen=True):
    """What a seat did. A skip has no numbers."""

    seat: int
    kind: str
    stone: int
    timed_out: bool
    azimuth: float | Unset = UNSET
    power: float | Unset = UNSET
    spin: float | Unset = UNSET


class CurlingBlow(WorldEvent, frozen=True):
    """Two stones touched."""

    a: int
    b: int
    impulse_Ns: float
    v_rel_before: float
    point: tuple[float, ...]


class StoneLost(WorldEvent, frozen=True):
    """A stone is no longer on the sheet."""

    stone: int
    cause: Literal["off", "short"]


class CurlingOut(WorldEvent, frozen=True):
    """A seat has left."""

    seat: int
    cause: Literal["forfeit"]
    place: int


class CurlingTurnEnded(WorldEvent, frozen=True):
    """The stones are at rest. ``undone``: by the guard rule."""

    seat: int
    ticks: int
    undone: bool
    on_sheet: tuple[int, ...]
    discarded_energy_J: float
    state_hash: str


class EndScored(WorldEvent, frozen=True):
    """An end is over. ``seat``: null if no stone counts."""

    end: int
    seat: int | None
    points: int
    total: tuple[int, ...]


class CurlingResult(WorldEvent, frozen=True):
    """Who won. ``ends``: seat and points of each end."""

    places: tuple[int, ...]
    winner: int | None
    cause: Literal["points", "last_standing"]
    points: tuple[int, ...]
    ends: tuple[tuple[int | None, int], ...]
    turns: int
    ticks: int
    xp: tuple[int, ...]
    state_hash: str


# Sandbox


class SandboxBody(msgspec.Struct, frozen=True):
    """A body of the box, and its entry of the catalogue; "" for one of a scene."""

    id: str
    body: str


class BriefBody(msgspec.Struct, frozen=True):
    """Where a body is [m]. Its ``handles`` are called centre, v0, v1 and so on."""

    id: str
    body: str
    handles: int
    radius: float
    position: Place


class SlotLease(msgspec.Struct, frozen=True):
    """A seat holds a handle, at most until the tick ``until``."""

    seat: int
    body: str
    handle: str
    until: int


class SandboxSetUp(WorldSetUp, frozen=True, kw_only=True):
    """The box [m], and what is in it. ``scene``: name and hash of a scene that the members made."""

    box: dict[str, float]
    catalogue: tuple[str, ...]
    bodies: tuple[SandboxBody, ...]
    seats: tuple[SeatAtStart, ...]
    scene: dict[str, str] | Unset = UNSET


class SandboxBrief(WorldEvent, frozen=True):
    """The state of the box, each ``brief_s``."""

    box: dict[str, float]
    bodies: tuple[BriefBody, ...]
    slots: tuple[SlotLease, ...]
    queue: tuple[int, ...]
    capacity: int
    members: tuple[int, ...]
    frozen: bool
    gravity: float


class SlotGranted(WorldEvent, frozen=True):
    """A seat holds a handle from now on."""

    seat: int
    body: str
    handle: str
    until: int


class SlotQueued(WorldEvent, frozen=True):
    """A seat waits for a slot. ``place``: in the queue, from 1."""

    seat: int
    body: str
    handle: str
    place: int


class SlotFreed(WorldEvent, frozen=True):
    """A seat no longer holds a handle."""

    seat: int
    body: str
    handle: str
    cause: str


class BodySpawned(WorldEvent, frozen=True):
    """A body was added; a new topology follows."""

    seat: int
    id: str
    body: str
    position: Place


class BodyRemoved(WorldEvent, frozen=True):
    """A body was removed; a new topology follows."""

    seat: int
    id: str


class BodyReturned(WorldEvent, frozen=True):
    """A body that was outside of the box was put back."""

    id: str
    position: Place


class JointBroken(WorldEvent, frozen=True):
    """A joint of body ``a`` with body ``b``, or the world if that is None, transmitted more than it holds in this
    tick. It is gone."""

    id: str
    a: str
    b: str | None


class BoxFrozen(WorldEvent, frozen=True):
    """The host stopped the world, or let it go on."""

    frozen: bool


class GravitySet(WorldEvent, frozen=True):
    """The host changed the gravity [m/s²]."""

    strength: float


class HostAction(WorldEvent, frozen=True):
    """The host marked the state, went back to the mark, or to the beginning."""


class MemberChange(WorldEvent, frozen=True):
    """A member joined or left."""

    seat: int


class InputRefused(WorldEvent, frozen=True):
    """The rules refused an input; other inputs of its tick are applied."""

    seat: int
    id: int
    kind: str
    code: str
    field: str | None
    message: str


class SlotModeResult(WorldEvent, frozen=True):
    """The run is over: done, or empty. ``state_hash``: absent if an input was the end, and no tick followed it."""

    cause: str
    winner: int | None
    places: tuple[int, ...]
    state_hash: str | Unset = UNSET


# Spring-damper


class SpringSetUp(WorldSetUp, frozen=True, kw_only=True):
    """``d``: damping [kg/s]; ``omega``: undamped angular frequency [1/s]."""

    d: float
    omega: float
    seats: tuple[SeatAtStart, ...]


class SpringTriggered(WorldEvent, frozen=True):
    """A run begins at x [m] with v [m/s]. ``seat``: null for the first one."""

    run: int
    seat: int | None
    x: float
    v: float


class SpringSteps(WorldEvent, frozen=True):
    """Steps of a run, one place of each list per step."""

    run: int
    n: tuple[int, ...]
    t: tuple[float, ...]
    x: tuple[float, ...]
    v: tuple[float, ...]
    closed: tuple[float, ...]


class SpringRunEnded(WorldEvent, frozen=True):
    """The last step of a run, and its distance from the closed form [m]."""

    run: int
    n: int
    t: float
    x: float
    v: float
    closed: float
    error: float


MODE_EVENTS: dict[str, dict[str, type[EventFields]]] = {
    "duel": {
        "set_up": DuelSetUp,
        "turn_started": DuelTurnStarted,
        "action": DuelAction,
        "blow": DuelBlow,
        "out": DuelOut,
        "bout_ended": DuelBoutEnded,
        "bout_started": DuelBoutStarted,
        "rim_cracked": DuelRimCracked,
        "rim_fell": DuelRimFell,
        "turn_ended": DuelTurnEnded,
        "result": DuelResult,
        "forked": ForkBegun,
    },
    "curling": {
        "set_up": CurlingSetUp,
        "turn_started": CurlingTurnStarted,
        "action": CurlingAction,
        "blow": CurlingBlow,
        "stone_lost": StoneLost,
        "out": CurlingOut,
        "turn_ended": CurlingTurnEnded,
        "end_scored": EndScored,
        "result": CurlingResult,
        "forked": ForkBegun,
    },
    "sandbox": {
        "set_up": SandboxSetUp,
        "brief": SandboxBrief,
        "slot_granted": SlotGranted,
        "slot_queued": SlotQueued,
        "slot_freed": SlotFreed,
        "spawned": BodySpawned,
        "removed": BodyRemoved,
        "returned": BodyReturned,
        "joint_broken": JointBroken,
        "freeze": BoxFrozen,
        "gravity": GravitySet,
        "mark": HostAction,
        "undo": HostAction,
        "reset": HostAction,
        "joined": MemberChange,
        "left": MemberChange,
        "refused": InputRefused,
        "result": SlotModeResult,
        "forked": ForkBegun,
    },
    "spring-damper": {
        "set_up": SpringSetUp,
        "triggered": SpringTriggered,
        "steps": SpringSteps,
        "run_ended": SpringRunEnded,
        "joined": MemberChange,
        "left": MemberChange,
        "result": SlotModeResult,
        "forked": ForkBegun,
    },
}
