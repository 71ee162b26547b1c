"""Measures what the lobby's lists cost: ms of a call with many lobbies, and bytes a minute of an idle lobby page.

    python -m bench.web.lists --store redis://127.0.0.1:6379 --lobbies 200

A program does what the page does (player/web/src/app/lists.ts): it follows the stream of changes and asks for the
leaderboard every ten seconds, while nothing changes and while a lobby is opened and left every two seconds.
Results: bench/web/lists.md.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import time

import httpx

from tests.support.stack import Stack
from tests.support.stranger import Person

CALLS = 60
BROWSER = {"accept-encoding": "gzip, deflate, br", "accept": "*/*"}


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


async def time_calls(http: httpx.AsyncClient, path: str) -> tuple[float, float]:
    """Median and largest time [ms] of calls one after the other, without an ETag."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        (await http.get(path)).raise_for_status()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), max(times)


async def idle_page(http: httpx.AsyncClient, seconds: int, churn: Person | None) -> tuple[int, int]:
    """The bytes that the page receives at first, and those after that in the time; heads included."""
    first = received = 0

    async def follow() -> None:
        nonlocal first, received
        async with http.stream("GET", "/api/sessions/changes?ended=50", headers=BROWSER) as answer:
            received += _head(answer)
            async for part in answer.aiter_raw():
                received += len(part)
                if not first and b"data:" in part:
                    first, received = received, 0

    async def ask_board() -> None:
        nonlocal received
        async with http.stream("GET", "/api/leaderboard/duel", headers=BROWSER) as answer:
            received += _head(answer)
            async for part in answer.aiter_raw():
                received += len(part)

    following = asyncio.create_task(follow())
    for second in range(seconds):
        await asyncio.sleep(1)
        if second % 10 == 0:
            await ask_board()
        if churn is not None and second % 2 == 0:
            seat = await churn.ask("/api/open", mode="duel", size=2)
            await churn.ask("/api/leave", session=seat["session"])
    following.cancel()
    return first, received


def _head(answer: httpx.Response) -> int:
    return sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) + 17


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", required=True)
    parser.add_argument("--lobbies", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    settings = {
        "LOBBY_TIMEOUT_S": "3600",
        "TICKET_TTL_S": "3600",
        "RESERVATION_RATE": "1000",
        "REQUEST_RATE": "2000",
        "ADDRESS_SESSIONS": str(asked.lobbies),
    }
    async with Stack.up(asked.store, f"bench-{secrets.token_hex(4)}", **settings) as stack:
        server = await stack.server()
        await stack.worker()
        people = [Person(server.url) for _ in range(asked.lobbies)]
        for i, person in enumerate(people):
            await person.login(name=f"player {i}")
            await person.ask("/api/open", mode="duel", size=2, params={"turn_s": 30.0})
        for person in people[: asked.lobbies // 2]:  # some that ended
            session = (await person.get("/api/me")).json()["session"]
            await person.ask("/api/leave", session=session)
            await person.ask("/api/open", mode="duel", size=2)
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as http:
            write(f"{asked.lobbies} lobbies; all figures on this machine")
            for path in ("/api/sessions", "/api/sessions?status=ended"):
                median, most = await time_calls(http, path)
                size = len((await http.get(path, headers={"accept-encoding": "identity"})).content)
                write(
                    f"{path}: median {median:.1f} ms, most {most:.1f} ms, {size / 1000:.1f} kB uncompressed"
                )
            for label, churn in (("nothing changes", None), ("a lobby opens and ends every 2 s", people[0])):
                if churn is not None:
                    session = (await churn.get("/api/me")).json()["session"]
                    await churn.ask("/api/leave", session=session)
                first, received = await idle_page(http, asked.seconds, churn)
                a_minute = received * 60 / asked.seconds / 1000
                write(f"idle page, {label}: {first / 1000:.1f} kB at first, then {a_minute:.1f} kB a minute")
        for person in people:
            await person.http.aclose()


if __name__ == "__main__":
    asyncio.run(main())
