"""Uploaded meshes in the store: which ones wait, are being made, are ready or refused, and how many bytes they use.

    reserve -> (the file is stored) -> queue -> stream of jobs -> take -> progress ... -> finish
                                                                 '-- its worker dies: another one claims the job

An upload is named by the SHA-256 of its bytes, and so is the ready mesh that is made of it: equal uploads are one job.
Of several attempts at a job only the newest one ends it. The meshes of the catalogue are always ready. This module
must never open the file of a mesh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec

from tussle.lobby.errors import NotFound, RateLimited
from tussle.lobby.mesh_files import is_mesh_hash
from tussle.lobby.ready_meshes import ready_meshes
from tussle.lobby.store.consumer_group import Entry
from tussle.lobby.store.store import Argument, Store
from tussle.lobby.wire.http_answers import MeshView

__all__ = ["GROUP", "Made", "Meshes"]

GROUP = "meshes"
"""The consumer group of the workers that make meshes."""

MOST_JOBS, MOST_JOBS_OF_PLAYER = 64, 4
"""Largest number of uploads that wait, and of those of one player."""

MOST_MESHES = 100_000
ATTEMPTS = 3
BUSY_S = 5.0


class Made(msgspec.Struct, frozen=True):
    """The numbers of a ready mesh. volume [m^3], bounding_radius about its centre of mass [m]; bytes of its file."""

    sha256: str
    bytes: int
    vertices: int
    tetrahedra: int
    volume: float
    bounding_radius: float


class Meshes:
    """The meshes of a realm. most_bytes: of all stored meshes together."""

    def __init__(self, store: Store, most_bytes: int = 0) -> None:
        self._store = store
        self._keys = store.keys
        self._most_bytes = most_bytes

    async def reserve(self, sha256: str, size: int, form: str, player: str, session: str = "") -> str:
        """Reserve room for an upload. Returns its state: ``storing`` if the caller must store the file and queue it.

        Raises StoreError (mesh_store_full) and RateLimited (meshes_busy).
        """
        keys = self._keys
        state, ready = await self._store.call("HMGET", keys.mesh(sha256), "state", "ready")
        gone = state == "ready" and not await self._store.call("EXISTS", keys.mesh(ready))
        channel = keys.wake(session) if session else ""
        try:
            reply = await self._store.run(
                "mesh_reserve",
                [keys.mesh(sha256), keys.meshes, keys.mesh_use, keys.mesh_jobs],
                [
                    sha256, size, form, player, self._most_bytes, MOST_JOBS, MOST_JOBS_OF_PLAYER, channel, int(gone),
                    MOST_MESHES,
                ],
            )  # fmt: skip
        except RateLimited as error:
            raise RateLimited(error.message, code="meshes_busy", retry_after=BUSY_S) from None
        if reply[1] == "ready":
            await self.touch(ready)
        return str(reply[1])

    async def queue(self, sha256: str) -> str:
        """Queue an upload whose file is stored. Returns its state."""
        keys = self._keys
        reply = await self._store.run(
            "mesh_queue", [keys.mesh(sha256), keys.mesh_jobs, keys.mesh_use], [sha256]
        )
        return str(reply[1])

    async def view(self, sha256: str) -> MeshView:
        """An upload or a ready mesh. Raises NotFound (unknown_mesh)."""
        found = await self._load(sha256)
        if found.get("state") == "ready" and found["ready"] != sha256:
            await self.touch(sha256)
            made = await self._load(found["ready"])
            found = {**found, **made}
        state = found.get("state", "storing")
        if state == "storing":
            raise NotFound(f"there is no mesh {sha256[:12]}", code="unknown_mesh", field="mesh")
        if state == "ready":
            await self.touch(found["ready"])
        place = found.get("place")
        return MeshView(
            mesh=sha256,
            state=cast(Literal["queued", "working", "ready", "refused"], state),
            percent=int(found.get("percent", 0)),
            reason=found.get("reason", ""),
            message=found.get("message", ""),
            place=msgspec.json.decode(place, type=tuple[float, float, float]) if place else None,
            shape={"kind": "mesh", "params": {"sha256": found["ready"]}} if state == "ready" else None,
            vertices=int(found.get("vertices", 0)),
            tetrahedra=int(found.get("tetrahedra", 0)),
            volume=float(found.get("volume", 0)),
            bounding_radius=float(found.get("bounding_radius", 0)),
        )

    async def ready(self, sha256: str) -> tuple[str, int]:
        """The hash and size of a ready mesh, or of the one made of an upload. Raises NotFound (unknown_mesh)."""
        found = await self._load(sha256)
        made = found if found.get("ready") == sha256 else await self._load(found.get("ready", ""))
        await self.touch(made["ready"])
        return made["ready"], int(made["bytes"])

    async def _load(self, sha256: str) -> dict[str, str]:
        if sha256 in ready_meshes():
            mesh = msgspec.structs.asdict(ready_meshes()[sha256])
            return {name: str(value) for name, value in mesh.items()} | {
                "state": "ready", "ready": sha256, "percent": "100",
            }  # fmt: skip
        flat = await self._store.call("HGETALL", self._keys.mesh(sha256)) if is_mesh_hash(sha256) else []
        if not flat:
            raise NotFound(f"there is no mesh {sha256[:12]!r}", code="unknown_mesh", field="mesh")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def sizes(self, hashes: Sequence[str]) -> dict[str, int]:
        """The number of vertices of those of these meshes that are ready, by hash. Their use is noted."""
        shipped = {sha256: ready_meshes()[sha256].vertices for sha256 in hashes if sha256 in ready_meshes()}
        asked = [sha256 for sha256 in hashes if is_mesh_hash(sha256) and sha256 not in shipped]
        found = await self._store.batch(
            [("HMGET", self._keys.mesh(sha256), "state", "ready", "vertices") for sha256 in asked]
        )
        sizes = {
            sha256: int(vertices)
            for sha256, (state, ready, vertices) in zip(asked, found, strict=True)
            if state == "ready" and ready == sha256
        }
        await self.touch(*sizes)
        return shipped | sizes

    async def touch(self, *hashes: str) -> None:
        """Note that meshes are used now. A mesh that is forgotten stays forgotten."""
        now = await self._store.now_ms()
        scores = [part for sha256 in hashes for part in (now, sha256)]
        if scores:
            await self._store.call("ZADD", self._keys.meshes, "XX", *scores)

    # what the worker calls

    async def take(self, entry: Entry) -> tuple[int, str]:
        """Begin an attempt at a job. Returns its number and the format of the file; (0, "") if the job is done. An
        entry that names no mesh is removed as a job that is done."""
        keys, sha256 = self._keys, entry.fields.get("mesh", "")
        reply = await self._store.run(
            "mesh_take",
            [keys.mesh(sha256), keys.mesh_jobs, keys.mesh_use],
            [sha256, GROUP, entry.id, ATTEMPTS],
        )
        return int(reply[1]), str(reply[2])

    async def progress(self, sha256: str, attempt: int, percent: int) -> bool:
        """Store and publish the percentage of an attempt. False: another one has begun, or the job is done."""
        reply = await self._store.run("mesh_progress", [self._keys.mesh(sha256)], [sha256, attempt, percent])
        return bool(reply[1] == "1")

    async def finish(self, entry: Entry, attempt: int, made: Made) -> bool:
        """End a job with a ready mesh, whose file is stored. False: another attempt has begun, or the job is done."""
        fields: dict[str, Argument] = {
            "vertices": made.vertices,
            "tetrahedra": made.tetrahedra,
            "volume": repr(made.volume),
            "bounding_radius": repr(made.bounding_radius),
        }
        return await self._finish(entry, attempt, made.sha256, made.bytes, fields)

    async def refuse(
        self, entry: Entry, attempt: int, reason: str, message: str, place: Sequence[float] | None
    ) -> bool:
        """End a job with a refusal. False: another attempt has begun, or the job is done."""
        fields: dict[str, Argument] = {"reason": reason, "message": message[:300]}
        if place is not None:
            fields["place"] = msgspec.json.encode(place).decode()
        return await self._finish(entry, attempt, "", 0, fields)

    async def _finish(
        self, entry: Entry, attempt: int, ready: str, size: int, fields: Mapping[str, Argument]
    ) -> bool:
        keys, sha256 = self._keys, entry.fields["mesh"]
        flat = [part for pair in fields.items() for part in pair]
        reply = await self._store.run(
            "mesh_finish",
            [keys.mesh(sha256), keys.mesh_jobs, keys.mesh_use, keys.meshes, keys.mesh(ready or sha256)],
            [sha256, GROUP, entry.id, attempt, ready, size, *flat],
        )
        return bool(reply[1] == "1")

    # retention

    async def unused(self, before_ms: int) -> list[str]:
        """The meshes whose last use was before a time."""
        found = await self._store.call("ZRANGEBYSCORE", self._keys.meshes, "-inf", f"({before_ms}")
        return [str(one) for one in found]

    async def forget(self, sha256: str, before_ms: int) -> bool:
        """Forget a mesh that was not used since a time. False: it is kept."""
        keys = self._keys
        reply = await self._store.run(
            "mesh_forget", [keys.mesh(sha256), keys.meshes, keys.mesh_use], [sha256, before_ms]
        )
        return bool(reply[1] == "1")

    async def state(self, sha256: str) -> str:
        """The state of a mesh; "" if the store does not know it."""
        found: str | None = await self._store.call("HGET", self._keys.mesh(sha256), "state")
        return found or ""
