"""Consumer groups: at least one delivery, claims from dead consumers, trimming behind all groups."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tussle.lobby.errors import StoreError
from tussle.lobby.store.consumer_group import ConsumerGroup, split_id, trim_acknowledged
from tussle.lobby.store.store import Store


def group(store: Store, name: str, consumer: str, **options: float) -> ConsumerGroup:
    given = {"claim_idle_s": 60.0, **options}
    return ConsumerGroup(store, store.keys.lifecycle, name, consumer, **given)  # type: ignore[arg-type]


async def consumers(of: ConsumerGroup, store: Store) -> set[str]:
    """The names of a group's consumers."""
    rows = await store.call("XINFO", "CONSUMERS", of.stream, of.name)
    return {dict(zip(flat[::2], flat[1::2], strict=True))["name"] for flat in rows}


async def test_a_stream_is_trimmed_behind_all_groups(world: World) -> None:
    """Only entries that every group has acknowledged are deleted; without a group none is."""
    store, stream = world.store, world.store.keys.lifecycle
    assert await trim_acknowledged(store, store.keys.prefix + "none") == 0
    await world.ended()
    assert await trim_acknowledged(store, stream) == 0
    first, second = group(store, "one", "a"), group(store, "two", "b")
    await first.ensure()
    await second.ensure()
    await first.ensure()
    await first.acknowledge(*await first.read())
    assert await trim_acknowledged(store, stream) == 0
    entries = await second.read()
    assert len(entries) == 5
    await second.acknowledge(entries[0], entries[1], entries[3])
    assert await trim_acknowledged(store, stream) == 2
    await second.acknowledge(*entries)
    assert await trim_acknowledged(store, stream) == 3
    session, _ = await world.ended()
    assert [entry.fields["session"] for entry in await first.read()] == [session] * 5


async def test_entries_of_a_dead_consumer_are_claimed(world: World, stores: list[Store]) -> None:
    """An entry is claimed after its idle time and not before. A dead consumer without entries is deleted."""
    await world.ended()
    dead, second, third = (
        group(stores[0], "g", "a", count=2),
        group(stores[1], "g", "b"),
        group(stores[2], "g", "c"),
    )
    await dead.ensure()
    taken = await dead.read()
    assert len(taken) == 2
    assert await second.claim() == []
    assert await second.claim(0) == taken
    assert len(await second.read()) == 3
    assert await third.read() == []
    assert await third.remove_dead_consumers() == 0
    assert await group(stores[2], "g", "c", dead_s=-0.001).remove_dead_consumers() >= 1
    assert "a" not in await consumers(second, world.store)
    await second.leave()
    await third.leave()
    assert await consumers(second, world.store) == {"b"}, "a consumer with pending entries stays"


async def test_a_killed_consumer_keeps_its_group_for_seconds_only(world: World) -> None:
    """It counts as dead after ten reads of its group, at least five seconds, unless its owner says otherwise."""
    assert [
        group(world.store, "g", "a", **given)._dead_ms
        for given in ({}, {"block_s": 0.5}, {"block_s": 2.0}, {"dead_s": 60.0})
    ] == [5000, 5000, 20_000, 60_000]


async def test_all_entries_are_claimed_however_many(world: World) -> None:
    """A claim goes on past the first page of pending entries, and says that a full batch may not be the last."""
    store = world.store
    for _ in range(4):
        await world.ended()
    dead, second = group(store, "g", "a"), group(store, "g", "b", count=5)
    await dead.ensure()
    assert len(await dead.read()) == 20
    claimed = 0
    while entries := await second.claim(0):
        claimed += len(entries)
        assert second.claim_due()
        await second.acknowledge(*entries)
    assert claimed == 20 and not second.claim_due()


async def test_the_last_consumer_removes_the_group_where_it_is_asked_to(world: World) -> None:
    """``leave`` keeps the group and its position, unless ``remove_last`` is set and no live consumer is left."""
    await world.ended()
    first, second = group(world.store, "g", "a"), group(world.store, "g", "b", count=1)
    await first.ensure()
    await second.read()
    await first.acknowledge(*await first.read())
    assert not await first.leave()
    assert not await second.leave()
    assert await second.leave(remove_last=True)
    assert await second.leave(remove_last=True), "a group that is gone already"
    assert await first.read() == [], "the group was created again"
    assert len(await first.read()) == 5


async def test_another_failure_of_the_store_is_raised(world: World) -> None:
    """Only a missing group is created again; any other refusal reaches the caller."""
    await world.store.call("SET", world.store.keys.lifecycle, "not a stream")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await group(world.store, "g", "a").read()


def test_ids_are_ordered_by_their_numbers() -> None:
    """The second number may be missing."""
    assert [split_id("17-3"), split_id("9")] == [(17, 3), (9, 0)]
    assert split_id("10-0") > split_id("9-5")
