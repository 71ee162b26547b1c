from typing import Any

import pytest

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec, check_action

SPEC = ActionSpec(
    seat=0,
    kinds=(
        ActionKind(
            "launch", {"azimuth": ActionField(low=-360, high=360), "power": ActionField(low=0, high=1)}
        ),
        ActionKind("brace"),
        ActionKind(
            "grab",
            {
                "body": ActionField("name"),
                "how": ActionField("choice", choices=("soft", "hard"), default="soft"),
                "at": ActionField("vector", low=-5, high=5),
            },
        ),
    ),
)


def test_canonical() -> None:
    """A legal action comes back with floats, lists and defaults."""
    assert check_action(SPEC, "launch", {"azimuth": 90, "power": 1}) == {"azimuth": 90.0, "power": 1.0}
    assert check_action(SPEC, "brace", {}) == {}
    grab = check_action(SPEC, "grab", {"body": "cobble-1", "at": (0, 1, 2)})
    assert grab == {"body": "cobble-1", "how": "soft", "at": [0.0, 1.0, 2.0]}


@pytest.mark.parametrize(
    ("kind", "d", "code", "field"),
    [
        ("fly", {}, "unknown_kind", "kind"),
        ("skip", {}, "unknown_kind", "kind"),
        ("launch", {"azimuth": 0}, "missing_field", "power"),
        ("launch", {"azimuth": 0, "power": 1, "x": 1}, "unknown_field", "x"),
        ("launch", {"azimuth": 0, "power": 1.01}, "out_of_range", "power"),
        ("launch", {"azimuth": 0, "power": float("nan")}, "out_of_range", "power"),
        ("launch", {"azimuth": 10**400, "power": 1}, "out_of_range", "azimuth"),
        ("launch", {"azimuth": "north", "power": 1}, "bad_type", "azimuth"),
        ("launch", {"azimuth": True, "power": 1}, "bad_type", "azimuth"),
        ("launch", {"azimuth": None, "power": 1}, "missing_field", "azimuth"),
        ("grab", {"body": "No Name", "at": [0, 0, 0]}, "bad_type", "body"),
        ("grab", {"body": "cobble-1\n", "at": [0, 0, 0]}, "bad_type", "body"),
        ("grab", {"body": "a", "at": [0, 0]}, "bad_type", "at"),
        ("grab", {"body": "a", "at": [0, 0, 9]}, "out_of_range", "at"),
        ("grab", {"body": "a", "at": [0, 0, 0], "how": "odd"}, "out_of_range", "how"),
    ],
)
def test_refused(kind: str, d: dict[str, Any], code: str, field: str) -> None:
    """An illegal action is refused with a code and the field at fault."""
    with pytest.raises(Refused) as caught:
        check_action(SPEC, kind, d)
    assert (caught.value.reason, caught.value.field) == (code, field)
