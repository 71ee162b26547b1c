"""The skill "taught": its model in the catalogue, what it decides, and that every list of skills has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.rules.actions import ActionSpec, check_action
from tussle.lobby.settings import BOT_SKILLS
from tussle.player.bots import looks_ahead
from tussle.server.http.bot_routes import Skill
from tussle.server.modes.curling.bot import SKILLS as CURLING_SKILLS
from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.duel.report import ACTION_KINDS
from tussle.server.modes.duel.taught import (
    FEATURES,
    MODEL,
    OUTPUTS,
    ShotPolicy,
    describe_shot,
    take_shot,
    taught_policy,
)
from tussle.server.modes.mode import Action, Outcome, stream

TURN = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def brief(rng: np.random.Generator) -> dict[str, Any]:
    """A turn of three seats anywhere on the arena."""
    positions = rng.uniform(-1.8, 1.8, (3, 3))
    return {
        "positions": positions.tolist(),
        "orientations": [TURN] * 3,
        "health": rng.uniform(1.0, 140.0, 3).tolist(),
        "health_full": [140.0] * 3,
        "alive": [True] * 3,
        "speeds": rng.uniform(2.0, 8.0, 3).tolist(),
        "masses": rng.uniform(5.0, 40.0, 3).tolist(),
        "toughness": [1.0, 1.2, 0.8],
        "braced": [False, True, False],
        "distance_to_rim": [0.5, -0.1, 1.0],
        "rules": {"arena_radius": 1.8, "opening": False},
    }


def test_every_decision_is_legal_and_the_same_again() -> None:
    """Whatever the turn, the action passes the server's check; the policy alone draws no random number."""
    spec = ActionSpec(0, ACTION_KINDS)
    for number in range(200):
        turn = brief(np.random.default_rng(number))
        action = Duel.bot(turn, 0, "taught", None, stream(1, number, 0))
        assert check_action(spec, action.kind, action.d) == action.d
        assert action == Duel.bot(turn, 0, "taught", None, stream(2, number, 0))


def test_bodies_in_one_place_are_no_fault() -> None:
    """A foe exactly above has no direction; the action is legal all the same."""
    turn = brief(np.random.default_rng(1))
    turn["positions"] = [[0.0, 0.2, 0.0]] * 3
    action = Duel.bot(turn, 0, "taught", None, stream(1, 0, 0))
    assert np.isfinite(list(action.d.values())).all()


def test_it_takes_the_best_of_its_looks() -> None:
    """With a look-ahead it plays exactly the shot whose outcome is best: the foes' losses less its own."""
    turn = brief(np.random.default_rng(3)) | {"health": [100.0] * 3}
    looked: list[Action] = []

    def look(action: Action) -> Outcome:
        looked.append(action)
        best = len(looked) == 4
        return Outcome([90.0, 40.0 if best else 95.0, 100.0], [True] * 3, turn["positions"])

    action = Duel.bot(turn, 0, "taught", look, stream(1, 0, 0))
    assert looked[0] == Duel.bot(turn, 0, "taught", None, stream(1, 0, 0))
    assert action.candidates == len(looked) > 4
    assert (action.kind, action.d) == (looked[3].kind, looked[3].d)


def test_an_output_moves_what_its_name_says() -> None:
    """Azimuth, elevation, power, spin and hop, from a lob at half power."""
    zero = np.zeros(OUTPUTS)
    assert take_shot(zero, 10.0) == Action("launch", {"azimuth": 10.0, "elevation": 30.0, "power": 0.5})
    assert take_shot(np.array([9.0, 9.0, 9.0, 0.0, 0.0]), 170.0).d == pytest.approx(
        {"azimuth": -175.0, "elevation": 60.0, "power": 1.0}, abs=1e-3
    )
    assert take_shot(np.array([0, 0, 0, 2.0, 1.0]), 0.0).kind == "spin"
    assert set(take_shot(np.array([0, 0, 0, 1.0, 2.0]), 0.0).d) == {"azimuth", "power"}


def test_the_model_is_small_and_data(tmp_path: Path) -> None:
    """The model of the catalogue is JSON of at most 200 kB, and it is not the untrained one; a file of another form is
    refused."""
    assert MODEL.is_relative_to(ROOT / "catalogue") and MODEL.stat().st_size <= 200_000
    assert np.abs(taught_policy().weights).max() > 0.1
    again = tmp_path / "again.json"
    taught_policy().save(again)
    assert again.read_bytes() == MODEL.read_bytes()
    for data in (b"{}", b'{"schema": "x", "weights": [[1.0]]}', b"\x80\x04N."):
        again.write_bytes(data)
        with pytest.raises(ValueError):
            ShotPolicy.load(again)


def test_what_it_sees_turns_with_the_arena() -> None:
    """A quarter turn of the world turns the azimuth and nothing else."""
    turn = brief(np.random.default_rng(5))
    turned = turn | {
        "positions": [[-z, y, x] for x, y, z in turn["positions"]],
        "orientations": [[[-z, y, x] for x, y, z in rows] for rows in turn["orientations"]],
    }
    seen, azimuth = describe_shot(turn, 0, 1)
    again, other = describe_shot(turned, 0, 1)
    assert seen.shape == (FEATURES,)
    assert again == pytest.approx(seen)
    assert (other - azimuth) % 360.0 == pytest.approx(90.0)


def test_every_list_of_skills_has_it() -> None:
    """Settings, API, curling, the protocol and the choice of the web client name the same skills."""
    assert set(get_args(Skill)) == set(BOT_SKILLS) == set(CURLING_SKILLS)
    skills = (ROOT / "player" / "web" / "src" / "app" / "skills.ts").read_text()
    offered = re.findall(r'\{ value: "(\w+)"', skills)
    assert "taught" in offered and set(offered) <= set(BOT_SKILLS)
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    assert ", ".join(f"`{skill}`" for skill in BOT_SKILLS) in protocol


def test_only_a_mode_that_describes_its_world_is_looked_ahead_in() -> None:
    """The duel can be simulated from its brief; in curling and the sandbox the same skills decide from the brief."""
    assert looks_ahead("duel", "taught") and looks_ahead("duel", "planner:4")
    assert not looks_ahead("duel", "sharp")
    for mode in ("curling", "sandbox"):
        assert not looks_ahead(mode, "taught") and not looks_ahead(mode, "planner")
