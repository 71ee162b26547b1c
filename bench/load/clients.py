"""Many cheap WebSocket clients in one process, the same for every server that bench/load measures.

    stdin:  one line of JSON (Job), later the line "go"
    stdout: "ready" when all are connected and receive frames, then one line of JSON with the result

A client sends INPUT_HZ inputs a second and reads the newest input of its seat from the frames. The time from an input
to the first frame that has it is measured at the client, with one clock. A client of the kind "watch" only counts
frames. The process has the batch scheduling policy: like clients on other machines, it does not preempt the server at
every message. This module must never share code with what it measures.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any, cast

import uvloop

now = time.perf_counter


@dataclass(frozen=True, slots=True)
class Job:
    """kind: tussle or colyseus: sessions ``first`` to ``first + sessions - 1``, each with ``seats`` clients; or watch:
    one observer of a real server for each of ``tickets``."""

    kind: str
    port: int
    seconds: float
    codec: str = ""
    """The server's own encoding of frames, which are only counted; Colyseus' has no name to ask for."""
    sessions: int = 0
    seats: int = 0
    input_hz: float = 0.0
    first: int = 0
    tickets: tuple[str, ...] = ()


class Client(asyncio.Protocol):
    """One connection: handshake and hello, then it receives frames and sends inputs."""

    def __init__(
        self, tally: Tally, path: str, hello: bytes | None, seat: int, kind: str, own: bool = False
    ) -> None:
        self.tally = tally
        self.own = own
        self.path = path
        self.hello = hello
        self.seat = seat
        self.kind = kind
        self.skip = 0 if kind == "tussle" else 7  # Colyseus: 17, "frame" in msgpack, then the bytes
        self.rest = b""
        self.open = False
        self.next_id = 1
        self.sent: list[float] = [0.0]
        self.newest = 0
        self.frames = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        arrived = now()
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        if not self.open:
            head = data.find(b"\r\n\r\n")
            if head < 0:
                self.rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                sys.stderr.write(f"the server refuses a client: {data[:200]!r}\n")
                os._exit(1)
            self.open = True
            if self.hello is not None:
                self.write(1, self.hello)
            at = head + 4
        while end - at >= 2:
            length, head = data[at + 1], 2
            if length == 126:
                if end - at < 4:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                if end - at < 10:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if at + head + length > end:
                break
            self.on_message(data[at] & 15, data, at + head, length, arrived)
            at += head + length
        self.rest = data[at:]

    def on_message(self, opcode: int, data: bytes, at: int, length: int, arrived: float) -> None:
        self.tally.messages += 1
        if opcode == 9:
            self.write(10, data[at : at + length])
        elif opcode == 8:
            self.tally.closed += 1
        elif opcode == 2:
            if self.kind == "colyseus" and data[at] != (15 if self.own else 17):
                if data[at] == 10:
                    self.write(2, b"\x0a")
                return
            self.frames += 1
            self.tally.frames += 1
            if self.kind == "watch" or self.own:
                return
            (newest,) = struct.unpack_from("<i", data, at + self.skip + 8 + 4 * self.seat)
            while self.newest < newest and self.newest + 1 < len(self.sent):
                self.newest += 1
                self.tally.latencies.append(arrived - self.sent[self.newest])

    def write(self, opcode: int, payload: bytes) -> None:
        """Send a masked WebSocket frame of at most 256 bytes."""
        if self.transport is None or self.transport.is_closing():
            return
        length = len(payload)
        head = (
            bytes((0x80 | opcode, 0x80 | length))
            if length < 126
            else bytes((0x80 | opcode, 0xFE)) + length.to_bytes(2, "big")
        )
        self.transport.write(head + MASK + mask(payload))

    def send_input(self) -> None:
        number = self.next_id
        self.next_id += 1
        self.sent.append(now())
        self.tally.inputs += 1
        x = (number % 1000) / 1000
        if self.kind == "tussle":
            self.write(1, b'{"t":"act","id":%d,"ack":false,"d":{"kind":"move","d":{"x":%.3f}}}' % (number, x))
        else:
            # ROOM_DATA, "act", {id, x, kind: "move", pad}: msgpack, as the Colyseus client sends it
            self.write(
                2,
                b"\x0d\xa3act\x84\xa2id\xce" + number.to_bytes(4, "big") + b"\xa1x\xcb" + struct.pack(">d", x)
                + b"\xa4kind\xa4move\xa3pad\xb7" + b"." * 23,
            )  # fmt: skip

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.lost += 1


HELLO = b'{"t":"hello","d":{"protocol":1,"ticket":"%s"}}'
OWN_HELLO = b'{"t":"hello","d":{"protocol":1,"ticket":"%s","codecs":["%s"]}}'
MASK = b"\x5a\xa5\x3c\xc3"
_PAD = int.from_bytes(MASK * 64, "little")


def mask(payload: bytes) -> bytes:
    length = len(payload)
    return (int.from_bytes(payload, "little") ^ (_PAD & ((1 << (8 * length)) - 1))).to_bytes(length, "little")


class Tally:
    def __init__(self) -> None:
        self.reset()
        self.closed = 0
        self.lost = 0

    def reset(self) -> None:
        self.messages = 0
        self.frames = 0
        self.inputs = 0
        self.latencies: list[float] = []


async def post(port: int, path: str, body: dict[str, int]) -> Any:
    sent = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + sent
    )
    text = await reader.read()
    writer.close()
    body = text.partition(b"\r\n\r\n")[2]
    return json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])


async def connect(job: Job, tally: Tally) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for ticket in job.tickets:
        client = Client(tally, "/ws", HELLO % ticket.encode(), 0, job.kind)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", job.port)
        clients.append(client)
    for session in range(job.first, job.first + job.sessions):
        for seat in range(job.seats):
            if job.kind == "tussle":
                ticket = f"{session}.{seat}"
                name = ticket.encode()
                hello = OWN_HELLO % (name, job.codec.encode()) if job.codec else HELLO % name
                client = Client(tally, "/ws", hello, seat, job.kind, bool(job.codec))
            else:
                place = await post(
                    job.port, "/matchmake/joinOrCreate/arena", {"session": session, "seat": seat}
                )
                path = f"/{place['processId']}/{place['roomId']}?sessionId={place['sessionId']}"
                client = Client(tally, path, None, seat, job.kind, bool(job.codec))
            await loop.create_connection(lambda client=client: client, "127.0.0.1", job.port)
            clients.append(client)
    async with asyncio.timeout(30):
        while not all(client.frames for client in clients):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return clients


async def drive(clients: list[Client], hz: float, until: float) -> None:
    """Send inputs, spread evenly over the period so that no two clients send at the same time."""
    if hz <= 0:
        await asyncio.sleep(until - now())
        return
    began, period, count = now(), 1 / hz, len(clients)
    step = 0
    while (at := now()) < until:
        due = int((at - began) / period * count)
        while step < due:
            clients[step % count].send_input()
            step += 1
        await asyncio.sleep(0.002)


async def main() -> None:
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    job = Job(**json.loads(sys.stdin.readline()))
    tally = Tally()
    clients = await connect(job, tally)
    loop = asyncio.get_running_loop()
    print("ready", flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.readline)
    await drive(clients, job.input_hz, now() + 1.0)  # warm-up
    print("warm", flush=True)  # noqa: T201
    tally.reset()
    began, cpu = now(), time.process_time()
    await drive(clients, job.input_hz, now() + job.seconds)
    seen = {
        "seconds": now() - began, "messages": tally.messages, "frames": tally.frames, "inputs": tally.inputs,
        "latencies": [round(value * 1e6) for value in tally.latencies], "closed": tally.closed, "lost": tally.lost,
        "own_cpu": time.process_time() - cpu,
    }  # fmt: skip
    print(json.dumps(seen), flush=True)  # noqa: T201
    with contextlib.suppress(EOFError):
        await loop.run_in_executor(None, sys.stdin.readline)
    for client in clients:
        if client.transport is not None:
            client.transport.abort()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
