"""The rules of the duel, driven by views that the tests make; no solver runs."""

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
        """Tick without motion until the rules stop."""
        self.velocities[:] = 0
        self.impulses[:] = 0
        while self.duel.phase(self.state) == "moving":
            self.tick()

    def hit(self, a: int, b: int, impulse: float, *, along: Sequence[float] = (1, 0, 0)) -> Effect:
        """One tick in which ``a`` receives an impulse from ``b``, as momentum too, from a fast approach."""
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
    """Bodies are placed evenly on a circle of 1.116 m, just above the ground, turned by the seed."""
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
    """After six quiet ticks the world halts and the first turn is announced with everything a bot needs."""
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
    """Each kind gives its speed along (azimuth from +x to +z, elevation); the opening turn four fifths of
    it."""
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
    """Bracing protects until the own next action; a skip does not protect, and takes an old brace away."""
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
def test_refused(seat: int, kind: str, d: dict[str, Any], code: str, field: str) -> None:
    """What the rules forbid is refused with code and field, and the state is what it was."""
    world = opened()
    was = world.state
    with pytest.raises(Refused) as caught:
        world.act(kind, seat, **d)
    assert (caught.value.reason, caught.value.field) == (code, field)
    assert world.state == was


def test_one_action_per_turn() -> None:
    """While the world moves nobody acts, not even the actor again."""
    world = opened()
    launch(world)
    for seat in (0, 1):
        with pytest.raises(Refused):
            world.act("brace", seat)


def test_drag() -> None:
    """0.1 in the air, the body's rolling on the ground, more while braced, and growing after 1.6 s."""
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
    """A turn ends after 4.0 s at the latest, and reports the discarded kinetic energy."""
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
    """A blow costs 1.6 on the soft face (local +x), 0.4 on the back, 1 on the side; the actor pays 0.35."""
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


def test_gate() -> None:
    """An impulse under twice the lighter body's weight does no damage: leaning is free."""
    world = opened()
    launch(world)
    gate = 2 * 9.81 * DT * 15.72
    world.hit(0, 1, 0.99 * gate, along=(0, 0, 1))
    assert world.state.health == (146.0, 133.0)
    world.hit(0, 1, 1.01 * gate, along=(0, 0, 1))
    assert 133 - world.state.health[1] == pytest.approx(1.01 * gate)


def test_credit_bound() -> None:
    """A barrier sum without the momentum to show for it counts as the momentum; without speed, as a
    collision's."""
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
    """Contiguous gated ticks of a pair are one blow, reported when they end, with sums and bounds."""
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


def test_chain() -> None:
    """Damage down a chain is credited to the actor, and the event has its depth."""
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
    """A body whose centre is below -0.35 m is out at that tick, and alone the other has won."""
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
    """A blow that would break actor and opponent in one tick leaves the actor with one point, and the win."""
    world = opened()
    launch(world)
    world.state = msgspec.structs.replace(world.state, health=(1.0, 1.0))
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    assert world.state.health[0] == 1.0
    result = world.duel.result(world.state)
    assert result is not None
    assert (result.winner, world.named("out")[0].d["cause"]) == (0, "broken")


def test_actor_breaks_alone() -> None:
    """An actor that breaks itself alone is out."""
    world = opened()
    launch(world)
    world.state = msgspec.structs.replace(world.state, health=(1.0, 133.0))
    world.hit(0, 1, 30.0, along=(0, 0, 1))
    result = world.duel.result(world.state)
    assert result is not None
    assert result.winner == 1


def test_leave_out_of_turn() -> None:
    """A seat that leaves in another's turn is out at the next tick; the turn goes on, and is not announced again."""
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
    """An actor that leaves passes its turn at once; with one left the duel is over, and forfeit earns
    nothing."""
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
    """A seat may leave while the world moves; an actor's blow after its leave still counts as its own."""
    world = opened("cobble", "quern", "marl")
    launch(world)
    world.act("leave", 0)
    world.hit(1, 2, 30.0, along=(0, 0, 1))
    world.rest()
    assert world.state.order.current == 1
    assert np.array(world.state.damage).reshape(3, 3)[0].sum() == pytest.approx(60.0)


def test_three_skips_leave() -> None:
    """Three skips in a row are a forfeit; an action in between begins the count again."""
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
    """After the last round the larger share of health wins; a gap under 5 % of full health is a draw."""
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
    """The state goes through msgpack unchanged, in the middle of a blow too."""
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
    """Seats, bodies and parameters that cannot be played are refused."""
    with pytest.raises(Refused) as caught:
        make_duel(*bodies, **params)
    assert caught.value.reason == code


def test_registry() -> None:
    """A mode is found by its name, and an unknown one is refused."""
    assert get_mode("duel") is Duel
    with pytest.raises(Refused):
        get_mode("chess")
