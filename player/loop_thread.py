"""One event loop in a thread of its own, for blocking clients.

    run(coroutine) -> the loop of the thread -> its result, or its exception

This module must never know what the coroutines do.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar

from tussle.player.transcript import Disconnected

__all__ = ["CLOSE_S", "ClosesAtExit", "LoopThread"]

T = TypeVar("T")

CLOSE_S = 5.0
"""Time that closing a connection may take before it is cancelled [s]."""


class ClosesAtExit(ABC):
    """A context manager that closes itself at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close what it has open. Closing twice is allowed."""


class LoopThread:
    """One event loop in one thread. If it is not closed, the garbage collector closes it, or the end of the program."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run_loop, args=(self._loop,), name="tussle-client", daemon=True
        )
        self._thread.start()
        self.close = weakref.finalize(self, _stop_loop, self._loop, self._thread)

    @property
    def closed(self) -> bool:
        return not self.close.alive

    def run(self, coroutine: Coroutine[Any, Any, T], what: str, timeout_s: float | None) -> T:
        """Run a coroutine in the loop and wait for its result.

        Raises TimeoutError, with ``what`` in its message, after ``timeout_s``. The loop applies the limit, so that
        no result is lost. Ctrl-C in the waiting thread cancels the coroutine.
        """
        if self.closed or threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("the client is closed" if self.closed else "called from the client's own loop")
        future = asyncio.run_coroutine_threadsafe(_limited(coroutine, what, timeout_s), self._loop)
        try:
            return future.result()
        except BaseException as error:
            future.cancel()
            if self.closed and isinstance(error, CancelledError):
                raise Disconnected(f"the client was closed during {what}") from None
            raise


async def _limited(coroutine: Coroutine[Any, Any, T], what: str, timeout_s: float | None) -> T:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await coroutine
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"waited {timeout_s:g} s for {what}") from None
        raise


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _stop_loop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    with contextlib.suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(CLOSE_S)
