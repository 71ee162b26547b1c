"""A clip as a Rerun recording (.rrd): bodies in 3D, curves and events on the timelines ``tick`` and ``time``.

    world/<body>                            mesh and transform; the vertices themselves of an elastic body
    curves/energy, contacts, min_distance   one number per frame
    events                                  text

A body that is not in the world is cleared, or has the size 0. This module must never start a viewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rerun as rr

from tussle.server.recordings.export.clip import BodyTrack, Clip
from tussle.server.recordings.export.colours import colour_of
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.frame_store import OPTIONAL, Array

__all__ = ["write_rrd"]

CURVES = ("energy", *OPTIONAL, "contacts", "min_distance")


def write_rrd(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the file."""
    session = str(clip.attributes.get("session", "")) or None
    stream = rr.RecordingStream("tussle", recording_id=session)
    try:
        stream.save(place)
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
        segment, tracks = -1, list[BodyTrack]()
        curves = [name for name in CURVES if name in clip.fields]
        for block in clip.blocks(("tick", "time", "active", "rows", *curves)):
            if block.segment != segment:
                before, tracks = tracks, clip.tracks(block.segment)
                segment = block.segment
                _begin_segment(stream, before, tracks, block.arrays)
            when = _times(block.arrays)
            for track in tracks:
                if track.number is not None:
                    _move(stream, track, when, block.arrays)
            for name in curves:
                values = np.asarray(block.arrays[name], np.float64)
                known = np.isfinite(values)
                times = _times({"tick": block.arrays["tick"][known], "time": block.arrays["time"][known]})
                stream.send_columns(f"curves/{name}", times, rr.Scalars.columns(scalars=values[known]))
            progress(len(block.numbers))
        dt = float(clip.attributes.get("dt", 0.0))
        for event in clip.events():
            tick = int(event.pop("tick", 0))
            stream.set_time("tick", sequence=tick)
            stream.set_time("time", duration=tick * dt)
            about = ", ".join(
                f"{name} {value}" for name, value in event.items() if isinstance(value, (str, int, float))
            )
            stream.log("events", rr.TextLog(about))
        stream.flush()
    finally:
        stream.disconnect()


def _times(arrays: Mapping[str, Array]) -> list[rr.TimeColumn]:
    ticks = rr.TimeColumn("tick", sequence=arrays["tick"].astype(np.int64))
    return [ticks, rr.TimeColumn("time", duration=arrays["time"].astype(np.float64))]


def _begin_segment(
    stream: rr.RecordingStream, before: list[BodyTrack], tracks: list[BodyTrack], arrays: Mapping[str, Array]
) -> None:
    """Log the meshes that are new, and clear the bodies that are gone."""
    stream.set_time("tick", sequence=int(arrays["tick"][0]))
    stream.set_time("time", duration=float(arrays["time"][0]))
    known = {track.about.id: track.about.mesh for track in before}
    for track in tracks:
        if known.pop(track.about.id, None) != track.about.mesh:
            shade = [*(round(255 * part ** (1 / 2.2)) for part in colour_of(track.about)), 255]
            mesh = rr.Mesh3D(
                vertex_positions=track.mesh.vertices, triangle_indices=track.mesh.faces, albedo_factor=shade
            )
            stream.log(f"world/{track.about.id}", mesh)
    for name in known:
        stream.log(f"world/{name}", rr.Clear(recursive=True))


def _move(
    stream: rr.RecordingStream, track: BodyTrack, when: list[rr.TimeColumn], arrays: Mapping[str, Array]
) -> None:
    rows, active = arrays["rows"][:, track.rows], arrays["active"][:, track.number]
    rows = np.where(active[:, None, None], rows, np.float32(0.0))
    if track.about.kind == "elastic":
        frames, vertices, _ = rows.shape
        columns = rr.Mesh3D.columns(vertex_positions=rows.reshape(-1, 3))
        columns = columns.partition([vertices] * frames)
    else:
        columns = rr.Transform3D.columns(translation=rows[:, 0], mat3x3=rows[:, 1:].reshape(-1, 9))
    stream.send_columns(f"world/{track.about.id}", when, columns)
