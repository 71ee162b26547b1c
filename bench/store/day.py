"""A day of lobbies in minutes: does the store end where it began?

    python -m bench.store.day [--lobbies 8640] [--save]

    clients -> a server: log in (every tenth time), open with or without a scene, leave -> a worker cleans up and sweeps

8640 lobbies are one every ten seconds of a day. The limits on what one address may do are lifted, and lifetimes and the
interval of the sweep are seconds; nothing else is changed. Keys and memory are compared once everything has expired
and a sweep has removed it from the indexes, with those after a hundredth of the lobbies. ``kept`` is what the keys take
(MEMORY USAGE); the memory of the store also has its clients' buffers and its scripts. The result is written to day.md
with ``--save``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.machine import machine
from bench.own_store import own_store
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby.store.store import Store

RESULTS = Path(__file__).with_name("day.md")

CLIENTS = 16
GUEST_LOBBIES = 10
"""Lobbies that a guest opens before another one takes its place."""

SCENE = '{"bodies":[' + ",".join(
    f'{{"id":"cube-{n}","shape":{{"kind":"box","params":{{"size":[0.2,0.2,0.2]}}}},"material":{{"density":400}},'
    f'"position":[0,{n},0]}}' for n in range(1, 40)
) + "]}"  # fmt: skip

LIMITS = {
    "REQUEST_RATE": "100000", "LOGIN_RATE": "100000", "RESERVATION_RATE": "100000", "OPEN_RATE": "1000",
    "STORE_RATE": "1000000000", "LOG_LEVEL": "warning",
}  # fmt: skip
LIVES = {
    "EXPIRY_S": "2", "LOGIN_TTL_S": "60", "TICKET_TTL_S": "5", "SWEEP_S": "2",
}  # fmt: skip

MOST_GROWTH, MOST_KEPT = 2**20, 2**16
"""The memory may grow by the first [B]: buffers of clients, and what the store's allocator keeps. What the keys take
may grow by the second: streams of a fixed length, and the lease, which names at most MAX_SESSIONS sessions."""

SETTLE_S = 180.0


@dataclass(frozen=True, slots=True)
class Level:
    """What is in the store: keys, entries of the index of ended sessions, what the keys take, and used memory [B]."""

    keys: frozenset[str]
    ended: int
    kept: int
    used: int


async def open_and_leave(url: str, lobbies: int) -> None:
    for first in range(0, lobbies, GUEST_LOBBIES):
        async with Person(url) as guest:
            await guest.login()
            for number in range(first, min(first + GUEST_LOBBIES, lobbies)):
                more = {"scene": SCENE.replace("cube-1", f"cube-{number}a")} if number % 3 == 0 else {}
                mode = "sandbox" if more else "duel"
                seat = await guest.ask("/api/open", mode=mode, size=2, private=number % 2 == 0, **more)
                await guest.ask("/api/leave", session=seat["session"])


async def level(store: Store) -> Level:
    cursor, keys = "0", set[str]()
    while True:
        cursor, page = await store.call("SCAN", cursor, "COUNT", 1000)
        keys.update(page)
        if cursor == "0":
            break
    sizes = await store.batch([("MEMORY", "USAGE", key, "SAMPLES", 0) for key in sorted(keys)])
    ended = await store.call("ZCARD", store.keys.ended)
    text = str(await store.call("INFO", "memory"))
    return Level(
        frozenset(keys),
        int(ended),
        sum(int(size or 0) for size in sizes),
        int(text.partition("used_memory:")[2].split()[0]),
    )


async def settled(store: Store, most: int) -> Level:
    """The level once there are at most ``most`` keys and no ended session in the index, or after SETTLE_S."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        now = await level(store)
        if (len(now.keys) <= most and not now.ended) or time.monotonic() > deadline:
            return now
        await asyncio.sleep(1.0)


async def run(lobbies: int) -> tuple[Level, Level, float]:
    with own_store() as embedded:
        async with Stack.up(embedded.url, "bench", **LIMITS, **LIVES) as stack:
            server = await stack.server()
            await stack.worker()
            store = await Store.connect(embedded.url, "bench")
            empty = await level(store)
            await open_and_leave(server.url, max(1, lobbies // 100))
            before = await settled(store, len(empty.keys) + 4)
            began = time.monotonic()
            share = -(-lobbies // CLIENTS)
            await asyncio.gather(*(open_and_leave(server.url, share) for _ in range(CLIENTS)))
            took = time.monotonic() - began
            after = await settled(store, len(before.keys))
            await store.close()
            return before, after, took


def shown(at: Level) -> str:
    return f"{len(at.keys)} | {at.kept / 1024:.0f} | {at.used / 1024:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.store.day", description=__doc__)
    parser.add_argument("--lobbies", type=int, default=8640)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    before, after, took = asyncio.run(run(options.lobbies))
    growth = after.used - before.used
    new = sorted(after.keys - before.keys)
    reached = (
        len(after.keys) <= len(before.keys)
        and growth < MOST_GROWTH
        and after.kept - before.kept < MOST_KEPT
        and not after.ended
    )
    text = (
        f"# A day of lobbies\n\n`python -m bench.store.day` on {machine()}: {options.lobbies} lobbies opened and left "
        f"in {took:.0f} s, a third of them with a scene of 39 bodies.\n\n"
        "| | keys | what they take [KiB] | memory of the store [KiB] |\n|---|---|---|---|\n"
        f"| after a hundredth of them, everything expired | {shown(before)} |\n"
        f"| after all of them, everything expired | {shown(after)} |\n\n"
        f"{'The store ends where it began.' if reached else f'NOT reached; new keys: {new[:20]}'}\n"
    )
    sys.stdout.write(text)
    if options.save:
        RESULTS.write_text(text)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
