"""The choice of a version of the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from tussle.lobby.errors import ProtocolError, VersionMismatch
from tussle.lobby.wire.client_messages import Hello, decode_client
from tussle.lobby.wire.live import LiveHello, decode_live
from tussle.lobby.wire.negotiation import PROTOCOL, choose_protocol
from tussle.lobby.wire.replay import ReplayHello, decode_replay


@pytest.mark.parametrize(
    ("protocol", "protocols", "known", "chosen"),
    [
        (1, (), (1,), 1),
        (None, (1,), (1,), 1),
        (1, (2, 1), (1,), 1),
        (1, (1, 2, 3), (1, 2), 2),
        (3, (1, 3), (1, 2, 3), 3),
    ],
)
def test_the_newest_version_of_both_sides_is_chosen(
    protocol: int | None, protocols: tuple[int, ...], known: tuple[int, ...], chosen: int
) -> None:
    """In any order; an older client offers one version only."""
    assert choose_protocol(protocol, protocols, known=known) == chosen


@pytest.mark.parametrize(("protocol", "protocols"), [(999, ()), (1, (2, 3)), (None, (0,))])
def test_a_client_without_a_common_version_is_refused(
    protocol: int | None, protocols: tuple[int, ...]
) -> None:
    """``protocols`` counts if it is there. The message has the versions of the server."""
    with pytest.raises(VersionMismatch, match=r"speaks protocol 1$"):
        choose_protocol(protocol, protocols)


def test_a_hello_without_a_version_is_refused() -> None:
    """No version is assumed."""
    with pytest.raises(ProtocolError):
        choose_protocol(None)


@pytest.mark.parametrize(
    ("decode", "kind", "text"),
    [
        (decode_client, Hello, '{"t":"hello","d":{"protocols":[1,7],"ticket":"a","later":{"x":[1]}}}'),
        (decode_live, LiveHello, '{"t":"live","d":{"protocol":1,"login":"a","later":true}}'),
        (decode_replay, ReplayHello, '{"t":"hello","d":{"token":"a","protocols":[1],"later":null}}'),
    ],
)
def test_fields_of_a_newer_hello_are_ignored(decode: Any, kind: type, text: str) -> None:
    """On each of the three kinds of sockets."""
    message = decode(text)
    assert type(message) is kind
    assert choose_protocol(message.d.protocol, message.d.protocols) == PROTOCOL


@pytest.mark.parametrize("protocols", ["1", "[1.5]", "[-1]", '["1"]', str([1] * 17)])
def test_versions_that_are_none_are_refused(protocols: str) -> None:
    """Their number is bounded."""
    with pytest.raises(ProtocolError):
        decode_client('{"t":"hello","d":{"ticket":"a","protocols":' + protocols + "}}")
