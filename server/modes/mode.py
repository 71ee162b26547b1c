"""The interface of a mode, and the types that the simulation and every mode share.

    setup   -> (state, events)           the state before the first tick
    scene   -> Scene                     the bodies
    apply   -> (state, effect, events)   takes one admitted input
    plan    -> Control                   steers the coming tick: drag, handles
    on_tick -> (state, effect, events)   reads what a tick did: damage, outs, the end of a turn
    legal, result, bot                   the legal actions, the result, the choice of a bot

A mode is pure: it uses no clock, store, socket or global randomness, so that a replay, a look-ahead and a fork agree
with the session. Modes import only server/physics/world_state.py and lobby/, so that a bot process loads no solver.
This module must never contain the rules of a mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionSpec
from tussle.lobby.rules.scenes import Quaternion, Scene, Vector
from tussle.server.physics.world_state import Control, Floats

__all__ = [
    "Action",
    "CatalogueBody",
    "Effect",
    "Look",
    "Mode",
    "ModeEvent",
    "Outcome",
    "Phase",
    "Result",
    "Score",
    "Seat",
    "Standing",
    "View",
    "convert_params",
    "describe_seat",
    "stream",
]

Params = TypeVar("Params", bound=msgspec.Struct)

Phase = Literal["acting", "moving", "over"]
"""acting: the world is at rest and waits for one seat. moving: the world runs. over: the session has its result."""


class Seat(msgspec.Struct, frozen=True):
    """The place of one player in a session. ``body``: a catalogue id."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"] = "person"
    skill: str = ""
    body: str = ""


class CatalogueBody(msgspec.Struct, frozen=True):
    """One entry of catalogue/catalogue.json, which states the units. ``computed``: quantities of the mesh."""

    id: str
    name: str
    kind: str
    params: dict[str, Any]
    density: float
    stiffness: float
    friction: float
    rolling: float = 0.4
    speed: float = 4.7
    toughness: float = 1.0
    health: float = 140.0
    character: str = ""
    computed: dict[str, float] = {}

    @property
    def mass(self) -> float:
        """Mass [kg]."""
        return self.computed["mass"]


class ModeEvent(msgspec.Struct, frozen=True):
    """An event of a session, for people, bots and streams. The simulation adds ``tick`` and ``time_sim`` to ``d``."""

    type: str
    d: dict[str, Any]
    round: int
    turn: int


class Score(msgspec.Struct, frozen=True):
    """The score of one seat in a finished session. ``place``: 1 is best, tied seats share one. ``xp``: experience
    points."""

    place: int
    points: float
    xp: int


class Result(msgspec.Struct, frozen=True):
    """How a session ended. ``places``: seat -> place. ``winner``: a seat, None for a draw."""

    places: dict[int, int]
    winner: int | None
    cause: str
    scores: dict[int, Score] = {}


class Standing(msgspec.Struct, frozen=True):
    """The public state of one seat while it plays. The server keeps it in the store."""

    health: float
    points: float
    out: bool


class Action(msgspec.Struct, frozen=True):
    """The choice of a bot: the kind and the arguments of an input. ``candidates``: how many actions a planner
    compared."""

    kind: str
    d: dict[str, Any] = {}
    candidates: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """The result of a look-ahead, after the world came to rest. One value per seat."""

    health: list[float]
    alive: list[bool]
    positions: list[list[float]]


Look = Callable[[Action], Outcome]
"""Runs an action on a copy of the world with the session's solver. The budget is a number of calls, never a time."""


def _no_grip(body: int, handle: str) -> Vector:
    raise KeyError((body, handle))


@dataclass(frozen=True, slots=True)
class View:
    """The world at one tick, read only: n bodies that can move, in the order of the scene.

    positions, velocities: centres [m] and [m/s], shape (n, 3). rows, rates: images of the local axes and
    their rates [1/s], shape (n, 3, 3), local axis first. masses [kg], shape (n,). moments: second moments of
    mass at rest [kg m^2], shape (n, 3, 3). radii: bounding radii [m], shape (n,). active: shape (n,).
    impulses, points: see StepReport; zeros before the first tick. min_distance [m], contacts, iterations: of
    this tick. energy: kinetic + gravity + elastic [J]. dt [s]. broken: ids of the joints that are broken.
    """

    tick: int
    dt: float
    ids: tuple[str, ...]
    positions: Floats
    velocities: Floats
    rows: Floats
    rates: Floats
    masses: Floats
    moments: Floats
    radii: Floats
    active: npt.NDArray[np.bool_]
    impulses: Floats
    points: Floats
    min_distance: float
    contacts: int
    iterations: int
    kinetic: float
    energy: float
    grip: Callable[[int, str], Vector] = _no_grip
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of the world by a mode, beside the Control of its plan.

    push: body -> (dv [m/s], dw [rad/s]), added before the coming tick. remove: bodies that leave now. place: body ->
    (position [m], rotation), bodies that are moved there now, at rest. halt: all velocities become zero now. rebuild:
    the scene has other bodies now; the body numbers of the other fields are those of the old scene. restart: the world
    is as the scene begins; no body keeps its state. mark: save the
    world and the state, after this effect. undo: go back to the last mark; the first mark is the start. ``Mode.undone``
    gives the state after an undo.
    """

    push: Mapping[int, tuple[Vector, Vector]] = field(default_factory=dict)
    remove: tuple[int, ...] = ()
    place: Mapping[int, tuple[Vector, Quaternion]] = field(default_factory=dict)
    halt: bool = False
    rebuild: bool = False
    restart: bool = False
    mark: bool = False
    undo: bool = False


class Mode(Protocol):
    """The rules of one session. An instance holds what never changes: parameters, seats and catalogue. All that varies
    is in a state of ``state_type``, a frozen Struct that msgpack can encode; its bytes are hashed every tick.

    ``seats``: the smallest and the largest number of seats. ``seat_count``: the seats of this session. A function
    that refuses raises ``Refused`` and changes nothing. ``editable_scene``: whether the members of a waiting lobby
    build the scene; such a mode has ``authored`` (docs/howto/editable-scene.md). ``people_params``: the
    parameters of a session of people alone whose host chose none. ``params_type``: the type of the parameters; None:
    no client learns of them. ``rated``: whether its results
    change ratings and the leaderboard (docs/explanation/ratings.md); a mode in which leaving early is no loss must
    not be. A class that inherits from this one may leave out ``undone``, ``authored``, ``brief``, ``recall`` and
    ``bot``.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    policy: ClassVar[Literal["turns", "slots"]]
    seats: ClassVar[tuple[int, int]]
    state_type: ClassVar[type[msgspec.Struct]]
    editable_scene: ClassVar[bool] = False
    people_params: ClassVar[Mapping[str, Any]] = {}
    params_type: ClassVar[type[msgspec.Struct] | None] = None
    rated: ClassVar[bool] = True
    seat_count: int

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        """Raises Refused for parameters, seats or bodies that the mode does not take."""

    @classmethod
    def authored(
        cls,
        params: Mapping[str, Any],
        seats: Sequence[Seat],
        catalogue: Mapping[str, CatalogueBody],
        document: str,
    ) -> Self:
        """Return the rules of a session that simulates a scene which its members have made (lobby/rules/scenes.py).
        Raises Refused, also in a mode whose scene is its own."""
        raise Refused(f"the mode {cls.name} has a scene of its own", code="no_scene", field="scene")

    def setup(self, seed: int) -> tuple[Any, list[ModeEvent]]:
        """Return the state before the first tick and the first events; ``set_up`` is one of them."""

    def scene(self, state: Any, seed: int) -> Scene:
        """Return the scene: bodies, obstacles, constants. It changes only after an effect with ``rebuild``."""

    def owners(self, state: Any) -> list[tuple[int | None, str]]:
        """Return, for each body of the scene in order, the seat that owns it and its catalogue id."""

    def phase(self, state: Any) -> Phase:
        """Return whether the world waits, runs or is over."""

    def actor(self, state: Any) -> int | None:
        """Return the seat whose turn it is; None in a mode without turns."""

    def clock(self, state: Any) -> tuple[int, int]:
        """Return (round, turn), which every event carries."""

    def deadline_s(self, state: Any) -> float | None:
        """Return the time limit of the present turn [s]; None in a mode without turns."""

    def legal(self, state: Any, view: View, seat: int) -> ActionSpec:
        """Return what the seat may do now; no kinds if it may do nothing."""

    def apply(
        self, state: Any, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[Any, Effect, list[ModeEvent]]:
        """Take one input before the coming tick. Raises Refused with a code and the field at fault."""

    def plan(self, state: Any, view: View) -> Control | None:
        """Return what steers the coming tick. None: the tick moves no body, only time advances."""

    def on_tick(self, state: Any, before: View, view: View) -> tuple[Any, Effect, list[ModeEvent]]:
        """Read what a tick did. ``before``: the world at the beginning of the tick, after pushes."""

    def standing(self, state: Any) -> dict[int, Standing]:
        """Return the public state of every seat. It may be called at any time."""

    def result(self, state: Any) -> Result | None:
        """Return the result in phase "over", else None."""

    def undone(self, state: Any, marked: Any) -> Any:
        """Return the state after an undo: the marked state, with what an undo keeps. Only a mode that returns effects
        with ``undo`` needs it."""
        raise Refused(f"the mode {self.name} has no undo", code="bad_action", field="kind")

    def brief(self, state: Any, view: View) -> dict[str, Any] | None:
        """Return the payload of ``turn_started`` for the turn that waits: a fork that begins in it publishes it again.
        Without it (None) a session of a mode in turns cannot be forked while a turn waits."""
        return None

    def recall(self, brief: Mapping[str, Any]) -> tuple[Any, list[Floats | None]]:
        """Return the state that a ``turn_started`` payload describes, and for each body its four rows (centre and
        images of the axes), or None if it is out. Raises Refused (bad_brief) for a payload of another form, and in a
        mode without look-ahead."""
        raise Refused(f"the mode {self.name} has no look-ahead", code="bad_brief")

    @staticmethod
    def bot(
        brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
    ) -> Action:
        """Return the action of a bot of that skill, from the public ``turn_started`` payload alone. An action of kind
        "" does nothing; a mode without bots always returns it."""
        return Action(kind="")

    def event(self, state: Any, type_: str, d: dict[str, Any]) -> ModeEvent:
        """Return an event at the present round and turn."""
        return ModeEvent(type_, d, *self.clock(state))


def convert_params(mode: str, params: Mapping[str, Any], type_: type[Params]) -> Params:
    """Return the parameters of a session as ``type_``. Raises Refused (bad_params)."""
    try:
        return msgspec.convert(dict(params), type_)
    except msgspec.ValidationError as error:
        raise Refused(f"not parameters of {mode}: {error}", code="bad_params", field="params") from None


def describe_seat(seat: Seat) -> dict[str, Any]:
    """Return a seat as the ``set_up`` event carries it."""
    return {
        "seat": seat.seat,
        "player": seat.player,
        "name": seat.name,
        "kind": seat.kind,
        "skill": seat.skill,
    }


def stream(seed: int, turn: int, seat: int) -> np.random.Generator:
    """Return the random generator of (session seed, turn, seat). It is counter-based, so that a look-ahead, a replay
    and a remote bot draw the same numbers. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"."""
    key = np.array(
        [seed & 0xFFFFFFFFFFFFFFFF, ((turn & 0xFFFFFFFF) << 32) | (seat & 0xFFFFFFFF)], dtype=np.uint64
    )
    return np.random.Generator(np.random.Philox(key=key))
