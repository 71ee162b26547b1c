"""The WebSockets as an AsyncAPI 3 document, made from the types that the messages are decoded with, and from those of
the events, which tests compare with what sessions publish.

    GET /asyncapi.json    the sockets of a session, of live mode and of a replay room

docs/protocol.md says what the messages mean and has the layouts of binary messages. This module must never describe a
message that no decoder has.
"""

from __future__ import annotations

import typing
from typing import Any

from tussle.lobby.wire import client_messages, live, messages, replay
from tussle.lobby.wire.delta_layout import CODEC
from tussle.lobby.wire.frames import schema_hash
from tussle.lobby.wire.mode_events import MODE_EVENTS
from tussle.lobby.wire.session_events import SESSION_EVENTS
from tussle.server.http.json_schemas import components

__all__ = ["document"]

BINARY = {
    "frame": f"kind 1: a whole frame, of the schema {schema_hash()}",
    "topology": f"kind 2: the meshes that frames move, of the schema {schema_hash()}",
    "delta": f"kinds 3 to 6: the difference from an earlier frame, or a keyframe, for clients that offer {CODEC}",
}

SOCKETS: tuple[tuple[str, str, str, Any, tuple[Any, ...]], ...] = (
    ("session", "/ws", "A seat in a session, or a place among its observers", client_messages.ClientMessage,
     (messages.ServerMessage, messages.Event)),
    ("live", "/live", "Readings of sessions and of other sources", live.LiveMessage, (live.LiveReply,)),
    ("replay", "/replay/{token}", "A recording that several watch together", replay.ReplayMessage,
     (replay.ReplayReply,)),
)  # fmt: skip
"""Name, address and meaning of each kind of socket; what clients send, and what the server sends."""


def document(*, version: str) -> dict[str, Any]:
    """The document: one channel for each kind of socket, one message for each type."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    named: dict[str, Any] = {}
    from_clients = [kind for _, _, _, received, _ in SOCKETS for kind in _members(received)]
    from_server = [kind for _, _, _, _, sent in SOCKETS for kind in _flat(sent)]
    happened = _events()
    structs = list(dict.fromkeys(kind for kinds in happened.values() for kind in kinds))
    schemas, parts = components(from_clients, [*from_server, *structs])
    schema_of = dict(zip([*from_clients, *from_server, *structs], schemas, strict=True))
    for name, address, meaning, received, sent in SOCKETS:
        of_client = [f"{name}.client.{_tag(kind)}" for kind in _members(received)]
        of_server = [f"{name}.server.{_tag(kind)}" for kind in _flat(sent)]
        for title, kind in zip([*of_client, *of_server], [*_members(received), *_flat(sent)], strict=True):
            named[title] = {
                "name": title.rpartition(".")[2],
                "contentType": "application/json",
                "payload": schema_of[kind],
            }
        if name == "session":
            for event, kinds in happened.items():
                of_server.append(f"session.server.event.{event}")
                named[of_server[-1]] = {
                    "name": event, "contentType": "application/json",
                    "summary": " ".join(dict.fromkeys(_about(parts, kind) for kind in kinds)),
                    "payload": _event_schema(event, [schema_of[kind] for kind in kinds]),
                }  # fmt: skip
            for title, text in BINARY.items():
                of_server.append(f"session.server.{title}")
                named[of_server[-1]] = {
                    "name": title, "contentType": "application/octet-stream", "summary": text,
                    "payload": {"type": "string", "format": "binary"},
                }  # fmt: skip
        every = {title: {"$ref": f"#/components/messages/{title}"} for title in (*of_client, *of_server)}
        channels[name] = {"address": address, "description": meaning, "messages": every}
        if "{token}" in address:
            channels[name]["parameters"] = {"token": {"description": "the token of the recorded session"}}
        for action, titles in (("receive", of_client), ("send", of_server)):
            operations[f"{name}.{action}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{title}"} for title in titles],
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tussle",
            "version": version,
            "license": {"name": "MIT"},
            "description": "The sockets as the server sees them: it receives what clients send.",
            "x-codecs": [CODEC],
            "x-schema-hash": schema_hash(),
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": named, "schemas": parts},
    }


def _events() -> dict[str, list[type]]:
    """Type of an event -> the types of its ``d``: one, or one for each mode that has an event of this name."""
    found: dict[str, list[type]] = {event: [kind] for event, kind in SESSION_EVENTS.items()}
    for events in MODE_EVENTS.values():
        for event, kind in events.items():
            if kind not in found.setdefault(event, []):
                found[event].append(kind)
    return found


def _event_schema(event: str, kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """An Event of one type, with the fields of its ``d``."""
    d = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    own = {"type": "object", "properties": {"t": {"const": event}, "d": d}}
    return {"allOf": [{"$ref": "#/components/schemas/Event"}, own]}


def _about(parts: dict[str, Any], kind: type) -> str:
    return str(parts[kind.__name__].get("description", ""))


def _members(kind: Any) -> tuple[type, ...]:
    """The types of a union, or the one type."""
    return typing.get_args(kind) or (kind,)


def _flat(kinds: tuple[Any, ...]) -> tuple[type, ...]:
    return tuple(member for kind in kinds for member in _members(kind))


def _tag(kind: type) -> str:
    """The ``t`` of a message; ``event`` for those of a session, whose types are in docs/events.md."""
    return str(typing.cast(Any, kind).__struct_config__.tag or "event")
