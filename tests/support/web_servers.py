"""Server processes for tests that are not asynchronous: a Stack on an event loop in a thread."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.support.person import Person
from tests.support.stack import START_S, Process, Stack, children


class Servers:
    """A Stack without servers at first: ``servers.do(servers.stack.server())``. Close it with ``close``."""

    def __init__(self, store_url: str, **settings: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers")
        self._thread.start()
        self.stack = Stack.up(store_url, f"web-{secrets.token_hex(4)}", **settings)
        self.do(self.stack.__aenter__())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def start(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run it in the loop of the servers; cancel the result to end it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def duel(self, browser: Any, server: Process) -> tuple[Person, Process]:
        """A person in the first turn of a duel with a bot, which the server holds; and the bot."""
        mira = Person(browser, server.url, "Mira")
        mira.outages = True
        mira.find_seat()
        bot = self.do(self.stack.bots(1, 1, "--think", "0.2", SERVER_URL=server.url))
        mira.ready()
        mira.page.wait_for_selector("[data-test=launch]:enabled")
        return mira, bot

    def close(self) -> None:
        try:
            self.do(self.stack.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def channel_process(server: int) -> int:
    """The process of the data channels of a server."""
    for pid in children(server):
        if b"rtc_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("the server has no process of data channels")
