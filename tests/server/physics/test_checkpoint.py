"""A state survives encoding and decoding exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.errors import Diverged
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash
from tussle.server.physics.world_state import State

FLOATS = st.floats(allow_nan=False)


@given(st.integers(0, 4), st.integers(0, 9), st.integers(0, 2**63), st.data())
def test_round_trip(bodies: int, nodes: int, tick: int, data: st.DataObject) -> None:
    """Decoding gives the same state to the bit, and the same hash."""
    numbers = data.draw(st.lists(FLOATS, min_size=6 * nodes, max_size=6 * nodes))
    q, v = np.array(numbers).reshape(2, nodes, 3)
    active = np.array(data.draw(st.lists(st.booleans(), min_size=bodies, max_size=bodies)), dtype=bool)
    state = State(q=q, v=v, active=active, tick=tick)
    again = decode_state(encode_state(state))
    assert again.q.tobytes() == q.tobytes() and again.v.tobytes() == v.tobytes()
    assert again.tick == tick and (again.active == active).all()
    assert state_hash(again) == state_hash(state)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:10], lambda b: b[:-1], lambda b: b + b"x", lambda b: b"TSS9" + b[4:]]
)
def test_damaged_bytes_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    """Bytes that are not one whole state raise Diverged."""
    state = State(q=np.ones((2, 3)), v=np.zeros((2, 3)), active=np.ones(1, dtype=bool))
    with pytest.raises(Diverged):
        decode_state(damage(encode_state(state)))


def test_one_bit_changes_the_hash() -> None:
    """States that differ in the last bit of one number have different hashes."""
    q = np.ones((2, 3))
    state = State(q=q, v=np.zeros((2, 3)), active=np.ones(1, dtype=bool))
    other = q.copy()
    other[1, 2] = np.nextafter(1.0, 2.0)
    assert state_hash(state) != state_hash(State(q=other, v=state.v, active=state.active))
