"""Bots against a scripted server: what they do on which event, and how they end."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support.pair import ModelSession
from tests.support.stage import Stage
from tussle.player import bots
from tussle.player.bots import Party, Tally, play, play_seat
from tussle.player.client import Client


class Hall:
    """The HTTP side: every find leads to the stage. ``answers`` go first, one per call of their path."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.calls: list[str] = []
        self.answers: dict[str, list[httpx.Response]] = {}

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append(path)
        if self.answers.get(path):
            return self.answers[path].pop(0)
        match path:
            case "/api/login":
                return httpx.Response(
                    200, json={"player": "pa", "name": "Ada#1234", "token": "t", "guest": True}
                )
            case "/api/find":
                join = {
                    "session": "k7qm2xpv",
                    "seat": 0,
                    "role": "player",
                    "ticket": "x",
                    "ws_url": self.stage.ws_url,
                }
                return httpx.Response(200, json=join)
            case "/api/me":
                me = {"player": "pa", "name": "Ada", "kind": "bot", "session": "k7qm2xpv", "xp": 0}
                return httpx.Response(200, json=me)
            case _:
                return httpx.Response(200, json={})


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps({"detail": code, "code": code}).encode())


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage(ModelSession(status="open")) as stage:
        yield stage


@pytest.fixture
def hall(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Hall:
    hall = Hall(stage)

    def client(url: str, **options: Any) -> Client:
        return Client(url, transport=httpx.MockTransport(hall.handle), **options)

    monkeypatch.setattr(bots, "Client", client)
    return hall


class Deciding:
    """A program that braces, and remembers the turns that it was asked about."""

    def __init__(self) -> None:
        self.turns: list[Any] = []

    async def __call__(self, brief: Mapping[str, Any], seat: int) -> tuple[str, dict[str, Any]]:
        assert brief["seat"] == seat == 0
        self.turns.append(brief["turn"])
        return "brace", {}


def party(**more: Any) -> Party:
    return Party(server_url="http://127.0.0.1:1", **{"patience_s": 5.0, **more})


def start(decide: Deciding, tally: Tally, **more: Any) -> asyncio.Task[None]:
    return asyncio.create_task(play(party(**more), tally, decide, random.Random(1), "Ada"))


async def settled(stage: Stage, effects: int) -> None:
    """Until the server has taken that many commands."""
    async with asyncio.timeout(10):
        await stage.met.wait()
        while len(stage.session.effects) < effects:
            await stage.heard.wait()
            stage.heard.clear()


async def test_a_bot_acts_on_its_own_turns_and_counts_the_result(stage: Stage, hall: Hall) -> None:
    """It answers turn_started for its seat, once each, and is done after its match."""
    decide, tally = Deciding(), Tally()
    task = start(decide, tally, matches=1)
    await stage.met.wait()
    await stage.publish("running")
    await stage.publish("turn_started", {"seat": 1, "turn": 0})
    await stage.publish("turn_started", {"seat": 0, "turn": 1})
    await settled(stage, 1)
    await stage.publish("turn_started", {"seat": 0, "turn": 3})
    await settled(stage, 2)
    await stage.publish("result", {"winner": 0, "places": [1, 2]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert decide.turns == [1, 3]
    assert (tally.matches, tally.won, tally.turns, tally.lost) == (1, 1, 2, 0)
    assert "/api/leave" not in hall.calls


async def test_a_turn_that_waits_already_is_found_in_the_whole_view(stage: Stage, hall: Hall) -> None:
    """A bot that comes back in its own turn acts; a repeated view does not make it act twice."""
    stage.session.status = "running"
    stage.session.publish("turn_started", {"seat": 0, "turn": 5})
    decide, tally = Deciding(), Tally()
    task = start(decide, tally)
    await settled(stage, 1)
    await stage.say(stage.session.whole())
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert decide.turns == [5]


async def test_a_turn_that_the_old_server_took_with_it_is_played_again(stage: Stage, hall: Hall) -> None:
    """After ``recovered`` a bot acts again unless its action was seen to happen."""
    stage.session.refuse.add("brace")
    decide = Deciding()
    task = start(decide, Tally())
    await stage.met.wait()
    await stage.publish("turn_started", {"seat": 0, "turn": 4})
    while 1 not in stage.session.replies:
        stage.heard.clear()
        await stage.heard.wait()
    stage.session.refuse.clear()
    stage.session.epoch += 1
    await stage.publish("recovered", {"exact": True})
    await settled(stage, 1)
    await stage.publish("action", {"seat": 0, "kind": "brace"})
    await stage.publish("recovered", {"exact": True})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert decide.turns == [4, 4]


async def test_in_a_mode_without_turns_a_bot_acts_on_each_brief(stage: Stage, hall: Hall) -> None:
    """A program that wants nothing now sends nothing."""
    wishes = iter(["grab", "", "release"])

    async def decide(brief: Mapping[str, Any], seat: int) -> tuple[str, dict[str, Any]]:
        return next(wishes), {}

    task = asyncio.create_task(play(party(mode="sandbox"), Tally(), decide, random.Random(1)))
    await stage.met.wait()
    await stage.publish("running")
    for tick in (1, 2, 3):
        stage.session.tick = tick
        await stage.publish("brief", {"handles": []})
    await settled(stage, 2)
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert stage.session.effects == [1, 2]


async def test_a_refused_act_is_counted_and_played_on(stage: Stage, hall: Hall) -> None:
    stage.session.refuse.add("brace")
    decide, tally = Deciding(), Tally()
    task = start(decide, tally)
    await stage.met.wait()
    await stage.publish("turn_started", {"seat": 0, "turn": 0})
    await stage.publish("result", {"winner": None, "places": [1, 1]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert (tally.refused, tally.turns, tally.drawn, tally.matches) == (1, 0, 1, 1)


async def test_a_bot_without_an_opponent_leaves_and_says_so(stage: Stage, hall: Hall) -> None:
    """The lobby timed out: the bot is done, though it has matches left."""
    tally = Tally()
    task = start(Deciding(), tally, matches=3)
    await stage.met.wait()
    await stage.publish("timed_out", {"reason": "nobody_came"})
    await asyncio.wait_for(task, 10)
    assert (tally.alone, tally.matches) == (1, 0)
    assert "found no opponent" in str(tally)


async def test_a_bot_does_not_trust_a_server_that_forgets_it(
    stage: Stage, hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own clock ends the wait."""
    monkeypatch.setattr(bots, "FORGOTTEN_S", 0.0)
    tally = Tally()
    await asyncio.wait_for(start(Deciding(), tally, matches=1, lobby_timeout_s=0.05), 10)
    assert tally.alone == 1
    assert hall.calls[-1] == "/api/leave"


async def test_a_failed_session_is_followed_by_another(stage: Stage, hall: Hall) -> None:
    tally = Tally()
    task = start(Deciding(), tally, matches=1)
    await stage.met.wait()
    stage.met.clear()
    await stage.publish("running")
    await stage.publish("failed", {"reason": "solver_failed"})
    await stage.met.wait()
    await stage.publish("running")
    await stage.publish("result", {"winner": 1, "places": [2, 1]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert (tally.lost, tally.matches, tally.won) == (1, 1, 0)


async def test_a_bot_that_is_in_a_session_already_leaves_it_first(stage: Stage, hall: Hall) -> None:
    """A conflict at find names the trouble; after leaving, the next find succeeds."""
    hall.answers["/api/find"] = [problem(409, "in_session")]
    tally = Tally()
    task = start(Deciding(), tally)
    await stage.met.wait()
    await stage.publish("result", {"winner": 0, "places": [1, 2]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert hall.calls[:5] == ["/api/login", "/api/find", "/api/me", "/api/leave", "/api/find"]


async def test_a_forgotten_login_is_made_again(stage: Stage, hall: Hall) -> None:
    hall.answers["/api/find"] = [problem(401, "unauthorized")]
    task = start(Deciding(), Tally())
    await stage.met.wait()
    await stage.publish("result", {"winner": 0, "places": [1, 2]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert hall.calls[:4] == ["/api/login", "/api/find", "/api/login", "/api/find"]


async def test_a_taken_name_is_given_up_for_a_guests(stage: Stage, hall: Hall) -> None:
    hall.answers["/api/login"] = [problem(401, "name_taken")]
    task = start(Deciding(), Tally())
    await stage.met.wait()
    assert hall.calls == ["/api/login", "/api/login", "/api/find"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_endless_bot_retries_until_it_is_stopped(stage: Stage, hall: Hall) -> None:
    """Its patience does not end: after many failed calls, one of which has no valid answer, it plays as soon as there
    is a server again."""
    tally = Tally()
    hall.answers["/api/login"] = [problem(503, "store_unavailable")] * 4
    hall.answers["/api/find"] = [httpx.Response(200, content=b'{"session"'), problem(502, "http_502")]
    task = start(Deciding(), tally, matches=0, patience_s=0.0)
    async with asyncio.timeout(20):
        await stage.met.wait()
    await stage.publish("running")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tally.gone, hall.calls.count("/api/login")) == (0, 5)


def test_a_bot_tries_the_servers_of_its_sessions_in_turn() -> None:
    """Its own server first, then those that seats named, then its own again; the list is bounded."""
    servers = bots._Servers("http://one:1/")
    assert servers.current == "http://one:1"
    servers.try_next()
    assert servers.current == "http://one:1"
    servers.learn("ws://two:2/ws", "wss://three/at/x/ws", "ws://one:1/ws")
    tried = []
    for _ in range(3):
        servers.try_next()
        tried.append(servers.current)
    assert tried == ["http://two:2", "https://three/at/x", "http://one:1"]
    for number in range(50):
        servers.learn(f"ws://n{number}:1/ws")
    assert len(servers._known) == bots.SERVERS_KEPT + 1


async def test_a_bot_without_a_server_gives_up_after_its_patience(hall: Hall) -> None:
    hall.answers["/api/login"] = [problem(503, "store_unavailable") for _ in range(100)]
    tally = Tally()
    await asyncio.wait_for(start(Deciding(), tally, patience_s=0.3), 10)
    assert (tally.gone, tally.matches) == (1, 0)
    assert "found no server" in str(tally)


async def test_a_bot_that_is_stopped_leaves_its_seat(stage: Stage, hall: Hall) -> None:
    """Cancelled in the lobby, it says goodbye before it goes."""
    task = start(Deciding(), Tally())
    await stage.met.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hall.calls[-1] == "/api/leave"


async def test_bots_keep_their_seat_over_a_restart_of_the_server(stage: Stage, hall: Hall) -> None:
    decide, tally = Deciding(), Tally()
    task = start(decide, tally)
    await stage.met.wait()
    await stage.publish("running")
    await stage.stop()
    stage.session.publish("turn_started", {"seat": 0, "turn": 2})
    await stage.start()
    await settled(stage, 1)
    await stage.publish("result", {"winner": 0, "places": [1, 2]})
    await stage.publish("ended", {"at": 1})
    await asyncio.wait_for(task, 10)
    assert (decide.turns, tally.reconnections, tally.won) == ([2], 1, 1)


async def test_a_bot_that_fills_a_seat_leaves_when_the_others_are_gone(
    stage: Stage, hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a run that nobody ends: a host who closes the page keeps no bots."""
    monkeypatch.setattr(bots, "COMPANY_S", 0.0)
    async with bots.Client("http://127.0.0.1:1") as client:
        await client.login("Ada", kind="bot")
        join = await client.find()
        playing = asyncio.create_task(play_seat(client, join, party(), Tally(), Deciding(), fills=True))
        await stage.met.wait()
        await stage.publish("running")
        for seat in (0, 1):
            await stage.publish("seat_disconnected", {"seat": seat, "player": "p"})
        await asyncio.wait_for(playing, 10)
