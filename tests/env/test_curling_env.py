"""Curling as a PettingZoo environment."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.support.zoo import api_test
from tussle.env import CurlingEnv

SHORT = {"ends": 1, "stones": 1}


def test_pettingzoos_api_test_passes() -> None:
    """The AEC test of PettingZoo finds no fault and nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api_test(CurlingEnv(params=SHORT), num_cycles=4)


def test_the_nearest_stone_scores() -> None:
    """The seat whose stone lies at the button gets its point and the first place; the rewards add up to 0."""
    env = CurlingEnv(params=SHORT, observation="dict")
    env.reset(seed=0)
    env.step({"kind": "launch", "azimuth": 0.0, "power": 0.88, "spin": 0.0})
    seen = env.observe("seat_1")
    assert seen["on_sheet"].tolist() == [[0.0], [1.0]]
    assert abs(seen["place"][1, 0, 0]) < 1.5
    env.step({"kind": "launch", "azimuth": 0.0, "power": 0.1, "spin": 0.0})
    assert all(env.terminations.values())
    assert env.rewards == {"seat_0": pytest.approx(2.0), "seat_1": pytest.approx(-2.0)}
    assert env.observation_space("seat_0").contains(env.observe("seat_0"))


def test_an_array_action_is_what_its_table_says() -> None:
    """Azimuth, power and spin of an action array become the arguments of a launch."""
    given = CurlingEnv().translate(np.array([0.5, 0.0, -1.0], np.float32))
    assert given == {"kind": "launch", "azimuth": 5.0, "power": 0.5, "spin": -6.0}
