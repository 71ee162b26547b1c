"""The budget of bytes that a player and a session may write into the store."""

from __future__ import annotations

import pytest

from tests.support.stack import Stack
from tests.support.stranger import Person

ENVIRONMENT = {"STORE_RATE": "65536"}
"""256 kB at once for a player, 64 kB for a session."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


LARGE = {
    "mode": "sandbox",
    "size": 1,
    "scene": '{"bodies": [{"id": "cube", "shape": {"kind": "box", "params": {"size": [0.3, 0.3, 0.3]}},'
    ' "material": {"density": 500}}]}'.ljust(60_000),
}
"""A lobby with a scene of 60 kB."""


async def test_a_guest_may_not_write_megabytes(site: Stack) -> None:
    """Opening and leaving lobbies with large scenes ends in rate_limited, with the time until the next may succeed."""
    async with Person(site.url) as greedy:
        await greedy.login()
        for _ in range(8):
            answer = await greedy.post("/api/open", LARGE)
            if answer.status_code != 200:
                break
            await greedy.ask("/api/leave", session=answer.json()["session"])
        assert answer.status_code == 429
        assert answer.json()["code"] == "rate_limited" and answer.json()["retry_after"] > 0
    async with Person(site.url) as other:
        await other.login()
        await other.ask("/api/open", **LARGE)


async def test_a_scene_beyond_its_bound_is_a_bad_request(site: Stack) -> None:
    """A scene of a megabyte is refused before anything is stored."""
    async with Person(site.url) as greedy:
        await greedy.login()
        answer = await greedy.post("/api/open", {"scene": "x" * 1_000_000})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
