"""The WebSockets as an AsyncAPI 3 document, made from the types that the messages are decoded with.

    GET /asyncapi.json    the sockets of a session, of live mode and of a replay room

docs/protocol.md says what the messages mean and has the layouts of binary messages. This module must never describe a
message that no decoder has.
"""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from tussle.lobby.wire import client_messages, live, messages, replay
from tussle.lobby.wire.delta_layout import CODEC
from tussle.lobby.wire.frames import schema_hash

__all__ = ["document"]

BINARY = {
    "frame": f"kind 1: a whole frame, of the schema {schema_hash()}",
    "topology": f"kind 2: the meshes that frames move, of the schema {schema_hash()}",
    "delta": f"kind 3: the difference from the frame before, for clients that offer {CODEC}",
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
    types = [kind for _, _, _, sent, got in SOCKETS for kind in (*_members(sent), *_flat(got))]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(types, schemas, strict=True))
    for name, address, meaning, sent, got in SOCKETS:
        of_client = [f"{name}.client.{_tag(kind)}" for kind in _members(sent)]
        of_server = [f"{name}.server.{_tag(kind)}" for kind in _flat(got)]
        for title, kind in zip([*of_client, *of_server], [*_members(sent), *_flat(got)], strict=True):
            named[title] = {
                "name": title.rpartition(".")[2],
                "contentType": "application/json",
                "payload": schema_of[kind],
            }
        if name == "session":
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
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": named, "schemas": components},
    }


def _members(kind: Any) -> tuple[type, ...]:
    """The types of a union, or the one type."""
    return typing.get_args(kind) or (kind,)


def _flat(kinds: tuple[Any, ...]) -> tuple[type, ...]:
    return tuple(member for kind in kinds for member in _members(kind))


def _tag(kind: type) -> str:
    """The ``t`` of a message; ``event`` for those of a session, whose types are in docs/events.md."""
    return str(typing.cast(Any, kind).__struct_config__.tag or "event")
