"""The largest scenes and shapes that a server builds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint
from tussle.lobby.rules.scene_limits import check_recipe
from tussle.lobby.rules.scenes import Body, Recipe


@pytest.mark.parametrize(
    ("kind", "params", "code"),
    [
        ("block", {"size": [1, 1, 1], "cells": [99, 99, 98]}, "too_many_vertices"),
        ("block", {"size": [1, 1, 1], "cells": 3}, "bad_scene"),
        ("block", {"size": [1, 1, 1], "cells": [1.5, 2, 2]}, "bad_scene"),
        ("sphere", {"radius": 1, "level": 1000000}, "bad_scene"),
        ("sphere", {"radius": 1, "level": True}, "bad_scene"),
        ("sphere", {"radius": 1, "level": 7}, "too_many_vertices"),
        ("torus", {"n": 10**6, "m": 10**6, "R": 1, "r": 1}, "bad_scene"),
        ("lathe", {"profile": [[1, 0]] * 3000, "n": 3}, "too_many_vertices"),
        ("lathe", {"profile": [[[[[[0]]]]]], "n": 3}, "bad_scene"),
        ("nothing", {}, "bad_scene"),
    ],
)
def test_a_shape_that_is_too_large_is_refused_unbuilt(kind: str, params: dict[str, Any], code: str) -> None:
    """Counts that are too large, negative or not whole numbers are refused by arithmetic alone."""
    with pytest.raises(Refused) as refused:
        check_recipe(Recipe(kind, params))
    assert refused.value.reason == code


@pytest.mark.parametrize(("kind", "field"), [(Body, "id"), (Joint, "a")])
@pytest.mark.parametrize("name", ["cobble\n", "cobble\nb", "Cobble", "", "a" * 49])
def test_a_name_is_one_word(kind: type, field: str, name: str) -> None:
    """Also without a line feed at its end, which $ of a regular expression lets pass."""
    with pytest.raises(msgspec.ValidationError, match=r"regex|length"):
        msgspec.convert({field: name}, kind)
