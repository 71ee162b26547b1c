"""``python -m worker bridge``: republishes frames in the older wire format, on the channel ``simulation_updates``.

    session --(frames, as any observer)--> SessionBridge --> PUBLISH simulation_updates base64(zlib(BSON(update)))

    update = {type: "mesh" | "update", session, tick, epoch, min_distance, arrays: {name: {dtype, shape, data}}}
    mesh   has points (rest) and faces, int32, of all bodies end to end; sent first, on every change and each MESH_S
    update has points, as they are now, in the same order; a body that is out has NaN

Arrays keep every bit: ``data`` is the memory of the array, C order and little endian; ``dtype`` is numpy's name.
When the store is slow the bridge drops all frames but the newest. It observes sessions through player/client.py, as
any observer. This module must never slow a session down.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import zlib
from typing import Any

import bson
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.wire.frames import Frame, Topology, encode_frame
from tussle.player.client import Client
from tussle.worker.stopping import wait_for_stop

__all__ = ["Bridge", "decode_update", "encode_update", "world_points"]

log = get_logger("worker.bridge")

POLL_S = 0.5
"""Interval of the search for running sessions."""

MESH_S = 5.0
"""The mesh is published again after this time, for subscribers that missed it."""

Array = npt.NDArray[Any]
KINDS = "fiub"
"""Floats, signed and unsigned integers, booleans: what has a portable memory layout."""


def encode_update(about: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    """Return one message. Raises ValueError for an array whose elements are not numbers or booleans."""
    packed = {}
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS:
            raise ValueError(f"{name} has dtype {array.dtype}, not a type of plain numbers")
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        packed[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "data": little.tobytes()}
    return base64.b64encode(zlib.compress(bson.encode({**about, "arrays": packed})))


def decode_update(message: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the two arguments of ``encode_update``. Raises ValueError for a message of another form."""
    try:
        about: dict[str, Any] = bson.decode(zlib.decompress(base64.b64decode(message, validate=True)))
        packed = about.pop("arrays")
        arrays: dict[str, Array] = {}
        for name, one in packed.items():
            dtype = np.dtype(one["dtype"]).newbyteorder("<")
            array = np.frombuffer(one["data"], dtype).reshape(one["shape"])
            arrays[name] = array.astype(array.dtype.newbyteorder("="))
    except (binascii.Error, zlib.error, bson.errors.BSONError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an update: {error!r}") from None
    return about, arrays


def world_points(topology: Topology, frame: Frame) -> npt.NDArray[np.float32]:
    """Return the positions of all vertices [m], shape (n, 3), body after body; NaN for a body that is out.

    An elastic body has one row per vertex. An affine body has four rows: its centre and the images of its axes.
    """
    parts: list[npt.NDArray[np.float32]] = []
    moving = at = 0
    for body in topology.bodies:
        if body.kind == "static":
            parts.append(np.asarray(body.vertices, np.float32))
            continue
        count = 4 if frame.row_counts is None else frame.row_counts[moving]
        rows = np.asarray(frame.rows[at : at + count], np.float32)
        affine = body.kind != "elastic"
        parts.append(rows[0] + body.vertices @ rows[1:4] if affine else rows[: len(body.vertices)])
        moving += 1
        at += count
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 3), np.float32)


def mesh_arrays(topology: Topology) -> dict[str, Array]:
    """Return ``points``, the rest positions [m], shape (n, 3), and ``faces``, vertex numbers, shape (m, 3), of all
    bodies."""
    faces, offset = [], 0
    for body in topology.bodies:
        faces.append(np.asarray(body.faces, np.int32) + offset)
        offset += len(body.vertices)
    points = [np.asarray(body.vertices, np.float32) for body in topology.bodies]
    return {
        "points": np.concatenate(points) if points else np.zeros((0, 3), np.float32),
        "faces": np.concatenate(faces).astype(np.int32) if faces else np.zeros((0, 3), np.int32),
    }


class Bridge:
    """Republishes every running session of the server at SERVER_URL."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.published = 0
        self.bytes = 0
        self.frame_bytes = 0
        self._store = store
        self._settings = settings
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Bridge sessions until ``stop``. Retries when the server is unreachable."""
        log.info("bridge_started", channel=self._settings.bridge_channel)
        async with Client(self._settings.server_url) as client:
            logged_in = False
            while not self._stopping.is_set():
                try:
                    if not logged_in:
                        await client.login("bridge", kind="bot")
                        logged_in = True
                    for view in await client.sessions(status="running"):
                        if view.session not in self._tasks:
                            self._start_following(client, view.session)
                except LobbyError as error:
                    logged_in = logged_in and error.status != 401
                    log.warning("bridge_waiting", error=error.message)
                await wait_for_stop(self._stopping, POLL_S)
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        each = max(1, self.published)
        log.info(
            "bridge_stopped",
            published=self.published,
            bytes_each=self.bytes // each,
            frame_bytes_each=self.frame_bytes // each,
        )

    def _start_following(self, client: Client, session: str) -> None:
        task = asyncio.create_task(self._follow(client, session), name=f"bridge-{session}")
        self._tasks[session] = task
        task.add_done_callback(lambda _: self._tasks.pop(session, None))

    async def _follow(self, client: Client, session: str) -> None:
        """Publish the frames of one session until it is over."""
        try:
            async with client.connect(await client.observe(session)) as connection:
                draining = asyncio.create_task(_drain(connection), name=f"bridge-events-{session}")
                try:
                    version, meshed = -1, 0.0
                    async for frame in connection.frames():
                        topology = connection.topology
                        if topology is None or topology.version != frame.version:
                            continue
                        if topology.version != version or time.monotonic() - meshed > MESH_S:
                            about = {"type": "mesh", "session": session, "version": topology.version}
                            await self._publish(encode_update(about, mesh_arrays(topology)))
                            version, meshed = topology.version, time.monotonic()
                        await self._publish_update(session, topology, frame)
                finally:
                    draining.cancel()
                    await asyncio.gather(draining, return_exceptions=True)
        except LobbyError as error:
            log.warning("session_not_bridged", token=short(session), error=error.message)

    async def _publish_update(self, session: str, topology: Topology, frame: Frame) -> None:
        about = {
            "type": "update", "session": session, "tick": frame.tick, "epoch": frame.epoch,
            "min_distance": frame.min_distance, "version": frame.version,
        }  # fmt: skip
        message = encode_update(about, {"points": world_points(topology, frame)})
        if await self._publish(message):
            self.published += 1
            self.bytes += len(message)
            self.frame_bytes += len(encode_frame(frame))

    async def _publish(self, message: bytes) -> bool:
        try:
            await self._store.call("PUBLISH", self._settings.bridge_channel, message)
        except StoreError as error:
            log.debug("frame_dropped", error=error.message)
            return False
        return True


async def _drain(connection: Any) -> None:
    """Discard the events of a session, so that they do not fill the queue."""
    async for _ in connection:
        pass
