"""A scene as a recording shows it at a tick: each body where it was, at rest.

    scene + first frame of a body -> where its mesh is relative to its rows -> rows at the tick -> position, rotation

The rows of a recording are relative to the centre of mass, or those of every vertex; a document has the place of the
shape's origin. Both are known in the first frame that has the body. A deformed body gets the rotation that fits best.
This module must never load a solver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.rules.rotations import polar, quaternions, rotation_matrix
from tussle.lobby.rules.scenes import Body, Quaternion, Scene, Vector
from tussle.server.recordings.frame_store import AFFINE_ROWS, FrameReader, SegmentBody

__all__ = ["pose_scene"]

Floats = npt.NDArray[np.float64]


def pose_scene(store: FrameReader, scene: Scene, tick: int, spawned: Mapping[str, Body]) -> Scene:
    """The scene with its bodies where they were at ``tick``, or at the newest recorded tick before it. Bodies that had
    left are not in it. spawned: catalogue id -> body, for those that came while the session ran.

    Raises NotFound (tick_not_recorded), Refused (bad_scene).
    """
    number = _frame_at(store, tick)
    rows = _rows_of(store, number)
    firsts = _first_rows(store, rows, number)
    known = {body.id: body for body in scene.bodies}
    bodies = [body for body in scene.bodies if body.kind == "static"]
    for one, now in rows.values():
        body = known.get(one.id)
        if body is None and one.body in spawned:
            body = msgspec.structs.replace(spawned[one.body], id=one.id)
        if body is not None:
            bodies.append(_posed(body, now, firsts[one.id], placed=one.id in known))
    order = {body.id: place for place, body in enumerate(scene.bodies)}
    bodies.sort(key=lambda body: order.get(body.id, len(order)))
    return msgspec.structs.replace(scene, bodies=tuple(bodies))


def _frame_at(store: FrameReader, tick: int) -> int:
    """The number of the last frame up to a tick."""
    low, high = 0, store.length
    while low < high:
        middle = (low + high) // 2
        if _ticks(store, middle) <= tick:
            low = middle + 1
        else:
            high = middle
    if low == 0 or (low == store.length and tick > _ticks(store, low - 1) + _stride(store)):
        raise NotFound(f"the recording does not have tick {tick}", code="tick_not_recorded", field="tick")
    return low - 1


def _stride(store: FrameReader) -> int:
    return int(store.attributes.get("stride", 1))


def _ticks(store: FrameReader, number: int) -> int:
    (block,) = store.frames(range(number, number + 1), ("tick",))
    return int(block.arrays["tick"][0])


def _rows_of(store: FrameReader, number: int) -> dict[str, tuple[SegmentBody, Floats]]:
    """The rows of each body that is active in a frame, by id."""
    (block,) = store.frames(range(number, number + 1), ("rows", "active"))
    found: dict[str, tuple[SegmentBody, Floats]] = {}
    at = moving = 0
    for body in store.segments[block.segment].bodies:
        if body.kind == "static":
            continue
        if block.arrays["active"][0][moving]:
            rows: Any = block.arrays["rows"][0][at : at + body.rows]
            found[body.id] = body, rows.astype(np.float64)
        moving += 1
        at += body.rows
    return found


def _first_rows(
    store: FrameReader, rows: Mapping[str, tuple[SegmentBody, Floats]], number: int
) -> dict[str, Floats]:
    """The rows of bodies in the first frame of the first segment that has each; those of ``rows`` if it is not active
    there."""
    found = {body: now for body, (_, now) in rows.items()}
    missing = set(rows)
    for segment in store.segments:
        here = missing & {body.id for body in segment.bodies}
        if here and segment.first <= number:
            first = _rows_of(store, segment.first)
            found.update((body, first[body][1]) for body in here if body in first)
            missing -= here
        if not missing or segment.first > number:
            break
    return found


def _posed(body: Body, now: Floats, first: Floats, *, placed: bool) -> Body:
    """The body with the place and rotation that ``now`` has. placed: the document says where it was at ``first``."""
    turn = _matrix(body) if placed else np.eye(3)
    start = np.array(body.position) if placed else _centre(body, first)
    if body.kind == "elastic":
        local = (first - start) @ turn  # the vertices in the frame of the shape
        middle = local.mean(axis=0)
        turned, _ = polar((now - now.mean(axis=0)).T @ (local - middle))
        place = now.mean(axis=0) - turned @ middle
    else:
        offset = (first[0] - start) @ turn  # the centre of mass in the frame of the shape
        turned, _ = polar(now[1:AFFINE_ROWS].T)
        place = now[0] - turned @ offset
    x, y, z = (float(value) for value in place)
    position: Vector = (x, y, z)
    w, i, j, k = (float(value) for value in quaternions(turned))
    rotation: Quaternion = (w, i, j, k)
    rest: Vector = (0.0, 0.0, 0.0)
    return msgspec.structs.replace(body, position=position, rotation=rotation, velocity=rest, spin=rest)


def _centre(body: Body, rows: Floats) -> Floats:
    centre: Floats = rows.mean(axis=0) if body.kind == "elastic" else rows[0]
    return centre


def _matrix(body: Body) -> Floats:
    try:
        return rotation_matrix(body.rotation)
    except ValueError as error:
        raise Refused(f"body {body.id!r}: {error}", code="bad_scene", field="rotation") from None
