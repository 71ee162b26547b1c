"""The operators' routes on a real server: every role against every operation, and the effect on a session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.http import healthy, http_client
from tests.support.operators import ENTRY, SECRET
from tests.support.stack import Stack
from tussle.lobby.errors import AuthError, Forbidden
from tussle.lobby.store.store import Store
from tussle.player.client import Client
from tussle.player.transcript import Disconnected


@pytest.fixture
async def stack(store_url: str, realm: str) -> AsyncIterator[Stack]:
    async with Stack.up(store_url, realm, OPERATORS=ENTRY, SIM_SPEED="1") as stack:
        await stack.server()
        yield stack


async def post(client: Client, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Status and problem code."""
    async with http_client(client.server_url) as http:
        answer = await http.post(path, json=body or {}, headers={"authorization": f"Bearer {client.token}"})
        return answer.status_code, str(answer.json().get("code", ""))


async def session_of(client: Client) -> str | None:
    """The session that a player is in."""
    async with http_client(client.server_url) as http:
        answer = await http.get("/api/me", headers={"authorization": f"Bearer {client.token}"})
        session: str | None = answer.json()["session"]
        return session


async def next_event(session: Any, *kinds: str) -> Any:
    async with asyncio.timeout(30):
        async for event in session:
            if event.t in kinds:
                return event
    raise AssertionError(f"none of {kinds} arrived")


async def test_every_role_against_every_operation(stack: Stack, store: Store) -> None:
    """Observers and players get 403 and not_allowed. The operator's calls pause, resume and end the session."""
    async with Client(stack.url) as watcher, Client(stack.url) as ada, Client(stack.url) as boss:
        await watcher.login("watcher")
        await ada.login("ada")
        await boss.login("boss", "a secret of mine")
        seat = await ada.open(mode="spring-damper", size=1, ready=True)
        base = f"/api/sessions/{seat.session}"
        paths = [f"{base}/{operation}" for operation in ("pause", "resume", "end", "kick")] + ["/api/drain"]
        async with ada.connect(seat) as session:
            await next_event(session, "running")
            for path in paths:
                for client in (watcher, ada):
                    assert await post(client, path) == (403, "not_allowed"), path
            assert await post(boss, f"{base}/pause") == (200, "")
            await next_event(session, "session_paused")
            assert (await ada.session(seat.session)).status == "paused"
            assert await post(boss, f"{base}/pause") == (200, "")
            await stack.servers[0].logged("session_paused")
            before = await store.call("XLEN", store.keys.events(seat.session))
            acting = asyncio.create_task(session.act("trigger", x=0.5, v=0.0))
            assert await session.ping() >= 0
            assert await store.call("XLEN", store.keys.events(seat.session)) == before, "a paused world moved"
            assert await post(boss, f"{base}/resume") == (200, "")
            await next_event(session, "session_resumed")
            assert (await next_event(session, "triggered")).d["x"] == 0.5
            await acting
            assert (await ada.session(seat.session)).status == "running"
            assert await post(boss, f"{base}/end") == (200, "")
            ended = await next_event(session, "ended")
            assert ended.d["reason"] == "ended_by_operator"
        assert await post(boss, f"{base}/pause") == (409, "not_running")
        lifecycle = [
            row[1][row[1].index("event") + 1]
            for row in await store.call("XRANGE", store.keys.lifecycle, "-", "+")
        ]
        assert lifecycle[-4:] == ["running", "paused", "running", "ended"]


async def test_a_member_is_kicked_and_a_lobby_ended(stack: Stack) -> None:
    """A kicked member is in no session any more. Ending a lobby removes every member."""
    async with Client(stack.url) as ada, Client(stack.url) as bob, Client(stack.url) as boss:
        me = await ada.login("ada")
        await bob.login("bob")
        await boss.login("boss", "a secret of mine")
        seat = await ada.open(mode="duel", size=3)
        await bob.join(seat.session)
        assert await post(boss, f"/api/sessions/{seat.session}/kick", {"player": "nobody"}) == (
            404,
            "not_member",
        )
        assert await post(boss, f"/api/sessions/{seat.session}/kick", {"player": me.player}) == (200, "")
        assert not await session_of(ada)
        assert await session_of(bob) == seat.session
        assert await post(boss, f"/api/sessions/{seat.session}/end") == (200, "")
        assert not await session_of(bob)
        assert (await ada.session(seat.session)).status == "ended"


async def test_a_name_alone_gives_no_rights(stack: Stack) -> None:
    """A reserved name is refused without its secret, and the first who asks for it by another secret too. A player who
    has any other name has no rights."""
    async with Client(stack.url) as guest, Client(stack.url) as first:
        for secret in (None, "a secret of theirs"):
            with pytest.raises(AuthError) as refused:
                await first.login("boss", secret)
            assert refused.value.reason == "name_taken"
        await guest.login("bos")
        assert await post(guest, "/api/drain") == (403, "not_allowed")


async def test_an_operator_drains_a_server(stack: Stack) -> None:
    """POST /api/drain ends a server as SIGTERM does."""
    async with Client(stack.url) as boss:
        await boss.login("boss", "a secret of mine")
        server = stack.servers[0]
        assert await post(boss, "/api/drain") == (200, "")
        assert await server.wait(30) == 0


async def ask(client: Client, path: str = "/api/admin/overview") -> tuple[int, Any]:
    """Status and JSON of a GET."""
    async with http_client(client.server_url) as http:
        answer = await http.get(path, headers={"authorization": f"Bearer {client.token}"})
        return answer.status_code, answer.json()


async def overview_with(client: Client, check: Any) -> Any:
    """The first overview for which ``check`` is true: reports are published every two seconds."""
    async with asyncio.timeout(30):
        while True:
            status, seen = await ask(client)
            if status == 200 and check(seen):
                return seen
            await asyncio.sleep(0.6)  # the budget of overviews


async def ban_of_an_address(boss: Client, bob: Client, other: str) -> None:
    """An operator bans 127.0.0.77: its requests and sockets are refused on the other server, and an open one and a
    stream are closed, until the ban is lifted. Nobody else may ban; an operator cannot ban its own address, nor what is
    no address."""
    address = "127.0.0.77"
    for path in ("ban-address", "unban-address"):
        assert await post(bob, f"/api/admin/{path}", {"address": address}) == (403, "not_allowed")
    for text, answer in (
        ("127.0.0.1", (409, "conflict")), ("nowhere", (422, "not_an_address")), ("10.0.0.0/8", (422, "not_an_address")),
        ("::1/64 x", (422, "not_an_address")),
    ):  # fmt: skip
        assert await post(boss, "/api/admin/ban-address", {"address": text}) == answer
    too_long = {"address": address, "for_s": 1e9}
    assert await post(boss, "/api/admin/ban-address", too_long) == (422, "out_of_range")
    local = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=other, transport=local, trust_env=False) as eve:
        token = (await eve.post("/api/login", json={})).json()["token"]
        held = {"authorization": f"Bearer {token}"}
        seat = (await eve.post("/api/open", json={"mode": "duel", "private": True}, headers=held)).json()
        async with (
            connect(seat["ws_url"], local_addr=(address, 0), proxy=None) as socket,
            contextlib.AsyncExitStack() as exits,
        ):
            await socket.send(json.dumps({"t": "hello", "d": {"protocol": 1, "ticket": seat["ticket"]}}))
            assert "welcome" in str(await socket.recv())
            stream = await exits.enter_async_context(eve.stream("GET", "/api/sessions/changes"))
            following = stream.aiter_raw()
            assert await anext(following)
            assert await post(boss, "/api/admin/ban-address", {"address": address, "for_s": 600}) == (200, "")
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(30):
                    while True:
                        await socket.recv()
            with pytest.raises(httpx.RemoteProtocolError):
                async with asyncio.timeout(30):
                    while True:
                        await anext(following)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4003
        refused = await eve.get("/api/me", headers=held)
        assert (refused.status_code, refused.json()["code"]) == (403, "banned")
        await healthy(eve)
        with pytest.raises(InvalidStatus):
            async with connect(seat["ws_url"], local_addr=(address, 0), proxy=None):
                pass
        assert (await bob.whoami()).player
        seen = await overview_with(boss, lambda o: o["banned_addresses"])
        assert [one["address"] for one in seen["banned_addresses"]] == [address]
        assert await post(boss, "/api/admin/unban-address", {"address": address}) == (200, "")
        async with asyncio.timeout(30):
            while (await eve.get("/api/me", headers=held)).status_code == 403:
                await overview_with(boss, lambda o: not o["banned_addresses"])


async def test_operators_of_one_server_see_and_order_all(stack: Stack) -> None:
    """The overview has the sessions, players, solvers and budgets of every server. A notice reaches the members on the
    other server, a ban of a player or an address closes their sockets there, and a drain stops it. Every call is in the
    log with its operator."""
    other = await stack.server()
    here = stack.servers[0]
    async with Client(here.url) as boss, Client(other.url) as ada, Client(here.url) as bob:
        await boss.login("boss", SECRET)
        me = await ada.login("ada")
        await bob.login("bob")
        for path, body in (
            ("ban", {"player": me.player}), ("unban", {"player": me.player}), ("notice", {"text": "x"}),
            ("drain", {"server": "x"}),
        ):  # fmt: skip
            assert await post(bob, f"/api/admin/{path}", body) == (403, "not_allowed"), path
        assert (await ask(bob))[0] == 403
        seat = await ada.open(mode="spring-damper", size=1, ready=True, private=True)
        async with ada.connect(seat, give_up_s=5.0) as session:
            await next_event(session, "running")
            await session.act("trigger", x=0.5, v=0.0)
            seen = await overview_with(
                boss, lambda o: o["sessions"] and o["sessions"][0]["tick_rate"] and o["players"]
            )
            [row] = seen["sessions"]
            [member] = row["members"]
            assert (row["session"], row["mode"], member["name"]) == (
                seat.session, "spring-damper", me.name
            )  # fmt: skip
            assert row["solver_ms"] > 0 and row["dilation"] > 0
            assert {one["id"] for one in seen["servers"]} == {
                one["server"] for one in seen["solvers"]
            } and len(seen["servers"]) == 2
            assert [one["player"] for one in seen["players"]] == [me.player]
            assert {"requests", "sockets"} <= {one["resource"] for one in seen["limits"]}
            opened = [
                one for one in seen["limits"] if (one["resource"], one["owner"]) == ("sessions", "player")
            ]
            assert [(key["key"], key["holds"]) for one in opened for key in one["keys"]] == [
                (me.player, 1)
            ] * 2

            assert await post(boss, "/api/admin/notice", {"text": "\x1b[2J"}) == (422, "bad_notice")
            assert await post(boss, "/api/admin/notice", {"text": "Restart at noon."}) == (200, "")
            async with asyncio.timeout(20):
                while session.announcement != "Restart at noon.":  # noqa: ASYNC110
                    await asyncio.sleep(0)

            holder = next(one["id"] for one in seen["servers"] if one["url"] == other.url)
            assert await post(boss, "/api/admin/ban", {"player": "boss"}) == (409, "conflict")
            assert await post(boss, "/api/admin/ban", {"player": me.player, "for_s": 60}) == (200, "")
            with pytest.raises(Disconnected):
                async with asyncio.timeout(30):
                    while True:
                        await session.ping()
        async with Client(other.url, token=ada.token) as banned:
            with pytest.raises(Forbidden) as refused:
                await banned.whoami()
            assert refused.value.reason == "banned"
        seen = await overview_with(boss, lambda o: o["banned"])
        assert [one["player"] for one in seen["banned"]] == [me.player]
        assert await post(boss, "/api/admin/unban", {"player": me.player}) == (200, "")
        assert (await ada.whoami()).player == me.player

        await ban_of_an_address(boss, bob, other.url)
        assert await post(boss, "/api/admin/drain", {"server": "nowhere"}) == (404, "no_such_server")
        assert await post(boss, "/api/admin/drain", {"server": holder}) == (200, "")
        assert await other.wait(30) == 0
        calls = here.said("operator_call")
        assert [call["operation"] for call in calls] == ["notify", "ban", "ban", "ban", "ban", "drain"]
        assert {call["name"] for call in calls} == {"boss"}
        assert [call["code"] for call in here.said("operator_call_refused")] == [
            "bad_notice", "conflict", "conflict", "not_an_address", "not_an_address", "not_an_address", "out_of_range",
            "no_such_server",
        ]  # fmt: skip


async def test_notices_and_overviews_have_a_budget(stack: Stack) -> None:
    """One operator cannot flood the sessions: the sixth notice at once is refused with 429."""
    async with Client(stack.url) as boss:
        await boss.login("boss", SECRET)
        began, sent = time.monotonic(), 0
        while (answer := await post(boss, "/api/admin/notice", {"text": f"Notice {sent}"})) == (200, ""):
            sent += 1
        assert answer == (429, "rate_limited")
        assert 5 <= sent <= 5 + 0.5 * (time.monotonic() - began)
