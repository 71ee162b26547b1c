"""The guesses of the secret of one name, over all servers."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tussle.lobby.errors import RateLimited
from tussle.lobby.name_guesses import NameGuesses
from tussle.lobby.store.store import Store


async def test_a_name_has_one_budget_on_all_servers(store: Store, stores: list[Store]) -> None:
    """Nine guesses of a name at three servers at once: three are charged, the others are refused. Another name
    has its own. What was refused costs nothing: after one unit of time there is one more guess."""
    servers = [NameGuesses(one, 0.01, 3.0) for one in stores]

    async def guess(number: int, name: str = "victim") -> float:
        """The time to wait [s]; 0: charged."""
        try:
            await servers[number % 3].spend(name)
        except RateLimited as error:
            assert error.retry_after is not None
            return error.retry_after
        return 0.0

    waits = sorted(await asyncio.gather(*map(guess, range(9))))
    assert waits[:3] == [0.0] * 3 and all(90.0 < wait <= 100.0 for wait in waits[3:])
    assert await guess(0, "other") == 0.0
    key = store.keys.guesses(hashlib.sha256(b"victim").hexdigest())
    assert 290_000 < await store.call("PTTL", key) <= 300_000
    await store.call("DECRBY", key, 100_000)  # as after a hundred seconds
    assert await guess(1) == 0.0
    assert await guess(2) > 90.0


async def test_a_high_rate_has_a_time_that_the_store_takes(store: Store) -> None:
    """A unit comes back after a millisecond at least."""
    guesses = NameGuesses(store, 10_000.0, 200_000.0)
    for _ in range(3):
        await guesses.spend("victim")


async def test_a_small_rate_allows_one_guess(store: Store) -> None:
    """A bucket has at least one unit."""
    guesses = NameGuesses(store, 0.01, 0.2)
    await guesses.spend("victim")
    with pytest.raises(RateLimited):
        await guesses.spend("victim")
