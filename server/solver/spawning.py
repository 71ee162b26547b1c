"""Starts solver processes.

    spawn -> socketpair, python -m tussle.server.solver.process -> it loads its machine code, then says so

A server starts its first solver process before it imports its own modules: either takes a second. So this module must
never import what takes long.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass

from tussle.lobby.launch import child_environment, module_command

__all__ = ["Spawned", "spawn"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


@dataclass(frozen=True, slots=True)
class Spawned:
    """A solver process that starts, and the socket to it. It ends when the socket is closed."""

    process: asyncio.subprocess.Process
    connection: socket.socket

    async def end(self) -> None:
        """Kill the process if it still runs, and wait for it."""
        self.connection.close()
        with suppress(ProcessLookupError):
            if self.process.returncode is None:
                self.process.kill()
        await self.process.wait()


async def spawn(nice: int, archive_url: str) -> Spawned:
    """Start a solver process. ``nice``: what it adds to its nice value; archive_url: of the archive with the meshes.

    Raises OSError if the machine has no process or descriptor left.
    """
    local, remote = socket.socketpair()
    try:
        local.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *module_command("server.solver.process", str(remote.fileno()), str(nice)),
            pass_fds=[remote.fileno()], stdin=asyncio.subprocess.DEVNULL,
            env={**child_environment(), **ONE_THREAD, "ARCHIVE_URL": archive_url},
        )  # fmt: skip
    except BaseException:
        local.close()
        raise
    finally:
        remote.close()
    return Spawned(process, local)
