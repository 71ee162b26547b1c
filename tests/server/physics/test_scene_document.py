"""docs/scenes.md is current: its example runs, it lists every shape, and its schema is published."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from tussle.lobby.rules.scenes import decode_scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.schema import PATH, schema_text
from tussle.server.physics.shapes import KINDS
from tussle.server.physics.solver import step

TEXT = (ROOT / "docs" / "scenes.md").read_text()


def test_the_example_runs() -> None:
    """The scene of the reference compiles and falls."""
    model, state = compile_scene(decode_scene(TEXT.split("```json")[1].split("```")[0]))
    for _ in range(30):
        state, report = step(model, state)
    assert check_contact(model, state).passed and report.contacts > 0 and (1, "top") in model.handles


def test_every_shape_is_described() -> None:
    """The table of shapes names every recipe, and mesh, and nothing else."""
    table = TEXT.split("## Shapes")[1]
    named = {
        word
        for line in table.splitlines()
        for word in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    }
    assert named - {"mesh"} == set(KINDS)


def test_the_published_schema_is_current() -> None:
    """docs/scene.schema.json is what ``python -m tussle.server.physics.schema`` writes."""
    assert PATH.read_text() == schema_text()
