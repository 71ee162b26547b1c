"""Clients that request large parts of recordings and read them slowly or not at all."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from tests.conftest import until
from tests.server.recordings.frames import topology
from tests.support.http import healthy, http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.recordings.zarr_frames import ZarrFrames

ENVIRONMENT = {"RECORDING_RATE": "9700000", "REQUEST_RATE": "100000"}
"""620 MB at once: 33 answers of all frames."""

BIG = "55555555"
FRAMES, VERTICES = 1024, 1500

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(site: Stack) -> AsyncIterator[tuple[str, int]]:
    """A server with a recording of 18 MB, more than the kernel buffers for a connection."""
    path = site.data_dir / f"recordings/{BIG}.zarr"
    store = ZarrFrames.create(str(path), {"session": BIG})
    [one, *_] = topology("elastic").bodies
    body = TopologyBody("b0", "elastic", np.zeros((VERTICES, 3), np.float32), one.faces)
    tick = np.arange(FRAMES)
    zeros = np.zeros(FRAMES)
    store.append(
        {
            "tick": tick, "time": zeros, "min_distance": zeros, "contacts": zeros.astype(int), "energy": zeros,
            "iterations": zeros.astype(int), "active": np.ones((FRAMES, 1), bool),
            "rows": np.zeros((FRAMES, VERTICES, 3), np.float32),
        },
        Topology((body,)),
    )  # fmt: skip
    store.close()
    yield "127.0.0.1", int(site.url.rpartition(":")[2])


async def test_an_address_has_a_share_of_answers_and_bytes(address: tuple[str, int], site: Stack) -> None:
    """Clients that read nothing hold only the answers of their own address, and only until they disconnect; other calls
    are served. The requested bytes stay charged, and further ones are refused with a time to wait."""
    path = f"/api/recordings/{BIG}/frames?data=rows&frames=:1&format=npy"
    async with http_client(site.url, headers={"accept-encoding": "identity"}) as http:
        with contextlib.ExitStack() as idle:
            for _ in range(32):
                raw = idle.enter_context(socket.create_connection(address, timeout=10.0))
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.sendall(f"GET {path.replace(':1', ':')} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                assert raw.recv(12) == b"HTTP/1.1 200"
            assert_problem(await http.get(path), 429, "rate_limited")
            await healthy(http)

        async def served() -> bool:
            return (await http.get(path)).status_code == 200

        await until(served)
        whole = path.replace(":1", ":")
        assert (await http.get(whole)).status_code == 200
        while (answer := await http.get(whole)).status_code == 200:
            pass
        assert_problem(answer, 429, "rate_limited")
        assert "recording bytes" in answer.json()["detail"] and answer.json()["retry_after"] > 0
