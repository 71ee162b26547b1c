"""The whole deterministic world of one session: model, state, mode and the mode's state, in lockstep.

    start(spec) -> settle -> [ acting -> input -> moving ... rest ] * turns -> over

Inputs in, frames, events and hashes out; the same spec and inputs give the same bytes in any process. It runs
in a solver process, in a replay and in a look-ahead. It must never know a clock, a socket, the store or a
log, and it imports the solver only when a world is built, so that the server may import these types.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.rules.actions import ActionSpec
from tussle.lobby.wire.frames import Frame, Topology, encode_frame, encode_topology
from tussle.server.modes.mode import (
    CatalogueBody,
    Effect,
    Mode,
    ModeEvent,
    Phase,
    Result,
    Seat,
    Standing,
    View,
)
from tussle.server.modes.registry import get_mode
from tussle.server.physics.world_state import ContactCheck

if TYPE_CHECKING:
    from tussle.server.simulation.world import World

__all__ = ["Advance", "Input", "SessionSpec", "Simulation"]

_CHECKPOINT = "tussle-checkpoint/1"
_HASHED = ("turn_ended", "result")
"""Events that carry the state's hash, so that whoever only reads the stream can tell a divergence."""


class SessionSpec(msgspec.Struct, frozen=True):
    """All that defines a session's world; journaled once, before the first tick.

    catalogue: body id -> its entry of catalogue.json, at least those that the seats chose. seed: of all
    randomness. params: the mode's (duel: turn_s, bot_turn_s, rounds). frame_precision: of the frames'
    numbers, not of the world.
    """

    session: str
    mode: str
    seats: tuple[Seat, ...]
    catalogue: dict[str, dict[str, Any]]
    seed: int
    params: dict[str, Any] = {}
    frame_precision: Literal["single", "half"] = "single"


class Input(msgspec.Struct, frozen=True):
    """One admitted intent. ``id`` is the client's number, 0 for those that the server makes: ``skip`` (the
    deadline passed) and ``leave`` (the seat is given up)."""

    seat: int
    kind: str
    id: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] = 0
    d: dict[str, Any] = {}


class Advance(msgspec.Struct, frozen=True):
    """What an advance did.

    tick: after it. ticks_run: how many ran. frame: the binary frame of ``tick``, encoded once. topology: the
    binary topology, at start, at restore and whenever it changed, else None. events: (tick, type, payload),
    in order; one tick may have several. phase, seat, actions, turn, round: where the rules stand after it;
    ``seat`` is the one that acts or whose turn is running, ``actions`` what it may do (None unless acting).
    deadline_s: what the server arms when a turn has begun. hashes: one per tick that ran, of world and rules
    together, 16 bytes. min_distance [m]: least over these ticks (inf: nothing near). contacts: most.
    iterations: sum. unconverged: ticks that the iteration cap ended. result: once phase is "over".
    dt [s]: of a tick. standing: by seat, always every seat's. energy [J]: kinetic + gravity + elastic, at the
    end.
    """

    tick: int
    ticks_run: int
    frame: bytes
    topology: bytes | None
    events: list[tuple[int, str, dict[str, Any]]]
    phase: Phase
    seat: int | None
    actions: ActionSpec | None
    deadline_s: float | None
    round: int
    turn: int
    hashes: list[bytes]
    min_distance: float
    contacts: int
    iterations: int
    unconverged: int
    result: Result | None
    dt: float
    standing: dict[int, Standing]
    energy: float = 0.0


class _Checkpoint(msgspec.Struct, frozen=True):
    schema: str
    spec: bytes
    version: int
    world: bytes
    rules: msgspec.Raw
    acks: tuple[int, ...]
    mark: tuple[bytes, msgspec.Raw] | None = None


@dataclass(slots=True)
class _Tally:
    """What an advance gathers tick by tick."""

    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    min_distance: float = math.inf
    contacts: int = 0
    iterations: int = 0
    unconverged: int = 0
    energy: float = 0.0


class Simulation:
    """One session's world and rules. Not thread-safe; every method is deterministic.

    ``rules``: the mode's state, for reading.
    """

    def __init__(
        self, spec: SessionSpec, mode: Mode, world: World, rules: Any, acks: tuple[int, ...], epoch: int
    ) -> None:
        self.spec = spec
        self.mode = mode
        self.rules = rules
        self.epoch = epoch
        self._world = world
        self._acks = acks
        self._mark = world, rules
        self._topology: tuple[int, bytes] | None = None
        self._sent_version = world.version

    @classmethod
    def start(cls, spec: SessionSpec, *, epoch: int = 0) -> tuple[Simulation, Advance]:
        """Compile, settle until rest, open the first turn. Raises Refused for a spec that cannot be run."""
        mode = make_mode(spec)
        rules, events = mode.setup(spec.seed)
        world = _worlds().compile(mode.scene(rules, spec.seed))
        simulation = cls(spec, mode, world, rules, (0,) * mode.seat_count, epoch)
        tally = _Tally(events=[simulation._stamped(event, 0) for event in events])
        if mode.policy == "turns":
            while mode.phase(simulation.rules) == "moving":
                simulation._tick(tally)
        return simulation, simulation._report(tally, topology=True)

    @classmethod
    def restore(cls, spec: SessionSpec, checkpoint: bytes, *, epoch: int = 0) -> Simulation:
        """The world of a checkpoint: its next ticks have the hashes that the original's had.

        Raises ProtocolError (bad_checkpoint) for bytes that are not a checkpoint of this spec.
        """
        mode = make_mode(spec)
        try:
            saved = msgspec.msgpack.decode(checkpoint, type=_Checkpoint)
            rules = msgspec.msgpack.decode(saved.rules, type=mode.state_type)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"not a checkpoint: {error}", code="bad_checkpoint") from None
        if saved.schema != _CHECKPOINT or saved.spec != _spec_hash(spec):
            raise ProtocolError("a checkpoint of another session", code="bad_checkpoint")
        world = _worlds().decode(mode.scene(rules, spec.seed), saved.world, saved.version)
        simulation = cls(spec, mode, world, rules, saved.acks, epoch)
        if saved.mark is not None:
            marked = msgspec.msgpack.decode(saved.mark[1], type=mode.state_type)
            scene = mode.scene(marked, spec.seed)
            simulation._mark = _worlds().decode(scene, saved.mark[0], 0), marked
        return simulation

    @classmethod
    def recall(cls, spec: SessionSpec, brief: Mapping[str, Any]) -> Simulation:
        """The world as a ``turn_started`` payload tells it, for looking ahead from outside of the server.

        It begins at tick 0 and at rest; what the payload does not tell (damage dealt so far) is lost. Raises
        Refused (bad_brief) for a payload that is not of this spec.
        """
        mode = make_mode(spec)
        rules, _ = mode.setup(spec.seed)
        world = _worlds().compile(mode.scene(rules, spec.seed))
        return cls(spec, mode, world, rules, (0,) * mode.seat_count, 0).recalled(brief)

    def recalled(self, brief: Mapping[str, Any]) -> Simulation:
        """Another world of the same spec, as in ``recall`` but without compiling anew."""
        rules, poses = self.mode.recall(brief)
        return Simulation(self.spec, self.mode, self._world.posed(poses), rules, self._acks, self.epoch)

    def branch(self) -> Simulation:
        """An independent copy, at no cost: all that it shares never changes."""
        copy = Simulation(self.spec, self.mode, self._world, self.rules, self._acks, self.epoch)
        copy._mark = self._mark
        return copy

    def advance(self, inputs: Sequence[Input], ticks: int) -> Advance:
        """Apply the inputs before the first tick, then run up to ``ticks`` ticks.

        Stops early when a turn or the session is over. While a turn waits and there is no input, no tick
        runs; any input makes at least one tick run. With turns, raises Refused (code, field) if any input is
        refused; with slots, where several seats act at once, a refused input is an event ``refused`` and the
        others count. Raises SolverFailed. When it raises, nothing has changed.
        """
        if ticks < 1:
            raise ValueError(f"an advance runs at least one tick, not {ticks}")
        if self.mode.phase(self.rules) == "over":
            raise Refused("the session is over", code="over")
        before = self._world, self.rules, self._acks, self._mark
        tally = _Tally()
        try:
            for given in inputs:
                self._apply(given, tally)
            while len(tally.hashes) < ticks and (
                self.mode.phase(self.rules) == "moving" or (inputs and not tally.hashes)
            ):
                self._tick(tally)
        except BaseException:
            self._world, self.rules, self._acks, self._mark = before
            raise
        return self._report(tally, topology=False)

    def look(self) -> Advance:
        """Where the world stands, with frame and topology; nothing runs."""
        return self._report(_Tally(), topology=True)

    def checkpoint(self) -> bytes:
        """The exact state, for ``restore`` with the same spec."""
        mark = None
        if self.mode.policy == "slots":  # a turn is not undone
            world, rules = self._mark
            mark = world.encode(), msgspec.Raw(_encode_rules(rules))
        return msgspec.msgpack.encode(
            _Checkpoint(
                schema=_CHECKPOINT,
                spec=_spec_hash(self.spec),
                version=self._world.version,
                world=self._world.encode(),
                rules=msgspec.Raw(_encode_rules(self.rules)),
                acks=self._acks,
                mark=mark,
            )
        )

    def check_contact(self) -> ContactCheck:
        """An independent check of the present state: no intersection, no inversion, no containment."""
        return self._world.check_contact()

    def hash(self) -> bytes:
        """16 bytes of the present state of world and rules together."""
        return self._world.digest(_encode_rules(self.rules))

    def view(self) -> View:
        """The world as the rules see it, between two ticks."""
        return self._world.view()

    def _apply(self, given: Input, tally: _Tally) -> None:
        """Give one input to the rules; its effect is there before the coming tick."""
        if not 0 <= given.seat < self.mode.seat_count:
            raise Refused(f"there is no seat {given.seat}", code="seat_out", field="seat")
        tick = self._world.state.tick + 1
        try:
            self.rules, effect, events = self.mode.apply(
                self.rules, self._world.view(), given.seat, given.kind, given.d
            )
        except Refused as error:
            if self.mode.policy == "turns":
                raise
            turn_round, turn = self.mode.clock(self.rules)
            told = {"code": error.reason, "field": error.field, "message": error.message}
            d = {"seat": given.seat, "id": given.id, "kind": given.kind, **told}
            events, effect = [ModeEvent("refused", d, turn_round, turn)], Effect()
        self._affect(effect)
        if given.id:
            self._acks = (*self._acks[: given.seat], given.id, *self._acks[given.seat + 1 :])
        tally.events += [self._stamped(event, tick) for event in events]

    def _tick(self, tally: _Tally) -> None:
        """One tick of world and rules."""
        before = self._world.view()
        self._world, report = self._world.step(self.mode.plan(self.rules, before))
        self.rules, effect, events = self.mode.on_tick(self.rules, before, self._world.view(report))
        self._affect(effect)
        digest = self.hash()
        tally.hashes.append(digest)
        tally.min_distance = min(tally.min_distance, report.min_distance)
        tally.contacts = max(tally.contacts, report.contacts)
        tally.energy = report.kinetic + report.gravity + report.elastic
        tally.iterations += report.iterations
        tally.unconverged += not report.converged
        for event in events:
            stamped = self._stamped(event, self._world.state.tick)
            if event.type in _HASHED:
                stamped[2]["state_hash"] = digest.hex()
            tally.events.append(stamped)

    def _affect(self, effect: Effect) -> None:
        self._world = self._world.affected(effect)
        if effect.rebuild:
            self._world = self._world.rebuilt(self.mode.scene(self.rules, self.spec.seed))
        if effect.undo:
            world, rules = self._mark
            self._world = world.returned(self._world)
            self.rules = self.mode.undone(self.rules, rules)
        if effect.mark:
            self._mark = self._world, self.rules

    def _stamped(self, event: ModeEvent, tick: int) -> tuple[int, str, dict[str, Any]]:
        time_sim = tick * self._world.model.dt
        clock = {"tick": tick, "time_sim": time_sim, "round": event.round, "turn": event.turn}
        return tick, event.type, {**clock, **event.d}

    def _report(self, tally: _Tally, *, topology: bool) -> Advance:
        mode, rules, world = self.mode, self.rules, self._world
        phase, actor = mode.phase(rules), mode.actor(rules)
        turn_round, turn = mode.clock(rules)
        rows, row_counts = world.frame_rows()
        frame = Frame(
            tick=world.state.tick,
            rows=rows,
            active=world.state.active,
            epoch=self.epoch,
            min_distance=tally.min_distance,
            contacts=tally.contacts,
            acks=self._acks,
            version=world.version,
            row_counts=row_counts,
        )
        topology = topology or world.version != self._sent_version
        self._sent_version = world.version
        return Advance(
            tick=world.state.tick,
            dt=world.model.dt,
            ticks_run=len(tally.hashes),
            frame=encode_frame(frame, half=self.spec.frame_precision == "half"),
            topology=self._encode_topology() if topology else None,
            events=tally.events,
            phase=phase,
            seat=actor,
            actions=self._legal_actions(phase, actor),
            deadline_s=mode.deadline_s(rules),
            round=turn_round,
            turn=turn,
            hashes=tally.hashes,
            min_distance=tally.min_distance,
            contacts=tally.contacts,
            iterations=tally.iterations,
            unconverged=tally.unconverged,
            result=mode.result(rules),
            standing=mode.standing(rules),
            energy=tally.energy,
        )

    def _legal_actions(self, phase: Phase, actor: int | None) -> ActionSpec | None:
        if self.mode.policy == "slots":
            return self.mode.legal(self.rules, self._world.view(), 0) if phase == "moving" else None
        if phase != "acting" or actor is None:
            return None
        return self.mode.legal(self.rules, self._world.view(), actor)

    def _encode_topology(self) -> bytes:
        version = self._world.version
        if self._topology is None or self._topology[0] != version:
            bodies = tuple(self._world.topology(self.mode.owners(self.rules)))
            self._topology = version, encode_topology(Topology(bodies=bodies, version=version))
        return self._topology[1]


def make_mode(spec: SessionSpec) -> Mode:
    """The rules of a spec. Raises Refused."""
    try:
        catalogue = msgspec.convert(spec.catalogue, dict[str, CatalogueBody])
    except msgspec.ValidationError as error:
        raise Refused(f"not a catalogue: {error}", code="bad_catalogue", field="catalogue") from None
    return get_mode(spec.mode)(spec.params, spec.seats, catalogue)


def _worlds() -> type[World]:
    """Loads the solver, which the server process that only admits inputs never does."""
    from tussle.server.simulation.world import World

    return World


def _spec_hash(spec: SessionSpec) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(spec, order="deterministic"), digest_size=16).digest()


_encode_rules = msgspec.msgpack.Encoder().encode
