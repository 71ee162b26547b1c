"""The messages between servers."""

from __future__ import annotations

import msgspec
import pytest

from tussle.server.gateway.relay_messages import decode_relay, encode_relay


def test_a_message_comes_back() -> None:
    """Name and fields."""
    assert decode_relay(encode_relay("watch", "k7qm2xpv")) == ["watch", "k7qm2xpv"]


@pytest.mark.parametrize("data", [b"\x91\xa1\xff", b"\x91" * 100_000, b"\xc1", b"", "\ud800"])
def test_any_bytes_raise_one_kind_of_error(data: bytes | str) -> None:
    """Text that is not UTF-8, nesting without end, half a message: a relay closes, its task does not die."""
    with pytest.raises(msgspec.MsgspecError):
        decode_relay(data)
