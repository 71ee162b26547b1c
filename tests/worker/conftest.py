"""Stores for the tests of the workers: the Valkey of the wheel, and a system Redis >= 7 where it is installed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tussle.lobby.store.embedded import find_binary, free_port
from tussle.lobby.store.store import Store


@contextlib.contextmanager
def store_process(binary: str) -> Iterator[str]:
    """Start a separate store and yield its address. Its data is deleted afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tussle-store-") as folder:
        process = subprocess.Popen(
            [
                binary,
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--dir",
                folder,
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert process.poll() is None and time.monotonic() < deadline, f"{binary} does not start"
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="session", params=["valkey", "redis"])
def stream_store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running store. Each test uses a separate realm in it."""
    binary: str | None
    if request.param == "valkey":
        binary = str(find_binary("").path)
    else:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip(
                "NO redis-server on PATH: this half of the suite did not run (apt-get install redis-server)"
            )
    with store_process(binary) as url:
        yield url


@pytest.fixture
async def stream_store(stream_store_url: str) -> AsyncIterator[Store]:
    """A connection to a realm that no other test uses."""
    store = await Store.connect(stream_store_url, f"test-{secrets.token_hex(4)}")
    yield store
    await store.close()
