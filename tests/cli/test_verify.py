"""The command `tussle verify`: exit codes, findings as JSON and as sentences, and no traceback for any input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from tests.server.archive.recorded import TOKEN, copied, make_old, recorded, stored, write_parts
from tests.support.paths import ROOT
from tussle.cli.verify import command
from tussle.server.archive.findings import Kind

__all__ = ["copied", "recorded"]


def verify(folder: Path | str, session: str = TOKEN, *options: str) -> Result:
    return CliRunner().invoke(command, [session, "--archive", str(folder), "--no-check", *options])


def document(result: Result) -> dict[str, Any]:
    assert len(result.stdout.splitlines()) == 1
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_whole_record_holds(recorded: Path) -> None:
    """Exit code 0; a note of what a crash cut off; the seal of the end."""
    found = verify(recorded, TOKEN, "--json")
    assert found.exit_code == 0, found.output
    answer = document(found)
    end = json.loads((recorded / TOKEN / "end.json").read_text())
    assert answer["holds"] and answer["sound"] and answer["whole"] and answer["seal"] == end["sha256"]
    assert (answer["ticks"], answer["checkpoints"]) == (40, 4)
    [note] = answer["findings"]
    assert set(note) == {"kind", "what", "file", "part", "tick", "grave"}
    assert (note["kind"], note["file"], note["grave"]) == ("cut", "000001.parts", False)
    said = verify(recorded)
    assert said.exit_code == 0 and "note      cut: 000001.parts: the last 300 bytes" in said.output
    assert "verdict   holds" in said.output


def test_a_change_is_named(copied: Path) -> None:
    """Exit code 1; file, part, tick and what, in both forms."""
    path = copied / "000001.parts"
    data = bytearray(path.read_bytes())
    data[stored(path)[1].at + 60] ^= 1
    path.write_bytes(bytes(data))
    found = verify(copied.parent, TOKEN, "--json")
    assert found.exit_code == 1
    grave = [one for one in document(found)["findings"] if one["grave"]]
    assert {"kind": "damaged", "file": "000001.parts", "part": 1}.items() <= grave[0].items()
    said = verify(copied.parent)
    assert said.exit_code == 1 and "finding   damaged: 000001.parts, part 1" in said.output
    assert "DOES NOT HOLD" in said.output


def test_why_an_archive_is_not_whole_is_said(copied: Path) -> None:
    """`whole: false` of an old archive, too."""
    make_old(copied)
    (copied / "end.json").write_text('{"tick": 40, "whole": false}')
    found = verify(copied.parent)
    assert found.exit_code == 1
    assert (
        "finding   not_whole: end.json, tick 40: whole is false: its holder could not write" in found.output
    )


def test_a_record_without_an_end_has_its_own_code(copied: Path) -> None:
    """Exit code 3 while all that is there is in order; 1 as soon as something is missing that another file names."""
    (copied / "end.json").unlink()
    found = verify(copied.parent)
    assert found.exit_code == 3 and "WITHOUT AN END" in found.output
    write_parts(copied / "000001.parts", lambda pieces: pieces[:1])
    assert verify(copied.parent).exit_code == 1


def test_no_input_ends_in_a_traceback(copied: Path, tmp_path: Path) -> None:
    """Text that is not UTF-8 in each file, folders as files, places that do not exist: a code, a sentence."""
    for name in sorted(path.name for path in copied.iterdir()):
        path = copied / name
        before = path.read_bytes()
        path.write_bytes(before[:40] + b"\xff" + before[41:])
        found = verify(copied.parent)
        assert found.exit_code == 1 and name in found.output, name
        path.unlink()
        path.mkdir()
        found = verify(copied.parent, TOKEN, "--json")
        assert found.exit_code == 1, found.output
        assert [one for one in document(found)["findings"] if one["file"] == name and one["grave"]]
        path.rmdir()
        path.write_bytes(before)
    (tmp_path / "file").write_bytes(b"")
    for folder, session in (
        (tmp_path / "nothing", TOKEN), (tmp_path / "file", TOKEN), ("nix://a", TOKEN), ("", "none"),
        (copied.parent, "../x"), (copied.parent, "\x1b[31m"), (copied.parent, "x\0"), (copied.parent, ""),
    ):  # fmt: skip
        found = verify(folder, session)
        assert found.exit_code == 2 and isinstance(found.exception, SystemExit), (
            folder,
            session,
            found.exception,
        )
        assert found.output.startswith("tussle: ") and "\x1b" not in found.output


@pytest.mark.parametrize("names", ["manifest", "everything"])
def test_a_session_of_which_nothing_can_be_read_is_said(copied: Path, names: str) -> None:
    """Exit code 1, and what is missing is named."""
    for path in copied.iterdir():
        if names == "everything" or path.name.startswith("manifest"):
            path.write_bytes(b"\xff\xfe")
    found = verify(copied.parent, TOKEN, "--json")
    assert found.exit_code == 1
    answer = document(found)
    assert {"manifest-000001.json", "manifest-000002.json"} <= {one["file"] for one in answer["findings"]}
    assert not answer["holds"] and answer["smallest_gap_m"] is None


def test_the_reference_has_every_kind_and_code() -> None:
    """docs/reference/archive.md explains each kind of finding, and no other."""
    page = (ROOT / "docs/reference/archive.md").read_text()
    kinds = re.findall(r"^\| `(\w+)` \|", page[page.index("| kind |") :], re.MULTILINE)
    assert sorted(kinds) == sorted(get_args(Kind))
    codes = re.findall(r"^\| (\d) \|", page, re.MULTILINE)
    assert codes == ["0", "1", "2", "3"]
    assert command.help is not None
    assert all(f"{code}:" in command.help for code in codes)
