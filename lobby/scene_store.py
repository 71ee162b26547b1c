"""The scenes of waiting lobbies in the store: read, edited, undone, locked.

    first document (of the mode, a template, a client) -> begin, at the first edit or lock -> commit, undo, redo
                                                      '-> nobody edits: nothing is stored

A scene has a version, which grows by one with each commit. A document has the version of the commit that wrote it. A
commit is one script: it checks the lobby's status, locks, base versions and limits, then writes all or nothing. This
module must never compute geometry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import msgspec

from tussle.lobby.errors import Conflict, NotFound, Refused, StoreError
from tussle.lobby.lifecycle import WAITING
from tussle.lobby.rules.scene_edits import (
    DOCUMENT_BYTES,
    SCENE_BYTES,
    WORLD,
    Document,
    SceneParts,
    assemble,
    mesh_of,
    read_scene,
    split,
)
from tussle.lobby.rules.scene_limits import BODIES_MAX, VERTICES_MAX
from tussle.lobby.rules.scenes import Scene
from tussle.lobby.scene_documents import (
    Change,
    Committed,
    DocumentVersion,
    Edit,
    Listing,
    StoredDocument,
    apply,
    check_edits,
    edits_of,
    fields_of,
    outcome,
    restored,
    stale,
    undo_conflict,
)
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Argument, Store

__all__ = ["LOCK_MS", "FirstScenes", "SceneStore"]

LOCK_MS = 6000
"""Lifetime of a lock that its server does not renew."""

LOG_BYTES = 524_288
"""Most bytes of the edits in the log of a scene. The oldest are removed, and cannot be undone any more."""

EDITING_MS = 43_200_000
"""Longest time that edits and locks keep a lobby open after it was opened: half a day."""

UNDO_STEPS = 100

REPEATED = 64
"""Newest log entries in which a command that is sent again is looked for."""

READ_SHARE = 0.25
"""Price of a byte that is read from the log, as a share of the price of a byte that is written."""

READ_TRIES = 8
KEPT, FIRSTS_KEPT = 1024, 64
"""Sessions and versions of documents that are remembered, and whole first scenes. None of them ever changes."""

Sizes = Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]
"""SHA-256 of meshes -> vertices of those that are ready."""

Charge = Callable[[int], None]


class FirstScenes(Protocol):
    """The scenes that modes begin with."""

    def editable(self, mode: str) -> bool:
        """Whether the scene of this mode can be edited while the lobby waits."""

    def make(self, mode: str, params: Mapping[str, Any]) -> Scene:
        """The scene that the mode itself would set up. Raises Refused for wrong parameters."""


@dataclass(frozen=True, slots=True)
class _About:
    """The facts of a session that never change. ``scene``: SHA-256 of the document that it was opened with, or ''."""

    mode: str
    params: bytes
    scene: str
    fork: bool


async def _no_meshes(_: Sequence[str]) -> Mapping[str, int]:
    return {}


class SceneStore:
    """The scenes of a realm. ``sizes``: looks up meshes."""

    def __init__(
        self, store: Store, settings: Settings, first: FirstScenes, sizes: Sizes = _no_meshes
    ) -> None:
        self._store = store
        self._keys = store.keys
        self._first = first
        self._sizes = sizes
        self._wait_ms = round(max(settings.lobby_timeout_s, settings.scene_idle_s) * 1000)
        self._abouts: OrderedDict[str, _About] = OrderedDict()
        self._firsts: OrderedDict[_About, SceneParts] = OrderedDict()
        self._known: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._step_sizes: OrderedDict[tuple[str, str], int] = OrderedDict()

    def editable(self, mode: str) -> bool:
        """Whether the scene of this mode can be edited."""
        return self._first.editable(mode)

    # reads

    async def listing(self, session: str) -> Listing:
        """The scene without the content of its documents. Raises NotFound, Conflict ``not_editable``."""
        about = await self._about(session)
        stored = await self._stored(session, content=False)
        return (await self._first_listing(session, about)) if stored is None else stored[0]

    async def snapshot(self, session: str) -> tuple[Listing, bytes]:
        """The scene without the content of its documents, and as one canonical document, both of one version. Raises as
        ``listing``."""
        about = await self._about(session)
        stored = await self._stored(session, content=True)
        if stored is not None:
            return stored
        return await self._first_listing(session, about), await self._first_whole(session, about)

    async def version(self, session: str) -> int:
        """The version of a scene; 0 if it was never edited or is gone."""
        return int(await self._store.call("HGET", self._keys.scene_edits(session), "version") or 0)

    async def document(self, session: str, body: str) -> StoredDocument:
        """One document. Raises NotFound ``no_such_session`` or ``no_such_body``, Conflict ``not_editable``."""
        about = await self._about(session)
        scene, (version, sha256, data) = await self._store.batch(
            [
                ("EXISTS", self._keys.scene_edits(session)),
                ("HMGET", self._keys.scene_document(session, body), "version", "sha256", "doc"),
            ]
        )
        if version is not None:
            return StoredDocument(body, int(version), sha256, data.encode())
        if not scene:
            parts = await self._first_parts(session, about)
            for one in (parts.world, *parts.bodies):
                if one.id == body:
                    return StoredDocument(body, 1, one.sha256, one.data)
        raise NotFound(f"the scene has no body {body}", code="no_such_body", field="body")

    async def whole(self, session: str) -> bytes:
        """The scene as one canonical document. Raises NotFound, Conflict ``not_editable``."""
        stored = await self._stored(session, content=True)
        return (await self._first_whole(session, await self._about(session))) if stored is None else stored[1]

    async def for_start(self, session: str) -> str:
        """The scene for the specification of a session that starts: '' if the mode is to set up its own."""
        about = await self._about(session)
        if about.fork or not self._first.editable(about.mode):
            return ""
        if not about.scene:
            stored = await self._stored(session, content=True)
            return "" if stored is None else stored[1].decode()
        return (await self.whole(session)).decode()

    async def _stored(self, session: str, *, content: bool) -> tuple[Listing, bytes] | None:
        """The stored scene, and with ``content`` all of it as one document; None if it was never edited."""
        keys = self._keys
        for _ in range(READ_TRIES):
            version, bodies = await self._store.batch(
                [
                    ("HGET", keys.scene_edits(session), "version"),
                    ("ZRANGE", keys.scene_bodies(session), 0, -1),
                ]
            )
            if version is None:
                return None
            names = [WORLD, *bodies]
            documents = [
                (keys.scene_document(session, name), keys.scene_lock(session, name)) for name in names
            ]
            reply = await self._store.run(
                "scene_read",
                [keys.session(session), keys.scene_edits(session), *chain.from_iterable(documents)],
                [version, int(content)],
            )
            if reply[0] == "OK":
                return _read_stored(int(version), names, reply[1:], content=content)
        raise StoreError(f"the scene of {session} keeps changing")

    async def _first_listing(self, session: str, about: _About) -> Listing:
        status = await self._store.call("HGET", self._keys.session(session), "status")
        parts = await self._first_parts(session, about)
        bodies = tuple(DocumentVersion(body.id, 1, body.sha256) for body in parts.bodies)
        world = DocumentVersion(WORLD, 1, parts.world.sha256)
        return Listing(1, status in WAITING, world, bodies, parts.vertices, parts.size)

    async def _first_whole(self, session: str, about: _About) -> bytes:
        parts = await self._first_parts(session, about)
        return assemble(parts.world.data, (body.data for body in parts.bodies))

    # commits

    async def commit(
        self, session: str, player: str, command: int, edits: Sequence[Edit], charge: Charge
    ) -> Committed:
        """Commit edits as one version. ``command``: its id, which has its effect once. ``charge``: called with the
        bytes that may be written, before the work; what it raises refuses the commit.

        Raises NotFound; Refused for a document that is not valid; Conflict: ``not_member``, ``not_editable``,
        ``stale_version`` (with the present document as detail), ``lock_required``, ``stale_lock``, ``body_locked``, or
        ``bad_joint`` for a joint of a body that would not be there, or a limit.
        """
        check_edits(edits)
        await self._about(session)
        for attempt in range(READ_TRIES):
            present = None if attempt else self._remembered(session, edits)
            if present is None:
                used, present = await self._present(session, player, edits)
                if used is not None and command <= used:
                    return await self._repeated(session, player, command, charge)
            if present is None:
                await self._begin(session)
                continue
            documents = await self._write(edits, present, charge)
            made = await self._run(
                session, player, command, charge, "edit", 0,
                [
                    (edit.body, edit.base, edit.lock or "", document, "", "")
                    for edit, document in zip(edits, documents, strict=True)
                ],
            )  # fmt: skip
            if made is not None:
                return made
        raise StoreError(f"the scene of {session} keeps changing")

    async def undo(
        self, session: str, player: str, command: int, charge: Charge, *, redo: bool = False
    ) -> Committed:
        """Undo the newest step of a player, or redo what it undid last. ``charge``: as of ``commit``, with the bytes of
        the step. If this server knows the step's size, it is paid for before it is read.

        Raises NotFound; Conflict: ``nothing_to_undo``, ``undo_conflict`` if a body of the step was changed since or
        the step is too old (the detail is that of ``scene_documents.undo_conflict``; only {step} if it is too old),
        ``body_locked``,
        ``not_editable`` and a limit. A refused step stays: it can be undone once the other has undone its change, or
        ``skip`` drops it.
        """
        await self._about(session)
        keys, kind = self._keys, "redo" if redo else "undo"
        used, listed = await self._store.batch(
            [
                ("HGET", keys.session_player(session, player), "scene_id"),
                ("HGET", keys.scene_undo(session), f"{kind}:{player}"),
            ]
        )
        if used is not None and command <= int(used):
            return await self._repeated(session, player, command, charge)
        if not listed:
            raise Conflict(f"there is nothing to {kind}", code="nothing_to_undo")
        step = listed.split()[-1]
        size = self._step_sizes.get((session, step))
        if size is not None:
            charge(size)
        entries = await self._store.call("XRANGE", keys.scene_log(session), f"{step}-0", f"{step}-0")
        if not entries:
            detail = {"step": int(step)}
            raise Conflict(f"that step is too old to {kind}", code="undo_conflict", detail=detail)
        logged = edits_of(entries[0])
        if size is None:
            size = sum(len(bytes(edit.before)) + len(bytes(edit.after)) for edit in logged)
            _keep(self._step_sizes, (session, step), size)
            charge(size)
        changes = [restored(edit, redo) for edit in logged]
        made = await self._run(session, player, command, charge, kind, int(step), changes)
        if made is None:  # the scene is not stored any more
            raise Conflict(f"there is nothing to {kind}", code="nothing_to_undo")
        return made

    async def skip(self, session: str, player: str, step: int) -> bool:
        """Drop a step from those that a player can undo or redo; no body changes. ``step``: the version that an
        ``undo_conflict`` names. Returns False if it is not a step of the player. Raises NotFound, Conflict
        (``not_member``, ``not_editable``)."""
        keys = self._keys
        reply = await self._store.run(
            "scene_skip",
            [keys.session(session), keys.session_player(session, player), keys.scene_undo(session)],
            [player, step],
        )
        return bool(reply[1] == "1")

    def _remembered(self, session: str, edits: Sequence[Edit]) -> dict[str, StoredDocument] | None:
        """The documents that edits are based on, if this server knows all of them: a version never changes."""
        known = {edit.body: self._known.get((session, edit.body, edit.base)) for edit in edits if edit.base}
        if None in known.values() or any(edit.copy is not None for edit in edits):
            return None
        return {
            edit.body: StoredDocument(edit.body, edit.base, "", known[edit.body] or b"")
            for edit in edits
            if edit.base
        }

    async def _present(
        self, session: str, player: str, edits: Sequence[Edit]
    ) -> tuple[int | None, dict[str, StoredDocument] | None]:
        """The newest command id of the player, and the documents that edits name; None if the scene is not stored."""
        keys = self._keys
        names = list(dict.fromkeys(name for edit in edits for name in (edit.body, edit.copy) if name))
        used, stored, *found = await self._store.batch(
            [
                ("HGET", keys.session_player(session, player), "scene_id"),
                ("EXISTS", keys.scene_edits(session)),
                *(
                    ("HMGET", keys.scene_document(session, name), "version", "sha256", "doc")
                    for name in names
                ),
            ]
        )
        documents = {
            name: StoredDocument(name, int(version), sha256, data.encode())
            for name, (version, sha256, data) in zip(names, found, strict=True)
            if version is not None
        }
        return None if used is None else int(used), documents if stored else None

    async def _write(
        self, edits: Sequence[Edit], present: Mapping[str, StoredDocument], charge: Charge
    ) -> list[Document | None]:
        """The new documents; None for a removed one."""
        for edit in edits:
            now = present.get(edit.body)
            if (now.version if now else 0) != edit.base:
                raise stale(edit.body, now)
        before, after = _sizes_of(edits, present)
        if after > SCENE_BYTES + DOCUMENT_BYTES:
            raise Conflict(f"a scene may have {SCENE_BYTES} bytes", code="scene_too_large")
        charge(before + after)
        merged: list[tuple[Edit, bytes | None]] = []
        for edit in edits:
            now = present.get(edit.body)
            if edit.copy is None:
                merged.append((edit, now.data if now else None))
                continue
            source = present.get(edit.copy)
            if source is None:
                raise NotFound(f"the scene has no body {edit.copy}", code="no_such_body", field="copy")
            copied = {**msgspec.json.decode(source.data), "id": edit.body}
            merged.append((edit, msgspec.json.encode(copied)))
        wanted = {
            mesh_of(part)
            for edit, data in merged
            for part in (edit.document, edit.delta, msgspec.json.decode(data) if data else None)
            if part
        } - {""}
        sizes = await self._sizes(sorted(wanted)) if wanted else {}
        return [apply(edit, data, sizes) for edit, data in merged]

    async def _run(
        self,
        session: str,
        player: str,
        command: int,
        charge: Charge,
        kind: str,
        step: int,
        edits: Sequence[Change],
    ) -> Committed | None:
        """Run the commit: (body, base, lock, document, made, order) of each edit. None: read again."""
        keys = self._keys
        names: list[str] = [
            keys.session(session), keys.session_player(session, player), keys.scene_edits(session),
            keys.scene_bodies(session), keys.scene_log(session), keys.scene_undo(session),
            keys.scene_removed(session), keys.deadlines, keys.session_players(session),
            keys.scene_document(session, WORLD),
        ]  # fmt: skip
        args: list[Argument] = [
            session, keys.wake(session), player, command, kind, step, BODIES_MAX, VERTICES_MAX, SCENE_BYTES,
            LOG_BYTES, UNDO_STEPS, self._wait_ms, WORLD, EDITING_MS,
        ]  # fmt: skip
        for body, base, lock, document, made, order in edits:
            names += [keys.scene_document(session, body), keys.scene_lock(session, body)]
            args += [body, base, lock]
            args += [document.sha256, document.data, document.vertices] if document else ["", "", 0]
            args += [made, order]
        reply = await self._store.run("scene_edit", names, args)
        match reply:
            case ["OK", version]:
                for body, _, _, document, _, _ in edits:
                    if document is not None:
                        _keep(self._known, (session, body, int(version)), document.data)
                return Committed(
                    int(version),
                    tuple(
                        DocumentVersion(
                            body, int(version) if document else 0, document.sha256 if document else ""
                        )
                        for body, _, _, document, _, _ in edits
                    ),
                )
            case ["STALE", body, version, sha256, data]:
                now = StoredDocument(body, int(version), sha256, data.encode()) if data else None
                raise stale(body, now)
            case ["CONFLICT", body, version, seat, name]:
                raise undo_conflict(step, body, int(version), int(seat) if seat else None, name)
            case ["AGAIN"]:
                return await self._repeated(session, player, command, charge)
            case _:
                await self._begin(session)
                return None

    async def _repeated(self, session: str, player: str, command: int, charge: Charge) -> Committed:
        """The commit that a command has made. The log is paid for before it is read. Raises Conflict (stale_id) if the
        command made none, or long ago."""
        size = await self._store.call("HGET", self._keys.scene_edits(session), "log_bytes")
        charge(round(READ_SHARE * int(size or 0)))
        entries = await self._store.call(
            "XREVRANGE", self._keys.scene_log(session), "+", "-", "COUNT", REPEATED
        )
        for entry in entries:
            fields = fields_of(entry)
            if fields["player"] == player and fields["command"] == str(command):
                version = int(entry[0].partition("-")[0])
                return Committed(version, tuple(outcome(edit, version) for edit in edits_of(entry)))
        raise Conflict(f"command {command} is not newer than the last one", code="stale_id", field="id")

    # locks

    async def lock(self, session: str, player: str, connection: str, body: str) -> int:
        """Lock a document and return the lock's token, which is larger than all before.

        Raises NotFound (``no_such_body``, ``not_found``), Conflict ``body_locked``, ``not_member``, ``not_editable``.
        """
        keys = self._keys
        await self._about(session)
        for _ in range(2):
            reply = await self._store.run(
                "scene_lock",
                [
                    keys.session(session), keys.session_player(session, player), keys.scene_edits(session),
                    keys.scene_bodies(session), keys.scene_lock(session, body), keys.deadlines,
                ],
                [session, keys.wake(session), player, connection, body, WORLD, LOCK_MS, self._wait_ms, EDITING_MS],
            )  # fmt: skip
            if reply[0] == "OK":
                return int(reply[1])
            await self._begin(session)
        raise StoreError(f"the scene of {session} cannot be stored")

    async def unlock(self, session: str, player: str, locks: Mapping[str, int]) -> int:
        """Give locks back, body -> token. Returns how many; locks that the player does not have are not
        changed."""
        if not locks:
            return 0
        reply = await self._store.run(
            "scene_unlock",
            [self._keys.scene_lock(session, body) for body in locks],
            [
                self._keys.wake(session),
                player,
                *(part for body, token in locks.items() for part in (body, token)),
            ],
        )
        return int(reply[1])

    async def renew(self, session: str, player: str, locks: Mapping[str, int]) -> list[str]:
        """Renew locks, body -> token. Returns the bodies whose locks are lost, or have ended because the session starts
        or the player has no seat any more."""
        keys = self._keys
        reply = await self._store.run(
            "scene_renew",
            [
                keys.session(session),
                keys.session_players(session),
                *(keys.scene_lock(session, body) for body in locks),
            ],
            [keys.wake(session), player, LOCK_MS, *(part for lock in locks.items() for part in lock)],
        )
        return [body for body, kept in zip(locks, reply[1:], strict=True) if kept == "0"]

    async def unlocked(self, session: str, bodies: Sequence[str]) -> list[str]:
        """Those of these bodies that nobody has locked."""
        held = await self._store.batch([("EXISTS", self._keys.scene_lock(session, body)) for body in bodies])
        return [body for body, there in zip(bodies, held, strict=True) if not there]

    # the first version

    async def _about(self, session: str) -> _About:
        about = self._abouts.get(session)
        if about is None:
            mode, params, scene, parent = await self._store.call(
                "HMGET", self._keys.session(session), "mode", "params", "scene", "parent"
            )
            if mode is None:
                raise NotFound(f"there is no session {session[:16]}", code="no_such_session", field="session")
            about = _About(mode, (params or "{}").encode(), scene or "", parent is not None)
            _keep(self._abouts, session, about)
        return about

    async def _first_parts(self, session: str, about: _About) -> SceneParts:
        """The documents of the first version. Raises Conflict (not_editable) if the mode has no editable scene."""
        if about.fork or not self._first.editable(about.mode):
            raise Conflict(
                f"the scene of a {'fork' if about.fork else about.mode} cannot be edited", code="not_editable"
            )
        parts = self._firsts.get(about)
        if parts is None:
            if about.scene:
                data = await self._store.call("HGET", self._keys.scene(about.scene), "data")
                if data is None:
                    raise NotFound(f"the scene of {session} is gone", code="no_such_session", field="session")
                parts = await self.read(data)
            else:
                parts = split(self._first.make(about.mode, msgspec.json.decode(about.params)))
            _keep(self._firsts, about, parts, FIRSTS_KEPT)
        return parts

    async def read(self, document: str) -> SceneParts:
        """The documents of a scene that a client or template has. Raises Refused, and Conflict if it is too large."""
        if len(document) > 2 * SCENE_BYTES:
            raise Conflict(f"a scene may have {SCENE_BYTES} bytes", code="scene_too_large")
        try:
            bodies = msgspec.json.decode(document, type=_Shapes).bodies
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise Refused(f"not a scene: {error}", code="bad_scene", field="scene") from None
        wanted = {mesh_of(body) for body in bodies} - {""}
        return read_scene(document, await self._sizes(sorted(wanted)) if wanted else {})

    async def _begin(self, session: str) -> None:
        """Store the first version. Does nothing if it is stored."""
        keys = self._keys
        parts = await self._first_parts(session, await self._about(session))
        bodies = parts.bodies
        args: list[Argument] = [parts.world.sha256, parts.world.data]
        for body in bodies:
            args += [body.id, body.sha256, body.data, body.vertices]
        await self._store.run(
            "scene_begin",
            [
                keys.session(session), keys.scene_edits(session), keys.scene_bodies(session),
                *(keys.scene_document(session, name) for name in (WORLD, *(body.id for body in bodies))),
            ],
            args,
        )  # fmt: skip


def _sizes_of(edits: Sequence[Edit], present: Mapping[str, StoredDocument]) -> tuple[int, int]:
    """The bytes of the documents that edits are made on, and about the most that they become."""
    before = after = 0
    for edit in edits:
        begun = present.get(edit.copy or edit.body)
        before += len(begun.data) if begun and edit.copy is None else 0
        if not edit.remove:
            after += len(begun.data) if begun and edit.document is None else 0
            after += len(repr(edit.document or edit.delta or ""))
    return before, after


class _Shapes(msgspec.Struct, frozen=True):
    """The part of a scene that says which meshes it needs."""

    bodies: list[dict[str, Any]]


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, most: int = KEPT) -> None:
    cache[key] = value
    if len(cache) > most:
        cache.popitem(last=False)


def _read_stored(
    version: int, names: Sequence[str], reply: Sequence[str], *, content: bool
) -> tuple[Listing, bytes]:
    """A stored scene from the reply of ``scene_read``, without its first word."""
    editable = reply[0] in WAITING
    rows = [reply[at : at + 4] for at in range(3, len(reply), 4)]
    world, *bodies = [
        DocumentVersion(name, int(written), sha256, int(seat) if seat and editable else None)
        for name, (written, sha256, seat, _) in zip(names, rows, strict=True)
    ]
    listing = Listing(version, editable, world, tuple(bodies), int(reply[2]), int(reply[1]))
    first, *rest = [row[3].encode() for row in rows]
    return listing, assemble(first, rest) if content else b""
