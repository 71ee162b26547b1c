"""What an edit of a scene is, and how the log keeps it: the values that lobby/scene_store.py reads and writes.

This module must never contact the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tussle.lobby.errors import Conflict, Refused
from tussle.lobby.rules.scene_edits import WORLD, Document, write_body, write_world
from tussle.lobby.store.store import Argument

__all__ = [
    "Change",
    "Committed",
    "DocumentVersion",
    "Edit",
    "Listing",
    "Logged",
    "StoredDocument",
    "apply",
    "check_edits",
    "edits_of",
    "fields_of",
    "outcome",
    "restored",
    "stale",
    "undo_conflict",
]

Change = tuple[str, int, Argument, Document | None, Argument, Argument]
"""One edit as the script gets it: body, base, token of the lock or '', new document or None to remove, ``made`` or ''
for the new version, place in the order or ''."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one document. ``base``: the version that it was made on, 0 for a new body. Exactly one of
    ``document``, ``delta`` and ``remove``; ``copy``: a new body begins as that one, and may have a delta."""

    body: str
    base: int
    lock: int | None = None
    document: Mapping[str, Any] | None = None
    delta: Mapping[str, Any] | None = None
    remove: bool = False
    copy: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """The version of a document; 0 and '' if it was removed. ``lock``: seat of the holder of its lock."""

    body: str
    version: int
    sha256: str
    lock: int | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with its version. ``data``: canonical JSON."""

    body: str
    version: int
    sha256: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Committed:
    """The version that a commit made, and the documents that it wrote or removed."""

    version: int
    bodies: tuple[DocumentVersion, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A scene without the content of its documents."""

    version: int
    editable: bool
    world: DocumentVersion
    bodies: tuple[DocumentVersion, ...]
    vertices: int
    size: int


class Logged(msgspec.Struct, frozen=True):
    """One edit of a log entry. made, vertices: before and after."""

    body: str
    base: int
    made: tuple[int, int]
    vertices: tuple[int, int]
    order: int
    before: msgspec.Raw
    after: msgspec.Raw


_decode_logged = msgspec.json.Decoder(tuple[Logged, ...]).decode


def stale(body: str, now: StoredDocument | None) -> Conflict:
    """The error of an edit whose base is not the present version, with what is there now."""
    return Conflict(
        f"{body} was changed: its version is {now.version}" if now else f"there is no {body} any more",
        code="stale_version",
        field="base",
        detail={
            "body": body,
            "version": now.version if now else 0,
            "sha256": now.sha256 if now else "",
            "document": msgspec.Raw(now.data) if now else None,
        },
    )


def undo_conflict(step: int, body: str, version: int, seat: int | None, name: str) -> Conflict:
    """The error of an undo or redo whose step would take back what somebody did since. ``step``: the version that made
    the step; ``version``: the present one of the body, 0 if it is gone; ``seat``, ``name``: who changed it, None and
    '' if the log does not reach back that far."""
    return Conflict(
        f"{name or 'somebody'} changed {body} since",
        code="undo_conflict",
        detail={"step": step, "body": body, "version": version, "seat": seat, "name": name},
    )


def check_edits(edits: Sequence[Edit]) -> None:
    """Raises Refused (bad_edit) for a list that cannot be committed, whatever the scene is."""
    if len({edit.body for edit in edits}) < len(edits) or not edits:
        raise Refused(
            "a list of edits names at least one body, and each body once", code="bad_edit", field="edits"
        )
    for edit in edits:
        kinds = (edit.document is not None) + (edit.delta is not None) + edit.remove
        if edit.copy is not None:
            wrong = (
                edit.base != 0 or edit.document is not None or edit.remove or WORLD in (edit.copy, edit.body)
            )
        elif edit.base == 0:
            wrong = edit.document is None or kinds != 1 or edit.body == WORLD
        else:
            wrong = kinds != 1 or (edit.remove and edit.body == WORLD)
        if wrong:
            raise Refused(
                f"{edit.body}: an edit has one of document, delta and remove; a new body has a document or is a copy",
                code="bad_edit",
                field="edits",
            )


def apply(edit: Edit, data: bytes | None, sizes: Mapping[str, int]) -> Document | None:
    """The new document of an edit of ``data``; None if it removes the body. Raises Refused."""
    if edit.remove:
        return None
    if edit.body == WORLD:
        return write_world(data, document=edit.document, delta=edit.delta)
    return write_body(edit.body, data, document=edit.document, delta=edit.delta, meshes=sizes)


def fields_of(entry: Sequence[Any]) -> dict[str, str]:
    """The fields of a log entry."""
    return dict(zip(entry[1][::2], entry[1][1::2], strict=True))


def edits_of(entry: Sequence[Any]) -> tuple[Logged, ...]:
    """The edits of a log entry."""
    return _decode_logged(fields_of(entry)["edits"])


def _document_of(edit: Logged, after: bool) -> Document | None:
    data = bytes(edit.after if after else edit.before)
    return None if data == b"null" else Document(edit.body, data, edit.vertices[after])


def restored(edit: Logged, redo: bool) -> Change:
    """The edit that undoes a logged one, or redoes it: based on the content after it, or before it."""
    return edit.body, edit.made[not redo], "", _document_of(edit, redo), edit.made[redo], edit.order


def outcome(edit: Logged, version: int) -> DocumentVersion:
    """The version of a document after the commit of that version."""
    document = _document_of(edit, True)
    return DocumentVersion(edit.body, version if document else 0, document.sha256 if document else "")
