"""Planned failovers of a real store: behind one address whose target changes, and with a sentinel."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tussle.lobby.errors import StoreError
from tussle.lobby.store.embedded import Binary, free_port
from tussle.lobby.store.store import Store
from tussle.lobby.store.store_address import hide_password, parse_sentinels
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups

FAILOVER_S = 60.0


async def until_stored(act: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat a call until the store takes it. For a failover, which sends no notification."""
    async with asyncio.timeout(FAILOVER_S):
        while True:
            with contextlib.suppress(StoreError):
                return await act()
            await asyncio.sleep(0.05)


@dataclass
class Nodes:
    """Store processes on loopback. The second one is a replica of the first."""

    binary: Path
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str) -> int:
        port = free_port()
        command = [
            str(self.binary),
            *options,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
        ]
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return port

    async def pair(self) -> tuple[int, int]:
        plain = ("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")
        first = self.start(*plain)
        await until_stored(lambda: ask(first, "PING"))
        second = self.start(*plain, "--replicaof", f"127.0.0.1 {first}", "--dbfilename", "second.rdb")

        async def linked() -> None:
            if "master_link_status:up" not in str(await ask(second, "INFO", "replication")):
                raise StoreError("not yet")

        await until_stored(linked)
        return first, second


async def ask(port: int, *command: str | int) -> Any:
    """One command to one node, on a connection of its own."""
    node = Store(f"redis://127.0.0.1:{port}", "x", timeout_s=10)
    try:
        return await node.call(*command)
    finally:
        await node.close()


@pytest.fixture
async def nodes(redis_7: Binary, tmp_path: Path) -> AsyncIterator[Nodes]:
    made = Nodes(Path(redis_7.path), tmp_path)
    yield made
    for process in made.processes:
        process.terminate()
        process.wait()


async def test_a_demoted_primary_is_left(nodes: Nodes) -> None:
    """The old primary keeps its connections open and answers READONLY. The store connects again, and its address leads
    to the new primary: calls and hints work again without a restart."""
    first, second = await nodes.pair()
    target = first
    writers: list[asyncio.StreamWriter] = []

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        writers.extend((writer, back))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with proxy:
        store = await Store.connect(
            f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}", "x", timeout_s=10
        )
        async with Wakeups(store) as hints, asyncio.timeout(FAILOVER_S):
            await hints.add("a")
            await store.call("SET", "before", "1")
            await ask(second, "REPLICAOF", "NO", "ONE")
            await ask(first, "REPLICAOF", "127.0.0.1", second)
            target = second
            await until_stored(lambda: store.call("SET", "after", "2"))
            reader = aiter(hints)
            assert await anext(reader) == (RECONNECTED, "")
            await hints.add("a")
            await ask(second, "PUBLISH", "a", "from the new primary")
            assert await anext(reader) == ("a", "from the new primary")
        await store.close()
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_sentinels_name_the_primary(nodes: Nodes) -> None:
    """redis+sentinel:// leads to the primary, and after its death to the one that the sentinels chose."""
    first, second = await nodes.pair()
    config = nodes.folder / "sentinel.conf"
    config.write_text(
        f"sentinel monitor lobby 127.0.0.1 {first} 1\n"
        "sentinel failover-timeout lobby 1000\nsentinel down-after-milliseconds lobby 300\n"
    )
    sentinel = nodes.start(str(config), "--sentinel")

    async def known() -> None:
        if "slaves=1" not in str(await ask(sentinel, "INFO", "sentinel")):
            raise StoreError("not yet")

    await until_stored(known)
    store = await Store.connect(
        f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel}/lobby/3", "x", timeout_s=10
    )
    assert store.url == f"redis://127.0.0.1:{first}/3"
    nodes.processes[0].kill()
    await until_stored(lambda: store.call("SET", "after", "2"))
    assert store.url == f"redis://127.0.0.1:{second}/3"
    assert await store.call("GET", "after") == "2"
    await store.close()


async def test_a_user_without_channels_is_refused_at_the_start(nodes: Nodes) -> None:
    """Redis gives a new user no channels. Without them no hint would arrive; the error names the right."""
    port = nodes.start("--save", "", "--appendonly", "no")
    await until_stored(
        lambda: ask(port, "ACL", "SETUSER", "app", "on", ">pw", "~*", "resetchannels", "+@all")
    )
    store = await Store.connect(f"redis://app:pw@127.0.0.1:{port}", "main")
    with pytest.raises(StoreError, match=r"&\{main\}:\*") as refused:
        await store.check_channels()
    assert refused.value.reason == "no_channels"
    await ask(port, "ACL", "SETUSER", "app", "&{main}:*")
    await store.check_channels()
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h:1",
        "redis+sentinel:///lobby",
        "redis+sentinel://h/lobby/x",
        "redis+sentinel://h:x/y",
    ],
)
def test_a_wrong_address_of_sentinels_is_refused(url: str) -> None:
    """It needs hosts and a service."""
    with pytest.raises(StoreError) as refused:
        parse_sentinels(url)
    assert refused.value.reason == "bad_address"


def test_an_address_is_shown_without_its_passwords() -> None:
    """User and password are for the store only."""
    shown = hide_password("redis+sentinel://u:secret@h:1,g:2/lobby?sentinel_password=other")
    assert shown == "redis+sentinel://h:1,g:2/lobby?sentinel_password=..."
    assert hide_password("rediss://:secret@[::1]:7/5") == "rediss://[::1]:7/5"
    assert hide_password("redis://u:se/cr@et@h:1/5") == "redis://h:1/5"
