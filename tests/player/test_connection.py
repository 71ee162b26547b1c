"""The client's connection over real sockets, against a model of the server (tests/support/stage.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from tests.support.stage import Stage, connect, take
from tussle.lobby.errors import CloseCode, RateLimited, Refused
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody, encode_frame, encode_topology
from tussle.lobby.wire.messages import Notice, NoticeData, encode
from tussle.player import connection as module


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage() as stage:
        yield stage


def frame(tick: int, epoch: int = 1) -> bytes:
    return encode_frame(
        Frame(
            tick=tick,
            rows=np.zeros((8, 3), np.float32),
            active=np.ones(2, np.bool_),
            epoch=epoch,
            min_distance=0.01,
        )
    )


async def test_a_client_enters_with_the_whole_view_and_then_hears_events(stage: Stage) -> None:
    """The first event is the whole view; then events arrive in order."""
    async with connect(stage) as connection:
        assert (connection.seat, connection.session, connection.connected) == (0, "k7qm2xpv", True)
        await stage.publish("filled")
        await stage.publish("starting")
        events = await take(connection, 3)
    assert [event.t for event in events] == ["session", "filled", "starting"]
    assert events[0].d["missed"] is None
    assert connection.view is not None and connection.view.mode == "duel"
    assert connection.closed


async def test_too_slow_brings_the_whole_view_with_what_was_missed(stage: Stage) -> None:
    """Events that the server dropped are named by a whole view."""
    async with connect(stage) as connection:
        await stage.publish("a")
        await take(connection, 2)
        await stage.cut(CloseCode.TOO_SLOW)
        await stage.publish("b", lost=True)
        await stage.publish("c", lost=True)
        (event,) = await take(connection, 1)
        assert (event.t, event.v, event.d["missed"]) == ("session", 3, [2, 3])


async def test_a_hole_is_filled_by_the_whole_view(stage: Stage) -> None:
    """An event that got lost on the way is stated, not skipped in silence."""
    async with connect(stage) as connection:
        await take(connection, 1)
        await stage.publish("lost", lost=True)
        await stage.publish("seen")
        (event,) = await take(connection, 1)
        assert (event.t, event.v, event.d["missed"]) == ("session", 2, [1, 2])


async def test_an_act_returns_its_tick_or_raises_the_error_of_the_server(stage: Stage) -> None:
    """A refused act raises the class and the field that the server named."""
    stage.session.refuse.add("launch")
    async with connect(stage) as connection:
        assert await connection.act("brace") == 1
        with pytest.raises(Refused, match="too strong") as caught:
            await connection.act("launch", azimuth=1.0, power=7.0)
        assert (caught.value.reason, caught.value.field) == ("out_of_range", "power")
        await connection.chat("still here")
    assert stage.session.effects == [1, 3]


async def test_commands_are_bounded(stage: Stage) -> None:
    """More than the server remembers may not wait at once."""
    async with connect(stage) as connection:
        stage.deaf = True
        waiting = [asyncio.ensure_future(connection.chat("hi")) for _ in range(module.COMMANDS_PENDING + 1)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(RateLimited):
            done.pop().result()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_leaving_closes_for_good(stage: Stage) -> None:
    """After leave the events end without an error."""
    async with connect(stage) as connection:
        await take(connection, 1)
        await connection.leave()
        assert [event.t async for event in connection] == []
        assert connection.error is None


async def test_notices_reach_the_caller_and_end_with_the_connection(stage: Stage) -> None:
    """Paused, then resumed with the turn's new end; a new welcome begins without one."""
    async with connect(stage) as connection:
        assert connection.notice is None
        notices = connection.notices()
        for notice in (NoticeData("paused", "the store is away"), NoticeData("resumed", "", 42)):
            await stage.say(encode(Notice(notice)))
            async with asyncio.timeout(10):
                assert await anext(notices) == notice
            assert connection.notice == notice
        await stage.cut(1006)
        await stage.publish("after")
        assert [event.t for event in await take(connection, 2)] == ["session", "after"]
        assert connection.notice is None
    async with asyncio.timeout(10):
        assert [notice async for notice in notices] == []


async def test_ping_measures_the_round_trip(stage: Stage) -> None:
    """The time is returned and kept in ``rtt_s``."""
    async with connect(stage) as connection:
        rtt_s = await connection.ping()
        assert 0 < rtt_s < 5
        assert connection.rtt_s == rtt_s


async def test_the_newest_frame_is_kept_and_older_ones_are_dropped(stage: Stage) -> None:
    """Frames are decoded when looked at; those of an older owner or tick never replace a newer."""
    mesh = TopologyBody(
        "b0", "affine", np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.uint32), 0, "cobble"
    )
    stage.greeting = [encode_topology(Topology((mesh,), 7)), frame(10)]
    async with connect(stage) as connection:
        frames = connection.frames()
        async with asyncio.timeout(10):
            assert (await anext(frames)).tick == 10
            for data in (frame(9), frame(30, epoch=0), frame(12), frame(5, epoch=2), frame(40, epoch=1)):
                await stage.say(data, text=False)
            await connection.ping()
            newest = await anext(frames)
        assert (newest.tick, newest.epoch) == (5, 2)
        assert connection.topology is not None and connection.topology.bodies[0].body == "cobble"


async def test_a_reader_that_sleeps_gets_one_view_instead_of_all_it_slept_through(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded; what it gave up is stated."""
    monkeypatch.setattr(module, "EVENTS_KEPT", 8)
    async with connect(stage) as connection:
        for n in range(20):
            await stage.publish(f"e{n}")
        await connection.ping()
        await connection.ping()
        events = await take(connection, 1)
        assert (events[0].t, events[0].d["missed"]) == ("session", [0, events[0].v])
        await stage.publish("after")
        rest = await take(connection, 21 - events[0].v)
        assert [event.v for event in rest] == list(range(events[0].v + 1, 22))


async def test_an_error_in_the_body_is_the_callers_and_leaves_no_task(stage: Stage) -> None:
    """An exception in the ``async with`` reaches the caller unchanged."""
    with pytest.raises(ZeroDivisionError):
        async with connect(stage):
            raise ZeroDivisionError
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"session-connection"})


async def test_cancelling_the_owner_ends_the_connection(stage: Stage) -> None:
    """The task of the connection ends with that of its owner."""
    entered = asyncio.Event()

    async def own() -> None:
        async with connect(stage):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(own())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"session-connection"})
