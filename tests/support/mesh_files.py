"""Small mesh files of every format, written by hand or by meshio, for the tests of meshes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import meshio
import numpy as np

__all__ = ["as_file", "as_glb", "as_obj", "as_stl", "bumpy_ring"]

Points = np.ndarray
Faces = np.ndarray


def as_stl(points: Points, faces: Faces, *, count: int | None = None) -> bytes:
    """A binary STL. count: of triangles in its header, if it is to lie."""
    record = np.zeros(len(faces), np.dtype([("n", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]))
    record["corners"] = points[faces]
    stated = len(faces) if count is None else count
    return b"solid".ljust(80, b"\0") + stated.to_bytes(4, "little") + record.tobytes()


def as_obj(points: Points, faces: Faces) -> bytes:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
    lines += [f"f {a + 1}//1 {b + 1}//1 {c + 1}//1" for a, b, c in faces.tolist()]
    return "\n".join(lines).encode()


def as_glb(
    points: Points, faces: Faces, *, count: int | None = None, node: dict[str, object] | None = None
) -> bytes:
    """A binary glTF. count: of points in its accessor, if it is to lie. node: its transformation."""
    place, corners = points.astype("<f4").tobytes(), faces.astype("<u4").tobytes()
    document = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": len(place) + len(corners)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(place)},
            {"buffer": 0, "byteOffset": len(place), "byteLength": len(corners)},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": len(points) if count is None else count},
            {"bufferView": 1, "componentType": 5125, "type": "SCALAR", "count": faces.size},
        ],
    }  # fmt: skip
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data = place + corners
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def as_file(ending: str, points: Points, faces: Faces) -> bytes:
    """A surface in the format of an ending."""
    if ending == ".stl":
        return as_stl(points, faces)
    if ending == ".obj":
        return as_obj(points, faces)
    if ending == ".glb":
        return as_glb(points, faces)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"mesh{ending}"
        form = {"file_format": "gmsh"} if ending == ".msh" else {}
        meshio.Mesh(points, [("triangle", faces)]).write(path, **form)
        return path.read_bytes()


def bumpy_ring(n: int, m: int) -> tuple[Points, Faces]:
    """A closed surface of 2 n m triangles: a torus with bumps."""
    u, v = np.meshgrid(np.arange(n) * 2 * np.pi / n, np.arange(m) * 2 * np.pi / m, indexing="ij")
    r = 0.35 + 0.03 * np.sin(6 * u) * np.cos(5 * v)
    ring = 1 + r * np.cos(v)
    points = np.stack([ring * np.cos(u), r * np.sin(v), ring * np.sin(u)], axis=-1).reshape(-1, 3)
    i, j = np.arange(n)[:, None], np.arange(m)[None]
    a, b, c, d = (
        (i * m + j), ((i + 1) % n * m + j), ((i + 1) % n * m + (j + 1) % m), (i * m + (j + 1) % m)
    )  # fmt: skip
    parts = [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)]
    return points, np.concatenate(parts)
