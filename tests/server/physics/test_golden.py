"""The golden hash: on one kind of machine, these sources always give this state.

A change of the solver changes it, and its author writes down the new one: run this file as a program. Across
processors and library versions nothing is promised, so the hash is kept per machine, and skipped on others.
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
    """The last state of each world is, to the bit, the one that was written down."""
    known = json.loads(GOLDEN.read_text()).get(machine())
    if known is None:
        pytest.skip("no golden hash for this processor and these versions")
    assert last_hash(name) == known["hashes"][name]


if __name__ == "__main__":
    told = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    told[machine()] = {"versions": versions(), "hashes": {name: last_hash(name) for name in sorted(WORLDS)}}
    GOLDEN.write_text(json.dumps(told, indent=1) + "\n")
