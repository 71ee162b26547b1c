"""Frames over a WebRTC data channel, with aiortc as the client: the switch, the way back, and what is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.support.gateway import lobby_of_one, metrics
from tests.support.rtc import ChannelClient, offer_text
from tests.support.stack import Stack
from tests.support.stranger import Line, Message, Person, duel
from tussle.lobby.wire.delta_layout import CODEC, LOSSY
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.lobby.wire.lossy_deltas import LossyDecoder

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"SIM_SPEED": "1", "TURN_S": "60", "WEBRTC": "on"}


def number_of(frame: bytes) -> tuple[int, int]:
    """The epoch and the tick of a whole frame."""
    epoch, tick = struct.unpack_from("<II", frame, 4)
    return epoch, tick


async def refusal(line: Line) -> Message:
    """The next error that belongs to an offer."""
    message = await line.until("error")
    assert "id" not in message or message["id"] is None
    assert message["d"]["field"] in ("offer", "candidate")
    return dict(message["d"])


async def test_frames_come_over_the_channel_and_back(site: Stack) -> None:
    """While the channel is open, an observer gets whole frames over it and none over the WebSocket, which still has the
    events. After a hangup, frames come over the WebSocket again."""
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            welcome = await line.hello(ticket=place["ticket"], transports=["later", "webrtc"])
            assert welcome["webrtc"] == {"ice_servers": []}
            async with ChannelClient.open(line) as client:
                before = len(line.binary)
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await line.until("turn_ended")
                assert len(line.binary) == before
                assert {frame[0] for frame in client.frames} == {1}
                assert len({number_of(frame) for frame in client.frames}) > 5
                await line.say("hangup")
                assert (await line.until("channel"))["d"] == {"state": "closed", "reason": "hangup"}
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await line.wait(lambda: len(line.binary) > before + 5)


async def test_delta_frames_come_over_the_channel(site: Stack) -> None:
    """An observer that offers the codec acknowledges keyframes, and then gets differences that show what the whole
    frames of a player show. On a slow network too, which the channel of that connection has below DTLS."""
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            welcome = await line.hello(
                ticket=place["ticket"], transports=["webrtc"], codecs=[CODEC], network="20ms 0ms"
            )
            assert (welcome["webrtc"], welcome["network"]) == ({"ice_servers": []}, "20ms 0ms 0%")
            topology = await line.wait(lambda: next((data for data in line.binary if data[0] == 2), None))
            async with ChannelClient.open(line) as client:
                client.decoder = LossyDecoder()
                client.decoder.set_topology(decode_topology(topology))
                for _ in range(6):  # the acknowledgement may come after the end of a turn
                    acting, other, _ = await game.turn()
                    await acting.act("hop", azimuth=0.0, power=0.2)
                    await line.until("turn_ended")
                    if sum(frame[0] == LOSSY for frame in client.frames) > 8:
                        break
                true = {frame.tick: frame for frame in map(decode_frame, other.frames)}
                both = [(frame, true[frame.tick]) for frame in client.shown if frame.tick in true]
                assert len(both) > 5
                for shown, whole in both:
                    assert np.nanmax(np.abs(shown.rows[::4] - whole.rows[::4])) < 1.1e-4
                small = [len(frame) for frame in client.frames if frame[0] == LOSSY]
                assert sum(small) / len(small) < len(other.frames[-1]) / 3


async def test_a_cut_channel_gives_way_to_the_websocket(site: Stack) -> None:
    """The client's packets stop without a word while frames come over the channel. The server notices that nothing is
    acknowledged, says so, and sends frames over the WebSocket."""
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            await line.hello(ticket=place["ticket"])
            async with ChannelClient.open(line) as client:
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await client.more_frames(3)
                client.cut()
                closed = await line.until("channel")
                assert closed["d"]["state"] == "closed"
                await line.wait(lambda: line.binary and line.binary[-1][0] == 1)
                before = len(line.binary)
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await line.wait(lambda: len(line.binary) > before + 3)


async def test_a_bad_offer_is_refused_with_its_code(site: Stack) -> None:
    """Offers of media, without a fingerprint, or that are no offers; candidates that are none, without an offer, or too
    many; a second offer. Each gets its code, and the connection goes on."""
    good = await offer_text()
    media = good.replace("m=application", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=application")
    bare = "\r\n".join(row for row in good.splitlines() if not row.startswith("a=fingerprint"))
    async with lobby_of_one(site) as (_, line, _):
        for sdp in ("v=0", media, bare, good.replace("a=setup:actpass", "a=setup:active")):
            await line.say("offer", {"sdp": sdp})
            assert (await refusal(line))["code"] == "bad_offer"
        await line.say("candidate", {"candidate": "candidate:1 1 udp 1 192.0.2.1 4000 typ host"})
        assert (await refusal(line))["code"] == "no_offer"
        await line.say("offer", {"sdp": good})
        await line.until("answer")
        await line.say("offer", {"sdp": good})
        assert (await refusal(line))["code"] == "offer_pending"
        await line.say("candidate", {"candidate": "no candidate"})
        assert (await refusal(line))["code"] == "bad_candidate"
        for number in range(17):
            await line.say(
                "candidate", {"candidate": f"candidate:1 1 udp 1 192.0.2.1 {4000 + number} typ host"}
            )
        assert (await refusal(line))["code"] == "bad_candidate"
        await line.say("hangup")
        await line.until("channel", state="closed")
        assert (await line.command("chat", {"text": "still here"}))["t"] == "ack"


async def test_a_frame_of_a_channel_is_counted(site: Stack) -> None:
    """The metrics count frames over channels as sent, and none as skipped for a viewer that has one."""
    before = await metrics(site)
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            await line.hello(ticket=place["ticket"])
            async with ChannelClient.open(line) as client:
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await client.more_frames(5)
    after = await metrics(site)
    assert after["tussle_frames_skipped_total"] == before.get("tussle_frames_skipped_total", 0.0)
