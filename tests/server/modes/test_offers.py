"""What a server publishes of its modes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tussle.lobby.errors import Refused
from tussle.server.modes.mode import Seat
from tussle.server.modes.offers import offered_modes
from tussle.server.modes.registry import all_modes

OFFERED = {one.mode: one for one in offered_modes().modes}


def test_every_mode_is_offered() -> None:
    """With what its class says of it."""
    assert list(OFFERED) == list(all_modes())
    for name, mode in all_modes().items():
        one = OFFERED[name]
        assert (one.seats, one.policy, one.builds, one.rated) == (
            mode.seats, mode.policy, mode.editable_scene, mode.rated,
        )  # fmt: skip
    assert [name for name, one in OFFERED.items() if one.bots] == ["duel", "curling", "sandbox"]


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_the_schema_has_the_defaults_and_bounds_that_the_mode_takes(name: str) -> None:
    """Its defaults make a session; a number beyond a bound is refused."""
    schema: Any = OFFERED[name].params
    mode = all_modes()[name]
    assert set(schema["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(mode.params_type)
    }
    bounds = 0
    for field, about in schema["properties"].items():
        assert "default" in about, field
        for bound, beyond in (("minimum", -1), ("maximum", 1)):
            if bound in about:
                bounds += 1
                with pytest.raises(msgspec.ValidationError):
                    msgspec.convert({field: about[bound] + beyond}, mode.params_type)
    assert bounds
    given = {field: about["default"] for field, about in schema["properties"].items()}
    assert msgspec.convert(given, mode.params_type) == mode.params_type()  # type: ignore[misc]


def test_a_seat_is_needed_for_a_session_all_the_same() -> None:
    """The description makes no promise about seats that the mode does not keep."""
    low, _ = OFFERED["curling"].seats
    seats = [Seat(seat=0, player="", name="", kind="person", body="")] * (low - 1)
    with pytest.raises(Refused):
        all_modes()["curling"]({}, seats, {})
