"""Hashing of secrets with argon2id in a bounded queue, in which logins to known names come first.

    verify (a known name)  --> up to VERIFICATIONS_WAIT --.
                                                          +--> one thread of low priority, a verification first
    hash (a new name)      --> up to REGISTRATIONS_WAIT --'

A hash takes about 50 ms of a core and 19 MiB, so a client that could queue any number of them would hold up every
login. One hash runs at a time, on one core, at a lower priority than the event loop and the solvers. This module
must never log or keep a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher

from tussle.lobby.errors import RateLimited

__all__ = ["SecretHasher", "password_hasher"]

Result = TypeVar("Result")

HASHERS = 1
"""Secrets hashed at once."""

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""The parameters of new hashes: those that OWASP recommends for one thread. The library's defaults (64 MiB, three
passes, four threads) take five times as long, and the cores of all solvers at once. Older hashes keep theirs."""

NICE = 10
"""Nice value that the hashing thread adds to the process's own: the event loop and the solvers run before it."""

VERIFICATIONS_WAIT = 128
REGISTRATIONS_WAIT = 64
"""Calls that may wait: a class of 60 registers at once."""

HASH_S = 0.1
"""The time of one hash [s], for ``retry_after``."""


def password_hasher() -> PasswordHasher:
    """argon2id with the parameters of new hashes."""
    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _lower_priority() -> None:
    """Lower the priority of this thread. Only Linux has a nice value for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)


class SecretHasher:
    """Hashes and verifies secrets in a thread. Both calls raise RateLimited if their queue is full."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(HASHERS, "secrets", initializer=_lower_priority)
        self._free = HASHERS
        self._verifications: deque[asyncio.Future[None]] = deque()
        self._registrations: deque[asyncio.Future[None]] = deque()

    async def verify(self, stored: str, secret: str) -> None:
        """Raises VerificationError or InvalidHashError (argon2) if ``secret`` is not the one of ``stored``."""
        await self._run(self._verifications, VERIFICATIONS_WAIT, lambda: self._hasher.verify(stored, secret))

    async def hash(self, secret: str) -> str:
        """The hash of a new secret."""
        return await self._run(self._registrations, REGISTRATIONS_WAIT, lambda: self._hasher.hash(secret))

    async def _run(
        self, queue: deque[asyncio.Future[None]], limit: int, work: Callable[[], Result]
    ) -> Result:
        await self._take_turn(queue, limit)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pass_on()

    async def _take_turn(self, queue: deque[asyncio.Future[None]], limit: int) -> None:
        """Wait for a free hasher. After it returns, ``_pass_on`` must be called once."""
        if self._free:
            self._free -= 1
            return
        waiting = len(self._verifications) + len(self._registrations)
        if len(queue) >= limit:
            raise RateLimited(
                "too many logins with a secret at once", retry_after=max(1.0, waiting * HASH_S / HASHERS)
            )
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the hasher was given to this call just before it was cancelled
            else:
                queue.remove(turn)
            raise

    def _pass_on(self) -> None:
        """Give the hasher to the next call that waits: to a verification, if there is one."""
        for queue in (self._verifications, self._registrations):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
