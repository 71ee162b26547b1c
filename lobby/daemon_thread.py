"""Work in a thread that delays neither the event loop nor the end of the process.

    run_in_daemon_thread(work, ...) -> a future of its result, or of its exception as a value

This module must never know what the work is.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["run_in_daemon_thread"]


def run_in_daemon_thread(work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Call ``work`` in a daemon thread, with the context of the caller: its log lines have the same fields. The future
    gets its result, or the exception that it raised as a value. A file system that hangs delays neither other work of
    this process nor its end."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(answer: Any) -> None:
        if not done.done():
            done.set_result(answer)

    def run() -> None:
        try:
            answer = context.run(work, *args)
        except Exception as error:  # noqa: BLE001 file systems raise many kinds of errors; none may end a session
            answer = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=run, name="files", daemon=True).start()
    return done
