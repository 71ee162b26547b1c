"""Floods of replay rooms, lobbies and the calls about bots: who floods spends its own part, and the others go on."""

from __future__ import annotations

import contextlib
import secrets

import pytest

from tests.support.problems import assert_problem
from tests.support.replay import joined, member, recorded, replay_url
from tests.support.stack import Stack
from tests.support.stranger import Line, Person

ENVIRONMENT = {
    "STORE_RATE": "65536", "CHAT_RATE": "1000", "MESSAGE_RATE": "100000", "MESSAGE_BURST": "100000",
    "REQUEST_RATE": "100", "SIM_SPEED": "0", "TRUSTED_PROXIES": "127.0.0.1",
}  # fmt: skip
"""64 kB at once for a session or room, a quarter of it for one player, a half for one address; 500 requests at once."""

TEXT = "x" * 400

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def person(url: str, address: str, kind: str = "person") -> Person:
    """A new guest at an address of its own."""
    made = Person(url)
    made.http.headers["x-forwarded-for"] = address
    return await made.login(kind=kind)


async def test_one_member_cannot_silence_a_replay_room(site: Stack) -> None:
    """A member who talks until it is refused leaves the others their part: one more speaks, and one more joins."""
    token = await recorded(site)
    async with member(site.url, token, "ada") as ada, member(site.url, token, "otto") as otto:
        for number in range(1, 121):
            await ada.say("chat", {"text": TEXT}, number)
        refused = (await ada.until("error"))["d"]
        assert refused["code"] == "rate_limited" and refused["retry_after"] > 0
        await otto.say("chat", {"text": "still here"}, 1)
        await otto.until("chat", text="still here")
        assert not [one for one in otto.kinds() if one == "error"]
        async with member(site.url, token, "late"):
            pass


async def test_joining_a_replay_room_has_a_price_for_player_and_address(site: Stack) -> None:
    """A player who joins again and again is closed with 4013 after some joins, and another may still join."""
    token = await recorded(site)
    async with await person(site.url, "203.0.113.9") as ada:
        joins = 0
        for _ in range(60):
            async with Line.to(replay_url(site.url, token)) as line:
                await line.say("hello", {"token": ada.token})
                if not await line.wait(lambda line=line: "welcome" in line.kinds() or line.closed):
                    break
                if "welcome" not in line.kinds():
                    assert line.closed is not None and line.closed[0] == 4013
                    break
                joins += 1
        assert 5 < joins < 40
    async with await person(site.url, "203.0.113.10") as otto, joined(site.url, token, otto):
        pass


async def test_a_stranger_cannot_silence_a_lobby(site: Stack) -> None:
    """One who has no seat asks for a seat and for bots until it is refused: each is priced, and the host still writes
    into its lobby."""
    async with (
        await person(site.url, "203.0.113.1") as host,
        await person(site.url, "203.0.113.2") as stranger,
    ):
        seat = await host.ask("/api/open", mode="duel", size=2, private=True, bots=False)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            for path, body in (
                ("/api/join", {"session": seat["session"], "body": "nothing"}),
                (f"/api/sessions/{seat['session']}/bots", {}),
            ):
                for _ in range(120):
                    answer = await stranger.post(path, body)
                    if answer.status_code == 429:
                        break
                assert_problem(answer, 429, "rate_limited")
                assert answer.json()["retry_after"] > 0
            for _ in range(10):
                answer = await line.command("chat", {"text": TEXT})
                assert answer["t"] == "ack", answer


async def test_looks_of_bot_processes_have_a_price(store_url: str) -> None:
    """A process that looks for lobbies all the time is refused; another address still gets an answer. Two looks a
    second are free: fewer than any machine asks for."""
    async with contextlib.AsyncExitStack() as opened:
        few = {"REQUEST_RATE": "4", "TRUSTED_PROXIES": "127.0.0.1"}
        stack = await opened.enter_async_context(Stack.up(store_url, f"attack-{secrets.token_hex(4)}", **few))
        url = (await stack.server()).url
        bot = await opened.enter_async_context(await person(url, "203.0.113.3", "bot"))
        other = await opened.enter_async_context(await person(url, "203.0.113.4", "bot"))
        for path, body in (("/api/bots/requests", {}), ("/api/bots/seat", {"session": "k7qm2xpv"})):
            for _ in range(100):
                answer = await bot.post(path, body)
                if answer.status_code == 429:
                    break
            assert_problem(answer, 429, "rate_limited")
        assert await other.ask("/api/bots/requests") == {"requests": []}
