"""The sending side of a connection: a slow client is skipped, then closed, and a close reason fits."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.server.gateway.test_socket import Clock, Live
from tests.support.gateway import (
    GATEWAY_ENVIRONMENT,
    deaf_socket,
    masked_frame,
    metrics,
    send_hello,
    sit_out_turn,
)
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.settings import Settings
from tussle.server.gateway.outlet import short_reason
from tussle.server.gateway.protocol import SESSION_RULES, Connection
from tussle.server.gateway.sender import Sender
from tussle.server.gateway.socket import PING
from tussle.server.metrics.telemetry import Telemetry

ENVIRONMENT = GATEWAY_ENVIRONMENT


@pytest.mark.asyncio(loop_scope="module")
async def test_a_slow_reader_gets_no_frames_and_is_then_closed(site: Stack) -> None:
    """Its frames are skipped, and with too many unread events it is closed with 4014. Other members miss no event."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        with deaf_socket(site) as deaf:
            send_hello(deaf, place["ticket"])
            ada, otto = game.lines
            text = "\N{OCTOPUS}" * 500
            for _ in range(18):
                for line in (ada, otto):
                    for number in range(line.last_id + 1, line.last_id + 21):
                        await line.say("chat", {"text": text}, number)
                    line.last_id += 20
                for line in (ada, otto):
                    assert (await line.answer(line.last_id))["t"] == "ack"
                await sit_out_turn(game)
                await asyncio.sleep(20 / float(ENVIRONMENT["MESSAGE_RATE"]))  # stay within MESSAGE_RATE
            counted = await metrics(site)
            assert counted["tussle_frames_skipped_total"] > 0
            assert counted['tussle_closes_total{code="4014"}'] >= 1
        for line in (ada, otto):
            assert line.vs == list(range(line.vs[0], line.vs[-1] + 1))
            assert line.kinds().count("chat") == 720
            assert line.closed is None


@pytest.mark.asyncio(loop_scope="module")
async def test_an_event_waits_behind_few_frames(site: Stack) -> None:
    """A viewer reads nothing while two turns and more are shown. Then it reads all: less than 40 KB come before the
    chat that was sent last, so a line of 8 KB/s was behind by seconds and not by a quarter of a minute."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        skipped = (await metrics(site))["tussle_frames_skipped_total"]
        with deaf_socket(site) as deaf:
            send_hello(deaf, place["ticket"])
            for _ in range(40):
                await sit_out_turn(game)
                deaf.sendall(masked_frame(9, b""))  # it is alive
                if (await metrics(site))["tussle_frames_skipped_total"] > skipped:
                    break
            else:
                pytest.fail("every frame was queued for a viewer that reads nothing")
            ada = game.lines[0]
            await ada.say("chat", {"text": "the last word"}, ada.last_id + 1)
            ada.last_id += 1
            assert (await ada.answer(ada.last_id))["t"] == "ack"
            heard = b""
            while b"the last word" not in heard:
                heard += await asyncio.to_thread(deaf.recv, 65_536)
            assert len(heard) < 40_000


@pytest.mark.parametrize("deltas", [True, False], ids=["delta frames", "whole frames"])
def test_a_full_buffer_ends_whole_frames_and_no_chain_of_delta_frames(deltas: bool) -> None:
    """A keyframe may be larger than the room of a connection. The lanes look at its unsent bytes themselves. A viewer
    of whole frames gets the newest one when there is room again. A connection that ends gets neither."""

    async def scenario() -> None:
        live, heard = Live(), list[str]()
        audience: Any = SimpleNamespace(
            update_frames=lambda sender: heard.append("frames" if sender.frames else "none"),
            show_newest=lambda sender: heard.append("newest"),
        )
        who: Any = None
        sender = Sender(
            live.socket, who, Connection(Settings(), SESSION_RULES), audience, 9, Telemetry(), deltas=deltas
        )
        assert heard == ["frames", "newest"]
        live.socket.pause_writing()
        live.socket.resume_writing()
        assert heard[2:] == ([] if deltas else ["none", "frames", "newest"])
        sender.use_channel(True)
        sender.use_channel(False)
        assert heard[-3:] == ["none", "frames", "newest"]
        live.socket.protocol.fail(1011)
        assert heard[-1] == "none" and sender.frames is None

    asyncio.run(scenario())


@pytest.mark.parametrize("deltas", [True, False], ids=["delta frames", "whole frames"])
def test_a_ping_goes_with_the_next_frame_or_by_itself(deltas: bool) -> None:
    """Where frames flow it costs no write of its own. If the frame does not come, or none flow, it is sent alone."""

    async def scenario() -> None:
        live, clock, audience = Live(), Clock(), SimpleNamespace(flows=True, kept=None)
        writes: list[bytes] = []
        live.transport.write = writes.append  # type: ignore[method-assign]
        live.socket.loop = cast(asyncio.AbstractEventLoop, clock)
        audience.update_frames = lambda sender: setattr(audience, "kept", sender.frames)
        audience.show_newest = lambda sender: None
        who: Any = None
        sender = Sender(
            live.socket, who, Connection(Settings(), SESSION_RULES), cast(Any, audience), 9, Telemetry(), deltas=deltas
        )  # fmt: skip

        def show() -> None:
            write = sender.frames if deltas else audience.kept
            assert write is not None
            write(b"frame")

        def hear() -> None:
            live.socket.data_received(masked_frame(10, b""))

        live.socket.keep_watch()
        clock.run(1.5, hear)
        assert writes == []
        clock.run(3.0, int)
        assert writes == []  # it waits for a frame
        for _ in range(2):
            show()
        assert writes == [PING + b"frame", b"frame"]
        hear()
        clock.run(4.5, int)
        assert len(writes) == 2
        clock.run(6.0, int)
        assert writes[2:] == [PING]  # no frame came
        show()
        assert writes[3:] == [b"frame"]
        audience.flows = False
        hear()
        clock.run(7.5, int)
        assert writes[4:] == [PING]

    asyncio.run(scenario())


def test_a_close_reason_fits_into_its_frame() -> None:
    """It has at most 123 bytes and is cut between characters."""
    assert len(short_reason("é" * 200).encode()) <= 123
    assert short_reason("é" * 200).strip("é") == ""
    assert short_reason("moved") == "moved"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_gets_the_bad_network_that_it_asks_for_and_nobody_else(site: Stack) -> None:
    """Its welcome names the network, and its round trips take at least the latency; what it misses comes in order. The
    others have none. A text that is no network closes the connection."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as far:
            welcome = await far.hello(ticket=place["ticket"], network="400MS 0ms seed=3")
            assert welcome["network"] == "400ms 0ms 0% seed=3"
            began = time.monotonic()
            await far.say("ping", {"at": 1.0})
            await far.until("pong")
            assert time.monotonic() - began >= 0.4
            await sit_out_turn(game)
            await far.until("turn_ended")
            assert far.vs == list(range(far.vs[0], far.vs[-1] + 1))
            for line in game.lines:
                welcomed = next(message for message in line.messages if message["t"] == "welcome")
                assert "network" not in welcomed["d"]
            again = await viewer.ask("/api/observe", session=game.session)
            async with Line.to(again["ws_url"]) as refused:
                await refused.say("hello", {"protocol": 1, "ticket": again["ticket"], "network": "far"})
                code, reason = await refused.end()
                assert (code, reason.partition(":")[0]) == (4004, "bad_network")
