"""What a sweep simulates: paths, values, and the order of the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tussle.lobby.errors import Refused
from tussle.lobby.rules.templates import make_template
from tussle.server.sweeps.plan import SweepPlan, make_plan, parse_values

HERE = Path()
DOMINOES = make_template("dominoes").scene


def plan(**vary: list[Any]) -> SweepPlan:
    named = {path.replace("__", "."): values for path, values in vary.items()}
    return make_plan(DOMINOES, named, steps=10, check=False, meshes=HERE)


def test_the_last_path_counts_fastest() -> None:
    """Run numbers count the combinations; each scene has the values of its run, also where the document had none."""
    made = plan(gravity__1=[-9.81, -3.7], dt=[0.01, 0.02, 0.03])
    assert made.count == 6
    assert [list(made.values(run).values()) for run in (0, 1, 3)] == [
        [-9.81, 0.01],
        [-9.81, 0.02],
        [-3.7, 0.01],
    ]
    scene = made.scene_of(5)
    assert (scene.gravity, scene.dt) == ((0.0, -3.7, 0.0), 0.03)
    assert plan().count == 1 and plan().scene_of(0) == DOMINOES


def test_a_path_names_a_body_or_all() -> None:
    """An id is one body, a number one place in the list, "*" every body."""
    first = DOMINOES.bodies[1].id
    one = make_plan(
        DOMINOES, {f"bodies.{first}.material.friction": [0.9]}, steps=1, check=False, meshes=HERE
    ).scene_of(0)
    assert [body.material.friction == 0.9 for body in one.bodies].count(True) == 1
    assert one.bodies[1].material.friction == 0.9
    every = make_plan(DOMINOES, {"bodies.*.material.friction": [0.9]}, steps=1, check=False, meshes=HERE)
    assert {body.material.friction for body in every.scene_of(0).bodies} == {0.9}


@pytest.mark.parametrize(
    ("vary", "code"),
    [
        ({"gravty": [1.0]}, "bad_sweep"),
        ({"gravity.3": [1.0]}, "bad_sweep"),
        ({"bodies.nobody.material.friction": [1.0]}, "bad_sweep"),
        ({"bodies.*.colour": [1]}, "bad_sweep"),
        ({"dt": []}, "bad_sweep"),
        ({"dt": [0.01, -1.0]}, "bad_scene"),
        ({"dt": [0.01, "fast"]}, "bad_scene"),
        ({"dt": [0.01] * 2000, "dhat": [0.01] * 2000}, "bad_sweep"),
    ],
)
def test_what_no_scene_has_is_refused_before_the_start(vary: dict[str, list[Any]], code: str) -> None:
    """A path that leads nowhere, and a value that no scene takes, whatever its place in the list."""
    with pytest.raises(Refused) as refusal:
        make_plan(DOMINOES, vary, steps=10, check=False, meshes=HERE)
    assert refusal.value.reason == code


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,2.5,-3e2", [1, 2.5, -300.0]),
        ("a.b=0:1:3", [0.0, 0.5, 1.0]),
        ("a.b=1:100:3:log", [1.0, 10.0, 100.0]),
        ("a.b=[0,1,0],[0,2,0]", [[0, 1, 0], [0, 2, 0]]),
        ('a.b="x"', ["x"]),
    ],
)
def test_values_are_lists_or_ranges(text: str, values: list[Any]) -> None:
    """Values are JSON; ranges have both of their ends."""
    path, read = parse_values(text)
    assert path == "a.b"
    assert read == pytest.approx(values) if isinstance(values[0], float) else read == values


@pytest.mark.parametrize(
    "text", ["a", "a=", "=1", "a=x", "a=0:1:1", "a=0:x:3", "a=-1:1:3:log", "a=1:2:3:lin", "a=nan:1:3"]
)
def test_other_values_are_refused(text: str) -> None:
    """The refusal names what was written."""
    with pytest.raises(Refused) as refusal:
        parse_values(text)
    assert refusal.value.reason == "bad_sweep" and repr(text) in refusal.value.message
