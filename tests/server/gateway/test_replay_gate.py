"""Replay rooms on a real server: presenting, following, marks, chat, presence, refusals, floods."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.recordings.frames import frames, topology
from tests.support.replay import joined, member, opened, recorded, replay_url
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.lobby.ids import new_session_token
from tussle.lobby.replay_rooms import Author
from tussle.lobby.settings import Settings
from tussle.lobby.wire.replay import ReplayLine, ReplayWelcome, ReplayWelcomeData, ReplayYou
from tussle.server.gateway.protocol import REPLAY_RULES, Connection
from tussle.server.gateway.replay_gate import ReplayFollower
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.zarr_frames import ZarrFrames

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"SIM_SPEED": "0", "CHAT_RATE": "1000"}
CAMERA = {"position": [1, 2, 3], "target": [0, 0, 0]}
WELCOME = ReplayWelcome(
    ReplayWelcomeData(
        session="k7qm2xpv", you=ReplayYou("p1", "ada", "observer", "c1"), members=(), member_count=0,
        presenter=None, presenter_connection=None, grant=0, n=0, frame=0, playing=False, speed=1.0, bookmarks=(),
        views=(), chat=(ReplayLine(1, "p1", "ada", "x", 0),), length=10, live=False, protocol=1,
    )
)  # fmt: skip


async def test_everybody_follows_the_presenter(site: Stack) -> None:
    """The presenter sets the frame of all members; the token is refused to others until it is released; a late member
    gets the newest frame."""
    token = await recorded(site)
    async with member(site.url, token, "ada") as ada, member(site.url, token, "otto") as otto:
        await otto.say("scrub", {"frame": 5}, 1)
        assert (await otto.until("error"))["d"]["code"] == "not_presenter"
        await ada.say("present", {}, 1)
        for line in (ada, otto):
            granted = (await line.until("presenter"))["d"]
            assert granted["grant"] == 1 and granted["player"]
        await otto.say("present", {}, 2)
        refused = await otto.until("error")
        assert (refused["d"]["code"], refused["id"]) == ("presenter_taken", 2)
        await ada.say("scrub", {"frame": 12, "playing": True, "speed": 0.5})
        for line in (ada, otto):
            shown = await line.until("scrub")
            assert shown["d"] == {"grant": 1, "n": 1, "frame": 12, "playing": True, "speed": 0.5}
            assert "v" not in shown
        async with Person(site.url) as late:
            await late.login(name="late")
            async with joined(site.url, token, late) as (_, welcome):
                assert (welcome["frame"], welcome["playing"], welcome["speed"]) == (12, True, 0.5)
                assert (welcome["grant"], welcome["n"], welcome["length"]) == (1, 1, 1000)
                assert welcome["presenter"] == granted["player"]
        await ada.say("release")
        assert (await otto.until("presenter", player=None))["d"]["grant"] == 1
        await otto.say("present")
        assert await ada.until("presenter", grant=2)


async def test_marks_chat_and_presence_reach_everybody(site: Stack) -> None:
    """Bookmarks, views, chat and members are sent to all, and are in the welcome of a later member."""
    token = await recorded(site)
    async with member(site.url, token, "ada") as ada, member(site.url, token, "otto") as otto:
        await ada.until("presence", member_count=2)
        await ada.say("bookmark", {"name": "the blow", "frame": 42})
        mark = (await otto.until("bookmark"))["d"]
        assert (mark["name"], mark["frame"]) == ("the blow", 42) and mark["by_name"].startswith("ada")
        camera = {"position": [1.0, 2.0, 3.0], "target": [0.0, 0.0, 0.5], "follow": "b1"}
        await otto.say("view", {"name": "default", "camera": camera})
        assert (await ada.until("view"))["d"]["camera"] == camera
        await ada.say("chat", {"text": "look \N{OCTOPUS}"})
        line = (await otto.until("chat"))["d"]
        assert (line["n"], line["text"]) == (1, "look \N{OCTOPUS}")
        await otto.say("remove_bookmark", {"id": mark["id"]}, 5)
        assert (await otto.until("error"))["d"]["code"] == "not_author"
        async with Person(site.url) as late:
            await late.login(name="late")
            async with joined(site.url, token, late) as (_, welcome):
                assert welcome["bookmarks"] == [mark] and welcome["chat"] == [line]
                assert welcome["views"][0]["camera"] == camera
                assert welcome["member_count"] == 3 and welcome["you"]["player"] == late.player
        await ada.say("remove_bookmark", {"id": mark["id"]})
        await otto.until("bookmark_removed", id=mark["id"])
        await otto.say("remove_view", {"name": "default"})
        await ada.until("view_removed", name="default")
    async with opened(site) as store:
        events = await store.call("XRANGE", store.keys.lifecycle, "-", "+")
        assert any(token in flat and "replay_opened" in flat for _, flat in events)
        assert not await store.call("EXISTS", store.keys.events(token)), (
            "a room is not in the session's events"
        )


async def test_a_room_over_a_running_session_grows(site: Stack) -> None:
    """Members get its length as it grows, and that it ended; a scrub to a frame that has just been recorded works."""
    token = await recorded(site, 100, "running")
    async with opened(site) as store, Person(site.url) as ada:
        await ada.login()
        async with joined(site.url, token, ada) as (line, welcome):
            assert (welcome["length"], welcome["live"]) == (100, True)
            await store.call("HSET", store.keys.recording(token), "length", 160)
            await line.say("present")
            await line.say("scrub", {"frame": 159})
            assert (await line.until("recording"))["d"] == {"length": 160, "live": True}
            await line.until("scrub", frame=159)
            await store.call("HSET", store.keys.session(token), "status", "ended")
            assert (await line.until("recording"))["d"] == {"length": 160, "live": False}


async def test_a_recording_outlives_its_session(site: Stack) -> None:
    """The room of a recording whose session the store has forgotten opens by the recording's files."""
    token = new_session_token()
    group = ZarrFrames.create(f"{site.data_dir}/recordings/{token}.zarr", seats=2)
    group.append(frames(0, 30), topology("affine", "affine"))
    group.close()
    async with Person(site.url) as ada:
        await ada.login()
        async with joined(site.url, token, ada) as (_, welcome):
            assert (welcome["length"], welcome["live"]) == (30, False)


async def test_two_servers_share_a_room_and_a_dead_presenter_frees_it(site: Stack) -> None:
    """Members of two servers follow one presenter, and another room gets no message. When the presenter's server is
    killed, its token expires by itself within five seconds, and the followers get that nobody presents."""
    (second,) = await site.more_servers(1)
    token, other = await recorded(site), await recorded(site)
    async with (
        member(second.url, token, "ada") as ada,
        member(site.url, token, "otto") as otto,
        member(site.url, other, "eve") as eve,
    ):
        await otto.until("presence", member_count=2)
        await ada.say("present")
        await otto.until("presenter", grant=1)
        await ada.say("scrub", {"frame": 7})
        await ada.say("chat", {"text": "see"})
        await otto.until("scrub", frame=7)
        await otto.until("chat")
        async with opened(site) as store:
            key = store.keys.replay_presenter(token)
            await second.kill()
            assert 0 < await store.call("PTTL", key) <= 5000
            await otto.say("present", {}, 1)
            assert (await otto.until("error"))["d"]["code"] == "presenter_taken"
            await store.call("PEXPIRE", key, 1)
        assert (await otto.until("presenter", player=None))["d"]["grant"] == 1
        await otto.say("present")
        await otto.until("presenter", grant=2)
        await eve.say("ping")
        await eve.until("pong")
        assert set(eve.kinds()) <= {"welcome", "presence", "servers", "pong"}


async def test_a_lost_store_connection_brings_a_new_welcome(site: Stack) -> None:
    """Messages may be lost with the connection to the store: then each member gets the whole room again."""
    token = await recorded(site)
    async with (
        member(site.url, token, "ada") as ada,
        member(site.url, token, "otto") as otto,
        opened(site) as store,
    ):
        await ada.say("present")
        await otto.until("presenter", grant=1)
        await store.call("CLIENT", "KILL", "TYPE", "pubsub")
        await ada.say("scrub", {"frame": 7})
        for line in (ada, otto):
            welcome = (await line.until("welcome"))["d"]
            assert (welcome["presenter"], welcome["grant"]) == (player_of(ada), 1)
        await ada.say("scrub", {"frame": 8})
        await otto.until("scrub", frame=8)


def player_of(line: Line) -> str:
    """The player of a connection, by its first welcome."""
    player: str = line.messages[0]["d"]["you"]["player"]
    return player


async def test_a_presenter_who_disconnects_frees_the_room(site: Stack) -> None:
    """The token of a connection that is lost is free at once, and the player leaves the members."""
    token = await recorded(site)
    async with member(site.url, token, "otto") as otto:
        async with member(site.url, token, "ada") as ada:
            await otto.until("presence", member_count=2)  # else she comes and goes within one round
            await ada.say("present")
            await otto.until("presenter", grant=1)
            async with opened(site) as store:
                await store.call("PERSIST", store.keys.replay_presenter(token))  # it would never expire
        await otto.until("presenter", player=None)
        await otto.until("presence", member_count=1)


async def test_what_a_member_may_not_do_is_refused_with_a_code(site: Stack) -> None:
    """A refused message changes nothing, and the connection stays."""
    token = await recorded(site, 10)
    async with member(site.url, token, "ada") as ada:
        await ada.say("present")
        await ada.until("presenter")
        for number, (kind, d, code) in enumerate(
            (
                ("scrub", {"frame": 10}, "bad_range"),
                ("bookmark", {"name": "late", "frame": 10}, "bad_range"),
                ("bookmark", {"name": "a\x1b[2J", "frame": 1}, "bad_text"),
                ("chat", {"text": "\u202ex"}, "bad_text"),
                ("view", {"name": "\x07", "camera": CAMERA}, "bad_text"),
                ("remove_bookmark", {"id": "none"}, "no_such_mark"),
                ("remove_view", {"name": "none"}, "no_such_mark"),
            ),
            1,
        ):
            await ada.say(kind, d, number)
            refused = await ada.until("error")
            assert (refused["d"]["code"], refused["id"]) == (code, number), (kind, d)
        for text in (
            '{"t":"scrub","d":{"frame":-1}}',
            '{"t":"scrub","d":{"frame":1,"speed":1e9}}',
            '{"t":"bookmark","d":{"name":"' + "x" * 81 + '","frame":1}}',
            '{"t":"view","d":{"name":"x","camera":{"position":[1,2],"target":[1,2,3]}}}',
            '{"t":"act","id":1,"d":{"kind":"launch","d":{}}}',
            '{"t":"hello","d":{"token":"x"}}',
            "[",
        ):
            await ada.send(text)
            assert (await ada.until("error"))["d"]["code"] in ("bad_message", "bad_json", "hello_again"), text
        assert ada.closed is None
        for _ in range(4):  # with the six above whose id cannot be read
            await ada.send("{")
        assert (await ada.end())[0] == 4004


async def test_who_may_not_join_is_closed_with_a_code(site: Stack) -> None:
    """Refused are a bad login, no recording, another protocol, another first message, none, another origin or path."""
    token = await recorded(site)
    async with Person(site.url) as ada, Line.to(replay_url(site.url, token)) as silent:
        await ada.login()
        lobby = (await ada.ask("/api/open", private=True))["session"]
        for room, first, code, word in (
            (token, {"t": "hello", "d": {"token": "x" * 43}}, 4003, "unauthorized"),
            (new_session_token(), {"t": "hello", "d": {"token": ada.token}}, 4003, "no_recording"),
            (lobby, {"t": "hello", "d": {"token": ada.token}}, 4003, "no_recording"),
            (token, {"t": "hello", "d": {"token": ada.token, "protocol": 99}}, 4012, "version_mismatch"),
            (token, {"t": "present"}, 4004, "hello_expected"),
            (token, {"t": "hello", "d": {"protocol": 1, "ticket": "x"}}, 4004, "bad_message"),
        ):
            async with Line.to(replay_url(site.url, room)) as line:
                await line.send(json.dumps(first))
                closed = await line.end()
                assert closed[0] == code and closed[1].startswith(word), (first, closed)
        for path, headers, status in (
            ("/replay/", {}, 404),
            ("/replay/k7qm2xp", {}, 404),
            ("/replay/..", {}, 404),
            (f"/replay/{token}/x", {}, 404),
            (f"/replay/{token}", {"Origin": "http://evil.example"}, 403),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    site.url.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None
                )
            assert refused.value.response.status_code == status, path
        assert await silent.end() == (4004, "no hello in time")


async def test_a_flood_closes_its_sender_only(site: Stack) -> None:
    """Messages, costly messages and pings beyond the budget close their connection with 4013; the room goes
    on."""
    token = await recorded(site)
    async with member(site.url, token, "otto") as otto:
        for name, send in (
            ("talker", lambda line: line.say("chat", {"text": "x"})),
            ("asker", lambda line: line.say("release")),
            ("pinger", lambda line: line.socket.ping()),
        ):
            async with member(site.url, token, name) as line:
                with contextlib.suppress(ConnectionClosed):
                    for _ in range(600):
                        await send(line)
                assert (await line.end())[0] == 4013, name
        assert otto.kinds().count("chat") < 600
        async with member(site.url, token, "ada") as ada:
            await ada.say("present")
            await otto.until("presenter", grant=1)
            for frame in range(40, 60):
                await ada.say("scrub", {"frame": frame})
            await otto.until("scrub", frame=59)


async def test_a_member_without_room_gets_the_newest_scrub_later() -> None:
    """Scrubs are not queued for a slow connection; other messages are, and what came before them is sent first."""
    sent: list[bytes] = []
    transport = SimpleNamespace(
        write=sent.append,
        is_closing=lambda: False,
        get_write_buffer_size=lambda: 0,
        set_write_buffer_limits=lambda **_: None,
        get_extra_info=lambda _: None,
    )
    socket: Any = SimpleNamespace(transport=transport, room=True, open=True, on_room=None)
    follower = ReplayFollower(
        socket, Connection(Settings(), REPLAY_RULES), Author("p1", "ada"), frozenset(), Telemetry()
    )
    follower.hear(b"line 1", 1)
    follower.hear(b"line 2", 2)
    follower.show(b"early")
    assert not sent
    follower.welcome(WELCOME)
    assert sent[1:] == [b"line 2", b"early"], "line 1 is in the welcome"
    socket.room = False
    for scrub in (b"a", b"b", b"c"):
        follower.show(scrub)
    assert sent[3:] == []
    socket.room = True
    socket.on_room(True)
    socket.on_room(True)
    assert sent[3:] == [b"c"]
    socket.room = False
    follower.show(b"d")
    follower.hear(b"presenter")
    assert sent[4:] == [b"d", b"presenter"]


async def test_a_member_that_left_while_it_was_let_in_is_no_error() -> None:
    """A connection that closes before it joins is refused as a lost connection, and its closed transport is not
    used."""

    def closed(**_: object) -> None:
        raise RuntimeError("the handler is closed")

    transport = SimpleNamespace(is_closing=lambda: True, set_write_buffer_limits=closed)
    socket: Any = SimpleNamespace(transport=transport, room=True, open=True, on_room=None)
    with pytest.raises(ConnectionError):
        ReplayFollower(
            socket, Connection(Settings(), REPLAY_RULES), Author("p1", "ada"), frozenset(), Telemetry()
        )
