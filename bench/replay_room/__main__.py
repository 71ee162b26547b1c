"""Measures a replay room: one presenter scrubs at 30 Hz, 50 members follow.

    python -m bench.replay_room [--followers 50] [--hz 30] [--seconds 15] [--servers 2] [--save]

The members are sockets in this program, on the same cores as the servers, half of them on each server. The latency of a
scrub is the time from the presenter's write to its arrival at a member; bytes are those of whole WebSocket frames.
Targets: p99 below 100 ms, at most 2 kB/s to a member. Results: bench/replay_room/results.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from bench.machine import loaded_machine
from bench.own_store import own_store
from bench.results import report
from bench.statistics import percentile
from tests.support.replay import recorded, replay_url
from tests.support.stack import Stack
from tests.support.stranger import Person

TARGET_MS, TARGET_BYTES = 100.0, 2000.0


@dataclass
class Seen:
    """What the members of a room received while the presenter scrubbed."""

    sent: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    @property
    def lost(self) -> float:
        """Share of the scrubs that a member did not get, because a newer one replaced them."""
        return 1 - len(self.latencies_ms) / (self.sent * len(self.bytes))


async def enter(url: str, token: str, name: str) -> ClientConnection:
    """A member after its welcome."""
    async with Person(url) as person:
        await person.login(name=name)
        socket = await connect(replay_url(url, token), compression=None, proxy=None)
        await socket.send(json.dumps({"t": "hello", "d": {"token": person.token}}))
        while json.loads(await socket.recv())["t"] != "welcome":
            pass
        return socket


async def measure(urls: list[str], token: str, *, followers: int, hz: float, seconds: float) -> Seen:
    """Scrub for some seconds and return what the members saw."""
    members = [await enter(urls[i % len(urls)], token, f"m{i}") for i in range(followers)]
    presenter = await enter(urls[0], token, "presenter")
    seen, sent_at = Seen(bytes=[0] * followers), dict[int, float]()
    measuring = False

    async def follow(number: int, socket: ClientConnection) -> None:
        async for data in socket:
            arrived = time.perf_counter()
            assert isinstance(data, str)
            message = json.loads(data)
            if measuring:
                seen.bytes[number] += len(data.encode()) + (2 if len(data) < 126 else 4)
            if message["t"] == "scrub" and message["d"]["frame"] in sent_at:
                seen.latencies_ms.append(1000 * (arrived - sent_at[message["d"]["frame"]]))

    tasks = [asyncio.create_task(follow(number, socket)) for number, socket in enumerate(members)]
    await presenter.send('{"t":"present"}')
    while json.loads(await presenter.recv())["t"] != "presenter":
        pass
    drain = asyncio.create_task(discard(presenter))
    await asyncio.sleep(1.0)  # the list of members has been sent
    measuring, began = True, time.perf_counter()
    for frame in range(round(hz * seconds)):
        await asyncio.sleep(max(0.0, began + frame / hz - time.perf_counter()))
        sent_at[frame] = time.perf_counter()
        await presenter.send(json.dumps({"t": "scrub", "d": {"frame": frame}}))
    await asyncio.sleep(0.5)
    measuring = False
    seen.sent, seen.seconds = len(sent_at), time.perf_counter() - began - 0.5
    for task in (*tasks, drain):
        task.cancel()
    await asyncio.gather(*tasks, drain, return_exceptions=True)
    await asyncio.gather(*(socket.close() for socket in (*members, presenter)))
    return seen


async def discard(socket: ClientConnection) -> None:
    """Read what the presenter gets."""
    async for _ in socket:
        pass


def show(seen: Seen, servers: int, hz: float, where: str, *, save: bool) -> None:
    """Report the results."""
    p50, p99 = (percentile(seen.latencies_ms, share) for share in (0.5, 0.99))
    most = max(seen.bytes) / seen.seconds
    reached = p99 < TARGET_MS and most <= TARGET_BYTES
    rows = [
        ("scrubs sent", f"{seen.sent} in {seen.seconds:.1f} s ({hz:g} Hz)"),
        ("members", f"{len(seen.bytes)} on {servers} servers"),
        ("presenter to member, p50", f"{p50:.1f} ms"),
        ("presenter to member, p99", f"{p99:.1f} ms (target {TARGET_MS:g})"),
        ("largest", f"{max(seen.latencies_ms):.1f} ms"),
        ("to one member", f"{most:.0f} B/s (target {TARGET_BYTES:g})"),
        ("scrubs replaced by newer ones", f"{100 * seen.lost:.1f} %"),
    ]
    report(
        __file__,
        "A replay room: one presenter, many members",
        f"{where}; the members run on the same cores.",
        rows,
        f"Targets {'reached' if reached else 'NOT reached'}.",
        save=save,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    before = loaded_machine()
    with own_store() as store:
        async with Stack.up(store.url, f"bench-{secrets.token_hex(4)}") as stack:
            servers = await stack.more_servers(asked.servers)
            token = await recorded(stack, length=100_000)
            async with asyncio.timeout(asked.seconds + 60):
                seen = await measure(
                    [server.url for server in servers],
                    token,
                    followers=asked.followers,
                    hz=asked.hz,
                    seconds=asked.seconds,
                )
    show(seen, asked.servers, asked.hz, before, save=asked.save)


if __name__ == "__main__":
    asyncio.run(main())
