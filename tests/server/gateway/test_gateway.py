"""Connections on a real server, from the upgrade to the close, by a client written from docs/protocol.md alone."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest

from tests.support.gateway import (
    GATEWAY_ENVIRONMENT,
    address,
    assert_healthy,
    lobby_of_one,
    sit_out_turn,
    socket_url,
)
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.store.store import Store
from tussle.lobby.wire.negotiation import PROTOCOL

ENVIRONMENT = GATEWAY_ENVIRONMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        ('{"t":"ping","d":{"at":1}}', 4004, "hello_expected"),
        ("{", 4004, "bad_json"),
        ("[]", 4004, "bad_message"),
        (b"\x00\xff\x80", 4004, "binary_message"),
        ('{"t":"hello","d":{"protocol":1}}', 4004, "bad_message"),
        ('{"t":"hello","d":{"protocol":1,"ticket":"a","resume":"b"}}', 4004, "bad_message"),
        ('{"t":"hello","d":{"protocol":999,"ticket":"a"}}', 4012, "version_mismatch"),
        ('{"t":"hello","d":{"protocol":1,"ticket":"nonsense"}}', 4003, "ticket_refused"),
        ('{"t":"hello","d":{"protocol":1,"ticket":"k7qm2xpv.pabcdefgh.secret"}}', 4003, "not_found"),
        ('{"t":"hello","d":{"protocol":1,"resume":"k7qm2xpv.pabcdefgh.secret"}}', 4003, "not_found"),
        ('{"t":"hello","d":{"protocol":1,"ticket":"a","last_v":-1}}', 4004, "bad_message"),
        ('{"t":"hello","d":{"protocol":1,"ticket":"\\u0000..\\n"}}', 4003, "ticket_refused"),
        (
            f'{{"t":"hello","d":{{"ticket":"a","without":{["chat"] * 33}}}}}'.replace("'", '"'),
            4004,
            "bad_message",
        ),
    ],
)
async def test_a_wrong_hello_is_closed_with_its_code(
    site: Stack, first: str | bytes, code: int, reason: str
) -> None:
    """A first message that is not a valid hello ends the connection with the documented code and a reason."""
    async with Line.to(socket_url(site)) as line:
        await line.send(first)
        closed, text = await line.end()
    assert (closed, text.partition(":")[0]) == (code, reason)


async def test_a_client_without_a_hello_is_closed(site: Stack) -> None:
    """A client that sends no hello is closed after five seconds, and so is a client that sends half a handshake."""
    reader, writer = await asyncio.open_connection(*address(site))
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
    async with Line.to(socket_url(site)) as line:
        assert await line.end(10.0) == (4004, "no hello in time")
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert await reader.read() == b"" or not reader.at_eof()


async def test_the_welcome_has_what_a_client_needs(site: Stack) -> None:
    """It has the session, player, role and seat, the newest id and the hash of the frame schema. The view follows."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        async with Line.to(seat["ws_url"]) as line:
            welcome = await line.hello(ticket=seat["ticket"])
            assert welcome["session"] == seat["session"]
            assert welcome["player"] == ada.player
            assert (welcome["role"], welcome["seat"]) == ("player", 0)
            assert welcome["protocol"] == PROTOCOL
            assert welcome["last_id"] == 0
            assert len(welcome["schema_hash"]) >= 8
            view = await line.until("session")
            assert view["v"] == view["d"]["v"] == welcome["v"]
            assert view["d"]["status"] == "open"


async def test_a_ticket_is_accepted_once(site: Stack) -> None:
    """A second hello with the same ticket is refused. The first connection stays open."""
    async with lobby_of_one(site) as (_, line, seat), Line.to(seat["ws_url"]) as again:
        await again.say("hello", {"protocol": 1, "ticket": seat["ticket"]})
        assert (await again.end())[0] == 4003
        await line.say("ping", {"at": 7.5})
        assert (await line.until("pong"))["d"]["at"] == 7.5


async def test_missed_events_follow_after_a_reconnection(site: Stack) -> None:
    """A client that resumes with ``last_v`` gets exactly the later events: ``v`` has no gap and no repetition."""
    async with duel(site.url) as game:
        ada, otto = game.lines
        await otto.wait(lambda: "turn_started" in otto.kinds())
        last_v, resume = otto.vs[-1], otto.resume
        await otto.cut()
        for number in range(1, 6):
            await ada.say("chat", {"text": f"line {number}"}, number)
            assert (await ada.answer(number))["t"] == "ack"
        async with Line.to(socket_url(site)) as back:
            await back.hello(resume=resume, last_v=last_v)
            await back.until("chat", text="line 5")
            assert back.vs == list(range(last_v + 1, last_v + 1 + len(back.vs)))
            assert "session" not in back.kinds()
            assert [e["d"]["text"] for e in back.events if e["t"] == "chat"] == [
                f"line {number}" for number in range(1, 6)
            ]


async def test_a_client_gets_no_events_that_it_does_not_need(site: Stack) -> None:
    """An observer without some types of events gets the others, with gaps in ``v``; the players get all."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as few:
            without = {"turn_started", "turn_ended", "action", "of a later version"}
            await few.hello(ticket=place["ticket"], last_v=0, without=sorted(without))
            await few.until("running")
            await sit_out_turn(game)
            first, second = game.lines
            await first.command("chat", {"text": "well played"})
            assert await few.until("chat") == await second.until("chat")
            assert not without & set(few.kinds())
            assert {"turn_started", "turn_ended", "action"} <= set(second.kinds())


async def test_a_client_ahead_of_the_store_gets_the_whole_view(site: Stack) -> None:
    """A store that lost its newest writes has clients with a newer ``last_v``. They get the view and go on from it."""
    async with lobby_of_one(site) as (_, line, seat):
        resume = line.resume
        await line.cut()
        async with Line.to(seat["ws_url"]) as back:
            welcome = await back.hello(resume=resume, last_v=10_000)
            view = await back.until("session")
            assert view["v"] == welcome["v"]


async def test_a_resume_token_is_valid_until_the_next_one_is_used(site: Stack) -> None:
    """A client that did not receive its new token resumes with the old one. Once the new token is used, the old one is
    refused."""
    async with lobby_of_one(site) as (_, line, seat):
        first = line.resume
        await line.cut()
        async with Line.to(seat["ws_url"]) as lost:
            await lost.hello(resume=first, last_v=1)
            second = lost.resume
        assert second != first
        async with Line.to(seat["ws_url"]) as again:
            await again.hello(
                resume=first, last_v=1
            )  # as a client does that did not receive the second welcome
            third = again.resume
        async with Line.to(seat["ws_url"]) as with_third:
            await with_third.hello(resume=third, last_v=1)
        for old in (first, second):
            async with Line.to(seat["ws_url"]) as refused:
                await refused.say("hello", {"protocol": 1, "resume": old})
                assert (await refused.end())[0] == 4003


async def test_a_newer_connection_replaces_the_older(site: Stack) -> None:
    """The older connection is closed with 4010. The seat stays connected."""
    async with lobby_of_one(site) as (ada, line, seat), Line.to(seat["ws_url"]) as newer:
        await newer.hello(resume=line.resume, last_v=1)
        assert (await line.end())[0] == 4010
        await newer.say("ping")
        await newer.until("pong")
        assert (await ada.look(seat["session"]))["seats"][0]["connected"]
        assert "seat_disconnected" not in newer.kinds()


async def test_joining_again_gives_a_new_ticket_for_the_same_seat(site: Stack) -> None:
    """A player without its resume token joins the session again and gets its own seat."""
    async with duel(site.url) as game:
        await game.lines[0].cut()
        again = await game.persons[0].ask("/api/join", session=game.session)
        assert again["seat"] == game.lines[0].seat
        async with Line.to(again["ws_url"]) as back:
            assert (await back.hello(ticket=again["ticket"]))["seat"] == again["seat"]
            assert (await back.until("session"))["d"]["status"] == "running"


async def test_topology_comes_once_and_then_frames(site: Stack) -> None:
    """Members and a late observer get the topology once in two turns, before their first frame."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        assert (place["seat"], place["role"]) == (None, "observer")
        async with Line.to(place["ws_url"]) as watching:
            welcome = await watching.hello(ticket=place["ticket"])
            assert (welcome["role"], welcome["seat"]) == ("observer", None)
            await watching.until("session")
            acting = await sit_out_turn(game)
            await sit_out_turn(game)
            await watching.until("turn_ended")
            await watching.wait(lambda: len(watching.frames) > 2)
            for line in (acting, watching):
                assert len(line.topologies) == 1
                assert line.binary[0][0] == 2
            ticks = [struct.unpack_from("<II", frame, 4)[1] for frame in watching.frames]
            assert ticks == sorted(ticks)


async def test_a_connection_stays_open_after_the_end(site: Stack) -> None:
    """After ``ended`` the server still answers on the connection."""
    async with duel(site.url) as game:
        while "result" not in game.lines[0].kinds():
            acting, _, _ = await game.turn()
            await acting.act(azimuth=0.0, elevation=40.0, power=1.0)
            await game.lines[0].until("turn_ended")
            await game.lines[0].wait(lambda: game.lines[0].kinds()[-1] in ("turn_started", "ended"))
        for line in game.lines:
            await line.until("ended")
            await line.say("ping", {"at": 3.0})
            await line.until("pong", at=3.0)
            assert line.closed is None


async def test_an_oversize_message_is_closed_with_1009(site: Stack) -> None:
    """A message of MAX_MESSAGE_BYTES is accepted, one more byte is not. The seat can resume."""
    async with lobby_of_one(site) as (_, line, seat):
        await line.send('{"t":"ping","d":{"at":1}}'.ljust(8192))
        await line.until("pong")
        await line.send("x" * 8193)
        assert (await line.end())[0] == 1009
        async with Line.to(seat["ws_url"]) as back:
            await back.hello(resume=line.resume, last_v=1)


async def test_text_that_is_not_utf_8_is_closed(site: Stack) -> None:
    """The code is 1007 (RFC 6455) or 4004. The client library cannot send such text, so the test writes the frame."""
    async with lobby_of_one(site) as (_, line, _seat):
        mask, payload = b"\1\2\3\4", b"\xff\xfe\xfd"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        line.socket.transport.write(b"\x81\x83" + mask + masked)
        assert (await line.end())[0] in (1007, 4004)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 512,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\xff\xff\xff\xff\xff",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_garbage_on_the_port_leaves_the_server_healthy(site: Stack, garbage: bytes) -> None:
    """Bytes that are not HTTP, half requests and broken upgrades do not affect the server."""
    reader, writer = await asyncio.open_connection(*address(site))
    writer.write(garbage)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(10.0):
            while await reader.read(65536):
                pass
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    await assert_healthy(site)


async def test_a_session_without_keys_cannot_be_resumed(site: Stack) -> None:
    """If the store has lost a session, its resume tokens are refused with 4003."""
    async with lobby_of_one(site) as (ada, line, seat):
        await ada.ask("/api/leave", session=seat["session"])
        store = await Store.connect(site.store_url, site.realm)
        try:
            await line.cut()
            await store.call("DEL", store.keys.session(seat["session"]))
        finally:
            await store.close()
        async with Line.to(seat["ws_url"]) as back:
            await back.say("hello", {"protocol": 1, "resume": line.resume, "last_v": 1})
            assert (await back.end())[0] == 4003


async def test_a_server_without_data_channels_says_so(site: Stack) -> None:
    """With WEBRTC off, which is the default, a welcome offers none, and an offer is refused with ``webrtc_off``."""
    async with lobby_of_one(site) as (ada, line, seat):
        place = await ada.ask("/api/join", session=seat["session"])
        async with Line.to(place["ws_url"]) as again:
            welcome = await again.hello(ticket=place["ticket"], transports=["webrtc"])
            assert "webrtc" not in welcome
            await again.say("offer", {"sdp": "v=0"})
            assert (await again.until("error"))["d"]["code"] == "webrtc_off"
        assert line.closed is not None
