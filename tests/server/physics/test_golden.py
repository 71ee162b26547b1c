"""The golden hash: with the same libraries and CPU baseline, these sources always give this state.

A change of the solver's arithmetic changes the hash: run this file as a program to record the new one. Hashes may
differ between versions of the libraries, so they are kept per set of versions; with other versions the test is skipped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.server.physics.test_determinism import WORLDS, last_hash
from tussle.server.physics.fingerprint import versions

GOLDEN = Path(__file__).parent / "golden.json"


def machine() -> str:
    return hashlib.sha256(json.dumps(versions(), sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_golden_hash(name: str) -> None:
    """The last state of each world equals the recorded one, bit for bit."""
    known = json.loads(GOLDEN.read_text()).get(machine())
    if known is None:
        pytest.skip(f"NO GOLDEN HASH for {versions()}")
    assert last_hash(name) == known["hashes"][name]


if __name__ == "__main__":
    recorded = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    recorded[machine()] = {
        "versions": versions(),
        "hashes": {name: last_hash(name) for name in sorted(WORLDS)},
    }
    GOLDEN.write_text(json.dumps(recorded, indent=1) + "\n")
