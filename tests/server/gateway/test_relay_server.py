"""The holder's end of a relay, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from tussle.server.gateway.relay_messages import decode_relay, encode_relay
from tussle.server.gateway.relay_server import BACKLOG_BYTES, RelaySink, serve_relay
from tussle.server.solver.delta_streams import FAST, FAST_KEY, LOSSY


def test_only_frames_are_skipped_while_a_relay_has_a_backlog() -> None:
    """A frame is skipped above BACKLOG_BYTES. Topologies, notices and the end of the session are always sent."""
    sent: list[bytes] = []
    backlog = BACKLOG_BYTES + 1
    sink = RelaySink("k7qm2xpv", sent.append, lambda: backlog)
    assert not sink.send_frame(b"\1skipped", ())
    sink.send_topology(b"\2shape")
    sink.send_notice("paused", "operator", 7)
    sink.send_gone()
    backlog = BACKLOG_BYTES
    assert sink.send_frame(b"\1frame", ())
    assert [decode_relay(message) for message in sent] == [
        ["topology", "k7qm2xpv", b"\2shape"],
        ["notice", "k7qm2xpv", "paused", "operator", 7],
        ["gone", "k7qm2xpv"],
        ["frame", "k7qm2xpv", b"\1frame"],
    ]


def test_delta_frames_are_sent_only_to_a_server_that_asked() -> None:
    """One that did not know the word gets frames as before. A keyframe is asked for once; other bits mean nothing."""
    sent: list[bytes] = []
    sink = RelaySink("k7qm2xpv", sent.append, lambda: 0)
    deltas = [(b"\4fast", b"", b"lossy"), (b"\3fast", None, None)]
    sink.send_frame(b"\1", deltas)
    sink.want(FAST | FAST_KEY | LOSSY)
    assert sink.wanted == FAST | FAST_KEY
    sink.send_frame(b"\1", ())  # a frame that no step has made: of a session that begins
    assert sink.wanted == FAST | FAST_KEY
    sink.send_frame(b"\1", deltas)
    assert sink.wanted == FAST
    sink.want(0)
    sink.send_frame(b"\1", deltas)
    assert [decode_relay(message)[2:] for message in sent] == [
        [b"\1"], [b"\1", []], [b"\1", [[b"\4fast", b""], [b"\3fast", None]]], [b"\1", []],
    ]  # fmt: skip


async def test_an_input_is_taken_only_behind_those_that_were_sent_away() -> None:
    """The first input comes before the run is there: the other server is sent "gone", once, and what it has sent
    already is not taken. After it watches again it sends all of them in order."""
    token = "k7qm2xpv"
    taken: list[int] = []
    runs: dict[str, Any] = {}
    run = SimpleNamespace(accept_input=lambda seat, command, *_: taken.append(command))
    audience: Any = SimpleNamespace(sinks=set(), add_sink=lambda sink: audience.sinks.add(sink))
    sent: list[list[Any]] = []

    def act(number: int) -> bytes:
        return encode_relay("act", number, token, 0, number, "move", {})

    async def messages() -> AsyncIterator[bytes]:
        yield encode_relay("watch", token)
        yield act(1)
        runs[token] = run
        yield act(2)
        yield act(3)
        assert sent == [["gone", token]]
        assert taken == []
        yield encode_relay("watch", token)
        for number in (1, 2, 3, 4):
            yield act(number)

    async def watch(_: str) -> Any:
        return audience

    await serve_relay(
        messages(),  # type: ignore[arg-type]
        lambda message: sent.append(decode_relay(message)),
        lambda: 0,
        SimpleNamespace(runs=runs),  # type: ignore[arg-type]
        watch,
        lambda _: None,
    )
    assert taken == [1, 2, 3, 4]
    assert sent == [["gone", token]]
    assert not audience.sinks
