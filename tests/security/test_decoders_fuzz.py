"""For arbitrary bytes the decoders return a value or raise their documented error, never another one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.lobby.wire import test_frames as frames
from tussle.lobby.errors import ClientError, LobbyError, ProtocolError, RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.wire.client_messages import decode_client
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.lobby.wire.replay import decode_replay
from tussle.server.fanout.framing import binary_frame, text_frame
from tussle.server.gateway.protocol import SESSION_RULES, Connection, Phase
from tussle.server.gateway.replies import Replies

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
kinds = st.sampled_from(
    [
        "hello",
        "act",
        "chat",
        "ready",
        "choose",
        "leave",
        "ping",
        "resync",
        "welcome",
        "scrub",
        "view",
        "",
        "x",
    ]
)
messages = st.fixed_dictionaries(
    {"t": kinds},
    optional={"id": json_values | st.integers(-2, 5), "d": json_values, "v": json_values, "ack": json_values},
)


def example_bytes() -> list[bytes]:
    """Return encoded frames and topologies, which the tests damage."""
    return [value for value in vars(frames).values() if isinstance(value, bytes)] or [b"\x01" * 64]


@given(st.one_of(st.binary(max_size=400), st.text(max_size=200), messages.map(json.dumps)))
def test_a_client_message_decodes_or_is_refused(data: bytes | str) -> None:
    """Every input is decoded or raises ProtocolError."""
    for decode in (decode_client, decode_replay):
        with contextlib.suppress(ProtocolError):
            decode(data)


@given(st.integers(1, 5000))
def test_deep_json_is_refused(depth: int) -> None:
    """Deeply nested JSON is refused without a RecursionError."""
    with contextlib.suppress(ProtocolError):
        decode_client('{"t":"act","id":1,"d":{"kind":"x","d":' + "[" * depth + "]" * depth + "}}")


@given(
    st.lists(st.one_of(messages.map(json.dumps), st.binary(max_size=50)), max_size=60),
    st.lists(st.floats(0, 1), max_size=60),
)
def test_a_connection_requires_hello_and_enforces_its_limits(sent: list[Any], pauses: list[float]) -> None:
    """For any messages: hello comes first and once, bad messages are counted, and only documented errors are raised."""
    core, now = Connection(Settings(), SESSION_RULES), 0.0
    for index, data in enumerate(sent):
        now += pauses[index] if index < len(pauses) else 0.0
        before, strikes = core.phase, core.strikes
        try:
            message = core.receive(data, now)
        except RateLimited:
            assert core.strikes == strikes
        except ProtocolError as error:
            answered = error.command is not None and before is not Phase.AWAITING_HELLO
            assert core.strikes == strikes + (not answered)
            assert core.phase is before
        else:
            assert (type(message).__name__ == "Hello") == (before is Phase.AWAITING_HELLO)
            assert core.phase is Phase.LIVE
        if core.fatal and core.strikes:
            break


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=300))
def test_a_command_has_its_effect_once(commands: list[tuple[int, bool]]) -> None:
    """For ids in any order no command begins twice, and memory stays bounded."""
    replies, begun = Replies(), set()
    for command, finishes in commands:
        try:
            known = replies.begin(command)
        except ClientError:
            continue
        if known is True:
            assert command not in begun
            begun.add(command)
            if finishes:
                replies.finish(command, b"reply %d" % command)
        elif isinstance(known, bytes):
            assert known == b"reply %d" % command
    assert len(replies._replies) <= 64


@given(st.binary(max_size=600), st.sampled_from([decode_frame, decode_topology]))
def test_frame_decoders_refuse_random_bytes(data: bytes, decode: Any) -> None:
    """Random bytes raise ValueError or ProtocolError; no read passes their end."""
    with contextlib.suppress(LobbyError, ValueError):
        decode(data)


@given(st.data())
def test_frame_decoders_survive_damage(data: st.DataObject) -> None:
    """A frame with flipped, missing or additional bytes gives a value or the same errors."""
    whole = bytearray(data.draw(st.sampled_from(example_bytes())))
    for _ in range(data.draw(st.integers(0, 4))):
        if whole:
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for decode in (decode_frame, decode_topology):
        with contextlib.suppress(LobbyError, ValueError), np.errstate(all="ignore"):
            decode(cut)


@given(st.binary(max_size=70_000))
def test_a_websocket_header_has_the_length_of_its_payload(payload: bytes) -> None:
    """An encoded message is the header, with the payload's length, and the payload."""
    for framed in (text_frame(payload), binary_frame(payload)):
        assert framed.endswith(payload)
        assert len(framed) - len(payload) in (2, 4, 10)
