"""Uploaded recordings in the store: what a list reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import World
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import NewUpload, Uploads


async def test_a_players_list_reads_its_own_recordings_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among many recordings of others, only those of the player are read whole; without any, nothing is."""
    uploads, keys = Uploads(world.store, world.settings), world.store.keys
    for number in range(2):
        await uploads.store(f"mine{number}aaa", "ada", "ada", NewUpload("0" * 64, 10, 1, listed=number == 0))
    fields = ("player", "bob", "name", "bob", "listed", "1", "sha256", "0" * 64, "bytes", "10", "length", "1")
    later = await world.store.now_ms() + 1000
    for number in range(150):
        await world.store.call(
            "HSET", keys.upload(f"other{number:03}"), *fields, "version", "1", "made_at", 1
        )
        await world.store.call("ZADD", keys.uploads, later + number, f"other{number:03}")
    read: list[str] = []
    batch = Store.batch

    async def count(store: Store, commands: Any) -> Any:
        read.extend(command[0] for command in commands)
        return await batch(store, commands)

    monkeypatch.setattr(Store, "batch", count)
    assert [upload.token for upload in await uploads.listed(player="ada")] == ["mine0aaa"]
    assert read.count("HGETALL") == 2
    read.clear()
    assert await uploads.listed(player="carol") == []
    assert read == []
