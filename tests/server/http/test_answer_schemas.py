"""The answers of a real server are what the OpenAPI document says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.server.http.test_upload_routes import TICKS, archive, made, sha
from tests.server.recordings.frames import frames
from tests.support.gateway import GATEWAY_ENVIRONMENT
from tests.support.operators import ENTRY, SECRET
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.ids import new_session_token
from tussle.server.http.answer_schemas import ANSWERS

jsonschema_rs = pytest.importorskip(
    "jsonschema_rs", reason="!! jsonschema_rs IS NOT INSTALLED: no answer was compared"
)

ENVIRONMENT = {**GATEWAY_ENVIRONMENT, "OPERATORS": ENTRY, "TICKET_TTL_S": "120"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


OTHERS = {
    ("PUT", "/api/recordings/{token}"), ("GET", "/api/recordings/{token}"), ("DELETE", "/api/recordings/{token}"),
    ("GET", "/api/recordings/{token}/events"), ("GET", "/api/recordings/{token}/versions"),
    ("POST", "/api/recordings/{token}/locks"), ("DELETE", "/api/recordings/{token}/locks/{tick}"),
    ("POST", "/api/recordings/{token}/frames"), ("PUT", "/api/meshes"), ("GET", "/api/meshes/{mesh}"),
    ("POST", "/api/bots/requests"), ("POST", "/api/sessions/{token}/views"), ("POST", "/api/sessions/{token}/pause"),
    ("POST", "/api/sessions/{token}/resume"), ("POST", "/api/sessions/{token}/end"),
}  # fmt: skip
"""The calls of the second test, which the first does not make."""


def added_frames() -> bytes:
    """A frame after those of an upload, as a change of it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in frames(100, 1).items()}
    sent = {
        name: {"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "data": array.tobytes()}
        for name, array in arrays.items()
    }
    return msgspec.msgpack.encode({"arrays": sent})


class Checked:
    """The answers of one server beside its document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str]] = set()

    def check(self, method: str, path: str, answer: httpx.Response) -> Any:
        """Raises AssertionError for an answer that the document does not describe."""
        described = self.document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        media = answer.headers["content-type"].partition(";")[0]
        schema = described["content"][media]["schema"]
        whole = {**schema, "components": self.document["components"]}
        wrong = [
            f"{path} {list(e.instance_path)}: {e.message}"
            for e in jsonschema_rs.validator_for(whole).iter_errors(answer.json())
        ]
        assert wrong == []
        self.seen.add((method, path))
        return answer.json()


async def test_answers_have_the_form_that_the_document_says(site: Stack) -> None:
    """A lobby from its opening to a run, its lists, scene, forks, profile, leaderboard, and the calls of operators."""
    async with Person(site.url) as ada, Person(site.url) as boss, Person(site.url) as otto:
        checked = Checked((await ada.get("/openapi.json")).json())

        async def ask(person: Person, method: str, path: str, given: Any = None, /, **names: str) -> Any:
            headers = {"authorization": f"Bearer {person.token}"} if person.token else {}
            address = path.format(**names)
            answer = await person.http.request(method, address, json=given, headers=headers)
            return checked.check(method, path, answer)

        for person, who in ((ada, {}), (otto, {}), (boss, {"name": "boss", "secret": SECRET})):
            login = await ask(person, "POST", "/api/login", who)
            person.token, person.player = login["token"], login["player"]
        box = await ask(ada, "POST", "/api/open", {"mode": "sandbox", "size": 2, "bots": False})
        token = {"token": box["session"]}
        await ask(ada, "GET", "/api/sessions/{token}", **token)
        await ask(ada, "GET", "/api/sessions/{token}/scene", **token)
        await ask(ada, "GET", "/api/sessions/{token}/scene.json", **token)
        await ask(ada, "GET", "/api/sessions/{token}/scene/bodies/{body}", body="world", **token)
        await ask(ada, "POST", "/api/sessions/{token}/scene/check", **token)
        await ask(ada, "GET", "/api/sessions")
        joined = await ask(otto, "POST", "/api/join", {"session": box["session"]})
        async with Line.to(joined["ws_url"]) as line:
            await line.hello(ticket=joined["ticket"])
        await ask(boss, "POST", "/api/observe", {"session": box["session"]})
        await ask(otto, "POST", "/api/leave", {"session": box["session"]})
        found = await ask(otto, "POST", "/api/find", {"mode": "duel", "size": 2})
        await ask(otto, "POST", "/api/leave", {"session": found["session"]})
        for path in (
            "/api/me",
            "/api/catalogue",
            "/api/modes",
            "/healthz",
            "/api/recordings",
            "/api/admin/overview",
        ):
            await ask(boss, "GET", path)
        await ask(boss, "GET", "/api/leaderboard/{mode}", mode="duel")
        await ask(boss, "GET", "/api/players/{player}", player=ada.player)
        await ask(ada, "GET", "/api/sessions/{token}/forks", **token)
        await ask(ada, "GET", "/api/recordings/{token}/marks", **token)
        run = await ask(ada, "POST", "/api/springs", {"x": 0.2})
        await ask(ada, "GET", "/api/springs/{run}", run=run["run"])
        await ask(boss, "POST", "/api/admin/ban", {"player": otto.player, "for_s": 5})
        await ask(boss, "POST", "/api/admin/unban", {"player": otto.player})
        await ask(boss, "POST", "/api/admin/ban-address", {"address": "192.0.2.1", "for_s": 5})
        await ask(boss, "POST", "/api/admin/unban-address", {"address": "192.0.2.1"})
        await ask(boss, "POST", "/api/admin/notice", {"text": "soon"})
        await ask(boss, "POST", "/api/sessions/{token}/kick", {"player": ada.player}, **token)
        await ask(ada, "POST", "/api/logout")
        refused = await ada.post("/api/open", {})
        checked.check("POST", "/api/open", refused)
    assert len(checked.seen) == 31
    assert not checked.seen & OTHERS


async def test_answers_about_uploads_and_runs_have_that_form_too(site: Stack, tmp_path: Path) -> None:
    """An uploaded recording from its first byte to its removal, a mesh, and the calls about a session that runs."""
    async with Person(site.url) as ada, Person(site.url) as boss, duel(site.url) as game:
        await ada.login()
        await boss.login(name="boss", secret=SECRET)
        checked = Checked((await ada.get("/openapi.json")).json())

        async def ask(person: Person, method: str, path: str, /, *, names: dict[str, str], **how: Any) -> Any:
            headers = {"authorization": f"Bearer {person.token}"}
            answer = await person.http.request(method, path.format(**names), headers=headers, **how)
            return checked.check(method, path, answer)

        one, data = {"token": new_session_token()}, archive(made(tmp_path / "one.zarr"))
        recording = "/api/recordings/{token}"
        await ask(ada, "PUT", recording, names=one, content=data, params={"sha256": sha(data)})
        await ask(ada, "GET", recording, names=one)
        await ask(ada, "GET", f"{recording}/events", names=one)
        await ask(ada, "GET", f"{recording}/versions", names=one)
        await ask(ada, "GET", f"{recording}/marks", names=one)
        for query in ({}, {"kind": "sessions"}):
            await ask(ada, "GET", "/api/recordings", names={}, params=query)
        lock = await ask(ada, "POST", f"{recording}/locks", names=one, json={"tick": int(TICKS[3])})
        added = added_frames()
        await ask(ada, "POST", f"{recording}/frames", names=one, content=added, params={"sha256": sha(added)})
        where = {**one, "tick": str(TICKS[3])}
        await ask(ada, "DELETE", f"{recording}/locks/{{tick}}", names=where, params={"lock": lock["lock"]})
        await ask(ada, "DELETE", recording, names=one)
        sent = await ask(ada, "PUT", "/api/meshes", names={}, content=b"solid", params={"name": "a.stl"})
        await ask(ada, "GET", "/api/meshes/{mesh}", names={"mesh": sent["mesh"]})
        await ask(ada, "POST", "/api/bots/requests", names={}, json={})
        running = {"token": game.session}
        for _ in range(300):  # a server reports every two seconds
            seen = await ask(boss, "GET", "/api/admin/overview", names={})
            if seen["players"]:
                break
            await asyncio.sleep(0.1)
        assert game.session in {row["session"] for row in seen["sessions"]}
        assert [row["keys"] for row in seen["limits"] if row["keys"]]
        camera = {"position": [1, 2, 3], "target": [0, 0, 0]}
        view = {"name": "left", "camera": camera}
        await ask(game.persons[0], "POST", "/api/sessions/{token}/views", names=running, json=view)
        for order in ("pause", "resume", "end"):
            await ask(boss, "POST", f"/api/sessions/{{token}}/{order}", names=running)
    twice = {("GET", "/api/recordings"), ("GET", f"{recording}/marks"), ("GET", "/api/admin/overview")}
    assert checked.seen == OTHERS | twice


async def test_every_call_of_the_document_has_the_form_of_its_answer(site: Stack) -> None:
    """The table of answers and the routes have the same calls, operators' too."""
    async with Person(site.url) as ada:
        paths = (await ada.get("/openapi.json")).json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(method, path.replace(":path", "")) for method, path in ANSWERS}
    assert len(described) > 50


async def test_answers_about_bots_forks_and_drains_have_that_form_too(site: Stack) -> None:
    """A lobby with a bot on demand, a fork of a duel, and an operator who drains the server: the last test."""
    async with (
        Person(site.url) as ada,
        Person(site.url) as eve,
        Person(site.url) as bot,
        Person(site.url) as boss,
    ):
        for person, who in (
            (ada, {}),
            (eve, {}),
            (bot, {"kind": "bot"}),
            (boss, {"name": "boss", "secret": SECRET}),
        ):
            await person.login(**who)
        checked = Checked((await ada.get("/openapi.json")).json())

        async def ask(person: Person, path: str, **given: Any) -> Any:
            headers = {"authorization": f"Bearer {person.token}"}
            token = given.pop("token", "")
            answer = await person.http.request("POST", path.format(token=token), json=given, headers=headers)
            assert answer.status_code == 200, answer.text
            return checked.check("POST", path, answer)

        await ask(bot, "/api/bots/requests")
        lobby = await ask(ada, "/api/open", mode="duel", size=2, bots=False)
        asked = await ask(ada, "/api/sessions/{token}/bots", token=lobby["session"], skill="novice")
        assert asked["wanted"] == 1
        assert [row["session"] for row in (await ask(bot, "/api/bots/requests"))["requests"]] == [
            lobby["session"]
        ]
        seat = await ask(bot, "/api/bots/seat", session=lobby["session"])
        assert seat["session"] == lobby["session"]
        async with duel(site.url) as game:
            tick = (await eve.look(game.session))["tick"]
            fork = await ask(eve, "/api/sessions/{token}/fork", token=game.session, tick=tick)
            assert fork["parent"] == game.session
        server = (await boss.get("/api/admin/overview")).json()["servers"][0]["id"]
        await asyncio.gather(ask(boss, "/api/admin/drain", server=server), ask(boss, "/api/drain"))
    assert len(checked.seen) == 7
