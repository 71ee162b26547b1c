"""A client written from docs/protocol.md alone: JSON over HTTP and one WebSocket. Nothing of ours is imported here.

It says what it is told to say, also what no proper client says, and keeps everything that it hears.
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

Message = dict[str, Any]

CEILING_S = 30.0
"""No wait is longer; a test that meets it has failed."""

FRAME, TOPOLOGY = 1, 2
"""First byte of a binary message."""


class Person:
    """Somebody at one server, over HTTP. ``async with Person(url) as ada: await ada.login()``"""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""
        self.player = ""
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=CEILING_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, path: str, body: Message | None = None) -> httpx.Response:
        """The answer, whatever it is."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.post(path, json=body or {}, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.get(path, headers=headers)

    async def ask(self, path: str, **body: Any) -> Message:
        """The answer to a request that must not be refused."""
        answer = await self.post(path, body)
        assert answer.status_code == 200, answer.text
        document: Message = answer.json()
        return document

    async def login(self, **body: Any) -> Self:
        login = await self.ask("/api/login", **body)
        self.token, self.player = login["token"], login["player"]
        return self

    async def look(self, session: str) -> Message:
        """The view of a session."""
        answer = await self.get(f"/api/sessions/{session}")
        assert answer.status_code == 200, answer.text
        view: Message = answer.json()
        return view


class Line:
    """One WebSocket and all that came over it: ``messages`` (text), ``binary``, and ``closed`` at the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []
        self.binary: list[bytes] = []
        self.arrivals: list[float] = []
        """When each of ``binary`` came [s]."""
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
        """A line that is open and has said nothing yet. It is cut off at the end, without a closing handshake."""
        socket = await connect(url, compression=None, max_size=None, proxy=None, ping_interval=None)
        line = cls(socket)
        try:
            yield line
        finally:
            await line.cut()

    async def cut(self) -> None:
        """Gone without a word, like a process that was killed."""
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

    # saying

    async def say(self, t: str, d: Message | None = None, id: int | None = None) -> None:
        message: Message = {"t": t}
        if id is not None:
            message["id"] = id
        if d is not None:
            message["d"] = d
        await self.send(json.dumps(message))

    async def send(self, data: str | bytes) -> None:
        """As it is; a line that is closed already takes nothing."""
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(data)

    async def hello(self, **d: Any) -> Message:
        """Say hello with a ticket or resume token; the welcome."""
        await self.say("hello", {"protocol": 1, **d})
        welcome = (await self.until("welcome"))["d"]
        self.resume, self.seat, self.last_id = welcome["resume"], welcome["seat"], welcome["last_id"]
        return dict(welcome)

    async def command(self, t: str, d: Message | None = None) -> Message:
        """A command with the next id; its answer."""
        self.last_id += 1
        await self.say(t, d, self.last_id)
        return await self.answer(self.last_id)

    async def act(self, kind: str = "launch", **numbers: Any) -> Message:
        """Act and wait for the answer."""
        return await self.command("act", {"kind": kind, "d": numbers})

    # hearing

    async def wait(self, there: Callable[[], Any], ceiling_s: float = CEILING_S) -> Any:
        """Until ``there()`` is true; its value. Raises AssertionError when it takes too long or the line closes."""
        try:
            async with asyncio.timeout(ceiling_s), self._news:
                while not (found := there()):
                    assert self.closed is None, f"closed with {self.closed}; heard {self.kinds()[-12:]}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not heard in {ceiling_s} s; heard {self.kinds()[-12:]}") from None
        return found

    async def until(self, *kinds: str, ceiling_s: float = CEILING_S, **fields: Any) -> Message:
        """The next message of one of these types whose ``d`` has these values; what was before it is passed over."""

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
        """The ack or error of a command."""
        message: Message = await self.wait(
            lambda: next((m for m in self.messages if m.get("id") == id and m["t"] in ("ack", "error")), None)
        )
        return message

    async def end(self, ceiling_s: float = CEILING_S) -> tuple[int, str]:
        """Code and reason of the server's close."""
        async with asyncio.timeout(ceiling_s):
            await asyncio.shield(self._reader)
        assert self.closed is not None
        return self.closed

    # what was heard

    def kinds(self) -> list[str]:
        return [message["t"] for message in self.messages]

    @property
    def events(self) -> list[Message]:
        """What has a ``v`` and is an event."""
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
    """Two persons in a private duel of their own, both connected and past ``running``."""

    def __init__(self, persons: tuple[Person, Person], lines: tuple[Line, Line], session: str) -> None:
        self.persons = persons
        self.lines = lines
        self.session = session

    async def turn(self) -> tuple[Line, Line, Message]:
        """The line whose turn it is, the other, and the turn_started, once both have heard it."""
        started = await self.lines[0].until("turn_started")
        await self.lines[1].until("turn_started", turn=started["d"]["turn"])
        acting = next(line for line in self.lines if line.seat == started["d"]["seat"])
        other = next(line for line in self.lines if line is not acting)
        return acting, other, started


@contextlib.asynccontextmanager
async def duel(url: str, *, body: str = "", **params: Any) -> AsyncIterator[Duel]:
    """A duel that has begun and whose first turn nobody has read yet."""
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
