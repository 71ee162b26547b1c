"""A server with the stores that people have: over TLS, a Unix socket, another database, a user with few rights, and far
away."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.far_store import far_store
from tests.support.one_store import store_url as store_url
from tests.support.stack import Process, Stack, until
from tests.support.stranger import duel
from tussle.lobby.store.embedded import Binary, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

USER = "user app on >a-secret ~{places-*}:* &{places-*}:* +@all -@dangerous +info"
QUICK = {"SIM_SPEED": "0"}


@dataclass(frozen=True)
class Guarded:
    """One store with two addresses. ``environment``: what a process needs to trust its certificate."""

    tls: str
    unix: str
    environment: dict[str, str]


def make_certificate(folder: Path) -> None:
    """A certificate of localhost that is its own authority."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(redis_7: Binary, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """A redis-server that takes TLS and a Unix socket only, and knows one user."""
    folder = tmp_path_factory.mktemp("tls")
    await asyncio.to_thread(make_certificate, folder)
    (folder / "users.acl").write_text(f"user default off\n{USER}\n")
    port, socket = free_port(), folder / "s"
    process = await asyncio.create_subprocess_exec(
        redis_7.path, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--tls-cert-file", str(folder / "cert.pem"), "--tls-key-file", str(folder / "key.pem"),
        "--tls-auth-clients", "no", "--unixsocket", str(socket), "--save", "", "--appendonly", "no",
        "--aclfile", str(folder / "users.acl"), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(socket.exists, "the socket of the store")
        yield Guarded(
            f"rediss://app:a-secret@localhost:{port}/5",
            f"unix://app:a-secret@{socket}?db=5",
            {"SSL_CERT_FILE": str(folder / "cert.pem")},
        )
    finally:
        process.terminate()
        await process.wait()


async def played(stack: Stack, server: Process, **environment: str) -> None:
    """Two bots finish a duel at this server."""
    bots = await stack.bots(2, 1, "--skill", "novice", SERVER_URL=server.url, **environment)
    assert await bots.wait(180) == 0, bots.output[-2000:]
    assert "2 matches" in bots.output


async def test_a_duel_over_tls_and_a_socket_in_database_5(guarded: Guarded) -> None:
    """Two servers of one realm: one has the store's TLS address, the other its Unix socket. The user has no rights but
    those of its realm. A session that one opens is played at the other, in database 5."""
    async with Stack.up(guarded.tls, "places-guarded", **QUICK, **guarded.environment) as stack:
        over_tls = await stack.server()
        over_socket = await stack.server(REDIS_URL=guarded.unix)
        await stack.worker()
        await played(stack, over_tls)
        await played(stack, over_socket)
        assert "a-secret" not in "".join(process.output for process in stack.processes)


PATIENT = {"LEASE_MS": "4000"}
"""Of the default lease a round trip of 200 ms leaves 0.3 s for a busy machine, until the turn clock is set again."""


@pytest.mark.parametrize("round_trip_s", [0.03, 0.2])
async def test_a_turn_with_a_store_far_away(store_url: str, round_trip_s: float) -> None:
    """30 and 200 ms: a session starts, runs a turn and ends, no session is paused because the store were gone, and
    nothing floods the log."""
    async with (
        far_store(store_url, round_trip_s) as far,
        Stack.up(far, f"places-far-{round_trip_s * 1000:.0f}", **PATIENT) as stack,
    ):
        server = await stack.server()
        async with duel(server.url) as game:
            acting, other, _ = await game.turn()
            assert (await acting.act(azimuth=0.0, elevation=5.0, power=0.05))["t"] == "ack"
            await other.until("turn_ended")
            await other.command("leave")
            await acting.until("ended")
            assert not [m for line in game.lines for m in line.messages if m["t"] == "notice"]
        assert not server.said("session_paused") and len(server.lines) < 60, server.output


async def test_a_wrong_password_of_the_store_is_one_line(guarded: Guarded) -> None:
    """The server ends, says what the store refused, and shows no password."""
    wrong = guarded.tls.replace("a-secret", "another")
    stack = Stack.up(wrong, "places-guarded", **QUICK, **guarded.environment)
    with stack.folder:
        server = await stack.start("server", "wrong", PORT="0")
        assert await server.wait(60) != 0
        assert "another" not in server.output and "Traceback" not in server.output
        assert "password" in server.output
