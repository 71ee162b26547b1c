"""The live client against real servers (row E8): each batch once, in order, over a server that is killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack
from tussle.lobby.store.store import Store
from tussle.lobby.wire.live import Batches, LiveReply, LiveWelcome, SensorInfoReply, SourceAdded
from tussle.player.client import Client
from tussle.player.live_client import follow
from tussle.player.transcript import Disconnected


async def test_a_killed_server_leaves_no_gap(store_url: str, realm: str, store: Store) -> None:
    """Kill the server while a source publishes and start it again: the client resumes where it was, or says the gap.
    A client that follows everything also follows a source that began before it."""
    async with Stack.up(store_url, realm, SOURCE="mock", SOURCE_HZ="50") as stack:
        server = await stack.server()
        async with Client(server.url) as client:
            token = (await client.login("eve")).token
        seen: list[int] = []
        gaps = 0
        killed = False
        async with (
            asyncio.timeout(110),
            contextlib.aclosing(follow(server.url, token, everything=True)) as feed,
        ):
            async for message in feed:
                if isinstance(message, LiveWelcome) and not killed:
                    await stack.worker("source")
                if isinstance(message, SourceAdded):
                    assert message.d.source == "mock"
                if isinstance(message, SensorInfoReply):
                    assert [sensor.name for sensor in message.d.sensors] == ["sine", "ramp", "walk"]
                if isinstance(message, Batches):
                    if message.d.gap is not None:
                        gaps += message.d.gap.last - message.d.gap.first + 1
                    seen += [batch.n for batch in message.d.batches]
                    if len(seen) > 10 and not killed:
                        killed = True
                        async with contextlib.aclosing(follow(server.url, token, everything=True)) as late:
                            assert any([isinstance(one, Batches) async for one in _until_batches(late)])
                        await server.kill()
                        await stack.start("server", "server", PORT=server.url.rsplit(":", 1)[1])
                        before = len(seen)
                    if killed and len(seen) > before + 20:
                        break
    assert (
        seen == sorted(set(seen)) and len(seen) + gaps == seen[-1]
    )  # a slow restart may take longer than is kept


async def _until_batches(feed: AsyncIterator[LiveReply]) -> AsyncIterator[LiveReply]:
    async for message in feed:
        yield message
        if isinstance(message, Batches):
            return


async def test_a_refused_login_is_not_tried_again(store_url: str, realm: str) -> None:
    """The client raises Disconnected and does not reconnect."""
    async with Stack.up(store_url, realm) as stack:
        server = await stack.server()
        with pytest.raises(Disconnected, match="refused"):
            async for _ in follow(server.url, "nonsense", ["host"]):
                pass


async def test_a_server_that_is_not_there_is_given_up() -> None:
    """After give_up_s, with the reason."""
    with pytest.raises(Disconnected, match="gave up"):
        async for _ in follow("http://127.0.0.1:9", "token", give_up_s=0.3):
            pass
