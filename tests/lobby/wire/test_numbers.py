"""Numbers of JSON messages."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.wire.numbers import as_sent, events_as_sent, read_seed


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_has_nine_digits_and_stays_the_number_that_it_was(value: float) -> None:
    """At most nine digits and twelve decimals are written; the error is at most half of the last one."""
    sent = as_sent(value)
    digits = repr(sent).partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")
    assert len(digits) <= 9
    assert math.isclose(sent, value, rel_tol=5.001e-9, abs_tol=5.001e-13)


def test_only_floats_and_seeds_are_changed() -> None:
    """Integers, texts, booleans, null and infinity stay, at any depth; a seed becomes a string."""
    value: dict[str, Any] = {
        "a": (1, 2**62, True, None, "0.12345678901234"),
        "b": [{"seed": 2**63 - 1, "c": math.inf}],
    }
    assert as_sent(value) == {
        "a": [1, 2**62, True, None, "0.12345678901234"], "b": [{"seed": "9223372036854775807", "c": math.inf}]
    }  # fmt: skip
    assert events_as_sent([(3, "blow", {"normal": (1 / 3, 0.0)})]) == [
        (3, "blow", {"normal": [0.333333333, 0.0]})
    ]


@pytest.mark.parametrize("seed", [0, 7, 2**53 + 1, 2**63 - 1])
def test_a_seed_is_read_as_a_string_and_as_an_integer(seed: int) -> None:
    """Servers before this one sent integers."""
    assert read_seed(as_sent({"seed": seed})["seed"]) == read_seed(seed) == seed


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, None, "x", "", "-1", "9" * 30, [1]])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    """A seed has 63 bits."""
    with pytest.raises(ValueError, match=r"seed|literal"):
        read_seed(seed)
