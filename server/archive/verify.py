"""Re-simulate an archived session in this process, compare every tick's hash, check contact again.

    archive -> spec, inputs by tick, recorded hashes -> Simulation -> Verdict

Two holders may have recorded the same tick: their hashes must agree with each other and with the computed one. The
verdict names every difference of CPU and library versions; hashes may then differ. Where a holder of another physics
took over, its records replace those of earlier holders from that tick on. The verdict is negative when a tick has no
recorded hash or the archive is not whole. It must never write to the archive.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from tussle.lobby.errors import Refused
from tussle.server.archive.archive import Archive, ArchivePart, Manifest
from tussle.server.simulation.identity import origin, physics_id
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

__all__ = ["Record", "Verdict", "load_record", "verify"]

CHECK_TICKS = 60
"""Ticks between two contact checks. The end of each turn is checked too."""

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Record:
    """An archived session. inputs: tick -> inputs in the order applied. hashes: tick -> 16 bytes. conflict: the first
    tick for which two holders recorded different hashes."""

    spec: SessionSpec
    manifests: tuple[Manifest, ...]
    inputs: dict[int, list[Input]]
    hashes: dict[int, bytes]
    last_tick: int
    ended: bool
    conflict: int | None
    whole: bool


@dataclass(slots=True)
class Verdict:
    """The result of a verification. ``diverged``: the first tick whose hash differs. ``unrecorded``: number of
    simulated ticks without a recorded hash. ``proofs``: number of contact checks. ``broken``: ticks at which
    the contact check failed. ``halted``: why the record could not be followed to its end, "" if it could.
    ``differing``: parts of the physics id (server/simulation/identity.py) that differ from the recording;
    ``differences``: one sentence for each epoch."""

    session: str
    ticks: int = 0
    compared: int = 0
    unrecorded: int = 0
    diverged: int | None = None
    conflict: int | None = None
    proofs: int = 0
    broken: list[int] = field(default_factory=list)
    smallest_gap: float = float("inf")
    ended: bool = False
    whole: bool = True
    halted: str = ""
    final_hash: str = ""
    differing: set[str] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        followed = self.conflict is None and not self.halted
        reproduced = self.diverged is None and followed and not self.broken
        return reproduced and self.compared > 0 and self.unrecorded == 0 and self.whole


def load_record(archive: Archive, session: str) -> Record:
    """Read a session from the archive. Raises NotFound; ProtocolError for a damaged part."""
    manifests = archive.manifests(session)
    physics = {manifest.epoch: manifest.physics_id for manifest in manifests}
    inputs: dict[int, list[Input]] = {}
    hashes: dict[int, bytes] = {}
    conflict: int | None = None
    last, epoch = 0, manifests[0].epoch
    for part in archive.parts(session):
        if physics.get(part.epoch) != physics.get(epoch):
            first = _first_tick(part)
            inputs = {tick: given for tick, given in inputs.items() if tick < first}
            hashes = {tick: digest for tick, digest in hashes.items() if tick < first}
            last = min(last, first)
        epoch = part.epoch
        last = max(last, _last_tick(part))
        for tick, given in part.inputs:
            known = inputs.setdefault(tick, [])
            if given not in known:
                known.append(given)
        for first, run in part.hashes:
            for i in range(len(run) // HASH_BYTES):
                digest = run[HASH_BYTES * i : HASH_BYTES * (i + 1)]
                if hashes.setdefault(first + i, digest) != digest and conflict is None:
                    conflict = first + i
    end = archive.end(session)
    return Record(
        manifests[0].spec,
        tuple(manifests),
        inputs,
        hashes,
        max(last, end.tick if end else 0),
        ended=end is not None,
        conflict=conflict,
        whole=end is None or end.whole,
    )


def _first_tick(part: ArchivePart) -> int:
    return min((first for first, _ in part.hashes), default=sys.maxsize)


def _last_tick(part: ArchivePart) -> int:
    return max((first + len(run) // HASH_BYTES - 1 for first, run in part.hashes), default=0)


def verify(
    record: Record,
    *,
    check_contact: bool = True,
    progress: Callable[[int, int], None] = lambda tick, of: None,
) -> Verdict:
    """Simulate a record from its first tick to its last, or to the first recorded input that does not fit the world."""
    verdict = Verdict(record.spec.session, conflict=record.conflict, ended=record.ended, whole=record.whole)
    _name_differences(verdict, record.manifests)
    simulation, here = Simulation.start(record.spec)
    _compare(verdict, record, here.tick - len(here.hashes), here.hashes)
    checked = 0
    while here.phase != "over" and here.tick < record.last_tick:
        inputs = record.inputs.get(here.tick + 1, [])
        if here.phase == "acting" and not inputs:
            verdict.halted = f"at tick {here.tick} the world waits for an input that is not recorded"
            break
        following = [tick for tick in record.inputs if tick > here.tick + 1]
        room = min(following, default=record.last_tick + 1) - 1 - here.tick
        before = here.tick
        try:
            here = simulation.advance(inputs, max(1, min(room, CHECK_TICKS, record.last_tick - here.tick)))
        except Refused as error:
            verdict.halted = f"at tick {here.tick} the world refuses a recorded input: {error.message}"
            break
        verdict.smallest_gap = min(verdict.smallest_gap, here.min_distance)
        _compare(verdict, record, before, here.hashes)
        if check_contact and (here.phase != "moving" or here.tick - checked >= CHECK_TICKS):
            checked = here.tick
            verdict.proofs += 1
            if not simulation.check_contact().passed:
                verdict.broken.append(here.tick)
        progress(here.tick, record.last_tick)
    verdict.ticks = here.tick
    verdict.final_hash = simulation.hash().hex()
    return verdict


def _compare(verdict: Verdict, record: Record, before: int, hashes: list[bytes]) -> None:
    for i, digest in enumerate(hashes):
        tick = before + 1 + i
        recorded = record.hashes.get(tick)
        if recorded is None:
            verdict.unrecorded += 1
        else:
            verdict.compared += 1
            if recorded != digest and verdict.diverged is None:
                verdict.diverged = tick


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
