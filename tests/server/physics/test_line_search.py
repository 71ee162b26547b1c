"""Turned trials of affine bodies, and the pulls of friction."""

from __future__ import annotations

import numpy as np
import pytest

from bench.physics.growth import boxes
from bench.physics.torture import run, torture_scenes
from tests.support.interpreted import as_python
from tussle.server.physics import friction, line_search
from tussle.server.physics.kernel_arrays import Lagged

turn_step = as_python(line_search.turn_step)
update_pulls = as_python(friction.update_pulls)

EPS = 1e-3


def turn(change: np.ndarray, stretch: float = 1.0) -> tuple[np.ndarray, np.ndarray, bool]:
    """A turned and slightly strained map (3, 3), the trial for a change of it, and whether that was turned."""
    rng = np.random.default_rng(1)
    q = np.vstack([rng.normal(size=3), np.linalg.qr(rng.normal(size=(3, 3)))[0] * stretch])
    q[1:] += 1e-3 * rng.normal(size=(3, 3))
    trial = q.copy()
    trial[1:] += change @ q[1:]
    trial[0] += 1.0
    turned = turn_step(q, trial, 0)
    assert trial[0] == pytest.approx(q[0] + 1.0, rel=1e-15)
    return q[1:], trial[1:], turned


@pytest.mark.parametrize("angle", [1e-3, 0.05, 0.3])
def test_a_turned_step_has_the_strain_of_the_direction(angle: float) -> None:
    """The strain of the trial is that of the direction to first order: a turn alone does not stretch the body."""
    spin = angle * np.array([[0, -0.6, 0.0], [0.6, 0, -0.8], [0.0, 0.8, 0]])
    squeeze = 0.02 * angle * np.array([[1, 0.3, 0], [0.3, -0.5, 0], [0, 0, 0.2]])
    before, after, turned = turn(spin + squeeze)
    step = (spin + squeeze) @ before
    wanted = before @ before.T + before @ step.T + step @ before.T
    assert turned
    assert np.abs(after @ after.T - wanted).max() < 2e-2 * angle**2 + 1e-12
    straight = before + step
    assert np.abs(straight @ straight.T - wanted).max() > 0.5 * angle**2
    assert np.abs(after - straight).max() < 1.5 * angle**2


@pytest.mark.parametrize(
    ("change", "stretch"),
    [(np.zeros((3, 3)), 1.0), (0.1 * np.ones((3, 3)), 1.0), (1e-2 * np.eye(3), 1.2), (np.eye(3)[::-1], 1.0)],
    ids=["still", "strained", "stretched", "far"],
)
def test_other_steps_are_straight(change: np.ndarray, stretch: float) -> None:
    """Maps that hardly change, turn far, or are no rotations move along the direction."""
    before, after, turned = turn(change, stretch)
    assert not turned and after == pytest.approx(before + change @ before, abs=1e-15)


def slide(pull: np.ndarray, before: np.ndarray, after: np.ndarray, *, share: float = 1.0) -> np.ndarray:
    """The pull of one contact with the normal y after it moves from one displacement to another."""
    start = np.zeros((2, 3))
    lag = Lagged(
        np.array([[0, 1, 1, 1]]), np.array([[1.0, -1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]),
        np.array([1.0]), np.zeros((1, 2), np.int64), pull[None].copy(),
    )  # fmt: skip
    there, next_there = start.copy(), start.copy()
    there[0], next_there[0] = before, after
    update_pulls(lag, np.zeros(1, np.int64), 0, 1, there, next_there, start, EPS, share, False)
    return np.asarray(lag.pull[0])


def test_a_pull_is_confirmed_or_not() -> None:
    """A slip that goes on ends with a pull along it, whatever it was. One that reverses keeps the pull of the other
    side, which resists it. No pull is longer than one."""
    x, none = np.array([1.0, 0.0, 0.0]), np.zeros(3)
    pull = none
    for _ in range(4):
        pull = slide(pull, 10 * EPS * x, 9 * EPS * x)
    assert pull == pytest.approx(x, abs=1e-3)
    assert slide(x, 10 * EPS * x, -8 * EPS * x) == pytest.approx(x)
    assert slide(x, 10 * EPS * x, -8 * EPS * x, share=0.5) == pytest.approx(x)
    assert np.linalg.norm(slide(none, EPS * x, 40 * EPS * x)) == pytest.approx(1.0)
    # At rest the friction is linear, and one step finds its pull.
    little = np.array([0.1 * EPS, 0.0, 0.05 * EPS])
    assert slide(none, none, little) == pytest.approx(2 * little / EPS)
    assert slide(none, none, little + np.array([0.0, EPS, 0.0])) == pytest.approx(2 * little / EPS)


@pytest.mark.parametrize("place", ["balls in a bowl", "boxes in a bowl"])
def test_a_young_pile_converges(place: str) -> None:
    """Balls and boxes that fall on one another, turn, slide and stick: few ticks end at the iteration limit."""
    if place == "balls in a bowl":
        world = next(world for name, world, _ in torture_scenes() if "balls" in name)
        capped, _, broken, _ = run(world, 24)
    else:
        capped, _, broken, _ = run(boxes(24), 60)
    assert broken == 0 and capped <= 2
