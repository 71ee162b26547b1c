"""The rules of the duel, on views that the tests construct. No solver runs."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from tests.support.paths import BODIES
from tussle.lobby.errors import Refused
from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.duel.state import DuelState
from tussle.server.modes.mode import CatalogueBody, Effect, ModeEvent, Seat, View
from tussle.server.modes.registry import get_mode

CATALOGUE = {name: msgspec.convert(body, CatalogueBody) for name, body in BODIES.items()}
DT = 1 / 60


def make_duel(*bodies: str, kinds: Sequence[Literal["person", "bot"]] = (), **params: Any) -> Duel:
    seats = [
        Seat(index, f"p{index}", f"n{index}", kinds[index] if kinds else "bot", "good", body)
        for index, body in enumerate(bodies)
    ]
    return Duel(params, seats, CATALOGUE)


class World:
    """A duel whose positions, velocities and impulses are assigned by the test."""

    def __init__(self, duel: Duel) -> None:
        self.duel = duel
        n = duel.seat_count
        self.state, self.events = duel.setup(7)
        self.scene = duel.scene(self.state, 7)
        self.positions = np.array([body.position for body in self.scene.bodies[:n]])
        self.velocities = np.zeros((n, 3))
        self.rows = np.repeat(np.eye(3)[None], n, axis=0)
        self.rates = np.zeros((n, 3, 3))
        self.impulses = np.zeros((n + 1, n + 1, 3))
        self.active = np.ones(n, dtype=np.bool_)
        self.tick_count = 0
        self.kinetic = 0.0
        self.masses = np.array([body.mass for body in duel.bodies])

    def view(self) -> View:
        n = self.duel.seat_count
        return View(
            tick=self.tick_count,
            dt=DT,
            ids=tuple(body.id for body in self.scene.bodies[:n]),
            positions=self.positions.copy(),
            velocities=self.velocities.copy(),
            rows=self.rows.copy(),
            rates=self.rates.copy(),
            masses=self.masses,
            moments=np.repeat(0.1 * np.eye(3)[None], n, axis=0),
            radii=np.full(n, 0.3),
            active=self.active.copy(),
            impulses=self.impulses.copy(),
            points=np.zeros_like(self.impulses),
            min_distance=0.005,
            contacts=1,
            iterations=2,
            kinetic=self.kinetic,
            energy=self.kinetic,
        )

    def act(self, kind: str, seat: int | None = None, **d: Any) -> Effect:
        seat = self.state.order.current if seat is None else seat
        self.state, effect, events = self.duel.apply(self.state, self.view(), seat, kind, d)
        self.events += events
        self.active[list(effect.remove)] = False
        return effect

    def tick(self, before: View | None = None) -> Effect:
        before = before or self.view()
        self.tick_count += 1
        self.state, effect, events = self.duel.on_tick(self.state, before, self.view())
        self.events += events
        self.active[list(effect.remove)] = False
        return effect

    def rest(self) -> None:
        """Tick without motion until the turn ends."""
        self.velocities[:] = 0
        self.impulses[:] = 0
        while self.duel.phase(self.state) == "moving":
            self.tick()

    def hit(self, a: int, b: int, impulse: float, *, along: Sequence[float] = (1, 0, 0)) -> Effect:
        """Run one tick in which ``b`` approaches fast and gives ``a`` an impulse and the matching momentum."""
        direction = np.array(along, dtype=float)
        self.velocities[a], self.velocities[b] = -5 * direction, 5 * direction
        before = self.view()
        decay = np.exp(-self.duel.plan(self.state, before).drag * DT)[:, None]  # type: ignore[operator]
        self.velocities = self.velocities * decay - [0, 9.81 * DT, 0]
        self.velocities[a] += impulse * direction / self.masses[a]
        self.velocities[b] -= impulse * direction / self.masses[b]
        self.impulses[a, b], self.impulses[b, a] = impulse * direction, -impulse * direction
        effect = self.tick(before)
        self.impulses[:] = 0
        return effect

    def named(self, name: str) -> list[ModeEvent]:
        return [event for event in self.events if event.type == name]


def opened(*bodies: str, **options: Any) -> World:
    world = World(make_duel(*(bodies or ("cobble", "quern")), **options))
    world.rest()
    return world


def launch(world: World) -> Effect:
    return world.act("launch", azimuth=0.0, elevation=0.0, power=1.0)


def test_setup_spawns_evenly() -> None:
    """Bodies are spread evenly on a circle of radius 1.116 m above the ground, rotated by the seed."""
    duel = make_duel("cobble", "marl", "crux")
    state, events = duel.setup(3)
    scene = duel.scene(state, 3)
    assert [body.id for body in scene.bodies] == ["cobble-0", "marl-1", "crux-2", "octagon"]
    angles = []
    for body in scene.bodies[:3]:
        x, y, z = body.position
        assert math.hypot(x, z) == pytest.approx(1.116)
        assert y == pytest.approx(CATALOGUE[body.id.split("-")[0]].computed["rest_height"] + 0.01)
        angles.append(math.degrees(math.atan2(z, x)))
    assert (angles[1] - angles[0]) % 360 == pytest.approx(120)
    assert [event.type for event in events] == ["set_up"]
    assert duel.scene(state, 3) == scene
    assert duel.scene(state, 4) != scene


def test_settles_then_first_turn() -> None:
    """After six quiet ticks the world halts and `turn_started` is sent with all fields that a bot needs."""
    world = World(make_duel("cobble", "quern"))
    effects = [world.tick() for _ in range(6)]
    assert [effect.halt for effect in effects] == [False] * 5 + [True]
    brief = world.named("turn_started")[0].d
    assert world.duel.phase(world.state) == "acting"
    assert (brief["seat"], brief["alive"], brief["health"]) == (0, [True, True], [146.0, 133.0])
    assert brief["speeds"] == [pytest.approx(4.6 * 0.8), pytest.approx(4.5 * 0.8)]
    assert {kind["kind"] for kind in brief["actions"]["kinds"]} == {"launch", "spin", "hop", "brace"}
    apothem = 1.8 * math.cos(math.pi / 8)
    assert all(apothem - 1.116 <= rim <= 1.8 - 1.116 for rim in brief["distance_to_rim"])


@pytest.mark.parametrize(("kind", "seconds"), [("person", 20.0), ("bot", 2.0)])
def test_deadline(kind: Literal["person", "bot"], seconds: float) -> None:
    """Persons have 20 s for a turn, bots 2 s."""
    world = opened("cobble", "quern", kinds=[kind, kind])
    assert world.duel.deadline_s(world.state) == seconds
    assert world.named("turn_started")[0].d["deadline_s"] == seconds


@pytest.mark.parametrize(
    ("kind", "d", "speed", "rise", "turn"),
    [
        ("launch", {"azimuth": 90.0, "elevation": 30.0, "power": 1.0}, 4.6, 30.0, 0.0),
        ("launch", {"azimuth": 90.0, "elevation": 0.0, "power": 0.5}, 2.3, 0.0, 0.0),
        ("spin", {"azimuth": 90.0, "elevation": 0.0, "power": 1.0}, 4.6 * 0.8, 0.0, 14.0),
        ("hop", {"azimuth": 90.0, "power": 1.0}, 4.6 * 0.55, 70.0, 0.0),
    ],
)
def test_push(kind: str, d: dict[str, Any], speed: float, rise: float, turn: float) -> None:
    """Each kind gives its launch speed along (azimuth from +x to +z, elevation), four fifths of it in turn one."""
    opening = opened()
    dv, dw = opening.act(kind, **d).push[0]
    assert math.hypot(*dv) == pytest.approx(0.8 * speed)
    later = opened()
    later.act("brace")
    later.rest()
    later.act("brace")
    later.rest()
    dv, dw = later.act(kind, **d).push[0]
    assert dv == pytest.approx(
        (0.0, speed * math.sin(math.radians(rise)), speed * math.cos(math.radians(rise))), abs=1e-12
    )
    assert dw == (0.0, turn, 0.0)


def test_brace_and_skip_move_nothing() -> None:
    """A brace lasts until the seat's next action; a skip does not brace, and ends an earlier brace."""
    world = opened()
    assert not world.act("brace").push
    world.rest()
    assert world.state.braced == (True, False)
    world.act("skip")
    world.rest()
    assert world.state.braced == (True, False)
    world.act("skip")
    assert world.state.braced == (False, False)


@pytest.mark.parametrize(
    ("seat", "kind", "d", "code", "field"),
    [
        (1, "brace", {}, "not_your_turn", "seat"),
        (1, "skip", {}, "not_your_turn", "seat"),
        (9, "brace", {}, "seat_out", "seat"),
        (0, "fly", {}, "unknown_kind", "kind"),
        (0, "launch", {"azimuth": 0.0, "power": 1.0}, "missing_field", "elevation"),
        (0, "launch", {"azimuth": 0.0, "elevation": 61.0, "power": 1.0}, "out_of_range", "elevation"),
    ],
)
def test_an_illegal_action_is_refused(seat: int, kind: str, d: dict[str, Any], code: str, field: str) -> None:
    """A forbidden action is refused with code and field, and the state is unchanged."""
    world = opened()
    was = world.state
    with pytest.raises(Refused) as caught:
        world.act(kind, seat, **d)
    assert (caught.value.reason, caught.value.field) == (code, field)
    assert world.state == was


def test_one_action_per_turn() -> None:
    """While the world moves, every action is refused."""
    world = opened()
    launch(world)
    for seat in (0, 1):
        with pytest.raises(Refused):
            world.act("brace", seat)


def test_drag() -> None:
    """Drag is 0.1 in the air, the body's rolling drag on the ground, larger while braced, and grows after 1.6 s."""
    world = opened("cobble", "marl")
    launch(world)
    drag = world.duel.plan(world.state, world.view()).drag
    assert drag == pytest.approx([0.1, 0.1])
    world.impulses[:2, 2] = [0, 1, 0]
    world.velocities[:] = 1.0
    world.tick()
    assert world.duel.plan(world.state, world.view()).drag == pytest.approx([0.4, 2.5])
    for _ in range(101):
        world.tick()
    late = 6 * (102 * DT - 1.6)
    assert world.duel.plan(world.state, world.view()).drag == pytest.approx([0.4 + late, 2.5 + late])
    world.rest()
    world.act("brace")
    assert world.duel.plan(world.state, world.view()).drag == pytest.approx([0.1, 0.1 + 4])


def test_time_limit_discards_energy() -> None:
    """A turn ends after at most 4.0 s and reports the discarded kinetic energy."""
    world = opened()
    launch(world)
    world.velocities[:] = 1.0
    world.kinetic = 12.5
    effects = [world.tick() for _ in range(240)]
    assert [effect.halt for effect in effects] == [False] * 239 + [True]
    ended = world.named("turn_ended")[0].d
    assert (ended["ticks"], ended["end"], ended["discarded_energy_J"]) == (240, "limit", 12.5)


@pytest.mark.parametrize(
    ("along", "share_a", "share_b"),
    [((-1, 0, 0), 1.6, 0.4), ((1, 0, 0), 0.4, 1.6), ((0, 0, 1), 1.0, 1.0)],
)
def test_face(along: tuple[int, int, int], share_a: float, share_b: float) -> None:
    """Damage has the factor 1.6 on the soft face (local +x), 0.4 on the back, 1 on the side, and 0.35 for the actor."""
    world = opened()
    launch(world)
    world.hit(0, 1, 30.0, along=along)
    health = world.state.health
    assert 146 - health[0] == pytest.approx(30 * share_a * 0.35)
    assert 133 - health[1] == pytest.approx(30 * share_b)


def test_braced_damage() -> None:
    """A braced body takes 0.6 of the damage."""
    world = opened()
    world.act("brace")
    world.rest()
    world.act("launch", azimuth=0.0, elevation=0.0, power=1.0)
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    assert 146 - world.state.health[0] == pytest.approx(30 * 0.6)


def test_a_small_impulse_does_no_damage() -> None:
    """An impulse per tick below twice the weight of the lighter body does no damage."""
    world = opened()
    launch(world)
    gate = 2 * 9.81 * DT * 15.72
    world.hit(0, 1, 0.99 * gate, along=(0, 0, 1))
    assert world.state.health == (146.0, 133.0)
    world.hit(0, 1, 1.01 * gate, along=(0, 0, 1))
    assert 133 - world.state.health[1] == pytest.approx(1.01 * gate)


def test_credit_bound() -> None:
    """The credited impulse is bounded by the change of momentum and by that of a collision at the approach speed."""
    world = opened()
    launch(world)
    before = world.view()
    world.velocities[:] = [0, -9.81 * DT, 0]
    world.velocities[1, 2] -= 20.0 / world.masses[1]
    world.impulses[0, 1], world.impulses[1, 0] = [0, 0, 25_000.0], [0, 0, -25_000.0]
    moving = msgspec.structs.replace(world.state)
    before.velocities[0, 2] = -10.0
    world.velocities[0, 2] = -10.0 * math.exp(-0.1 * DT)
    world.tick(before)
    assert 133 - world.state.health[1] == pytest.approx(20.0)
    world.state = moving
    world.velocities[1, 2] = -2000.0 / world.masses[1]
    before.velocities[0, 2] = -1.0
    world.tick(before)
    reduced = 15.72 * world.masses[1] / (15.72 + world.masses[1])
    assert 133 - world.state.health[1] == pytest.approx(reduced * (1.2 * 1.0 + 9.81 * DT))


def test_a_blow_is_one_event() -> None:
    """Contiguous ticks of contact of a pair are one `blow` event, sent when they end, with sums and bounds."""
    world = opened()
    launch(world)
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    world.hit(0, 1, 10.0, along=(0, 0, 1))
    assert not world.named("blow")
    world.tick()
    (blow,) = world.named("blow")
    assert (blow.d["a"], blow.d["b"], blow.d["ticks"], blow.d["chain_depth"]) == (0, 1, 2, 0)
    assert blow.d["impulse_credited_Ns"] == pytest.approx(40.0)
    assert blow.d["damage_b"] == pytest.approx(40.0)
    assert blow.d["peak_force_N"] == pytest.approx(30 * 60)
    assert blow.d["normal"] == pytest.approx([0, 0, 1])


def test_chain_damage_is_credited_to_the_actor() -> None:
    """Damage that a struck body does to a third one is credited to the actor; the event has the chain depth."""
    world = opened("cobble", "quern", "marl")
    launch(world)
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    world.hit(1, 2, 20.0, along=(0, 0, 1))
    world.rest()
    assert [blow.d["chain_depth"] for blow in world.named("blow")] == [0, 1]
    dealt = np.array(world.state.damage).reshape(3, 3)
    assert dealt[0] == pytest.approx([10.5, 50.0, 20.0])
    assert not dealt[1:].any()


def test_fallen() -> None:
    """A body whose centre is below -0.35 m is out at that tick, and the last seat wins."""
    world = opened()
    launch(world)
    world.positions[1, 1] = -0.36
    effect = world.tick()
    assert effect.remove == (1,)
    assert world.duel.phase(world.state) == "over"
    (out,) = world.named("out")
    assert (out.d["seat"], out.d["cause"], out.d["by"], out.d["place"]) == (1, "fallen", 0, 2)
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.winner, result.places, result.cause) == (0, {0: 1, 1: 2}, "last_standing")
    assert result.scores[0].xp == 10 + 15 + 5
    assert [event.type for event in world.events[-3:]] == ["out", "turn_ended", "result"]


def test_last_blow_is_the_actors() -> None:
    """When a blow would break actor and opponent in one tick, the actor keeps one point and wins."""
    world = opened()
    launch(world)
    world.state = msgspec.structs.replace(world.state, health=(1.0, 1.0))
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    assert world.state.health[0] == 1.0
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.winner, world.named("out")[0].d["cause"]) == (0, "broken")


def test_actor_breaks_alone() -> None:
    """An actor that breaks only itself is out."""
    world = opened()
    launch(world)
    world.state = msgspec.structs.replace(world.state, health=(1.0, 133.0))
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    result = world.duel.result(world.state)
    assert result is not None
    assert result.winner == 1


def test_leave_out_of_turn() -> None:
    """A seat that leaves in another seat's turn is out at the next tick; that turn continues and is announced once."""
    world = opened("cobble", "quern", "marl")
    effect = world.act("leave", 1)
    assert effect.remove == (1,)
    world.tick()
    assert world.duel.phase(world.state) == "acting"
    assert world.state.order.current == 0
    assert len(world.named("turn_started")) == 1
    (out,) = world.named("out")
    assert (out.d["cause"], out.d["by"], out.d["place"]) == ("forfeit", None, 3)
    launch(world)
    world.rest()
    assert world.state.order.current == 2


def test_leave_in_turn() -> None:
    """When the actor leaves, its turn ends at once; with one seat left the duel ends, and the forfeit earns nothing."""
    world = opened("cobble", "quern", "marl")
    world.act("leave", 0)
    world.tick()
    assert (world.state.order.current, world.duel.phase(world.state)) == (1, "acting")
    assert [event.type for event in world.events[-3:]] == ["out", "turn_ended", "turn_started"]
    world.act("leave", 2)
    world.tick()
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.winner, result.places) == (1, {0: 3, 1: 1, 2: 2})
    assert [result.scores[seat].xp for seat in range(3)] == [0, 40, 0]


def test_leave_while_moving() -> None:
    """A seat may leave while the world moves; a later blow of an actor that left is still credited to it."""
    world = opened("cobble", "quern", "marl")
    launch(world)
    world.act("leave", 0)
    world.hit(1, 2, 30.0, along=(0, 0, 1))
    world.rest()
    assert world.state.order.current == 1
    assert np.array(world.state.damage).reshape(3, 3)[0].sum() == pytest.approx(60.0)


def test_three_skips_leave() -> None:
    """Three skips in a row are a forfeit; an action resets the count."""
    world = opened()
    for turn in range(4):
        world.act("brace" if turn % 2 else "skip")
        world.rest()
    assert world.duel.phase(world.state) == "acting"
    effect = world.act("skip")
    assert effect.remove == (0,)
    world.tick()
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.winner, world.named("out")[0].d["cause"]) == (1, "forfeit")


@pytest.mark.parametrize(
    ("health", "places", "winner"),
    [
        ((100.0, 133.0), {0: 2, 1: 1}, 1),
        ((146.0, 133.0), {0: 1, 1: 1}, None),
        ((140.0, 133.0), {0: 1, 1: 1}, None),
        ((146.0, 120.0), {0: 1, 1: 2}, 0),
    ],
)
def test_rounds_end(health: tuple[float, float], places: dict[int, int], winner: int | None) -> None:
    """After the last round the larger share of health wins; a difference under 5 % of full health is a draw."""
    world = opened(rounds=2)
    world.state = msgspec.structs.replace(world.state, health=health)
    for _ in range(4):
        assert world.duel.phase(world.state) == "acting"
        world.act("brace")
        world.rest()
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.places, result.winner, result.cause) == (places, winner, "rounds")


def test_state_survives_encoding() -> None:
    """The state survives msgpack unchanged, also during a blow."""
    world = opened()
    launch(world)
    world.hit(0, 1, 30.0)
    assert world.state.blows
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(world.state), type=DuelState) == world.state


@pytest.mark.parametrize(
    ("bodies", "params", "code"),
    [
        (["cobble"], {}, "bad_seats"),
        (["cobble"] * 7, {}, "bad_seats"),
        (["cobble", "boulder"], {}, "unknown_body"),
        (["cobble", "marl"], {"gravity": 1}, "bad_params"),
        (["cobble", "marl"], {"rounds": "many"}, "bad_params"),
    ],
)
def test_bad_duel(bodies: list[str], params: dict[str, Any], code: str) -> None:
    """An unusable number of seats, body or parameter is refused with its code."""
    with pytest.raises(Refused) as caught:
        make_duel(*bodies, **params)
    assert caught.value.reason == code


def test_registry() -> None:
    """The registry finds a mode by its name and refuses an unknown name."""
    assert get_mode("duel") is Duel
    with pytest.raises(Refused):
        get_mode("chess")
