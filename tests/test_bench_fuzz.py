"""Damaged bytes for the decoders of binary messages: bench/wire/fuzz.py with 10,000 inputs."""

from __future__ import annotations

import pytest

from bench.wire.fuzz import run


@pytest.mark.timeout(600)  # a cold start compiles the decoder
def test_damaged_bytes_are_shown_ignored_or_refused() -> None:
    """No decoder raises anything but ProtocolError, or shows what cannot be drawn; each of them shows some inputs and
    refuses others, so that the damage reaches all of its parts."""
    for counts in run(10_000, 5).values():
        assert counts["shown"] > 10
        assert counts["refused"] > 100
