"""The upgrade of the stored layout, from a planted older number, with steps that fail and are repeated."""

from __future__ import annotations

import pytest

from tussle.lobby.errors import StoreError
from tussle.lobby.store.migrations import MIGRATIONS, migrate
from tussle.lobby.store.store import SCHEMA, Store


async def add_field(store: Store) -> None:
    """1 -> 2: a field of the meta hash, written in a way that can be repeated."""
    await store.call("HSET", store.keys.meta, "added", "yes")


async def rename_field(store: Store) -> None:
    """2 -> 3: the field has another name."""
    value = await store.call("HGET", store.keys.meta, "added")
    if value is not None:
        await store.call("HSET", store.keys.meta, "renamed", value)
        await store.call("HDEL", store.keys.meta, "added")


STEPS = {1: add_field, 2: rename_field}


async def plant(store: Store, version: int) -> None:
    await store.call("HSET", store.keys.meta, "schema", version)


async def meta(store: Store) -> dict[str, str]:
    row = await store.call("HGETALL", store.keys.meta)
    return dict(zip(row[::2], row[1::2], strict=True))


def test_there_is_a_step_from_every_older_schema() -> None:
    """A raised SCHEMA without a migration fails here."""
    assert set(MIGRATIONS) == set(range(1, SCHEMA))


async def test_steps_run_in_order_and_once(store: Store) -> None:
    """From 1 to 3; a second run finds nothing to do."""
    await plant(store, 1)
    assert await migrate(store, migrations=STEPS, schema=3) == [1, 2]
    assert await meta(store) == {"schema": "3", "renamed": "yes"}
    assert await migrate(store, migrations=STEPS, schema=3) == []
    assert await meta(store) == {"schema": "3", "renamed": "yes"}


async def test_an_interrupted_run_continues(store: Store) -> None:
    """A step that fails after its writes leaves the number; the next run repeats that step and goes on."""
    await plant(store, 1)

    async def fail(store: Store) -> None:
        await rename_field(store)
        raise StoreError("the store is away")

    with pytest.raises(StoreError, match="away"):
        await migrate(store, migrations={1: add_field, 2: fail}, schema=3)
    assert (await meta(store))["schema"] == "2"
    assert await migrate(store, migrations=STEPS, schema=3) == [2]
    assert await meta(store) == {"schema": "3", "renamed": "yes"}


async def test_a_second_process_does_not_raise_the_number_twice(store: Store) -> None:
    """Another run that finished during a step stays at its number."""
    await plant(store, 1)

    async def overtaken(store: Store) -> None:
        await add_field(store)
        await plant(store, 3)

    await migrate(store, migrations={1: overtaken}, schema=2)
    assert (await meta(store))["schema"] == "3"


@pytest.mark.parametrize(("version", "words"), [(9, "too old"), (1, "no migration from 2")])
async def test_what_cannot_be_migrated_is_left_alone(store: Store, version: int, words: str) -> None:
    """A newer schema, and a gap in the steps."""
    await plant(store, version)
    before = await meta(store)
    with pytest.raises(StoreError, match=words):
        await migrate(store, migrations={1: add_field}, schema=3)
    assert await meta(store) == before


async def test_only_a_migration_may_open_another_schema(store: Store, realm: str) -> None:
    """``connect`` refuses it unless asked not to look."""
    await plant(store, SCHEMA + 1)
    try:
        with pytest.raises(StoreError) as refused:
            await Store.connect(store.url, realm)
        assert refused.value.reason == "schema_mismatch"
        other = await Store.connect(store.url, realm, check_schema=False)
        await other.close()
    finally:
        await plant(store, SCHEMA)
