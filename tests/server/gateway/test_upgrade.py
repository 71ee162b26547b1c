"""The contract with uvicorn and websockets on which the gateway stands: three semi-internal names and one handover.

When this fails after an update of either, server/gateway/gateway.py is to be looked at before the pin is moved.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import tomllib
from importlib.metadata import version
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.server import ServerConnection
from websockets.server import ServerProtocol

from tests.support.paths import ROOT
from tussle.server.gateway.gateway import Gateway
from tussle.server.gateway.sender import short_reason


def test_websockets_is_pinned_exactly() -> None:
    """The installed version is the one in pyproject.toml, to the last digit."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"websockets=={version('websockets')}" in wanted


def test_a_connection_asks_its_server_for_what_the_gateway_has() -> None:
    """Four names are all that a ServerConnection uses of its server, and the gateway has them."""
    used = set(re.findall(r"self\.server\.(\w+)", inspect.getsource(ServerConnection)))
    assert used <= {"handler", "handler_tasks", "is_serving", "logger"}
    assert "handler_tasks" in used
    assert inspect.iscoroutinefunction(Gateway.handler)
    assert callable(Gateway.is_serving)


def test_uvicorn_hands_over_whatever_ws_returns() -> None:
    """``ws=`` may be a callable; on an upgrade what it returns is given the transport and the bytes so far."""
    nothing: Any = lambda **_: None  # noqa: E731
    config = uvicorn.Config(nothing, ws=nothing, http="httptools", lifespan="off")
    config.load()
    assert callable(config.ws_protocol_class)
    source = inspect.getsource(HttpToolsProtocol.handle_websocket_upgrade)
    for step in (
        "self.ws_protocol_class(",
        "connection_made(self.transport)",
        "data_received(",
        "set_protocol(",
    ):
        assert step in source, step


async def test_a_connection_runs_the_handler_it_was_given() -> None:
    """Fed with a handshake and a message, as uvicorn does: the handler gets the socket and hears the message."""
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Host:
        handler_tasks: set[asyncio.Task[None]]
        logger = logging.getLogger("test")

        def __init__(self) -> None:
            self.handler_tasks = set()

        def is_serving(self) -> bool:
            return True

        async def handler(self, socket: ServerConnection) -> None:
            await socket.handshake()
            heard.set_result(await socket.recv())
            await socket.close()

    host = Host()
    server = await asyncio.get_running_loop().create_server(
        lambda: ServerConnection(ServerProtocol(), host, close_timeout=1.0),  # type: ignore[arg-type]
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x82\0\0\0\0hi"
    )
    async with asyncio.timeout(5.0):
        assert await heard == "hi"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()
    async with asyncio.timeout(5.0):
        await asyncio.gather(*host.handler_tasks)


def test_a_close_reason_fits_into_its_frame() -> None:
    """123 bytes at most, and never half a character."""
    assert len(short_reason("é" * 200).encode()) <= 123
    assert short_reason("é" * 200).strip("é") == ""
    assert short_reason("moved") == "moved"
