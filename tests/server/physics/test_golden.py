"""The golden hash: with the same libraries and CPU baseline, these sources always give this state.

A change of the solver's arithmetic changes the hash: run this file as a program to record the new one. Hashes may
differ between versions of the libraries, so they are kept per set of versions; with other versions the test is skipped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.physics.test_determinism import WORLDS, last_hash
from tests.support.paths import ROOT
from tussle.lobby.cpu_baseline import baseline
from tussle.lobby.launch import child_environment
from tussle.server.physics.fingerprint import versions

GOLDEN = Path(__file__).parent / "golden.json"


EMULATED = (("averaged", 16), ("melee", 30), ("mixed", 12), ("soft", 6))
"""Worlds, and their ticks on an emulated CPU: until all bodies touch and slide, and one is pulled by its handle."""


def machine() -> str:
    return hashlib.sha256(json.dumps(versions(), sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_golden_hash(name: str) -> None:
    """The last state of each world equals the recorded one, bit for bit."""
    known = json.loads(GOLDEN.read_text()).get(machine())
    if known is None:
        pytest.skip(f"NO GOLDEN HASH for {versions()}")
    assert last_hash(name) == known["hashes"][name]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(baseline() != "x86-64-v3", reason="qemu emulates a CPU of this baseline only")
def test_another_cpu_computes_the_same_bits() -> None:
    """A Haswell of 2013, emulated instruction by instruction without AVX-512, gives the hashes that this CPU gives, in
    as many ticks as the bodies need to touch and slide."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("QEMU-USER IS MISSING: the hashes of another CPU were not compared")
    program = (
        "import json\n"
        "from tussle.server.solver.kernels import load_kernels\n"
        "load_kernels()\n"  # before anything else loads them in numba's own way, which takes twice as long
        "from numpy._core._multiarray_umath import __cpu_features__ as has\n"
        "from tests.server.physics.test_determinism import last_hash\n"
        f"print(json.dumps([has['AVX2'], has['AVX512F'], [last_hash(*one) for one in {EMULATED!r}]]))"
    )
    done = subprocess.run(
        [emulator, "-cpu", "Haswell", sys.executable, "-c", program],
        cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [True, False, [last_hash(*one) for one in EMULATED]]


if __name__ == "__main__":
    recorded = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    recorded[machine()] = {
        "versions": versions(),
        "hashes": {name: last_hash(name) for name in sorted(WORLDS)},
    }
    GOLDEN.write_text(json.dumps(recorded, indent=1) + "\n")
