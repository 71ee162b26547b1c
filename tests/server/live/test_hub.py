"""The live hub on a real store: replies, pushed batches, gaps and refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from tests.conftest import World, until
from tests.support.http import http_client
from tests.support.stack import Stack
from tussle.lobby.errors import RateLimited, StoreError
from tussle.lobby.operators import Operators
from tussle.lobby.wire.live import Batches, LivePingData, LivePong
from tussle.lobby.wire.sensors import ReadingBatch, Sensor, SensorInfo
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.live.hub import LiveHub
from tussle.server.live.outbox import BATCHES_WAIT, MESSAGE_BATCHES, Outbox


class Closed(Exception):
    """The fake socket was closed."""


class FakeSocket:
    """A socket without a network."""

    def __init__(self) -> None:
        self.address: str | None = "192.0.2.1"
        self.inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: tuple[int, str] | None = None
        self.takes = asyncio.Event()
        self.takes.set()

    async def recv(self) -> str | bytes:
        message = await self.inbox.get()
        if message is None:
            raise Closed
        return message

    async def send(self, message: str) -> None:
        await self.takes.wait()
        self.sent.put_nowait(json.loads(message))

    async def drained(self) -> None:
        await self.takes.wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = int(code), reason
        self.inbox.put_nowait(None)

    def say(self, t: str, id: int = 1, **d: Any) -> None:
        message: dict[str, Any] = {"t": t, "d": d}
        if t not in ("live", "ping"):
            message["id"] = id
        if t == "sources":
            del message["d"]
        self.inbox.put_nowait(json.dumps(message))

    async def hear(self, t: str) -> dict[str, Any]:
        """The next message, which must be of that type; its d."""
        async with asyncio.timeout(10):
            message = await self.sent.get()
        assert message["t"] == t, message
        d: dict[str, Any] = message["d"]
        return d


async def soon(check: Callable[[], bool]) -> None:
    """Wait until ``check`` holds."""

    async def holds() -> bool:
        return check()

    await until(holds)


@pytest.fixture
async def hub(world: World) -> AsyncIterator[LiveHub]:
    operators = Operators(world.scripts, world.seating)
    ledger = Ledger(world.settings, lambda resource, owner: None)
    hub = LiveHub(world.store, world.accounts, operators, world.settings, ledger)
    task = asyncio.create_task(hub.follow_sources())
    yield hub
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def client(hub: LiveHub, world: World) -> AsyncIterator[FakeSocket]:
    """A client that has logged in."""
    socket = FakeSocket()
    login = await world.accounts.login(name="eve", secret=None, kind="person", bearer=None)
    serving = asyncio.create_task(hub.serve(socket))
    socket.say("live", protocol=1, login=login.token)
    assert (await socket.hear("live"))["role"] == "observer"
    try:
        yield socket
    finally:
        socket.inbox.put_nowait(None)
        with contextlib.suppress(Closed):
            await serving


INFO = SensorInfo("mock", "mock", 1.0, (Sensor("sine", "1", "a sine"),), "2026-11-20T00:00:00+00:00")


async def publish(world: World, source: str, value: float, at: str = "2026-11-20T10:00:00.000+00:00") -> None:
    keys = world.store.keys
    stream = keys.source(source)
    info = msgspec.structs.replace(INFO, source=source)
    await world.store.run(
        "source",
        [keys.sources, stream],
        [
            source,
            keys.live(stream),
            keys.sources,
            1000,
            at,
            json.dumps({"sine": value}),
            msgspec.json.encode(info),
        ],
    )


async def test_a_client_subscribes_and_gets_batches_until_it_leaves(hub: LiveHub, world: World) -> None:
    """A client logs in, reads the sensor info, subscribes and gets batches in order; its subscription ends with it."""
    await publish(world, "mock", 0.5)
    async with client(hub, world) as socket:
        socket.say("sources", id=7)
        assert (await socket.hear("sources"))["sources"] == ["mock"]
        socket.say("sensor_info", source="mock")
        info = await socket.hear("sensor_info")
        assert msgspec.convert(info, SensorInfo) == INFO
        socket.say("subscribe", source="mock")
        assert await socket.hear("subscribed") == {"source": "mock", "n": 1}
        for n in (2, 3):
            await publish(world, "mock", n / 10)
            batches = await socket.hear("batches")
            assert batches == {
                "source": "mock",
                "batches": [
                    {"n": n, "timestamp": "2026-11-20T10:00:00.000+00:00", "readings": {"sine": n / 10}}
                ],
            }
        assert hub.subscriber_count("mock") == 1
    assert (len(hub), hub.subscriber_count("mock")) == (0, 0)
    channel = world.store.keys.live(world.store.keys.source("mock"))

    async def unsubscribed() -> bool:
        return not (await world.store.call("PUBSUB", "NUMSUB", channel))[1]

    await until(unsubscribed)


async def test_old_batches_are_not_sent_to_a_new_subscriber(hub: LiveHub, world: World) -> None:
    """A new subscriber gets no batch until a new one is published."""
    await publish(world, "mock", 0.5)
    async with client(hub, world) as socket:
        socket.say("subscribe", source="mock")
        await socket.hear("subscribed")
        socket.say("ping", at=1)
        await socket.hear("pong")
        assert socket.sent.empty()


async def test_a_client_that_reconnects_gets_the_missed_batches(hub: LiveHub, world: World) -> None:
    """With ``after`` the missed batches come first, without a gap."""
    for n in range(1, 6):
        await publish(world, "mock", n)
    async with client(hub, world) as socket:
        socket.say("subscribe", source="mock", after=2)
        assert (await socket.hear("subscribed"))["n"] == 5
        batches = await socket.hear("batches")
        assert [batch["n"] for batch in batches["batches"]] == [3, 4, 5]
        assert "gap" not in batches


async def test_trimmed_batches_are_reported_as_a_gap(hub: LiveHub, world: World) -> None:
    """The reply has the first and last number of the batches that the stream no longer has."""
    for n in range(1, 11):
        await publish(world, "mock", n)
    await world.store.call("XTRIM", world.store.keys.source("mock"), "MAXLEN", 3)
    async with client(hub, world) as socket:
        socket.say("subscribe", source="mock", after=4)
        await socket.hear("subscribed")
        batches = await socket.hear("batches")
        assert batches["gap"] == {"first": 5, "last": 7}
        assert [batch["n"] for batch in batches["batches"]] == [8, 9, 10]


async def test_unreadable_entries_are_left_out(hub: LiveHub, world: World) -> None:
    """An entry that no version of Tussle wrote is skipped, also as the newest one; its number is a gap. The connection
    is kept, and batches after it come."""
    for n in range(1, 4):
        await publish(world, "mock", n)
    stream = world.store.keys.source("mock")
    for n in ("what", str(2**70), "-3"):
        await world.store.call("XADD", stream, "*", "n", n, "timestamp", "", "readings", "{}")
    await world.store.call("XADD", stream, "*", "other", "fields")
    async with client(hub, world) as socket:
        socket.say("subscribe", source="mock", after=2)
        assert (await socket.hear("subscribed"))["n"] == 3
        assert [batch["n"] for batch in (await socket.hear("batches"))["batches"]] == [3]
        await world.store.call("XADD", stream, "*", "n", "5", "timestamp", "", "readings", '{"sine":5}')
        await world.store.call("PUBLISH", world.store.keys.live(stream), "5")
        batches = await socket.hear("batches")
        assert [batch["n"] for batch in batches["batches"]] == [5]
        assert batches["gap"] == {"first": 4, "last": 4}


async def test_an_unreadable_sensor_info_is_an_error_of_one_command(hub: LiveHub, world: World) -> None:
    await world.store.call("HSET", world.store.keys.sources, "mock", '{"source": 1}')
    async with client(hub, world) as socket:
        socket.say("sensor_info", source="mock")
        assert (await socket.hear("error"))["code"] == "store_unavailable"
        socket.say("ping")
        await socket.hear("pong")


@pytest.mark.parametrize("failing", [1, 2])
async def test_a_subscription_that_fails_leaves_no_reader(
    hub: LiveHub, world: World, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """The store fails while the position is read, or while the missed batches are: nobody is subscribed, and no hints
    are awaited for nobody. The next attempt succeeds."""
    for n in range(1, 4):
        await publish(world, "mock", n)
    reads, call = 0, world.store.call

    async def fails(*words: Any, **options: Any) -> Any:
        nonlocal reads
        reads += words[0] == "XREVRANGE"
        if words[0] == "XREVRANGE" and reads == failing:
            raise StoreError("it does not answer")
        return await call(*words, **options)

    async def hint_readers() -> int:
        channel = world.store.keys.live(world.store.keys.source("mock"))
        return int((await call("PUBSUB", "NUMSUB", channel))[1])

    async def nobody_listens() -> bool:
        return not await hint_readers()

    monkeypatch.setattr(world.store, "call", fails)
    async with client(hub, world) as socket:
        socket.say("subscribe", source="mock", after=0)
        assert (await socket.hear("error"))["code"] == "store_unavailable"
        assert hub.source_count == 0
        await until(nobody_listens)
        socket.say("subscribe", source="mock", after=0)
        await socket.hear("subscribed")
        assert [batch["n"] for batch in (await socket.hear("batches"))["batches"]] == [1, 2, 3]
        assert hub.source_count == 1


async def test_a_new_source_is_announced(hub: LiveHub, world: World) -> None:
    """Clients get a message when a source appears, when a session runs and when it ends."""
    async with client(hub, world) as socket:
        socket.say("sensor_info", source="mock")
        assert (await socket.hear("error"))["code"] == "no_such_source"
        await publish(world, "mock", 0.5)
        assert await socket.hear("source_added") == {"source": "mock"}
        fence, _ = await world.running()
        assert await socket.hear("source_added") == {"source": fence.session}
        await world.runs.finish(fence, 1, [], world.result(["a", "b"], {}))
        assert await socket.hear("source_gone") == {"source": fence.session}


async def test_a_sessions_readings_are_fenced(hub: LiveHub, world: World) -> None:
    """Batches are numbered from 1 per session; a batch after the end is refused and creates no key."""
    fence, _ = await world.running()
    keys, stream = world.store.keys, world.store.keys.telemetry(fence.session)
    arguments = [fence.server, fence.nonce, fence.epoch, keys.live(stream), 100, "2026-11-20T10:00:00+00:00"]
    async with client(hub, world) as socket:
        socket.say("sensor_info", source=fence.session)
        assert (await socket.hear("error"))["code"] == "no_readings_yet"
        socket.say("subscribe", source=fence.session)
        await socket.hear("subscribed")
        info = msgspec.json.encode(msgspec.structs.replace(INFO, source=fence.session))
        for n in (1, 2):
            reply = await world.store.run(
                "telemetry", [keys.session(fence.session), stream], [*arguments, '{"score":[1,null]}', info]
            )
            assert reply == ["OK", str(n)]
            batches = await socket.hear("batches")
            assert batches["batches"][0]["readings"] == {"score": [1, None]}
        socket.say("sensor_info", source=fence.session)
        assert (await socket.hear("sensor_info"))["source"] == fence.session
    await world.runs.finish(fence, 1, [], world.result(["a", "b"], {}))
    await world.store.call("DEL", stream)
    with pytest.raises(Exception, match="ended"):
        await world.store.run("telemetry", [keys.session(fence.session), stream], [*arguments, "{}", info])
    assert not await world.store.call("EXISTS", stream)


async def test_a_session_keeps_its_smallest_distance(world: World) -> None:
    """The view has the smallest distance of all batches; null is ignored."""
    fence, _ = await world.running()
    keys, stream = world.store.keys, world.store.keys.telemetry(fence.session)
    info = msgspec.json.encode(msgspec.structs.replace(INFO, source=fence.session))
    arguments = [fence.server, fence.nonce, fence.epoch, keys.live(stream), 100, "2026-11-20T10:00:00+00:00"]
    seen = []
    for near in ("null", "0.25", "1.5e-06", "0.5", "null", "1.25e-06"):
        readings = f'{{"min_distance":{near}}}'
        await world.store.run(
            "telemetry", [keys.session(fence.session), stream], [*arguments, readings, info]
        )
        seen.append((await world.views.view(fence.session)).min_distance)
    assert seen == [None, 0.25, 1.5e-6, 1.5e-6, 1.5e-6, 1.25e-6]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"t":"live","d":{"protocol":1,"login":"nonsense"}}', 4003),
        ('{"t":"live","d":{"protocol":99,"login":"x"}}', 4012),
        ('{"t":"sources","id":1}', 4004),
        ("{", 4004),
        ("[]", 4004),
    ],
)
async def test_a_client_without_a_valid_login_is_closed(
    hub: LiveHub, world: World, first: str, code: int
) -> None:
    """If the first message is not a valid login, the connection is closed with the documented code."""
    socket = FakeSocket()
    socket.inbox.put_nowait(first)
    await hub.serve(socket)
    assert socket.closed is not None and socket.closed[0] == code
    assert len(hub) == 0


async def test_bad_messages_get_errors_and_a_flood_is_closed(hub: LiveHub, world: World) -> None:
    """A bad message gets an error with a code; too many messages close the connection with 4013."""
    async with client(hub, world) as socket:
        for text in (
            "{",
            '{"t":"dance"}',
            '{"t":"subscribe","d":{"source":""}}',
            '{"t":"live","d":{"protocol":1,"login":"x"}}',
        ):
            socket.inbox.put_nowait(text)
            assert (await socket.hear("error"))["code"] in ("bad_json", "bad_message", "hello_again")
        socket.takes.clear()
        for _ in range(world.settings.message_burst + 10):
            socket.say("ping", at=0)
        async with asyncio.timeout(5):
            while socket.closed is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert socket.closed[0] == 4013


def batch(n: int) -> ReadingBatch:
    return ReadingBatch(n, "2026-11-20T10:00:00+00:00", {"a": 1.0})


def test_an_outbox_delivers_each_batch_once_in_order() -> None:
    """Queued batches are merged into few messages; a repeated batch is left out."""
    box = Outbox()
    box.follow("s", 0)
    for n in range(1, 121):
        box.offer("s", [batch(n)])
    box.offer("s", [batch(119), batch(120)])
    taken = box.take()
    assert [len(m.d.batches) for m in taken if isinstance(m, Batches)] == [
        MESSAGE_BATCHES,
        MESSAGE_BATCHES,
        20,
    ]
    assert all(m.d.gap is None for m in taken if isinstance(m, Batches))
    assert not box.ready.is_set() and box.take() == []
    box.offer("s", [batch(120)])
    assert box.take() == []


def test_an_outbox_reports_dropped_batches() -> None:
    """On overflow the oldest batches are dropped, and the gap has their numbers."""
    box = Outbox()
    box.follow("s", 0)
    box.offer("s", [batch(n) for n in range(1, BATCHES_WAIT + 11)])
    first = box.take()[0]
    assert isinstance(first, Batches) and first.d.gap is not None
    assert (first.d.gap.first, first.d.gap.last, first.d.batches[0].n) == (1, 10, 11)


def test_an_outbox_is_bounded() -> None:
    """A client that never reads its replies gets RateLimited; a source that is not followed delivers nothing."""
    box = Outbox()
    with pytest.raises(RateLimited):
        for _ in range(10_000):
            box.reply(LivePong(LivePingData(0)))
    box.follow("s", 0)
    box.unfollow("s")
    box.offer("s", [batch(1)])
    assert not any(isinstance(message, Batches) for message in box.take())


async def test_a_live_client_sees_a_whole_duel_over_a_socket(store_url: str, realm: str) -> None:
    """Bots play a duel; a live client gets its readings in order and without gaps until it ends."""
    async with Stack.up(store_url, realm, TELEMETRY_HZ="50") as stack:
        server = await stack.server()
        login = await _login(server.url)
        async with connect(server.url.replace("http", "ws") + "/live") as socket:

            async def hear() -> dict[str, Any]:
                async with asyncio.timeout(60):
                    message: dict[str, Any] = json.loads(await socket.recv())
                return message

            await socket.send(json.dumps({"t": "live", "d": {"protocol": 1, "login": login}}))
            assert (await hear())["t"] == "live"
            bots = await stack.bots(2, 1)
            session = (await hear())["d"]["source"]
            await socket.send(json.dumps({"t": "subscribe", "id": 1, "d": {"source": session, "after": 0}}))
            seen: list[dict[str, Any]] = []
            while (message := await hear())["t"] != "source_gone":
                assert message["t"] in ("subscribed", "batches"), message
                if message["t"] == "batches":
                    assert "gap" not in message["d"]
                    seen += message["d"]["batches"]
            assert await bots.wait(60) == 0
            assert [batch["n"] for batch in seen] == list(range(1, len(seen) + 1))
            assert len(seen) > 10
            names = {
                "tick",
                "energy",
                "contacts",
                "min_distance",
                "iterations",
                "step_time",
                "input_rate",
                "frame_bytes",
                "score",
            }
            assert names <= set(seen[0]["readings"])
            assert any(batch["readings"]["input_rate"] > 0 for batch in seen)
            assert all(
                batch["readings"]["min_distance"] is None or batch["readings"]["min_distance"] > 0
                for batch in seen
            )
            assert max(batch["readings"]["energy"] for batch in seen) > 0


async def _login(url: str) -> str:
    async with http_client(url) as http:
        answer = await http.post("/api/login", json={"name": "eve"})
        return str(answer.json()["token"])


async def test_sockets_of_a_player_are_held_and_given_back(hub: LiveHub, world: World) -> None:
    """A player has at most PLAYER_CONNECTIONS sockets on /live; a closed one makes room, a refused one takes none."""
    login = await world.accounts.login(name=None, secret=None, kind="person", bearer=None)
    serving: list[asyncio.Task[None]] = []

    async def come() -> FakeSocket:
        socket = FakeSocket()
        serving.append(asyncio.create_task(hub.serve(socket)))
        socket.say("live", protocol=1, login=login.token)
        return socket

    most = world.settings.player_connections
    sockets = [await come() for _ in range(most)]
    for socket in sockets:
        await socket.hear("live")
    for _ in range(2):
        refused = await come()
        await soon(lambda refused=refused: refused.closed is not None)
        assert refused.closed is not None and refused.closed[0] == 4013
    sockets[0].inbox.put_nowait(None)
    with contextlib.suppress(Closed):
        await serving[0]
    last = await come()
    await last.hear("live")
    for socket in [*sockets[1:], last]:
        socket.inbox.put_nowait(None)
    await asyncio.gather(*serving, return_exceptions=True)
    assert hub._ledger.held(Resource.SOCKETS, Owner.PLAYER, login.player) == 0


async def test_costly_messages_are_priced_for_the_player(hub: LiveHub, world: World) -> None:
    """A list of all sources costs several messages, of a socket and of all sockets of its player together."""
    hub._settings = replace(world.settings, message_rate=1.0, message_burst=120)
    hub._ledger = Ledger(hub._settings, lambda resource, owner: None)
    login = await world.accounts.login(name=None, secret=None, kind="person", bearer=None)
    serving: list[asyncio.Task[None]] = []

    async def listed(socket: FakeSocket, count: int) -> bool:
        """Whether so many lists are answered."""
        for _ in range(count):
            socket.say("sources")
            await soon(lambda: socket.closed is not None or not socket.sent.empty())
            if socket.closed is not None:
                assert socket.closed[0] == 4013
                return False
            await socket.hear("sources")
        return True

    sockets = [FakeSocket() for _ in range(3)]
    for socket in sockets:
        serving.append(asyncio.create_task(hub.serve(socket)))
        socket.say("live", protocol=1, login=login.token)
        await socket.hear("live")
    assert await listed(sockets[0], 20) and not await listed(sockets[0], 30)
    assert await listed(sockets[1], 20)
    assert not await listed(sockets[2], 20)  # the player has spent its budget, this socket has not
    for socket in sockets:
        socket.inbox.put_nowait(None)
    await asyncio.gather(*serving, return_exceptions=True)
