"""Data channels: whom a server sends packets to, what clients may send, how many channels there may be."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket

import pytest

from tests.support.gateway import assert_healthy, lobby_of_one
from tests.support.rtc import ChannelClient, offer_text
from tests.support.stack import Stack
from tests.support.stranger import Line, Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"WEBRTC": "on", "WEBRTC_PEERS": "6"}
"""Six channels of a server: three of an address, two of a player."""


def ports_of(sdp: str) -> list[int]:
    """The ports of the candidates in an answer."""
    return [int(port) for port in re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) ", sdp)]


async def test_a_candidate_sends_no_packet_to_a_third_party(site: Stack) -> None:
    """A client names the address of somebody else, in its offer and in a message after it. The server makes the channel
    by the client's own checks, and the other one gets no packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.2", 0))
        victim.setblocking(False)
        foreign = f"candidate:9 1 udp 2130706431 127.0.0.2 {victim.getsockname()[1]} typ host"
        async with lobby_of_one(site) as (_, line, _):
            client = ChannelClient(line)
            await client.offer(lambda sdp: f"{sdp}a={foreign}\r\n")
            await line.say("candidate", {"candidate": foreign})
            await client.accept()
            await line.until("channel", state="open")
            with pytest.raises(BlockingIOError):
                victim.recv(1)
            await client.peer.close()


async def test_a_flood_of_a_client_ends_its_channel_only(site: Stack) -> None:
    """A client opens channels and sends messages, which the protocol does not have, and strangers send datagrams to its
    port. Its channel is closed; another client's channel goes on."""
    async with (
        lobby_of_one(site) as (_, calm, _),
        lobby_of_one(site) as (_, wild, _),
        ChannelClient.open(calm) as quiet,
        ChannelClient.open(wild) as loud,
    ):
        sdp = loud.peer.remoteDescription.sdp
        with contextlib.suppress(Exception):
            for number in range(50):
                loud.peer.createDataChannel(str(number)).on("open", lambda: None)
                loud.channel.send(random.randbytes(60_000))
                await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for port in ports_of(sdp):
                for _ in range(200):
                    stranger.sendto(random.randbytes(900), ("127.0.0.1", port))
        closed = await wild.until("channel")
        assert closed["d"]["state"] == "closed"
        assert quiet.channel.readyState == "open"
        assert calm.kinds().count("channel") == 1
        await assert_healthy(site)


async def ask_for_channel(line: Line, sdp: str) -> str:
    """Send an offer and return ``answer``, or the code of the refusal."""
    await line.say("offer", {"sdp": sdp})
    message = await line.until("answer", "error")
    return str(message["d"].get("code", "answer"))


async def test_a_player_and_an_address_have_few_channels(site: Stack) -> None:
    """A player gets two channels, an address three; the next offers are refused with ``too_many_peers``. A hangup and
    a closed socket give their channel back. A player who offers again and again is refused with ``rate_limited``."""
    good = await offer_text()
    async with (
        lobby_of_one(site) as (_, ada, first),
        lobby_of_one(site) as (_, ben, second),
        lobby_of_one(site) as (_, _, third),
        Person(site.url) as eve,
        contextlib.AsyncExitStack() as stack,
    ):
        await eve.login()
        watching = []
        for seat in (first, second, third):
            place = await eve.ask("/api/observe", session=seat["session"])
            line = await stack.enter_async_context(Line.to(place["ws_url"]))
            await line.hello(ticket=place["ticket"])
            watching.append(line)
        answers = [await ask_for_channel(line, good) for line in (*watching, ada, ben)]
        assert answers == ["answer", "answer", "too_many_peers", "answer", "too_many_peers"]
        await watching[0].say("hangup")
        await watching[0].until("channel")
        assert await ask_for_channel(ben, good) == "answer"
        await watching[1].socket.close()
        for _ in range(3):
            answer = await ask_for_channel(watching[2], good)
            if answer == "answer":
                break
        assert answer == "answer"
        for _ in range(8):
            await ben.say("hangup")
            answer = await ask_for_channel(ben, good)
        assert answer == "rate_limited"
