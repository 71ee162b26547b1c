"""The deterministic world of one session: the bodies and the rules, advanced together tick by tick.

    start(spec) -> settle -> [ acting -> input -> moving ... rest ] * turns -> over
    begin(spec, state of another session) -> go on from there: a fork

It takes inputs and returns frames, events and hashes. The same spec and inputs give the same bytes in any process. It
runs in solver processes, in replays and in look-aheads. It must never know a clock, a socket, the store or a log. It
imports the solver only when it builds a world, so that the server process may import these types.
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
from tussle.server.physics.world_state import ENERGIES, ContactCheck, Control, Floats, PathCheck

if TYPE_CHECKING:
    from tussle.server.simulation.world import World

__all__ = ["NO_ENERGIES", "Advance", "Input", "Origin", "SessionSpec", "Simulation", "unbound"]

_CHECKPOINT = "tussle-checkpoint/1"
NO_ENERGIES = (0.0,) * len(ENERGIES)
"""Energies of a state that no tick has reached yet."""

_HASHED = ("turn_ended", "result")
"""Events that carry the state's hash, so that a client that only reads the event stream can detect a divergence."""


class Origin(msgspec.Struct, frozen=True):
    """Where a fork begins: the state after ``tick`` of the session ``parent``. hash: of that state, as each tick has
    one, in hexadecimal digits. state: SHA-256 of its bytes (``Simulation.release``). exact: it is the recorded state of
    the tick that was asked for, computed by the physics that recorded it."""

    parent: str
    tick: int
    hash: str
    state: str
    exact: bool = True


class SessionSpec(msgspec.Struct, frozen=True):
    """Everything that defines a session's world. It is stored once, before the first tick.

    catalogue: body id -> its entry of catalogue.json, at least for the bodies that the seats chose. seed: of all
    randomness. params: parameters of the mode (duel: turn_s, bot_turn_s, rounds). frame_precision: precision of the
    numbers in frames; the world does not depend on it. fork: where it begins, if it is not a beginning of its own.
    scene: the document that the members made while they waited (lobby/rules/scenes.py), if they did. Both are left out
    of the stored specification where they are not set, so that its bytes are those of before there were any.
    """

    session: str
    mode: str
    seats: tuple[Seat, ...]
    catalogue: dict[str, dict[str, Any]]
    seed: int
    params: dict[str, Any] = {}
    frame_precision: Literal["single", "half"] = "single"
    fork: Origin | msgspec.UnsetType = msgspec.UNSET
    scene: str | msgspec.UnsetType = msgspec.UNSET


class Input(msgspec.Struct, frozen=True):
    """One admitted input. ``id`` is the client's number. It is 0 for inputs that the server makes: ``skip`` (the
    deadline passed) and ``leave`` (the seat was given up)."""

    seat: int
    kind: str
    id: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] = 0
    d: dict[str, Any] = {}


class Advance(msgspec.Struct, frozen=True):
    """The result of an advance, which ran ``ticks_run`` ticks and ended at ``tick``.

    frame: the binary frame of ``tick``, encoded once. topology: the binary topology at start, at restore and after a
    change, else None. events: (tick, type, payload), in order; a tick may have several.
    phase, round, turn: the state of the rules after the advance. seat: the seat whose turn it is. actions: its legal
    actions, None unless it may act. deadline_s: duration of a turn that has begun [s]. result: set once phase is
    "over". standing: by seat, for every seat.
    hashes: one per tick, of world and rules together, 16 bytes each. min_distance: the smallest over these ticks [m]
    (inf: nothing is near). contacts: the largest number in a tick. iterations: the sum. unconverged: ticks that ended
    at the iteration limit. dt: length of a tick [s]. energy: kinetic + gravity + elastic, at the end [J].
    energies: ENERGIES of server/physics/world_state.py, at the end [J]; friction of the last tick. Barrier and friction
    are 0 if no tick ran, or if nothing moved in the last one.
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
    energies: tuple[float, ...] = NO_ENERGIES


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
    """Events, hashes and totals that an advance collects tick by tick."""

    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    min_distance: float = math.inf
    contacts: int = 0
    iterations: int = 0
    unconverged: int = 0
    energies: tuple[float, ...] | None = None
    """Those that the last tick reported; None if nothing moved in it, or no tick ran."""


class Simulation:
    """One session's world and rules. Not thread-safe. Every method is deterministic.

    ``rules``: the mode's state; callers must not change it.
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
        self._last: tuple[World, Control | None] | None = None
        self._measured: tuple[Floats | None, Floats | None, tuple[float, ...]] = (None, None, NO_ENERGIES)
        self._topology: tuple[int, bytes] | None = None
        self._sent_version = world.version

    @classmethod
    def start(cls, spec: SessionSpec, *, epoch: int = 0) -> tuple[Simulation, Advance]:
        """Compile the scene, run it until it rests and begin the first turn. Raises Refused for an invalid spec."""
        if spec.fork is not msgspec.UNSET:
            raise Refused("a fork begins with the state of another session", code="bad_spec")
        mode = make_mode(spec)
        rules, events = mode.setup(spec.seed)
        world = _worlds().compile(mode.scene(rules, spec.seed), grips=bool(spec.scene))
        simulation = cls(spec, mode, world, rules, (0,) * mode.seat_count, epoch)
        tally = _Tally(events=[simulation._stamped(event, 0) for event in events])
        if mode.policy == "turns":
            while mode.phase(simulation.rules) == "moving":
                simulation._tick(tally)
        return simulation, simulation._report(tally, topology=True)

    @classmethod
    def begin(cls, spec: SessionSpec, state: bytes, *, epoch: int = 0) -> tuple[Simulation, Advance]:
        """Begin a fork with its first state, as ``release`` or a checkpoint of the fork has it. The events are those
        that a viewer needs: the set-up, where it comes from, the turn that waits.

        Raises ProtocolError (bad_checkpoint) for another state, Refused (no_fork) for a mode that cannot.
        """
        if spec.fork is msgspec.UNSET:
            raise Refused("only a fork begins with a state", code="bad_spec")
        free = unbound(state)
        if hashlib.sha256(free).hexdigest() != spec.fork.state:
            raise ProtocolError("not the first state of this fork", code="bad_checkpoint")
        saved = msgspec.msgpack.decode(free, type=_Checkpoint)
        bound = msgspec.structs.replace(saved, spec=_spec_hash(spec))
        simulation = cls.restore(spec, msgspec.msgpack.encode(bound), epoch=epoch)
        tick = simulation._world.state.tick
        events = [simulation._stamped(event, tick) for event in simulation._opening(spec.fork)]
        return simulation, simulation._report(_Tally(events=events), topology=True)

    def _opening(self, origin: Origin) -> list[ModeEvent]:
        """The events of a fork's first state. Raises Refused (no_fork)."""
        mode, rules = self.mode, self.rules
        _, first = mode.setup(self.spec.seed)
        turn_round, turn = mode.clock(rules)
        events = [ModeEvent(e.type, e.d, turn_round, turn) for e in first if e.type == "set_up"]
        forked = {"parent": origin.parent, "parent_tick": origin.tick, "exact": origin.exact}
        events.append(mode.event(rules, "forked", forked))
        if mode.phase(rules) == "acting":
            brief = mode.brief(rules, self._world.view())
            if brief is None:
                message = f"a session of the mode {mode.name} cannot be forked while a turn waits"
                raise Refused(message, code="no_fork", field="tick")
            events.append(mode.event(rules, "turn_started", brief))
        return events

    @classmethod
    def restore(cls, spec: SessionSpec, checkpoint: bytes, *, epoch: int = 0) -> Simulation:
        """Restore the world of a checkpoint. Its next ticks have the same hashes as those of the original world.

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
        world = _worlds().decode(
            mode.scene(rules, spec.seed), saved.world, saved.version, grips=bool(spec.scene)
        )
        simulation = cls(spec, mode, world, rules, saved.acks, epoch)
        if saved.mark is not None:
            marked = msgspec.msgpack.decode(saved.mark[1], type=mode.state_type)
            scene = mode.scene(marked, spec.seed)
            simulation._mark = _worlds().decode(scene, saved.mark[0], 0, grips=bool(spec.scene)), marked
        return simulation

    @classmethod
    def recall(cls, spec: SessionSpec, brief: Mapping[str, Any]) -> Simulation:
        """The world that a ``turn_started`` payload describes, for a look-ahead outside of the server.

        It begins at tick 0 and at rest. State that the payload does not have (damage dealt so far) is lost. Raises
        Refused (bad_brief) for a payload of another spec.
        """
        mode = make_mode(spec)
        rules, _ = mode.setup(spec.seed)
        world = _worlds().compile(mode.scene(rules, spec.seed), grips=bool(spec.scene))
        return cls(spec, mode, world, rules, (0,) * mode.seat_count, 0).recalled(brief)

    def recalled(self, brief: Mapping[str, Any]) -> Simulation:
        """Another world of the same spec, as ``recall`` returns it. It compiles the scene again only if the payload has
        another one."""
        rules, poses = self.mode.recall(brief)
        scene, world = self.mode.scene(rules, self.spec.seed), self._world
        if scene != world.model.scene:
            world = _worlds().compile(scene, grips=bool(self.spec.scene))
        return Simulation(self.spec, self.mode, world.posed(poses), rules, self._acks, self.epoch)

    def branch(self) -> Simulation:
        """An independent copy. It costs nothing: all shared parts are immutable."""
        copy = Simulation(self.spec, self.mode, self._world, self.rules, self._acks, self.epoch)
        copy._mark = self._mark
        return copy

    def advance(self, inputs: Sequence[Input], ticks: int) -> Advance:
        """Apply the inputs before the first tick, then run up to ``ticks`` ticks.

        Stops early when a turn or the session is over. While a turn waits for its action and there is no input, no
        tick runs; any input makes at least one tick run. In a mode with turns, a refused input raises Refused (code,
        field). In a mode with slots, where several seats act at once, it becomes an event ``refused`` and the other
        inputs are applied. Raises SolverFailed. After an exception the simulation is unchanged.
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
        """The present state as an Advance of no ticks, with frame and topology."""
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

    def release(self) -> bytes:
        """The exact state, bound to no session: the first state of a fork (``begin``)."""
        return unbound(self.checkpoint())

    def check_contact(self) -> ContactCheck:
        """The contact check of the present state: no intersection, no inversion, no body inside of another."""
        return self._world.check_contact()

    def check_path(self) -> PathCheck:
        """The check of the path of the last tick that this object ran: ipctk's CCD on each accepted iterate."""
        return self._last[0].check_path(self._last[1]) if self._last else PathCheck(0)

    def _taken_acks(self) -> tuple[int, ...]:
        """The acks up to the last seat that was taken at the start or has sent an input."""
        taken = [seat.seat for seat in self.spec.seats] + [seat for seat, ack in enumerate(self._acks) if ack]
        return self._acks[: max(taken, default=-1) + 1]

    def hash(self) -> bytes:
        """A hash of the present state of world and rules together: 16 bytes."""
        return self._world.digest(_encode_rules(self.rules))

    def view(self) -> View:
        """The world as the rules see it, between two ticks."""
        return self._world.view()

    def _apply(self, given: Input, tally: _Tally) -> None:
        """Give one input to the rules and apply its effect, before the coming tick."""
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
            refusal = {"code": error.reason, "field": error.field, "message": error.message}
            d = {"seat": given.seat, "id": given.id, "kind": given.kind, **refusal}
            events, effect = [ModeEvent("refused", d, turn_round, turn)], Effect()
        self._affect(effect)
        if given.id:
            self._acks = (*self._acks[: given.seat], given.id, *self._acks[given.seat + 1 :])
        tally.events += [self._stamped(event, tick) for event in events]

    def _tick(self, tally: _Tally) -> None:
        """Advance world and rules by one tick."""
        before, still = self._world.view(), self._world.still
        self._last = self._world, self.mode.plan(self.rules, before)
        self._world, report = self._world.step(self._last[1])
        self.rules, effect, events = self.mode.on_tick(self.rules, before, self._world.view(report))
        self._affect(effect)
        digest = self.hash()
        tally.hashes.append(digest)
        tally.min_distance = min(tally.min_distance, report.min_distance)
        tally.contacts = max(tally.contacts, report.contacts)
        tally.energies = None if report is still else report.energies
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
        if effect.restart:
            self._world = self._world.restart(self.mode.scene(self.rules, self.spec.seed))
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
            acks=self._taken_acks(),
            version=world.version,
            row_counts=row_counts,
        )
        topology = topology or world.version != self._sent_version
        self._sent_version = world.version
        energies = self._measure() if tally.energies is None else tally.energies
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
            energy=sum(energies[:3]),
            energies=energies,
        )

    def _measure(self) -> tuple[float, ...]:
        """The energies of a world that has not moved: measured once for each state."""
        state = self._world.state
        q, v, energies = self._measured
        if q is not state.q or v is not state.v:
            energies = self._world.energies()
            self._measured = state.q, state.v, energies
        return energies

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
    mode = get_mode(spec.mode)
    if not spec.scene:
        return mode(spec.params, spec.seats, catalogue)
    return mode.authored(spec.params, spec.seats, catalogue, spec.scene)


def unbound(checkpoint: bytes) -> bytes:
    """The state of a checkpoint without its session: neither its specification nor its clients' inputs. Raises
    ProtocolError (bad_checkpoint)."""
    try:
        saved = msgspec.msgpack.decode(checkpoint, type=_Checkpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a checkpoint: {error}", code="bad_checkpoint") from None
    acks = (0,) * len(saved.acks)
    return msgspec.msgpack.encode(msgspec.structs.replace(saved, spec=b"", acks=acks))


def _worlds() -> type[World]:
    """The class World. Its import loads the solver, which the server process must never do."""
    from tussle.server.simulation.world import World

    return World


def _spec_hash(spec: SessionSpec) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(spec, order="deterministic"), digest_size=16).digest()


_encode_rules = msgspec.msgpack.Encoder().encode
