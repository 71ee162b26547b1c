"""The client of replay rooms against a real server, and against old scrubs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import pytest

import tussle
from tests.server.conftest import site as site
from tests.support.one_store import store_url as store_url
from tests.support.replay import opened, recorded
from tests.support.stack import Stack
from tussle.lobby.errors import Conflict
from tussle.lobby.wire.replay import (
    CameraView,
    Presenter,
    PresenterData,
    ReplayChatLine,
    ReplayReply,
    Scrubbed,
    ScrubbedData,
)
from tussle.player.client import Client
from tussle.player.replay_client import ReplayRoomConnection
from tussle.player.transcript import Disconnected

ENVIRONMENT = {"SIM_SPEED": "0"}


@pytest.mark.asyncio(loop_scope="module")
async def test_one_presents_and_others_follow(site: Stack) -> None:
    """The presenter moves everybody, marks and chat arrive, a refusal is raised, and a dropped connection comes back
    with the state."""
    token = await recorded(site, 500)
    async with Client(site.url) as ada, Client(site.url) as otto:
        await ada.login("ada")
        await otto.login("otto")
        async with ada.replay(token) as presenting, otto.replay(token) as following:
            assert await presenting.present() == 1
            with pytest.raises(Conflict, match="presents"):
                await following.present()
            with pytest.raises(Conflict):
                await following.scrub(1)
            for frame in (3, 4, 5):
                await presenting.scrub(frame, playing=True, speed=2.0)
            mark = await presenting.bookmark("the blow")
            await presenting.set_view("default", CameraView((1, 2, 3), (0, 0, 0)))
            await presenting.chat("see")
            said = False
            async with asyncio.timeout(20):  # a scrub may wait for its turn: other messages overtake it
                async for message in following:
                    said = said or isinstance(message, ReplayChatLine)
                    if said and following.frame == 5:
                        break
            assert (following.playing, following.speed) == (True, 2.0)
            assert following.presenter == presenting.me and not following.presenting
            assert following.bookmarks == {mark.id: mark} and list(following.views) == ["default"]
            assert following._socket is not None
            following._socket.transport.abort()
            await presenting.remove_bookmark(mark.id)
            await presenting.release()
            async with asyncio.timeout(20):
                while following.bookmarks or following.presenter is not None:
                    await following.next_message()
            assert await following.present() == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_the_blocking_client_presents(site: Stack) -> None:
    """The same calls from a script without an event loop."""
    token = await recorded(site, 50)

    def script() -> tuple[int, int, str]:
        with tussle.connect(site.url, "ada") as client, client.replay(token) as room:
            grant = room.present()
            room.scrub(7)
            while not isinstance(room.next_message(10.0), Scrubbed):
                pass
            name = room.bookmark("here").name
            room.chat("hello")
            room.release()
            return grant, room.state.frame, name

    assert await asyncio.to_thread(script) == (1, 7, "here")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_room_without_a_recording_is_refused(site: Stack) -> None:
    """A refused connection raises Disconnected with the server's reason, and is not retried."""
    async with Client(site.url) as ada:
        await ada.login("ada")
        with pytest.raises(Disconnected, match="no_recording"):
            async with ada.replay("gggggggg"):
                pass


async def test_old_scrubs_are_dropped_and_waiting_ones_are_conflated() -> None:
    """A scrub of an older grant, or one that came before, changes nothing; of scrubs that wait the newest is read."""
    room = ReplayRoomConnection("http://127.0.0.1:9", "token", "k7qm2xpv")

    def take(*messages: ReplayReply) -> None:
        for message in messages:
            room._take(message)

    take(Presenter(PresenterData("p1", 1)), Scrubbed(ScrubbedData(1, 4, 40)))
    take(Presenter(PresenterData("p2", 2)), Scrubbed(ScrubbedData(1, 5, 41)))
    assert room.frame == 40
    take(Scrubbed(ScrubbedData(2, 6, 60)), Scrubbed(ScrubbedData(2, 7, 70)), Scrubbed(ScrubbedData(2, 7, 71)))
    assert (room.frame, room.grant, room.presenter) == (70, 2, "p2")
    read = [await room.next_message() for _ in range(4)]
    assert [message.d.frame for message in read if isinstance(message, Scrubbed)] == [40, 70]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_room_goes_on_at_another_server(site: Stack) -> None:
    """The server that a member is connected to is killed. The member goes to another one: one that its welcome named,
    or one that started later and that a message named."""

    def room_at(url: str) -> str:
        return f"{url.replace('http', 'ws', 1)}/replay/{token}"

    token = await recorded(site, 50)
    (first,) = await site.more_servers(1)
    async with Client(first.url) as ada, asyncio.timeout(120):
        await ada.login("ada")
        async with ada.replay(token) as room:
            while (
                room_at(site.url) not in room.servers
            ):  # it has just started, and may not know the other yet
                await room.next_message()
            (third,) = await site.more_servers(1)
            while room_at(third.url) not in room.servers:
                await room.next_message()
            assert room.servers[0] == room_at(first.url)
            await first.kill()
            while room.servers[0] == room_at(first.url) or room.me not in {
                one.player for one in room.members
            }:
                await room.next_message()
            assert room.servers[0] in {room_at(site.url), room_at(third.url)}
            assert await room.present() == 1
    await third.kill()


PRESENTER = """
import sys, tussle
with tussle.connect(sys.argv[1], "ada") as client, client.replay(sys.argv[2]) as room:
    print(room.present(), flush=True)
    while True:
        room.next_message()
"""
"""A process that presents, and renews its token, until something ends it."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
async def test_the_room_of_a_dead_presenter_is_free_within_5_s(site: Stack, how: signal.Signals) -> None:
    """A presenter's process that is killed, or hangs with its connection open: its token has at most 5 s to live, the
    followers hear that nobody presents, and one of them gets the next grant."""
    token = await recorded(site, 50)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PRESENTER, site.url, token, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with Client(site.url) as otto, opened(site) as store, asyncio.timeout(60):
            await otto.login("otto")
            assert process.stdout is not None and await process.stdout.readline() == b"1\n"
            async with otto.replay(token) as room:
                assert room.presenter is not None
                process.send_signal(how)
                assert await store.call("PTTL", store.keys.replay_presenter(token)) <= 5000
                while room.presenter is not None:
                    await room.next_message()
                assert not await store.call("EXISTS", store.keys.replay_presenter(token))
                assert await room.present() == 2
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
