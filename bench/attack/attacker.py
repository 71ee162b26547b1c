"""One attacker: a process that attacks a server from an address of its own for some seconds.

    python -m bench.attack.attacker KIND HOST PORT SECONDS   ->   one line of JSON: {"tried": n, "refused": n}

``tried`` counts requests, messages or connections; ``refused`` those that the server answered with an error, closed or
did not accept. The address is 127.0.0.2, so that the attacker and the players do not share the budgets of an address
(Linux routes all of 127.0.0.0/8 to the loopback interface).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ATTACKS"]

ADDRESS = "127.0.0.2"
AT_ONCE = 16
"""Connections that most attacks keep busy at once."""


@dataclass(slots=True)
class Target:
    """The server, the end of the attack (monotonic [s]), and the counts."""

    host: str
    port: int
    ends: float
    tried: int = 0
    refused: int = 0

    @property
    def on(self) -> bool:
        return time.monotonic() < self.ends

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, local_addr=(ADDRESS, 0), limit=2**24)


class Http:
    """One connection with keep-alive. ``ask`` returns the status and the body; it connects again when it is closed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.token = ""

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        target = self._target
        target.tried += 1
        try:
            status, content = await self._ask(method, path, body)
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            self.close()
            status, content = 0, b""
            await asyncio.sleep(0.01)
        if status != 200:
            target.refused += 1
        return status, content

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await self._target.connect()
        reader, writer = self._streams
        bearer = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: {self._target.host}:{self._target.port}\r\n{bearer}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
        return int(head.split(" ")[1]), await reader.readexactly(length)

    async def login(self) -> bool:
        """Log in as a guest; False if that is refused."""
        status, content = await self.ask("POST", "/api/login", b"{}")
        if status == 200:
            self.token = json.loads(content)["token"]
        return status == 200

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def side_by_side(target: Target, work: Callable[[Http], Awaitable[None]], count: int = AT_ONCE) -> None:
    """Repeat ``work`` on ``count`` connections until the end."""

    async def one() -> None:
        http = Http(target)
        while target.on:
            await work(http)
        http.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A masked WebSocket frame."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    else:
        head += bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


async def upgraded(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket that has not sent its hello."""
    reader, writer = await target.connect()
    writer.write(
        f"GET /ws HTTP/1.1\r\nhost: {target.host}:{target.port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def flood(target: Target, data: bytes, frames: int, *, reads: bool) -> None:
    """Send ``data``, which has ``frames`` frames, at about 300 kB/s for each of four sockets without hello."""

    async def one() -> None:
        while target.on:
            writer = None
            try:
                reader, writer = await upgraded(target)
                draining = asyncio.create_task(reader.read(-1)) if reads else None
                while target.on and not writer.is_closing():
                    writer.write(data)
                    target.tried += frames
                    async with asyncio.timeout(1.0):
                        await writer.drain()
                    await asyncio.sleep(len(data) / 300_000)
                if draining is not None:
                    draining.cancel()
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                target.refused += 1
                await asyncio.sleep(0.02)
            finally:
                if writer is not None:
                    writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(one())


async def names(target: Target) -> None:
    body = json.dumps({"name": "a" + "\u0301" * 40_000}, ensure_ascii=False).encode()

    async def work(http: Http) -> None:
        await http.ask("POST", "/api/login", body)

    await side_by_side(target, work)


async def logins(target: Target) -> None:
    async def work(http: Http) -> None:
        name = secrets.token_hex(8)
        await http.ask("POST", "/api/login", json.dumps({"name": name, "secret": "guessed" + name}).encode())

    await side_by_side(target, work, 40)


async def pings(target: Target) -> None:
    await flood(target, frame(9, b"") * 500, 500, reads=True)


async def unread_pongs(target: Target) -> None:
    await flood(target, frame(9, b"x" * 125) * 60, 60, reads=False)


async def fragments(target: Target) -> None:
    await flood(target, frame(1, b"", final=False) + frame(0, b"", final=False) * 500, 501, reads=True)


async def scenes(target: Target) -> None:
    """Open a lobby with a large scene, leave it, and again."""
    padding = "x" * 400_000

    async def work(http: Http) -> None:
        if not http.token and not await http.login():
            return
        body = json.dumps({"mode": "sandbox", "size": 2, "scene": padding + secrets.token_hex(8)}).encode()
        status, content = await http.ask("POST", "/api/open", body)
        if status == 200:
            session = json.loads(content)["session"]
            await http.ask("POST", "/api/leave", json.dumps({"session": session}).encode())

    await side_by_side(target, work)


async def lobbies(target: Target) -> None:
    """Open a small lobby as a new guest, never connect, and again."""

    async def work(http: Http) -> None:
        if await http.login():
            await http.ask("POST", "/api/open", b'{"mode": "duel", "size": 2}')

    await side_by_side(target, work)


async def squatters(target: Target) -> None:
    """Open a sandbox as a new guest, connect, so that it runs, and stay; then another guest does the same."""
    held: list[asyncio.StreamWriter] = []
    opened = b'{"mode": "sandbox", "size": 1, "ready": true, "private": true}'

    async def work(http: Http) -> None:
        if not await http.login():
            return
        status, content = await http.ask("POST", "/api/open", opened)
        if status == 200:
            hello = {"t": "hello", "d": {"protocol": 1, "ticket": json.loads(content)["ticket"]}}
            _, writer = await upgraded(target)
            writer.write(frame(1, json.dumps(hello).encode()))
            held.append(writer)

    try:
        await side_by_side(target, work)
    finally:
        for writer in held:
            writer.transport.abort()


async def restarts(target: Target) -> None:
    """Open a sandbox, connect, so that it runs, and leave; and again. Each has a world to build."""
    opened = b'{"mode": "sandbox", "size": 1, "ready": true, "private": true}'

    async def work(http: Http) -> None:
        if not http.token and not await http.login():
            return
        status, content = await http.ask("POST", "/api/open", opened)
        if status != 200:
            http.token = ""  # as another guest
            return
        seat = json.loads(content)
        hello = {"t": "hello", "d": {"protocol": 1, "ticket": seat["ticket"]}}
        reader, writer = await upgraded(target)
        writer.write(frame(1, json.dumps(hello).encode()))
        await reader.read(1)
        writer.transport.abort()
        await http.ask("POST", "/api/leave", json.dumps({"session": seat["session"]}).encode())

    await side_by_side(target, work)


async def lists(target: Target) -> None:
    async def work(http: Http) -> None:
        await http.ask("GET", "/api/sessions?status=ended")

    await side_by_side(target, work)


async def paths(target: Target) -> None:
    async def work(http: Http) -> None:
        await http.ask("GET", "/%00" + "a" * 60_000)

    await side_by_side(target, work)


async def connections(target: Target) -> None:
    """Hold as many silent connections as the server accepts."""
    held: list[asyncio.StreamWriter] = []
    while target.on:
        try:
            target.tried += 1
            async with asyncio.timeout(1.0):
                held.append((await target.connect())[1])
        except (OSError, TimeoutError):
            target.refused += 1
            await asyncio.sleep(0.01)
        gone = [writer for writer in held if writer.is_closing()]
        target.refused += len(gone)
        held = [writer for writer in held if not writer.is_closing()][-3000:]
    for writer in held:
        writer.transport.abort()


async def sandbox(target: Target, act: Callable[[int], dict[str, Any]], hz: float) -> None:
    """Fill a sandbox with bodies, then send an input ``hz`` times a second."""
    http = Http(target)
    if not await http.login():
        return
    opened = b'{"mode": "sandbox", "size": 1, "ready": true, "private": true}'
    _, content = await http.ask("POST", "/api/open", opened)
    ticket = json.loads(content)["ticket"]
    reader, writer = await upgraded(target)
    hello = {"t": "hello", "d": {"protocol": 1, "ticket": ticket}}
    writer.write(frame(1, json.dumps(hello).encode()))
    draining = asyncio.create_task(reader.read(-1))
    await asyncio.sleep(1.0)
    number = 0
    while target.on and not writer.is_closing():
        number += 1
        target.tried += 1
        message = {"t": "act", "id": number, "d": act(number)}
        writer.write(frame(1, json.dumps(message).encode()))
        with contextlib.suppress(OSError):
            await writer.drain()
        await asyncio.sleep(1 / hz)
    draining.cancel()
    writer.transport.abort()


def turn_gravity(number: int) -> dict[str, Any]:
    return {"kind": "gravity", "d": {"strength": 5.0 + number % 5}}


async def rebuilds(target: Target) -> None:
    await sandbox(target, turn_gravity, 50.0)


async def nothing(target: Target) -> None:
    await asyncio.sleep(max(0.0, target.ends - time.monotonic()))


ATTACKS: dict[str, Callable[[Target], Awaitable[None]]] = {
    "nothing": nothing, "names": names, "logins": logins, "pings": pings, "unread pongs": unread_pongs,
    "fragments": fragments, "scenes": scenes, "lobbies": lobbies, "squatters": squatters, "restarts": restarts,
    "lists": lists, "paths": paths, "connections": connections, "rebuilds": rebuilds,
}  # fmt: skip


async def attack(kind: str, host: str, port: int, seconds: float) -> Target:
    target = Target(host, port, time.monotonic() + seconds)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + 5.0):
            await ATTACKS[kind](target)
    return target


def main() -> None:
    kind, host, port, seconds = sys.argv[1:5]
    if hasattr(os, "sched_setscheduler"):  # like a client on another machine, it does not preempt the server
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    target = asyncio.run(attack(kind, host, int(port), float(seconds)))
    sys.stdout.write(json.dumps({"tried": target.tried, "refused": target.refused}) + "\n")


if __name__ == "__main__":
    main()
