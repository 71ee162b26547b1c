"""The planning bot: its world is the server's, and looking ahead pays."""

from typing import Any

import pytest

from tests.server.simulation.test_simulation import CATALOGUE, Course, decide, make_spec
from tussle.lobby.errors import Refused
from tussle.player.planner import Planner, look
from tussle.server.modes.mode import Action, stream
from tussle.server.simulation.simulation import Input, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first


def at_turn(number: int, *bodies: str) -> tuple[Simulation, dict[str, Any]]:
    """A server's world at its n-th turn, and the brief that it published."""
    spec = make_spec(*bodies, seed=4)
    simulation, advance = Simulation.start(spec)
    course = Course()
    course.take(advance)
    while advance.turn < number:
        advance = course.take(simulation.advance([decide(spec, advance, course.events)], 300))
    return simulation, [d for _, name, d in course.events if name == "turn_started"][-1]


@pytest.mark.parametrize("turn", [0, 3])
def test_sees_what_will_happen(turn: int) -> None:
    """A look-ahead finds, from public events alone, exactly what the server's world then does."""
    simulation, brief = at_turn(turn, "cobble", "thistle", "marl")
    action = Action("launch", {"azimuth": 10.0, "elevation": 12.0, "power": 0.9})
    outside = Simulation.recall(make_spec("cobble", "thistle", "marl", seed=99), brief)
    outcome = look(outside, brief["seat"], action)
    advance = simulation.advance([Input(brief["seat"], action.kind, 1, action.d)], 300)
    assert outcome.health == [seat.health for seat in advance.standing.values()]
    assert outcome.positions == simulation.view().positions.tolist()


def test_planner_decides_alike_and_legally() -> None:
    """A planner's action follows from brief and stream; the server takes it."""
    simulation, brief = at_turn(1, "cobble", "quern")
    planner = Planner("duel", CATALOGUE)
    one, two = (planner.decide(brief, brief["seat"], "planner:4", stream(1, 1, 1)) for _ in range(2))
    assert one == two
    assert one.candidates == 4
    assert simulation.advance([Input(brief["seat"], one.kind, 1, one.d)], 300).ticks_run > 6


def test_another_session() -> None:
    """One planner plays one session after another, of other bodies too; nonsense it refuses."""
    planner = Planner("duel", CATALOGUE)
    for bodies in (("cobble", "quern"), ("marl", "halo", "crux")):
        _, brief = at_turn(0, *bodies)
        assert planner.decide(brief, 0, "planner:1", stream(1, 1, 1)).kind == "launch"
    with pytest.raises(Refused):
        planner.decide(brief | {"positions": brief["positions"][:2]}, 0, "planner", stream(1, 1, 1))
