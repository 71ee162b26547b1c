"""Programs that tests/support/fork_server.py forks run, end and are limited as a new Python's."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fork_server import Forked, ForkServer, Program
from tests.support.one_store import store_url as store_url
from tests.support.stack import Process, Stack, alive, children, until
from tests.support.stranger import duel
from tests.support.witness import store_of
from tussle.lobby.servers import Servers

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="programs are only forked on Linux")


@pytest.fixture
async def stack(store_url: str) -> AsyncIterator[Stack]:
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", SIM_SPEED="0") as stack:
        yield stack


def forked(process: Process) -> bool:
    return isinstance(process.process, Forked)


def descriptors(pid: int) -> set[str]:
    """What a process has open, without numbers."""
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            names.add(link.readlink().name.partition(":")[0])
    return names


async def test_exit_codes_and_output_are_those_of_the_program(stack: Stack) -> None:
    for arguments, code, words in (
        (("--help",), 0, "Consume the streams"),
        (("nothing",), 2, "invalid choice"),
    ):
        process = await stack.start("worker", "worker", *arguments)
        assert forked(process)
        assert await process.wait(30.0) == code
        assert words in process.output
    wrong = await stack.start("server", "server", PORT="none")
    assert forked(wrong)
    assert await wrong.wait(30.0) == 2
    assert wrong.output.startswith("tussle: PORT=none")


async def test_a_signal_ends_a_program_as_it_does_elsewhere(stack: Stack) -> None:
    worker = await stack.worker()
    assert forked(worker)
    assert await worker.end() == 0
    worker = await stack.worker()
    await worker.kill()
    assert worker.process.returncode == -signal.SIGKILL
    assert not alive(worker.pid)
    with pytest.raises(ProcessLookupError):
        worker.process.terminate()


async def test_a_forked_server_computes_as_a_new_one_does(stack: Stack) -> None:
    """It has the same physics id, one child, which is its solver, and it plays."""
    server = await stack.server()
    assert forked(server)
    stack.forks = False
    fresh = await stack.server()
    assert not forked(fresh)
    async with store_of(stack) as store:
        nodes = await Servers(store).alive()
    assert len({node.physics_id for node in nodes}) == 1 and len(nodes) == 2
    assert [len(children(one.pid)) for one in (server, fresh)] == [1, 1]
    async with duel(server.url) as game:
        await game.turn()


async def test_a_solver_that_was_forked_is_replaced_by_a_new_python(stack: Stack) -> None:
    """It is reaped when it is killed, and ends with its server."""
    server = await stack.server()
    (first,) = children(server.pid)
    os.kill(first, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{first}").exists(), "the server to reap its solver")
    async with duel(server.url) as game:
        await game.turn()
        (second,) = children(server.pid)
    assert second != first
    await server.kill()
    await until(lambda: not alive(second), "the end of the solver")


async def test_a_program_has_its_own_limits_and_no_descriptor_of_the_fork_server(stack: Stack) -> None:
    before = await stack.worker()
    stack.files = 256
    server = await stack.server()
    (solver,) = children(server.pid)
    assert resource.prlimit(solver, resource.RLIMIT_NOFILE) == (128, 256)
    assert resource.prlimit(before.pid, resource.RLIMIT_NOFILE) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert descriptors(solver) == {"null", "socket", server.log.name}
    stack.forks = False
    fresh = await stack.server()
    assert descriptors(server.pid) - {server.log.name} == descriptors(fresh.pid) - {fresh.log.name}


@pytest.mark.parametrize("name", ["NUMBA_CACHE_DIR", "SSL_CERT_FILE", "COVERAGE_PROCESS_START", "PYTHONPATH"])
def test_an_environment_that_imports_read_is_not_forked(name: str) -> None:
    forks = ForkServer()
    assert forks.suits({"PORT": "0", "PATH": os.environ["PATH"]})
    assert not forks.suits({"PORT": "0", name: "/other"})


async def test_a_fork_server_that_died_is_reported(tmp_path: Path) -> None:
    """What it runs is reported, and what it shall start."""
    forks = ForkServer()
    with (tmp_path / "log").open("wb") as log:
        program = Program("worker", ["--help"], {"PATH": os.environ["PATH"]}, str(tmp_path))
        process = await forks.start(program, log.fileno())
        assert await process.wait() == 0
        assert forks._process is not None
        forks._process.kill()
        with pytest.raises(OSError):
            await forks.start(program, log.fileno())
    with pytest.raises(AssertionError, match="-9"):
        forks.close()


async def test_programs_end_with_the_fork_server(store_url: str, tmp_path: Path) -> None:
    """It ends when the tests do, also where they are killed, and then nothing of theirs goes on."""
    forks = ForkServer()
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": store_url,
        "REALM": f"test-{secrets.token_hex(4)}",
    }
    with (tmp_path / "log").open("wb") as log:
        process = await forks.start(Program("worker", [], environment, str(tmp_path)), log.fileno())
        await until(lambda: "worker_started" in (tmp_path / "log").read_text(), "the start of the worker")
    forks.close()
    assert await process.wait() == -signal.SIGKILL
    assert not alive(process.pid)
