"""Finding, opening, joining, observing and leaving sessions, on a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby.ready_meshes import ready_meshes

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_find_fills_the_oldest_lobby(site: Stack) -> None:
    """Two players with the same wish get one session. A second call gives the same seat and a new ticket."""
    async with Person(site.url) as one, Person(site.url) as two:
        await one.login()
        await two.login()
        first = await one.ask("/api/find", mode="duel", size=5)
        again = await one.ask("/api/find", mode="duel", size=5)
        second = await two.ask("/api/find", mode="duel", size=5)
        assert first["session"] == again["session"] == second["session"]
        assert (first["seat"], again["seat"], second["seat"]) == (0, 0, 1)
        assert again["ticket"] != first["ticket"]
        assert first["ws_url"].startswith("ws://")
        assert first["servers"] == []
        assert (first["protocol"], first["role"]) == (1, "player")


async def test_a_session_is_opened_joined_observed_and_left(site: Stack) -> None:
    """By its token: a player gets the next seat, an observer none. A player that leaves may open another session."""
    async with Person(site.url) as ada, Person(site.url) as otto, Person(site.url) as viewer:
        for person in (ada, otto, viewer):
            await person.login()
        opened = await ada.ask("/api/open", size=2, private=True, body="crux")
        joined = await otto.ask("/api/join", session=opened["session"], body="halo")
        seen = await viewer.ask("/api/observe", session=opened["session"])
        assert (joined["seat"], seen["seat"], seen["role"]) == (1, None, "observer")
        view = await ada.look(opened["session"])
        assert [(seat["body"], seat["player"]) for seat in view["seats"]] == [
            ("crux", ada.player), ("halo", otto.player),
        ]  # fmt: skip
        assert view["host"] == ada.player
        assert_problem(await viewer.post("/api/join", {"session": opened["session"]}), 409, "lobby_full")
        assert_problem(await otto.post("/api/open", {}), 409, "in_session")
        assert await ada.ask("/api/leave", session=opened["session"]) == {}
        assert (await otto.look(opened["session"]))["host"] == otto.player
        await ada.ask("/api/open", private=True)
        assert (await viewer.ask("/api/join", session=opened["session"]))["seat"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("find", {"size": 1}, 422, "bad_size", "size"),
        ("find", {"size": 60}, 422, "bad_size", "size"),
        ("find", {"size": 0}, 400, "bad_request", None),
        ("find", {"size": "two"}, 400, "bad_request", None),
        ("find", {"mode": "chess"}, 422, "unknown_mode", "mode"),
        ("find", {"body": "unicorn"}, 422, "unknown_body", "body"),
        ("find", {"sise": 2}, 400, "bad_request", None),
        ("find", {"mode": "x" * 49}, 400, "bad_request", None),
        ("open", {"params": []}, 400, "bad_request", None),
        ("open", {"private": "yes"}, 400, "bad_request", None),
        ("join", {}, 400, "bad_request", None),
        ("join", {"session": "k7qm2xpv"}, 404, "not_found", None),
        ("join", {"session": "no such thing"}, 404, "no_such_session", "session"),
        ("join", {"session": "{main}:*"}, 404, "no_such_session", "session"),
        ("observe", {"session": "k7qm2xpv"}, 404, "not_found", None),
        ("leave", {"session": ""}, 404, "no_such_session", "session"),
        ("login", {"kind": "ghost"}, 400, "bad_request", None),
        ("login", {"name": "x" * 60}, 422, "bad_name", None),
        ("login", {"name": "x" * 500}, 400, "bad_request", None),
        ("login", {"name": "Ada", "secret": ""}, 422, "bad_secret", None),
    ],
)
async def test_a_bad_request_is_refused(
    ada: Person, path: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    """The problem has a code and, if one field is wrong, its name."""
    assert_problem(await ada.post(f"/api/{path}", body), status, code, field)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"params": {"turn_s": "soon"}}, "bad_params", "params"),
        ({"params": {"turn_s": 0}}, "bad_params", "params"),
        ({"params": {"zz": 1}}, "bad_params", "params"),
        ({"mode": "curling", "params": {"stones": 40}}, "bad_params", "params"),
        ({"mode": "spring-damper", "size": 1, "params": {"k": -1}}, "bad_params", "params"),
        ({"mode": "sandbox", "size": 1, "params": {"side": -1}}, "bad_params", "params"),
        ({"mode": "sandbox", "size": 1, "params": {"bodies": ["unicorn"]}}, "unknown_body", None),
        ({"scene": "nonsense"}, "no_scene", "scene"),
        ({"mode": "curling", "scene": "{}"}, "no_scene", "scene"),
        ({"mode": "sandbox", "size": 1, "scene": '{"bodies": []}'}, "bad_scene", None),
    ],
)
async def test_what_the_mode_refuses_opens_no_lobby(
    ada: Person, body: dict[str, Any], code: str, field: str | None
) -> None:
    """Parameters, and whether there may be a scene, are checked before the lobby exists, not when it begins."""
    assert_problem(await ada.post("/api/open", {**body, "private": True}), 422, code, field)


async def test_a_scene_with_a_mesh_or_a_fault_of_shape_opens(ada: Person) -> None:
    """Opening a lobby builds no body: a scene may name a mesh, which only solvers read, and one whose body could not be
    built opens too, so that its members can mend it."""
    stone, cube = {"density": 500}, {"kind": "box", "params": {"size": [0.4, 0.4, 0.4]}}
    mesh = {"kind": "mesh", "params": {"sha256": next(iter(ready_meshes()))}}
    for shape in (mesh, cube):  # an elastic body needs tetrahedra, which a box has not
        scene = {"bodies": [{"id": "soft", "kind": "elastic", "shape": shape, "material": stone}]}
        opened = await ada.ask("/api/open", mode="sandbox", size=1, private=True, scene=json.dumps(scene))
        await ada.ask("/api/leave", session=opened["session"])
