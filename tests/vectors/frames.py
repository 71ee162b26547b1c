"""Encoded frames and topologies with their content: ``python -m tests.vectors.frames`` writes frames.json.

tests/player/web/test_generated.py checks that the file is current, player/web/test/frames.test.ts decodes it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from tests.support.paths import VECTORS
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody, encode_frame, encode_topology

TARGET = VECTORS / "frames.json"


def build() -> str:
    """The whole file."""
    rng = np.random.default_rng(7)

    def rows(count: int) -> Any:
        return (
            np.round(rng.normal(size=(count, 3)) * 512) / 512
        )  # exact in single and nearly so in half precision

    frames = {
        "two affine bodies": (
            Frame(
                tick=310,
                rows=rows(8),
                active=np.array([True, True]),
                epoch=3,
                min_distance=0.0005,
                contacts=12,
                acks=(4, 0),
            ),
            False,
        ),
        "one of three is gone": (
            Frame(
                tick=311,
                rows=rows(12),
                active=np.array([True, False, True]),
                epoch=3,
                version=2,
                acks=(1, 2, 3),
            ),
            False,
        ),
        "half precision": (
            Frame(
                tick=2**32 - 1, rows=rows(4) / 4, active=np.array([True]), min_distance=0.25, contacts=70000
            ),
            True,
        ),
        "affine and elastic": (
            Frame(tick=5, rows=rows(9), active=np.array([True, True]), epoch=1, row_counts=(4, 5)),
            False,
        ),
        "forty bodies, every third gone": (
            Frame(tick=77, rows=rows(160), active=np.arange(40) % 3 > 0, acks=tuple(range(6))),
            False,
        ),
        "no body": (Frame(tick=0, rows=rows(0), active=np.zeros(0, dtype=np.bool_)), False),
    }
    cube = (np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 4).astype(np.float32)
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7]], dtype=np.uint32)
    topology = Topology(
        version=2,
        bodies=(
            TopologyBody(id="cobble-0", kind="affine", vertices=cube, faces=faces, seat=0, body="cobble"),
            TopologyBody(id="octagon", kind="static", vertices=cube * np.float32(8), faces=faces[:1]),
        ),
    )
    document = {
        "frames": [_frame(name, frame, half) for name, (frame, half) in frames.items()],
        "topologies": [
            {
                "name": "a cube and an arena",
                "data": base64.b64encode(encode_topology(topology)).decode(),
                "version": topology.version,
                "bodies": [
                    {
                        "id": body.id,
                        "kind": body.kind,
                        "seat": body.seat,
                        "body": body.body,
                        "vertices": body.vertices.ravel().tolist(),
                        "faces": body.faces.ravel().tolist(),
                    }
                    for body in topology.bodies
                ],
            }
        ],
        "broken": _broken(encode_frame(frames["two affine bodies"][0])),
    }
    return json.dumps(document, indent=1) + "\n"


def _frame(name: str, frame: Frame, half: bool) -> dict[str, Any]:
    active = np.repeat(frame.active, frame.row_counts if frame.row_counts is not None else 4)
    sent = frame.rows[active].astype(np.float16 if half else np.float32).astype(np.float64)
    return {
        "name": name,
        "data": base64.b64encode(encode_frame(frame, half=half)).decode(),
        "tick": frame.tick,
        "epoch": frame.epoch,
        "version": frame.version,
        "min_distance": float(np.float32(frame.min_distance)) if np.isfinite(frame.min_distance) else None,
        "contacts": min(frame.contacts, 65535),
        "acks": list(frame.acks),
        "active": frame.active.tolist(),
        "row_counts": None if frame.row_counts is None else list(frame.row_counts),
        "sent": sent.ravel().tolist(),
    }


def _broken(good: bytes) -> list[dict[str, str]]:
    """Bytes that every decoder must refuse."""
    nan = np.array([np.nan], dtype="<f4").tobytes()
    cases = {
        "empty": b"",
        "half a head": good[:11],
        "another kind": b"\x07" + good[1:],
        "unknown flags": good[:1] + b"\x80" + good[2:],
        "cut short": good[:-4],
        "too long": good + b"\0\0\0\0",
        "a number that is none": good[:-4] + nan,
        "a gap below zero": good[:12] + np.array([-1], dtype="<f4").tobytes() + good[16:],
        "a body too many": good[:32] + b"\xff" + good[33:],
    }
    return [{"name": name, "data": base64.b64encode(data).decode()} for name, data in cases.items()]


if __name__ == "__main__":
    TARGET.write_text(build())
