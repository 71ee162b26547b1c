"""The commands of clients on a real server: each has one effect and one reply, or is refused with a code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import string
import struct
from inspect import signature
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from tests.conftest import connected
from tests.support.gateway import (
    GATEWAY_ENVIRONMENT,
    LAUNCH,
    address,
    assert_healthy,
    lobby_of_one,
    masked_frame,
    send_hello,
    socket_url,
)
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.errors import StoreError
from tussle.lobby.operators import Operators
from tussle.lobby.seating import Seating
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.wire.client_messages import Ping, PingData
from tussle.server.gateway.commands import Commands

ENVIRONMENT = GATEWAY_ENVIRONMENT
SOFT = {"azimuth": 0.0, "elevation": 0.0, "power": 0.05}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_second_hello_is_refused_and_the_connection_stays(site: Stack) -> None:
    """The error has no id. The connection answers afterwards."""
    async with lobby_of_one(site) as (_, line, _seat):
        await line.say("hello", {"protocol": 1, "resume": line.resume})
        assert (await line.until("error"))["d"]["code"] == "hello_again"
        await line.say("ping")
        await line.until("pong")


async def test_resync_gives_view_topology_and_frame_again(site: Stack) -> None:
    """The client gets what a new observer gets: the view, the topology once, the newest frame."""
    async with duel(site.url) as game:
        line = game.lines[0]
        await game.turn()
        before = len(line.topologies), len(line.frames)
        await line.say("resync")
        view = await line.until("session")
        assert view["d"]["brief"]["seat"] == view["d"]["turn_seat"]
        await line.wait(lambda: len(line.topologies) == before[0] + 1 and len(line.frames) > before[1])


async def test_observers_may_only_watch(site: Stack) -> None:
    """An observer's act, chat, ready, choose and leave are refused. Ping is answered."""
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


async def test_a_command_with_the_same_id_has_one_effect_and_one_reply(site: Stack) -> None:
    """A repeated input gets the same acknowledgement, also after a reconnection. The world applies it once."""
    async with duel(site.url) as game:
        acting, other, _ = await game.turn()
        first = await acting.act(**LAUNCH)
        assert first["t"] == "ack"
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.wait(lambda: [m for m in acting.messages if m.get("id") == 1] == [first, first])
        last_v, resume = acting.vs[-1], acting.resume
        await acting.cut()
        async with Line.to(socket_url(site)) as back:
            welcome = await back.hello(resume=resume, last_v=last_v)
            assert welcome["last_id"] == 1
            back.last_id = 0
            assert await back.act(**LAUNCH) == first
            await other.until("turn_ended")
            assert other.kinds().count("action") == 1


async def test_a_lost_acknowledgement_is_sent_after_a_reconnection(site: Stack) -> None:
    """The connection is cut after an input. The client repeats the input under its id: it is acknowledged and applied
    once."""
    async with duel(site.url) as game:
        acting, other, started = await game.turn()
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.cut()
        async with Line.to(socket_url(site)) as back:
            await back.hello(resume=acting.resume, last_v=started["v"])
            back.last_id = 0
            answer = await back.act(**LAUNCH)
            assert answer["t"] == "ack"
            await other.until("turn_ended")
            assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_a_repeated_input_is_acknowledged_on_the_newer_connection(site: Stack) -> None:
    """The input waits because an operator has paused the session, and its connection is cut. The client repeats it on a
    new connection. It is acknowledged there when the session resumes, and applied once."""
    async with duel(site.url) as game, connected(site.store_url, site.realm) as (store,):
        settings = Settings(redis_url=site.store_url, realm=site.realm)
        scripts = SessionScripts(store)
        operators = Operators(scripts, Seating(scripts, settings))
        acting, other, _ = await game.turn()
        await operators.pause(game.session, "boss")
        await other.until("session_paused")
        await acting.say("act", {"kind": "launch", "d": LAUNCH}, 1)
        await acting.say("ping", {"at": 1})
        await acting.until("pong")
        await acting.cut()
        async with Line.to(socket_url(site)) as back:
            await back.hello(resume=acting.resume, last_v=acting.vs[-1])
            await back.say("act", {"kind": "launch", "d": LAUNCH}, 1)
            await operators.resume(game.session, "boss")
            assert (await back.answer(1))["t"] == "ack"
        await other.until("turn_ended")
        assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_one_turn_of_a_person_who_lost_the_connection_is_longer(site: Stack) -> None:
    """A telephone that sleeps loses no turn before its owner can come back: the turn ends RECONNECT_GRACE_S later, and
    everybody gets its new end. The next absence of the same seat gets nothing."""
    async with duel(site.url, turn_s=3.0) as game:
        acting, other, started = await game.turn()
        await acting.cut()
        await other.until("seat_disconnected", seat=acting.seat)
        notice = await other.until("notice", state="resumed")
        assert notice["d"]["turn_ends_at"] - started["d"]["ends_at"] == pytest.approx(15_000, abs=100)
        async with Line.to(socket_url(site)) as back:
            await back.hello(resume=acting.resume, last_v=started["v"])
            assert (await back.act(**SOFT))["t"] == "ack"
            await other.until("turn_started", seat=other.seat)
            assert (await other.act(**SOFT))["t"] == "ack"
            again = await other.until("turn_started", seat=acting.seat)
        skipped = await other.until("action", seat=acting.seat)
        assert skipped["d"]["timed_out"]
        assert [m["t"] for m in other.messages].count("notice") == 1, again


async def test_an_input_after_a_close_frame_is_ignored(site: Stack) -> None:
    """The close frame arrives before the welcome is sent. The input behind it has no effect."""
    async with duel(site.url) as game:
        acting, other, started = await game.turn()
        person = game.persons[game.lines.index(acting)]
        place = await person.ask("/api/join", session=game.session)
        act = {"t": "act", "id": 1, "d": {"kind": "launch", "d": LAUNCH}}
        with socket.create_connection(address(site), timeout=10.0) as raw:
            send_hello(raw, place["ticket"])
            raw.sendall(masked_frame(8, struct.pack("!H", 1000)))
            raw.sendall(masked_frame(1, json.dumps(act, separators=(",", ":")).encode()))
            while raw.recv(65536):
                pass
        place = await person.ask("/api/join", session=game.session)
        async with Line.to(socket_url(site)) as back:
            await back.hello(ticket=place["ticket"], last_v=started["v"])
            back.last_id = 1
            assert (await back.act(**LAUNCH))["t"] == "ack"
            await other.until("turn_ended")
        assert [e["d"]["seat"] for e in other.events if e["t"] == "action"] == [acting.seat]


async def test_an_id_that_is_too_old_is_refused(site: Stack) -> None:
    """An id below the newest one, without a kept reply, is refused with ``stale_id``."""
    async with lobby_of_one(site) as (_, line, _seat):
        await line.say("chat", {"text": "later"}, 9)
        assert (await line.answer(9))["t"] == "ack"
        await line.say("chat", {"text": "earlier"}, 3)
        assert (await line.answer(3))["d"]["code"] == "stale_id"


async def test_an_input_out_of_turn_is_refused(site: Stack) -> None:
    """The error names the seat whose turn it is. That seat may still act, and act once."""
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
    """It is refused with a code and the field. The seat may then send a legal action."""
    async with duel(site.url) as game:
        acting, _, _ = await game.turn()
        answer = await acting.command("act", d)
        assert (answer["t"], answer["d"]["code"]) == ("error", code)
        assert answer["d"]["field"] == (field or answer["d"]["field"])
        assert (await acting.act(**LAUNCH))["t"] == "ack"


async def test_lobby_commands_change_the_lobby(site: Stack) -> None:
    """Choose, ready and leave change the lobby, and every member gets their events."""
    async with Person(site.url) as ada, Person(site.url) as otto:
        await ada.login()
        await otto.login()
        seat = await ada.ask("/api/open", private=True, body="marl")
        other = await otto.ask("/api/join", session=seat["session"])
        async with Line.to(seat["ws_url"]) as one, Line.to(other["ws_url"]) as two:
            await one.hello(ticket=seat["ticket"])
            await two.hello(ticket=other["ticket"])
            await two.until("session")  # earlier changes are in the view and have no event
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
    """The other player wins, ``ended`` is sent once, and the player that left can open another session."""
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


async def test_unreadable_messages_are_answered_then_closed(site: Stack) -> None:
    """Each gets an error with a code and no id. The tenth closes the connection with 4004. The seat can resume.

    A command whose id can be read is answered by it and does not count."""
    async with lobby_of_one(site) as (_, line, seat):
        bad: list[tuple[str | bytes, str]] = [
            ("{", "bad_json"), ('{"t":"fly"}', "bad_message"), (b"\xde\xad", "binary_message"), ("", "bad_json"),
            ('{"t":"act"}', "bad_message"), ('{"t":"chat","id":"1","d":{"text":""}}', "bad_message"),
            ("[" * 4000, "bad_message"), ('{"t":"chat","id":-1,"d":{"text":"x"}}', "bad_message"),
            ('{"t":"chat","id":1.5,"d":{"text":"x"}}', "bad_message"), ("null", "bad_message"),
        ]  # fmt: skip
        long = json.dumps({"d": {"text": "x" * 501}, "t": "chat", "id": 7})
        for data in (*([long] * 11), '{"t":"act","id":8}', '{"t":"fly","id":9}'):
            await line.send(data)
        await line.wait(lambda: [m for m in line.messages if m.get("id") == 9])
        answers = [message for message in line.messages if message["t"] == "error"]
        assert [answer["id"] for answer in answers] == [7] * 11 + [8, 9]
        assert {answer["d"]["code"] for answer in answers} == {"bad_message"}
        assert [answers[0]["d"]["field"], answers[11]["d"]["field"]] == ["text", None]
        for data, _code in bad:
            await line.send(data)
        assert (await line.end())[0] == 4004
        errors = [message for message in line.messages if message["t"] == "error"][len(answers) :]
        assert [error["d"]["code"] for error in errors] == [code for _, code in bad]
        assert all(error.get("id") is None for error in errors)
        async with Line.to(seat["ws_url"]) as back:
            await back.hello(resume=line.resume, last_v=1)


async def test_a_flood_is_closed_with_4013_and_affects_nobody_else(site: Stack) -> None:
    """A connection far above MESSAGE_RATE is closed. The other player of the session stays connected."""
    async with duel(site.url) as game:
        flooding, calm = game.lines
        for _ in range(3000):
            await flooding.send('{"t":"ping"}')
            if flooding.closed:
                break
        assert (await flooding.end())[0] == 4013
        await calm.say("ping", {"at": 1.0})
        await calm.wait(lambda: {"pong", "seat_disconnected"} <= set(calm.kinds()))


async def test_ten_clients_with_random_messages_lose_no_session(site: Stack) -> None:
    """Valid and invalid messages, cuts and reconnections in seeded random order. No session fails or hangs, and every
    client gets each ``v`` once."""

    async def send_anything(line: Line, rng: random.Random, stack: contextlib.AsyncExitStack) -> Line:
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
                    line = await stack.enter_async_context(Line.to(socket_url(site)))
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
                *(send_anything(line, random.Random(seed), stack) for seed, line in enumerate(lines))
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


async def test_a_ping_is_answered_while_the_store_is_away() -> None:
    """With the store's clock as it goes on; before it was read once there is no answer. A store that hangs holds up one
    ping in a while for a moment, not each for the time after which a call of the store fails."""
    away = StoreError("the store did not answer within 5 s")

    async def hang() -> int:
        calls.append("hung")
        await asyncio.Event().wait()
        raise AssertionError

    calls: list[str] = []
    views = Mock(now_ms=AsyncMock(side_effect=[away, 5_000_000]))
    commands = Commands(*(views if name == "views" else Mock() for name in signature(Commands).parameters))
    sender, ping = Mock(), Ping(PingData(7.5))
    for _ in range(3):
        assert not await commands.handle(sender, Mock(), ping)
    commands._clock_until = float("-inf")
    views.now_ms = hang
    async with asyncio.timeout(4.0):
        for _ in range(3):
            assert not await commands.handle(sender, Mock(), ping)
    pongs = [call.args[0].d for call in sender.reply.call_args_list]
    assert [pong.at for pong in pongs] == [7.5] * 5
    times = [pong.server_time for pong in pongs]
    assert times[0] >= 5_000_000 - 1 and times == sorted(times) and times[-1] < 5_060_000
    assert calls == ["hung"]
