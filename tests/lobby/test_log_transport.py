"""The log transport: every line is published on the channel of its logger, and logging never waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tussle.lobby import log_transport
from tussle.lobby.errors import StoreError
from tussle.lobby.log_transport import LogTransport
from tussle.lobby.logs import configure, get_logger
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store, StoreConnection


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Restore the root logger after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


async def heard(link: StoreConnection, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The next messages: (channel, line)."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            reply = await link.receive(1.0)
            if reply and reply[0] == "pmessage":
                found.append((reply[2], json.loads(reply[3])))
    return found


@contextlib.asynccontextmanager
async def listening(store: Store) -> Any:
    link = await store.link()
    await link.send("PSUBSCRIBE", f"{store.keys.logs}:*")
    assert (await link.receive(5.0))[0] == "psubscribe"
    yield link
    await link.close()


async def test_lines_are_published_by_logger_name(store: Store) -> None:
    """A subscriber gets structured lines on the channel of their logger, those of the standard library too."""
    configure(Settings.read({}, log_level="info"), process="test")
    async with listening(store) as link, LogTransport(store):
        get_logger("server.run").info("seat_taken", seat=1)
        get_logger("server.run").debug("not_shown")
        logging.getLogger("other").warning("plain %s", "words")
        lines = await heard(link, 2)
    (channel, first), (other, second) = lines
    assert (channel, first["event"], first["seat"], first["process"]) == (
        f"{store.keys.logs}:server.run",
        "seat_taken",
        1,
        "test",
    )
    assert first["timestamp"].endswith("Z")
    assert (other, second["event"], second["level"]) == (f"{store.keys.logs}:other", "plain words", "warning")


async def test_an_unreachable_store_does_not_block_logging(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number of lines waits. The oldest are dropped, and their number is published when the store is back."""
    configure(Settings.read({}), process="test")
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)  # it reports slow tasks, as lines
    monkeypatch.setattr(log_transport, "LINES_WAIT", 50)
    monkeypatch.setattr(log_transport, "RETRY_S", 0.01)
    batch, away = store.batch, asyncio.Event()

    async def fails(*_: Any, **__: Any) -> Any:
        away.set()
        raise StoreError("away")

    async with listening(store) as link, LogTransport(store):
        monkeypatch.setattr(store, "batch", fails)
        logger = get_logger("many")
        for n in range(80):
            logger.info("line", n=n)
        async with asyncio.timeout(5):
            await away.wait()
        monkeypatch.setattr(store, "batch", batch)
        lines = await heard(link, 51)
    assert lines[0][1] == {"event": "lines_dropped", "count": 30}
    assert [line["n"] for _, line in lines[1:]] == list(range(30, 80))


async def test_the_last_lines_are_published_at_the_end(store: Store) -> None:
    """Lines that wait at the end are published before the transport closes."""
    configure(Settings.read({}), process="test")
    async with listening(store) as link:
        async with LogTransport(store):
            get_logger("server.app").info("server_stopped")
        assert (await heard(link, 1))[0][1]["event"] == "server_stopped"
