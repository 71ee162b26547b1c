"""Uploaded recordings: upload one, add frames to it, edit frames under a lock.

    recording = await client.upload_recording("out/recording.zarr")
    await recording.extend({"tick": ..., "rows": ..., "active": ...})
    async with recording.lock(3):
        await recording.edit(3, {"energy": 1.5})

Every change names the version of the frame that it was made on: a frame that has changed since is not overwritten. This
module must never decide what a server accepts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from tussle.lobby.errors import RateLimited
from tussle.lobby.wire.frames import Topology, encode_topology
from tussle.player.recording_client import Fetch, HttpSource, completed

__all__ = ["LOCK_S", "Send", "UploadSource", "packed", "upload"]

LOCK_S = 3.0
"""Time between two renewals of a lock [s]; the server keeps it for 10 s."""

PART_BYTES = 2**22
"""Approximate size of one request with frames [B]."""

PART_FRAMES = 16_384
"""Most frames of one request. A server takes twice as many."""

PIECE_BYTES = 2**18

TRIES = 5

WAIT_S = 30.0
"""Longest wait for a budget of the server [s]."""

Send = Callable[..., Awaitable[bytes]]
"""Method, path, query and body of a call, and the size of the body if it is a stream -> the body of the answer."""


class _Lock(msgspec.Struct, frozen=True):
    lock: int


class _Versions(msgspec.Struct, frozen=True):
    frames: dict[str, int]


class UploadSource(HttpSource):
    """A recording at a server, which can be changed if it is an upload of this player."""

    def __init__(self, fetch: Fetch, session: str, send: Send) -> None:
        super().__init__(fetch, session)
        self._send = send
        self._locks: dict[int, int] = {}

    async def extend(self, arrays: Mapping[str, Any], topology: Topology | None) -> None:
        """Add frames, in parts of about PART_BYTES and at most PART_FRAMES. Frames between others are inserted."""
        about = await self.about()
        seats = 0
        if "health" in about["fields"] and about["length"]:
            seats = (await self.frames(range(1), ("health",)))["health"].shape[1]
        whole = {
            name: np.asarray(array) for name, array in completed(arrays, about.get("dt", 0.0), seats).items()
        }
        count = len(whole["tick"])
        size = sum(array.nbytes for array in whole.values())
        step = max(1, min(PART_FRAMES, count * PART_BYTES // max(1, size)))
        for at in range(0, max(1, count), step):
            await self._change({name: array[at : at + step] for name, array in whole.items()}, topology)
            topology = None

    async def edit(self, tick: int, arrays: Mapping[str, Any]) -> None:
        """Replace the frame of a tick, whose lock is held."""
        version = (await self.versions()).get(tick, 1)
        await self._change(arrays, None, {tick: version}, {tick: self._locks[tick]})

    async def _change(
        self,
        arrays: Mapping[str, Any],
        topology: Topology | None,
        base: Mapping[int, int] | None = None,
        locks: Mapping[int, int] | None = None,
    ) -> None:
        sent = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        body = msgspec.msgpack.encode(
            {
                "arrays": {
                    name: {
                        "dtype": array.dtype.newbyteorder("<").str,
                        "shape": array.shape,
                        "data": _little(array),
                    }
                    for name, array in sent.items()
                },
                "topology": None if topology is None else encode_topology(topology),
                "base": dict(base or {}),
                "locks": dict(locks or {}),
            }
        )
        query = {"sha256": hashlib.sha256(body).hexdigest()}
        for again in reversed(range(TRIES)):
            try:
                await self._send("POST", f"{self._path}/frames", query, body)
            except RateLimited as error:
                if not again or error.retry_after is None or error.retry_after > WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after)
            else:
                return

    async def versions(self) -> dict[int, int]:
        """Tick -> version of each frame that was edited; the others have version 1."""
        found = msgspec.json.decode(await self._get("/versions"), type=_Versions)
        return {int(tick): version for tick, version in found.frames.items()}

    @contextlib.asynccontextmanager
    async def lock(self, tick: int) -> AsyncIterator[int]:
        """Hold the lock of a frame; it is renewed meanwhile and released afterwards, also after an exception. Raises
        Conflict (frame_locked)."""

        async def ask(renew: int) -> int:
            body = msgspec.json.encode({"tick": tick, "renew": renew})
            return msgspec.json.decode(
                await self._send("POST", f"{self._path}/locks", {}, body), type=_Lock
            ).lock

        token = await ask(0)
        self._locks[tick] = token

        async def keep() -> None:
            while True:
                await asyncio.sleep(LOCK_S)
                await ask(token)

        renewing = asyncio.create_task(keep(), name="frame-lock")
        try:
            yield token
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await renewing
            del self._locks[tick]
            await self._send("DELETE", f"{self._path}/locks/{tick}", {"lock": str(token)}, b"")


def _little(array: np.ndarray[Any, Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


async def upload(send: Send, token: str, address: str, *, title: str, listed: bool) -> None:
    """Send the recording at a path or URL. Raises NotFound (no_recording), ProtocolError, Refused, Conflict."""
    with await asyncio.to_thread(packed, address) as file:
        size, digest = await asyncio.to_thread(_measure, file)
        query = {"sha256": digest, "title": title, "listed": str(int(listed))}
        for again in reversed(range(TRIES)):
            try:
                await send("PUT", f"/api/recordings/{token}", query, _pieces(file), size)
            except RateLimited as error:
                if not again or error.retry_after is None or error.retry_after > WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after)
            else:
                return


def packed(address: str) -> BinaryIO:
    """The recording at a path or URL as an archive, in a temporary file; a ZIP archive is sent as it is. Raises
    NotFound (no_recording), ProtocolError (not_a_recording, damaged_recording)."""
    from tussle.server.recordings.zarr_frames import ZarrFrames

    if address.endswith(".zip"):
        return Path(address).open("rb")
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        ZarrFrames.open(address).pack(file)
    except BaseException:
        file.close()
        raise
    return file


def _measure(file: BinaryIO) -> tuple[int, str]:
    file.seek(0)
    return file.seek(0, 2), _hash(file)


def _hash(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece
