"""Clients that open one session after the other, each of which builds a world."""

from __future__ import annotations

import secrets
import time

import httpx

from tests.support.stack import Stack
from tests.support.stranger import Person


async def test_sessions_that_are_opened_one_after_the_other_have_a_rate(store_url: str) -> None:
    """A guest opens a session, leaves it and opens the next one, at two servers in turn: after three it is refused with
    a time, and may still find a seat in the lobby of somebody else. Twelve times in all for the guests of its address.
    Another address opens at both. Refusals are in the metrics and in the table of limits."""
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", OPEN_RATE="0.2") as stack:
        await stack.more_servers(2)
        urls = [server.url for server in stack.servers]

        async def opened(person: Person) -> httpx.Response:
            return await person.post("/api/open", {"mode": "sandbox", "size": 1, "private": True})

        opened_by_all, codes, began = 0, [], time.monotonic()
        for number in range(5):
            async with Person(urls[number % 2]) as guest, Person(urls[1 - number % 2]) as again:
                await guest.login()
                again.token = guest.token
                for turn in range(4):
                    answer = await opened((guest, again)[turn % 2])
                    if answer.is_success:
                        opened_by_all += 1
                        await guest.ask("/api/leave", session=answer.json()["session"])
                        continue
                    codes.append(answer.json()["code"])
                    assert answer.status_code == 429 and 0 < answer.json()["retry_after"] <= 20.0
                    assert int(answer.headers["retry-after"]) > 0
        assert 12 <= opened_by_all <= 12 + 0.2 * (time.monotonic() - began)
        assert codes[:4] == ["player_openings"] * 4 and {*codes[4:]} == {"address_openings"}
        async with Person(urls[0], address="127.0.0.2") as other, Person(urls[1]) as guest:
            await other.login()
            lobby = await other.ask("/api/open", mode="duel", size=2)
            await guest.login()
            seat = await guest.ask("/api/find", mode="duel", size=2)
            assert seat["session"] == lobby["session"]
            counted = [(await guest.http.get(f"{url}/metrics")).text for url in urls]
        for owner in ("player", "address"):
            row = f'tussle_budget_refusals_total{{owner="{owner}",resource="openings"}}'
            assert any(row in text for text in counted)
