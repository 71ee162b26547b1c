"""Realms on a real Redis Cluster: three masters and three replicas on loopback, one master killed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import World, until
from tussle.lobby.errors import StoreError
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import find_binary
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import Cleanup

FAILOVER_S = 60.0


@dataclass
class Node:
    port: int
    process: subprocess.Popen[bytes]


def cluster_ports(count: int) -> list[int]:
    """Free ports whose cluster bus (port + 10000) is free too."""
    found: list[int] = []
    port = 17_100
    while len(found) < count:
        port += 1
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + 10_000):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
    return found


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[Node]]:
    """A formed cluster of six; skips, loudly, where redis-cli or a redis-server is missing."""
    cli, server = shutil.which("redis-cli"), find_binary()
    if cli is None or server.kind != "redis":
        pytest.skip("REDIS CLUSTER NOT TESTED: it needs redis-server >= 7 and redis-cli on PATH")
    started: list[Node] = []
    try:
        for port in cluster_ports(6):
            folder = tmp_path / str(port)
            folder.mkdir()
            options = {
                "port": port, "bind": "127.0.0.1", "dir": folder, "cluster-enabled": "yes", "save": "",
                "cluster-node-timeout": 2000, "cluster-require-full-coverage": "no", "appendonly": "no",
            }  # fmt: skip
            arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
            process = subprocess.Popen(  # noqa: ASYNC220
                [str(server.path), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started.append(Node(port, process))
        for node in started:
            await until(lambda port=node.port: answers(port))  # type: ignore[misc]
        addresses = [f"127.0.0.1:{node.port}" for node in started]
        creating = await asyncio.create_subprocess_exec(
            cli, "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            output, _ = await creating.communicate()
        assert b"All 16384 slots covered" in output, output.decode()
        for node in started:
            await until(lambda port=node.port: is_whole(cli, port))  # type: ignore[misc]
        yield started
    finally:
        for node in started:
            node.process.kill()
        for node in started:
            node.process.wait()


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def is_whole(cli: str, port: int) -> bool:
    """Whether a node knows that every slot is served."""
    asking = await asyncio.create_subprocess_exec(
        cli, "-p", str(port), "cluster", "info", stdout=subprocess.PIPE
    )
    output, _ = await asking.communicate()
    return b"cluster_state:ok" in output and b"cluster_slots_ok:16384" in output


async def play_a_session(world: World) -> None:
    """A session from the first find to its keys' expiry."""
    await world.register()
    session, _ = await world.ended()
    assert await world.status(session) == "ended"
    await Cleanup(world.store, world.settings).handle(session)
    lives = [await world.store.call("PTTL", key) for key in await world.keys() if session in key]
    assert lives
    assert all(0 < life <= world.settings.expiry_s * 1000 for life in lives)


async def realms_apart(url: str) -> tuple[Store, Store]:
    """Two realms on two nodes, both reached by the address of one."""
    first = await Store.connect(url, "realm-0")
    for number in range(1, 50):
        second = await Store.connect(url, f"realm-{number}")
        if second.url != first.url:
            return first, second
        await second.close()
    raise AssertionError("all realms fell on one node")


async def test_two_realms_on_a_cluster_and_one_node_lost(nodes: list[Node], tmp_path: Path) -> None:
    """Both realms play whole sessions; when the node of one dies, its replica takes over and the realm plays on,
    while the other realm never noticed."""
    url = f"redis://127.0.0.1:{nodes[0].port}"
    stores = await realms_apart(url)
    try:
        worlds = [
            World(store, Settings(redis_url=url, realm=store.keys.realm, data_dir=tmp_path))
            for store in stores
        ]
        for world in worlds:
            await play_a_session(world)
        lost, kept = worlds
        fence, _ = await lost.running()
        await lost.runs.journal(fence, 1, [b'{"seat":0}'])
        info = str(await lost.store.call("INFO", "replication"))
        await until(lambda: replicated(lost.store), FAILOVER_S)
        assert "role:master" in info
        before = lost.store.url
        victim = next(node for node in nodes if before.endswith(f":{node.port}"))
        victim.process.kill()
        victim.process.wait()
        await play_a_session(kept)

        async def answers_again() -> bool:
            try:
                await lost.store.call("SET", lost.store.keys.prefix + "probe", "1", "PX", 1000)
            except StoreError:
                return False
            return True

        await until(answers_again, FAILOVER_S)
        assert lost.store.url != before
        assert [entry for _, _, entry in await lost.runs.read_journal(fence.session)] == [b'{"seat":0}']
        await lost.runs.journal(fence, 2, [b'{"seat":1}'])
        await play_a_session(lost)
    finally:
        for store in stores:
            await store.close()


async def replicated(store: Store) -> bool:
    """Whether the node's replica has everything."""
    info = dict(
        line.split(":", 1)
        for line in str(await store.call("INFO", "replication")).splitlines()
        if ":" in line
    )
    slaves = [value for name, value in info.items() if name.startswith("slave")]
    return any(f"offset={info['master_repl_offset']}" in value for value in slaves)
