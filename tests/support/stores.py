"""A store of a test's own, with a limit of memory."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from tussle.lobby.store.embedded import free_port


@contextlib.contextmanager
def redis_with(maxmemory: str) -> Iterator[str]:
    """Start a redis-server with that limit and yield its address. Skips without one on PATH."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH: the limit of a store's memory was not tested")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tussle-store-") as folder:
        process = subprocess.Popen(
            [
                *(binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""),
                *("--appendonly", "no", "--maxmemory", maxmemory, "--maxmemory-policy", "noeviction"),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert process.poll() is None and time.monotonic() < deadline, "redis-server does not start"
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
