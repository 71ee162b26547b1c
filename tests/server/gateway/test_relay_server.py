"""The holder's end of a relay, without a socket."""

from __future__ import annotations

from tussle.server.gateway.relay_messages import decode_relay
from tussle.server.gateway.relay_server import BACKLOG_BYTES, RelaySink


def test_only_frames_are_skipped_while_a_relay_has_a_backlog() -> None:
    """A frame is skipped above BACKLOG_BYTES. Topologies, notices and the end of the session are always sent."""
    sent: list[bytes] = []
    backlog = BACKLOG_BYTES + 1
    sink = RelaySink("k7qm2xpv", sent.append, lambda: backlog)
    assert not sink.send_frame(b"\1skipped")
    sink.send_topology(b"\2shape")
    sink.send_notice("paused", "operator", 7)
    sink.send_gone()
    backlog = BACKLOG_BYTES
    assert sink.send_frame(b"\1frame")
    assert [decode_relay(message) for message in sent] == [
        ["topology", "k7qm2xpv", b"\2shape"],
        ["notice", "k7qm2xpv", "paused", "operator", 7],
        ["gone", "k7qm2xpv"],
        ["frame", "k7qm2xpv", b"\1frame"],
    ]
