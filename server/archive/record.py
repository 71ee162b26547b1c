"""Read an archived session, and name everything in it that is missing, damaged or does not belong.

    files -> parts of each epoch (numbers, hashes, chain) -> one record: inputs, hashes, checkpoints by tick
          \\-> findings: kind, file, part, tick, what

A newer epoch replaces what older ones recorded after the tick that it took over; until their inputs differ, both must
have the same hashes. Records of a damaged part that can still be decoded are used, so that ``verify`` can say what was
changed. This module must never write to the archive, and no bytes in it may raise anything but a coded error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from tussle.lobby.errors import NotFound, ProtocolError
from tussle.server.archive.archive import Archive
from tussle.server.archive.findings import Finding, Findings, Kind
from tussle.server.archive.parts import (
    HASH_BYTES,
    OLD_SCHEMA,
    ArchiveEnd,
    ArchivePart,
    EpochEnd,
    EpochFiles,
    Head,
    Manifest,
    Remainder,
    StoredPart,
    decode_document,
    describe_epoch,
    group_files,
    is_old,
    read_parts,
)
from tussle.server.simulation.simulation import Input, SessionSpec

__all__ = ["KeptState", "Reading", "Record", "load_record", "read_record"]

GAP_TICKS = 600
"""Ticks without a record, together, that a verification still simulates."""

END = "end.json"


@dataclass(frozen=True, slots=True)
class KeptState:
    """A checkpoint of the archive, with the file and the number of the part that has it."""

    data: bytes
    file: str
    part: int


@dataclass(frozen=True, slots=True)
class Record:
    """An archived session. inputs: tick -> inputs in the order applied. hashes: tick -> 16 bytes. checkpoints: tick ->
    the exact states that holders kept. taken_over: tick -> SHA-256 of the checkpoint that a holder continued. conflict:
    the first tick for which two holders recorded different hashes. last_tick: the last one that can be simulated."""

    spec: SessionSpec
    manifests: tuple[Manifest, ...]
    inputs: dict[int, list[Input]]
    hashes: dict[int, bytes]
    last_tick: int
    ended: bool
    conflict: int | None
    whole: bool
    checkpoints: dict[int, list[KeptState]] = field(default_factory=dict)
    taken_over: dict[int, list[str]] = field(default_factory=dict)
    places: list[tuple[int, int, str, int]] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    seal: str = ""

    @property
    def first_tick(self) -> int:
        """The tick of the first state, before which nothing is recorded: 0, or the parent tick of a fork."""
        return _first_tick(self.spec)

    @property
    def sound(self) -> bool:
        """Whether nothing that was read is damaged, missing or changed."""
        return not any(finding.grave for finding in self.findings)

    def place(self, tick: int) -> tuple[str, int | None]:
        """The file and the number of the part that recorded a tick."""
        found = [(file, part) for first, last, file, part in self.places if first <= tick <= last]
        return found[-1] if found else ("", None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a session. record: None if no manifest can be read."""

    record: Record | None
    findings: tuple[Finding, ...]


def load_record(archive: Archive, session: str) -> Record:
    """Read a session. ``findings`` names what is wrong with it. Raises NotFound; ProtocolError without a manifest."""
    reading = read_record(archive, session)
    if reading.record is None:
        raise ProtocolError("; ".join(map(str, reading.findings)), code="damaged_archive")
    return reading.record


def read_record(archive: Archive, session: str) -> Reading:
    """Read a session. Raises NotFound, OSError."""
    return _Reader(archive, session).read()


@dataclass(slots=True)
class _Place:
    """A part and the file that it is in."""

    file: str
    stored: StoredPart
    part: ArchivePart


@dataclass(slots=True)
class _Epoch:
    """One epoch as it was read. names: of its files. here: what an end would say of it. parts: by number. ids: hashes
    that may name a part, by number."""

    number: int
    names: EpochFiles
    here: EpochEnd
    manifest: Manifest | None
    old: bool
    parts: dict[int, _Place] = field(default_factory=dict)
    ids: dict[int, set[str]] = field(default_factory=dict)
    rest: list[tuple[str, Remainder]] = field(default_factory=list)
    damaged: bool = False

    @property
    def file(self) -> str:
        return self.names.parts[0] if self.names.parts else f"{self.number:06d}.parts"

    def file_of(self, part: int) -> str:
        """The name of the file that a part is written to."""
        return f"{self.number:06d}-{part:06d}.parts" if "-" in self.file else self.file


@dataclass(slots=True)
class _Merged:
    """Records by tick. hashed: the parts that recorded a tick's hash, for names."""

    inputs: dict[int, list[Input]] = field(default_factory=dict)
    hashes: dict[int, bytes] = field(default_factory=dict)
    checkpoints: dict[int, list[KeptState]] = field(default_factory=dict)
    places: list[tuple[int, int, str, int]] = field(default_factory=list)

    def cut_after(self, tick: int) -> None:
        """Drop what comes after a tick."""
        self.inputs = {at: given for at, given in self.inputs.items() if at <= tick}
        self.hashes = {at: digest for at, digest in self.hashes.items() if at <= tick}
        self.checkpoints = {at: kept for at, kept in self.checkpoints.items() if at <= tick}
        self.places = [
            (first, min(last, tick), file, part) for first, last, file, part in self.places if first <= tick
        ]


class _Reader:
    """Reads one session, once."""

    def __init__(self, archive: Archive, session: str) -> None:
        self._archive = archive
        self._session = session
        self._found = Findings()
        self._conflict: int | None = None
        self._gone: set[tuple[int, int]] = set()

    def read(self) -> Reading:
        names = self._archive.files(self._session)
        grouped, others = group_files(names)
        if not grouped and END not in names:
            raise NotFound(f"the archive has no session {self._session}", code="not_archived")
        for name in others:
            if name != END:
                left = (
                    "left over from a write that a crash cut off"
                    if name.endswith(".tmp")
                    else "not a file of an archive"
                )
                self._find("unknown", left, name, grave=False)
        epochs = {number: self._read_epoch(number, names_of) for number, names_of in grouped.items()}
        end, sealed = self._read_end(names)
        for epoch in epochs.values():
            self._check_taken_over(epoch, epochs)
        if end is not None:
            self._check_end(end, epochs)
        self._check_remainders(end, epochs)
        manifests = tuple(epoch.manifest for epoch in epochs.values() if epoch.manifest is not None)
        if not manifests:
            return Reading(None, self._found.all())
        return self._record(end, sealed, epochs, manifests)

    def _find(
        self,
        kind: Kind,
        what: str,
        file: str = "",
        part: int | None = None,
        tick: int | None = None,
        *,
        grave: bool = True,
    ) -> None:
        self._found.add(Finding(kind, what, file, part, tick, grave))

    def _bytes(self, name: str) -> bytes | None:
        try:
            return self._archive.read(self._session, name)
        except OSError as error:
            self._find("damaged", f"cannot be read: {error}", name)
            return None

    # one epoch

    def _read_epoch(self, number: int, names: EpochFiles) -> _Epoch:
        raw = self._bytes(names.manifest) if names.manifest else None
        manifest = self._read_manifest(number, names.manifest, raw)
        files = [(name, data) for name in names.parts if (data := self._bytes(name)) is not None]
        here = describe_epoch(number, raw, [data for _, data in files])
        epoch = _Epoch(number, names, here, manifest, is_old(manifest, [data for _, data in files]))
        epoch.damaged = names.manifest is not None and self._found.names(names.manifest)
        if epoch.old:
            self._find(
                "old",
                f"{OLD_SCHEMA} has no hashes of its files: what re-simulation does not use (names of versions, dates, "
                "ticks that a later holder recorded again) may have been changed, and parts after the last recorded "
                "tick may be missing",
                names.manifest or epoch.file,
                grave=False,
            )
        found = [place for name, data in files for place in self._read_file(epoch, name, data)]
        self._order(epoch, found)
        self._check_chain(epoch)
        return epoch

    def _read_manifest(self, number: int, name: str | None, raw: bytes | None) -> Manifest | None:
        expected = f"manifest-{number:06d}.json"
        if name is None:
            self._find("missing", f"the manifest of epoch {number} is not there", expected)
        if raw is None:
            return None
        name = name or expected
        try:
            manifest, problem = decode_document(raw, Manifest)
        except ProtocolError as error:
            self._find("damaged", error.message, name)
            return None
        if problem:
            self._find("damaged", problem, name)
        if manifest.session != self._session:
            self._find("foreign", f"is of session {manifest.session[:40]!r}", name)
        if manifest.epoch != number:
            self._find("foreign", f"is of epoch {manifest.epoch}", name)
        return manifest

    def _read_file(self, epoch: _Epoch, name: str, data: bytes) -> Iterator[tuple[str, StoredPart]]:
        parts, rest = read_parts(data, old=epoch.old)
        for stored in parts:
            yield name, stored
        epoch.rest += [(name, piece) for piece in rest]

    def _order(self, epoch: _Epoch, found: list[tuple[str, StoredPart]]) -> None:
        """Check numbers, epoch and session of the parts, and sort them by number."""
        expected = 0
        for name, stored in found:
            part = stored.part
            number = expected if part is None else part.number
            if stored.problem:
                self._find("damaged", stored.problem, name, number, _first(part))
            if part is not None and (what := self._foreign(epoch, part)):
                self._find("foreign", what, name, number, _first(part))
                continue
            if "-" in name and name != f"{epoch.number:06d}-{number:06d}.parts":
                self._find("misplaced", "is in the file of another part", name, number)
            if number in epoch.ids:
                self._find("repeated", "is there more than once", name, number, _first(part))
                continue
            if number < expected:
                self._find("misplaced", f"comes after part {expected - 1}", name, number, _first(part))
            expected = max(expected, number + 1)
            epoch.ids[number] = stored.ids
            if part is not None:
                epoch.parts[number] = _Place(name, stored, part)
                self._check_content(name, part)
        self._miss_parts(epoch, max(epoch.ids, default=-1) + 1, "a later one is")

    def _foreign(self, epoch: _Epoch, part: ArchivePart) -> str:
        if not epoch.old and part.session != self._session:
            return f"is of session {part.session[:40]!r}"
        if part.epoch != epoch.number:
            return f"is of epoch {part.epoch}"
        return "" if part.number >= 0 else "has no number"

    def _check_content(self, name: str, part: ArchivePart) -> None:
        for first, run in part.hashes:
            if first < 1 or not run or len(run) % HASH_BYTES:
                self._find(
                    "damaged", f"has hashes of {len(run)} bytes from tick {first} on", name, part.number
                )
        for tick in [*(tick for tick, _ in part.inputs), *(tick for tick, _ in part.checkpoints)]:
            if tick < 0:
                self._find("damaged", f"has a record of tick {tick}", name, part.number)

    def _miss_parts(self, epoch: _Epoch, count: int, why: str) -> None:
        """Name the parts below ``count`` that are not there, once."""
        if count <= 0:
            return
        there = sorted(number for number in epoch.ids if number < count)
        for first, last in _gaps(((number, number) for number in there), 0, count - 1):
            if (epoch.number, first) not in self._gone:
                self._gone.add((epoch.number, first))
                named = f"part {first} is" if first == last else f"parts {first} to {last} are"
                self._find("missing", f"{named} not there, {why}", epoch.file_of(first), first)

    def _check_chain(self, epoch: _Epoch) -> None:
        if epoch.old:
            return
        for number, place in sorted(epoch.parts.items()):
            previous = place.part.previous.hex()
            if number == 0:
                if epoch.manifest is not None and previous != epoch.here.manifest:
                    self._find("unchained", "was not written after this manifest", place.file, 0)
            elif number - 1 in epoch.ids and previous not in epoch.ids[number - 1]:
                what = f"was not written after this part {number - 1}"
                self._find("unchained", what, place.file, number, _first(place.part))

    # between epochs

    def _check_taken_over(self, epoch: _Epoch, epochs: dict[int, _Epoch]) -> None:
        taken = epoch.manifest.taken_over if epoch.manifest is not None else None
        if taken is not None and taken.head is not None:
            who = f"the manifest of epoch {epoch.number} names it"
            self._check_head(taken.head, epochs, who)

    def _check_head(self, head: Head, epochs: dict[int, _Epoch], who: str) -> None:
        """Whether a part is there and is the one that another file names."""
        there = epochs.get(head.epoch)
        if there is None:
            key = (head.epoch, -1)
            if key not in self._gone:
                self._gone.add(key)
                self._find(
                    "missing",
                    f"all files of epoch {head.epoch} are missing, {who}",
                    f"{head.epoch:06d}.parts",
                )
            return
        self._miss_parts(there, head.part + 1, who)
        ids = there.ids.get(head.part)
        if ids is not None and head.sha256 not in ids:
            what = f"is another part than was written: {who} with another hash"
            self._find("unchained", what, there.file_of(head.part), head.part)

    def _read_end(self, names: Iterable[str]) -> tuple[ArchiveEnd | None, str]:
        if END not in names:
            return None, ""
        raw = self._bytes(END)
        if raw is None:
            return None, ""
        try:
            end, problem = decode_document(raw, ArchiveEnd)
        except ProtocolError as error:
            self._find("damaged", error.message, END)
            return None, ""
        if problem:
            self._find("damaged", problem, END)
        if end.schema != OLD_SCHEMA and end.session != self._session:
            self._find("foreign", f"is of session {end.session[:40]!r}", END)
        return end, end.sha256

    def _check_end(self, end: ArchiveEnd, epochs: dict[int, _Epoch]) -> None:
        """Compare the end with the files of each epoch."""
        if end.tick < 0:
            self._find("damaged", f"is at tick {end.tick}", END)
        if not end.whole:
            reason = end.reason or "its holder could not write everything that it recorded"
            self._find("not_whole", f"whole is false: {reason}", END, tick=end.tick)
        if end.schema == OLD_SCHEMA:
            newest = max(epochs, default=0)
            if newest and not epochs[newest].old:
                self._find("damaged", f"is of {OLD_SCHEMA}, epoch {newest} is not", END)
            return
        known = {one.epoch: one for one in end.epochs}
        for number, one in known.items():
            self._check_epoch_end(one, epochs)
            if number > end.epoch:
                self._find("damaged", f"epoch {end.epoch} wrote it, and it names epoch {number}", END)
        for number in epochs.keys() - known.keys():
            late = number < end.epoch  # an older holder's manifest that was written late
            self._find(
                "foreign",
                f"epoch {number} is not one that the end names",
                epochs[number].file,
                grave=not late,
            )
            epochs[number].parts.clear()

    def _check_epoch_end(self, end: EpochEnd, epochs: dict[int, _Epoch]) -> None:
        who = "the end names it"
        there = epochs.get(end.epoch)
        if there is None:
            if end.manifest:
                self._find("missing", "is not there, the end names it", f"manifest-{end.epoch:06d}.json")
            if end.parts:
                self._check_head(Head(end.epoch, end.parts - 1, end.sha256), epochs, who)
            return
        if end.manifest and there.here.manifest and there.here.manifest != end.manifest:
            self._find("differs", "is another one than the end names", there.names.manifest or "")
        if end.parts:
            self._check_head(Head(end.epoch, end.parts - 1, end.sha256), epochs, who)
        if there.here.parts > end.parts:
            what = f"parts from {end.parts} on were written after the end"
            self._find("unknown", what, there.file_of(end.parts), end.parts, grave=False)
        elif there.here.parts == end.parts and there.here.remainder < end.remainder:
            what = f"{end.remainder - there.here.remainder} bytes after the last part are gone, the end knows them"
            self._find("cut", what, there.file)

    def _check_remainders(self, end: ArchiveEnd | None, epochs: dict[int, _Epoch]) -> None:
        """Name bytes that are no part. What a crash cut off is only noted: its ticks are missing, unless a later holder
        recorded them again."""
        known = {one.epoch: one for one in end.epochs} if end is not None else {}
        for epoch in epochs.values():
            one = known.get(epoch.number)
            late = one is not None and epoch.here.parts > one.parts
            same = one is not None and one.remainder_sha256 == epoch.here.remainder_sha256
            for name, piece in epoch.rest:
                where = f"{piece.size} bytes from byte {piece.at} on"
                if not piece.last:
                    self._find("damaged", f"{where} are no part", name)
                elif same or (piece.cut and (one is None or late)):
                    self._find(
                        "cut",
                        f"the last {where} are a part that was cut off, as by a crash",
                        name,
                        grave=False,
                    )
                else:
                    self._find("damaged", f"the last {where} are no part, and no later file knows them", name)

    # together

    def _record(
        self, end: ArchiveEnd | None, sealed: str, epochs: dict[int, _Epoch], manifests: tuple[Manifest, ...]
    ) -> Reading:
        sound = [e.manifest for e in epochs.values() if e.manifest is not None and not e.damaged]
        spec = (sound or manifests)[-1].spec
        merged = _Merged()
        taken_over: dict[int, list[str]] = {}
        physics = ""
        for epoch in epochs.values():
            manifest = epoch.manifest
            if manifest is not None and manifest.spec != spec:
                self._check_spec(epoch, manifest)
                continue
            taken = manifest.taken_over if manifest is not None else None
            new = self._records(epoch)
            first = min(new.hashes, default=None)
            after = taken.tick if taken else None if first is None else first - 1
            if not epoch.old and manifest is not None and taken is None:
                after = _first_tick(spec)  # it began the session
            if after is not None:
                if manifest is not None and manifest.physics_id == physics:
                    self._compare_epochs(merged, new, after)
                merged.cut_after(after)
                taken_over = {tick: kept for tick, kept in taken_over.items() if tick <= after}
            if taken is not None:
                taken_over.setdefault(taken.tick, []).append(taken.checkpoint)
            physics = manifest.physics_id if manifest is not None else physics
            _add(merged, new)
        last = self._check_ticks(end, merged, _first_tick(spec))
        if end is None:
            self._find(
                "unfinished",
                f"there is no end: the record goes to tick {last}, and nothing says that no more was recorded",
                END,
                grave=False,
            )
        elif not merged.checkpoints and merged.hashes:
            self._find("missing", "no part has a checkpoint", epochs[min(epochs)].file)
        findings = self._found.all()
        record = Record(
            spec, manifests, merged.inputs, merged.hashes, last, end is not None, self._conflict,
            end is None or end.whole, merged.checkpoints, taken_over, merged.places, findings, sealed,
        )  # fmt: skip
        return Reading(record, findings)

    def _records(self, epoch: _Epoch) -> _Merged:
        """The records of one epoch, by tick. A world that was restored records ticks again, with the same hashes."""
        records = _Merged()
        for number, place in sorted(epoch.parts.items()):
            for first, run in place.part.hashes:
                count = len(run) // HASH_BYTES
                if first < 1 or not count:
                    continue
                for i in range(count):
                    digest = run[HASH_BYTES * i : HASH_BYTES * (i + 1)]
                    if records.hashes.setdefault(first + i, digest) != digest:
                        other = _where(records.places, first + i)[1]
                        what = f"part {other} has another hash of this tick"
                        self._find("differs", what, place.file, number, first + i)
                records.places.append((first, first + count - 1, place.file, number))
            for tick, given in place.part.inputs:
                known = records.inputs.setdefault(tick, [])
                if given not in known:
                    known.append(given)
            for tick, data in place.part.checkpoints:
                records.checkpoints.setdefault(tick, []).append(KeptState(data, place.file, number))
        return records

    def _check_spec(self, epoch: _Epoch, manifest: Manifest) -> None:
        """A holder that died before the session ran had another seed. Its successor began the session again."""
        what = f"epoch {epoch.number} has another specification than the newest one; its records are not used"
        self._find("differs", what, epoch.names.manifest or "", grave=manifest.taken_over is not None)

    def _compare_epochs(self, older: _Merged, newer: _Merged, after: int) -> None:
        """Compare what two holders recorded for the same ticks, up to the first one with different inputs."""
        for tick in sorted(tick for tick in newer.hashes if tick > after and tick in older.hashes):
            if older.inputs.get(tick, []) != newer.inputs.get(tick, []):
                return
            if older.hashes[tick] != newer.hashes[tick]:
                self._conflict = tick if self._conflict is None else min(self._conflict, tick)
                file, part = _where(newer.places, tick)
                other, other_part = _where(older.places, tick)
                self._find(
                    "differs", f"{other} part {other_part} has another hash of this tick", file, part, tick
                )
                return

    def _check_ticks(self, end: ArchiveEnd | None, merged: _Merged, begin: int) -> int:
        """Name the ticks that nobody recorded after the first state. Returns the last tick to simulate."""
        newest = max(merged.hashes, default=begin)
        last = newest if end is None else max(begin, end.tick)
        if end is not None and newest > end.tick:
            file, part = _where(merged.places, newest)
            self._find(
                "differs",
                f"the end is at tick {end.tick}, and there are records up to {newest}",
                file,
                part,
                newest,
            )
        spans = sorted((first, until) for first, until, _, _ in merged.places)
        budget, reach = GAP_TICKS, max(newest, last)
        for first, until in _gaps(spans, begin + 1, max(last, newest)):
            what = f"tick {first} is" if first == until else f"ticks {first} to {until} are"
            file, part = _where(merged.places, first - 1)
            file = file or min((place[2] for place in merged.places), default="000001.parts")
            self._find("missing", f"{what} not recorded by any holder", file, part, first)
            budget -= until - first + 1
            if budget < 0:
                reach = min(reach, first - 1)
        return reach


def _first_tick(spec: SessionSpec) -> int:
    return 0 if spec.fork is msgspec.UNSET else spec.fork.tick


def _add(merged: _Merged, new: _Merged) -> None:
    merged.hashes |= new.hashes
    merged.places += new.places
    for tick, given in new.inputs.items():
        known = merged.inputs.setdefault(tick, [])
        known += [one for one in given if one not in known]
    for tick, kept in new.checkpoints.items():
        merged.checkpoints.setdefault(tick, []).extend(kept)


def _gaps(spans: Iterable[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """What sorted spans (first, last) leave out of first..last."""
    for begin, until in spans:
        if begin > last:
            break
        if begin > first:
            yield first, begin - 1
        first = max(first, until + 1)
    if first <= last:
        yield first, last


def _where(places: list[tuple[int, int, str, int]], tick: int) -> tuple[str, int | None]:
    found = [(file, part) for first, last, file, part in places if first <= tick <= last]
    return found[-1] if found else ("", None)


def _first(part: ArchivePart | None) -> int | None:
    """The first tick of a part."""
    ticks = [] if part is None else [tick for tick, _ in (*part.hashes, *part.inputs, *part.checkpoints)]
    return min(ticks, default=None)
