"""Each template is or falls as it should, on the real solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.paths import BODIES
from tussle.lobby.rules.scenes import Scene, encode_scene
from tussle.lobby.rules.templates import TEMPLATES, make_template
from tussle.server.modes.mode import Seat
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, body_vertices, centres
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, Floats, State, StepReport
from tussle.server.simulation.scene_check import check_scene
from tussle.server.simulation.simulate import load_scene
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(300)  # a cold cache compiles the solver first


class Course:
    """A scene that runs. report: of the last tick."""

    def __init__(self, scene: Scene) -> None:
        self.model, self.state = compile_scene(scene)
        self.start = self.places()
        self.report: StepReport | None = None

    def ticks(
        self, seconds: float, control: Callable[[Model, State], Control] = lambda model, state: Control()
    ) -> Iterator[StepReport]:
        for _ in range(round(seconds / self.model.dt)):
            self.state, self.report = step(self.model, self.state, control(self.model, self.state))
            yield self.report

    def run(self, seconds: float) -> None:
        for _ in self.ticks(seconds):
            pass
        assert check_contact(self.model, self.state).passed

    def places(self) -> dict[str, Floats]:
        return dict(zip(self.model.body_ids, centres(self.model, self.state), strict=True))

    def moved(self) -> dict[str, float]:
        """How far each body is from its start [m]."""
        return {
            name: float(np.linalg.norm(place - self.start[name])) for name, place in self.places().items()
        }

    def drop(self) -> dict[str, float]:
        """How much lower each body is than at the start [m]."""
        return {name: float(self.start[name][1] - place[1]) for name, place in self.places().items()}


def course(template: str) -> Course:
    return Course(make_template(template).scene)


@pytest.mark.parametrize("template", TEMPLATES)
def test_nothing_touches_at_the_start(template: str) -> None:
    """The check of each template is ok, its smallest gap is above dhat, and ``tussle simulate`` takes its name."""
    scene = make_template(template).scene
    found = check_scene(encode_scene(scene))
    assert (found.ok, found.problems) == (True, [])
    assert found.smallest_gap is not None
    assert scene.dhat < found.smallest_gap < 1.5 * scene.dhat
    assert load_scene(Path(template), folder=Path()) == scene


def test_dominoes_fall_when_the_first_is_pushed() -> None:
    """They are still for three seconds; then the first one is pulled over in a session, and all of them fall."""
    scene = make_template("dominoes").scene
    seat = Seat(0, "p0", "n0")
    spec = SessionSpec("T", "sandbox", (seat,), BODIES, 5, scene=encode_scene(scene).decode())
    world, _ = Simulation.start(spec)
    world.advance([], 180)
    before = world.view()
    assert np.abs(before.rows[:, 1] - [0, 1, 0]).max() < 0.01
    high = before.positions[0] + np.array([0.0, 0.2, 0.0])
    top = next(f"v{n}" for n in range(8) if np.linalg.norm(np.array(before.grip(0, f"v{n}")) - high) < 0.13)
    world.advance([Input(0, "grab", 1, {"body": "domino-1", "handle": top})], 1)
    world.advance([Input(0, "move", 2, {"target": (high + np.array([0.3, 0.0, 0.0])).tolist()})], 20)
    world.advance([Input(0, "release", 3)], 280)
    after = world.view()
    assert (after.rows[:, 1, 1] < 0.6).all(), "each is on its side, or leans on the next one"


def test_the_arch_holds_until_its_keystone_is_gone() -> None:
    """After five seconds no stone has moved by more than two centimetres; without the keystone the others fall."""
    arch = course("arch")
    arch.run(5.0)
    assert max(arch.moved().values()) < 0.02
    scene = make_template("arch").scene
    rest = tuple(body for body in scene.bodies if body.id != "keystone")
    broken = Course(msgspec.structs.replace(scene, bodies=rest))
    broken.run(1.5)
    drops = broken.drop()
    assert min(drops["stone-4"], drops["stone-6"]) > 0.2


def test_the_card_house_holds() -> None:
    """After five seconds no card has moved by more than a centimetre; without friction it is flat."""
    house = course("card-house")
    house.run(5.0)
    assert max(house.moved().values()) < 0.01
    scene = make_template("card-house").scene
    slippery = tuple(
        msgspec.structs.replace(body, material=msgspec.structs.replace(body.material, friction=0.0))
        for body in scene.bodies
    )
    flat = Course(msgspec.structs.replace(scene, bodies=slippery))
    flat.run(1.5)
    assert flat.drop()["top-left"] > 0.3


def test_the_jelly_tower_wobbles_and_stays() -> None:
    """Pushed sideways at its top it swings to both sides of where it was, and is still on its base at the end."""
    tower = course("jelly-tower")
    tower.run(1.0)
    before = tower.places()["jelly-4"][0]
    top = tower.model.body("jelly-4")
    pushes = iter([Control(velocity_change={top: ((0.5, 0.0, 0.0), (0.0, 0.0, 0.0))})])
    swing = []
    for _ in tower.ticks(4.0, lambda model, state: next(pushes, Control())):
        swing.append(tower.places()["jelly-4"][0] - before)
    assert max(swing) > 0.01
    assert min(swing) < max(swing) - 0.015, "it comes back"
    heights = [place[1] for place in tower.places().values()]
    assert heights == sorted(heights)
    assert max(tower.drop().values()) < 0.08
    assert check_contact(tower.model, tower.state).passed


def test_the_bridge_gives_way_and_carries() -> None:
    """Its middle hangs lower with the weights than without, its ends are on the piers, and the weights are on it."""
    scene = make_template("bridge").scene
    bare = Course(
        msgspec.structs.replace(scene, bodies=tuple(b for b in scene.bodies if not b.id.startswith("weight")))
    )
    loaded = Course(scene)
    sag = []
    for bridge in (bare, loaded):
        bridge.run(4.0)
        deck = body_vertices(bridge.model, bridge.state, bridge.model.body("deck"))
        middle = deck[np.abs(deck[:, 0]) < 0.1, 1].min()
        ends = deck[np.abs(deck[:, 0]) > 0.9, 1].min()
        assert ends > 0.5
        sag.append(ends - middle)
    assert sag[1] > sag[0] + 0.01
    assert max(loaded.drop().values()) < 0.1
    assert loaded.report is not None
    assert loaded.report.kinetic < 0.01


def test_the_pinball_is_beaten_back_and_stays_inside() -> None:
    """Within ten seconds the ball is hit by the bar and by a cross, and it never leaves the table."""
    table = course("pinball")
    hit: set[str] = set()
    ball = table.model.body("ball")
    for report in table.ticks(10.0):
        touched = np.abs(report.impulses[ball, :-1]).max(axis=1) > 0.0
        hit |= {name for name, touches in zip(table.model.body_ids, touched, strict=True) if touches}
        x, y, z = table.places()["ball"]
        assert abs(x) < 1.2 and abs(z) < 1.0 and 0.05 < y < 0.4
    assert "bar" in hit
    assert any(name.startswith("cross") for name in hit)
    assert check_contact(table.model, table.state).passed
