"""Several clients edit one scene on a real server: locks, conflicts, messages, reads over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import connected, until
from tests.support.gateway import GATEWAY_ENVIRONMENT
from tests.support.scenes import SmallScenes, cube, documents_of, read_log, replay_log
from tests.support.stack import Stack
from tests.support.stranger import Line, Message, Person
from tussle.lobby.scene_documents import Edit
from tussle.lobby.scene_store import LOCK_MS, SceneStore
from tussle.lobby.settings import Settings

ENVIRONMENT = GATEWAY_ENVIRONMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Workshop:
    """A waiting sandbox: its members' connections, an observer's, and one for HTTP."""

    session: str
    people: list[Person]
    lines: list[Line]
    observer: Line

    async def read(self, path: str = "", **headers: str) -> Any:
        return await self.people[0].http.get(f"/api/sessions/{self.session}/scene{path}", headers=headers)

    async def listing(self) -> Message:
        answer = await self.read()
        assert answer.status_code == 200, answer.text
        found: Message = answer.json()
        return found


@contextlib.asynccontextmanager
async def workshop(site: Stack, members: int = 2, **options: Any) -> AsyncIterator[Workshop]:
    """A private sandbox with connected members who are not ready."""
    async with contextlib.AsyncExitStack() as stack:
        people = [await stack.enter_async_context(Person(site.url)) for _ in range(members + 1)]
        for person in people:
            await person.login()
        options = {"size": 16, "private": True, "ready": False, **options}
        seats = [await people[0].ask("/api/open", mode="sandbox", **options)]
        session = seats[0]["session"]
        seats += [await person.ask("/api/join", session=session) for person in people[1:members]]
        seats.append(await people[-1].ask("/api/observe", session=session))
        lines = []
        for seat in seats:
            lines.append(await stack.enter_async_context(Line.to(seat["ws_url"])))
            await lines[-1].hello(ticket=seat["ticket"])
            await lines[-1].until("session")
        yield Workshop(session, people, lines[:-1], lines[-1])


async def lock(line: Line, body: str) -> int:
    """The token of a lock."""
    reply = await line.command("lock", {"body": body})
    assert reply["t"] == "ack", reply
    token: int = reply["d"]["lock"]
    return token


def added(body: str, x: float = 1.0) -> Message:
    return {"edits": [{"body": body, "base": 0, "document": cube(x)}]}


async def test_an_edit_is_announced_and_read_over_http(site: Stack) -> None:
    """Members and observers get versions only; the document, its ETag and the whole scene are read over HTTP."""
    async with workshop(site) as shop:
        first = await shop.listing()
        assert first["version"] == 1 and first["editable"]
        assert [body["body"] for body in first["bodies"]][-1] == "floor"
        assert first["used"]["bodies"] == len(first["bodies"]) <= first["limits"]["bodies"]
        ack = await shop.lines[0].command("edit", added("cube-1"))
        (body,) = ack["d"]["bodies"]
        assert ack["d"]["version"] == body["version"] == 2
        for line in (*shop.lines, shop.observer):
            assert (await line.until("scene"))["d"] == {
                "version": 2, "changed": [{"body": "cube-1", "version": 2}],
            }  # fmt: skip
        answer = await shop.read("/bodies/cube-1")
        found = answer.json()
        assert (found["version"], found["sha256"]) == (2, body["sha256"])
        assert found["document"]["position"] == [1, 0.5, 0]
        again = await shop.read("/bodies/cube-1", **{"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await shop.read("/bodies/nobody")).json()["code"] == "no_such_body"
        assert (await shop.read("/bodies/world")).json()["document"]["schema"] == "tussle-scene/1"
        whole = await shop.read(".json")
        assert [one["id"] for one in whole.json()["bodies"]] == [
            one["body"] for one in (await shop.listing())["bodies"]
        ]


async def test_locks_are_seen_and_free_when_their_holder_disconnects(site: Stack) -> None:
    """A lock is announced with its seat, refuses the others by name, and is free at once after a cut connection."""
    async with workshop(site) as shop:
        ada, bob = shop.lines
        await ada.command("edit", added("cube-1"))
        token = await lock(ada, "cube-1")
        assert (await bob.until("lock"))["d"] == {"body": "cube-1", "seat": 0}
        refused = await bob.command("lock", {"body": "cube-1"})
        assert refused["d"]["code"] == "body_locked"
        bare = {"edits": [{"body": "cube-1", "base": 2, "delta": {"position": [0, 1, 0]}}]}
        assert (await ada.command("edit", bare))["d"]["code"] == "lock_required"
        bare["edits"][0]["lock"] = token
        moved = await ada.command("edit", bare)
        assert moved["d"]["version"] == 3
        stale = await ada.command("edit", bare)
        assert stale["d"]["code"] == "stale_version"
        detail = stale["d"]["detail"]
        assert (detail["version"], detail["document"]["position"]) == (3, [0, 1, 0])
        await ada.cut()
        assert (await bob.until("lock"))["d"] == {"body": "cube-1", "seat": None}
        assert await lock(bob, "cube-1") > token


BUILDER = """
import sys
import tussle

with tussle.connect(sys.argv[1]) as client, client.join(sys.argv[2], ready=False) as session:
    with session.lock("cube-1"):
        for n in range(10_000):
            session.scene["cube-1"].position = (n, 1, 0)
            print(n, flush=True)
"""
"""A program of a member: it keeps a lock and moves the body until it is killed."""


async def test_a_client_process_that_is_killed_frees_its_lock(site: Stack) -> None:
    """kill -9 of a client that holds a lock and is in the middle of its edits: another member gets the lock within its
    lifetime, and each edit that was acknowledged is in the log once."""
    async with workshop(site, 1, size=2) as shop, connected(site.store_url, site.realm) as (store,):
        (ada,) = shop.lines
        await ada.command("edit", added("cube-1"))
        first = (await shop.read(".json")).json()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", BUILDER, site.url, shop.session, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(60):
                assert (await ada.until("lock"))["d"] == {"body": "cube-1", "seat": 1}
                for n in range(5):
                    assert int(await child.stdout.readline()) == n
            assert (await ada.command("lock", {"body": "cube-1"}))["d"]["code"] == "body_locked"
        finally:
            if child.returncode is None:
                child.kill()
        async with asyncio.timeout(LOCK_MS / 1000 + 10):  # its lifetime, and time for a slow machine
            assert (await ada.until("lock"))["d"] == {"body": "cube-1", "seat": None}
            token = await lock(ada, "cube-1")
        acknowledged = 4 + len((await child.stdout.read()).split())
        await child.wait()
        log = [(version, fields) for version, fields in await read_log(store, shop.session) if version > 2]
        whole = (await shop.read(".json")).json()
        assert replay_log(documents_of(first), log, first=2) == documents_of(whole)
        moved = [json.loads(fields["edits"])[0]["after"]["position"][0] for _, fields in log]
        assert moved == list(range(len(moved))) and len(moved) > acknowledged
        move = {"body": "cube-1", "base": log[-1][0], "lock": token, "delta": {"position": [9, 9, 9]}}
        assert (await ada.command("edit", {"edits": [move]}))["t"] == "ack"


async def test_undo_and_redo_are_commands(site: Stack) -> None:
    """Undo and redo are acknowledged as edits; a step that another changed since is refused until it is skipped."""
    async with workshop(site) as shop:
        ada, bob = shop.lines
        before = (await shop.read(".json")).content
        await ada.command("edit", added("cube-1"))
        undone = await ada.command("undo")
        assert undone["d"]["bodies"] == [{"body": "cube-1", "version": 0, "sha256": ""}]
        assert (await shop.read(".json")).content == before
        assert (await bob.command("undo"))["d"]["code"] == "nothing_to_undo"
        redone = await ada.command("redo")
        token = await lock(bob, "cube-1")
        edit = {"body": "cube-1", "base": redone["d"]["version"], "lock": token, "remove": True}
        gone = await bob.command("edit", {"edits": [edit]})
        refused = (await ada.command("undo"))["d"]
        assert (refused["code"], refused["detail"]["seat"]) == ("undo_conflict", 1)
        assert refused["detail"]["body"] == "cube-1"
        skipped = await ada.command("skip", {"step": refused["detail"]["step"]})
        assert skipped["t"] == "ack"
        assert (await ada.command("undo"))["d"]["code"] == "nothing_to_undo"
        assert (await shop.listing())["version"] == gone["d"]["version"]


async def test_two_sessions_never_hear_of_one_another(site: Stack) -> None:
    """An edit and a lock reach the session's members and nobody else, and change no other scene."""
    async with workshop(site) as one, workshop(site) as other:
        untouched = (await other.read(".json")).content
        await one.lines[0].command("edit", added("cube-1"))
        await lock(one.lines[0], "cube-1")
        await one.lines[1].until("lock")
        for line in (*other.lines, other.observer):
            await line.say("ping")
            await line.until("pong")
            assert not [message for message in line.messages if message["t"] in ("scene", "lock")]
        assert (await other.read(".json")).content == untouched
        assert (await other.listing())["version"] == 1


async def test_a_lobby_opens_with_a_scene(site: Stack) -> None:
    """A document is the first version in canonical form; a bad or unknown one is refused and opens nothing."""
    scene = {"bodies": [{**cube(0.0), "id": "only", "velocity": [0, 0, 0]}], "gravity": [0, -1.5, 0.0]}
    async with workshop(site, 1, scene=json.dumps(scene)) as shop:
        assert [body["body"] for body in (await shop.listing())["bodies"]] == ["only"]
        assert (await shop.read(".json")).json()["gravity"] == [0, -1.5, 0]
        assert "velocity" not in (await shop.read("/bodies/only")).json()["document"]
    async with Person(site.url) as ada:
        await ada.login()
        for body, code in (
            ({"scene": "{}"}, "bad_scene"),
            ({"template": "no-such"}, "unknown_template"),
            ({"template": "no-such", "scene": "{}"}, "bad_scene"),
            ({"template": "no-such", "mode": "duel"}, "no_scene"),
        ):
            answer = await ada.post("/api/open", {"mode": "sandbox", "size": 2, **body})
            assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_an_observer_may_not_edit(site: Stack) -> None:
    """Observers only watch: lock and edit are refused."""
    async with workshop(site, 1) as shop:
        for command, d in (
            ("lock", {"body": "floor"}),
            ("edit", added("x")),
            ("undo", None),
            ("skip", {"step": 2}),
        ):
            assert (await shop.observer.command(command, d))["d"]["code"] == "observer"


async def test_the_edited_scene_is_what_runs(site: Stack) -> None:
    """At the start the document goes into the world: its bodies are in the topology, and nobody edits any more."""
    async with workshop(site, 1, size=1) as shop:
        (ada,) = shop.lines
        await ada.command("edit", added("mine", 0.4))
        before = (await shop.read(".json")).content
        await ada.command("ready", {"ready": True})
        set_up = await ada.until("set_up")
        assert "mine" in [body["id"] for body in set_up["d"]["bodies"]]
        await ada.wait(lambda: ada.frames)
        assert (await ada.command("edit", added("late")))["d"]["code"] == "not_editable"
        assert (await shop.read(".json")).content == before
        assert not (await shop.listing())["editable"]


async def test_a_server_killed_in_mid_commit_leaves_whole_commits(site: Stack) -> None:
    """kill -9 while edits arrive: every acknowledged edit is in the log, the log leads to the stored scene, and edits
    that are sent again have their effect once. A member on another server is sent the versions only; a session beside
    it hears nothing of it."""
    doomed = await site.server(PUBLIC_URL=site.url)  # behind one address: neither sends clients to the other
    async with (
        connected(site.store_url, site.realm) as (store,),
        Person(doomed.url) as ada,
        Person(site.url) as bob,
        workshop(site) as beside,
    ):
        await ada.login()
        await bob.login()
        seat = await ada.ask("/api/open", mode="sandbox", size=2, private=True, ready=False)
        session, keys = seat["session"], store.keys
        first = (await ada.get(f"/api/sessions/{session}/scene.json")).json()
        place = await bob.ask("/api/join", session=session)
        there, here = (f"{url.replace('http', 'ws', 1)}/ws" for url in (doomed.url, site.url))
        async with Line.to(there) as line, Line.to(here) as far:
            for one, ticket in ((line, seat["ticket"]), (far, place["ticket"])):
                await one.hello(ticket=ticket)
                await one.until("session")
            await beside.lines[0].command("edit", added("beside"))
            await beside.lines[1].until("scene")
            old = await lock(line, "floor")
            assert (await far.until("lock"))["d"] == {"body": "floor", "seat": 0}
            for n in range(2, 52):
                await line.say("edit", added(f"cube-{n}", n), n)
            await line.answer(10)
            await far.until("scene", version=10)
            await doomed.kill()
            acked = {m["id"]: m["d"]["version"] for m in line.messages if m["t"] == "ack" and m["id"] > 1}
            heard = [m["d"] for m in far.messages if m["t"] == "scene"]
            assert all(set(d) == {"version", "changed"} for d in heard)
            assert [d["changed"] for d in heard[:9]] == [
                [{"body": f"cube-{n}", "version": n}] for n in range(2, 11)
            ]
            for other in (*beside.lines, beside.observer):
                sent = [m["d"] for m in other.messages if m["t"] in ("scene", "lock")]
                assert sent == [{"version": 2, "changed": [{"body": "beside", "version": 2}]}]
            # The lock of the dead server's member expires; then the other member takes it and edits.
            key = keys.scene_lock(session, "floor")
            assert (await far.command("lock", {"body": "floor"}))["d"]["code"] == "body_locked"
            assert 0 < await store.call("PTTL", key) <= 6000
            await store.call("PEXPIRE", key, 1)  # its time passes
            assert (await far.until("lock"))["d"] == {"body": "floor", "seat": None}
            token = await lock(far, "floor")
            assert token > old
            late = {"body": "floor", "base": 1, "lock": old, "delta": {"kind": "static"}}
            assert (await far.command("edit", {"edits": [late]}))["d"]["code"] == "stale_lock"
            done = await far.command(
                "edit", {"edits": [{**late, "lock": token, "delta": {"position": [0, -1, 0]}}]}
            )
            assert done["t"] == "ack"
            taken = done["d"]["version"]
        scenes = SceneStore(store, Settings(redis_url=site.store_url, realm=site.realm), SmallScenes())

        async def check() -> dict[int, int]:
            log = await read_log(store, session)
            whole = json.loads(await scenes.whole(session))
            assert replay_log(documents_of(first), log) == documents_of(whole)
            bodies = await store.call("ZRANGE", keys.scene_bodies(session), 0, -1)
            names = ["world", *bodies]
            docs = await store.batch([("HGET", keys.scene_document(session, name), "doc") for name in names])
            size = await store.call("HGET", keys.scene_edits(session), "bytes")
            assert int(size) == sum(len(doc) for doc in docs)
            committed = {
                int(fields["command"]): version for version, fields in log if fields["player"] == ada.player
            }
            assert len(committed) == len(log) - 1 and taken in dict(log)
            return committed

        assert acked.items() <= (await check()).items()
        for n in range(2, 52):
            edits = [Edit(f"cube-{n}", 0, document=cube(n))]
            made = await scenes.commit(session, ada.player, n, edits, lambda _: None)
            assert acked.get(n, made.version) == made.version
        assert sorted(await check()) == list(range(2, 52))


async def test_a_lobby_opens_like_a_session_and_like_a_tick_of_it(site: Stack) -> None:
    """``like`` gives the scene of a waiting session; with a tick its bodies are where the recording has them."""
    block = {
        "id": "jelly", "kind": "elastic", "position": [1, 1.5, 0],
        "shape": {"kind": "block", "params": {"size": [0.4, 0.4, 0.4], "cells": [2, 2, 2]}},
        "material": {"density": 250, "stiffness": 1e5},
    }  # fmt: skip
    floor = {
        "id": "floor", "kind": "static", "material": {"density": 1000},
        "shape": {"kind": "slab", "params": {"size": [6, 0.3, 6]}},
    }  # fmt: skip
    stone = {**cube(-1.0, 1.0), "id": "stone", "rotation": [0.9, 0.1, 0.3, 0], "spin": [2, 1, 0]}
    scene = json.dumps({"bodies": [stone, block, floor]})
    async with workshop(site, 1, size=1, scene=scene) as shop, Person(site.url) as bob:
        await bob.login()

        async def like(**tick: int) -> Message:
            wanted = {"session": shop.session, **tick}
            seat = await bob.ask("/api/open", mode="sandbox", private=True, like=wanted)
            whole = await bob.get(f"/api/sessions/{seat['session']}/scene.json")
            await bob.ask("/api/leave", session=seat["session"])
            found: Message = documents_of(whole.json())
            return found

        assert await like() == documents_of((await shop.read(".json")).json())
        await shop.lines[0].command("ready", {"ready": True})

        async def recorded() -> bool:
            answer = await bob.get(f"/api/recordings/{shop.session}")
            return answer.status_code == 200 and answer.json()["last_tick"] >= 20

        await until(recorded)
        posed = await like(tick=20)
        answer = await bob.get(f"/api/recordings/{shop.session}/frames?data=rows,tick&tick=20:21&format=json")
        rows = answer.json()["arrays"]["rows"][0]
        assert posed["stone"]["position"] == pytest.approx(rows[0], abs=1e-5)
        w, x, y, z = posed["stone"]["rotation"]
        first = [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)]
        assert first == pytest.approx(rows[1], abs=1e-2)
        middle = [sum(row[axis] for row in rows[4:]) / len(rows[4:]) for axis in range(3)]
        assert posed["jelly"]["position"] == pytest.approx(middle, abs=1e-5)
        assert "spin" not in posed["stone"] and posed["floor"] == (await like())["floor"]
        refused = await bob.post(
            "/api/open", {"mode": "sandbox", "like": {"session": shop.session, "tick": 2**40}}
        )
        assert refused.json()["code"] == "tick_not_recorded"


async def test_members_see_that_a_lock_has_expired(site: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server of a lock's holder dies nobody frees it; members on other servers are sent that it is free."""
    monkeypatch.setattr("tussle.lobby.scene_store.LOCK_MS", 1000)
    async with workshop(site) as shop, connected(site.store_url, site.realm) as (store,):
        settings = Settings(redis_url=site.store_url, realm=site.realm)
        dead = SceneStore(store, settings, SmallScenes())
        await dead.lock(shop.session, shop.people[1].player, "elsewhere", "floor")
        assert (await shop.lines[0].until("lock"))["d"] == {"body": "floor", "seat": 1}
        assert (await shop.lines[0].until("lock"))["d"] == {"body": "floor", "seat": None}
        assert await lock(shop.lines[0], "floor") > 1
