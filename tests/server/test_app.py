"""A server process: its log lines go to stdout and to one store channel per logger."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.stack import Stack
from tussle.lobby.store.store import Store
from tussle.player.client import Client


async def test_the_channels_have_the_lines_of_stdout(store: Store, realm: str) -> None:
    """From start to stop, every line on a channel is also on stdout, and its channel has the name of its logger."""
    link = await store.link()
    await link.send("PSUBSCRIBE", f"{store.keys.logs}:*")
    assert (await link.receive(5.0))[0] == "psubscribe"
    async with Stack.up(store.url, realm, LOG_PUBLISH="1") as stack:
        server = await stack.server()
        async with Client(server.url) as ada:
            await ada.login("ada")
            await ada.open(mode="spring-damper", size=1)
        assert await server.end() == 0
        heard: list[tuple[str, dict[str, Any]]] = []
        async with asyncio.timeout(30):
            while not heard or heard[-1][1]["event"] != "server_stopped":
                reply = await link.receive(1.0)
                if reply is not None:
                    heard.append((reply[2], json.loads(reply[3])))
        printed = server.lines
    await link.close()
    assert {"server_started", "server_stopping", "server_stopped"} <= {line["event"] for _, line in heard}
    for channel, line in heard:
        assert channel == f"{store.keys.logs}:{line['logger']}"
        assert line in printed and line["process"] == "server"
