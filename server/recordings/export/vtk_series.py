"""A clip as a series for ParaView: one file of polygons for each frame, and an index with the times.

    recording.pvd               open this one
    frames/000000.vtp, ...      points: world positions; cells: triangles, with the number of their body and their seat;
                                field data: TimeValue, tick, energy, ..., body_names

Files are VTK XML with raw appended data: an offset into the block that follows the XML, where each array is its size
(u64) and its numbers, little endian. Bodies that are not active are left out of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from tussle.server.recordings.export.clip import BodyTrack, Clip, world_vertices
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.frame_store import FIELDS, OPTIONAL, Array

__all__ = ["write_vtk"]

_TYPES = {"f4": "Float32", "f8": "Float64", "i4": "Int32", "i8": "Int64", "u4": "UInt32", "b1": "UInt8"}
NUMBERS = ("tick", "min_distance", "contacts", "iterations", "energy", *OPTIONAL)
"""Fields that each file has as field data, if the recording has them."""


def write_vtk(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the series into a folder."""
    (place / "frames").mkdir()
    listed, segment, tracks = [], -1, list[BodyTrack]()
    numbers = [name for name in NUMBERS if name in clip.fields]
    for block in clip.blocks((*numbers, "time", "active", "rows")):
        if block.segment != segment:
            segment, tracks = block.segment, clip.tracks(block.segment)
        for at, number in enumerate(block.numbers):
            here = {name: array[at : at + 1] for name, array in block.arrays.items()}
            name = f"frames/{number:06d}.vtp"
            (place / name).write_bytes(_polygons(tracks, here))
            listed.append(
                f'    <DataSet timestep="{float(here["time"][0])!r}" part="0" file={quoteattr(name)}/>'
            )
        progress(len(block.numbers))
    head = ['<?xml version="1.0"?>', '<VTKFile type="Collection" version="1.0" byte_order="LittleEndian">']
    lines = [*head, "  <Collection>", *listed, "  </Collection>", "</VTKFile>", ""]
    (place / "recording.pvd").write_text("\n".join(lines))


def _polygons(tracks: Sequence[BodyTrack], frame: dict[str, Array]) -> bytes:
    """One frame as a file of polygons."""
    shown = [track for track in tracks if track.number is None or frame["active"][0, track.number]]
    points = [world_vertices(track, frame["rows"])[0] for track in shown]
    starts = np.cumsum([0, *map(len, points)])[:-1]
    faces = [track.mesh.faces.astype("<i8") + start for track, start in zip(shown, starts, strict=True)]
    counts = [len(one) for one in faces]
    corners = np.concatenate(faces or [np.empty((0, 3), "<i8")])
    numbers = [tracks.index(track) for track in shown]
    seats = [-1 if track.about.seat is None else track.about.seat for track in shown]
    out = _Appended()
    field_data = [
        out.array("TimeValue", frame["time"].astype("<f8"), tuples=1),
        *(
            out.array(name, frame[name].astype(FIELDS[name].dtype), tuples=1)
            for name in NUMBERS
            if name in frame
        ),
        _strings("body_names", [track.about.id for track in tracks]),
    ]
    place = out.array("Points", np.concatenate(points or [np.empty((0, 3))]).astype("<f4"))
    cells = [
        out.array("body", np.repeat(numbers, counts).astype("<i4")),
        out.array("seat", np.repeat(seats, counts).astype("<i4")),
    ]
    polys = [
        out.array("connectivity", corners.reshape(-1)),
        out.array("offsets", np.arange(3, 3 * len(corners) + 1, 3, dtype="<i8")),
    ]
    text = "\n".join(
        [
            '<?xml version="1.0"?>',
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
            "<PolyData>",
            *("<FieldData>", *field_data, "</FieldData>"),
            f'<Piece NumberOfPoints="{sum(map(len, points))}" NumberOfPolys="{len(corners)}">',
            *("<Points>", place, "</Points>"),
            *("<Polys>", *polys, "</Polys>"),
            *('<CellData Scalars="body">', *cells, "</CellData>"),
            "</Piece>",
            "</PolyData>",
            '<AppendedData encoding="raw">',
            "_",
        ]
    )
    return text.encode() + out.data() + b"\n</AppendedData>\n</VTKFile>\n"


class _Appended:
    """The block of data behind the XML."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def array(self, name: str, values: Array, *, tuples: int | None = None) -> str:
        """Add an array. Returns its element. tuples: how many, in field data."""
        data = np.ascontiguousarray(values).tobytes()
        kind, offset = _TYPES[values.dtype.str[1:]], self._size
        self._parts += [len(data).to_bytes(8, "little"), data]
        self._size += 8 + len(data)
        width = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
        count = "" if tuples is None else f' NumberOfTuples="{tuples}"'
        return f'<DataArray type="{kind}" Name="{name}"{width}{count} format="appended" offset="{offset}"/>'

    def data(self) -> bytes:
        return b"".join(self._parts)


def _strings(name: str, values: Sequence[str]) -> str:
    """Strings as VTK has them: the bytes as numbers, each string ended by 0."""
    numbers = " ".join(str(byte) for value in values for byte in (*value.encode(), 0))
    return (
        f'<Array type="String" Name="{name}" NumberOfTuples="{len(values)}" format="ascii">{numbers}</Array>'
    )
