"""ShapeCache and checks of scenes over HTTP, computed by the solver processes of a real server."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import FRAME, TOPOLOGY, Line, Person
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.sessions.shape_cache import ShapeCache
from tussle.server.simulation.scene_report import Problem, SceneCheck
from tussle.server.solver.pool import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCK: dict[str, Any] = {"kind": "block", "params": {"size": [1, 1, 1], "cells": [3, 3, 3]}}


async def test_a_shape_is_sent_as_clients_draw_it(ada: Person) -> None:
    """The body is a topology message with all vertices, as pins and handles number them; the header has the numbers;
    the same shape again is the same bytes, or 304 for a client that has it."""
    answer = await ada.post("/api/shapes", BLOCK)
    assert answer.status_code == 200, answer.text
    (drawn,) = decode_topology(answer.content).bodies
    assert (drawn.kind, len(drawn.vertices)) == ("elastic", 64)
    numbers = json.loads(answer.headers["x-shape"])
    assert (numbers["vertices"], numbers["volume"]) == (64, pytest.approx(1.0))
    assert numbers["centre_of_mass"] == pytest.approx([0, 0, 0], abs=1e-12)
    assert (await ada.post("/api/shapes", BLOCK)).content == answer.content
    headers = {"authorization": f"Bearer {ada.token}", "if-none-match": answer.headers["etag"]}
    again = await ada.http.post("/api/shapes", json=BLOCK, headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    for known in ("*", f'"other", W/{answer.headers["etag"]}'):
        again = await ada.http.post("/api/shapes", json=BLOCK, headers=headers | {"if-none-match": known})
        assert (again.status_code, again.content) == (304, b""), known


async def test_shapes_out_of_bounds_are_refused(ada: Person, site: Stack) -> None:
    """A shape that is too large is refused before it is built; so are recipes that are none, meshes that nobody has,
    and callers without a login."""
    for body, status, code in (
        ({"kind": "block", "params": {"size": [1, 1, 1], "cells": [99, 99, 99]}}, 422, "too_many_vertices"),
        ({"kind": "sphere", "params": {"radius": 1, "level": 10**9}}, 422, "bad_scene"),
        ({"kind": "sphere", "params": {"radius": 1e300}}, 422, "bad_scene"),
        ({"kind": "box", "params": {"size": "large"}}, 422, "bad_scene"),
        ({"kind": "spell"}, 422, "bad_scene"),
        ({"kind": "mesh", "params": {"sha256": "0" * 64}}, 422, "unknown_mesh"),
        ({"kind": "mesh", "params": {"path": "/etc/passwd"}}, 422, "unknown_mesh"),
        ({"kind": "lathe", "params": {"n": 3, "profile": [[0.1, 0.1]] * 20_000}}, 400, "too_large"),
        ({"kind": "box", "params": []}, 400, "bad_request"),
    ):
        assert_problem(await ada.post("/api/shapes", body), status, code)
    async with Person(site.url) as nobody:
        assert_problem(await nobody.post("/api/shapes", BLOCK), 401, "login_required")


async def test_the_present_scene_is_checked(ada: Person) -> None:
    """A sound scene is ok; bodies that overlap and bodies that cannot be built are named. The answer is of the version
    that is there. A session that nobody has is unknown."""
    cube = {"kind": "box", "params": {"size": [0.4, 0.4, 0.4]}}
    stone = {"density": 500}
    bodies = [
        {"id": name, "shape": cube, "material": stone, "position": [x, 1, 0]}
        for name, x in (("a", 0.0), ("b", 0.1), ("c", 2.0))
    ]
    wrong = {"id": "x", "kind": "elastic", "shape": cube, "material": stone, "position": [5, 1, 0]}
    for scene, overlaps, problems in (
        ({"bodies": bodies[1:]}, [], []),
        ({"bodies": [*bodies, wrong]}, [["a", "b"]], ["x"]),
    ):
        private = {"mode": "sandbox", "size": 2, "private": True}
        opened = await ada.ask("/api/open", **private, scene=json.dumps(scene))
        path = f"/api/sessions/{opened['session']}/scene/check"
        found = await ada.ask(path)
        assert (found["version"], found["ok"], found["overlaps"]) == (1, not problems, overlaps)
        assert [problem["body"] for problem in found["problems"]] == problems
        assert await ada.ask(path) == found
        await ada.ask("/api/leave", session=opened["session"])
    assert_problem(await ada.post("/api/sessions/aaaaaaaa/scene/check"), 404, "no_such_session")


async def test_a_template_runs(site: Stack) -> None:
    """A lobby that was opened with a template starts with exactly its bodies, and plays frames of them. Its scene can
    still be checked."""
    async with Person(site.url) as bob:
        await bob.login()
        opened = await bob.ask("/api/open", mode="sandbox", size=1, ready=True, template="jelly-tower")
        async with Line.to(opened["ws_url"]) as line:
            await line.hello(ticket=opened["ticket"])
            topology = await line.wait(lambda: next((one for one in line.binary if one[0] == TOPOLOGY), None))
            frame = await line.wait(lambda: next((one for one in line.binary if one[0] == FRAME), None))
            bodies = decode_topology(topology).bodies
            assert [body.id for body in bodies] == [*(f"jelly-{n}" for n in (1, 2, 3, 4)), "floor"]
            assert decode_frame(frame).row_counts == tuple(len(body.vertices) for body in bodies[:4])
            assert (await bob.ask(f"/api/sessions/{opened['session']}/scene/check"))["ok"]
            await line.command("leave")


async def test_a_mesh_that_is_missing_is_looked_for_again() -> None:
    """A check that misses a mesh is not kept, as the mesh may be made meanwhile; any other check is computed once."""
    found = [
        SceneCheck(False, 0, [], [Problem("a", "unknown_mesh", "there is no mesh")], None),
        SceneCheck(True, 8, [], [], None),
    ]

    class Computed:
        async def check_scene(self, document: bytes, *, expected_s: float) -> SceneCheck:
            return found.pop(0)

    desk = ShapeCache(cast(Pool, Computed()))
    assert not (await desk.check(b"{}", expected_s=0.1)).ok
    assert not desk.knows_check(b"{}")
    assert (await desk.check(b"{}", expected_s=0.1)).ok
    assert (await desk.check(b"{}", expected_s=0.1)).ok
    assert desk.knows_check(b"{}")


async def test_shapes_have_a_price(site: Stack) -> None:
    """One who asks for many large shapes is refused with a time to wait; known shapes cost nothing but the request."""
    async with Person(site.url) as eve:
        await eve.login()
        shapes = [{"kind": "sphere", "params": {"radius": 1 + n / 100, "level": 4}} for n in range(30)]
        answers = await asyncio.gather(*(eve.post("/api/shapes", shape) for shape in shapes))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["retry_after"] > 0
        assert "scene work" in refused.json()["detail"]
        assert (await eve.post("/api/shapes", shapes[0])).status_code == 200
