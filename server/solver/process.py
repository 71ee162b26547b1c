"""A solver process: the worlds of many sessions, stepped one request at a time on one thread.

    frame = length (u32, little endian) + msgpack of Request or Reply
    its first reply, READY, comes without a request, when its machine code is loaded
    arguments: the number of an inherited socket, the nice value to add; ARCHIVE_URL: the archive that has the meshes

It reads requests from an inherited socket until its end, so it cannot outlive its server. It must never open the
store or a network socket, and it logs nothing: failures go back in the reply.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator

import msgspec

from tussle.lobby.errors import ClientError
from tussle.lobby.rules.scenes import Recipe
from tussle.server.recordings.schedule import advance_in_stretches, stride_of
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation
from tussle.server.solver.delta_streams import DeltaStreams
from tussle.server.solver.kernels import load_kernels

__all__ = ["MAX_FRAME", "READY", "Reply", "Request", "serve"]

MAX_FRAME = 256 * 2**20

READY = 0
"""The id of the first reply. No request of a server has it."""


class Request(msgspec.Struct, frozen=True, array_like=True):
    """``number`` is the epoch (open, restore), the ticks (advance) or 1 for a contact check (checkpoint). ``deltas``:
    the streams of delta frames that an advance shall give; ``error_m``: their greatest error [m]."""

    id: int
    op: str
    body: bytes
    session: str = ""
    number: int = 0
    deltas: int = 0
    error_m: float = 1e-4


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """``seconds``, ``cpu``: how long the request took, and the CPU time that it used [s]. ``spent``: CPU time of the
    process so far [s]. ``refused``: code, message,
    field of a ClientError. ``failed``: one line about any other exception."""

    id: int
    body: bytes = b""
    seconds: float = 0.0
    refused: tuple[str, str, str | None] | None = None
    failed: str | None = None
    cpu: float = 0.0
    spent: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode_inputs = msgspec.msgpack.Decoder(list[Input]).decode


class SolverProcess:
    """The worlds of this process, by session. ``places``: the present tick of each, and the ticks from one recorded
    frame to the next. ``deltas``: their streams of delta frames."""

    def __init__(self) -> None:
        self.worlds: dict[str, Simulation] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.deltas = DeltaStreams()

    def answer(self, request: Request) -> bytes:
        match request.op:
            case "advance":
                return self._advance(request)
            case "open":
                spec = msgspec.msgpack.decode(request.body, type=SessionSpec)
                self.worlds[request.session], here = Simulation.start(spec, epoch=request.number)
                self._open(request.session, here)
                return _encode(here)
            case "restore":
                spec, data = msgspec.msgpack.decode(request.body, type=tuple[SessionSpec, bytes])
                world = self.worlds[request.session] = Simulation.restore(spec, data, epoch=request.number)
                here = world.look()
                self._open(request.session, here)
                return _encode(here)
            case "begin":
                spec, data = msgspec.msgpack.decode(request.body, type=tuple[SessionSpec, bytes])
                self.worlds[request.session], here = Simulation.begin(spec, data, epoch=request.number)
                self._open(request.session, here)
                return _encode(here)
            case "release":
                world = self.worlds[request.session]
                return _encode((world.hash(), world.release()))
            case "look":
                return _encode(self.worlds[request.session].look())
            case "checkpoint":
                return self._checkpoint(self.worlds[request.session], check=bool(request.number))
            case "forget":
                self.worlds.pop(request.session, None)
                self.places.pop(request.session, None)
                self.deltas.forget(request.session)
                return b""
            case "check_scene":
                from tussle.server.simulation.scene_check import check_scene  # it loads the solver

                return _encode(check_scene(request.body))
            case "make_shape":
                from tussle.server.simulation.scene_check import make_shape

                return _encode(make_shape(msgspec.msgpack.decode(request.body, type=Recipe)))
            case "ready":
                load_kernels()
                gc.collect()
                gc.freeze()
                return b""
            case unknown:
                raise ValueError(f"unknown request {unknown!r}")

    def _open(self, session: str, here: Advance) -> None:
        self.places[session] = here.tick, stride_of(here.dt)
        self.deltas.open(session, here)

    def _advance(self, request: Request) -> bytes:
        """Run an advance in stretches. After an exception the world is unchanged."""
        session, inputs, ticks = request.session, _decode_inputs(request.body), request.number
        world = self.worlds[session]
        before, (tick, stride) = world.branch(), self.places[session]
        try:
            whole, stretches = advance_in_stretches(world.advance, inputs, ticks, tick, stride)
        except BaseException:
            self.worlds[session] = before
            raise
        self.places[session] = whole.tick, stride
        return _encode(
            (whole, stretches, self.deltas.encode(session, whole, request.deltas, request.error_m))
        )

    @staticmethod
    def _checkpoint(world: Simulation, *, check: bool) -> bytes:
        look: Advance = world.look()
        passed: bool | None = None
        report = ""
        if check:
            contact = world.check_contact()
            passed, report = contact.passed, repr(contact)
        return _encode((look.tick, world.checkpoint(), passed, report))


def _requests(connection: socket.socket) -> Iterator[Request]:
    yield Request(READY, "ready", b"")
    stream = connection.makefile("rb")
    with contextlib.suppress(ConnectionResetError):  # the server ended and had not read the last reply
        while len(head := stream.read(4)) == 4:
            yield msgspec.msgpack.decode(stream.read(int.from_bytes(head, "little")), type=Request)


def serve(connection: socket.socket) -> None:
    """Answer requests in order until the other end closes, also in the middle of a request."""
    worlds = SolverProcess()
    for request in _requests(connection):
        began, cpu = time.perf_counter(), time.thread_time()
        try:
            reply = Reply(request.id, worlds.answer(request))
        except ClientError as error:
            reply = Reply(request.id, refused=(error.reason, error.message, error.field))
        except Exception as error:  # noqa: BLE001 the server gets any error in the reply; other sessions continue
            where = traceback.extract_tb(error.__traceback__)[-1]
            reply = Reply(
                request.id, failed=f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            )
        reply = msgspec.structs.replace(
            reply,
            seconds=time.perf_counter() - began,
            cpu=time.thread_time() - cpu,
            spent=time.process_time(),
        )
        data = _encode(reply)
        try:
            connection.sendall(len(data).to_bytes(4, "little") + data)
        except (BrokenPipeError, ConnectionResetError):
            return  # the server has ended


def main() -> None:
    # These reach the whole process group, such as Ctrl-C in a terminal. The server ends this process itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(int(sys.argv[2]))
    archive = os.environ.get("ARCHIVE_URL")  # not an argument: it may have a password
    if archive:
        # The server imports this module too, and must start without the solver's packages.
        from tussle.server.physics.stored_meshes import use_meshes

        use_meshes(archive)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
