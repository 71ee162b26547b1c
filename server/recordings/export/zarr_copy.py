"""A clip as a recording of its own: a Zarr 3 group of the same layout, for every reader of recordings.

A whole recording is copied to equal bytes. A clip says in ``derived_from`` what it was taken from.
This module must never change the source.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tussle.lobby.files import Files
from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.group import RecordingGroup

__all__ = ["write_zarr"]

MADE_BY_GROUP = ("schema", "segments", "events")


def write_zarr(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the group into a folder."""
    attributes = {name: value for name, value in clip.attributes.items() if name not in MADE_BY_GROUP}
    if not clip.whole:
        numbers = clip.numbers
        attributes["derived_from"] = {
            "session": attributes.get("session", ""),
            "frames": [numbers.start, numbers.stop, numbers.step],
            "bodies": list(clip.names),
        }
    files, group = Files(str(place)), RecordingGroup(attributes, seats=clip.seats)
    fields, segment = [name for name in clip.fields if name != "segment"], -1

    def write(written: list[tuple[str, bytes]]) -> None:
        for path, data in written:
            files.write(path, data)

    for block in clip.blocks(fields):
        topology = rows = None
        if block.segment != segment:
            segment = block.segment
            topology = clip.topology(segment)
            rows = [body.rows for body in clip.segments[segment].bodies if body.kind != "static"]
        arrays = block.arrays | {"min_distance": block.arrays["min_distance"].astype(np.float32)}
        write(group.append(arrays, topology, rows))
        progress(len(block.numbers))
    for event in clip.events():
        write(group.log(event))
    write(list(group.files(files.read)))
