"""The whole world of a session on the real solver: duels from set-up to result."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first


def make_spec(*bodies: str, seed: int = 1, skills: Sequence[str] = (), **options: Any) -> SessionSpec:
    seats = tuple(
        Seat(index, f"p{index}", f"n{index}", "bot", skills[index] if skills else "good", body)
        for index, body in enumerate(bodies)
    )
    return SessionSpec("T", "duel", seats, {body: CATALOGUE[body] for body in bodies}, seed, **options)


@dataclass
class Course:
    """All events of a session, in order."""

    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    inputs: list[tuple[int, Input]] = field(default_factory=list)
    last: Advance | None = None

    def take(self, advance: Advance) -> Advance:
        self.events += advance.events
        self.hashes += advance.hashes
        self.frames.append(advance.frame)
        self.last = advance
        return advance


def decide(spec: SessionSpec, advance: Advance, events: list[tuple[int, str, dict[str, Any]]]) -> Input:
    assert advance.seat is not None
    brief = json.loads(json.dumps([d for _, name, d in events if name == "turn_started"][-1]))
    rng = stream(spec.seed, advance.turn, advance.seat)
    action = get_mode(spec.mode).bot(brief, advance.seat, spec.seats[advance.seat].skill, None, rng)
    return Input(advance.seat, action.kind, advance.turn + 1, action.d)


def play(spec: SessionSpec, *, ticks: int = 30, check_contact: bool = False) -> Course:
    """A whole session between the spec's bots."""
    simulation, first = Simulation.start(spec)
    course = Course()
    advance = course.take(first)
    while advance.phase != "over":
        if advance.phase == "acting":
            if check_contact:
                assert simulation.check_contact().passed
            course.inputs.append((advance.tick, decide(spec, advance, course.events)))
            advance = course.take(simulation.advance([course.inputs[-1][1]], ticks))
        else:
            advance = course.take(simulation.advance([], ticks))
    return course


@pytest.mark.parametrize(
    ("bodies", "seed"),
    [
        (("cobble", "quern"), 1),
        (("halo", "thistle"), 2),
        (("marl", "caltrop"), 3),
        (("burr", "crux", "kestrel"), 4),
    ],
)
def test_whole_duel(bodies: tuple[str, ...], seed: int) -> None:
    """A duel between aimers ends with a result; the contact check passes at every turn's end."""
    course = play(make_spec(*bodies, seed=seed), check_contact=True)
    assert course.last is not None
    result = course.last.result
    assert result is not None
    assert sorted(result.places) == list(range(len(bodies)))
    names = [name for _, name, _ in course.events]
    assert names[0] == "set_up"
    assert names[-1] == "result"
    assert names.count("turn_started") == names.count("turn_ended") == names.count("action")
    ticks = [tick for tick, _, _ in course.events]
    assert ticks == sorted(ticks)
    assert len(course.hashes) == course.last.tick
    assert all(
        d["dist_min_mm"] is None or d["dist_min_mm"] > 0
        for _, name, d in course.events
        if name == "turn_ended"
    )


def test_events_are_plain() -> None:
    """Every event is JSON, carries tick, time, round and turn, and no clock."""
    for tick, name, d in play(make_spec("cobble", "quern")).events:
        assert json.loads(json.dumps(d, allow_nan=False)) == d
        assert d["tick"] == tick
        assert {"time_sim", "round", "turn"} <= d.keys()
        assert not {"solve_ms", "decision_ms", "duration_wall_s"} & d.keys()
        assert ("state_hash" in d) == (name in ("turn_ended", "result"))


@pytest.mark.parametrize("ticks", [1, 7, 240])
def test_same_course_however_advanced(ticks: int) -> None:
    """The same spec and inputs give the same hashes and events, whatever the ticks per advance."""
    spec = make_spec("cobble", "thistle", seed=11)
    one, two = play(spec, ticks=30), play(spec, ticks=ticks)
    assert one.hashes == two.hashes
    assert one.events == two.events


def test_other_seed_other_course() -> None:
    """Another seed is another duel."""
    one, two = (play(make_spec("cobble", "thistle", seed=seed)) for seed in (1, 2))
    assert one.hashes[-1] != two.hashes[-1]


def test_restored_in_mid_turn() -> None:
    """From a checkpoint at any moment, in mid-flight too, the rest of the duel has the same hashes and
    events."""
    spec = make_spec("corner", "lozenge", seed=5)
    whole = play(spec)
    simulation, advance = Simulation.start(spec)
    course = Course()
    course.take(advance)
    count = 0
    while advance.phase != "over":
        inputs = [decide(spec, advance, course.events)] if advance.phase == "acting" else []
        advance = course.take(simulation.advance(inputs, 5))
        data = simulation.checkpoint()
        simulation = Simulation.restore(spec, data)
        assert simulation.checkpoint() == data
        count += 1
    assert count > 10
    assert course.hashes == whole.hashes
    assert course.events == whole.events


def test_checkpoint_of_another_session() -> None:
    """A checkpoint is refused by another spec, and noise by any."""
    simulation, _ = Simulation.start(make_spec("cobble", "marl"))
    data = simulation.checkpoint()
    for spec, bad in (
        (make_spec("cobble", "marl", seed=2), data),
        (simulation.spec, b"noise"),
        (simulation.spec, data[:-5]),
    ):
        with pytest.raises(ProtocolError):
            Simulation.restore(spec, bad)


def test_branch_leaves_the_original_alone() -> None:
    """What happens on a branch does not happen in the world that it came from."""
    spec = make_spec("cobble", "marl")
    simulation, advance = Simulation.start(spec)
    before = simulation.hash()
    branch = simulation.branch()
    branch.advance([decide(spec, advance, advance.events)], 240)
    assert simulation.hash() == before
    assert branch.hash() != before


def test_acting_waits() -> None:
    """While a turn waits, no tick runs; an input makes at least one tick run and is acknowledged in the
    frame."""
    simulation, _ = Simulation.start(make_spec("cobble", "marl"), epoch=3)
    still = simulation.advance([], 10)
    assert (still.ticks_run, still.phase, still.seat, still.deadline_s) == (0, "acting", 0, 2.0)
    moved = simulation.advance([Input(0, "brace", 41)], 1)
    assert (moved.ticks_run, moved.phase) == (1, "moving")
    frame = decode_frame(moved.frame)
    assert (frame.acks, frame.epoch, frame.tick) == ((41, 0), 3, still.tick + 1)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (Input(1, "brace", 1), "not_your_turn"),
        (Input(0, "launch", 1, {"azimuth": 0.0}), "missing_field"),
        (Input(0, "fly", 1), "unknown_kind"),
        (Input(7, "leave"), "seat_out"),
    ],
)
def test_refused_changes_nothing(given: Input, code: str) -> None:
    """A refused input leaves no trace, not even when another of the same batch was good."""
    simulation, _ = Simulation.start(make_spec("cobble", "marl", "quern"))
    before = simulation.checkpoint()
    with pytest.raises(Refused) as caught:
        simulation.advance([Input(2, "leave"), given], 5)
    assert caught.value.reason == code
    assert simulation.checkpoint() == before


def test_leave_while_another_acts() -> None:
    """A seat that leaves in another's turn costs one tick; its body is gone and the turn still waits."""
    simulation, first = Simulation.start(make_spec("cobble", "marl", "quern"))
    advance = simulation.advance([Input(1, "leave")], 100)
    assert (advance.ticks_run, advance.phase, advance.seat) == (1, "acting", 0)
    assert [(tick - first.tick, name) for tick, name, _ in advance.events] == [(1, "out")]
    assert decode_frame(advance.frame).active.tolist() == [True, False, True]


def test_everyone_leaves() -> None:
    """When all leave in one batch the duel is over without a winner, and takes no more inputs."""
    simulation, _ = Simulation.start(make_spec("cobble", "marl"))
    advance = simulation.advance([Input(0, "leave"), Input(1, "leave")], 100)
    assert advance.result is not None
    assert advance.phase == "over"
    assert (advance.result.cause, advance.result.winner, advance.result.places) == (
        "nobody_left",
        None,
        {0: 1, 1: 1},
    )
    with pytest.raises(Refused) as caught:
        simulation.advance([], 1)
    assert caught.value.reason == "over"


def test_frames_and_topology() -> None:
    """The topology names every body with its owner; a frame places them where the brief says."""
    simulation, first = Simulation.start(make_spec("cobble", "halo"))
    assert first.topology is not None
    topology = decode_topology(first.topology)
    assert [(body.id, body.seat, body.kind) for body in topology.bodies] == [
        ("cobble-0", 0, "affine"),
        ("halo-1", 1, "affine"),
        ("octagon", None, "static"),
    ]
    assert np.abs(topology.bodies[2].vertices[:, 1]).max() == pytest.approx(0.3)
    assert topology.bodies[2].faces.max() < len(topology.bodies[2].vertices)
    brief = next(d for _, name, d in first.events if name == "turn_started")
    rows = decode_frame(first.frame).rows.reshape(-1, 4, 3)
    np.testing.assert_allclose(rows[:, 0], brief["positions"], atol=1e-6)
    np.testing.assert_allclose(rows[:, 1:], brief["orientations"], atol=1e-6)
    assert simulation.advance([Input(0, "brace")], 1).topology is None
    assert simulation.look().topology == first.topology


def test_advance_crosses_a_pipe() -> None:
    """Spec, input and advance survive msgpack, as they do on the way to and from a solver process."""
    spec = make_spec("cobble", "marl", frame_precision="half")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=SessionSpec) == spec
    _, first = Simulation.start(spec)
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(first), type=Advance)
    assert msgspec.to_builtins(back) == msgspec.to_builtins(first)
    assert len(first.frame) == 24 + 8 + 4 + 48


def test_energy_balance() -> None:
    """A turn ends with the energy it began with: what a launch gave is dissipated, within 1 percent."""
    for _, name, d in play(make_spec("cobble", "quern", seed=8)).events:
        if name == "turn_ended" and d["end"] == "rest" and d["energy_launch_J"] > 0:
            assert math.isclose(d["energy_dissipated_J"], d["energy_launch_J"], rel_tol=0.01)


def test_a_state_that_nothing_moved_has_its_energies() -> None:
    """A restored state and a frozen world are measured: what a tick reported of the same state, without contact."""
    spec = make_spec("cobble", "marl")
    simulation, _ = Simulation.start(spec)
    flying = simulation.advance(
        [Input(0, "launch", 1, {"azimuth": 90.0, "elevation": 50.0, "power": 1.0})], 6
    )
    assert flying.energies[0] > 0.1
    again = Simulation.restore(spec, simulation.checkpoint())
    looked = again.look()
    assert looked.energies[:4] == pytest.approx(flying.energies[:4], rel=1e-9, abs=1e-12)
    assert looked.energy == pytest.approx(flying.energy)
    assert looked.hashes == [] and again.hash() == simulation.hash()

    spec = SessionSpec(
        "T", "sandbox", (Seat(0, "p0", "n0", "person", "", ""),), {"marl": CATALOGUE["marl"]}, 1,
        params={"bodies": ["marl"]},
    )  # fmt: skip
    box, _ = Simulation.start(spec)
    moving = box.advance([], 5)
    frozen = box.advance([Input(0, "freeze", 1, {"state": "on"})], 2)
    assert frozen.ticks_run == 2 and frozen.energies[1] == pytest.approx(moving.energies[1])
    assert box.advance([], 1).energies == frozen.energies


KINDS = st.sampled_from(["launch", "spin", "hop", "brace", "skip"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=2, max_size=6),
    st.integers(0, 2**63 - 1),
    st.lists(
        st.tuples(KINDS, st.floats(-360, 360), st.floats(0, 60), st.floats(0, 1), st.integers(0, 19)),
        max_size=12,
    ),
)
def test_any_course(bodies: list[str], seed: int, course: list[tuple[str, float, float, float, int]]) -> None:
    """Under any inputs, leaves in mid-flight too, nothing intersects, the rules keep their promises and a
    world restored at each step goes the same way."""
    spec = make_spec(*bodies, seed=seed)
    simulation, advance = Simulation.start(spec)
    for number, (kind, azimuth, elevation, power, leaver) in enumerate(course, 1):
        while advance.phase == "moving":
            advance = simulation.advance([], 50)
        if advance.phase == "over" or advance.seat is None:
            break
        d = {"azimuth": azimuth, "elevation": elevation, "power": power}
        takes = {"brace": (), "skip": (), "hop": ("azimuth", "power")}.get(kind, tuple(d))
        given = Input(advance.seat, kind, 0 if kind == "skip" else number, {name: d[name] for name in takes})
        twin = Simulation.restore(spec, simulation.checkpoint())
        advance = simulation.advance([given], 9)
        assert twin.advance([given], 9).hashes == advance.hashes
        if leaver < len(bodies) and advance.phase == "moving" and not advance.standing[leaver].out:
            advance = simulation.advance([Input(leaver, "leave")], 4)
        assert simulation.check_contact().passed
        living = [seat for seat, standing in advance.standing.items() if not standing.out]
        assert (advance.phase == "over") == (len(living) < 2)
        assert all(advance.standing[seat].health > 0 for seat in living)
        active = decode_frame(advance.frame).active
        assert [seat for seat in range(len(bodies)) if active[seat]] == living
