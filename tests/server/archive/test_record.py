"""Every byte of an archive is covered: each way to change one is found and named, on a session that was really run."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.server.archive.recorded import (
    CUT_BYTES,
    INPUTS,
    OTHER,
    TOKEN,
    copied,
    found_in,
    make_old,
    record_session,
    recorded,
    rewritten,
    run_to,
    spec,
    stored,
    verdict_of,
    write_parts,
)
from tussle.lobby.errors import NotFound, ProtocolError
from tussle.server.archive import archive as module
from tussle.server.archive.archive import Archive
from tussle.server.archive.findings import Finding
from tussle.server.archive.parts import (
    HASH_BYTES,
    ArchiveEnd,
    ArchivePart,
    Manifest,
    TakenOver,
    describe_epoch,
    digest_of,
    encode_part,
    seal,
)
from tussle.server.archive.record import load_record
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Simulation

__all__ = ["copied", "recorded"]

ONE, TWO = "000001.parts", "000002.parts"
FIRST, SECOND, END = "manifest-000001.json", "manifest-000002.json", "end.json"

Change = Callable[[Path], object]


def flip(path: Path, at: int, bits: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bits
    path.write_bytes(bytes(data))


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def flipped(name: str, after: bytes, offset: int = 0) -> Change:
    """Flip a bit ``offset`` bytes after the first occurrence of some bytes in a file."""

    def change(folder: Path) -> None:
        at = (folder / name).read_bytes().index(after) + len(after) + offset
        flip(folder / name, at)

    return change


def in_part(name: str, number: int, after: bytes, offset: int = 0) -> Change:
    """The same in the body of a part."""

    def change(folder: Path) -> None:
        part = stored(folder / name)[number]
        at = (folder / name).read_bytes().index(after, part.at + 40) + len(after) + offset
        assert at < part.at + part.size
        flip(folder / name, at)

    return change


def at_part(name: str, number: int, offset: int) -> Change:
    """Flip a bit of the head of a part: magic 0, length 4, hash 8."""
    return lambda folder: flip(folder / name, stored(folder / name)[number].at + offset)


def parts(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Change:
    return lambda folder: write_parts(folder / name, change)


def swap(pieces: list[bytes]) -> list[bytes]:
    return [pieces[0], pieces[2], pieces[1], *pieces[3:]]


def cut(name: str, count: int) -> Change:
    return lambda folder: put(folder / name, (folder / name).read_bytes()[:-count])


def removed(*names: str) -> Change:
    return lambda folder: [(folder / name).unlink() for name in names].clear()


def renamed(name: str, to: str) -> Change:
    return lambda folder: shutil.move(folder / name, folder / to)


def foreign(name: str) -> Change:
    """The file of another session."""
    return lambda folder: shutil.copy(folder.parent / OTHER / name, folder / name)


def foreign_part(folder: Path) -> None:
    other = folder.parent / OTHER / ONE
    [taken] = [other.read_bytes()[part.at : part.at + part.size] for part in stored(other)[2:3]]
    write_parts(folder / ONE, lambda pieces: [*pieces[:2], taken, *pieces[3:]])


def forged(name: str, number: int, change: Callable[[ArchivePart], ArchivePart]) -> Change:
    """A part that is changed and has a right hash of its own again."""

    def rewrite(folder: Path) -> None:
        part = stored(folder / name)[number].part
        assert part is not None
        write_parts(folder / name, lambda p: [*p[:number], rewritten(change(part)), *p[number + 1 :]])

    return rewrite


def chained(name: str, number: int, change: Callable[[ArchivePart], ArchivePart]) -> Change:
    """The same with all later parts chained to it, and the end rewritten: only re-simulation can find it."""

    def rewrite(folder: Path) -> None:
        found = [part.part for part in stored(folder / name)]
        bodies: list[ArchivePart] = []
        for part in found:
            assert part is not None
            if part.number == number:
                part = change(part)
            if bodies:
                previous = bytes.fromhex(digest_of(encode_part(bodies[-1])))
                part = msgspec.structs.replace(part, previous=previous)
            bodies.append(part)
        write_parts(folder / name, lambda _: [rewritten(part) for part in bodies])
        end = msgspec.json.decode((folder / END).read_bytes(), type=ArchiveEnd)
        epochs = [
            describe_epoch(
                one.epoch,
                (folder / f"manifest-{one.epoch:06d}.json").read_bytes(),
                [(folder / f"{one.epoch:06d}.parts").read_bytes()],
            )
            for one in end.epochs
        ]
        (folder / END).write_bytes(seal(msgspec.structs.replace(end, epochs=epochs))[0])

    return rewrite


def other_hash(part: ArchivePart) -> ArchivePart:
    first, _ = part.hashes[2]
    return msgspec.structs.replace(
        part, hashes=[*part.hashes[:2], (first, bytes(HASH_BYTES)), *part.hashes[3:]]
    )


def other_input(part: ArchivePart) -> ArchivePart:
    tick, given = part.inputs[0]
    changed = msgspec.structs.replace(given, d={**given.d, "strength": 5.000000001})
    return msgspec.structs.replace(part, inputs=[(tick, changed)])


def other_state(part: ArchivePart) -> ArchivePart:
    tick, data = part.checkpoints[0]
    return msgspec.structs.replace(part, checkpoints=[(tick, data[:-1] + bytes([data[-1] ^ 1]))])


def late_input(part: ArchivePart) -> ArchivePart:
    return msgspec.structs.replace(part, inputs=[*part.inputs, (4_000_000_000, INPUTS[12])])


def resealed(name: str, **fields: object) -> Change:
    """A document with other fields and a right seal."""

    def change(folder: Path) -> None:
        kind = ArchiveEnd if name == END else Manifest
        document = msgspec.json.decode((folder / name).read_bytes(), type=kind)
        (folder / name).write_bytes(seal(msgspec.structs.replace(document, **fields))[0])

    return change


def old_end(folder: Path) -> None:
    (folder / END).write_bytes(b'{"tick":40,"whole":true}')


TAMPERINGS: dict[str, tuple[Change, tuple[str, str, int | None, int | None]]] = {
    # manifests: every field
    "manifest, brace": (lambda f: flip(f / FIRST, 0), ("damaged", FIRST, None, None)),
    "manifest, key": (flipped(FIRST, b'{"'), ("damaged", FIRST, None, None)),
    "manifest, schema": (flipped(FIRST, b'"schema":"'), ("damaged", FIRST, None, None)),
    "manifest, session": (flipped(FIRST, b'"session":"'), ("foreign", FIRST, None, None)),
    "manifest, epoch": (flipped(FIRST, b'"epoch":'), ("foreign", FIRST, None, None)),
    "manifest, physics": (flipped(FIRST, b'"physics_id":"'), ("damaged", FIRST, None, None)),
    "manifest, versions": (flipped(FIRST, b'"numpy":"'), ("damaged", FIRST, None, None)),
    "manifest, seed": (flipped(FIRST, b'"seed":'), ("damaged", FIRST, None, None)),
    "manifest, name of a player": (flipped(FIRST, b'"name":"'), ("damaged", FIRST, None, None)),
    "manifest, date": (flipped(FIRST, b'"at":'), ("damaged", FIRST, None, None)),
    "manifest, seal": (flipped(FIRST, b'"sha256":"'), ("damaged", FIRST, None, None)),
    "manifest, not UTF-8": (lambda f: flip(f / FIRST, 60, 0x80), ("damaged", FIRST, None, None)),
    "manifest, taken over at": (flipped(SECOND, b'"tick":'), ("damaged", SECOND, None, None)),
    "manifest, taken over from": (flipped(SECOND, b'"checkpoint":"'), ("damaged", SECOND, None, None)),
    "manifest, head": (flipped(SECOND, b'"part":'), ("damaged", SECOND, None, None)),
    "manifest, empty": (lambda f: put(f / FIRST, b""), ("damaged", FIRST, None, None)),
    "manifest, of another session": (foreign(FIRST), ("foreign", FIRST, None, None)),
    "manifest, of another epoch": (
        lambda f: shutil.copy(f / FIRST, f / SECOND), ("foreign", SECOND, None, None)),
    "manifest, sealed with another date": (resealed(FIRST, at=1.0), ("unchained", ONE, 0, None)),
    "manifest, sealed as of another state": (
        resealed(SECOND, taken_over=None), ("differs", SECOND, None, None)),
    # the end: every field
    "end, tick": (flipped(END, b'"tick":'), ("damaged", END, None, None)),
    "end, not whole": (flipped(END, b'"whole":'), ("damaged", END, None, None)),
    "end, schema": (flipped(END, b'"schema":"'), ("damaged", END, None, None)),
    "end, session": (flipped(END, b'"session":"'), ("foreign", END, None, None)),
    "end, epoch": (flipped(END, b'"epoch":'), ("damaged", END, None, None)),
    "end, parts of an epoch": (flipped(END, b'"parts":'), ("damaged", END, None, None)),
    "end, hash of a part": (flipped(END, b'"parts":4,"sha256":"'), ("damaged", END, None, None)),
    "end, remainder": (flipped(END, b'"remainder":'), ("damaged", END, None, None)),
    "end, seal": (flipped(END, b'],"sha256":"'), ("damaged", END, None, None)),
    "end, of another session": (foreign(END), ("foreign", END, None, None)),
    "end, of an old schema": (old_end, ("damaged", END, None, None)),
    "end, sealed at an earlier tick": (resealed(END, tick=30), ("differs", TWO, 2, 40)),
    "end, sealed at a later tick": (resealed(END, tick=10**18), ("missing", TWO, 2, 41)),
    "end, sealed without epochs": (resealed(END, epochs=[]), ("foreign", TWO, None, None)),
    "end, sealed as not whole": (resealed(END, whole=False), ("not_whole", END, None, 40)),
    # parts: every region
    "part, magic": (at_part(ONE, 1, 0), ("damaged", ONE, 1, 11)),
    "part, length": (at_part(ONE, 1, 4), ("damaged", ONE, None, None)),
    "part, high byte of the length": (at_part(ONE, 1, 7), ("damaged", ONE, None, None)),
    "part, hash": (at_part(ONE, 1, 8), ("damaged", ONE, 1, 11)),
    "part, schema": (in_part(ONE, 1, b"schema", 1), ("damaged", ONE, 1, 11)),
    "part, key": (in_part(ONE, 1, b"sch"), ("damaged", ONE, 1, None)),
    "part, epoch": (in_part(ONE, 1, b"epoch"), ("foreign", ONE, 1, 11)),
    "part, number": (in_part(ONE, 1, b"number"), ("damaged", ONE, 0, 11)),
    "part, input": (in_part(ONE, 1, b"position", 4), ("damaged", ONE, 1, 11)),
    "part, not UTF-8": (in_part(ONE, 1, b"spaw"), ("damaged", ONE, 1, 11)),
    "part, hash of a tick": (in_part(ONE, 1, b"hashes", 6), ("damaged", ONE, 1, 11)),
    "part, checkpoint": (in_part(ONE, 1, b"TSS1", 90), ("damaged", ONE, 1, 11)),
    "part, session": (in_part(ONE, 1, TOKEN[:4].encode()), ("foreign", ONE, 1, 11)),
    "part, previous": (in_part(ONE, 1, b"previous", 5), ("damaged", ONE, 1, 11)),
    "part, first": (in_part(ONE, 0, b"TSS1", 90), ("damaged", ONE, 0, 0)),
    "part, last": (in_part(TWO, 2, b"hashes", 6), ("damaged", TWO, 2, 37)),
    "part that a later holder recorded again": (in_part(ONE, 3, b"hashes", 6), ("damaged", ONE, 3, 24)),
    "part, removed": (parts(ONE, lambda p: [p[0], *p[2:]]), ("missing", ONE, 1, None)),
    "part, first removed": (parts(ONE, lambda p: p[1:]), ("missing", ONE, 0, None)),
    "part, last removed": (parts(TWO, lambda p: p[:-1]), ("missing", TWO, 2, None)),
    "part, last of a dead holder removed": (parts(ONE, lambda p: p[:-1]), ("missing", ONE, 3, None)),
    "parts, half removed": (parts(ONE, lambda p: p[:2]), ("missing", ONE, 2, None)),
    "parts, all removed": (parts(ONE, lambda p: []), ("missing", ONE, 0, None)),
    "parts, swapped": (parts(ONE, swap), ("misplaced", ONE, 1, 11)),
    "part, repeated": (parts(ONE, lambda p: [*p[:2], p[1], *p[2:]]), ("repeated", ONE, 1, 11)),
    "part, of another session": (foreign_part, ("foreign", ONE, 2, 21)),
    "part, of another epoch": (
        lambda f: write_parts(f / ONE, lambda p: [*p, (f / TWO).read_bytes()[: stored(f / TWO)[0].size]]),
        ("foreign", ONE, 0, 21),
    ),
    "parts, of another session": (foreign(TWO), ("foreign", TWO, 0, 21)),
    "part, forged": (forged(ONE, 1, other_hash), ("unchained", ONE, 1, None)),
    "part, last forged": (forged(TWO, 2, other_hash), ("unchained", TWO, 2, None)),
    # files
    "file, a byte cut": (cut(TWO, 1), ("damaged", TWO, None, None)),
    "file, half cut": (cut(TWO, 1000), ("missing", TWO, 0, None)),
    "file, what a crash left is cut further": (cut(ONE, 5), ("damaged", ONE, None, None)),
    "file, what a crash left is gone": (cut(ONE, CUT_BYTES), ("cut", ONE, None, None)),
    "file, what a crash left is changed": (lambda f: flip(f / ONE, -7), ("damaged", ONE, None, None)),
    "file, bytes appended": (
        lambda f: put(f / TWO, (f / TWO).read_bytes() + b"TSA2"), ("damaged", TWO, None, None)),
    "file, bytes before": (
        lambda f: put(f / TWO, b"\0" + (f / TWO).read_bytes()), ("damaged", TWO, None, None)),
    "file, empty": (lambda f: put(f / TWO, b""), ("missing", TWO, 0, None)),
    "file, parts removed": (removed(ONE), ("missing", ONE, 0, None)),
    "file, manifest removed": (removed(SECOND), ("missing", SECOND, None, None)),
    "files, an epoch removed": (removed(FIRST, ONE), ("missing", FIRST, None, None)),
    "files, the last epoch removed": (removed(SECOND, TWO), ("missing", TWO, None, None)),
    "file, parts renamed": (renamed(TWO, "000003.parts"), ("foreign", "000003.parts", 0, 21)),
    "file, manifest renamed": (renamed(FIRST, "manifest-000007.json"), ("foreign", "manifest-000007.json", None, None)),
    "files, swapped": (
        lambda f: [(f / ONE).rename(f / "x"), (f / TWO).rename(f / ONE), (f / "x").rename(f / TWO)],
        ("foreign", ONE, 0, 21),
    ),
    "file, a folder in its place": (
        lambda f: [(f / TWO).unlink(), (f / TWO).mkdir()], ("damaged", TWO, None, None)),
}  # fmt: skip


def grave(findings: list[Finding]) -> list[tuple[str, str, int | None, int | None]]:
    return [(one.kind, one.file, one.part, one.tick) for one in findings if one.grave]


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_found_and_named(copied: Path, name: str) -> None:
    """Its kind, file, part and first tick are named before anything is simulated, and the record does not hold."""
    change, expected = TAMPERINGS[name]
    change(copied)
    findings = found_in(copied)
    assert expected in grave(findings), "\n".join(map(str, findings))
    verdict = verdict_of(copied)
    assert not verdict.sound and grave(verdict.findings)


def test_an_archive_that_nobody_changed_holds(recorded: Path) -> None:
    """A part that was cut off when its holder was killed is only noted, because the next holder recorded its ticks."""
    for session in (TOKEN, OTHER):
        verdict = verdict_of(recorded / session)
        assert verdict.holds and (verdict.ticks, verdict.compared, verdict.checkpoints) == (40, 40, 4)
        [note] = verdict.findings
        assert (note.kind, note.file, note.grave) == ("cut", ONE, False)


def test_any_flipped_byte_is_found_in_its_file(copied: Path) -> None:
    """A sweep over all files, another byte and bit each time: a finding names the file, whatever the byte is."""
    chance = random.Random(20_261_127)
    places = [(path, at) for path in sorted(copied.iterdir()) for at in range(path.stat().st_size)]
    assert len(places) > 8000
    for path, at in chance.sample(places, 1200):
        before = path.read_bytes()
        flip(path, at, chance.randrange(1, 256))
        findings = found_in(copied)
        assert any(one.grave and one.file == path.name for one in findings), (path.name, at, findings)
        path.write_bytes(before)
    assert not grave(found_in(copied))


def test_any_cut_is_found_in_its_file(copied: Path) -> None:
    """A file may be cut at any byte."""
    chance = random.Random(20_261_128)
    for path in sorted(copied.iterdir()):
        before = path.read_bytes()
        for size in chance.sample(range(len(before)), 60):
            path.write_bytes(before[:size])
            assert any(one.grave and one.file == path.name for one in found_in(copied)), (path.name, size)
        path.write_bytes(before)


FORGERIES: dict[str, tuple[Change, tuple[str, str, int | None, int | None]]] = {
    "hash": (chained(ONE, 1, other_hash), ("differs", ONE, 1, 13)),
    "hash that was recorded twice": (chained(TWO, 0, other_hash), ("differs", TWO, 0, 23)),
    "input": (chained(TWO, 0, other_input), ("differs", TWO, 0, 24)),
    "checkpoint": (chained(TWO, 0, other_state), ("differs", TWO, 0, 30)),
    "input of a tick that never comes": (chained(TWO, 2, late_input), ("differs", "", None, 4_000_000_000)),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_is_forged_with_its_hashes_is_found_by_simulating(copied: Path, name: str) -> None:
    """Somebody changed a record and all hashes after it: the simulation names part and tick."""
    change, expected = FORGERIES[name]
    change(copied)
    verdict = verdict_of(copied)
    assert expected in grave(verdict.findings), "\n".join(map(str, verdict.findings))
    assert not verdict.sound


def test_without_an_end_nothing_holds(copied: Path) -> None:
    """The end is gone, and then half of the parts too: what is there is sound, and the missing end is said."""
    (copied / END).unlink()
    verdict = verdict_of(copied)
    assert verdict.sound and not verdict.holds and verdict.ticks == 40
    assert ("unfinished", END) in [(one.kind, one.file) for one in verdict.findings]
    write_parts(copied / TWO, lambda p: p[:1])
    verdict = verdict_of(copied)
    assert verdict.sound and not verdict.holds and verdict.ticks == 30
    [said] = [one for one in verdict.findings if one.kind == "unfinished"]
    assert "goes to tick 30" in said.what
    write_parts(copied / ONE, lambda p: p[:1])  # the next manifest knows of the others
    assert ("missing", ONE, 1, None) in grave(found_in(copied))


def test_a_crash_that_nobody_made_good_is_named(copied: Path) -> None:
    """The last part is cut off and there is no later epoch that recorded its ticks: they are missing."""
    for name in (SECOND, TWO):
        (copied / name).unlink()
    cut(ONE, CUT_BYTES + 20)(copied)
    (copied / END).unlink()
    verdict = verdict_of(copied)
    assert verdict.sound and not verdict.holds and verdict.ticks == 23
    assert {one.kind for one in verdict.findings} == {"cut", "unfinished"}
    end = describe_epoch(1, (copied / FIRST).read_bytes(), [(copied / ONE).read_bytes()])
    sealed, _ = seal(ArchiveEnd(40, True, "tussle-archive/2", TOKEN, 1, "", [end]))
    (copied / END).write_bytes(sealed)
    assert ("missing", ONE, 2, 24) in grave(verdict_of(copied).findings)


def test_an_old_archive_is_read_and_says_what_it_cannot_prove(copied: Path) -> None:
    """tussle-archive/1 has no hashes of files. Its hashes, inputs and checkpoints are still re-simulated."""
    make_old(copied)
    verdict = verdict_of(copied)
    assert verdict.holds and verdict.checkpoints == 4
    assert [(one.kind, one.file) for one in verdict.findings] == [("old", FIRST), ("old", SECOND)]
    assert "no hashes of its files" in verdict.findings[0].what


def old_parts(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Change:
    def rewrite(folder: Path) -> None:
        data = (folder / name).read_bytes()
        pieces = [data[part.at : part.at + part.size] for part in stored(folder / name, old=True)]
        (folder / name).write_bytes(b"".join(change(pieces)))

    return rewrite


OLD_TAMPERINGS: dict[str, tuple[Change, tuple[str, str, int | None, int | None]]] = {
    "hash": (lambda f: flip(f / ONE, (f / ONE).read_bytes().index(b"hashes") + 12), ("differs", ONE, 0, 1)),
    "checkpoint": (lambda f: flip(f / TWO, (f / TWO).read_bytes().index(b"TSS1") + 90), ("differs", TWO, 0, 30)),
    "checkpoints gone": (
        lambda f: [
            old_parts(name, lambda p: [without_checkpoints(piece) for piece in p])(f) for name in (ONE, TWO)
        ],
        ("missing", ONE, None, None),
    ),
    "part removed": (old_parts(TWO, lambda p: [p[0], *p[2:]]), ("missing", TWO, 1, None)),
    "last part removed": (old_parts(TWO, lambda p: p[:-1]), ("missing", TWO, 1, 37)),
    "parts swapped": (old_parts(ONE, swap), ("misplaced", ONE, 1, 11)),
    "part repeated": (old_parts(ONE, lambda p: [*p[:2], p[1], *p[2:]]), ("repeated", ONE, 1, 11)),
    "not UTF-8": (lambda f: flip(f / ONE, (f / ONE).read_bytes().index(b"gravity"), 0x80), ("damaged", ONE, 0, None)),
    "end": (lambda f: flip(f / END, 3, 0x80), ("damaged", END, None, None)),
    "end at an earlier tick": (
        lambda f: put(f / END, b'{"tick":38,"whole":true}'), ("differs", TWO, 2, 40)),
    "end with another field": (
        lambda f: put(f / END, b'{"tick":40,"whple":true}'), ("damaged", END, None, None)),
    "not whole": (
        lambda f: put(f / END, b'{"tick":40,"whole":false}'), ("not_whole", END, None, 40)),
    "parts of another session": (foreign(TWO), ("missing", ONE, 3, 27)),
}  # fmt: skip


def without_checkpoints(piece: bytes) -> bytes:
    part = msgspec.msgpack.decode(piece[4:])
    part["checkpoints"] = []
    body = msgspec.msgpack.encode(part)
    return len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("name", OLD_TAMPERINGS)
def test_a_tampering_of_an_old_archive_is_named_where_it_can_be(copied: Path, name: str) -> None:
    """By numbers, by the end's tick and by re-simulation."""
    change, expected = OLD_TAMPERINGS[name]
    make_old(copied)
    change(copied)
    verdict = verdict_of(copied)
    assert expected in grave(verdict.findings), "\n".join(map(str, verdict.findings))
    assert not verdict.sound


def test_any_bytes_give_findings_and_no_error(copied: Path) -> None:
    """Old and new files, each with many random bytes changed at once: nothing is raised but coded errors."""
    chance = random.Random(20_261_129)
    for old in (False, True):
        if old:
            make_old(copied)
        originals = {path: path.read_bytes() for path in sorted(copied.iterdir())}
        for _ in range(20):
            path = chance.choice(list(originals))
            for _ in range(chance.choice((1, 3, 30, 300))):
                flip(path, chance.randrange(len(originals[path])), chance.randrange(1, 256))
            assert not verdict_of(copied).sound or old
            path.write_bytes(originals[path])


@pytest.mark.parametrize("session", ["", ".", "..", "nobody22", "a/b", "../" + TOKEN, "x\0y", "é" * 200])
def test_what_is_not_there_is_not_archived(recorded: Path, session: str) -> None:
    """Any name of a session gives a coded error."""
    with pytest.raises(NotFound) as refused:
        load_record(Archive(str(recorded)), session)
    assert refused.value.reason == "not_archived"


def test_without_a_manifest_there_is_no_record(copied: Path) -> None:
    """A coded error names the missing manifests."""
    for name in (FIRST, SECOND):
        (copied / name).unlink()
    with pytest.raises(ProtocolError) as refused:
        load_record(Archive(str(copied.parent)), TOKEN)
    assert refused.value.reason == "damaged_archive"
    assert FIRST in refused.value.message and SECOND in refused.value.message


def test_files_of_others_are_noted_and_change_nothing(copied: Path) -> None:
    """A file that was left over from a crash, and one that is not of an archive."""
    (copied / "end.json.tmp").write_bytes(b"{")
    (copied / "notes.txt").write_text("mine")
    verdict = verdict_of(copied)
    assert verdict.holds
    assert {one.file for one in verdict.findings if one.kind == "unknown"} == {"end.json.tmp", "notes.txt"}


async def test_a_file_for_each_part_is_covered_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that cannot append. A missing, exchanged or changed file is named."""
    archive = Archive(str(tmp_path / "archive"))
    monkeypatch.setattr(archive, "_local", False)
    await record_session(archive, dies=False)
    folder = Path(archive.url) / TOKEN
    assert verdict_of(folder).holds
    names = sorted(path.name for path in folder.glob("*.parts"))
    assert names[1] == "000001-000001.parts" and len(names) == 5
    one, two = folder / names[1], folder / names[2]
    data, other = one.read_bytes(), two.read_bytes()
    one.unlink()
    assert ("missing", names[1], 1, None) in grave(found_in(folder))
    one.write_bytes(other)
    two.write_bytes(data)
    assert ("misplaced", names[1], 2, None) in grave(found_in(folder))
    two.write_bytes(other)
    one.write_bytes(data[:-3])
    assert ("damaged", names[1], None, None) in grave(found_in(folder))


async def test_a_holder_that_wakes_after_its_successor_harms_nothing(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suspended holder flushes ticks that its successor ran with another input. They are of no account, because the
    successor's manifest names the tick that it took over. Up to that input both must have recorded the same hashes."""
    monkeypatch.setattr(module, "CHECKPOINT_TICKS", 10)
    archive = Archive(str(copied.parent / "late"))
    one, two = archive.volume(TOKEN, 1), archive.volume(TOKEN, 2)
    simulation, here = Simulation.start(spec())
    one.record(here, [])
    await one.write_manifest(spec(), physics_id())
    one.keep(0, simulation.checkpoint())
    await run_to(simulation, one, 20)
    await one.flush()
    kept, head = simulation.checkpoint(), one.head
    for _ in range(10):  # without the input of tick 24
        one.record(simulation.advance([], 1), [])
    simulation = Simulation.restore(spec(), kept)
    await two.write_manifest(spec(), physics_id(), TakenOver(20, digest_of(kept), head))
    await run_to(simulation, two, 30)
    await one.flush()
    await run_to(simulation, two, 40)
    await two.end(40)
    folder = Path(archive.url) / TOKEN
    assert verdict_of(folder).holds and not verdict_of(folder).findings
    one.record(simulation.advance([], 1), [])
    await one.flush()
    verdict = verdict_of(folder)
    assert verdict.holds
    assert [(found.kind, found.part) for found in verdict.findings] == [("unknown", 2)]
    other = simulation.advance([], 1)
    hashes = [bytes(16)] * 3
    one.record(msgspec.structs.replace(other, tick=23, ticks_run=3, hashes=hashes), [])
    await one.flush()
    assert not verdict_of(folder).sound


async def test_a_session_that_ended_at_once_holds(tmp_path: Path) -> None:
    """An operator ended it before its first tick: the first checkpoint is compared."""
    archive = Archive(str(tmp_path / "archive"))
    volume = archive.volume(TOKEN, 1)
    simulation, here = Simulation.start(spec())
    volume.record(here, [])
    await volume.write_manifest(spec(), physics_id())
    volume.keep(0, simulation.checkpoint())
    await volume.end(0)
    verdict = verdict_of(Path(archive.url) / TOKEN)
    assert verdict.holds and (verdict.compared, verdict.checkpoints) == (0, 1)


async def test_a_record_of_nothing_does_not_hold(tmp_path: Path) -> None:
    """A holder died before its first part: the findings say that there is nothing to compare."""
    archive = Archive(str(tmp_path / "archive"))
    await archive.volume(TOKEN, 1).write_manifest(spec(), physics_id())
    verdict = verdict_of(Path(archive.url) / TOKEN)
    assert not verdict.sound
    assert ("missing", "", None, 0) in grave(verdict.findings)


async def test_a_session_that_began_twice_is_that_of_its_second_holder(tmp_path: Path) -> None:
    """The first holder died before the session ran. The next one drew another seed and began it again."""
    archive = Archive(str(tmp_path / "archive"))
    first = archive.volume(TOKEN, 1)
    simulation, here = Simulation.start(spec(seed=1))
    first.record(here, [])
    await first.write_manifest(spec(seed=1), physics_id())
    await run_to(simulation, first, 5)
    await first.flush()
    second = archive.volume(TOKEN, 2)
    simulation, here = Simulation.start(spec(seed=2))
    second.record(here, [])
    await second.write_manifest(spec(seed=2), physics_id())
    second.keep(0, simulation.checkpoint())
    await run_to(simulation, second, 15)
    await second.end(15)
    verdict = verdict_of(Path(archive.url) / TOKEN)
    assert verdict.holds and verdict.ticks == 15
    assert [(found.kind, found.file) for found in verdict.findings] == [("differs", FIRST)]


def test_findings_have_a_bound(copied: Path) -> None:
    """A thousand foreign parts are counted, not listed."""
    write_parts(copied / ONE, lambda p: [*p, *[p[0]] * 1000])
    findings = [one for one in found_in(copied) if one.kind == "repeated"]
    assert len(findings) == 9 and findings[-1].what == "992 more like these"


def test_the_json_of_a_manifest_has_its_seal_last(recorded: Path) -> None:
    """So that another program can check it: the hash of the file with 64 zeros in its place."""
    for name in (FIRST, SECOND, END):
        data = (recorded / TOKEN / name).read_bytes()
        stated = json.loads(data)["sha256"]
        assert digest_of(data.replace(stated.encode(), b"0" * 64)) == stated
