"""Bots on demand, on a real server with a real process of bots: a host asks, bots come, play and give way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from starlette.requests import Request

from tests.support.problems import assert_problem
from tests.support.stack import Stack, until
from tests.support.stranger import Line, Person
from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import LobbyError
from tussle.lobby.settings import Settings
from tussle.player.bots import Party, Tally
from tussle.player.crew import serve
from tussle.server.costs import Ledger
from tussle.server.http.backend import Backend
from tussle.server.http.bot_routes import BotRoutes
from tussle.server.http.requests import Requests

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60", "ALONE_S": "0.2", "BOT_SECRET": "a long word"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def crew(site: Stack, **more: Any) -> AsyncIterator[Tally]:
    """A process of bots that serves requests, here as a task."""
    tally = Tally()
    party = Party(server_url=site.url, serve=6, secret="a long word", seed=1, **more)
    serving = asyncio.create_task(serve(party, tally))
    try:
        yield tally
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@pytest_asyncio.fixture(loop_scope="module")
async def host(site: Stack) -> AsyncIterator[Person]:
    async with Person(site.url) as person:
        yield await person.login(name="Ada")


async def asked(person: Person, session: str, **body: Any) -> dict[str, Any]:
    """The answer to a request for bots, once a process of bots is up."""
    for _ in range(400):
        answer = await person.post(f"/api/sessions/{session}/bots", body)
        if answer.status_code == 200:
            return dict(answer.json())
        assert answer.json()["code"] == "no_bots", answer.text
        await asyncio.sleep(0.05)
    raise AssertionError("no process of bots came up")


async def test_without_a_bot_process_the_answer_says_so(site: Stack, host: Person) -> None:
    """``no_bots`` at once, instead of a lobby that waits in silence; only the host asks, with a known skill."""
    opened = await host.ask("/api/open", mode="duel", size=3, bots=False)
    path = f"/api/sessions/{opened['session']}/bots"
    assert_problem(await host.post(path), 409, "no_bots")
    for body in ({"count": -1}, {"count": 64}, {"skill": "genius"}, {"many": 1}):
        assert_problem(await host.post(path, body), 400, "bad_request")
    assert_problem(await host.post("/api/sessions/k7qm2xpv/bots"), 404, "not_found")
    async with Person(site.url) as other:
        assert_problem(await other.post(path), 401, "login_required")
        await other.login()
        assert_problem(await other.post(path), 422, "not_host")
    await host.ask("/api/leave", session=opened["session"])


async def test_only_bots_with_the_secret_serve(site: Stack, host: Person) -> None:
    """A person, and a bot without BOT_SECRET, see no request and take no seat."""
    opened = await host.ask("/api/open", private=True)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/api/bots/requests", {}), ("/api/bots/seat", {"session": opened["session"]}),
    ]  # fmt: skip
    async with Person(site.url) as bot:
        await bot.login(kind="bot")
        for path, body in calls:
            assert_problem(await host.post(path, body | {"secret": "a long word"}), 403, "not_allowed")
            assert_problem(await bot.post(path, body | {"secret": "another"}), 403, "not_allowed")
        assert await bot.ask("/api/bots/requests", secret="a long word") == {"requests": []}
        late = {"session": opened["session"], "secret": "a long word"}
        assert_problem(await bot.post("/api/bots/seat", late), 409, "no_bot_wanted")
    await host.ask("/api/leave", session=opened["session"])


async def test_bots_come_play_and_are_marked(site: Stack, host: Person) -> None:
    """A host who asks for bots plays with them, in a size that nobody else plays; every other seat is a bot's, and the
    session ends. The crew's bots are free again for the next request."""
    async with crew(site) as tally:
        for size in (4, 3):
            opened = await host.ask(
                "/api/open", mode="duel", size=size, ready=True, bots=False, params={"rounds": 1}
            )
            async with Line.to(opened["ws_url"]) as line:
                await line.hello(ticket=opened["ticket"])
                answer = await asked(host, opened["session"], skill="sharp")
                assert (answer["wanted"], answer["skill"]) == (size - 1, "sharp")
                await line.until("running")
                view = await host.look(opened["session"])
                assert [(one["kind"], one["fills"]) for one in view["seats"][1:]] == [("bot", True)] * (
                    size - 1
                )
                await host.ask("/api/leave", session=opened["session"])
                await line.until("ended")
        await until(lambda: tally.matches >= 5, "the bots count their matches")
    assert tally.turns >= 2


async def test_a_host_gets_no_more_than_its_share(site: Stack, host: Person) -> None:
    """bots_busy, with retry_after, for more bots than BOT_SHARE in a large lobby; a smaller request is served."""
    opened = await host.ask("/api/open", mode="sandbox", size=16, bots=False)
    path = f"/api/sessions/{opened['session']}/bots"
    refused = await host.post(path, {})
    assert_problem(refused, 429, "bots_busy")
    assert refused.json()["retry_after"] > 0
    async with crew(site):
        assert (await asked(host, opened["session"], count=2))["wanted"] == 2
        await host.ask("/api/leave", session=opened["session"])


async def test_a_person_gets_the_seat_of_a_bot(site: Stack, host: Person) -> None:
    """Before the start: by the token, or by looking for a seat. A person who waits alone in a public lobby gets bots
    without asking, if the lobby does not say otherwise."""
    async with crew(site), Person(site.url) as friend:
        await friend.login(name="Otto")
        opened = await host.ask("/api/open", mode="curling", size=2)
        async with Line.to(opened["ws_url"]) as line:
            await line.hello(ticket=opened["ticket"])
            await line.until("filled")
            view = await host.look(opened["session"])
            assert [one["kind"] for one in view["seats"]] == ["person", "bot"] and view["status"] == "filled"
            found = await friend.ask("/api/find", mode="curling", size=2)
            assert (found["session"], found["seat"]) == (opened["session"], 1)
            view = await host.look(opened["session"])
            assert [one["player"] for one in view["seats"]] == [host.player, friend.player]
            await friend.ask("/api/leave", session=opened["session"])
            await host.ask("/api/leave", session=opened["session"])


async def test_a_killed_bot_process_blocks_nothing(site: Stack, host: Person) -> None:
    """After kill -9 of the process that filled a seat, the seat is free within its reservation, and another process,
    which was up all the time, fills it without a new request."""
    first = await site.bots(0, 0, "--serve", BOT_SECRET="a long word")
    opened = await host.ask("/api/open", mode="duel", size=2, bots=False)
    async with Line.to(opened["ws_url"]) as line:
        await line.hello(ticket=opened["ticket"])
        await asked(host, opened["session"])
        await line.until("filled")
        dead = (await host.look(opened["session"]))["seats"][1]["player"]
        async with crew(site):
            await first.kill()
            await line.until("seat_left")
            await line.until("filled")
            assert (await host.look(opened["session"]))["seats"][1]["player"] != dead
            await host.ask("/api/leave", session=opened["session"])


async def test_guesses_of_the_secret_have_a_price() -> None:
    """Who has guessed too often is refused with the right word too, so that no answer tells it apart; the right word
    itself costs nothing."""
    settings = Settings(
        bot_secret="a long word", login_rate=0.5
    )  # two guesses at once, one in twenty seconds
    ledger = Ledger(settings, lambda resource, owner: None)
    backend = cast(Backend, SimpleNamespace(settings=settings, ledger=ledger))
    routes = BotRoutes(backend, Requests(settings, cast(Any, None), ledger), cast(Any, None))
    request = Request({"type": "http", "client": ("192.0.2.1", 1), "headers": []})
    bot = cast(PlayerInfo, SimpleNamespace(kind="bot"))

    def code(secret: str) -> str:
        try:
            routes._check_bot(request, bot, secret)
        except LobbyError as error:
            return error.reason
        return ""

    assert [code("a long word") for _ in range(5)] == [""] * 5
    assert [code(word) for word in ("one", "two", "three", "a long word")] == [
        "not_allowed", "not_allowed", "rate_limited", "rate_limited",
    ]  # fmt: skip
