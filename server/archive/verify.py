"""Re-simulate an archived session in this process, compare hashes and checkpoints, check contact and paths again.

    archive -> record.py: spec, inputs, hashes, checkpoints, findings -> Simulation -> Verdict

Every tick's hash and every byte of every checkpoint must be the computed one. The verdict names what is not, beside
what record.py found in the files. It names every difference of CPU and library versions; hashes may then differ. It
must never write to the archive, and no record may make it fail or run for ever.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from tussle.lobby.errors import LobbyError, ProtocolError, Refused
from tussle.server.archive.findings import Finding, Kind
from tussle.server.archive.parts import Manifest, digest_of
from tussle.server.archive.record import Record, load_record
from tussle.server.simulation.identity import origin, physics_id
from tussle.server.simulation.simulation import Advance, Simulation

__all__ = ["Record", "Verdict", "load_record", "verify"]

CHECK_TICKS = 60
"""Ticks between two contact checks. The end of each turn is checked too."""

NAMED = 5
"""Places at which the simulation differs that are named; the others are counted."""


@dataclass(slots=True)
class Verdict:
    """The result of a verification. ``diverged``: the first tick whose hash differs. ``unrecorded``: number of
    simulated ticks without a recorded hash. ``checkpoints``: number of compared checkpoints. ``proofs``: number of
    contact checks. ``segments``: pieces of paths that were checked. ``broken``: ticks at which a check failed.
    ``halted``: why the record could not be followed to its end, "" if it could. ``findings``: everything that is wrong
    or worth a note. ``seal``: of the end of the archive; kept elsewhere, it shows whether somebody wrote the whole
    archive again. ``differing``: parts of the physics id (server/simulation/identity.py) that differ from the
    recording; ``differences``: one sentence for each epoch."""

    session: str
    ticks: int = 0
    compared: int = 0
    unrecorded: int = 0
    diverged: int | None = None
    conflict: int | None = None
    checkpoints: int = 0
    proofs: int = 0
    segments: int = 0
    broken: list[int] = field(default_factory=list)
    smallest_gap: float = float("inf")
    ended: bool = False
    whole: bool = True
    halted: str = ""
    final_hash: str = ""
    seal: str = ""
    findings: list[Finding] = field(default_factory=list)
    differing: set[str] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything that is there is in order and was reproduced."""
        followed = self.conflict is None and not self.halted
        reproduced = self.diverged is None and followed and not self.broken
        complete = self.compared + self.checkpoints > 0 and self.unrecorded == 0 and self.whole
        return reproduced and complete and not any(finding.grave for finding in self.findings)

    @property
    def holds(self) -> bool:
        """Whether it is sound and goes to the session's end."""
        return self.sound and self.ended


def verify(
    record: Record,
    *,
    check_contact: bool = True,
    progress: Callable[[int, int], None] = lambda tick, of: None,
) -> Verdict:
    """Simulate a record from its first tick to its last, or to the first recorded input that does not fit the world."""
    verdict = Verdict(
        record.spec.session,
        conflict=record.conflict,
        ended=record.ended,
        whole=record.whole,
        seal=record.seal,
        findings=list(record.findings),
    )
    _name_differences(verdict, record.manifests)
    _Verification(record, verdict, check_contact=check_contact, progress=progress).run()
    return verdict


class _Verification:
    """One run of the simulation beside its record."""

    def __init__(
        self,
        record: Record,
        verdict: Verdict,
        *,
        check_contact: bool,
        progress: Callable[[int, int], None],
    ) -> None:
        self._record = record
        self._verdict = verdict
        self._check_contact = check_contact
        self._progress = progress
        self._acts = sorted(tick for tick, given in record.inputs.items() if given)
        self._states = sorted({*record.checkpoints, *record.taken_over})
        self._unused = set(self._acts)
        self._uncompared = set(record.checkpoints)
        self._differing: list[int] = []
        self._tick = 0

    def run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 a changed record may make the rules fail in any way; it is reported
            message = error.message if isinstance(error, LobbyError) else f"{type(error).__name__}: {error}"
            self._halt(f"at tick {self._tick} the simulation fails: {message}")
        self._name_ticks()
        self._name_unused()
        if self._verdict.compared + self._verdict.checkpoints == 0:
            self._find("missing", "nothing is recorded that could be compared", 0)

    def _follow(self) -> None:
        record, verdict = self._record, self._verdict
        begun = self._begin()
        if begun is None:
            return
        simulation, here = begun
        self._compare(here.tick - len(here.hashes), here.hashes)
        self._compare_state(simulation, here.tick)
        checked = 0
        while here.phase != "over" and here.tick < record.last_tick:
            self._tick = before = here.tick
            inputs = record.inputs.get(before + 1, [])
            self._unused.discard(before + 1)
            if here.phase == "acting" and not inputs:
                self._halt(f"at tick {before} the world waits for an input that is not recorded")
                break
            try:
                here = simulation.advance(inputs, self._room(before))
            except Refused as error:
                self._halt(f"at tick {before} the world refuses a recorded input: {error.message}")
                break
            verdict.smallest_gap = min(verdict.smallest_gap, here.min_distance)
            self._compare(before, here.hashes)
            self._compare_state(simulation, here.tick)
            if self._check_contact and (here.phase != "moving" or here.tick - checked >= CHECK_TICKS):
                checked = here.tick
                verdict.proofs += 1
                if not (check := simulation.check_contact()).passed:
                    verdict.broken.append(here.tick)
                    self._find("contact", f"the contact check fails: {check}", here.tick)
                path = simulation.check_path()
                verdict.segments += path.segments
                if not path.passed:
                    verdict.broken.append(here.tick)
                    self._find("contact", f"the path to it is not proved free: {path}", here.tick)
            self._progress(here.tick, record.last_tick)
        else:
            if here.tick < record.last_tick:
                self._halt(
                    f"the session is over at tick {here.tick}, the record goes on to {record.last_tick}"
                )
        self._tick = verdict.ticks = here.tick
        verdict.final_hash = simulation.hash().hex()

    def _begin(self) -> tuple[Simulation, Advance] | None:
        """The first state: computed, or that of a fork, as the archive has it. None if that one is not there."""
        record, origin = self._record, self._record.spec.fork
        if origin is msgspec.UNSET:
            return Simulation.start(record.spec)
        self._tick = origin.tick
        for kept in record.checkpoints.get(origin.tick, []):
            try:
                begun = Simulation.begin(record.spec, kept.data)
            except ProtocolError:
                continue  # it is another state; the others of this tick are compared with the right one
            if begun[0].hash().hex() != origin.hash:
                self._verdict.diverged = origin.tick
                self._find(
                    "differs", "the first state has another hash than the fork's specification", origin.tick
                )
            return begun
        self._halt(f"the first state of this fork of {origin.parent} is not there")
        return None

    def _room(self, tick: int) -> int:
        """Ticks to run from ``tick`` on, up to the next input or checkpoint."""
        stops = [tick + CHECK_TICKS, self._record.last_tick]
        at = bisect_right(self._acts, tick + 1)
        stops += [act - 1 for act in self._acts[at : at + 1]]
        at = bisect_right(self._states, tick)
        stops += self._states[at : at + 1]
        return max(1, min(stops) - tick)

    def _compare(self, before: int, hashes: list[bytes]) -> None:
        verdict = self._verdict
        for tick, digest in enumerate(hashes, before + 1):
            recorded = self._record.hashes.get(tick)
            if recorded is None:
                verdict.unrecorded += 1
                if tick == self._record.last_tick + 1:  # those before it were found by reading
                    self._find(
                        "missing", "the session has this tick from its start on, and it is not recorded", tick
                    )
                continue
            verdict.compared += 1
            if recorded != digest:
                self._differing.append(tick)
                if verdict.diverged is None:
                    verdict.diverged = tick

    def _compare_state(self, simulation: Simulation, tick: int) -> None:
        """Compare the checkpoints of a tick with the computed state, byte by byte."""
        kept, taken = self._record.checkpoints.get(tick, []), self._record.taken_over.get(tick, [])
        if not (kept or taken):
            return
        self._uncompared.discard(tick)
        state = simulation.checkpoint()
        self._verdict.checkpoints += len(kept)
        for one in kept:
            if one.data != state:
                same = next((i for i, (a, b) in enumerate(zip(one.data, state, strict=False)) if a != b), -1)
                what = (
                    f"the checkpoint ({len(one.data)} bytes) is not the computed state ({len(state)} bytes)"
                )
                what += f" from its byte {same} on" if same >= 0 else ""
                self._verdict.findings.append(Finding("differs", what, one.file, one.part, tick))
        if any(digest != digest_of(state) for digest in taken):
            self._find("differs", "a later holder continued from another state than the computed one", tick)

    def _name_ticks(self) -> None:
        """Name the ticks whose hashes differ, in runs."""
        runs = list(_runs(self._differing))
        for first, last in runs[:NAMED]:
            until = "" if first == last else f", and up to tick {last}"
            self._find("differs", f"the simulation computes another hash than was recorded{until}", first)
        if len(runs) > NAMED:
            self._find(
                "differs", f"the simulation differs in {len(runs) - NAMED} more places", runs[NAMED][0]
            )

    def _name_unused(self) -> None:
        """Name records of ticks that the simulation did not come to. After a halt nothing is said of later ones."""
        if self._verdict.halted:
            return
        for tick in sorted(self._unused)[:NAMED]:
            self._find("differs", "an input is recorded for a tick that cannot take one", tick)
        for tick in sorted(self._uncompared)[:NAMED]:
            one = self._record.checkpoints[tick][0]
            what = "a checkpoint is recorded for a tick that is not simulated"
            self._verdict.findings.append(Finding("differs", what, one.file, one.part, tick))

    def _halt(self, why: str) -> None:
        self._verdict.halted = why
        self._find("halted", why, self._tick + 1)

    def _find(self, kind: Kind, what: str, tick: int) -> None:
        file, part = self._record.place(tick)
        self._verdict.findings.append(Finding(kind, what, file, part, tick))


def _runs(ticks: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers, each as its first and its last one."""
    first = last = None
    for tick in ticks:
        if last is not None and first is not None and tick != last + 1:
            yield first, last
            first = tick
        first = tick if first is None else first
        last = tick
    if first is not None and last is not None:
        yield first, last


def _name_differences(verdict: Verdict, manifests: tuple[Manifest, ...]) -> None:
    """List how this process differs from the recording ones. Parts that a manifest does not have are not compared."""
    here = origin()
    for manifest in manifests:
        there = manifest.versions
        names = [name for name in here if name in there and there[name] != here[name]]
        verdict.differing |= set(names)
        if manifest.physics_id != physics_id():
            named = "; ".join(f"{name} {there[name]} there, {here[name]} here" for name in names)
            verdict.differences.append(
                f"epoch {manifest.epoch} was simulated by physics {manifest.physics_id}, this is {physics_id()}: "
                f"{named or 'other source or CPU'}"
            )
