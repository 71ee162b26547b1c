"""The golden archives: `tussle verify` still simulates recorded sessions to the same bits.

same libraries, Python and CPU   every hash must be equal, also after a change of the source; an intended change
                                 records them again: python -m tests.golden.record
any other                        the contact checks must pass; hashes that differ are reported by a skip
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden.record import ARCHIVE, GOLDEN
from tests.server.archive.recorded import make_old
from tests.support.paths import ROOT
from tussle.server.archive.archive import Archive
from tussle.server.archive.parts import OLD_SCHEMA, Manifest
from tussle.server.archive.verify import load_record, verify
from tussle.server.simulation.identity import origin

pytestmark = pytest.mark.timeout(600)  # a cold start compiles the kernels

SOURCE = {"source"}
"""Parts of the physics id that may differ without a change of the results."""


@functools.cache
def verdict_of(archive: Path, session: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the verdict of `tussle verify`, in a fresh process."""
    tussle = [sys.executable, "-c", "from tussle.cli.main import main; main()"]
    done = subprocess.run(
        [*tussle, "verify", session, "--archive", str(archive), "--json"],
        cwd=ROOT,
        env={"NUMBA_CACHE_DIR": str(Path(sys.prefix) / "kernels"), **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, verdict


def test_the_golden_archives_are_those_that_are_recorded() -> None:
    """Each archive is whole, with inputs, every tick's hash and the specification that tests/golden/record.py has."""
    archive = Archive(str(ARCHIVE))
    assert archive.sessions() == sorted(GOLDEN)
    for name, (spec, _) in GOLDEN.items():
        record = load_record(archive, name)
        assert record.spec == spec, "record them again: python -m tests.golden.record"
        assert record.inputs and record.ended
        assert set(record.hashes) == set(range(1, record.last_tick + 1))
        assert set(origin()) == set(record.manifests[0].versions)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_session_is_simulated_to_the_same_bits(name: str) -> None:
    """Every tick has the recorded hash and every contact check passes. Else differences are named."""
    code, verdict = verdict_of(ARCHIVE, name)
    assert verdict["proofs"] > 0 and verdict["broken"] == [] and verdict["conflict"] is None, verdict
    assert verdict["smallest_gap_m"] > 0
    others = sorted(set(verdict["differing"]) - SOURCE)
    if verdict["holds"]:
        assert code == 0 and verdict["compared"] == verdict["ticks"] > 200
        return
    assert code == 1
    first = f"{name}: the first divergent tick is {verdict['diverged']}; {' '.join(verdict['differences'])}"
    if others:
        pytest.skip(f"GOLDEN HASHES NOT COMPARED, {', '.join(others)} differs from the recording. {first}")
    pytest.fail(
        f"{first}. The same libraries and CPU must give the same bits: if the simulation was changed on purpose, "
        "record again with `python -m tests.golden.record` and say why in the commit."
    )


def changed(tmp_path: Path, name: str, **versions: str) -> Path:
    """A copy of the archive with other versions in its manifest."""
    folder = tmp_path / name
    folder.mkdir()
    for path in (ARCHIVE / name).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / "manifest-000001.json"
    if json.loads(path.read_text())["schema"] != OLD_SCHEMA:
        make_old(folder)  # a new manifest cannot be changed without a finding
    manifest = json.loads(path.read_text())
    manifest["versions"] |= versions
    manifest["physics_id"] = "0123456789abcdef"
    path.write_text(json.dumps(manifest))
    return tmp_path


def test_another_origin_is_said_by_name_and_hides_nothing(tmp_path: Path) -> None:
    """Another library, CPU and source are named, also in a sentence. The verdict on the hashes does not change."""
    archive = changed(tmp_path, "duel", numpy="1.0.0", cpu="another", source="older")
    code, verdict = verdict_of(archive, "duel")
    assert {"cpu", "numpy", "source"} <= set(verdict["differing"])
    (sentence,) = verdict["differences"]
    assert "numpy 1.0.0 there" in sentence and "cpu another there" in sentence
    assert "0123456789abcdef" in sentence
    _, plain = verdict_of(ARCHIVE, "duel")
    assert (verdict["holds"], verdict["diverged"], code) == (
        plain["holds"],
        plain["diverged"],
        0 if plain["holds"] else 1,
    )


def test_a_record_that_the_world_leaves_is_followed_to_there(tmp_path: Path) -> None:
    """An input is missing and a hash is wrong: the verdict names the first divergent tick and why the replay halts."""
    record = load_record(Archive(str(ARCHIVE)), "duel")
    own = verify(record, check_contact=False)
    turns = sorted(record.inputs)
    wrong = turns[0] + 3
    record.hashes[wrong] = bytes(16)
    del record.inputs[turns[1]]
    verdict = verify(record)
    assert verdict.diverged == min(wrong, own.diverged or wrong)
    assert not verdict.holds and verdict.ticks < record.last_tick
    assert verdict.halted == f"at tick {verdict.ticks} the world waits for an input that is not recorded"
    assert verdict.proofs > 0 and verdict.broken == []


def test_a_manifest_without_an_origin_is_compared_by_its_id(tmp_path: Path) -> None:
    """An older manifest names only Python. Parts that it does not name are not reported as different."""
    archive = changed(tmp_path, "sandbox")
    path = tmp_path / "sandbox" / "manifest-000001.json"
    manifest = json.loads(path.read_text())
    manifest["versions"] = {"python": origin()["python"]}
    path.write_text(json.dumps(manifest))
    record = load_record(Archive(str(archive)), "sandbox")
    assert isinstance(record.manifests[0], Manifest)
    verdict = verify(record, check_contact=False)
    assert verdict.differing == set()
    assert verdict.differences[0].endswith("other source or CPU")
