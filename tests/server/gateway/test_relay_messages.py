"""The messages between servers, and delta frames from one end of a relay to the other: with the real codec, and two
queues in place of the WebSocket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Set
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from tussle.lobby.wire.deltas import DeltaDecoder
from tussle.lobby.wire.frames import (
    Frame,
    Topology,
    TopologyBody,
    decode_topology,
    encode_frame,
    encode_topology,
)
from tussle.server.fanout.audience import Audience
from tussle.server.gateway import relay_server
from tussle.server.gateway.relay_client import RelayConnection, RemoteRun
from tussle.server.gateway.relay_messages import decode_relay, encode_relay
from tussle.server.gateway.relay_server import serve_relay
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.solver.delta_streams import DeltaStreams

TOKEN = "k7qm2xpv"


class End:
    """One end of a WebSocket between two servers."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.other: End = self

    async def send(self, data: bytes) -> None:
        self.other.arrived.put_nowait(data)

    def write(self, data: bytes) -> None:
        self.other.arrived.put_nowait(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.arrived.get()

    async def close(self) -> None: ...


class Decoding:
    """A viewer that decodes what it is sent; ``shown`` has (kind, frame)."""

    def __init__(self, topology: bytes) -> None:
        self.v = 0
        self.without: Set[str] = frozenset()
        self.topology_sent = False
        self.deltas, self.slow = True, False
        self.decoder = DeltaDecoder()
        self.decoder.set_topology(decode_topology(topology))
        self.shown: list[tuple[int, Frame | None]] = []
        self.frames: Callable[[bytes], object] | None = self.write

    def unsent(self) -> int:
        return 0

    def write(self, framed: bytes) -> None:
        data = framed[2 if framed[1] < 126 else 4 :]
        if framed[0] & 0xF != 2:
            return
        if data[0] != 2:
            self.shown.append((data[0], self.decoder.decode(data) if data[0] in (3, 4) else None))

    def close(self, *_: object) -> bool:
        return True


class World:
    """Two bodies that go round in a circle, and the delta frames of a solver process."""

    def __init__(self, audience: Audience) -> None:
        cube = np.array(list(itertools.product((-0.15, 0.15), repeat=3)), np.float32)
        bodies = tuple(
            TopologyBody(f"body{n}", "affine", cube, np.zeros((12, 3), np.uint32)) for n in range(2)
        )
        self.audience, self.streams, self.tick = audience, DeltaStreams(), 0
        self.topology = topology = encode_topology(Topology(bodies, 0))
        self.here: Any = SimpleNamespace(topology=topology, frame=b"", dt=1 / 60)
        self.streams.open(TOKEN, self.here)
        audience.set_topology(topology)
        self.here.topology = None

    def step(self, now: float) -> Frame:
        self.tick += 2
        turn = self.tick / 40 + np.arange(2)
        zero, one = np.zeros(2), np.ones(2)
        rows = np.array(
            [
                [np.cos(turn), 0.15 * one, np.sin(turn)],
                [one, zero, zero],
                [zero, one, zero],
                [zero, zero, one],
            ]
        )
        frame = Frame(
            self.tick, rows.transpose(2, 0, 1).reshape(8, 3).astype(np.float32), np.ones(2, np.bool_)
        )
        self.here.frame = encode_frame(frame)
        deltas = self.streams.encode(TOKEN, self.here, self.audience.wanted_deltas(now), 1e-4)
        self.audience.show(self.here.frame, [deltas])
        return frame


def audience() -> Audience:
    return Audience(TOKEN, cast(Any, None), Telemetry(), v=0, on_event=lambda event: None)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_viewers_behind_a_relay_get_delta_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """They decode every frame from a keyframe on. After one that the relay skipped they get a keyframe again; when the
    last one leaves, the holder encodes none."""
    clock = [100.0]
    monkeypatch.setattr("tussle.server.gateway.relay_client.time.monotonic", lambda: clock[0])
    here, there, backlog = End(), End(), [0]
    here.other, there.other = there, here
    held, shown = audience(), audience()
    world = World(held)
    viewer = Decoding(world.topology)

    async def watch(_: str) -> Audience:
        return held

    serving = asyncio.create_task(
        serve_relay(cast(Any, there), there.write, lambda: backlog[0], cast(Any, None), watch, lambda _: None)
    )
    connection = RelayConnection(cast(Any, here))
    receiving = asyncio.create_task(connection.receive())

    async def connect_to_holder(_: str) -> RelayConnection:
        return connection

    remote = RemoteRun(TOKEN, shown, cast(Any, SimpleNamespace(connect_to_holder=connect_to_holder)))
    await settle()
    shown.viewers.add(viewer)
    shown.update_frames(viewer)
    frames: list[Frame] = []

    async def steps(count: int) -> None:
        for _ in range(count):
            clock[0] += 1 / 30
            frames.append(world.step(clock[0]))
            await settle()

    try:
        await steps(30)
        kinds = [kind for kind, _ in viewer.shown]
        assert kinds[-25:] == [3] * 25 and kinds.count(4) == 1
        for one, (_, decoded) in zip(frames[-25:], viewer.shown[-25:], strict=True):
            assert decoded is not None and decoded.tick == one.tick
            assert np.abs(decoded.rows[::4] - one.rows[::4]).max() <= 1e-4
        viewer.shown.clear()
        backlog[0] = relay_server.BACKLOG_BYTES + 1
        await steps(1)
        backlog[0] = 0
        await steps(20)
        kinds = [kind for kind, _ in viewer.shown]
        assert kinds.count(4) == 1 and kinds[-8:] == [3] * 8
        assert len(viewer.shown) >= 12
        last = viewer.shown[-1][1]
        assert last is not None and last.tick == frames[-1].tick
        shown.leave(viewer)
        await steps(2)
        assert held.wanted_deltas(clock[0]) == 0
    finally:
        remote.close()
        for task in (serving, receiving):
            task.cancel()
        await asyncio.gather(serving, receiving, return_exceptions=True)


def test_a_message_comes_back() -> None:
    """Name and fields."""
    assert decode_relay(encode_relay("watch", "k7qm2xpv")) == ["watch", "k7qm2xpv"]


@pytest.mark.parametrize("data", [b"\x91\xa1\xff", b"\x91" * 100_000, b"\xc1", b"", "\ud800"])
def test_any_bytes_raise_one_kind_of_error(data: bytes | str) -> None:
    """Text that is not UTF-8, nesting without end, half a message: a relay closes, its task does not die."""
    with pytest.raises(msgspec.MsgspecError):
        decode_relay(data)
