"""The sandbox on the real solver: leases, dragging, spawning, and many dragging bots."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.errors import Refused
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.modes.mode import Effect, Seat, stream
from tussle.server.modes.sandbox.sandbox import Sandbox
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first

PAIR = ("cobble", "marl")


class Box:
    """Runs a sandbox and collects its events."""

    def __init__(self, *bodies: str, members: int = 3, **params: Any) -> None:
        seats = tuple(Seat(seat, f"p{seat}", f"n{seat}", "bot") for seat in range(members))
        params = {"bodies": list(bodies or PAIR), **params}
        self.spec = SessionSpec("T", "sandbox", seats, CATALOGUE, seed=5, params=params)
        self.simulation, self.last = Simulation.start(self.spec)
        self.events = list(self.last.events)
        self.hashes: list[bytes] = []

    def run(self, ticks: int, *inputs: Input) -> Advance:
        self.last = self.simulation.advance(inputs, ticks)
        self.events += self.last.events
        self.hashes += self.last.hashes
        return self.last

    def act(self, seat: int, kind: str, **d: Any) -> list[tuple[str, dict[str, Any]]]:
        """Apply one input, run its tick and return the events."""
        return [(name, d) for _, name, d in self.run(1, Input(seat, kind, 7, d)).events if name != "brief"]

    def refused(self, seat: int, kind: str, **d: Any) -> str:
        """Return the code with which the input is refused."""
        ((name, found),) = self.act(seat, kind, **d)
        assert name == "refused"
        assert (found["seat"], found["id"], found["kind"]) == (seat, 7, kind)
        return str(found["code"])

    def position(self, body: int) -> np.ndarray[Any, Any]:
        position: np.ndarray[Any, Any] = self.simulation.view().positions[body].copy()
        return position


def test_runs_without_inputs() -> None:
    """Without inputs the world runs at ticks of 1/30 s, and bodies come to rest on the floor."""
    box = Box()
    assert (box.last.phase, box.last.actions is not None, box.last.deadline_s) == ("moving", True, None)
    last = box.run(60)
    assert (last.ticks_run, last.dt) == (60, 1 / 30)
    assert box.position(0)[1] == pytest.approx(0.17, abs=0.02)
    assert np.abs(box.simulation.view().velocities).max() < 0.01


def test_drag() -> None:
    """A held handle follows its cursor at up to 3 m/s, and the body hangs slightly below it."""
    box = Box()
    box.run(30)
    ((name, lease),) = box.act(0, "grab", body="cobble-0", handle="centre")
    assert (name, lease["seat"], lease["handle"]) == ("slot_granted", 0, "centre")
    start = box.position(0)
    target = [float(start[0]) - 2.0, 1.5, float(start[2])]
    box.act(0, "move", target=target)
    for _ in range(60):
        before = box.position(0)
        box.run(1)
        assert np.linalg.norm(box.position(0) - before) < 3.5 / 30
    assert np.linalg.norm(box.position(0) - np.array(target) + [0, 9.81 / 40, 0]) < 0.05
    assert box.act(0, "release")[0][1]["cause"] == "released"
    box.run(60)
    assert box.position(0)[1] < 0.3


def test_force_is_limited() -> None:
    """A light body does not pass through the floor, however far below the cursor is."""
    box = Box()
    box.run(30)
    box.act(0, "grab", body="cobble-0", handle="v0")
    box.act(0, "move", target=[1.0, -3.0, 1.0])
    box.run(90)
    assert box.simulation.check_contact().passed


def test_two_members_hold_one_body() -> None:
    """Two members may hold two handles of one body; a handle has one holder, and a member holds one handle."""
    box = Box()
    box.act(0, "grab", body="cobble-0", handle="v0")
    assert box.refused(1, "grab", body="cobble-0", handle="v0") == "handle_taken"
    assert box.act(1, "grab", body="cobble-0", handle="v7")[0][0] == "slot_granted"
    assert box.refused(1, "grab", body="marl-1", handle="v0") == "slot_held"


@pytest.mark.parametrize(
    ("kind", "d", "code"),
    [
        ("grab", {"body": "boulder-9", "handle": "v0"}, "unknown_body"),
        ("grab", {"body": "cobble-0", "handle": "v99"}, "unknown_handle"),
        ("grab", {"body": "cobble-0"}, "missing_field"),
        ("move", {"target": [0, 1, 0]}, "no_slot"),
        ("move", {"target": [0, 1, float("nan")]}, "out_of_range"),
        ("fly", {}, "unknown_kind"),
        ("remove", {"body": "nothing"}, "unknown_body"),
        ("freeze", {"state": "on"}, "not_host"),
        ("spawn", {"body": "cobble", "position": [0, 0.1, 0]}, "outside"),
        ("spawn", {"body": "boulder", "position": [0, 1, 0]}, "out_of_range"),
    ],
)
def test_a_refused_input_is_an_event(kind: str, d: dict[str, Any], code: str) -> None:
    """A forbidden input becomes an event ``refused``, and its tick runs."""
    assert Box().refused(1, kind, **d) == code


def test_a_refused_input_does_not_affect_its_batch() -> None:
    """In the batch of a tick a refused input changes nothing; the other inputs take effect."""
    box = Box()
    good = Input(0, "grab", 1, {"body": "cobble-0", "handle": "v0"})
    bad = Input(1, "move", 1, {"target": [0.0, 1.0, 0.0]})
    last = box.run(1, bad, good)
    assert [name for _, name, _ in last.events] == ["refused", "slot_granted"]
    assert decode_frame(last.frame).acks == (1, 1, 0)  # three of sixteen seats are taken


def test_lease_expires_and_queue_moves_up() -> None:
    """A handle that is not moved for lease_s is freed for the longest waiting seat; a move renews the lease."""
    box = Box(slots=1, lease_s=1.0)
    box.act(0, "grab", body="cobble-0", handle="v0")
    assert box.act(1, "grab", body="marl-1", handle="v0") == [
        ("slot_queued", box.events[-1][2] | {"seat": 1, "place": 1})
    ]
    box.run(20)
    box.act(0, "move", target=[0.0, 1.0, 0.0])
    box.run(30)
    found = [(name, d["seat"]) for _, name, d in box.run(2).events if name.startswith("slot")]
    assert found == [("slot_freed", 0), ("slot_granted", 1)]


def test_leaving_frees_the_handle_and_passes_the_host_role() -> None:
    """A leaving seat releases its handle; the lowest remaining seat is the host; without members the session ends."""
    box = Box()
    box.act(0, "grab", body="cobble-0", handle="v0")
    assert [name for name, _ in box.act(0, "leave")] == ["slot_freed", "left"]
    assert box.act(1, "freeze", state="on")[0][0] == "freeze"
    assert box.act(9, "join")[0] == ("joined", box.events[-1][2] | {"seat": 9})
    assert box.refused(0, "grab", body="cobble-0", handle="v0") == "seat_out"
    for seat in (1, 2):
        box.act(seat, "leave")
    last = box.run(1, Input(9, "leave"))
    assert last.phase == "over"
    assert last.result is not None
    assert (last.result.winner, last.result.cause) == (None, "empty")


def test_freeze_stops_the_world() -> None:
    """While frozen, ticks count and nothing moves; afterwards the motion continues unchanged."""
    box = Box()
    box.run(2)
    box.act(0, "freeze", state="on")
    view = box.simulation.view()
    box.run(10)
    after = box.simulation.view()
    assert after.tick == view.tick + 10
    np.testing.assert_array_equal(after.positions, view.positions)
    np.testing.assert_array_equal(after.velocities, view.velocities)
    box.act(0, "freeze", state="off")
    assert not np.array_equal(box.position(0), view.positions[0])


def test_spawn_keeps_the_other_bodies() -> None:
    """A spawn leaves the state of other bodies unchanged; topology and frame change their version together."""
    box, twin = Box(), Box()
    box.run(10)
    twin.run(10)
    last = box.run(1, Input(1, "spawn", 1, {"body": "halo", "position": [0.0, 1.5, 0.0]}))
    twin.run(1)
    assert last.topology is not None
    topology = decode_topology(last.topology)
    frame = decode_frame(last.frame)
    assert (topology.version, frame.version) == (1, 1)
    assert [body.id for body in topology.bodies] == ["cobble-0", "marl-1", "halo-2", "floor"]
    np.testing.assert_array_equal(box.simulation.view().positions[:2], twin.simulation.view().positions)
    np.testing.assert_array_equal(box.simulation.view().rates[:2], twin.simulation.view().rates)
    assert box.run(1).topology is None
    box.run(60)
    assert box.position(2)[1] < 0.2


def test_spawn_refused_where_it_would_touch() -> None:
    """A spawn needs free space, and a sandbox has at most 24 bodies."""
    box = Box()
    x, _, z = box.position(0)
    assert box.refused(0, "spawn", body="cobble", position=[float(x), 0.4, float(z)]) == "would_touch"
    for number in range(22):
        where = [-2.5 + 0.8 * (number % 6), 2.0 + 0.8 * (number // 12), -2.0 + 0.8 * (number // 6 % 2)]
        assert box.act(0, "spawn", body="cobble", position=where)[0][0] == "spawned"
    assert box.refused(0, "spawn", body="cobble", position=[2.0, 3.0, 2.0]) == "too_many_bodies"
    assert box.simulation.check_contact().passed


def test_remove() -> None:
    """A body can be removed, also the last one, unless another member holds it."""
    box = Box()
    box.act(0, "grab", body="cobble-0", handle="v0")
    assert box.refused(1, "remove", body="cobble-0") == "body_locked"
    assert [name for name, _ in box.act(0, "remove", body="cobble-0")] == ["slot_freed", "removed"]
    assert box.act(1, "remove", body="marl-1")[0][0] == "removed"
    last = box.run(5)
    assert decode_frame(last.frame).active.shape == (0,)
    assert box.act(0, "spawn", body="marl", position=[0.0, 1.0, 0.0])[0][0] == "spawned"
    box.run(5)


def test_a_body_outside_of_the_box_returns() -> None:
    """A body that was outside of the box for a second returns to its spawn place, held by no member."""
    box = Box("marl", "cobble")
    home = box.position(0)
    box.act(0, "grab", body="marl-0", handle="centre")
    box.act(0, "move", target=[2.95, 0.5, 0.0])
    box.run(60)
    box.act(0, "release")
    box.simulation._affect(Effect(push={0: ((6.0, 0.0, 0.0), (0.0, 0.0, 0.0))}))
    box.run(90)
    (found,) = [d for _, name, d in box.events if name == "returned"]
    assert found["id"] == "marl-0"
    assert np.linalg.norm(box.position(0)[[0, 2]] - home[[0, 2]]) < 0.1
    assert box.simulation.check_contact().passed


def test_gravity_and_reset() -> None:
    """The host can set gravity and reset the sandbox."""
    box = Box()
    box.act(0, "gravity", strength=0.0)
    height = box.position(0)[1]
    box.run(30)
    assert box.position(0)[1] == pytest.approx(height, abs=0.02)
    box.act(0, "spawn", body="halo", position=[0.0, 1.5, 0.0])
    box.act(0, "grab", body="halo-2", handle="v0")
    assert [name for name, _ in box.act(0, "reset")] == ["slot_freed", "reset"]
    assert [body.split("-")[0] for body in box.simulation.view().ids] == list(PAIR)
    box.run(60)
    assert box.position(0)[1] == pytest.approx(0.17, abs=0.02)


def test_a_change_of_gravity_keeps_the_topology() -> None:
    """It is not sent again, and frames keep its version, also after a restore. A new body is a new topology."""
    box = Box()
    box.act(0, "gravity", strength=3.0)
    assert (box.last.topology, decode_frame(box.last.frame).version) == (None, 0)
    box.simulation = Simulation.restore(box.spec, box.simulation.checkpoint())
    box.act(0, "gravity", strength=9.0)
    assert (box.last.topology, decode_frame(box.last.frame).version) == (None, 0)
    box.act(0, "spawn", body="halo", position=[0.0, 1.5, 0.0])
    assert box.last.topology is not None
    assert decode_topology(box.last.topology).version == decode_frame(box.last.frame).version == 1


def test_mark_and_undo() -> None:
    """Undo restores the marked bodies and gravity bit for bit, keeps the members and frees all handles; a
    checkpoint contains the mark."""
    box = Box()
    box.run(5)
    marked = box.simulation.view()
    box.act(0, "mark")
    box.act(1, "spawn", body="halo", position=[0.0, 1.5, 0.0])
    box.act(1, "remove", body="cobble-0")
    box.act(0, "gravity", strength=2.0)
    box.act(1, "grab", body="halo-2", handle="v0")
    box.act(2, "leave")
    box.simulation = Simulation.restore(box.spec, box.simulation.checkpoint())
    last = box.run(1, Input(0, "freeze", 0, {"state": "on"}), Input(0, "undo", 0))
    assert [name for _, name, _ in last.events] == ["freeze", "slot_freed", "undo"]
    view = box.simulation.view()
    assert (view.ids, last.topology is not None) == (marked.ids, True)
    np.testing.assert_array_equal(view.positions, marked.positions)
    np.testing.assert_array_equal(view.rates, marked.rates)
    assert box.simulation.rules.gravity == 9.81
    assert box.refused(2, "release") == "seat_out"
    assert box.act(0, "spawn", body="halo", position=[0.0, 1.5, 0.0])[0][1]["id"] == "halo-3"


def test_undo_to_the_start() -> None:
    """Without a mark, undo restores the start; only the host may undo."""
    box = Box()
    start = box.position(0)
    box.run(40)
    assert box.refused(1, "undo") == "not_host"
    box.run(1, Input(0, "freeze", 0, {"state": "on"}), Input(0, "undo", 0))
    np.testing.assert_array_equal(box.position(0), start)


def test_elastic_body() -> None:
    """An elastic body can be dragged; its frame has a row per surface vertex."""
    box = Box("jelly", "cobble")
    box.act(0, "grab", body="jelly-0", handle="v0")
    box.act(0, "move", target=[0.0, 1.5, 0.0])
    frame = decode_frame(box.run(30).frame)
    assert frame.row_counts == (56, 4)
    assert box.position(0)[1] > 0.4
    assert box.simulation.check_contact().passed
    topology = decode_topology(box.simulation.look().topology or b"")
    assert (topology.bodies[0].kind, topology.bodies[0].vertices.shape) == ("elastic", (56, 3))


@pytest.mark.parametrize(
    "bodies", [("cobble", "rafter", "marl", "halo", "drumlin", "crux"), ("jelly", "quern")]
)
def test_crowd_of_bots(bodies: tuple[str, ...]) -> None:
    """With eight dragging bots and spawns the contact check passes, and a restored world continues equally."""

    def course(restore: bool) -> list[bytes]:
        box = Box(*bodies, members=8, brief_s=0.3)
        inputs: list[Input] = []
        brief = next(d for _, name, d in box.last.events if name == "brief")
        for tick in range(90):
            if brief:
                for seat in range(8):
                    action = Sandbox.bot(brief, seat, "", None, stream(3, tick, seat))
                    if action.kind:
                        inputs.append(Input(seat, action.kind, tick + 1, action.d))
            if tick % 20 == 10:
                inputs.append(Input(0, "spawn", 0, {"body": "burr", "position": [0.0, 3.0, 0.0]}))
            if tick >= 60:
                inputs += [
                    Input(0, "remove", 0, {"body": body})
                    for body in box.simulation.view().ids[-1:]
                    if not box.simulation.rules.slots.holders(body)
                ]
            last = box.run(1, *inputs)
            inputs = []
            brief = next((d for _, name, d in last.events if name == "brief"), {})
            if tick % 15 == 0:
                assert box.simulation.check_contact().passed
            if restore and tick % 7 == 0:
                box.simulation = Simulation.restore(box.spec, box.simulation.checkpoint())
        assert {"spawned", "removed", "slot_granted", "slot_freed"} <= {name for _, name, _ in box.events}
        return box.hashes

    assert course(False) == course(True)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"bodies": ["boulder"]}, "unknown_body"),
        ({"bodies": ["cobble"] * 25}, "too_many_bodies"),
        ({"gravity": 99}, "bad_params"),
        ({"slots": 0}, "bad_params"),
        ({"colour": "red"}, "bad_params"),
    ],
)
def test_bad_params(params: dict[str, Any], code: str) -> None:
    """An unusable parameter is refused with its code."""
    with pytest.raises(Refused) as caught:
        Box(**params) if "bodies" not in params else Box(*params["bodies"])
    assert caught.value.reason == code


COORDINATE = st.floats(-4, 4)
PLACE = st.tuples(COORDINATE, COORDINATE, COORDINATE)
BODY = st.sampled_from(["cobble-0", "marl-1", "jelly-2", "halo-3", "halo-4", "nothing"])
SEAT = st.integers(0, 4)
INPUTS = st.one_of(
    st.tuples(
        SEAT,
        st.just("grab"),
        st.fixed_dictionaries({"body": BODY, "handle": st.sampled_from(["centre", "v3"])}),
    ),
    st.tuples(SEAT, st.just("move"), st.fixed_dictionaries({"target": PLACE})),
    st.tuples(SEAT, st.sampled_from(["release", "reset", "join", "leave", "mark", "undo"]), st.just({})),
    st.tuples(SEAT, st.just("spawn"), st.fixed_dictionaries({"body": st.just("halo"), "position": PLACE})),
    st.tuples(SEAT, st.just("remove"), st.fixed_dictionaries({"body": BODY})),
    st.tuples(SEAT, st.just("freeze"), st.fixed_dictionaries({"state": st.sampled_from(["on", "off"])})),
    st.tuples(SEAT, st.just("gravity"), st.fixed_dictionaries({"strength": st.floats(0, 20)})),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(INPUTS, st.integers(1, 8)), max_size=25))
def test_random_inputs(course: list[tuple[tuple[int, str, dict[str, Any]], int]]) -> None:
    """For random inputs nothing intersects, leases agree with held handles, and a world restored at each step
    continues equally."""
    box = Box("cobble", "marl", "jelly", lease_s=1.0, slots=2)
    for number, ((seat, kind, d), ticks) in enumerate(course, 1):
        if box.last.phase == "over":
            break
        given_input = Input(seat, kind, number, {name: _plain(value) for name, value in d.items()})
        twin = Simulation.restore(box.spec, box.simulation.checkpoint())
        last = box.run(ticks, given_input)
        assert twin.advance([given_input], ticks).hashes == last.hashes
        assert box.simulation.check_contact().passed
        rules = box.simulation.rules
        assert {(g.seat, g.body, g.handle) for g in rules.grips} == {
            (lease.seat, lease.body, lease.handle) for lease in rules.slots.leases
        }
        assert all(rules.members[grip.seat] for grip in rules.grips)
        assert tuple(placed.id for placed in rules.bodies) == box.simulation.view().ids
        assert decode_frame(last.frame).active.shape == (len(rules.bodies),)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
