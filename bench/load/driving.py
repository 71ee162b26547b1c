"""What the programs of this folder share: the clients' process, the limit, where results are written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

__all__ = ["LIMIT_MS", "RESULTS", "driven", "say"]

RESULTS = Path(__file__).resolve().parent
LIMIT_MS = 50.0
"""The p99 of input to frame at which a server is full."""


@contextlib.asynccontextmanager
async def driven(
    job: dict[str, Any], ready: Callable[[], None] = lambda: None
) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """Connect and warm up the clients of a job, calling ``ready`` once connected. Yields a function that waits for
    the end of the measurement and returns its result. The clients end with the block."""
    clients = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load.clients",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**27,
    )  # fmt: skip
    stdin, stdout = clients.stdin, clients.stdout
    assert stdin is not None and stdout is not None

    async def reading() -> dict[str, Any]:
        async with asyncio.timeout(30 + job["seconds"]):
            seen: dict[str, Any] = json.loads(await stdout.readline())
            return seen

    try:
        async with asyncio.timeout(60):
            for said, heard in ((json.dumps(job), b"ready\n"), ("go", b"warm\n")):
                stdin.write(said.encode() + b"\n")
                if await stdout.readline() != heard:
                    raise SystemExit("the clients could not connect")
                if heard == b"ready\n":
                    ready()
        yield reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            clients.kill()
        await clients.wait()


def say(line: str) -> None:
    """Write a line of progress."""
    sys.stderr.write(line + "\n")
