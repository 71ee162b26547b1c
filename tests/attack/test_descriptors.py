"""Idle connections on a server with few file descriptors: clients get their share, the server keeps its own."""

from __future__ import annotations

import contextlib
import resource
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import address, metrics, sit_out_turn
from tests.support.http import healthy, http_client
from tests.support.stack import Stack, until
from tests.support.stranger import duel
from tussle.server.gateway.acceptor import KEPT_LEAST, connection_limit

FILES = 256
"""The limit of open files of the server under test, soft and hard."""

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60", "CHECKPOINT_S": "0.05"}


@pytest.mark.parametrize(
    ("wanted", "files", "used", "limit"),
    [(0, 1024, 40, 728), (0, 256, 40, 152), (100, 1024, 40, 100), (5000, 1024, 40, 728), (0, 64, 40, 16),
     (0, 1_048_576, 40, 1_048_576 - 1024 - 40)],
)  # fmt: skip
def test_the_number_of_connections_follows_from_the_limit_of_open_files(
    wanted: int, files: int, used: int, limit: int
) -> None:
    """A quarter of the descriptors is kept, and those that are open already."""
    assert connection_limit(wanted, files, used) == limit


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.asyncio(loop_scope="module")
async def test_idle_connections_take_nothing_from_others(store_url: str) -> None:
    """While idle connections of two addresses fill a server, a session runs there and its archive is written. The
    server keeps its share of descriptors, and its health, metrics and log show what it closed."""
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", **ENVIRONMENT) as stack:
        stack.files = FILES
        server = await stack.server()
        assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (FILES, FILES)
        with contextlib.ExitStack() as held:
            for connection in connect_many(stack, 400):
                held.enter_context(connection)
            async with http_client(server.url) as http:
                health = await healthy(http)
            assert health["connections"] <= health["connection_limit"] <= FILES - KEPT_LEAST
            async with duel(server.url) as game:
                for connection in connect_many(stack, 200):
                    held.enter_context(connection)
                await sit_out_turn(game)
                archive = stack.data_dir / "archive" / game.session
                await until(lambda: archive.is_dir() and any(archive.iterdir()), "the archive of the session")
                assert open_files(server.pid) <= FILES - KEPT_LEAST // 2
        assert server.said("connections_refused")
        assert not server.said("accepting_paused")
        counted = await metrics(stack)
        assert counted['tussle_budget_refusals_total{owner="server",resource="descriptors"}'] >= 1


def connect_many(stack: Stack, count: int) -> Iterator[socket.socket]:
    """Open connections that send nothing, from two addresses of this machine in turn."""
    for number in range(count):
        yield socket.create_connection(
            address(stack), timeout=10.0, source_address=(f"127.0.0.{1 + number % 2}", 0)
        )
