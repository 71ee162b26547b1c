"""Measures a server whose realm has thousands of waiting lobbies: its lists and searches, and the inputs of a session.

    python -m bench.web.many --lobbies 5000 --seconds 30 [--write]

Lobbies are opened by the store's scripts, each by a player of its own, and held by the server. Then four programs ask
for lists, pages and searches, one follows the stream of changes, a lobby opens and ends five times a second, and
four players act in two duels. With --write, writes bench/web/many.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import secrets
import sys
import time
from pathlib import Path

import httpx

from bench.machine import loaded_machine
from bench.own_store import own_store
from bench.statistics import percentile
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.lobby.accounts import Accounts
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

RESULT = Path(__file__).parent / "many.md"

OPENED_AT_ONCE = 20
ASKING = 4
PAUSE_S = 0.2
THINK_S = 0.3

HEAD = """# A server with many waiting lobbies

`python -m bench.web.many`; {machine}. Milliseconds, at the client, on the same cores as the server and the store.

| lobbies | what | calls | p50 | p99 | most |
|---|---|---|---|---|---|
"""


async def open_lobbies(url: str, realm: str, count: int) -> list[str]:
    """Open lobbies that wait an hour, and return the names of their players."""
    settings = Settings(lobby_timeout_s=3600, ticket_ttl_s=3600, address_sessions=10**6, max_sessions=10**6)
    store = await Store.connect(url, realm)
    try:
        [server] = await Servers(store).alive()
        holder = HolderAddress(server.id, server.nonce, server.url)
        accounts, seating = Accounts(store, settings), Seating(SessionScripts(store), settings)

        async def one(at: int) -> str:
            login = await accounts.login(kind="bot", skill="good")
            await seating.open(login.player, "duel", 2 + at % 3, holder=holder, bodies=("bar",))
            return login.name

        names = []
        for at in range(0, count, OPENED_AT_ONCE):
            names += await asyncio.gather(*(one(i) for i in range(at, min(count, at + OPENED_AT_ONCE))))
        return names
    finally:
        await store.close()


async def measure(url: str, names: list[str], seconds: float) -> dict[str, list[float]]:
    """The times of all calls [s], by what was asked."""
    times: dict[str, list[float]] = {"list": [], "a later page": [], "search": [], "act to ack": []}
    end = time.monotonic() + seconds
    rng = random.Random(5)

    async def browse(http: httpx.AsyncClient) -> None:
        cursor = ""
        for what in itertools.cycle(("list", "search", "a later page", "search")):
            query = {
                "list": "",
                "a later page": f"?cursor={cursor}",
                "search": f"?search={rng.choice(names)[-7:].lower().replace('#', '%23')}",
            }[what]
            began = time.perf_counter()
            answer = await http.get(f"/api/sessions{query}")
            times[what].append(time.perf_counter() - began)
            answer.raise_for_status()
            cursor = answer.json()["next"] if what != "search" else cursor
            if time.monotonic() > end:
                return
            await asyncio.sleep(PAUSE_S * rng.random() * 2)

    async def follow(http: httpx.AsyncClient) -> None:
        async with http.stream("GET", "/api/sessions/changes") as answer:
            async for _ in answer.aiter_raw():
                pass

    async def churn() -> None:
        async with Person(url) as host:
            await host.login(kind="bot")
            while time.monotonic() < end:
                seat = await host.ask("/api/open", mode="duel", size=2)
                await host.ask("/api/leave", session=seat["session"])
                await asyncio.sleep(PAUSE_S)

    async def act(line: Line) -> None:
        """Play a seat of a duel until the end. In a turn the world waits, so that an input is answered at once."""
        while True:
            event = await line.until("turn_started", "ended", "failed")
            if event["t"] != "turn_started" or time.monotonic() > end:
                return
            if event["d"]["seat"] == line.seat:
                await asyncio.sleep(THINK_S)
                began = time.perf_counter()
                answer = await line.act("launch", azimuth=rng.uniform(0, 360), elevation=5.0, power=0.05)
                times["act to ack"].append(time.perf_counter() - began)
                assert answer["t"] == "ack", answer

    async def duels() -> None:
        while time.monotonic() < end:
            async with Person(url) as one, Person(url) as other, contextlib.AsyncExitStack() as lines:
                seat = await (await one.login(kind="bot")).ask(
                    "/api/open", mode="duel", size=2, private=True, ready=True
                )
                second = await (await other.login(kind="bot")).ask(
                    "/api/join", session=seat["session"], ready=True
                )
                both = [await lines.enter_async_context(Line.to(seat["ws_url"])) for _ in range(2)]
                for line, reserved in zip(both, (seat, second), strict=True):
                    await line.hello(ticket=reserved["ticket"])
                await asyncio.gather(*map(act, both))
                for person in (one, other):
                    await person.post("/api/leave", {"session": seat["session"]})

    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=60))
            for _ in range(ASKING + 1)
        ]
        (
            await clients[0].get("/api/sessions")
        ).raise_for_status()  # the first call of a server reads all lobbies
        following = asyncio.create_task(follow(clients[-1]))
        await asyncio.gather(churn(), duels(), duels(), *(browse(client) for client in clients[:ASKING]))
        following.cancel()
        await asyncio.wait((following,))
    return times


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lobbies", type=int, nargs="+", default=[50, 5000])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = HEAD.format(machine=loaded_machine())
    sys.stdout.write(text)
    with own_store() as store:
        for count in asked.lobbies:
            most = str(count + 100)
            settings = {
                "MAX_SESSIONS": most,
                "ADDRESS_SESSIONS": most,
                "LOBBY_TIMEOUT_S": "3600",
                "TICKET_TTL_S": "3600",
                "REQUEST_RATE": "2000",
                "RESERVATION_RATE": "1000",
            }
            realm = f"bench-{secrets.token_hex(4)}"
            async with Stack.up(store.url, realm, **settings) as stack:
                server = await stack.server()
                await stack.worker()
                names = await open_lobbies(store.url, realm, count)
                for what, measured in (await measure(server.url, names, asked.seconds)).items():
                    p50, p99, most_ms = (1000 * percentile(measured, share) for share in (0.5, 0.99, 1.0))
                    row = f"| {count} | {what} | {len(measured)} | {p50:.1f} | {p99:.1f} | {most_ms:.1f} |\n"
                    sys.stdout.write(row)
                    text += row
    if asked.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    asyncio.run(main())
