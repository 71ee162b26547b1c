"""The calls of a holder: fences, the journal, events that are published once, checkpoints, the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.conftest import HOLDER, World
from tussle.lobby.errors import Conflict, Fenced, NotFound
from tussle.lobby.lifecycle import LifecycleEvent
from tussle.lobby.runs import Fence
from tussle.lobby.servers import HolderAddress


def stale(fence: Fence) -> list[Fence]:
    """Fences that are not the present claim."""
    return [
        replace(fence, epoch=fence.epoch - 1),
        replace(fence, epoch=fence.epoch + 1),
        replace(fence, nonce="boot-0"),
        replace(fence, server="s2"),
    ]


async def test_a_claim(world: World) -> None:
    """A claim returns epoch and members. A second claim voids the first. Other servers and open lobbies are refused."""
    session, players = await world.starting()
    fence, members = await world.begin(session)
    assert (fence.epoch, fence.mode, fence.size, fence.params) == (1, "duel", 2, {})
    assert [(member.seat, member.player, member.kind) for member in members] == [
        (0, players[0], "bot"), (1, players[1], "bot"),
    ]  # fmt: skip
    again, _ = await world.begin(session)
    assert again.epoch == 2
    with pytest.raises(Fenced):
        await world.runs.running(fence, 0, b"", 1 / 60)
    for other in (HolderAddress("s2", "boot-1", ""), HolderAddress("s1", "boot-2", "")):
        with pytest.raises(Fenced):
            await world.runs.begin(session, other)
    await world.store.call("DEL", world.store.keys.server(HOLDER.id))
    with pytest.raises(Fenced, match="lease"):
        await world.begin(session)
    with pytest.raises(NotFound):
        await world.begin("22222222")
    [player] = await world.players(1)
    with pytest.raises(Conflict) as refused:
        await world.begin((await world.find(player)).session)
    assert refused.value.reason == "not_starting"


async def test_a_claim_names_the_owner(world: World) -> None:
    """The address of the player who opened the session, or without one that player: for each holder, and also after
    the host has changed. Holders share the time of their solvers among owners."""
    await world.register()
    for address in ("203.0.113.7", ""):
        host, guest = await world.players(2)
        seat = await world.seating.open(host, "duel", 2, holder=HOLDER, address=address)
        await world.enter(seat)
        await world.enter(await world.seating.join(guest, seat.session))
        fence, _ = await world.begin(seat.session)
        await world.runs.running(fence, 0, b"spec", 1 / 60)
        await world.seating.leave(host, seat.session)
        resumed = await world.runs.resume(seat.session, HOLDER)
        assert fence.owner == resumed.fence.owner == (address or host)


async def test_running_is_published_once(world: World) -> None:
    """Repeated calls of ``running`` publish one event and keep the first specification."""
    fence, _ = await world.running()
    first = await world.runs.running(fence, 0, b"other", 1 / 60)
    assert [event.t for event in first.events] == ["running"]
    assert (await world.events(fence.session)).count("running") == 1
    assert (await world.lifecycle(fence.session)).count("running") == 1
    assert await world.runs.load_spec(fence.session) == b"spec"
    assert await world.store.call("ZCARD", world.store.keys.lobbies) == 0
    assert await world.store.call("ZCARD", world.store.keys.deadlines) == 0


async def test_every_stale_fence_is_refused(world: World) -> None:
    """Writes of an older claim, another boot or another server change nothing, before and after the end."""
    fence, _ = await world.running()

    async def everything(by: Fence) -> None:
        for attempt in (
            world.runs.running(by, 0, b"x", 1 / 60),
            world.runs.journal(by, 1, [b"{}"]),
            world.runs.publish(by, 1, [(1, "blow", {})]),
            world.runs.checkpoint(by, 1, b"x"),
            world.runs.finish(by, 1, [], None),
        ):
            with pytest.raises(Fenced):
                await attempt

    async def dump() -> list[object]:
        return [await world.store.call("DUMP", key, raw=True) for key in sorted(await world.keys())]

    before = await dump()
    for by in stale(fence):
        await everything(by)
    assert await dump() == before
    await world.runs.finish(fence, 1, [], None)
    ended = await dump()
    for by in stale(fence):
        await everything(by)
    for late in (
        world.runs.journal(fence, 2, [b"{}"]),
        world.runs.publish(fence, 2, [(2, "blow", {})]),
        world.runs.checkpoint(fence, 2, b"x"),
        world.runs.running(fence, 2, b"", 1 / 60),
    ):
        with pytest.raises(Fenced):
            await late
    assert await dump() == ended


async def test_a_late_write_recreates_nothing(world: World) -> None:
    """Once the keys of a session have expired, no write of its holder creates one."""
    fence, _ = await world.running()
    session_keys = {key for key in await world.keys() if fence.session in key}
    await world.store.call("DEL", *session_keys)
    for attempt in (
        world.runs.journal(fence, 1, [b"{}"]),
        world.runs.publish(fence, 1, [(1, "blow", {})]),
        world.runs.checkpoint(fence, 1, b"x"),
        world.runs.finish(fence, 1, [], None),
    ):
        with pytest.raises(Fenced):
            await attempt
    assert not [key for key in await world.keys() if fence.session in key]


async def test_the_journal_is_idempotent(world: World) -> None:
    """Writing the same entries again succeeds; other entries under the same ids are refused, in any part of a batch."""
    fence, _ = await world.running()
    runs = world.runs
    assert await runs.journal(fence, 0, [b'{"seat":0}']) == 1
    assert await runs.journal(fence, 3, [b"a", b"b"]) == 2
    assert await runs.journal(fence, 3, [b"a", b"b"]) == 0
    assert await runs.journal(fence, 3, [b"a"]) == 0
    assert await runs.journal(fence, 3, [b"a", b"b", b"\xff\x00"]) == 1
    assert await runs.journal(fence, 3, []) == 0
    for tick, entries, first in [
        (3, [b"x"], 1),
        (3, [b"a", b"x"], 1),
        (2, [b"a"], 1),
        (0, [b"z"], 2),
        (3, [b"q"], 3),
    ]:
        with pytest.raises(Fenced) as refused:
            await runs.journal(fence, tick, entries, first)
        assert refused.value.reason == "journal_differs"
    assert await runs.read_journal(fence.session) == [
        (0, 1, b'{"seat":0}'), (3, 1, b"a"), (3, 2, b"b"), (3, 3, b"\xff\x00"),
    ]  # fmt: skip
    assert await runs.read_journal(fence.session, "3-2") == [(3, 3, b"\xff\x00")]


async def test_concurrent_writes_of_one_batch(world: World) -> None:
    """Concurrent retries of one call write each entry once."""
    fence, _ = await world.running()
    written = await asyncio.gather(*(world.runs.journal(fence, 5, [b"a", b"b", b"c"]) for _ in range(20)))
    assert sum(written) == 3
    assert len(await world.runs.read_journal(fence.session)) == 3


async def test_a_tick_is_published_once(world: World) -> None:
    """A repeated call returns the events of the first one and changes nothing."""
    fence, players = await world.running()
    events = [(7, "blow", {"a": 0}), (7, "turn_started", {"seat": 1}), (7, "turn_started", {})]
    fields = {"round": 1, "turn": 2, "turn_seat": 1, "tick": 7, "brief": '{"seat":1}'}
    seats = {players[0]: {"health": 12.5, "score": 3, "out": False}, players[1]: {"out": True}}
    now = await world.store.now_ms()
    first = await world.runs.publish(fence, 7, events, fields, seats, deadline_ms=2000)
    assert not first.duplicate and first.turn_ends_at >= now + 2000
    assert first.last_v == first.first_v + 2
    assert [event.d.get("ends_at") for event in first.events] == [
        None,
        first.turn_ends_at,
        first.turn_ends_at,
    ]
    assert list(first.events) == await world.views.events(fence.session, first.first_v - 1)
    for other in ([], [(7, "other", {})]):
        again = await world.runs.publish(fence, 7, other, {"round": 99}, {}, deadline_ms=9000)
        assert again == replace(first, duplicate=True)
    old = await world.runs.publish(fence, 5, [(5, "late", {})])
    assert old.duplicate and old.events == ()
    view = await world.views.view(fence.session)
    assert (view.round, view.turn, view.turn_seat, view.tick, view.brief) == (1, 2, 1, 7, {"seat": 1})
    assert view.turn_ends_at == first.turn_ends_at
    assert [(seat.health, seat.score, seat.out) for seat in view.seats] == [
        (12.5, 3.0, False),
        (None, None, True),
    ]


async def test_a_tick_without_events(world: World) -> None:
    """Fields without events are published; v does not change."""
    fence, _ = await world.running()
    before = (await world.views.view(fence.session)).v
    published = await world.runs.publish(fence, 4, [], {"tick": 4})
    assert (published.events, published.first_v, published.last_v) == ((), 0, before)
    assert (await world.runs.publish(fence, 4, [])).events == ()


async def test_v_has_no_gap_under_concurrency(world: World) -> None:
    """Chat lines and the holder's events share one numbering without a gap, in the order of the stream."""
    fence, players = await world.running()

    async def talk(player: str) -> None:
        for id in range(1, 21):
            await world.seating.chat(player, fence.session, id, "x")

    async def play() -> None:
        for tick in range(1, 21):
            await world.runs.publish(fence, tick, [(tick, "blow", {}), (tick, "blow", {})])

    await asyncio.gather(talk(players[0]), talk(players[1]), play())
    events = await world.views.events(fence.session, 0)
    assert [event.v for event in events] == list(range(1, len(events) + 1))
    assert (
        sum(event.t == "blow" for event in events) == 40 and sum(event.t == "chat" for event in events) == 40
    )
    assert {event.epoch for event in events if event.t == "blow"} == {1}


async def test_checkpoints(world: World) -> None:
    """The newest checkpoint is stored byte for byte with its journal offset; an older tick does not replace it."""
    fence, _ = await world.running()
    assert await world.runs.load_checkpoint(fence.session) is None
    data = bytes(range(256)) * 100
    assert await world.runs.checkpoint(fence, 10, data, "9-2", {"tick": 10})
    assert not await world.runs.checkpoint(fence, 9, b"older", "8-1")
    kept = await world.runs.load_checkpoint(fence.session)
    assert kept is not None
    assert (kept.tick, kept.data, kept.journal, kept.epoch) == (10, data, "9-2", 1)
    assert (await world.views.view(fence.session)).tick == 10


@pytest.mark.parametrize("event", [LifecycleEvent.ENDED, LifecycleEvent.FAILED])
async def test_the_end(world: World, event: LifecycleEvent) -> None:
    """The end is published once, with result and last events, and releases the players; repeating is harmless."""
    fence, players = await world.running()
    result = world.result(players, {}) if event is LifecycleEvent.ENDED else None
    last = [(9, "out", {"seat": 1})]
    first = await world.runs.finish(
        fence, 9, last, result, event=event, reason="why", fields={"round": 3}, seats={players[1]: {"out": 1}}
    )
    assert [published.t for published in first.events] == ["out", event.value]
    again = await world.runs.finish(fence, 9, last, result, event=event, reason="why")
    assert again == replace(first, duplicate=True)
    view = await world.views.view(fence.session)
    assert (view.status, view.reason, view.tick, view.round, view.result) == (
        event.value,
        "why",
        9,
        3,
        result,
    )
    assert view.ended_at > 0 and view.seats[1].out
    assert (await world.lifecycle(fence.session))[-1] == event.value
    assert (await world.events(fence.session)).count(event.value) == 1
    for player in players:
        assert "session" not in await world.hash(world.store.keys.player(player))
    assert await world.store.call("ZCARD", world.store.keys.running) == 0
    assert await world.store.call("ZRANGE", world.store.keys.ended, 0, -1) == [fence.session]


async def test_the_last_tick_is_published_once(world: World) -> None:
    """A tick that was published before the end is not published again with it."""
    fence, _ = await world.running()
    await world.runs.publish(fence, 9, [(9, "out", {})])
    await world.runs.finish(fence, 9, [(9, "out", {})], None)
    assert (await world.events(fence.session)).count("out") == 1


async def test_failing_before_the_start(world: World) -> None:
    """A starting session can end as failed and not as ended."""
    session, players = await world.starting()
    fence, _ = await world.begin(session)
    with pytest.raises(Fenced):
        await world.runs.finish(fence, 0, [], None)
    with pytest.raises(ValueError, match="does not end"):
        await world.runs.finish(fence, 0, [], None, event=LifecycleEvent.EXPIRED)
    await world.runs.finish(fence, 0, [], None, event=LifecycleEvent.FAILED, reason="solver_failed")
    assert await world.lifecycle(session) == ["opened", "filled", "starting", "failed"]
    assert (await world.find(players[0])).session != session


async def test_an_end_keeps_a_player_s_seat_in_another_lobby(world: World) -> None:
    """A player who left the run and waits in another lobby stays in that lobby."""
    fence, players = await world.running()
    await world.seating.leave(players[0], fence.session)
    elsewhere = await world.find(players[0])
    await world.runs.finish(fence, 1, [], None)
    assert (await world.hash(world.store.keys.player(players[0])))["session"] == elsewhere.session
