"""The protocol over real sockets, spoken to a real server by a client that knows docs/protocol.md and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import string
import struct
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import connected
from tests.support.stack import Stack
from tests.support.stranger import Duel, Line, Person, duel
from tussle.lobby.operators import Operators
from tussle.lobby.seating import Seating
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.wire.messages import PROTOCOL

ENVIRONMENT = {
    "SIM_SPEED": "0", "TURN_S": "60", "BOT_TURN_S": "60", "MESSAGE_RATE": "400",
    "MESSAGE_BYTES_RATE": "50000000", "CHECKPOINT_S": "0.05",
}  # fmt: skip

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAUNCH = {"azimuth": 10.0, "elevation": 10.0, "power": 0.3}


# -- hello -----------------------------------------------------------------------------------------


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
    ],
)
async def test_a_wrong_hello_is_closed_with_its_code(
    site: Stack, first: str | bytes, code: int, reason: str
) -> None:
    """Whatever comes first and is no good hello ends the connection with the documented code and a reason."""
    async with Line.to(ws(site)) as line:
        await line.send(first)
        closed, told = await line.end()
    assert (closed, told.partition(":")[0]) == (code, reason)


async def test_silence_instead_of_a_hello_is_closed(site: Stack) -> None:
    """A client that says nothing is closed after five seconds; half a handshake is cut off as well."""
    reader, writer = await asyncio.open_connection(*address(site))
    writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
    async with Line.to(ws(site)) as line:
        assert await line.end(10.0) == (4004, "no hello in time")
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert await reader.read() == b"" or not reader.at_eof()


async def test_the_welcome_says_where_one_is(site: Stack) -> None:
    """It names session, player, role and seat, and gives what the client needs to go on and to draw."""
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


async def test_a_ticket_is_good_once(site: Stack) -> None:
    """The second hello with the same ticket is refused; the first connection is not disturbed."""
    async with lone(site) as (_, line, seat), Line.to(seat["ws_url"]) as again:
        await again.say("hello", {"protocol": 1, "ticket": seat["ticket"]})
        assert (await again.end())[0] == 4003
        await line.say("ping", {"at": 7.5})
        assert (await line.until("pong"))["d"]["at"] == 7.5


async def test_a_second_hello_is_refused_and_the_connection_lives(site: Stack) -> None:
    """It is an error without an id, and nothing else happens."""
    async with lone(site) as (_, line, _seat):
        await line.say("hello", {"protocol": 1, "resume": line.resume})
        assert (await line.until("error"))["d"]["code"] == "hello_again"
        await line.say("ping")
        await line.until("pong")


# -- coming back -----------------------------------------------------------------------------------


async def test_missed_events_follow_after_a_reconnection(site: Stack) -> None:
    """Who comes back with ``last_v`` gets exactly what it missed: ``v`` goes on without a gap or a repetition."""
    async with duel(site.url) as game:
        ada, otto = game.lines
        await otto.wait(lambda: "turn_started" in otto.kinds())
        last_v, resume = otto.vs[-1], otto.resume
        await otto.cut()
        for number in range(1, 6):
            await ada.say("chat", {"text": f"line {number}"}, number)
            assert (await ada.answer(number))["t"] == "ack"
        async with Line.to(ws(site)) as back:
            await back.hello(resume=resume, last_v=last_v)
            await back.until("chat", text="line 5")
            assert back.vs == list(range(last_v + 1, last_v + 1 + len(back.vs)))
            assert "session" not in back.kinds()
            assert [e["d"]["text"] for e in back.events if e["t"] == "chat"] == [
                f"line {number}" for number in range(1, 6)
            ]


async def test_a_last_v_from_the_future_gives_the_whole_view(site: Stack) -> None:
    """A store that lost its newest writes leaves clients ahead of it: they get the view and go on from there."""
    async with lone(site) as (_, line, seat):
        resume = line.resume
        await line.cut()
        async with Line.to(seat["ws_url"]) as back:
            welcome = await back.hello(resume=resume, last_v=10_000)
            view = await back.until("session")
            assert view["v"] == welcome["v"]


async def test_the_resume_token_rotates_and_the_previous_one_stays_good(site: Stack) -> None:
    """A welcome that got lost costs nothing; once the new token was used, the old one is refused."""
    async with lone(site) as (_, line, seat):
        first = line.resume
        await line.cut()
        async with Line.to(seat["ws_url"]) as lost:
            await lost.hello(resume=first, last_v=1)
            second = lost.resume
        assert second != first
        async with Line.to(seat["ws_url"]) as again:
            await again.hello(resume=first, last_v=1)  # as if the second welcome had never arrived
            third = again.resume
        async with Line.to(seat["ws_url"]) as with_third:
            await with_third.hello(resume=third, last_v=1)
        for old in (first, second):
            async with Line.to(seat["ws_url"]) as refused:
                await refused.say("hello", {"protocol": 1, "resume": old})
                assert (await refused.end())[0] == 4003


async def test_a_newer_connection_replaces_the_older(site: Stack) -> None:
    """The older one is closed with 4010 and the seat stays connected."""
    async with lone(site) as (ada, line, seat), Line.to(seat["ws_url"]) as newer:
        await newer.hello(resume=line.resume, last_v=1)
        assert (await line.end())[0] == 4010
        await newer.say("ping")
        await newer.until("pong")
        assert (await ada.look(seat["session"]))["seats"][0]["connected"]
        assert "seat_disconnected" not in newer.kinds()


async def test_joining_again_gives_a_new_ticket_for_the_same_seat(site: Stack) -> None:
    """Who has lost even the resume token logs in and joins the session again."""
    async with duel(site.url) as game:
        await game.lines[0].cut()
        again = await game.persons[0].ask("/api/join", session=game.session)
        assert again["seat"] == game.lines[0].seat
        async with Line.to(again["ws_url"]) as back:
            assert (await back.hello(ticket=again["ticket"]))["seat"] == again["seat"]
            assert (await back.until("session"))["d"]["status"] == "running"


async def test_resync_gives_view_topology_and_frame_again(site: Stack) -> None:
    """Like a late joiner: the whole view, the topology once, the newest frame."""
    async with duel(site.url) as game:
        line = game.lines[0]
        await game.turn()
        before = len(line.topologies), len(line.frames)
        await line.say("resync")
        view = await line.until("session")
        assert view["d"]["brief"]["seat"] == view["d"]["turn_seat"]
        await line.wait(lambda: len(line.topologies) == before[0] + 1 and len(line.frames) > before[1])


# -- the picture -----------------------------------------------------------------------------------


async def test_topology_comes_once_and_then_frames(site: Stack) -> None:
    """Members and a late observer get the topology before their first frame, and never again over two turns."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        assert (place["seat"], place["role"]) == (None, "observer")
        async with Line.to(place["ws_url"]) as watching:
            welcome = await watching.hello(ticket=place["ticket"])
            assert (welcome["role"], welcome["seat"]) == ("observer", None)
            await watching.until("session")
            acting = await play(game)
            await play(game)
            await watching.until("turn_ended")
            await watching.wait(lambda: len(watching.frames) > 2)
            for line in (acting, watching):
                assert len(line.topologies) == 1
                assert line.binary[0][0] == 2
            ticks = [struct.unpack_from("<II", frame, 4)[1] for frame in watching.frames]
            assert ticks == sorted(ticks)


async def test_observers_may_only_watch(site: Stack) -> None:
    """An act, chat, ready, choose or leave of an observer is refused; ping and resync work."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            await line.hello(ticket=place["ticket"])
            wanted = [
                ("act", {"kind": "launch", "d": LAUNCH}), ("chat", {"text": "boo"}), ("ready", {"ready": True}),
                ("choose", {"body": "halo"}), ("leave", None),
            ]  # fmt: skip
            for number, (kind, d) in enumerate(wanted, 1):
                await line.say(kind, d, number)
                answer = await line.answer(number)
                assert (answer["t"], answer["d"]["code"]) == ("error", "observer")
            await line.say("ping")
            await line.until("pong")
            assert "boo" not in json.dumps(game.lines[0].messages)


# -- commands --------------------------------------------------------------------------------------


async def test_a_command_with_the_same_id_has_one_effect_and_one_answer(site: Stack) -> None:
    """Over a reconnection too: the same acknowledgement comes again, and the world took the input once."""
    async with duel(site.url) as game:
        acting, other, _ = await game.turn()
        first = await acting.act(**LAUNCH)
        assert first["t"] == "ack"
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.wait(lambda: [m for m in acting.messages if m.get("id") == 1] == [first, first])
        last_v, resume = acting.vs[-1], acting.resume
        await acting.cut()
        async with Line.to(ws(site)) as back:
            welcome = await back.hello(resume=resume, last_v=last_v)
            assert welcome["last_id"] == 1
            back.last_id = 0
            assert await back.act(**LAUNCH) == first
            await other.until("turn_ended")
            assert other.kinds().count("action") == 1


async def test_an_answer_that_was_lost_comes_after_the_reconnection(site: Stack) -> None:
    """The input was sent and the line went dead: said again under its id, it is acknowledged and happens once."""
    async with duel(site.url) as game:
        acting, other, started = await game.turn()
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.cut()
        async with Line.to(ws(site)) as back:
            await back.hello(resume=acting.resume, last_v=started["v"])
            back.last_id = 0
            answer = await back.act(**LAUNCH)
            assert answer["t"] == "ack"
            await other.until("turn_ended")
            assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_an_input_under_way_is_answered_on_the_line_that_asks_again(site: Stack) -> None:
    """It waits, for an operator has paused the session; its line is cut. Said again under its id on the next line, it
    is acknowledged there once the session goes on, and happens once."""
    async with duel(site.url) as game, connected(site.store_url, site.realm) as (store,):
        settings = Settings(redis_url=site.store_url, realm=site.realm)
        scripts = SessionScripts(store)
        operators = Operators(scripts, settings, Seating(scripts, settings))
        acting, other, _ = await game.turn()
        await operators.pause(game.session, "boss")
        await other.until("session_paused")
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.say("ping", {"at": 1})
        await acting.until("pong")
        await acting.cut()
        async with Line.to(ws(site)) as back:
            await back.hello(resume=acting.resume, last_v=acting.vs[-1])
            await back.say("act", {"kind": "launch", "d": LAUNCH}, 1)
            await operators.resume(game.session, "boss")
            assert (await back.answer(1))["t"] == "ack"
        await other.until("turn_ended")
        assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_nothing_is_obeyed_after_a_close_frame(site: Stack) -> None:
    """Also when it comes before the welcome is out: the input behind it is none."""
    async with duel(site.url) as game:
        acting, other, started = await game.turn()
        person = game.persons[game.lines.index(acting)]
        place = await person.ask("/api/join", session=game.session)
        act = {"t": "act", "id": 1, "d": {"kind": "launch", "d": LAUNCH}}
        with socket.create_connection(address(site), timeout=10.0) as raw:
            handshake(raw, place["ticket"])
            raw.sendall(masked(8, struct.pack("!H", 1000)))
            raw.sendall(masked(1, json.dumps(act, separators=(",", ":")).encode()))
            while raw.recv(65536):
                pass
        place = await person.ask("/api/join", session=game.session)
        async with Line.to(ws(site)) as back:
            await back.hello(ticket=place["ticket"], last_v=started["v"])
            back.last_id = 1
            assert (await back.act(**LAUNCH))["t"] == "ack"
            await other.until("turn_ended")
        assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_an_id_that_is_too_old_is_refused(site: Stack) -> None:
    """Ids count up; an old one that is not remembered any more is told so, and does nothing."""
    async with lone(site) as (_, line, _seat):
        await line.say("chat", {"text": "later"}, 9)
        assert (await line.answer(9))["t"] == "ack"
        await line.say("chat", {"text": "earlier"}, 3)
        assert (await line.answer(3))["d"]["code"] == "stale_id"


async def test_an_input_out_of_turn_is_refused(site: Stack) -> None:
    """The error says whose turn it is; the turn itself is not disturbed and a second action in it is refused."""
    async with duel(site.url) as game:
        acting, other, _ = await game.turn()
        refused = await other.act(**LAUNCH)
        assert refused["d"]["code"] == "not_your_turn"
        assert str(acting.seat) in refused["d"]["message"]
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 2)
        assert (await acting.answer(1))["t"] == "ack"
        assert (await acting.answer(2))["d"]["code"] in ("already_acted", "world_moving", "not_your_turn")


@pytest.mark.parametrize(
    ("d", "code", "field"),
    [
        ({"kind": "teleport", "d": {}}, "unknown_kind", "kind"),
        ({"kind": "skip", "d": {}}, "unknown_kind", "kind"),
        ({"kind": "leave", "d": {}}, "unknown_kind", "kind"),
        ({"kind": "launch", "d": {**LAUNCH, "power": 99.0}}, "out_of_range", "power"),
        ({"kind": "launch", "d": {**LAUNCH, "colour": 1.0}}, "unknown_field", "colour"),
        ({"kind": "launch", "d": {**LAUNCH, "power": "much"}}, "bad_type", "power"),
        ({"kind": "launch", "d": {**LAUNCH, "power": True}}, "bad_type", "power"),
        ({"kind": "launch", "d": {"azimuth": 0.0}}, "missing_field", None),
    ],
)
async def test_an_illegal_action_names_its_field(site: Stack, d: Any, code: str, field: str | None) -> None:
    """It is refused with a code and the field, and the turn is still there for a legal one."""
    async with duel(site.url) as game:
        acting, _, _ = await game.turn()
        answer = await acting.command("act", d)
        assert (answer["t"], answer["d"]["code"]) == ("error", code)
        assert answer["d"]["field"] == (field or answer["d"]["field"])
        assert (await acting.act(**LAUNCH))["t"] == "ack"


async def test_lobby_commands_change_the_lobby(site: Stack) -> None:
    """Choose, ready, chat and leave are acknowledged and everybody hears of them."""
    async with Person(site.url) as ada, Person(site.url) as otto:
        await ada.login()
        await otto.login()
        seat = await ada.ask("/api/open", private=True, body="marl")
        other = await otto.ask("/api/join", session=seat["session"])
        async with Line.to(seat["ws_url"]) as one, Line.to(other["ws_url"]) as two:
            await one.hello(ticket=seat["ticket"])
            await two.hello(ticket=other["ticket"])
            await two.until("session")  # what happens before it is in the view, and no event
            await one.say("choose", {"body": "crux"}, 1)
            assert (await two.until("body_chosen"))["d"] == {"seat": 0, "player": ada.player, "body": "crux"}
            await one.say("choose", {"body": "unicorn"}, 2)
            assert (await one.answer(2))["d"] == {
                "code": "unknown_body", "field": "body", "message": "there is no body 'unicorn'",
            }  # fmt: skip
            await one.say("ready", {"ready": True}, 3)
            await two.until("seat_ready", seat=0, ready=True)
            await one.say("leave", id=4)
            assert (await one.answer(4))["t"] == "ack"
            assert (await one.end())[0] == 4000
            await two.until("seat_left", seat=0)
            assert (await two.until("host_changed"))["d"]["player"] == otto.player
            for line in (one, two):
                assert line.vs == list(range(line.vs[0], line.vs[0] + len(line.vs)))


async def test_leaving_a_run_is_a_forfeit(site: Stack) -> None:
    """The other wins, ``ended`` comes once, and the leaver is free to find another session."""
    async with duel(site.url) as game:
        acting, other, _ = await game.turn()
        await acting.say("leave", id=1)
        assert (await acting.end())[0] == 4000
        result = await other.until("result")
        assert result["d"]["winner"] == other.seat
        await other.until("ended")
        assert other.kinds().count("ended") == 1
        leaver = game.persons[acting.seat or 0]
        await leaver.ask("/api/open", private=True)


async def test_who_stays_after_the_end_is_not_sent_away(site: Stack) -> None:
    """The end is no disturbance: the connection lives on, for the result and a last word."""
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


# -- what no proper client sends -------------------------------------------------------------------


async def test_unreadable_messages_are_answered_then_closed(site: Stack) -> None:
    """Each gets a coded error without an id; the tenth closes the connection with 4004; the seat can come back."""
    async with lone(site) as (_, line, seat):
        bad: list[tuple[str | bytes, str]] = [
            ("{", "bad_json"), ('{"t":"fly"}', "bad_message"), (b"\xde\xad", "binary_message"), ("", "bad_json"),
            ('{"t":"act","id":1}', "bad_message"), ('{"t":"chat","id":1,"d":{"text":""}}', "bad_message"),
            ("[" * 4000, "bad_message"), ('{"t":"chat","id":-1,"d":{"text":"x"}}', "bad_message"),
            ('{"t":"chat","id":1,"d":{"text":"x"},"z":0}', "bad_message"), ("null", "bad_message"),
        ]  # fmt: skip
        for data, _code in bad:
            await line.send(data)
        assert (await line.end())[0] == 4004
        errors = [message for message in line.messages if message["t"] == "error"]
        assert [error["d"]["code"] for error in errors] == [code for _, code in bad]
        assert all(error.get("id") is None for error in errors)
        async with Line.to(seat["ws_url"]) as back:
            await back.hello(resume=line.resume, last_v=1)


async def test_an_oversize_message_is_closed_with_1009(site: Stack) -> None:
    """One byte more than MAX_MESSAGE_BYTES; the seat can come back."""
    async with lone(site) as (_, line, seat):
        await line.send('{"t":"ping","d":{"at":1}}'.ljust(8192))
        await line.until("pong")
        await line.send("x" * 8193)
        assert (await line.end())[0] == 1009
        async with Line.to(seat["ws_url"]) as back:
            await back.hello(resume=line.resume, last_v=1)


async def test_text_that_is_no_utf_8_is_closed_with_1007(site: Stack) -> None:
    """As RFC 6455 asks; the websockets library of this test cannot send it, so the frame is made by hand."""
    async with lone(site) as (_, line, _seat):
        mask, payload = b"\1\2\3\4", b"\xff\xfe\xfd"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        line.socket.transport.write(b"\x81\x83" + mask + masked)
        assert (await line.end())[0] in (1007, 4004)


async def test_a_flood_is_closed_with_4013_and_harms_nobody(site: Stack) -> None:
    """Far more than MESSAGE_RATE: that one is closed; the other player of the session is not disturbed."""
    async with duel(site.url) as game:
        flooding, calm = game.lines
        for _ in range(3000):
            await flooding.send('{"t":"ping"}')
            if flooding.closed:
                break
        assert (await flooding.end())[0] == 4013
        await calm.say("ping", {"at": 1.0})
        await calm.wait(lambda: {"pong", "seat_disconnected"} <= set(calm.kinds()))


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
    """Bytes that are no HTTP, half requests and broken upgrades: the server goes on as if nothing had been."""
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


async def test_ten_clients_doing_anything_lose_no_session(site: Stack) -> None:
    """Seeded chance: valid and invalid messages, cuts and returns. Nothing fails, hangs or is lost; each ``v`` once."""

    async def meddle(line: Line, rng: random.Random, stack: contextlib.AsyncExitStack) -> Line:
        number = 100
        for _ in range(60):
            if line.closed is not None:
                break
            number += 1
            match rng.randrange(9):
                case 0:
                    await line.say("chat", {"text": "".join(rng.choices(string.printable, k=40))}, number)
                case 1:
                    kind = rng.choice(["launch", "brace", "hop", "", "x" * 25])
                    await line.say("act", {"kind": kind, "d": {"azimuth": rng.uniform(-400, 400)}}, number)
                case 2:
                    await line.say("act", {"kind": "launch", "d": LAUNCH}, number)
                case 3:
                    await line.say(
                        rng.choice(["ready", "choose", "ping"]), rng.choice([None, {"body": "halo"}]), number
                    )
                case 4:
                    await line.send(bytes(rng.randrange(256) for _ in range(rng.randrange(60))))
                case 5:
                    await line.send('{"t":"act","id":1e400}')
                case 6:
                    await line.say("resync")
                case 7:
                    await line.say("chat", {"text": "again"}, rng.randrange(1, number))
                case _:
                    last_v, resume = max(line.vs, default=0), line.resume
                    await line.cut()
                    line = await stack.enter_async_context(Line.to(ws(site)))
                    await line.hello(resume=resume, last_v=last_v)
            if rng.random() < 0.3:
                await line.say("ping", {"at": float(number)})
                if line.closed is None:
                    with contextlib.suppress(AssertionError):  # closed for its strikes meanwhile
                        await line.until("pong", at=float(number))
        return line

    async with contextlib.AsyncExitStack() as stack:
        games = [await stack.enter_async_context(duel(site.url)) for _ in range(5)]
        lines = [line for game in games for line in game.lines]
        async with asyncio.timeout(60.0):
            last = await asyncio.gather(
                *(meddle(line, random.Random(seed), stack) for seed, line in enumerate(lines))
            )
        for line in last:
            assert line.vs == sorted(set(line.vs))
            await line.cut()
        for game in games:
            view = await game.persons[0].look(game.session)
            assert view["status"] in ("running", "ended"), view
            for person in game.persons:
                answer = await person.post("/api/leave", {"session": game.session})
                assert answer.status_code in (200, 409), answer.text
    await assert_healthy(site)


async def test_a_slow_reader_misses_frames_and_is_closed_and_others_are_not_disturbed(site: Stack) -> None:
    """First frames are withheld from it, then, with too much unread, it is closed with 4014. Others get everything."""
    async with duel(site.url) as game, Person(site.url) as viewer:
        await viewer.login()
        place = await viewer.ask("/api/observe", session=game.session)
        with deaf_socket(site) as deaf:
            handshake(deaf, place["ticket"])
            ada, otto = game.lines
            text = "\N{OCTOPUS}" * 500
            for _ in range(18):
                for line in (ada, otto):
                    for number in range(line.last_id + 1, line.last_id + 21):
                        await line.say("chat", {"text": text}, number)
                    line.last_id += 20
                for line in (ada, otto):
                    assert (await line.answer(line.last_id))["t"] == "ack"
                await play(game)
                await asyncio.sleep(20 / float(ENVIRONMENT["MESSAGE_RATE"]))  # no faster than they may speak
            counted = await metrics(site)
            assert counted["tussle_frames_skipped_total"] > 0
            assert counted['tussle_closes_total{code="4014"}'] >= 1
        for line in (ada, otto):
            assert line.vs == list(range(line.vs[0], line.vs[-1] + 1))
            assert line.kinds().count("chat") == 720
            assert line.closed is None


async def test_the_members_of_a_store_without_a_session_are_told(site: Stack) -> None:
    """A session whose keys are gone cannot be resumed: the resume token is refused."""
    async with lone(site) as (ada, line, seat):
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


# -- short cuts ------------------------------------------------------------------------------------


def ws(site: Stack) -> str:
    return site.url.replace("http", "ws", 1) + "/ws"


def address(site: Stack) -> tuple[str, int]:
    parts = urlsplit(site.url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


@contextlib.asynccontextmanager
async def lone(site: Stack) -> Any:
    """Somebody in a private lobby of their own: person, line, seat."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            await line.until("session")
            yield ada, line, seat


async def play(game: Duel) -> Line:
    """The next turn, sat out; whose it was."""
    acting, _, _ = await game.turn()
    assert (await acting.act("brace"))["t"] == "ack"
    await acting.until("turn_ended")
    return acting


async def assert_healthy(site: Stack) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{site.url}/healthz")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)


async def metrics(site: Stack) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"{site.url}/metrics")).text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


@contextlib.contextmanager
def deaf_socket(site: Stack) -> Any:
    """A socket that takes little and reads nothing."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.settimeout(10.0)
    deaf.connect(address(site))
    try:
        yield deaf
    finally:
        deaf.close()


def handshake(deaf: socket.socket, ticket: str) -> None:
    """Upgrade and say hello by hand, then never read again."""
    deaf.sendall(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += deaf.recv(1)
    deaf.sendall(masked(1, json.dumps({"t": "hello", "d": {"protocol": 1, "ticket": ticket}}).encode()))


def masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame as clients send it; the mask is zero."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload
