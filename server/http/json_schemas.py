"""JSON schemas of what clients send and of what the server sends, made from the types of the messages.

    components(received, sent) -> the schema of each type, and those that they refer to

A decoder gives a field that is left out its default, so that a client may leave it out. The server writes every field,
unless its type leaves defaults out: in the schema of what only the server sends, those fields are required. A server
refuses fields that it does not know, a client ignores them: only what clients send has no additional properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["components"]

PLACE = "#/components/schemas/{name}"


def components(received: Iterable[Any], sent: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The schema of each type, those that clients send first, and the schemas of all Structs in them by name."""
    from_clients, types = list(received), [*sent]
    made, parts = msgspec.json.schema_components([*from_clients, *types], ref_template=PLACE)
    decoded = {info.cls for kind in from_clients for info in _structs(inspect.type_info(kind), set())}
    for kind in types:
        for info in _structs(inspect.type_info(kind), set()):
            if info.cls not in decoded:
                _as_written(parts[info.cls.__name__], info)
    for schema in parts.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split()).replace("``", "`")
    return list(made), parts


def _as_written(schema: dict[str, Any], info: inspect.StructType) -> None:
    """Every field is there but those that may be unset: their default is UNSET, which has no JSON."""
    schema.pop("additionalProperties", None)
    if info.cls.__struct_config__.omit_defaults:
        return
    unset = {
        field.encode_name
        for field in info.fields
        if not field.required and field.default is field.default_factory is msgspec.NODEFAULT
    }
    schema["required"] = [name for name in schema["properties"] if name not in unset]


def _structs(info: inspect.Type, seen: set[type]) -> Iterator[inspect.StructType]:
    """Every Struct that a type refers to, each once."""
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info
    for part in _parts(info):
        yield from _structs(part, seen)


def _parts(info: inspect.Type) -> tuple[inspect.Type, ...]:
    match info:
        case inspect.StructType():
            return tuple(field.type for field in info.fields)
        case inspect.UnionType():
            return tuple(info.types)
        case inspect.VarTupleType() | inspect.ListType():
            return (info.item_type,)
        case inspect.TupleType():
            return tuple(info.item_types)
        case inspect.DictType():
            return (info.value_type,)
        case inspect.Metadata():
            return (info.type,)
        case _:
            return ()
