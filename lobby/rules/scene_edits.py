"""Edits of a scene while its lobby waits: a versioned document per body, and one for the settings of the world.

    scene -> split -> documents -> write_body, write_world (whole, or a delta) -> assemble -> scene

A document is stored as canonical JSON: sorted keys, no field that has its default, whole numbers without a point. So
equal documents have equal bytes, and their SHA-256 names them; a delta gives the same bytes as writing the whole
document. This module must never compute geometry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from tussle.lobby.errors import Conflict, Refused
from tussle.lobby.rules.motions import check_pins
from tussle.lobby.rules.scene_limits import (
    MESH_SCALE,
    check_body,
    check_scene,
    check_vertices,
    check_world,
    is_mesh_scale,
)
from tussle.lobby.rules.scenes import Body, Recipe, Scene, check_restitution, decode_scene
from tussle.lobby.text import check_text

__all__ = [
    "DOCUMENT_BYTES",
    "SCENE_BYTES",
    "WORLD",
    "Document",
    "SceneParts",
    "assemble",
    "digest",
    "mesh_of",
    "read_scene",
    "split",
    "write_body",
    "write_world",
]

WORLD = "world"
"""The id of the document that has the settings of the world: a scene without its bodies."""

SCENE_BYTES = 131_072
"""Most bytes of the documents of a scene."""

DOCUMENT_BYTES = 16_384
"""Largest document of one body."""

_WHOLE = 2**53

_UNCHANGED = frozenset({int, str, bool})
"""Types whose values are stored as they are."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is stored. ``data``: its canonical JSON. ``vertices``: of the body's shape, 0 of the world."""

    id: str
    data: bytes
    vertices: int

    @property
    def sha256(self) -> str:
        return digest(self.data)


@dataclass(frozen=True, slots=True)
class SceneParts:
    """A whole scene as documents, the bodies in the order of the scene."""

    world: Document
    bodies: tuple[Document, ...]

    @property
    def vertices(self) -> int:
        return sum(body.vertices for body in self.bodies)

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        return len(self.world.data) + sum(len(body.data) for body in self.bodies)


_World = msgspec.defstruct(
    "_World",
    [(f.name, f.type, f.default) for f in msgspec.structs.fields(Scene) if f.name != "bodies"],
    frozen=True,
    forbid_unknown_fields=True,
)


def digest(data: bytes) -> str:
    """The SHA-256 of a document, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def mesh_of(document: Mapping[str, Any]) -> str:
    """The SHA-256 of the mesh that a body's document names; '' if its shape is a procedural one."""
    shape = document.get("shape")
    params = shape.get("params") if isinstance(shape, dict) and shape.get("kind") == "mesh" else None
    named = params.get("sha256") if isinstance(params, dict) else None
    return named if isinstance(named, str) else ""


def write_body(
    body: str,
    present: bytes | None,
    *,
    document: Mapping[str, Any] | None = None,
    delta: Mapping[str, Any] | None = None,
    meshes: Mapping[str, int] | None = None,
) -> Document:
    """The new document of a body: ``document``, or ``present`` with the fields of ``delta`` replaced. A field that is
    null in the delta gets its default. ``meshes``: vertices of ready meshes by SHA-256.

    Raises Refused: ``bad_scene`` with the field, ``unknown_mesh``, or ``document_too_large``.
    """
    fields = _merge(present, document, delta)
    if fields.setdefault("id", body) != body:
        raise Refused(f"the document of {body!r} has another id", code="bad_scene", field="id")
    return _body(fields, meshes or {})


def write_world(
    present: bytes | None,
    *,
    document: Mapping[str, Any] | None = None,
    delta: Mapping[str, Any] | None = None,
) -> Document:
    """The new document of the world's settings, as ``write_body``. Raises Refused."""
    fields = _merge(present, document, delta)
    settings = _convert(fields, _World)
    check_world(settings)
    return _encode(WORLD, settings, 0)


def split(scene: Scene, meshes: Mapping[str, int] | None = None) -> SceneParts:
    """The documents of a scene. Raises Refused, and Conflict if the scene is too large."""
    check_scene(scene)
    settings = {name: getattr(scene, name) for name in scene.__struct_fields__ if name != "bodies"}
    world = _encode(WORLD, _convert(settings, _World), 0)
    parts = SceneParts(world, tuple(_checked_body(body, meshes or {}) for body in scene.bodies))
    check_vertices([parts.vertices])
    if parts.size > SCENE_BYTES:
        raise Conflict(f"a scene may have {SCENE_BYTES} bytes", code="scene_too_large")
    return parts


def read_scene(document: str, meshes: Mapping[str, int] | None = None) -> SceneParts:
    """The documents of a scene that a client sent. Raises Refused, and Conflict if it is too large."""
    if len(document) > 2 * SCENE_BYTES:
        raise Conflict(f"a scene may have {SCENE_BYTES} bytes", code="scene_too_large")
    return split(decode_scene(document), meshes)


def assemble(world: bytes, bodies: Iterable[bytes]) -> bytes:
    """The canonical JSON of the whole scene: "bodies" is the first of its sorted names."""
    return b'{"bodies":[' + b",".join(bodies) + b"]," + world[1:]


# documents


def _merge(
    present: bytes | None, document: Mapping[str, Any] | None, delta: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of the new document, not checked yet."""
    if document is not None:
        return dict(document)
    fields: dict[str, Any] = msgspec.json.decode(present) if present else {}
    for name, value in (delta or {}).items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return fields


def _convert(fields: Mapping[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Refused(f"not a document of a scene: {error}", code="bad_scene") from None


def _body(fields: Mapping[str, Any], meshes: Mapping[str, int]) -> Document:
    return _checked_body(_convert(fields, Body), meshes)


def _checked_body(body: Body, meshes: Mapping[str, int]) -> Document:
    if body.id == WORLD:
        raise Refused(f"no body may be called {WORLD!r}", code="bad_scene", field="id")
    if (body.rail is not None) != (body.kind == "rail"):
        raise Refused(
            f"body {body.id!r}: kind 'rail' needs a rail, and no other kind has one",
            code="bad_scene",
            field="rail",
        )
    check_pins(body.id, body.kind, body.pins)
    check_restitution(body)
    vertices = check_body(body) or _mesh_vertices(body.id, body.shape, meshes)
    for name, sets in (("pins", body.pins), ("handles", body.handles)):
        if not all(0 <= min(one.vertices) <= max(one.vertices) < vertices for one in sets if one.vertices):
            raise Refused(f"body {body.id!r}: {name} name no vertex of it", code="bad_scene", field=name)
    return _encode(body.id, body, vertices)


def _mesh_vertices(body: str, shape: Recipe, meshes: Mapping[str, int]) -> int:
    named, scale = shape.params.get("sha256"), shape.params.get("scale", 1.0)
    if not {"sha256"} <= set(shape.params) <= {"sha256", "scale"} or not isinstance(named, str):
        message = f"body {body!r}: a mesh has the parameter sha256, and may have scale"
        raise Refused(message, code="bad_scene", field="shape.params")
    if not is_mesh_scale(scale):
        message = f"body {body!r}: the scale of a mesh is between {1 / MESH_SCALE:g} and {MESH_SCALE:g}"
        raise Refused(message, code="bad_scene", field="shape.params")
    if named not in meshes:
        raise Refused(f"body {body!r}: there is no such mesh", code="unknown_mesh", field="shape.params")
    return meshes[named]


def _encode(id: str, value: Any, vertices: int) -> Document:
    plain = _plain(value)
    if id == WORLD:
        check_text(plain.get("name", ""), field="name")
        plain["schema"] = value.schema
    try:
        data = msgspec.json.encode(plain, order="sorted")
    except UnicodeEncodeError:
        raise Refused("a document is not valid Unicode", code="bad_scene") from None
    if len(data) > DOCUMENT_BYTES:
        raise Refused(f"a document may have {DOCUMENT_BYTES} bytes", code="document_too_large")
    return Document(id, data, vertices)


@cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """The fields of a struct with their defaults: NODEFAULT, which equals no value, for one that is required."""
    return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))


def _plain(value: Any) -> Any:
    """A struct as a dict without the fields that have their defaults; whole floats as int, which are the same JSON
    number."""
    if isinstance(value, msgspec.Struct):
        return {
            name: _plain(getattr(value, name))
            for name, default in _defaults(type(value))
            if getattr(value, name) != default
        }
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        # Lists of vertices are long: 33,000 numbers of a scene took 30 ms one by one.
        return list(value) if _UNCHANGED.issuperset(map(type, value)) else [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    return value
