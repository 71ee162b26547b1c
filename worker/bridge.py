"""``python -m worker bridge``: the older wire form, for consumers that still read it on ``simulation_updates``.

    session --(frames, as any observer)--> SessionBridge --> PUBLISH simulation_updates base64(zlib(BSON(update)))

    update = {type: "mesh" | "update", session, tick, epoch, min_distance, arrays: {name: {dtype, shape, data}}}
    mesh   has points (rest) and faces, int32, of all bodies end to end; sent first, on every change and each MESH_S
    update has points, as they are now, in the same order; a body that is out has NaN

Arrays keep every bit: ``data`` is their C-ordered memory in little endian, ``dtype`` numpy's name of it. A slow store
costs frames, never the session: only the newest frame waits. It watches through player.client like everyone else.
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

__all__ = ["Bridge", "decode_update", "encode_update", "world_points"]

log = get_logger("worker.bridge")

LOOK_S = 0.5
"""Interval of looking for sessions that run."""

MESH_S = 5.0
"""The mesh comes again after this long: pub/sub remembers nothing for those who come late."""

Array = npt.NDArray[Any]
KINDS = "fiub"
"""Floats, signed and unsigned integers, booleans: what has a portable memory layout."""


def encode_update(about: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    """One message. Raises ValueError for an array that is not of numbers."""
    packed = {}
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS:
            raise ValueError(f"{name} has dtype {array.dtype}, which is not of plain numbers")
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        packed[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "data": little.tobytes()}
    return base64.b64encode(zlib.compress(bson.encode({**about, "arrays": packed})))


def decode_update(message: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """What ``encode_update`` was given. Raises ValueError for anything else."""
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
    """Where every vertex is now [m], shape (n, 3), bodies end to end; NaN for a body that is out.

    A body with as many rows as vertices is given by its vertices; else its four rows are centre and images of the axes.
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
    """Rest points and faces of all bodies, end to end."""
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
    """Bridges every session that runs on the server at SERVER_URL."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.published = 0
        self.bytes = 0
        self.bytes_of_ours = 0
        self._store = store
        self._settings = settings
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
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
                            self._begin(client, view.session)
                except LobbyError as error:
                    logged_in = logged_in and error.status != 401
                    log.warning("bridge_waiting", error=error.message)
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._stopping.wait()
                except TimeoutError:
                    continue
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        each = max(1, self.published)
        log.info(
            "bridge_stopped",
            published=self.published,
            bytes_each=self.bytes // each,
            ours_each=self.bytes_of_ours // each,
        )

    def _begin(self, client: Client, session: str) -> None:
        task = asyncio.create_task(self._follow(client, session), name=f"bridge-{session}")
        self._tasks[session] = task
        task.add_done_callback(lambda _: self._tasks.pop(session, None))

    async def _follow(self, client: Client, session: str) -> None:
        """Publish one session's frames until it is over."""
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
                        await self._update(session, topology, frame)
                finally:
                    draining.cancel()
                    await asyncio.gather(draining, return_exceptions=True)
        except LobbyError as error:
            log.warning("session_not_bridged", token=short(session), error=error.message)

    async def _update(self, session: str, topology: Topology, frame: Frame) -> None:
        about = {
            "type": "update", "session": session, "tick": frame.tick, "epoch": frame.epoch,
            "min_distance": frame.min_distance, "version": frame.version,
        }  # fmt: skip
        message = encode_update(about, {"points": world_points(topology, frame)})
        if await self._publish(message):
            self.published += 1
            self.bytes += len(message)
            self.bytes_of_ours += len(encode_frame(frame))

    async def _publish(self, message: bytes) -> bool:
        try:
            await self._store.call("PUBLISH", self._settings.bridge_channel, message)
        except StoreError as error:
            log.debug("frame_dropped", error=error.message)
            return False
        return True


async def _drain(connection: Any) -> None:
    """Events are not ours, but they must not pile up."""
    async for _ in connection:
        pass
