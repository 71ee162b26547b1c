"""The equations of the spring-damper, without a store."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.rules.spring import Spring, SpringState, decode_state, encode_state


def march(spring: Spring, x0: float = 0.0, v0: float = 1.0) -> list[SpringState]:
    states = [SpringState(x=x0, v=v0, t=0.0)]
    while (half := spring.step_velocity(states[-1])) is not None:
        whole = spring.step_position(half)
        assert whole is not None
        states.append(whole)
    return states


def test_the_first_steps_are_the_documented_ones() -> None:
    """x1, v1, x2 and the state after 1000 steps equal the documented values."""
    states = march(Spring())
    assert states[1].x == pytest.approx(0.0998, abs=1e-15)
    assert states[1].v == pytest.approx(0.998, abs=1e-15)
    assert states[2].x == pytest.approx(0.1984024, abs=1e-15)
    assert states[1000].x == pytest.approx(-0.15788136, abs=5e-9)
    assert states[1000].v == pytest.approx(0.32552761, abs=5e-9)
    assert len(states) == 1001


@pytest.mark.parametrize(
    ("m", "k", "zeta", "h", "cycles"),
    [
        (1, 1, 0.01, 0.1, 1000),
        (2, 1, 0.01, 0.1, 1000),
        (1, 5, 0.01, 0.1, 1000),
        (1, 1, 0.2, 0.1, 400),
        (1, 1, 0, 0.02, 50),
        (3, 2, 0.05, 0.25, 7),
    ],
)
def test_the_closed_form_follows_every_setting(
    m: float, k: float, zeta: float, h: float, cycles: int
) -> None:
    """The steps equal the closed form for every choice of m, k, zeta, h and the number of cycles."""
    spring = Spring(m=m, k=k, zeta=zeta, h=h, cycles=cycles)
    states = march(spring, 0.3, -0.7)
    assert len(states) == cycles + 1
    for state in states:
        x, v = spring.closed_form(0.3, -0.7, state.n)
        assert state.x == pytest.approx(x, abs=1e-9)
        assert state.v == pytest.approx(v, abs=1e-9 / h)


def test_the_error_halves_with_the_step() -> None:
    """The largest error against the exact solution over 20 s is of first order in h.

    The test starts at x0 = 1: from x0 = 0 the first-order term is only that of the small damping."""
    errors = []
    for cycles in (400, 800, 1600, 3200):
        spring = Spring(h=20.0 / cycles, cycles=cycles)
        errors.append(
            max(
                abs(state.x - spring.exact(1.0, 0.0, state.n * spring.h)) for state in march(spring, 1.0, 0.0)
            )
        )
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2.0, rel=0.05)


def test_parameters_without_oscillation_have_no_closed_form() -> None:
    """Too large a step and too strong a damping raise ValueError."""
    with pytest.raises(ValueError, match="oscillate"):
        Spring(h=3.0).closed_form(0.0, 1.0, 5)
    with pytest.raises(ValueError, match="oscillate"):
        Spring(zeta=6.0).closed_form(0.0, 1.0, 5)
    with pytest.raises(ValueError, match="oscillate"):
        Spring(m=1e-308, k=1e308, zeta=0.0).closed_form(0.0, 1.0, 5)  # k / m overflows, and d is not a number
    with pytest.raises(ValueError, match="zeta"):
        Spring(zeta=1.0).exact(0.0, 1.0, 5.0)


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(x=finite, v=finite, t=finite, n=st.integers(0, 10**9))
def test_a_state_survives_its_text(x: float, v: float, t: float, n: int) -> None:
    """Encoding and decoding keep every bit of every float."""
    state = SpringState(x=x, v=v, t=t, n=n, run="1-0")
    back = decode_state(encode_state(state))
    assert back == state
    assert math.copysign(1, back.x) == math.copysign(1, x)


def test_a_trigger_has_no_n() -> None:
    """A state without n and run, as a person types it, decodes with n = 0 and no run."""
    assert decode_state('{"x":0,"v":1,"t":0.0}') == SpringState(x=0.0, v=1.0, t=0.0, n=0, run="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"x":1,"v":2}',
        '{"x":1e999,"v":0,"t":0}',
        '{"x":NaN,"v":0,"t":0}',
        '{"x":0,"v":0,"t":0,"n":-1}',
    ],
)
def test_no_other_text_is_a_state(text: str) -> None:
    """Text without three finite numbers raises ValueError."""
    with pytest.raises(ValueError):
        decode_state(text)
