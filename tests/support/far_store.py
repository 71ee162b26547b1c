"""A store that is far away: a forwarder on loopback that delays every byte, in order. For tests and bench/."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

__all__ = ["far_store"]


@contextlib.asynccontextmanager
async def far_store(url: str, round_trip_s: float) -> AsyncIterator[str]:
    """The address of the store ``url`` at that distance, as long as the block lasts. It has no limit of throughput."""
    at = urlsplit(url)
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await arrived.get()
                await asyncio.sleep(due - loop.time())
                if not data:
                    return
                sink.write(data)

        delivering = asyncio.create_task(deliver())
        try:
            while data := await source.read(65_536):
                arrived.put_nowait((loop.time() + round_trip_s / 2, data))
            arrived.put_nowait((loop.time() + round_trip_s / 2, b""))
            await delivering
        except OSError:
            pass
        finally:
            delivering.cancel()
            sink.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        writers.append(writer)
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(at.hostname, at.port)
            writers.append(back)
            await asyncio.gather(copy(reader, back), copy(there, writer))
        writer.close()
        running.discard(task)

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}{at.path}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        if running:
            await asyncio.wait(running, timeout=5)
