"""A chain of delta frames with what each frame shows: ``python -m tests.vectors.deltas`` writes deltas.json.

tests/lobby/wire/test_deltas.py checks that the file is current, player/web/test/deltas.test.ts decodes it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.support.paths import VECTORS
from tussle.lobby.wire.delta_layout import CODEC
from tussle.lobby.wire.deltas import DeltaDecoder, DeltaEncoder
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody, encode_topology
from tussle.lobby.wire.lossy_deltas import LossyDecoder, LossyEncoder

__all__ = ["ALIVE_TICKS", "TARGET", "build", "scene", "scripted"]

TARGET = VECTORS / "deltas.json"
ALIVE_TICKS = 60


def scene() -> Topology:
    """Two cubes, an elastic cube and a floor."""
    cube = (np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 4).astype(np.float32)
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7]], dtype=np.uint32)
    return Topology(
        version=3,
        bodies=(
            TopologyBody(id="a", kind="affine", vertices=cube, faces=faces, seat=0),
            TopologyBody(id="b", kind="affine", vertices=cube, faces=faces, seat=1),
            TopologyBody(id="c", kind="elastic", vertices=cube, faces=faces),
            TopologyBody(id="floor", kind="static", vertices=cube * np.float32(8), faces=faces[:1]),
        ),
    )


def scripted(count: int = 40) -> Iterator[Frame]:
    """Frames of the scene: one body flies, turns, bounces and rests; one is removed, comes back elsewhere and slides to
    a stop; the elastic one swings. From frame 30 on everything rests."""
    rest = scene().bodies[2].vertices.astype(np.float64)
    for n in range(count):
        t = min(n, 30) / 30
        height = abs(np.cos(9 * t)) * (1 - t)
        angle = 2.5 * np.sin(4 * t)
        c, s = np.cos(angle), np.sin(angle)
        first = [[2 * t, height, -0.5], [c, 0, -s], [0, 1, 0], [s, 0, c]]
        way = 0.06 * min(n - 12, 15) - 0.002 * min(n - 12, 15) ** 2 if n > 12 else 0.0
        u, v = np.cos(0.3 * way), np.sin(0.3 * way)
        second = [
            [-1.0 if n < 12 else 3.25 + way, 0.25, 1.0 - 0.4 * way],
            [u, v, 0],
            [-v, u, 0],
            [0, 0, 1],
        ]
        swing = 0.05 * np.sin(12 * t) * (1 - t)
        elastic = rest @ np.array([[c, 0, -s], [0, 1 + swing, 0], [s, 0, c]]) + [0, 0.5 + swing, 2 * t]
        yield Frame(
            tick=100 + 2 * n + (6 if n > 20 else 0),
            rows=np.concatenate([first, second, elastic]),
            active=np.array([True, not 8 <= n < 12, True]),
            epoch=5,
            min_distance=float("inf") if n < 6 else 0.001 * (1 + t),
            contacts=0 if n < 6 else 3,
            acks=(min(n // 4, 6), 2**30 + (n > 9)),
            version=3,
            row_counts=(4, 4, 8),
        )


def build() -> str:
    """The whole file."""
    encoder, decoder = DeltaEncoder(), DeltaDecoder()
    encoder.set_topology(scene())
    decoder.set_topology(scene())
    frames: list[dict[str, Any]] = []
    whole: list[bytes] = []
    for n, frame in enumerate(scripted()):
        data = encoder.encode(frame, key=n == 25, alive_ticks=ALIVE_TICKS)
        if data is None:
            continue
        shown = decoder.decode(data)
        assert shown is not None
        whole.append(data)
        frames.append(_case(data, shown))
    document = {
        "codec": CODEC,
        "topology": base64.b64encode(encode_topology(scene())).decode(),
        "frames": frames,
        "broken": _broken(whole),
        "channel": _channel(),
    }
    return json.dumps(document) + "\n"


def _case(data: bytes, shown: Frame) -> dict[str, Any]:
    return {
        "data": base64.b64encode(data).decode(),
        "tick": shown.tick,
        "epoch": shown.epoch,
        "version": shown.version,
        "keyframe": shown.keyframe,
        "level": None if np.isinf(shown.min_distance) else round(shown.min_distance, 9),
        "contacts": shown.contacts,
        "acks": list(shown.acks),
        "active": shown.active.tolist(),
        "rows": [None if np.isnan(value) else round(value, 7) for value in shown.rows.ravel().tolist()],
    }


def _channel() -> list[dict[str, Any]]:
    """Frames of a data channel in the order in which they arrive: one is lost, two come late. A frame is kept in every
    four, and the newest one that was kept three frames ago is the reference. ``kept``: what is acknowledged. Frames
    of which the reference is not there show nothing: their tick is null."""
    encoder, decoder, reference = LossyEncoder(), LossyDecoder(), 0
    encoder.set_topology(scene())
    decoder.set_topology(scene())
    sent = []
    for n, frame in enumerate(scripted()):
        if n in (1, 2):
            encoder.skip(frame)
            continue
        if n % 4 == 3:
            reference = n // 4 + 101
        data = encoder.encode(frame, reference=reference, keep=n % 4 == 0, alive_ticks=ALIVE_TICKS)
        if data is not None and n != 13:
            sent.append(data)
    sent[8], sent[11] = sent[11], sent[8]
    sent.insert(25, sent[3])
    cases = []
    for data in sent:
        shown = decoder.decode(data)
        case: dict[str, Any] = {"data": base64.b64encode(data).decode(), "tick": None}
        cases.append((case if shown is None else _case(data, shown)) | {"kept": decoder.kept})
    return cases


def _broken(whole: list[bytes]) -> list[dict[str, Any]]:
    """Bytes that a decoder must refuse after ``after`` good frames."""
    key, second = whole[0], whole[1]
    cases = {
        "empty": (0, b""),
        "half a header": (0, key[:1]),
        "half a keyframe header": (0, key[:20]),
        "another kind": (0, b"\x07" + key[1:]),
        "a keyframe that is not the first": (0, key[:1] + bytes([key[1] + 1]) + key[2:]),
        "a byte that is not zero": (0, key[:15] + b"\x01" + key[16:]),
        "no step": (0, key[:16] + bytes(4) + key[20:]),
        "a step that is no number": (0, key[:16] + b"\xff\xff\xff\x7f" + key[20:]),
        "more bodies than the topology": (0, key[:12] + b"\x04" + key[13:]),
        "a number out of range": (1, second[:2] + b"\xff\xff\xff\xff"),
        "longer than its content": (1, second + b"\x01" * 9),
        "zeros at the end": (1, second + bytes(3)),
    }
    return [
        {"name": name, "after": after, "data": base64.b64encode(data).decode()}
        for name, (after, data) in cases.items()
    ]


if __name__ == "__main__":
    TARGET.write_text(build())
