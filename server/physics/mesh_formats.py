"""The points and cells of mesh files: STL, OBJ, OFF and GLB by readers of our own, PLY, VTK, VTU and MSH by meshio.

What a header states is compared with the bytes of the file before anything is allocated for it. A file that breaks off,
lies about its length or is no file of its format is refused with one line. This module must never judge a mesh.
"""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import meshio
import numpy as np

from tussle.lobby.rules.mesh_faults import BadMesh, MeshFault
from tussle.server.physics.geometry import Ints
from tussle.server.physics.world_state import Floats

__all__ = ["FORMATS", "MOST_CORNERS", "Cells", "read_cells"]

Cells = dict[str, Ints]
"""Kind of cell (triangle, quad, tetra) -> the points of each cell."""

MOST_CORNERS = 3_000_000
"""Largest number of points in a file, before equal ones are merged."""

DECOMPRESSED_MAX = 512 << 20
"""Largest size of the data of a compressed VTU file [bytes]: those of MOST_CORNERS and their cells are smaller."""

_SCALARS = {
    b"char": 1, b"uchar": 1, b"int8": 1, b"uint8": 1, b"short": 2, b"ushort": 2, b"int16": 2, b"uint16": 2,
    b"int": 4, b"uint": 4, b"int32": 4, b"uint32": 4, b"float": 4, b"float32": 4, b"double": 8, b"float64": 8,
}  # fmt: skip
"""Type of a PLY property -> its bytes."""

_HEADER_BYTES = 65_536


def _unreadable(path: Path, message: str) -> BadMesh:
    return BadMesh(f"{path.name}: {message}", MeshFault.UNREADABLE)


def read_cells(path: Path) -> tuple[Floats, Cells]:
    """Return the points [m], shape (n, 3), and the cells of a file. Raises BadMesh."""
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(path, f"unknown ending {path.suffix!r}; {', '.join(FORMATS)} are read")
    if not path.is_file():
        raise _unreadable(path, "no such file")
    try:
        points, cells = reader(path)
    except MemoryError:
        raise BadMesh(f"{path.name}: reading it needs too much memory", MeshFault.TOO_LARGE) from None
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points):
        raise BadMesh(f"{path.name}: it has no points in space", MeshFault.EMPTY)
    if points.shape[1] == 2:
        raise BadMesh(f"{path.name}: it is flat: its points have two coordinates", MeshFault.FLAT)
    if len(points) > MOST_CORNERS:
        raise BadMesh(f"{path.name}: it has {len(points)} points", MeshFault.TOO_LARGE)
    for data in cells.values():
        if data.size and not 0 <= data.min() <= data.max() < len(points):
            raise _unreadable(path, "a cell names a point that does not exist")
    return points, cells


def _corners(triangles: Floats) -> tuple[Floats, Cells]:
    """Return the points and cells of triangles, shape (n, 3, 3), that share no point."""
    faces = np.arange(3 * len(triangles), dtype=np.int64).reshape(-1, 3)
    return np.ascontiguousarray(triangles.reshape(-1, 3), dtype=np.float64), {"triangle": faces}


def _read_stl(path: Path) -> tuple[Floats, Cells]:
    data = path.read_bytes()
    if data[:5] == b"solid" and b"facet" in data[:1024]:
        words = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", data)
        if not words or len(words) % 3 or len(words) != 3 * data.count(b"endfacet"):
            raise _unreadable(path, "its triangles are not complete")
        try:
            return _corners(np.array(words, dtype=np.float64).reshape(-1, 3, 3))
        except ValueError:
            raise _unreadable(path, "a coordinate is not a number") from None
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else 0
    if len(data) < 84 or len(data) != 84 + 50 * count:
        held = max(0, len(data) - 84) // 50
        raise _unreadable(path, f"its header states {count} triangles, its bytes hold {held}")
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    return _corners(np.frombuffer(data, record, offset=84)["corners"].astype(np.float64))


def _read_obj(path: Path) -> tuple[Floats, Cells]:
    points: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    try:
        for line in path.read_bytes().splitlines():
            words = line.split()
            if not words:
                continue
            if words[0] == b"v":
                points.append([float(word) for word in words[1:4]])
            elif words[0] == b"f":
                corners = [int(word.partition(b"/")[0]) for word in words[1:]]
                if len(corners) < 3 or 0 in corners:
                    raise ValueError("a face has no corners")
                # A negative number counts from the newest point.
                ring = [corner - 1 if corner > 0 else len(points) + corner for corner in corners]
                faces += [(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)]
        found = np.array(points, dtype=np.float64).reshape(-1, 3)
        return found, {"triangle": np.array(faces, dtype=np.int64).reshape(-1, 3)}
    except (ValueError, OverflowError) as error:
        raise _unreadable(path, f"it cannot be read: {_line(error)}") from None


def _read_off(path: Path) -> tuple[Floats, Cells]:
    lines = path.read_bytes().splitlines()
    words = [line.partition(b"#")[0].split() for line in lines[: 4 * MOST_CORNERS]]
    rows = iter([row for row in words if row])
    try:
        head = next(rows, [b""])
        if head[0] not in (b"OFF", b"COFF", b"NOFF", b"CNOFF"):
            raise ValueError("it does not begin with OFF")
        counts = head[1:] or next(rows, [])
        places, cells = int(counts[0]), int(counts[1])
        if not 0 <= places <= len(lines) or not 0 <= cells <= len(lines):
            raise ValueError(
                f"it states {max(places, cells)} entries, which its {len(lines)} lines do not hold"
            )
        points = np.array([[float(word) for word in next(rows)[:3]] for _ in range(places)], dtype=np.float64)
        faces: list[list[int]] = []
        for _ in range(cells):
            row = next(rows)
            count = int(row[0])
            ring = [int(word) for word in row[1 : 1 + count]]
            if count < 3 or len(ring) != count:
                raise ValueError("a face has no corners")
            faces += [[ring[0], ring[k], ring[k + 1]] for k in range(1, count - 1)]
        return points.reshape(-1, 3), {"triangle": np.array(faces, dtype=np.int64).reshape(-1, 3)}
    except (ValueError, OverflowError, LookupError, StopIteration) as error:
        raise _unreadable(path, f"it cannot be read: {_line(error) or 'it breaks off'}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]


# GLB


@dataclass(frozen=True, slots=True)
class _Glb:
    """The two chunks of a binary glTF file."""

    document: dict[str, Any]
    data: bytes

    def array(self, number: int, kinds: dict[int, str], width: int) -> np.ndarray:
        """The values of an accessor. Raises ValueError, LookupError or TypeError if it does not fit its bytes."""
        accessor = self.document["accessors"][number]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("sparse accessors are not read")
        dtype = np.dtype(kinds[accessor["componentType"]])
        view = self.document["bufferViews"][accessor["bufferView"]]
        if view.get("buffer", 0) != 0:
            raise ValueError("its data is in another file")
        count, step = int(accessor["count"]), int(view.get("byteStride") or dtype.itemsize * width)
        start, inside = int(view.get("byteOffset", 0)), int(accessor.get("byteOffset", 0))
        length = int(view["byteLength"])
        needed = inside + step * (count - 1) + dtype.itemsize * width
        if count < 1 or min(start, inside, step, length) < 0 or step < dtype.itemsize * width:
            raise ValueError("an accessor has no length")
        if needed > length or start + length > len(self.data):
            raise ValueError(f"an accessor states {count} values, its bytes hold fewer")
        found = np.ndarray((count, width), dtype, self.data, start + inside, (step, dtype.itemsize))
        return found.copy()


_INDEX_KINDS = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def _read_glb(path: Path) -> tuple[Floats, Cells]:
    data = path.read_bytes()
    try:
        magic, version, length = struct.unpack_from("<4sII", data)
        size, kind = struct.unpack_from("<I4s", data, 12)
        if magic != b"glTF" or version != 2 or length != len(data) or kind != b"JSON":
            raise ValueError("it is no binary glTF 2.0, or it is cut off")
        document = json.loads(data[20 : 20 + size])
        rest = data[20 + size :]
        chunk = b""
        if rest:
            size, kind = struct.unpack_from("<I4s", rest)
            if kind != b"BIN\0" or size > len(rest) - 8:
                raise ValueError("its data is cut off")
            chunk = rest[8 : 8 + size]
        if document.get("extensionsRequired"):
            raise ValueError(f"it needs {', '.join(map(str, document['extensionsRequired']))[:60]}")
        file = _Glb(document, chunk)
        points: list[Floats] = []
        faces: list[Ints] = []
        total = 0
        for primitive, matrix in _instances(document):
            mode = primitive.get("mode", _TRIANGLES)
            if mode not in (_TRIANGLES, _STRIP, _FAN):
                continue
            place = file.array(primitive["attributes"]["POSITION"], {5126: "<f4"}, 3).astype(np.float64)
            corners = np.arange(len(place), dtype=np.int64)
            if "indices" in primitive:
                corners = file.array(primitive["indices"], _INDEX_KINDS, 1)[:, 0].astype(np.int64)
            if len(corners) and corners.max() >= len(place):
                raise ValueError("a triangle names a point that does not exist")
            if total + len(place) > MOST_CORNERS:
                raise BadMesh(f"{path.name}: it has more than {MOST_CORNERS} points", MeshFault.TOO_LARGE)
            points.append(place @ matrix[:3, :3].T + matrix[:3, 3])
            faces.append(_triangles(corners, mode) + total)
            total += len(place)
    except (ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise _unreadable(path, f"it cannot be read: {_line(error)}") from None
    if not points:
        return np.zeros((0, 3)), {}
    return np.concatenate(points), {"triangle": np.concatenate(faces)}


def _triangles(corners: Ints, mode: int) -> Ints:
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    count = max(0, len(corners) - 2)
    if mode == _FAN:
        return np.stack([np.full(count, corners[0]), corners[1:-1], corners[2:]], axis=1)
    found = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    found[1::2] = found[1::2, [1, 0, 2]]
    return found


def _instances(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Floats]]:
    """The primitives of the scene, each with the matrix of its node. A node is visited once, as the format demands."""
    nodes = document.get("nodes", [])
    scenes = document.get("scenes", [])
    roots = scenes[document.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
    waiting = [(int(root), np.eye(4)) for root in roots]
    seen: set[int] = set()
    while waiting:
        number, above = waiting.pop()
        if number in seen or number < 0:
            continue
        seen.add(number)
        node = nodes[number]
        matrix = above @ _matrix(node)
        if "mesh" in node:
            for primitive in document["meshes"][node["mesh"]]["primitives"]:
                yield primitive, matrix
        waiting += [(int(child), matrix) for child in node.get("children", [])]


def _matrix(node: dict[str, Any]) -> Floats:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = (float(part) for part in node.get("rotation", (0, 0, 0, 1)))
    found = np.eye(4)
    found[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    found[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    found[:3, 3] = node.get("translation", (0, 0, 0))
    return found


# what meshio reads


def _check_ply(path: Path, data: bytes) -> None:
    """Raise BadMesh if the header of a PLY file states more elements than its bytes can hold."""
    end = data.find(b"end_header", 0, _HEADER_BYTES)
    if not data.startswith(b"ply") or end < 0:
        raise _unreadable(path, "it has no header of a PLY file")
    text, needed, count = b"ascii" in data[:64], 0, 0
    for line in data[:end].splitlines():
        words = line.split()
        if words[:1] == [b"element"] and len(words) == 3 and words[2].isdigit():
            count = int(words[2])
        elif words[:1] == [b"property"] and len(words) >= 3:
            needed += count * (2 if text else _SCALARS.get(words[2] if words[1] == b"list" else words[1], 1))
            if needed > len(data) + 1:
                raise _unreadable(path, f"its header states {count} elements, which its bytes do not hold")


def _check_vtk(path: Path, data: bytes) -> None:
    """Raise BadMesh if a VTK file is no list of cells, or states more points or cells than its bytes can hold."""
    kind = re.search(rb"^DATASET\s+(\w+)", data[:_HEADER_BYTES], re.MULTILINE)
    if kind is None or kind[1].upper() not in (b"UNSTRUCTURED_GRID", b"POLYDATA"):
        raise _unreadable(path, "it cannot be read: it is no UNSTRUCTURED_GRID and no POLYDATA of legacy VTK")
    _check_counts(path, data, rb"^[A-Z_]+[ \t]+(\d+)(?:[ \t]+(\d+))?[ \t]*(?:[a-z_0-9]+)?\r?$")


def _check_msh(path: Path, data: bytes) -> None:
    """Raise BadMesh if a MSH file, of Gmsh or of ANSYS, states more nodes or elements than its bytes can hold."""
    if data.startswith(b"$"):
        _check_counts(path, data, rb"^\$(?:Nodes|Elements)\r?\n(\d+)(?:[ \t]+(\d+))?")
    elif data.startswith(b"("):
        _check_counts(path, data, rb"^\([23]?0?1[0-3] \(\w+ \w+ (\w+)", base=16)
    else:
        raise _unreadable(path, "it cannot be read: it is no file of Gmsh or ANSYS")


def _check_counts(path: Path, data: bytes, pattern: bytes, base: int = 10) -> None:
    for found in re.finditer(pattern, data, re.MULTILINE):
        try:
            stated = max(int(number[:20], base) for number in found.groups() if number)
        except ValueError:
            raise _unreadable(path, "it cannot be read: a number of entries is none") from None
        if stated > len(data):
            raise _unreadable(path, f"it states {stated} entries, which its {len(data)} bytes do not hold")


@contextlib.contextmanager
def _bounded_vtu() -> Iterator[None]:
    """Let meshio's reader of VTU files decompress at most DECOMPRESSED_MAX bytes. Not for two threads at once."""
    left = DECOMPRESSED_MAX

    def bounded(begin: Callable[[], Any]) -> Any:
        def decompress(data: bytes) -> bytes:
            nonlocal left
            stream = begin()
            out: bytes = stream.decompress(data, left + 1)
            left -= len(out)
            if left < 0:
                raise ValueError(f"its data are more than {DECOMPRESSED_MAX} bytes")
            if not stream.eof:
                raise ValueError("its compressed data break off")
            return out

        return SimpleNamespace(decompress=decompress)

    module: Any = meshio.vtu._vtu
    before = module.zlib, module.lzma
    module.zlib, module.lzma = bounded(zlib.decompressobj), bounded(lzma.LZMADecompressor)
    try:
        yield
    finally:
        module.zlib, module.lzma = before


def _by_meshio(check: Callable[[Path, bytes], None] | None) -> Callable[[Path], tuple[Floats, Cells]]:
    def read(path: Path) -> tuple[Floats, Cells]:
        if check is not None:
            check(path, path.read_bytes())
        noise = io.StringIO()
        try:
            # meshio prints to stdout, and calls sys.exit on some errors.
            with (
                contextlib.redirect_stdout(noise),
                contextlib.redirect_stderr(noise),
                np.errstate(all="ignore"),
                _bounded_vtu(),
            ):
                found: Any = meshio.read(path)
            points = np.asarray(found.points, dtype=np.float64)
            cells: dict[str, list[Ints]] = {}
            for block in found.cells:
                cells.setdefault(block.type, []).append(np.asarray(block.data, dtype=np.int64))
            return points, {kind: np.concatenate(blocks) for kind, blocks in cells.items()}
        except MemoryError:
            raise
        except (SystemExit, Exception) as error:  # noqa: BLE001 - meshio may raise anything
            reason = _line(error)
            raise _unreadable(
                path, f"it cannot be read{f': {reason}' if reason and reason != '1' else ''}"
            ) from None

    return read


FORMATS: dict[str, Callable[[Path], tuple[Floats, Cells]]] = {
    ".vtk": _by_meshio(_check_vtk),
    ".vtu": _by_meshio(None),
    ".msh": _by_meshio(_check_msh),
    ".obj": _read_obj,
    ".off": _read_off,
    ".stl": _read_stl,
    ".ply": _by_meshio(_check_ply),
    ".glb": _read_glb,
}
"""The reader of each file name ending."""
