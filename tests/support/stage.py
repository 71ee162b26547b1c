"""A WebSocket server on a free port that serves a ModelSession. A test can cut, stop and start it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support.pair import ModelSession
from tussle.lobby.wire.client_messages import Hello, Leave, decode_client
from tussle.lobby.wire.messages import Event, encode
from tussle.player.connection import SessionConnection


class Stage:
    """The server, as an async context. ``met`` is set at every hello, ``heard`` at every message."""

    def __init__(self, session: ModelSession | None = None) -> None:
        self.session = session or ModelSession()
        self.port = 0
        self.met = asyncio.Event()
        self.heard = asyncio.Event()
        self.greeting: list[bytes] = []
        self.deaf = False
        self.move_to = ""
        self._server: Server | None = None
        self._sockets: set[ServerConnection] = set()

    async def __aenter__(self) -> Stage:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> None:
        self._server = await serve(self._handle, "127.0.0.1", self.port, compression=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self, code: int = 4001) -> None:
        if self._server is not None:
            await self.cut(code)
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def publish(self, kind: str, d: dict[str, Any] | None = None, *, lost: bool = False) -> Event:
        event = self.session.publish(kind, d)
        if not lost:
            await self.say(encode(event))
        return event

    async def say(self, data: bytes, *, text: bool = True) -> None:
        for socket in list(self._sockets):
            with contextlib.suppress(ConnectionClosed):
                await socket.send(data, text=text)

    async def cut(self, code: int, reason: str = "") -> None:
        """Close every connection with ``code``; 1006 aborts them without a close frame."""
        self.met.clear()
        for socket in list(self._sockets):
            if code == 1006:
                socket.transport.abort()
            else:
                await socket.close(code, reason)

    async def _handle(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in socket:
                if self.deaf:
                    continue
                if self.move_to:
                    await socket.close(4011, self.move_to)
                    return
                message = decode_client(data)
                good = self.session.tickets
                if (
                    isinstance(message, Hello)
                    and message.d.ticket
                    and good is not None
                    and message.d.ticket not in good
                ):
                    await socket.close(4003, "ticket_refused")
                    return
                replies = self.session.answer(data)
                self.heard.set()
                for reply in replies:
                    await socket.send(reply, text=True)
                if socket not in self._sockets:
                    self._sockets.add(socket)
                    for binary in self.greeting:
                        await socket.send(binary)
                    self.met.set()
                if isinstance(message, Leave):
                    await socket.close(4000)
        self._sockets.discard(socket)


def connect(stage: Stage, *, give_up_s: float = 10.0) -> SessionConnection:
    """A client's connection to the stage, not entered yet."""
    return SessionConnection(stage.ws_url, ticket="ticket", give_up_s=give_up_s, rng=random.Random(1))


async def take(connection: SessionConnection, count: int) -> list[Event]:
    """The next ``count`` events."""
    events: list[Event] = []
    async with asyncio.timeout(10):
        async for event in connection:
            events.append(event)
            if len(events) == count:
                break
    return events
