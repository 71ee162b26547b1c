"""The duel's bots, on `turn_started` events written by hand."""

import math
from typing import Any

import numpy as np
import pytest

from tussle.lobby.rules.actions import ActionSpec, check_action
from tussle.server.modes.duel.bot import SKILLS
from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.duel.report import ACTION_KINDS
from tussle.server.modes.mode import Action, Outcome, stream


def brief(**changes: Any) -> dict[str, Any]:
    usual = {
        "seat": 0,
        "positions": [[1.0, 0.2, 0.0], [-1.0, 0.2, 0.0], [0.0, 0.2, 1.4]],
        "health": [140.0, 140.0, 140.0],
        "alive": [True, True, True],
        "speeds": [4.7, 4.7, 4.7],
        "rules": {"arena_radius": 1.8},
    }
    return usual | changes


@pytest.mark.parametrize("skill", ["dummy", "random", *SKILLS, "aimer:0.5", "planner"])
def test_every_decision_is_legal(skill: str) -> None:
    """Every action of a bot passes the server's check of actions."""
    spec = ActionSpec(0, ACTION_KINDS)
    for turn in range(200):
        action = Duel.bot(brief(), 0, skill, None, stream(1, turn, 0))
        assert check_action(spec, action.kind, action.d) == action.d


def test_equal_random_streams_give_equal_actions() -> None:
    """A bot's action depends on seed, turn and seat only."""
    one, two, other = (Duel.bot(brief(), 0, "good", None, stream(5, turn, 0)) for turn in (3, 3, 4))
    assert one == two
    assert one != other


def test_aims_at_the_nearest() -> None:
    """Without an error an aimer shoots at the nearest living foe, at the low ballistic elevation, with full power."""
    action = Duel.bot(brief(), 0, "aimer:0.0", None, stream(1, 0, 0))
    distance = math.hypot(1.0, 1.4)
    assert action.d["azimuth"] == pytest.approx(math.degrees(math.atan2(1.4, -1.0)))
    assert action.d["elevation"] == pytest.approx(math.degrees(0.5 * math.asin(9.81 * distance / 4.7**2)))
    assert action.d["power"] == 1.0


def test_prefers_the_weak_and_the_living() -> None:
    """A foe under 40 points counts as 0.4 m nearer; a seat that is out is not a foe."""
    weak = Duel.bot(brief(health=[140.0, 39.0, 140.0]), 0, "aimer:0.0", None, stream(1, 0, 0))
    assert abs(weak.d["azimuth"]) == pytest.approx(180.0)
    alive = Duel.bot(brief(alive=[True, True, False]), 0, "aimer:0.0", None, stream(1, 0, 0))
    assert abs(alive.d["azimuth"]) == pytest.approx(180.0)


@pytest.mark.parametrize(("skill", "sigma"), SKILLS.items())
def test_azimuth_error(skill: str, sigma: float) -> None:
    """Each skill has the documented standard deviation of its azimuth error."""
    exact = Duel.bot(brief(), 0, "aimer:0.0", None, stream(1, 0, 0)).d["azimuth"]
    angles = [Duel.bot(brief(), 0, skill, None, stream(2, turn, 0)).d["azimuth"] for turn in range(400)]
    errors = (np.array(angles) - exact + 180.0) % 360.0 - 180.0
    assert errors.std() == pytest.approx(sigma, rel=0.15)


def test_planner_takes_the_best_look() -> None:
    """A planner uses all of its looks and plays the candidate of the highest value, with its aiming error."""
    looked: list[Action] = []

    def look(action: Action) -> Outcome:
        looked.append(action)
        health = [140.0, 140.0, 140.0]
        if len(looked) == 5:
            health[1] = 50.0
        return Outcome(health=health, alive=[True] * 3, positions=brief()["positions"])

    action = Duel.bot(brief(), 0, "planner:8", look, stream(9, 0, 0))
    assert (len(looked), action.candidates) == (8, 8)
    assert action.kind == looked[4].kind
    assert abs((action.d["azimuth"] - looked[4].d["azimuth"] + 180) % 360 - 180) < 10
    assert action.d["power"] == looked[4].d["power"]


def test_planner_values_outs() -> None:
    """Pushing a foe out has a higher value than any damage; going out has a negative value."""
    outcomes = [
        Outcome([140.0, 60.0, 140.0], [True, True, True], brief()["positions"]),
        Outcome([140.0, 140.0, 140.0], [True, False, True], brief()["positions"]),
        Outcome([140.0, 0.0, 0.0], [False, False, False], brief()["positions"]),
    ]
    looked: list[Action] = []

    def look(action: Action) -> Outcome:
        looked.append(action)
        return outcomes[len(looked) - 1]

    action = Duel.bot(brief(), 0, "planner:3", look, stream(9, 0, 0))
    assert action.d["power"] == looked[1].d["power"]


def test_unknown_skill() -> None:
    """An unknown skill raises an error."""
    with pytest.raises(ValueError, match="grandmaster"):
        Duel.bot(brief(), 0, "grandmaster", None, stream(1, 0, 0))


def test_a_dummy_never_moves() -> None:
    """Its launch has no power, and is an action: a dummy is not given up as one that skips its turns."""
    action = Duel.bot(brief(), 0, "dummy", None, stream(1, 0, 0))
    assert action.kind == "launch"
    assert action.d["power"] == 0.0
