"""A client written from docs/protocol.md only: JSON over HTTP and one WebSocket. It must not import Tussle.

A test decides each message that it sends, also invalid ones. It keeps every message that it receives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.http import http_client

Message = dict[str, Any]

CEILING_S = 30.0
"""The longest wait [s]; a test that reaches it fails."""

FRAME, TOPOLOGY = 1, 2
"""The first byte of a binary message."""


class Person:
    """A player of one server, over HTTP: ``async with Person(url) as ada: await ada.login()``. ``address``: of this
    machine, from which it connects; '': any."""

    def __init__(self, url: str, *, address: str = "") -> None:
        self.url = url
        self.token = ""
        self.player = ""
        options = {"transport": httpx.AsyncHTTPTransport(local_address=address)} if address else {}
        self.http = http_client(url, timeout=CEILING_S, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, path: str, body: Message | None = None) -> httpx.Response:
        """Return the response, with any status."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.post(path, json=body or {}, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.get(path, headers=headers)

    async def ask(self, path: str, **body: Any) -> Message:
        """Return the answer to a request. Raises AssertionError if it is refused."""
        answer = await self.post(path, body)
        assert answer.status_code == 200, answer.text
        document: Message = answer.json()
        return document

    async def login(self, **body: Any) -> Self:
        login = await self.ask("/api/login", **body)
        self.token, self.player = login["token"], login["player"]
        return self

    async def look(self, session: str) -> Message:
        """Return the view of a session."""
        answer = await self.get(f"/api/sessions/{session}")
        assert answer.status_code == 200, answer.text
        view: Message = answer.json()
        return view


class Line:
    """One WebSocket and all that it received: ``messages`` (text), ``binary``, and ``closed`` at the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []
        self.binary: list[bytes] = []
        self.arrivals: list[float] = []
        """Arrival times of ``binary`` [s]."""
        self.closed: tuple[int, str] | None = None
        self.resume: str | None = None
        self.seat: int | None = None
        self.last_id = 0
        self._read_up_to = 0
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Self]:
        """Open a socket and send nothing. Leaving the block aborts it without a closing handshake."""
        socket = await connect(url, compression=None, max_size=None, proxy=None, ping_interval=None)
        line = cls(socket)
        try:
            yield line
        finally:
            await line.cut()

    async def cut(self) -> None:
        """Abort the connection, as the death of a process does."""
        self.socket.transport.abort()
        await self._reader

    async def _read(self) -> None:
        try:
            while True:
                data = await self.socket.recv()
                if isinstance(data, bytes):
                    self.binary.append(data)
                    self.arrivals.append(time.monotonic())
                else:
                    self.messages.append(json.loads(data))
                async with self._news:
                    self._news.notify_all()
        except ConnectionClosed as gone:
            self.closed = (gone.rcvd.code, gone.rcvd.reason) if gone.rcvd else (1006, "")
        finally:
            async with self._news:
                self._news.notify_all()

    # sending

    async def say(self, t: str, d: Message | None = None, id: int | None = None) -> None:
        message: Message = {"t": t}
        if id is not None:
            message["id"] = id
        if d is not None:
            message["d"] = d
        await self.send(json.dumps(message))

    async def send(self, data: str | bytes) -> None:
        """Send the data unchanged. Does nothing when the socket is closed."""
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(data)

    async def hello(self, **d: Any) -> Message:
        """Send hello with a ticket or resume token and return the welcome.

        Without ``last_v`` also wait for the first view of the session, and leave it unread: every event of what a test
        does next comes after that view and not within it.
        """
        await self.say("hello", {"protocol": 1, **d})
        welcome = (await self.until("welcome"))["d"]
        self.resume, self.seat, self.last_id = welcome["resume"], welcome["seat"], welcome["last_id"]
        if "last_v" not in d:
            await self.wait(lambda: "session" in self.kinds())
        return dict(welcome)

    async def command(self, t: str, d: Message | None = None) -> Message:
        """Send a command with the next id and return its answer."""
        self.last_id += 1
        await self.say(t, d, self.last_id)
        return await self.answer(self.last_id)

    async def act(self, kind: str = "launch", **numbers: Any) -> Message:
        """Send an ``act`` and return its answer."""
        return await self.command("act", {"kind": kind, "d": numbers})

    # receiving

    async def wait(self, there: Callable[[], Any], ceiling_s: float = CEILING_S) -> Any:
        """Wait until ``there()`` is true and return its value. Raises AssertionError on timeout or close."""
        try:
            async with asyncio.timeout(ceiling_s), self._news:
                while not (found := there()):
                    assert self.closed is None, f"closed with {self.closed}; heard {self.kinds()[-12:]}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not heard in {ceiling_s} s; heard {self.kinds()[-12:]}") from None
        return found

    async def until(self, *kinds: str, ceiling_s: float = CEILING_S, **fields: Any) -> Message:
        """Return the next message of one of these types whose ``d`` has these values. Skips messages before it."""

        def found() -> Message | None:
            while self._read_up_to < len(self.messages):
                message = self.messages[self._read_up_to]
                self._read_up_to += 1
                if message["t"] in kinds and fields.items() <= message.get("d", {}).items():
                    return message
            return None

        message: Message = await self.wait(found, ceiling_s)
        return message

    async def answer(self, id: int) -> Message:
        """Return the ack or error of a command."""
        message: Message = await self.wait(
            lambda: next((m for m in self.messages if m.get("id") == id and m["t"] in ("ack", "error")), None)
        )
        return message

    async def end(self, ceiling_s: float = CEILING_S) -> tuple[int, str]:
        """Wait for the server's close; return code and reason."""
        async with asyncio.timeout(ceiling_s):
            await asyncio.shield(self._reader)
        assert self.closed is not None
        return self.closed

    # what was received

    def kinds(self) -> list[str]:
        return [message["t"] for message in self.messages]

    @property
    def events(self) -> list[Message]:
        """Return the received events: messages with a ``v``, except ``session``."""
        return [message for message in self.messages if "v" in message and message["t"] != "session"]

    @property
    def vs(self) -> list[int]:
        return [event["v"] for event in self.events]

    @property
    def frames(self) -> list[bytes]:
        return [data for data in self.binary if data[0] == FRAME]

    @property
    def topologies(self) -> list[bytes]:
        return [data for data in self.binary if data[0] == TOPOLOGY]


class Duel:
    """Two persons in a private duel, both connected, after ``running``."""

    def __init__(self, persons: tuple[Person, Person], lines: tuple[Line, Line], session: str) -> None:
        self.persons = persons
        self.lines = lines
        self.session = session

    async def turn(self) -> tuple[Line, Line, Message]:
        """Return the line of the acting seat, the other line and the turn_started, once both have received it."""
        started = await self.lines[0].until("turn_started")
        await self.lines[1].until("turn_started", turn=started["d"]["turn"])
        acting = next(line for line in self.lines if line.seat == started["d"]["seat"])
        other = next(line for line in self.lines if line is not acting)
        return acting, other, started


@contextlib.asynccontextmanager
async def duel(url: str, *, body: str = "", **params: Any) -> AsyncIterator[Duel]:
    """Open a duel that runs; its first turn_started is still unread."""
    async with Person(url) as ada, Person(url) as otto:
        for person in (ada, otto):
            await person.login()
        first = await ada.ask("/api/open", ready=True, private=True, params=params, body=body)
        second = await otto.ask("/api/join", session=first["session"], ready=True, body=body)
        async with Line.to(first["ws_url"]) as one, Line.to(second["ws_url"]) as two:
            await one.hello(ticket=first["ticket"])
            await two.hello(ticket=second["ticket"])
            for line in (one, two):
                await line.until("running")
            yield Duel((ada, otto), (one, two), first["session"])
