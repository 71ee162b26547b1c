"""Many at once, over three servers on one store."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter, defaultdict

from tests.support.stack import Stack
from tests.support.stranger import Line, Message, Person
from tests.support.witness import fight

PLAYERS = 200
PLAYED = 4
"""Sessions that are played to their end; the others need no more proof than their members."""


async def test_two_hundred_finds_over_three_servers_seat_everybody(whole_store: str) -> None:
    """All look for a duel of two at the same time, each at one of three servers: every lobby is full, nobody has two
    seats and nobody is left over; members who came by different servers play their session to its end."""
    environment = {
        "SIM_SPEED": "0",
        "TURN_S": "60",
        "LOBBY_TIMEOUT_S": "300",
        "TICKET_TTL_S": "300",
        "RESERVATION_RATE": "1",
        "ADDRESS_SESSIONS": "200",
    }
    realm = f"whole-{secrets.token_hex(4)}"
    async with Stack.up(whole_store, realm, **environment) as stack, contextlib.AsyncExitStack() as exits:
        servers = await stack.more_servers(3)
        persons = [await exits.enter_async_context(Person(servers[i % 3].url)) for i in range(PLAYERS)]
        gate = asyncio.Semaphore(40)

        async def ask(person: Person) -> Message:
            async with gate:
                return await person.ask("/api/find", mode="duel", size=2)

        async def login(person: Person) -> None:
            async with gate:
                await person.login()

        await asyncio.gather(*(login(person) for person in persons))
        seats = await asyncio.gather(*(ask(person) for person in persons))
        members: dict[str, list[tuple[Person, Message]]] = defaultdict(list)
        for person, seat in zip(persons, seats, strict=True):
            members[seat["session"]].append((person, seat))
        assert len(members) == PLAYERS // 2
        assert all(sorted(seat["seat"] for _, seat in there) == [0, 1] for there in members.values())
        counted = Counter(person.player for there in members.values() for person, _ in there)
        assert set(counted.values()) == {1}
        views = await asyncio.gather(*(persons[0].look(token) for token in list(members)[:20]))
        assert {view["status"] for view in views} == {"filled"}
        for token, view in zip(members, views, strict=False):
            assert {seat["player"] for seat in view["seats"]} == {
                person.player for person, _ in members[token]
            }

        mixed = [there for there in members.values() if there[0][0].url != there[1][0].url]
        assert mixed
        chosen = (mixed + [there for there in members.values() if there not in mixed])[:PLAYED]
        fights, lines = [], []
        for there in chosen:
            for _, seat in there:
                line = await exits.enter_async_context(Line.to(seat["ws_url"]))
                await line.hello(ticket=seat["ticket"])
                lines.append(line)
                fights.append(fight(line, len(fights)))
        await asyncio.gather(*fights)
        for line in lines:
            assert line.kinds().count("ended") == 1
            assert line.vs == list(range(line.vs[0], line.vs[-1] + 1))
