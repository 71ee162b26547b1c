"""The AsyncAPI document describes the messages that the decoders read, and what a session sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire import client_messages, live, replay
from tussle.lobby.wire.mode_events import MODE_EVENTS
from tussle.lobby.wire.session_events import SESSION_EVENTS
from tussle.server.http.asyncapi import document

DOCUMENT = document(version="1")


def schema_of(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = DOCUMENT["components"]["messages"][name]["payload"]
    return {**payload, "components": DOCUMENT["components"]}


def test_every_message_of_every_socket_is_in_it() -> None:
    """One channel for each kind of socket; what a channel has is defined, and each message is sent or received."""
    assert {name: channel["address"] for name, channel in DOCUMENT["channels"].items()} == {
        "session": "/ws", "live": "/live", "replay": "/replay/{token}",
    }  # fmt: skip
    named = DOCUMENT["components"]["messages"]
    used = [key for operation in DOCUMENT["operations"].values() for key in operation["messages"]]
    assert sorted(one["$ref"].rpartition("/")[2] for one in used) == sorted(named)
    sent = {key.rpartition(".")[2] for key in named if key.startswith("session.server")}
    assert sent >= {"welcome", "ack", "error", "event", "frame", "topology", "delta", "channel"}


def test_clients_may_get_more_fields_than_they_know() -> None:
    """What the server sends may have more fields; what it always writes is required. A client may leave out what has a
    default, and a field that no decoder knows is refused."""
    schemas = DOCUMENT["components"]["schemas"]
    assert "additionalProperties" not in schemas["WelcomeData"]
    assert {"servers", "dt"} <= set(schemas["WelcomeData"]["required"])
    assert not {"codec", "webrtc", "network"} & set(schemas["WelcomeData"]["required"])
    assert schemas["ActData"]["additionalProperties"] is False
    assert schemas["ActData"]["required"] == ["kind"]
    assert "additionalProperties" not in schemas["HelloData"]


def test_every_type_of_event_has_its_fields() -> None:
    """Each event of a lobby and of every mode is a message with the types of its fields."""
    named = {key: message for key, message in DOCUMENT["components"]["messages"].items() if ".event." in key}
    events = {event for events in MODE_EVENTS.values() for event in events} | set(SESSION_EVENTS)
    assert {key.removeprefix("session.server.event.") for key in named} == events
    assert all(message["summary"] for message in named.values())
    schema = DOCUMENT["components"]["schemas"]["DuelTurnStarted"]
    assert schema["properties"]["actions"] == {"$ref": "#/components/schemas/ActionSpec"}
    assert set(schema["required"]) == set(schema["properties"]) - {"ends_at"}


@pytest.mark.parametrize(
    ("name", "decode", "text"),
    [
        (
            "session.client.hello",
            client_messages.decode_client,
            '{"t":"hello","d":{"protocols":[1],"ticket":"a"}}',
        ),
        (
            "session.client.act",
            client_messages.decode_client,
            '{"t":"act","id":3,"d":{"kind":"hop","d":{"power":0.5}}}',
        ),
        ("session.client.act", client_messages.decode_client, '{"t":"act","id":0,"d":{"kind":"hop","d":{}}}'),
        ("session.client.chat", client_messages.decode_client, '{"t":"chat","id":1,"d":{"text":7}}'),
        ("live.client.subscribe", live.decode_live, '{"t":"subscribe","id":2,"d":{"source":"host"}}'),
        ("live.client.subscribe", live.decode_live, '{"t":"subscribe","id":2,"d":{}}'),
        ("replay.client.scrub", replay.decode_replay, '{"t":"scrub","d":{"frame":420}}'),
        ("replay.client.scrub", replay.decode_replay, '{"t":"scrub","d":{"frame":-1}}'),
    ],
)
def test_it_takes_what_the_decoder_takes(name: str, decode: Any, text: str) -> None:
    """A message that the schema takes is read, and the other way round."""
    rs = pytest.importorskip("jsonschema_rs")
    valid = rs.validator_for(schema_of(name)).is_valid(json.loads(text))
    try:
        decode(text)
    except ProtocolError:
        assert not valid
    else:
        assert valid
