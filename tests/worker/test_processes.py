"""All worker processes: their logs on the store's channels, their end and their exit codes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.lobby.store.store import Store
from tussle.worker.processes import PROCESSES

FIRST = {
    "all": ("worker", "worker_started"),
    "cleanup": ("worker", "worker_started"),
    "sweep": ("worker", "worker_started"),
    "velocity": ("worker.spring", "solver_started"),
    "position": ("worker.spring", "solver_started"),
    "storage": ("worker.storage", "storage_started"),
    "source": ("worker.source", "source_started"),
    "meshes": ("worker.meshes", "meshes_started"),
    "bridge": ("worker.bridge", "bridge_started"),
}
"""The logger and the first event of each process."""


async def heard(store: Store, stack: Stack, part: str, channel: str, event: str) -> None:
    """Start a worker, wait for ``event`` on the channel of its logger and on stdout, then end the worker."""
    link = await store.link()
    await link.send("SUBSCRIBE", channel)
    assert (await link.receive(5.0))[0] == "subscribe"
    process = await stack.worker(part)
    async with asyncio.timeout(60):
        while True:
            reply = await link.receive(1.0)
            if reply is not None:
                line = json.loads(reply[2])
                if line["event"] == event:
                    break
            assert process.running, process.output
    assert line["process"] == ("worker" if part == "all" else f"worker-{part}")
    assert line in process.said(event)
    assert await process.end() == 0
    await link.close()


@pytest.mark.parametrize("part", sorted(PROCESSES))
async def test_every_worker_logs_to_both_transports(store: Store, realm: str, part: str) -> None:
    """With LOG_PUBLISH=1 stdout and the store's channel of the logger carry the same lines."""
    stack = Stack.up(store.url, realm, LOG_PUBLISH="1")
    logger, event = FIRST[part]
    try:
        await heard(store, stack, part, f"{store.keys.logs}:{logger}", event)
    finally:
        await stack.close()


@pytest.mark.parametrize("part", ["all", "velocity"])
def test_an_unusable_setting_is_reported_in_one_line(part: str) -> None:
    """A missing store, a bad number or a bad address ends the process with exit code 2 and one line."""
    for environ, said in (
        ({}, "REDIS_URL is not set"),
        ({"REDIS_URL": "redis://127.0.0.1:1", "EXPIRY_S": "soon"}, "EXPIRY_S=soon"),
        ({"REDIS_URL": "nonsense://x"}, "not an address of a store"),
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tussle.worker", part],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert said in done.stderr and len(done.stderr.splitlines()) == 1
