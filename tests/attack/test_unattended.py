"""Sessions that everybody has left: they pause, resume for one who returns, and end. Servers that are full say so."""

from __future__ import annotations

import asyncio
import secrets

import httpx
import pytest

from tests.conftest import until
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tests.support.witness import store_of
from tussle.lobby.views import Views

pytestmark = pytest.mark.timeout(300)


async def seen(person: Person, session: str, status: str) -> dict[str, object]:
    """The view of a session, once it has that status."""
    view: dict[str, object] = {}

    async def there() -> bool:
        view.update(await person.look(session))
        return view["status"] == status

    await until(there, 60, every_s=0.05)
    return view


async def test_an_empty_session_pauses_and_ends(store_url: str) -> None:
    """A member's line is cut: the run pauses. The member returns: it runs on. The line is cut again: it ends with the
    reason unattended, and its tick does not move while it is paused."""
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", IDLE_S="0.5", UNATTENDED_S="4") as stack:
        server = await stack.server()
        async with Person(server.url) as ada:
            await ada.login()
            seat = await ada.ask("/api/open", mode="sandbox", size=1, ready=True, params={"bodies": ["marl"]})
            session = str(seat["session"])
            async with Line.to(seat["ws_url"]) as line:
                await line.hello(ticket=seat["ticket"])
                await line.wait(lambda: line.frames)
            await seen(ada, session, "paused")
            async with Line.to(seat["ws_url"]) as line:
                ticket = (await ada.ask("/api/join", session=session))["ticket"]
                await line.hello(ticket=ticket)
                # It may have resumed before the line was welcomed, which then hears no event of it.
                await seen(ada, session, "running")
                async with store_of(stack) as store:
                    events = await Views(store).events(session, 0)
                assert [one.d["reason"] for one in events if one.t == "session_resumed"] == ["attended"]
                count = len(line.frames)
                await line.wait(lambda: len(line.frames) > count + 5)
            view = await seen(ada, session, "ended")
            assert view["reason"] == "unattended"
        assert [line["reason"] for line in server.said("session_paused")] == ["unattended", "unattended"]


async def test_an_observer_keeps_a_session_running(store_url: str) -> None:
    """The only member is gone and an observer watches: the run goes on. The observer leaves too: it ends."""
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", IDLE_S="0.5", UNATTENDED_S="2") as stack:
        server = await stack.server()
        async with Person(server.url) as ada, Person(server.url) as bob:
            await ada.login()
            await bob.login()
            seat = await ada.ask("/api/open", mode="sandbox", size=1, ready=True, params={"bodies": ["marl"]})
            async with Line.to(seat["ws_url"]) as line:
                await line.hello(ticket=seat["ticket"])
                await line.wait(lambda: line.frames)
                watch = await bob.ask("/api/observe", session=seat["session"])
                watching = Line.to(watch["ws_url"])
                spectator = await watching.__aenter__()
                await spectator.hello(ticket=watch["ticket"])
                await spectator.wait(lambda: spectator.frames)
            try:
                count = len(spectator.frames)
                await spectator.wait(lambda: len(spectator.frames) > count + 120)  # four seconds of the world
                assert (await ada.look(str(seat["session"])))["status"] == "running"
            finally:
                await watching.__aexit__(None, None, None)
            assert (await seen(ada, str(seat["session"]), "ended"))["reason"] == "unattended"


async def test_a_full_server_names_one_with_room_and_then_refuses(store_url: str) -> None:
    """MAX_SESSIONS=2 on two servers, eight people open at once through the first one: two lobbies on each, the others
    are refused with server_full. An ended lobby makes room."""
    limits = {"MAX_SESSIONS": "2", "ADDRESS_SESSIONS": "8"}
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", **limits) as stack:
        await stack.more_servers(2)
        first = stack.servers[0]
        people = [Person(first.url) for _ in range(8)]
        for person in people:
            await person.login()

        async def opened(person: Person) -> httpx.Response:
            return await person.post("/api/open", {"mode": "sandbox", "size": 2, "private": True})

        answers = await asyncio.gather(*map(opened, people))
        taken = [answer.json()["ws_url"] for answer in answers if answer.status_code == 200]
        assert sorted(taken.count(url) for url in set(taken)) == [2, 2]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(refused) == 4
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (429, "server_full")
            assert answer.json()["retry_after"] > 0
        seated = answers.index(next(answer for answer in answers if answer.status_code == 200))
        await people[seated].ask("/api/leave", session=answers[seated].json()["session"])
        free = answers.index(refused[0])
        assert (await opened(people[free])).status_code == 200
        for person in people:
            await person.http.aclose()


async def test_one_address_leaves_sessions_to_others(store_url: str) -> None:
    """Guests of one address open and enter lobbies on two servers at once, until their share of three is used: the
    others are refused with a time, in the table of limits and in the metrics. Another address opens lobbies on both. A
    server that is killed gives no share back; a lobby that is left does."""
    limits = {"MAX_SESSIONS": "4", "ADDRESS_SESSIONS": "3"}
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", **limits) as stack:
        await stack.more_servers(2)
        first, second = stack.servers
        people = [Person((first, second)[number % 2].url) for number in range(8)]
        others = [Person(server.url, address="127.0.0.2") for server in (first, second)]
        for person in (*people, *others):
            await person.login()

        async def opened(person: Person) -> httpx.Response:
            return await person.post("/api/open", {"mode": "sandbox", "size": 2, "private": True})

        answers = await asyncio.gather(*map(opened, people))
        seats = {
            person: answer.json() for person, answer in zip(people, answers, strict=True) if answer.is_success
        }
        assert len(seats) == 3
        refused = [person for person in people if person not in seats]
        for answer in (answer for answer in answers if not answer.is_success):
            assert (answer.status_code, answer.json()["code"]) == (429, "address_sessions")
            assert answer.json()["retry_after"] > 0
        assert [(await opened(other)).status_code for other in others] == [200, 200]
        counted = (await refused[0].http.get("/metrics")).text
        assert 'tussle_budget_refusals_total{owner="address",resource="sessions"}' in counted

        await second.kill()
        here = next(person for person in refused if person.url == first.url)
        assert (await opened(here)).json()["code"] == "address_sessions"
        leaver, seat = next(iter(seats.items()))
        async with Person(first.url) as again:
            again.token = leaver.token
            await again.ask("/api/leave", session=seat["session"])
        assert (await opened(here)).status_code == 200
        for person in (*people, *others):
            await person.http.aclose()
