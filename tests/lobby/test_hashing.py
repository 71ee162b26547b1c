"""The queue of secrets to hash: bounded, known names first."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from argon2 import PasswordHasher

from tussle.lobby import hashing
from tussle.lobby.errors import RateLimited
from tussle.lobby.hashing import SecretHasher


class Controlled(PasswordHasher):
    """Every hash waits until the test lets it finish; ``finished`` has what was done, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.finished: list[str] = []

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.permits.acquire()
        self.finished.append(f"hash {password!s}")
        return "hashed"

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:
        self.permits.acquire()
        self.finished.append(f"verify {password!s}")
        return True


@pytest.fixture
async def controlled() -> AsyncIterator[Controlled]:
    hasher = Controlled()
    yield hasher
    hasher.permits.release(1000)


async def settle() -> None:
    """Run the event loop until every call waits for a hasher."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_known_login_overtakes_forty_registrations(controlled: Controlled) -> None:
    """A login to a known name waits for the hashes that have begun, not for the registrations that wait."""
    secrets = SecretHasher(controlled)
    registrations = [asyncio.create_task(secrets.hash(f"new {i}")) for i in range(40)]
    await settle()
    login = asyncio.create_task(secrets.verify("stored", "mine"))
    await settle()
    controlled.permits.release(hashing.HASHERS + 1)
    await login
    assert "verify mine" in controlled.finished and len(controlled.finished) <= 2 * hashing.HASHERS
    controlled.permits.release(40)
    await asyncio.gather(*registrations)
    assert len(controlled.finished) == 41


async def test_a_full_queue_refuses_with_a_time(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration beyond the queue is refused as rate_limited with retry_after; known logins still wait."""
    monkeypatch.setattr(hashing, "REGISTRATIONS_WAIT", 3)
    secrets = SecretHasher(controlled)
    accepted = [asyncio.create_task(secrets.hash(f"new {i}")) for i in range(hashing.HASHERS + 3)]
    await settle()
    with pytest.raises(RateLimited) as refused:
        await secrets.hash("one too many")
    assert refused.value.reason == "rate_limited" and (refused.value.retry_after or 0) >= 1
    login = asyncio.create_task(secrets.verify("stored", "mine"))
    controlled.permits.release(len(accepted) + 1)
    await asyncio.gather(login, *accepted)


async def test_a_cancelled_call_gives_its_place_up(controlled: Controlled) -> None:
    """Calls that are cancelled while they wait, or as they get a hasher, leave no hasher unused."""
    secrets = SecretHasher(controlled)
    begun = [asyncio.create_task(secrets.hash(f"new {i}")) for i in range(hashing.HASHERS)]
    await settle()
    waiting = [asyncio.create_task(secrets.hash(f"late {i}")) for i in range(4)]
    await settle()
    for call in waiting[:3]:
        call.cancel()
    controlled.permits.release(len(begun) + 1)
    await asyncio.gather(*begun, waiting[3])
    assert secrets._free == hashing.HASHERS
    assert not secrets._registrations


async def test_a_hash_takes_one_core_behind_the_others() -> None:
    """One secret is hashed at a time, on one thread, whose priority is below that of the event loop."""
    hasher = hashing.password_hasher()
    assert (hashing.HASHERS, hasher.parallelism) == (1, 1)
    seen: list[int] = []

    class Watched(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return "hashed"

    secrets = SecretHasher(Watched())
    assert await secrets.hash("a secret") == "hashed"
    if sys.platform == "linux":
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert seen == [min(19, own + hashing.NICE)]
