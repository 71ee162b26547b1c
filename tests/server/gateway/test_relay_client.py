"""The members' end of a relay: two servers behind one address, whose members play one session.

A small proxy passes each new connection to the next server, as a load balancer does. All servers then have one public
address, so that a server cannot redirect a client to the holder and relays instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.conftest import until
from tests.support.http import http_client
from tests.support.stack import Process, Stack
from tussle.lobby.errors import Conflict, LobbyError
from tussle.lobby.store.embedded import free_port
from tussle.lobby.wire.messages import Event
from tussle.player.client import Client
from tussle.player.connection import SessionConnection
from tussle.server.gateway.relay_client import Relays, RemoteRun
from tussle.server.modes.mode import stream
from tussle.server.modes.registry import get_mode
from tussle.server.sessions.core import Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

DUEL_S = 120.0


@dataclass
class Proxy:
    """Passes each connection to the next server that accepts it."""

    stack: Stack
    port: int
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    turn: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            servers = self.stack.servers
            for _ in servers:
                server = servers[next(self.turn) % len(servers)]
                with contextlib.suppress(OSError):
                    upstream = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
                    await asyncio.gather(self.copy(reader, upstream[1]), self.copy(upstream[0], writer))
                    return
        finally:
            writer.close()
            self.tasks.discard(task)

    @staticmethod
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(store_url: str) -> AsyncIterator[Proxy]:
    """Two servers whose PUBLIC_URL is the proxy's address."""
    port = free_port()
    environment = {
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SIM_SPEED": "4",
        "BOT_TURN_S": "20",
        "LEASE_MS": "1000",
    }
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", **environment) as stack:
        await asyncio.gather(stack.server(), stack.server())
        proxy = Proxy(stack, port)
        listening = await asyncio.start_server(proxy.take, "127.0.0.1", port)
        yield proxy
        listening.close()
        for task in list(proxy.tasks):
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)


async def metric(server: Process, name: str) -> float:
    async with http_client() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.split(" ")[0] == name)


async def seats_on_both(proxy: Proxy, stack: contextlib.AsyncExitStack) -> list[SessionConnection]:
    """Two members of one session, one on each server."""

    async def alone() -> bool:
        return not any([await metric(server, "tussle_connections") for server in proxy.stack.servers])

    await until(alone)  # the connections of another test may still be closing
    clients = [await stack.enter_async_context(Client(proxy.url)) for _ in range(2)]
    connections: list[SessionConnection] = []
    for client in clients:
        await client.login(kind="bot")
    first = await clients[0].open(mode="duel", size=2, ready=True)
    second = await clients[1].join(first.session, ready=True)
    for client, join in zip(clients, (first, second), strict=True):
        before = [await metric(server, "tussle_connections") for server in proxy.stack.servers]
        connections.append(await stack.enter_async_context(client.connect(join)))
        if len(connections) == 2:
            continue
        # The second member needs the other server. The proxy skips a server if the next one is the first member's.
        after = [await metric(server, "tussle_connections") for server in proxy.stack.servers]
        at = next(i for i, (a, b) in enumerate(zip(after, before, strict=True)) if a > b)
        if next(proxy.turn) % 2 == at:
            continue
        next(proxy.turn)
    return connections


async def play(
    connection: SessionConnection,
    heard: list[Event],
    acknowledged: list[int],
    underway: asyncio.Event | None = None,
) -> None:
    """Play to the end as a good bot; ``underway`` is set at the second turn."""
    mode = get_mode("duel")
    async for event in connection:
        heard.append(event)
        if underway is not None and event.t == "turn_started" and event.d["turn"] >= 1:
            underway.set()
        if event.t == "turn_started" and event.d["seat"] == connection.seat:
            action = mode.bot(
                event.d, connection.seat, "good", None, stream(7, event.d["turn"], connection.seat)
            )
            with contextlib.suppress(LobbyError):
                tick = await connection.act(action.kind, **action.d)
                acknowledged.append(tick or 0)
        if event.t in ("ended", "failed"):
            return


def check_transcripts(heard: list[list[Event]]) -> None:
    """Both members got the same events in order, and ``ended`` once."""
    for story in heard:
        numbered = [event.v for event in story if event.t != "session"]
        assert numbered == sorted(set(numbered))
        assert [event.t for event in story].count("ended") == 1
    common = {event.v for event in heard[0]} & {event.v for event in heard[1]}
    first, second = ({event.v: event for event in story} for story in heard)
    for v in common:
        if "session" not in (first[v].t, second[v].t):
            assert first[v] == second[v]


async def test_members_on_two_servers_play_one_session(proxy: Proxy) -> None:
    """Every input is acknowledged. Both members get frames and the same events."""
    async with asyncio.timeout(DUEL_S), contextlib.AsyncExitStack() as stack:
        connections = await seats_on_both(proxy, stack)
        live = [await metric(server, "tussle_connections") for server in proxy.stack.servers]
        assert sorted(live) == [1.0, 1.0]
        heard: list[list[Event]] = [[], []]
        acknowledged: list[list[int]] = [[], []]
        await asyncio.gather(*(play(c, heard[i], acknowledged[i]) for i, c in enumerate(connections)))
        check_transcripts(heard)
        turns = [event for event in heard[0] if event.t == "turn_started"]
        assert len(acknowledged[0]) + len(acknowledged[1]) == len(turns)
        for connection in connections:
            assert connection.frame is not None
            assert connection.topology is not None


async def test_relayed_members_follow_a_session_to_its_next_holder(proxy: Proxy) -> None:
    """The holder is killed during a duel. The member on the other server stays connected and plays on."""
    async with asyncio.timeout(DUEL_S), contextlib.AsyncExitStack() as stack:
        connections = await seats_on_both(proxy, stack)
        underway = asyncio.Event()
        heard: list[list[Event]] = [[], []]
        acknowledged: list[list[int]] = [[], []]
        playing = [
            asyncio.create_task(play(c, heard[i], acknowledged[i], underway))
            for i, c in enumerate(connections)
        ]
        await underway.wait()
        [holder] = [server for server in proxy.stack.servers if await metric(server, "tussle_sessions")]
        await holder.kill()
        await asyncio.gather(*playing)
        check_transcripts(heard)
        assert any(event.t == "recovered" and event.d["exact"] for event in [*heard[0], *heard[1]])


async def test_waiting_inputs_reach_a_run_on_this_server_in_order() -> None:
    """This server takes over the session. Its run gets the waiting inputs in order, before any newer input."""

    class LocalRun:
        """A run that records its inputs, and the relays of the server that holds it."""

        def __init__(self) -> None:
            self.asked: list[tuple[int, Answer]] = []
            self.number = 0

        def accept_input(
            self, seat: int, command: int, kind: str, d: Any, at: float, answer: Answer, again: bool
        ) -> None:
            if command == 3:
                raise Conflict("full", code="too_many_inputs")
            self.asked.append((command, answer))

        def own_run(self, token: str) -> LocalRun:
            return self

        def next_number(self) -> int:
            self.number += 1
            return self.number

        async def connect_to_holder(self, token: str) -> None:
            raise Conflict("this server holds the session", code="ours")

    local: Any = LocalRun()
    answers: list[Any] = []
    remote = RemoteRun("k7qm2xpv", local, local)
    for command in range(1, 5):
        remote.accept_input(0, command, "move", {}, 0.0, answers.append, False)
    async with asyncio.timeout(5):
        while len(local.asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [command for command, _ in local.asked] == [1, 2, 4]
    for tick, (_, answer) in enumerate(local.asked, 10):
        answer(tick)
    assert [one if isinstance(one, int) else one.reason for one in answers] == ["too_many_inputs", 10, 11, 12]
    async with asyncio.timeout(5):
        await remote.task


async def test_a_newer_input_does_not_overtake_those_that_waited_for_the_run() -> None:
    """A session begins on this server. Its first inputs came before its run was there. A newer one finds the run, and
    the run gets the older ones first, each once."""

    class Taken:
        """A run that records its inputs."""

        def __init__(self) -> None:
            self.asked: list[tuple[int, Answer]] = []

        def accept_input(
            self, seat: int, command: int, kind: str, d: Any, at: float, answer: Answer, again: bool
        ) -> None:
            self.asked.append((command, answer))

    runs: dict[str, Any] = {}
    holder: Any = SimpleNamespace(runs=runs)
    views: Any = SimpleNamespace(holder_of=None)
    audience: Any = SimpleNamespace(token="k7qm2xpv")

    async def never(_: str) -> None:
        await asyncio.Event().wait()

    views.holder_of = never
    relays = Relays(views, cast(Any, None), holder)
    answers: list[tuple[int, object]] = []

    def send(command: int) -> None:
        run = relays.find_run("k7qm2xpv") or relays.remote(audience)
        run.accept_input(
            0, command, "move", {}, 0.0, lambda outcome: answers.append((command, outcome)), False
        )

    for command in range(1, 13):
        send(command)
    run = runs["k7qm2xpv"] = Taken()
    for command in (13, 14):
        send(command)
    assert [command for command, _ in run.asked] == list(range(1, 15))
    run.asked[0][1](7)
    for _, answer in run.asked[1:]:
        answer(None)  # the run ends before it has journaled them
    assert answers == [(1, 7), (13, None), (14, None)]
    again = runs["k7qm2xpv"] = Taken()
    send(15)
    assert [command for command, _ in again.asked] == [*range(2, 13), 15]
    for tick, (_, answer) in enumerate(again.asked, 8):
        answer(tick)
    assert [command for command, outcome in answers if outcome is not None] == [1, *range(2, 13), 15]
    await relays.close()
