"""The scene of a waiting lobby: read it, and edit it together with other members.

    scene = client.scene(connection)
    await scene.add("box", size=(0.4, 0.4, 0.4), material="wood", position=(0, 0.3, 0))
    async with scene.lock("body-1"):
        await scene.update("body-1", position=(0, 1, 0))
    await scene.undo()

Every edit names the version of the body that this client has read last. A body that another member has changed since is
not overwritten: SceneConflict has its present version and document. Lengths are in metres, angles in quaternions (w, x,
y, z), masses in kg. This module must never compute geometry.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from tussle.lobby.errors import Conflict, LobbyError, NotFound, ProtocolError, RateLimited, Refused
from tussle.lobby.rules.scenes import Body, Material, decode_scene
from tussle.lobby.wire.http_answers import MeshView, SceneDocument, SceneListing, SceneReport, SentMesh
from tussle.player.transcript import SceneAck

if TYPE_CHECKING:
    from tussle.player.connection import SessionConnection

__all__ = ["MATERIALS", "WORLD", "SceneConflict", "SessionScene"]

WORLD = "world"
"""The id of the document that has the settings of the world: gravity, dt, dhat, ..."""

MATERIALS: Mapping[str, Material] = {
    "rubber": Material(density=1100.0, stiffness=2e6, poisson=0.45, friction=0.9, damping=0.3),
    "wood": Material(density=600.0, stiffness=2e7, poisson=0.3, friction=0.45, damping=0.1),
    "steel": Material(density=7800.0, stiffness=2e8, poisson=0.29, friction=0.3),
    "jelly": Material(density=1000.0, stiffness=4e4, poisson=0.45, friction=0.4, damping=0.5),
    "ice": Material(density=917.0, stiffness=5e7, poisson=0.33, friction=0.03),
    "stone": Material(density=2500.0, stiffness=5e7, poisson=0.25, friction=0.6),
}
"""Materials by name, those of the editor in the browser. A body keeps only the numbers."""

EDITS, EDIT_BYTES = 48, 6000
"""Most edits, and about the most bytes, of one command."""

RATE, BURST = 40.0, 60.0
"""The pace of commands in messages per second, and at once. An edit counts as two messages; a server closes the
connection of a client that sends more than 60 per second."""

WAIT_S = 60.0
"""Longest wait for a mesh, and for a budget of the server [s]."""

POLL_S = 0.2

T = TypeVar("T")

_FIELDS = frozenset(field.name for field in msgspec.structs.fields(Body))


class SceneConflict(Conflict):
    """Another member has changed the body since this client has read it; the edit changed nothing. ``body``: its id;
    ``version``: the present one, 0 if it was removed; ``document``: the present one, None if it was removed. The next
    edit of the body is made on this version."""

    code = "stale_version"

    def __init__(self, message: str, *, body: str, version: int, document: dict[str, Any] | None) -> None:
        super().__init__(message, code="stale_version", field=body)
        self.body = body
        self.version = version
        self.document = document


class SceneCalls(Protocol):
    """The calls of a client over HTTP."""

    async def read(self, path: str) -> bytes: ...

    async def order(self, path: str, body: dict[str, Any]) -> dict[str, Any]: ...

    async def send_file(self, path: str, query: dict[str, str], file: Path) -> bytes: ...

    async def catalogue(self) -> dict[str, Any]: ...


class SessionScene:
    """The scene of one session. ``Client.scene`` makes it."""

    def __init__(self, calls: SceneCalls, connection: SessionConnection) -> None:
        self._calls = calls
        self._connection = connection
        self._path = f"/api/sessions/{connection.session}/scene"
        self._seen: dict[str, int] = {}
        self._locks: dict[str, int] = {}
        self._shapes: dict[str, Any] | None = None
        self._left, self._at = BURST, time.monotonic()

    # reading

    async def listing(self) -> SceneListing:
        """What the scene has: the version of each body, who has locked it, the limits. Raises NotFound."""
        return _decoded(await self._calls.read(self._path), SceneListing)

    async def bodies(self) -> list[str]:
        """The ids of the bodies, in order."""
        return [entry.body for entry in (await self.listing()).bodies]

    async def read(self, body: str) -> dict[str, Any]:
        """The document of a body as it is now, or of WORLD. The next edit is made on this version. Raises NotFound
        (no_such_body)."""
        seen = _decoded(await self._calls.read(f"{self._path}/bodies/{body}"), SceneDocument)
        self._seen[body] = seen.version
        return seen.document

    async def document(self) -> dict[str, Any]:
        """The whole scene, ``tussle-scene/1``, as ``tussle simulate`` runs it; also after the start."""
        return _decoded(await self._calls.read(f"{self._path}.json"), dict[str, Any])

    async def save(self, path: str | Path) -> None:
        """Write the whole scene to a file."""
        text = msgspec.json.format(await self._calls.read(f"{self._path}.json"))
        await asyncio.to_thread(Path(path).write_bytes, text + b"\n")

    async def check(self) -> SceneReport:
        """Compute whether the scene can start: which bodies touch, and the smallest gap."""
        found = await self._calls.order(f"{self._path}/check", {})
        try:
            return msgspec.convert(found, SceneReport)
        except msgspec.ValidationError as error:
            raise ProtocolError(f"the check of a scene: {error}") from None

    # editing

    async def add(
        self,
        shape: str | Mapping[str, Any] = "box",
        *,
        id: str | None = None,
        material: str | Mapping[str, Any] | Material = "wood",
        **fields: Any,
    ) -> str:
        """Add a body; return its id. shape: a kind of docs/scenes.md with its parameters among the fields (``add("box",
        size=(0.4, 0.4, 0.4))``), a body or a ready mesh of the catalogue (``add("bunny", scale=2, kind="elastic")``),
        or a recipe ``{kind, params}``. material: one of MATERIALS, or its numbers. fields: ``position`` [m],
        ``rotation``, ``kind`` (affine, elastic, static, rail), ``velocity`` [m/s], ``spin`` [rad/s], ``pins``,
        ``handles``, ``rail``.

        Raises Refused (bad_scene, unknown_mesh), Conflict (too_many_bodies, not_editable, ...), SceneConflict if there
        is a body of this id.
        """
        params = {name: fields.pop(name) for name in list(fields) if name not in _FIELDS}
        document = {**fields, "shape": await self._recipe(shape, params), "material": material_of(material)}
        name = id or await self._free_id()
        await self._commit([{"body": name, "base": 0, "document": {"id": name, **document}}])
        return name

    async def from_mesh(self, path: str | Path, *, id: str | None = None, **fields: Any) -> str:
        """Send a mesh file (STL, OBJ, PLY, VTK, MSH, GLB), wait until it is ready, and add a body with it; return its
        id. fields: as ``add``; an elastic body needs ``kind="elastic"``. Raises Refused (bad_mesh) with the reason and
        the place if the file cannot be used; TimeoutError after WAIT_S."""
        return await self.add(await self.send_mesh(path), id=id, **fields)

    async def send_mesh(self, path: str | Path) -> dict[str, Any]:
        """Send a mesh file; return the recipe of the ready mesh, for ``add``. Raises as ``from_mesh``."""
        file = Path(path)
        query = {"name": file.name, "session": self._connection.session}
        sent = _decoded(await self._calls.send_file("/api/meshes", query, file), SentMesh)
        async with asyncio.timeout(WAIT_S):
            mesh = await self._mesh(sent.mesh)
            while mesh.state not in ("ready", "refused"):
                await asyncio.sleep(POLL_S)
                mesh = await self._mesh(sent.mesh)
        if mesh.shape is None:
            where = "" if mesh.place is None else f" at {mesh.place}"
            raise Refused(f"{file.name}: {mesh.reason or 'it cannot be used'}{where}", code="bad_mesh")
        return mesh.shape

    async def _mesh(self, mesh: str) -> MeshView:
        return _decoded(await self._calls.read(f"/api/meshes/{mesh}"), MeshView)

    async def update(self, body: str, **fields: Any) -> int:
        """Change fields of a body, or of WORLD (``gravity`` [m/s^2], ``dt`` [s], ``dhat`` [m], ...); None gives a field
        its default. The body is locked for the edit, unless ``lock`` holds it. Returns its new version.

        Raises SceneConflict; Conflict (body_locked, not_editable), Refused (bad_scene), NotFound (no_such_body).
        """
        if "material" in fields and fields["material"] is not None:
            fields["material"] = material_of(fields["material"])
        ack = await self._edit_locked({body: {"delta": fields}})
        return _version_in(ack, body)

    async def write(self, body: str, document: Mapping[str, Any]) -> int:
        """Replace the whole document of a body, or of WORLD. Returns the new version. Raises as ``update``."""
        ack = await self._edit_locked(
            {body: {"document": {**document, "id": body} if body != WORLD else document}}
        )
        return _version_in(ack, body)

    async def remove(self, *bodies: str) -> None:
        """Remove bodies, in one step. Raises as ``update``."""
        await self._edit_locked({body: {"remove": True} for body in bodies})

    async def array(self, body: str, count: int, step: Sequence[float]) -> list[str]:
        """Add ``count`` copies of a body, each ``step`` [m] further, as one step of undo. Returns their ids."""
        document = await self.read(body)
        first, taken = document.get("position", (0.0, 0.0, 0.0)), set(await self.bodies())
        edits: list[dict[str, Any]] = []
        number = 1
        for i in range(1, count + 1):
            while f"{body}-{number}" in taken:
                number += 1
            name = f"{body}-{number}"
            taken.add(name)
            place = [start + i * along for start, along in zip(first, step, strict=True)]
            edits.append({"body": name, "base": 0, "document": {**document, "id": name, "position": place}})
        await self._commit(edits)
        return [str(edit["body"]) for edit in edits]

    async def load(self, path: str | Path) -> None:
        """Replace the scene with the one in a file, written by ``save`` or by hand. New bodies are the last in the
        order of bodies. A large scene takes several steps of undo. Raises Refused (bad_scene), and as ``update``."""
        data = await asyncio.to_thread(Path(path).read_bytes)
        decode_scene(data)
        whole = msgspec.json.decode(data, type=dict[str, Any])
        wanted = {body["id"]: body for body in whole.pop("bodies")}
        async with self.lock(WORLD, *await self._all_seen()):
            there = await self._all_seen()
            edits = [
                {"body": name, "base": self._seen[name] if name in there else 0, "document": document}
                for name, document in [(WORLD, whole), *wanted.items()]
                if name != WORLD
            ]
            edits.append({"body": WORLD, "base": self._seen[WORLD], "document": whole})
            edits += [
                {"body": name, "base": self._seen[name], "remove": True}
                for name in there
                if name not in wanted
            ]
            await self._commit(edits)

    async def _all_seen(self) -> list[str]:
        """The ids of the bodies. The next edits are made on the present versions."""
        listing = await self.listing()
        self._seen = {entry.body: entry.version for entry in (listing.world, *listing.bodies)}
        return [entry.body for entry in listing.bodies]

    async def undo(self, *, skip: int | None = None) -> list[str]:
        """Undo the newest step of this player; return the bodies that changed.

        Raises Conflict: nothing_to_undo; undo_conflict if somebody changed a body of the step since. The error's
        ``detail`` has {step, body, version, seat, name}: who changed which body; only {step} if the step is too old.
        Nothing has changed then, and the same step is tried the next time. ``skip``: such a step, which is dropped
        first; it cannot be undone any more.
        """
        return await self._step("undo", skip)

    async def redo(self, *, skip: int | None = None) -> list[str]:
        """Redo the step that was undone last; return the bodies that changed. ``skip``, Raises: as ``undo``."""
        return await self._step("redo", skip)

    async def _step(self, kind: str, skip: int | None) -> list[str]:
        if skip is not None:
            await self._paced("skip", {"step": skip})
        return self._changed(await self._paced(kind, None))

    @contextlib.asynccontextmanager
    async def lock(self, *bodies: str) -> AsyncIterator[None]:
        """Lock bodies for several edits: nobody else can change them. They are released afterwards, also after an
        exception, and when the connection closes. Raises Conflict (body_locked) with the name of the holder."""
        taken: list[str] = []
        try:
            for body in bodies:
                if body not in self._locks:
                    try:
                        ack = await self._paced("lock", {"body": body})
                    except NotFound as error:
                        if self._seen.pop(body, None) is None:
                            raise
                        raise SceneConflict(error.message, body=body, version=0, document=None) from None
                    self._locks[body] = ack.lock or 0
                    taken.append(body)
                if body not in self._seen:
                    await self.read(body)
            yield
        finally:
            for body in taken:
                token = self._locks.pop(body)
                with contextlib.suppress(LobbyError):  # a lock that is gone need not be released
                    await self._paced("unlock", {"body": body, "lock": token})

    async def _edit_locked(self, changes: Mapping[str, Mapping[str, Any]]) -> SceneAck:
        async with self.lock(*changes):
            edits = [
                {"body": body, "base": self._seen.get(body, 0), **change} for body, change in changes.items()
            ]
            return await self._commit(edits)

    async def _commit(self, edits: Sequence[dict[str, Any]]) -> SceneAck:
        """Send edits, in as few commands as they fit in."""
        done = SceneAck()
        waiting = [self._with_lock(edit) for edit in edits]
        while waiting:
            count, size = 0, 0
            while count < min(len(waiting), EDITS) and (not count or size < EDIT_BYTES):
                size += len(msgspec.json.encode(waiting[count]))
                count += 1
            if count > 1 and size > EDIT_BYTES:
                count -= 1
            part, waiting = waiting[:count], waiting[count:]
            try:
                done = await self._paced("edit", {"edits": part})
            except Conflict as error:
                raise self._conflict(error) from None
            self._changed(done)
        return done

    def _with_lock(self, edit: dict[str, Any]) -> dict[str, Any]:
        token = self._locks.get(edit["body"])
        return edit if token is None else {**edit, "lock": token}

    def _conflict(self, error: Conflict) -> Conflict:
        """The error with the present state of the body, if the server sent it."""
        if error.reason != "stale_version" or error.detail is None:
            return error
        body, version = str(error.detail["body"]), int(error.detail["version"])
        self._seen[body] = version
        return SceneConflict(error.message, body=body, version=version, document=error.detail.get("document"))

    def _changed(self, ack: SceneAck) -> list[str]:
        for one in ack.bodies:
            if one.version:
                self._seen[one.body] = one.version
            else:
                self._seen.pop(one.body, None)
        return [one.body for one in ack.bodies]

    async def _paced(self, kind: str, d: dict[str, Any] | None) -> SceneAck:
        """A command, at a pace that the server accepts."""
        until = time.monotonic() + WAIT_S
        while True:
            now = time.monotonic()
            self._left = min(BURST, self._left + (now - self._at) * RATE)
            self._at = now
            self._left -= 2.0
            if self._left < 0:
                await asyncio.sleep(-self._left / RATE)
            try:
                return await self._connection.edit_scene(kind, d)
            except Refused as error:
                if error.reason != "body_locked":
                    raise
                raise Conflict(error.message, code="body_locked", field=error.field) from None
            except RateLimited as error:
                if error.retry_after is None or time.monotonic() + error.retry_after > until:
                    raise
                await asyncio.sleep(error.retry_after)

    async def _free_id(self) -> str:
        taken, number = set(await self.bodies()), 1
        while f"body-{number}" in taken:
            number += 1
        return f"body-{number}"

    async def _recipe(self, shape: str | Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(shape, str):
            return {"kind": shape["kind"], "params": {**shape.get("params", {}), **params}}
        if not params or set(params) == {"scale"}:
            if self._shapes is None:
                catalogue = await self._calls.catalogue()
                self._shapes = {**catalogue.get("meshes", {}), **catalogue.get("bodies", {})}
            if shape in self._shapes:
                found = self._shapes[shape]
                return {"kind": found["kind"], "params": {**found["params"], **params}}
        return {"kind": shape, "params": dict(params)}


def material_of(material: str | Mapping[str, Any] | Material) -> dict[str, Any]:
    """The numbers of a material. Raises Refused (bad_material) for a name that is none of MATERIALS."""
    if isinstance(material, str):
        if material not in MATERIALS:
            raise Refused(f"materials are {', '.join(MATERIALS)}", code="bad_material", field="material")
        material = MATERIALS[material]
    plain = msgspec.to_builtins(material)
    return dict(plain)


def _version_in(ack: SceneAck, body: str) -> int:
    return next((one.version for one in ack.bodies if one.body == body), 0)


def _decoded(data: bytes | bytearray, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the answer does not follow the protocol: {error}") from None
