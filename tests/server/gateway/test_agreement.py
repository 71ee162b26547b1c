"""What the server and its clients agree on, on a real server: versions, an older client, numbers, the tick."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from tests.support.gateway import GATEWAY_ENVIRONMENT, lobby_of_one, socket_url
from tests.support.older_client import OlderClient
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.wire.numbers import read_seed

ENVIRONMENT = GATEWAY_ENVIRONMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?")


async def play(url: str, client: OlderClient, stop: asyncio.Event | None = None) -> None:
    """Let the older client play until its session is over, or until it has acted once if ``stop`` is given."""
    async with Line.to(url) as line:
        client.say = line.send
        await client.hello()
        read = 0, 0
        while client.status not in ("ended", "failed", "timed_out"):
            await line.wait(lambda seen=read: (len(line.messages), len(line.binary)) != seen)
            texts, frames = line.messages[read[0] :], line.binary[read[1] :]
            read = len(line.messages), len(line.binary)
            for message in texts:
                await client.take(json.dumps(message))
            for data in frames:
                await client.take(data)
            if stop is not None and client.acts and client.acts == len(client.acked):
                stop.set()
                return


async def test_an_older_client_plays_a_duel_to_its_end(site: Stack) -> None:
    """A client of the first release joins, acts, loses its connection, resumes, and gets the result. It is sent no
    frame that it did not ask for, and passes over what it does not know."""
    async with Person(site.url) as ada, Person(site.url) as otto:
        for person in (ada, otto):
            await person.login()
        first = await ada.ask("/api/open", ready=True, private=True, params={"rounds": 2}, bots=False)
        second = await otto.ask("/api/join", session=first["session"], ready=True)
        clients = [OlderClient(seat["ticket"], lambda _: asyncio.sleep(0)) for seat in (first, second)]
        other = asyncio.create_task(play(second["ws_url"], clients[1]))
        await play(first["ws_url"], clients[0], asyncio.Event())
        await play(first["ws_url"], clients[0])
        await other
    for client in clients:
        assert (client.status, sorted(client.acked)) == ("ended", list(range(1, client.acts + 1)))
        assert client.acts >= 1
        assert client.result is not None
        assert len(client.frames) > 2
        assert {len(bodies) for _, bodies in client.frames} <= {1, 2}
        assert len(client.meshes) >= 1
        assert "set_up" in client.ignored


@pytest.mark.parametrize(
    "offer", [{"protocols": [1, 7]}, {"protocol": 999, "protocols": [7, 1]}, {"protocol": 1}]
)
async def test_the_welcome_has_the_version_that_was_chosen(site: Stack, offer: dict[str, Any]) -> None:
    """Of several offered versions the one that the server speaks is used."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        async with Line.to(seat["ws_url"]) as line:
            await line.say("hello", {**offer, "ticket": seat["ticket"], "later": {"x": 1}})
            assert (await line.until("welcome"))["d"]["protocol"] == 1


async def test_a_client_of_newer_versions_only_learns_what_the_server_speaks(site: Stack) -> None:
    """It is closed with 4012 before its ticket is looked at."""
    async with Line.to(socket_url(site)) as line:
        await line.say("hello", {"protocols": [7, 8], "ticket": "a"})
        assert await line.end() == (4012, "version_mismatch: this server speaks protocol 1")


async def test_numbers_have_no_more_digits_than_they_mean(site: Stack) -> None:
    """No message of a duel has a number of more than nine digits. The seed is a string. The tick is sent when it is
    known: not in a lobby, in ``running``, and in every later welcome."""
    async with duel(site.url) as game:
        acting, _, started = await game.turn()
        assert (await acting.act(azimuth=33.3, elevation=20.0, power=0.9))["t"] == "ack"
        await acting.until("turn_ended")
        line = game.lines[0]
        set_up = next(message["d"] for message in line.events if message["t"] == "set_up")
        assert isinstance(set_up["seed"], str)
        assert 0 <= read_seed(set_up["seed"]) < 2**63
        running = next(message["d"] for message in line.events if message["t"] == "running")
        assert running["dt"] == pytest.approx(1 / 60, rel=1e-8)
        assert line.messages[0]["d"]["dt"] == 0
        view = (await game.persons[0].get(f"/api/sessions/{game.session}")).text
        texts = [view, *(json.dumps(message) for message in line.messages)]
        found = [number for text in texts for number in LONG.findall(text)]
        assert len(found) > 50
        assert [number for number in found if len(re.sub(r"e.*|\D", "", number).lstrip("0")) > 9] == []
        resume = line.resume
        await line.cut()
        async with Line.to(socket_url(site)) as back:
            assert (await back.hello(resume=resume))["dt"] == running["dt"]
        assert started["d"]["actions"]


async def test_a_seat_that_is_lost_has_a_code_of_its_own(site: Stack) -> None:
    """A command of a player who has left on another connection is refused with ``not_member``, a resume too."""
    async with lobby_of_one(site) as (_, _, seat), Person(site.url) as otto:
        await otto.login()
        joined = await otto.ask("/api/join", session=seat["session"])
        async with Line.to(joined["ws_url"]) as line:
            await line.hello(ticket=joined["ticket"])
            resume = line.resume
            await otto.ask("/api/leave", session=seat["session"])
            answer = await line.command("chat", {"text": "still here?"})
            assert (answer["t"], answer["d"]["code"]) == ("error", "not_member")
        async with Line.to(joined["ws_url"]) as back:
            await back.say("hello", {"protocol": 1, "resume": resume})
            assert await back.end() == (4003, "not_member: you have no seat in this session")
