"""How computed ticks become frames of a recording: the same for the recorder of a running session and for the repair of
one that is over.

    Advance + its Stretches -> TakenAdvance -> FrameWriter.add -> LiveState, and the chunks that are complete

This module must never open a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.wire.frames import Topology, decode_frame, decode_topology
from tussle.server.recordings.frame_store import OPTIONAL, Array
from tussle.server.recordings.live_files import LiveState, OpenFrame
from tussle.server.recordings.schedule import Stretch, is_recorded, stride_of
from tussle.server.recordings.stacking import (
    ROUNDING_M,
    ROUNDING_RELATIVE,
    grid_exponents,
    row_counts,
    significant,
    stack_frames,
)
from tussle.server.simulation.simulation import Advance, SessionSpec

__all__ = ["FrameWriter", "TakenAdvance", "describe_session", "take_advance", "topology_content"]

MAX_EVENTS_BYTES = 64 * 2**20
"""Limit of the events of one recording [B]; later ones are counted, not kept."""

NOT_RECORDED = ("actions", "positions", "orientations", "time_sim", "state_hash")
"""Fields of events that are not recorded: what a player may do next, what the rows of the same tick have, tick x dt,
and the hash of the exact state, which the archive has."""

Written = list[tuple[str, bytes]]
"""Files that are complete: path and bytes."""


@dataclass(frozen=True, slots=True)
class TakenAdvance:
    """One advance: its stretches, with frames where they are recorded, and its events. topology: of the world before
    it, if it is known."""

    tick: int
    stretches: tuple[tuple[Stretch, bool], ...]
    events: list[tuple[int, str, dict[str, Any]]]
    size: int
    topology: bytes | None = None

    @property
    def begins(self) -> int:
        """The first tick of the advance."""
        first = self.stretches[0][0]
        return first.tick - first.ticks_run + 1


def take_advance(
    advance: Advance, stretches: Sequence[Stretch], *, first: bool = False, topology: bytes | None = None
) -> TakenAdvance:
    """What a recording needs of an advance. first: it is that of the first state, which is always recorded."""
    stride = stride_of(advance.dt)
    kept: list[tuple[Stretch, bool]] = []
    size = 1000 * len(advance.events)
    for one in stretches or (Stretch.of(advance),):
        recorded = first or is_recorded(one.tick, one.phase, stride)
        if not recorded:
            one = msgspec.structs.replace(one, frame=b"")
        kept.append((one, recorded))
        size += len(one.frame) if one.topology is None else len(one.frame) + len(one.topology)
        first = False
    return TakenAdvance(advance.tick, tuple(kept), advance.events, size, topology)


def describe_session(spec: SessionSpec, physics: str, dt: float) -> dict[str, Any]:
    """The attributes of a session's recording, as it begins. ``spec`` is without the seats, which have an attribute of
    their own."""
    known = msgspec.to_builtins(spec)
    seats = known.pop("seats")
    return {
        "session": spec.session,
        "mode": spec.mode,
        "seats": seats,
        "spec": {**known, "seed": str(spec.seed)},
        "physics_id": physics,
        "dt": dt,
        "stride": stride_of(dt),
        "rounding_m": ROUNDING_M,
        "rounding_relative": ROUNDING_RELATIVE,
        "frame_precision": spec.frame_precision,
    }


class FrameWriter:
    """Adds advances of one session to a state."""

    def __init__(self, spec: SessionSpec) -> None:
        self.dt = 0.0
        self._spec = spec

    def add(self, state: LiveState, batch: Sequence[TakenAdvance]) -> Written:
        """Add advances. Returns the files that are complete. Raises Refused (bad_frames, too_many_segments)."""
        written: Written = []
        frames: list[tuple[Stretch, OpenFrame]] = []
        known = state.topology
        for taken in batch:
            for stretch, recorded in taken.stretches:
                _join(state.open, stretch)
                if not recorded:
                    continue
                topology = state.open.topology
                if topology is not None and topology_content(topology) != known:
                    written += self._append(state, frames)
                    frames, known = [], topology_content(topology)
                else:
                    state.open.topology = None
                frames.append((stretch, state.open))
                state.open = OpenFrame()
            for tick, kind, data in taken.events:
                kept = {name: value for name, value in data.items() if name not in NOT_RECORDED}
                written += self.log(state, {"tick": tick, "type": kind, **kept})
        return written + self._append(state, frames)

    def _append(self, state: LiveState, frames: list[tuple[Stretch, OpenFrame]]) -> Written:
        """Add frames of one topology. Only the first of them may bring one."""
        if not frames:
            return []
        encoded = frames[0][1].topology
        topology: Topology | None = None
        if encoded is not None:
            topology = decode_topology(encoded)
            state.grid = grid_exponents(topology)
        rows, active = stack_frames([stretch.frame for stretch, _ in frames], state.grid)
        counts = np.array([(s.tick, opened.contacts, opened.iterations) for s, opened in frames])
        sizes = significant([(opened.min_distance, s.energy, *s.energies) for s, opened in frames])
        arrays: dict[str, Array] = {
            "tick": counts[:, 0],
            "time": counts[:, 0] * self.dt,
            "min_distance": sizes[:, 0],
            "contacts": counts[:, 1],
            "iterations": counts[:, 2],
            "energy": sizes[:, 1],
            "rows": rows,
            "active": active,
        }
        if self._spec.seats:
            arrays |= self._standings([stretch for stretch, _ in frames])
        arrays |= {name: sizes[:, 2 + place] for place, name in enumerate(OPTIONAL)}
        if encoded is None:
            return state.group.append(arrays)
        written = state.group.append(arrays, topology, row_counts(decode_frame(frames[0][0].frame)))
        state.topology = topology_content(encoded)
        return written

    def _standings(self, stretches: Sequence[Stretch]) -> dict[str, Array]:
        """The arrays of the seats. Standings change rarely: each different one is converted once."""
        seats = [seat.seat for seat in self._spec.seats]
        found: list[list[tuple[float, float, bool]]] = []
        numbers: list[int] = []
        before = None
        for stretch in stretches:
            if stretch.standing != before:
                before = stretch.standing
                found.append([(before[seat].health, before[seat].points, before[seat].out) for seat in seats])
            numbers.append(len(found) - 1)
        table = np.array(found, float)[numbers]
        return {"health": table[:, :, 0], "score": table[:, :, 1], "out": table[:, :, 2] != 0.0}

    @staticmethod
    def log(state: LiveState, event: dict[str, Any]) -> Written:
        """Add an event, or count it where there are too many."""
        if state.group.events_bytes > MAX_EVENTS_BYTES:
            attributes = state.group.attributes
            attributes["events_omitted"] = attributes.get("events_omitted", 0) + 1
            return []
        return state.group.log(event)


def _join(opened: OpenFrame, stretch: Stretch) -> None:
    if stretch.min_distance < opened.min_distance:
        opened.min_distance = stretch.min_distance
    if stretch.contacts > opened.contacts:
        opened.contacts = stretch.contacts
    opened.iterations += stretch.iterations
    if stretch.topology is not None:
        opened.topology = stretch.topology


def topology_content(topology: bytes) -> bytes:
    """A hash of a topology without its version: the first four bytes."""
    return hashlib.sha256(topology[4:]).digest()
