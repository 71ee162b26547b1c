"""A clip as a glTF 2.0 scene in one binary file (.glb) with one animation, which 3D viewers and Blender open.

A body is a node that moves and turns. One that deforms has morph targets as well: six for the shear and stretch of an
affine body, as many as the tolerance asks for of an elastic one (motion.py). A body that is not in the world has the
scale 0. Meshes have no normals, so that viewers compute those of the deformed faces.

    12 bytes "glTF", 2, length; then chunks: length, "JSON" and "BIN\\0", padded to 4
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tussle.lobby.errors import Refused
from tussle.server.recordings.export.clip import BodyTrack, Clip
from tussle.server.recordings.export.colours import colour_of
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.export.motion import TOLERANCE, BodyMotion, motion_of
from tussle.server.recordings.frame_store import Array

__all__ = ["write_gltf"]

_FLOAT, _UNSIGNED = 5126, 5125
_VERTICES, _INDICES = 34962, 34963
_WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
MOST_BYTES = 2**32 - 1
"""The size of a binary file, at most: its header has 32 bits for it."""


def write_gltf(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the file."""
    motions: dict[tuple[str, str, str], BodyMotion] = {}
    times = np.zeros(clip.length)
    segment, tracks = -1, list[BodyTrack]()
    for block in clip.blocks(("time", "active", "rows")):
        if block.segment != segment:
            segment, tracks = block.segment, clip.tracks(block.segment)
        first = block.numbers[0]
        times[first : first + len(block.numbers)] = block.arrays["time"]
        for track in tracks:
            key = (track.about.id, track.about.kind, track.about.mesh)
            motion = motions.get(key)
            if motion is None:
                motion = motions[key] = motion_of(track, clip.length)
            motion.add(track, first, block.arrays["rows"], block.arrays["active"])
        progress(len(block.numbers))
    scene = _Scene(times - times[0])
    for motion in motions.values():
        motion.finish()
        scene.add(motion)
    place.write_bytes(scene.encode({"session": clip.attributes.get("session", ""), "tolerance": TOLERANCE}))


class _Scene:
    """The document and its binary chunk."""

    def __init__(self, times: Array) -> None:
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._data: list[bytes] = []
        self._size = 0
        self._nodes: list[dict[str, Any]] = []
        self._meshes: list[dict[str, Any]] = []
        self._materials: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []
        self._samplers: list[dict[str, Any]] = []
        self._shapes: dict[str, tuple[int, int]] = {}
        self._seconds = times.astype(np.float32)
        self._times = self._array(self._seconds, "SCALAR", bounds=True)

    def add(self, motion: BodyMotion) -> None:
        """Add a body."""
        about = motion.track.about
        displacements, weights = motion.deformation()
        number = len(self._nodes)
        node: dict[str, Any] = {"name": about.id}
        self._nodes.append(node)
        if len(motion.track.mesh.faces):
            node["mesh"] = self._mesh(motion, displacements)
        if motion.track.number is not None:
            node["translation"] = motion.translation[0].tolist()
            node["rotation"] = motion.rotation[0].tolist()
            self._animate(number, "translation", motion.translation, "VEC3")
            self._animate(number, "rotation", motion.rotation, "VEC4")
        if len(displacements) and "mesh" in node:
            self._animate(number, "weights", weights.reshape(-1), "SCALAR")
        self._show(number, node, motion.visible)

    def _show(self, number: int, node: dict[str, Any], visible: Array) -> None:
        """The scale: 1 while the body is in the world, else 0."""
        if visible.all():
            return
        changes = np.flatnonzero(np.diff(visible.astype(np.int8), prepend=-1))
        scales = np.repeat(visible[changes].astype(np.float32)[:, None], 3, axis=1)
        node["scale"] = scales[0].tolist()
        times = self._array(self._seconds[changes], "SCALAR", bounds=True)
        self._animate(number, "scale", scales, "VEC3", times=times, way="STEP")

    def _mesh(self, motion: BodyMotion, displacements: Array) -> int:
        about, mesh = motion.track.about, motion.track.mesh
        if about.mesh not in self._shapes:
            self._shapes[about.mesh] = (
                self._array(motion.rest.astype(np.float32), "VEC3", bounds=True, target=_VERTICES),
                self._array(mesh.faces.astype(np.uint32).reshape(-1), "SCALAR", target=_INDICES),
            )
        positions, indices = self._shapes[about.mesh]
        self._materials.append(
            {
                "name": about.id,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*colour_of(about), 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.6,
                },
            }
        )
        part: dict[str, Any] = {
            "attributes": {"POSITION": positions},
            "indices": indices,
            "material": len(self._materials) - 1,
        }
        made: dict[str, Any] = {"name": about.id, "primitives": [part]}
        if len(displacements):
            part["targets"] = [
                {"POSITION": self._array(one, "VEC3", bounds=True, target=_VERTICES)} for one in displacements
            ]
            made["weights"] = [0.0] * len(displacements)
        self._meshes.append(made)
        return len(self._meshes) - 1

    def _animate(
        self, node: int, path: str, values: Array, kind: str, *, times: int | None = None, way: str = "LINEAR"
    ) -> None:
        output = self._array(values.astype(np.float32), kind)
        sampler = {
            "input": self._times if times is None else times,
            "output": output,
            "interpolation": way,
        }
        self._samplers.append(sampler)
        self._channels.append({"sampler": len(self._samplers) - 1, "target": {"node": node, "path": path}})

    def _array(self, values: Array, kind: str, *, bounds: bool = False, target: int | None = None) -> int:
        """Add an accessor. Returns its number."""
        data = np.ascontiguousarray(values).tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self._views.append(view)
        self._data.append(data)
        self._size += len(data)
        table = values.reshape(-1, _WIDTH[kind])
        accessor: dict[str, Any] = {
            "bufferView": len(self._views) - 1,
            "componentType": _UNSIGNED if values.dtype.kind == "u" else _FLOAT,
            "count": len(table),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": table.min(axis=0).tolist(), "max": table.max(axis=0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def encode(self, extras: Mapping[str, Any]) -> bytes:
        """The whole file. Raises Refused (bad_range)."""
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "Tussle", "extras": dict(extras)},
            "scene": 0,
            "scenes": [{"name": extras["session"], "nodes": list(range(len(self._nodes)))}],
            "nodes": self._nodes,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": self._size}],
        }
        optional = {"meshes": self._meshes, "materials": self._materials}
        document |= {name: value for name, value in optional.items() if value}
        if self._channels:
            moving = {"name": "recording", "channels": self._channels, "samplers": self._samplers}
            document["animations"] = [moving]
        text = orjson.dumps(document)
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + self._size
        if length > MOST_BYTES:
            raise Refused("a glTF file has at most 4 GiB: choose fewer frames or bodies", code="bad_range")
        head = struct.pack("<4sII", b"glTF", 2, length)
        parts = [struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", self._size, b"BIN\0")]
        return b"".join([head, *parts, *self._data])
