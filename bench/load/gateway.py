"""The real gateway with synthetic sessions: uvicorn, Gateway, Audience, SessionCore, Replies and telemetry as in a
server. Store and solver are replaced by stubs that answer at once.

    python bench/load/gateway.py PORT SESSIONS SEATS HZ FRAME_BYTES OWN

A client with the ticket ``i.seat`` joins session i. HZ times a second a session closes its batch of inputs and sends a
frame of FRAME_BYTES: the time, then the newest input id of each seat. With OWN, 1, it sends delta frames of four moving
bodies, which are encoded here; in a server a solver process does that. Journal and physics are not included;
bench/load/whole.py measures them.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import uvloop

from tussle.lobby import logs
from tussle.lobby.address_bans import AddressBans
from tussle.lobby.connections import Connected, Connections
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.seating import Seating
from tussle.lobby.servers import Servers
from tussle.lobby.settings import Settings
from tussle.lobby.views import Views
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody, encode_frame, encode_topology
from tussle.lobby.wire.messages import Event, SessionView
from tussle.server.app import reduce_garbage_collection
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.costs import Ledger
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.observers import Observers
from tussle.server.gateway.channels import Channels
from tussle.server.gateway.editing import Editing
from tussle.server.gateway.gateway import Gateway
from tussle.server.gateway.http_server import HttpServer
from tussle.server.gateway.relay_client import Relays
from tussle.server.limits import Hosts, Proxies
from tussle.server.listening import listen
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.admissions import Admissions
from tussle.server.sessions.core import SessionCore
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.pace import Pace
from tussle.server.solver.delta_streams import DeltaStreams

MOVE = ActionKind("move", {"x": ActionField(low=-10.0, high=10.0)})


class OwnFrames:
    """Four bodies that go round in a circle and turn, whole and as delta frames."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._streams = DeltaStreams()
        cube = np.array(list(itertools.product((-0.15, 0.15), repeat=3)), np.float32)
        faces = np.zeros((12, 3), np.uint32)
        bodies = tuple(TopologyBody(f"body{number}", "affine", cube, faces) for number in range(4))
        topology = encode_topology(Topology(bodies, 0))
        audience.set_topology(topology)
        self._here = SimpleNamespace(topology=topology, frame=b"", dt=1 / 60)
        self._streams.open("bench", cast(Any, self._here))
        self._here.topology = None

    def show(self, tick: int) -> None:
        turns = tick / 40 + np.arange(4)
        sine, cosine, zero, one = np.sin(turns), np.cos(turns), np.zeros(4), np.ones(4)
        rows = np.array(
            [[cosine, 0.15 * one, sine], [cosine, zero, sine], [zero, one, zero], [-sine, zero, cosine]]
        )
        frame = Frame(tick, rows.transpose(2, 0, 1).reshape(16, 3).astype(np.float32), np.ones(4, np.bool_))
        self._here.frame = encode_frame(frame)
        asked = self._audience.wanted_deltas(time.monotonic())
        deltas = self._streams.encode("bench", cast(Any, self._here), asked, 1e-4)
        self._audience.show(self._here.frame, [deltas])


class Run:
    """A running session without journal and solver."""

    def __init__(
        self, seats: int, frame_bytes: int, audience: Audience, telemetry: Telemetry, *, own: bool
    ) -> None:
        self.core = SessionCore(range(seats))
        self.core.actions = ActionSpec(0, (MOVE,))
        self.audience = audience
        self._telemetry = telemetry
        self.admissions = Admissions(
            self.core, asyncio.Event().set, Ledger(Settings(), lambda *_: None), "bench"
        )
        self.accept_input = self.admissions.queue
        self._newest = [0] * seats
        self._pad = bytes(frame_bytes - 8 - 4 * seats)
        self._layout = struct.Struct(f"<d{seats}i")
        self._own = OwnFrames(audience) if own else None

    def show(self) -> None:
        batch = self.core.batch()
        now = time.monotonic()
        for taken in batch.inputs:
            self.admissions.journaled(taken, batch.tick)
            self._newest[taken.seat] = taken.id
            came = self.admissions.shown(taken)
            if came is not None:
                self._telemetry.input_seconds.observe(now - came)
        self.core.tick += 1
        if self._own is not None:
            self._own.show(2 * self.core.tick)
            return
        self.audience.show(self._layout.pack(now, *self._newest) + self._pad)


class Bench:
    """Stubs for the lobby and the holder that the gateway calls."""

    def __init__(self, sessions: int, seats: int, frame_bytes: int, *, own: bool = False) -> None:
        self.telemetry = Telemetry()
        self.settings = Settings(address_connections=20_000)  # all clients have one address
        self.seats = seats
        self.address = SimpleNamespace(id="bench", url="http://127.0.0.1")
        self.neighbours: tuple[str, ...] = ()
        self.met: set[str] = set()
        self.audiences: dict[str, Audience] = {}
        self.runs: dict[str, Run] = {}
        for session in range(sessions):
            audience = Audience(
                str(session), cast(Views, self), self.telemetry, v=0, on_event=lambda event: None
            )
            self.audiences[str(session)] = audience
            self.runs[str(session)] = Run(seats, frame_bytes, audience, self.telemetry, own=own)
        here = SimpleNamespace(
            get=lambda token, v: self.audiences[token],
            leave=lambda audience, viewer: audience.leave(viewer),
        )
        ledger = Ledger(self.settings, self.telemetry.count_overspending)
        self.gateway = Gateway(
            self.settings, ledger, Proxies(""), Hosts(""),
            cast(Connections, self), cast(Seating, self), cast(Views, self),
            cast(Holder, self), self.telemetry, "bench", cast(Audiences, here),
            cast(Relays, SimpleNamespace(find_run=self.runs.get, remote=lambda token: None)), cast(Servers, None),
            cast(Observers, SimpleNamespace(refresh=lambda session: None)),
            Editing(cast(SceneStore, self), cast(Audiences, here), ledger, lambda: None),
            BannedAddresses(cast(AddressBans, None)),
            Channels(self.settings, ledger, None),
        )  # fmt: skip

    # of connections, seating and views
    async def connect(self, *, ticket: str | None, resume: str | None, conn: str, server: str) -> Connected:
        session, _, seat = (ticket or "").partition(".")
        return Connected(
            session=session, player=f"p{session}.{seat}", name="bench", kind="bot", role="player", seat=int(seat),
            conn=conn, resume="", v=0, status="running", epoch=1, tick=0, replaced_conn="", last_id=0, holder="bench",
            holder_url="",
        )  # fmt: skip

    async def disconnect(self, *_: object) -> None: ...
    async def now_ms(self) -> int:
        return int(time.time() * 1000)

    async def events(self, token: str, v: int) -> list[Event]:
        return []

    async def view(self, token: str) -> SessionView:
        return SessionView(token, "running", "bench", self.seats, "", (), 0)

    # of the holder
    def holds(self, token: str) -> bool:
        return True

    def dt_of(self, token: str) -> float:
        return 1 / 60

    def begin(self, token: str, v: int) -> None: ...
    def bodies(self) -> dict[str, Any]:
        return {}

    def beat(self, run: Run, pace: Pace) -> None:
        run.show()
        asyncio.get_running_loop().call_later(pace.stepped(time.monotonic()), self.beat, run, pace)

    async def serve(self, port: int, hz: float) -> None:
        async def api(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        listener = listen("127.0.0.1", port)
        http = HttpServer(
            api,
            self.gateway.upgrade,
            listener,
            protocol="httptools",
            connections=lambda: 0,
            most=1_000_000,
            admit=lambda host: True,
        )
        loop, now = asyncio.get_running_loop(), time.monotonic()
        for index, run in enumerate(
            self.runs.values()
        ):  # sessions start at times spread over the period, as in production
            later = index / len(self.runs) / hz
            loop.call_later(later, self.beat, run, Pace(1 / hz, now + later))
        async with asyncio.TaskGroup() as group:
            group.create_task(http.serve(sockets=[listener]))
            reduce_garbage_collection()
            sys.stdout.write("ready\n")
            sys.stdout.flush()


async def run(port: int, sessions: int, seats: int, hz: float, frame_bytes: int, own: bool) -> None:
    await Bench(sessions, seats, frame_bytes, own=own).serve(port, hz)


def main() -> None:
    port, sessions, seats, hz, frame_bytes, own = (float(word) for word in sys.argv[1:7])
    logs.configure(
        Settings(log_level="error"), process="bench"
    )  # nothing reads the output, which would fill the pipe
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(int(port), int(sessions), int(seats), hz, int(frame_bytes), bool(own)))


if __name__ == "__main__":
    main()
