"""A client as it was written for the first release of protocol 1, before codecs, transports and networks. Frozen: it is
never changed with the server. tests/server/gateway/test_agreement.py lets it play against the present one.

It knows the messages and fields below and no others. It must not import Tussle.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

PROTOCOL = 1

HEAD = struct.Struct("<BBHIIfHBBHH")
"""Of a frame: kind, flags, bodies, epoch, tick, smallest distance, contacts, seats, 0, version, 0."""


class OlderClient:
    """One seat. ``say`` sends a text; ``take`` reads a message. It raises KeyError, TypeError or ValueError for a
    message that lacks what a client of that release needs."""

    def __init__(self, ticket: str, say: Callable[[str], Awaitable[None]]) -> None:
        self.ticket = ticket
        self.resume: str | None = None
        self.say = say
        self.v = 0
        self.epoch = 0
        self.seat: int | None = None
        self.dt = 0.0
        self.status = ""
        self.result: dict[str, Any] | None = None
        self.acts = 0
        self.acked: list[int] = []
        self.ignored: list[str] = []
        self.frames: list[tuple[int, list[tuple[float, ...]]]] = []
        self.meshes: list[dict[str, Any]] = []
        self._next_id = 1

    async def hello(self) -> None:
        """The first message of a connection; a resumed one asks for what it missed."""
        known = {"ticket": self.ticket} if self.resume is None else {"resume": self.resume, "last_v": self.v}
        await self.say(json.dumps({"t": "hello", "d": {"protocol": PROTOCOL, **known}}))

    async def take(self, data: str | bytes) -> None:
        """Read one message, and act when it is this seat's turn."""
        if isinstance(data, bytes):
            self._take_binary(data)
            return
        message = json.loads(data)
        kind, d = message["t"], message.get("d") or {}
        if kind == "welcome":
            if d["protocol"] != PROTOCOL:
                raise ValueError("another protocol")
            self.resume, self.seat, self.dt = d["resume"], int(d["seat"]), float(d["dt"])
            self._next_id = d["last_id"] + 1
            self.epoch = int(d["epoch"])
        elif kind == "session":
            self.v, self.status = int(message["v"]), str(d["status"])
            if self.status == "running" and d["turn_seat"] == self.seat:
                await self._act(d["brief"])
        elif kind == "ack":
            self.acked.append(int(message["id"]))
        elif kind == "error":
            raise ValueError(f"{d['code']}: {d['message']}")
        elif "v" in message:
            await self._event(kind, message, d)
        else:
            self.ignored.append(kind)

    async def _event(self, kind: str, message: dict[str, Any], d: dict[str, Any]) -> None:
        if message["v"] != self.v + 1:
            raise ValueError(f"event {message['v']} after {self.v}")
        self.v = int(message["v"])
        if kind == "running":
            self.status = "running"
        elif kind == "turn_started":
            if d["seat"] == self.seat:
                await self._act(d)
        elif kind == "result":
            self.result = d
        elif kind in ("ended", "failed", "timed_out"):
            self.status = kind
        elif kind not in (
            "seat_taken",
            "seat_connected",
            "seat_ready",
            "starting",
            "action",
            "turn_ended",
            "blow",
            "out",
        ):
            self.ignored.append(kind)

    async def _act(self, brief: dict[str, Any]) -> None:
        """Launch gently: a tenth of every range."""
        kinds = {kind["kind"]: kind for kind in brief["actions"]["kinds"]}
        fields = kinds["launch"]["fields"]
        values = {name: 0.9 * field["low"] + 0.1 * field["high"] for name, field in fields.items()}
        await self.say(json.dumps({"t": "act", "id": self._next_id, "d": {"kind": "launch", "d": values}}))
        self._next_id += 1
        self.acts += 1

    def _take_binary(self, data: bytes) -> None:
        if data[0] == 2:
            self.meshes.append({"bytes": len(data)})
            return
        if data[0] != 1:
            raise ValueError(f"a binary message of kind {data[0]}, which nobody asked for")
        _, flags, bodies, epoch, tick, _, _, seats, _, _, _ = HEAD.unpack_from(data)
        if epoch < self.epoch or flags & 4:
            return
        at = HEAD.size + 4 * seats + 4 * ((bodies + 31) // 32)
        size, code = (2, "e") if flags & 1 else (4, "f")
        bits = int.from_bytes(data[HEAD.size + 4 * seats : at], "little")
        active = [body for body in range(bodies) if bits >> body & 1]
        numbers = struct.unpack_from(f"<{12 * len(active)}{code}", data, at)
        if len(data) - at < 12 * size * len(active):
            raise ValueError("a frame is too short")
        self.frames.append((tick, list(_twelves(numbers))))


def _twelves(numbers: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
    for first in range(0, len(numbers), 12):
        yield numbers[first : first + 12]
