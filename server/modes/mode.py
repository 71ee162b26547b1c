"""What a mode is: the types that the simulation and every mode share. Data and one protocol, no rules.

    setup   -> (Scene, state, events)    the bodies, and where the rules stand before the first tick
    apply   -> (state, effect, events)   one admitted input
    plan    -> Control                   what steers the coming tick: drag, handles
    on_tick -> (state, effect, events)   what the tick meant: damage, outs, the end of a turn
    legal, result, bot                   what may be done; how it ended; what a program would do

A mode is pure: no clock, store, socket or global randomness, so that a replay, a look-ahead and a fork agree
with the session. Modes and bots import ``server.physics.world_state`` and ``lobby`` only: a bot process needs no
solver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

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
    "Event",
    "Look",
    "Mode",
    "Outcome",
    "Phase",
    "Result",
    "Score",
    "Seat",
    "Standing",
    "View",
    "stream",
]

Phase = Literal["acting", "moving", "over"]
"""acting: the world stands and waits for one seat. moving: it runs. over: nothing runs any more."""


class Seat(msgspec.Struct, frozen=True):
    """One player's place in a session, as the simulation sees it. ``body``: a catalogue id."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"] = "person"
    skill: str = ""
    body: str = ""


class CatalogueBody(msgspec.Struct, frozen=True):
    """One entry of catalogue.json (units there). ``computed`` holds what follows from the mesh."""

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


class Event(msgspec.Struct, frozen=True):
    """Something that happened, for people, bots and streams; the simulation adds tick and time_sim."""

    type: str
    d: dict[str, Any]
    round: int
    turn: int


class Score(msgspec.Struct, frozen=True):
    """What a finished session is worth to one seat: ``place`` 1 is best, ties share; ``xp`` experience
    points."""

    place: int
    points: float
    xp: int


class Result(msgspec.Struct, frozen=True):
    """How a session ended. places: seat -> place; winner: None for a draw."""

    places: dict[int, int]
    winner: int | None
    cause: str
    scores: dict[int, Score] = {}


class Standing(msgspec.Struct, frozen=True):
    """What anyone may see of one seat while it plays; the server keeps it in the store, for redis-cli."""

    health: float
    points: float
    out: bool


class Action(msgspec.Struct, frozen=True):
    """What a bot decided: the kind and the arguments of an input. ``candidates``: how many a planner
    weighed."""

    kind: str
    d: dict[str, Any] = {}
    candidates: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """What a look-ahead found after an action came to rest, one value per seat of the brief's arrays."""

    health: list[float]
    alive: list[bool]
    positions: list[list[float]]


Look = Callable[[Action], Outcome]
"""The same solver on a copy of the world; budgeted in calls, never in seconds."""


def _no_grip(body: int, handle: str) -> Vector:
    raise KeyError((body, handle))


@dataclass(frozen=True, slots=True)
class View:
    """The world at one tick, read only; n bodies that can move, in the model's order.

    positions, velocities: centres [m] and [m/s], shape (n, 3). rows, rates: images of the local axes and
    their rates [1/s], shape (n, 3, 3), local axis first. masses [kg], shape (n,). moments: second moments of
    mass at rest [kg m^2], shape (n, 3, 3). radii: bounding radii [m], shape (n,). active: shape (n,).
    impulses, points: see StepReport; zeros before the first tick. min_distance [m], contacts, iterations: of
    this tick. energy: kinetic + gravity + elastic [J]. dt [s].
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


@dataclass(frozen=True, slots=True)
class Effect:
    """What a mode does to the world beyond the Control of its plan.

    push: body -> (dv [m/s], dw [rad/s]), given before the coming tick. remove: bodies that leave now. place:
    body -> (position [m], rotation): bodies put there now, at rest. halt: all velocities become zero now.
    rebuild: the mode's scene has other bodies now; the other fields count those of before. mark: remember
    world and rules as they are after this effect. undo: go back to the mark (there is one from the start),
    the rules by the mode's ``undone``.
    """

    push: Mapping[int, tuple[Vector, Vector]] = field(default_factory=dict)
    remove: tuple[int, ...] = ()
    place: Mapping[int, tuple[Vector, Quaternion]] = field(default_factory=dict)
    halt: bool = False
    rebuild: bool = False
    mark: bool = False
    undo: bool = False


class Mode(Protocol):
    """The rules of one session: built from (params, seats, catalogue), which never change; what changes is a
    state, the mode's own frozen Struct, msgpack-able and hashed every tick.

    ``seats``: fewest and most seats; ``seat_count``: of this session. Functions that refuse raise ``Refused``
    and change nothing. The last three have an answer for modes that inherit from this class.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    policy: ClassVar[Literal["turns", "slots"]]
    seats: ClassVar[tuple[int, int]]
    state_type: ClassVar[type[msgspec.Struct]]
    seat_count: int

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        """Raises Refused for parameters, seats or bodies that cannot be played."""

    def setup(self, seed: int) -> tuple[Any, list[Event]]:
        """The state before the first tick and the ``set_up`` event."""

    def scene(self, state: Any, seed: int) -> Scene:
        """The scene: bodies, obstacles, constants. It changes only where an effect says ``rebuild``."""

    def owners(self, state: Any) -> list[tuple[int | None, str]]:
        """Of each body of the scene, in order: the seat that owns it, and its catalogue id."""

    def phase(self, state: Any) -> Phase:
        """Whether the world waits, runs or is done with."""

    def actor(self, state: Any) -> int | None:
        """The seat whose turn it is; None without turns."""

    def clock(self, state: Any) -> tuple[int, int]:
        """(round, turn), as the events carry them."""

    def deadline_s(self, state: Any) -> float | None:
        """The time that the present turn is given; None without turns."""

    def legal(self, state: Any, view: View, seat: int) -> ActionSpec:
        """What that seat may do now; no kinds when nothing."""

    def apply(
        self, state: Any, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[Any, Effect, list[Event]]:
        """Take one input before the coming tick. Raises Refused with code and field."""

    def plan(self, state: Any, view: View) -> Control | None:
        """What steers the coming tick; None: the world stands still, only time goes on."""

    def on_tick(self, state: Any, before: View, view: View) -> tuple[Any, Effect, list[Event]]:
        """Read what a tick did; ``before`` is the world that it began from, pushes included."""

    def standing(self, state: Any) -> dict[int, Standing]:
        """Every seat's, at any time."""

    def result(self, state: Any) -> Result | None:
        """The result, in phase "over"."""

    def undone(self, state: Any, marked: Any) -> Any:
        """The state after an undo: the marked one, but for what an undo does not bring back. Only modes whose
        effects undo have one."""
        raise Refused(f"a {self.name} has nothing to undo", code="bad_action", field="kind")

    def recall(self, brief: Mapping[str, Any]) -> tuple[Any, list[Floats | None]]:
        """The state that a ``turn_started`` payload tells, and the four rows of each body, None for those
        that are out. Raises Refused (bad_brief) if it is not one of this session, or nobody looks ahead in
        the mode."""
        raise Refused(f"nobody looks ahead in a {self.name}", code="bad_brief")

    @staticmethod
    def bot(
        brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
    ) -> Action:
        """The action of a program of that skill, from the public ``turn_started`` payload alone; kind "": it
        only watches."""
        return Action(kind="")


def stream(seed: int, turn: int, seat: int) -> np.random.Generator:
    """The random numbers of (session seed, turn, seat): a counter-based generator, so that a look-ahead, a
    replay and a remote bot draw the same ones. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
    3"."""
    key = np.array(
        [seed & 0xFFFFFFFFFFFFFFFF, ((turn & 0xFFFFFFFF) << 32) | (seat & 0xFFFFFFFF)], dtype=np.uint64
    )
    return np.random.Generator(np.random.Philox(key=key))
