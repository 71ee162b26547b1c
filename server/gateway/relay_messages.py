"""The messages between two servers that relay a session, and how they are encoded.

    client -> gateway -> RemoteRun -> RelayConnection === /relay ===> serve_relay -> Run
    client <- audience <- frames, topology, notices <================ RelaySink of the holder's audience

The left server has the members (server/gateway/relay_client.py), the right one holds the session
(server/gateway/relay_server.py). There is one WebSocket per pair of servers, opened with a ticket from the store, so
that only servers of the realm can open one. Messages are msgpack arrays that begin with their name:

    to the holder:   ["watch", T] ["unwatch", T] ["want", T, streams of delta frames] ["act", n, T, seat, id, kind, d]
                     ["act_again", n, T, seat, id, kind, d]: its id was used before the gateway knew the seat
    from the holder: ["frame", T, bytes], after a "want" ["frame", T, bytes, [[fast, slow], ...]]
                     ["topology", T, bytes] ["notice", T, state, reason, turn_ends_at] ["pace", T, dilation]
                     ["taken", n, tick] ["superseded", n, tick]
                     ["refused", n, code, message, field, retry_after] ["gone", T]

Events must never be sent on a relay: every server reads them from the stream. An input without an answer is sent again
to the next holder; its id makes that harmless.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["RELAY_PATH", "decode_relay", "encode_relay"]

RELAY_PATH = "/relay"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Any])


def encode_relay(*message: Any) -> bytes:
    """The bytes of one message: its name and its fields."""
    return _encoder.encode(message)


def decode_relay(data: str | bytes) -> list[Any]:
    """The name and fields of one message. Raises msgspec.MsgspecError if ``data`` is not a msgpack array."""
    try:
        return _decoder.decode(data if isinstance(data, bytes) else data.encode())
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
