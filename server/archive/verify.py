"""Re-simulate an archived session in this process, compare every tick's hash, prove contact again.

    archive -> spec, inputs by tick, recorded hashes -> Simulation -> Verdict

Two holders may have recorded a tick: their hashes must agree with each other and with ours. Another CPU or other
library versions are said, not hidden: then a difference is expected, and named all the same. Where a holder of another
physics took over, what it recorded counts from there on. An archive in which a tick's hash is missing, or of which its
last holder says that it is not whole, does not hold: what is not there was not compared.
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

PROOF_TICKS = 60
"""Ticks between two proofs of contact by the independent oracle; each turn's end is proven besides."""

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Record:
    """An archived session. inputs: tick -> in the order applied. hashes: tick -> 16 bytes. conflict: the first tick
    whose hashes, recorded by two holders, differ."""

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
    """What a verification found. ``diverged``: the first tick whose hash differs. ``unrecorded``: ticks that were
    simulated and have no recorded hash. ``broken``: ticks at which the contact proof does not hold.
    ``halted``: why the record could not be followed to its end, "" if it could. ``differing``: the parts of the physics
    (server/simulation/identity.py) that are not those of the recording; ``differences``: the same in words,
    for each epoch."""

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
    """Everything the archive has of a session. Raises NotFound, ProtocolError for a damaged part."""
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
    record: Record, *, prove: bool = True, progress: Callable[[int, int], None] = lambda tick, of: None
) -> Verdict:
    """Simulate the record from its first tick to its last, or to where a recorded input does not fit the world."""
    verdict = Verdict(record.spec.session, conflict=record.conflict, ended=record.ended, whole=record.whole)
    _tell_differences(verdict, record.manifests)
    simulation, here = Simulation.start(record.spec)
    _compare(verdict, record, here.tick - len(here.hashes), here.hashes)
    proven = 0
    while here.phase != "over" and here.tick < record.last_tick:
        inputs = record.inputs.get(here.tick + 1, [])
        if here.phase == "acting" and not inputs:
            verdict.halted = f"at tick {here.tick} the world waits for an input that is not recorded"
            break
        following = [tick for tick in record.inputs if tick > here.tick + 1]
        room = min(following, default=record.last_tick + 1) - 1 - here.tick
        before = here.tick
        try:
            here = simulation.advance(inputs, max(1, min(room, PROOF_TICKS, record.last_tick - here.tick)))
        except Refused as error:
            verdict.halted = f"at tick {here.tick} the world refuses a recorded input: {error.message}"
            break
        verdict.smallest_gap = min(verdict.smallest_gap, here.min_distance)
        _compare(verdict, record, before, here.hashes)
        if prove and (here.phase != "moving" or here.tick - proven >= PROOF_TICKS):
            proven = here.tick
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


def _tell_differences(verdict: Verdict, manifests: tuple[Manifest, ...]) -> None:
    """How this process differs from those that recorded. A part that a manifest does not name is not compared."""
    here = origin()
    for manifest in manifests:
        there = manifest.versions
        names = [name for name in here if name in there and there[name] != here[name]]
        verdict.differing |= set(names)
        if manifest.physics_id != physics_id():
            told = "; ".join(f"{name} {there[name]} there, {here[name]} here" for name in names)
            verdict.differences.append(
                f"epoch {manifest.epoch} was simulated by physics {manifest.physics_id}, this is {physics_id()}: "
                f"{told or 'other source or CPU'}"
            )
