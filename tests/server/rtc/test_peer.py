"""The packets of a peer connection: two real ICE connections of this machine, one of them on a bad network."""

from __future__ import annotations

import asyncio
import contextlib
import time

from aioice import Connection

from tussle.lobby.network import parse_network
from tussle.server.rtc.peer import _BoundConnection

CEILING_S = 60.0
IDLE_S = 2.0
"""When nothing has come for so long, nothing more comes [s]. A packet is at most 0.15 s late; the rest is for a busy
machine."""


async def connected(network: str) -> tuple[_BoundConnection, Connection]:
    """A server's connection on that network, and a client's."""
    server = _BoundConnection(["127.0.0.1"], None, parse_network(network), "seat 1")
    client = Connection(ice_controlling=True, use_ipv6=False)
    for one, other in ((server, client), (client, server)):
        await one.gather_candidates()
        for candidate in one.local_candidates:
            await other.add_remote_candidate(candidate)
        await other.add_remote_candidate(None)
        other.remote_username, other.remote_password = one.local_username, one.local_password
    await asyncio.gather(server.connect(), client.connect())
    server.connected = True
    return server, client


async def received(connection: Connection, count: int) -> list[tuple[int, float]]:
    """What arrives, up to ``count`` packets or until nothing has for IDLE_S, and when."""
    found: list[tuple[int, float]] = []
    with contextlib.suppress(TimeoutError):
        while len(found) < count:
            async with asyncio.timeout(IDLE_S):
                data = await connection.recv()
            found.append((int.from_bytes(data, "big"), time.monotonic()))
    return found


async def test_packets_are_lost_late_and_reordered_both_ways() -> None:
    """On a network with 40 % loss, about that share of 60 packets is missing in each direction, none comes before half
    of the round trip, and the jitter changes their order. Without a network all arrive at once."""
    async with asyncio.timeout(CEILING_S):
        for network in ("200ms 100ms 40%", ""):
            server, client = await connected(network)
            for sender, receiver in ((server, client), (client, server)):
                began = time.monotonic()
                for number in range(60):
                    await sender.send(number.to_bytes(4, "big"))
                found = await received(receiver, 60)
                numbers = [number for number, _ in found]
                if network:
                    assert 20 <= len(numbers) <= 52
                    assert min(at for _, at in found) - began >= 0.05
                    assert numbers != sorted(numbers)
                    assert len(set(numbers)) == len(numbers)
                else:
                    assert sorted(numbers) == list(range(60))
            await server.close()
            await client.close()


async def test_packets_on_their_way_end_with_the_connection() -> None:
    """A packet that arrives after the connection was closed is dropped, without an exception in the event loop."""
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with asyncio.timeout(CEILING_S):
        server, client = await connected("100ms")
        await server.send(b"late")
        before = server.heard_at
        await client.send(b"late")
        for _ in range(10_000):
            if server.heard_at != before:
                break
            await asyncio.sleep(0)
        assert server.heard_at != before
        await server.close()
        await received(client, 1)
        await client.close()
    assert errors == []
