"""Bookmarks and named views over HTTP, on a real server."""

from __future__ import annotations

import pytest

from tests.support.problems import assert_problem
from tests.support.replay import joined, member, opened, recorded
from tests.support.stack import Stack
from tests.support.stranger import Person

ENVIRONMENT = {"SIM_SPEED": "0"}
CAMERA = {"position": [1.0, 2.0, 3.0], "target": [0.0, 0.0, 0.5]}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_member_keeps_the_default_camera_of_a_session(site: Stack) -> None:
    """A view is in the marks of the recording, is sent to the room, and outlives the session's keys. Only members of
    the session add it; only its author and operators change it."""
    token = await recorded(site, 100, "running")
    async with Person(site.url) as ada, Person(site.url) as otto, opened(site) as store:
        await ada.login(name="ada")
        await otto.login(name="otto")
        await store.call("SADD", store.keys.session_players(token), ada.player)
        path = f"/api/sessions/{token}/views"
        body = {"name": "default", "camera": CAMERA}
        assert_problem(await otto.post(path, body), 409, "not_member")
        async with member(site.url, token, "eve") as eve:
            await ada.ask(path, **body)
            heard = (await eve.until("view"))["d"]
        assert (heard["name"], heard["by"], heard["camera"]["position"]) == ("default", ada.player, [1, 2, 3])
        await store.call("SADD", store.keys.session_players(token), otto.player)
        assert_problem(await otto.post(path, body), 403, "not_author")
        await store.call("DEL", store.keys.session(token), store.keys.recording(token))
        marks = (await ada.get(f"/api/recordings/{token}/marks")).json()
        assert marks == {"bookmarks": [], "views": [heard]}
        assert await store.call("PTTL", store.keys.replay_views(token)) > 0
        assert_problem(await ada.post(path, {"name": "default"}), 404, "no_recording")


async def test_bad_views_are_refused(site: Stack) -> None:
    """Invalid names and cameras, and sessions without a recording, are refused; a recording without marks has two empty
    lists."""
    token = await recorded(site, 100, "running")
    async with Person(site.url) as ada, opened(site) as store:
        await ada.login(name="ada")
        await store.call("SADD", store.keys.session_players(token), ada.player)
        path = f"/api/sessions/{token}/views"
        for body, status, code in (
            ({"name": "", "camera": CAMERA}, 400, "bad_request"),
            ({"name": "x" * 81, "camera": CAMERA}, 400, "bad_request"),
            ({"name": "\x1b[2J", "camera": CAMERA}, 422, "bad_text"),
            ({"name": "a", "camera": {"position": [1, 2], "target": [0, 0, 0]}}, 400, "bad_request"),
            ({"name": "a", "camera": {**CAMERA, "follow": "x" * 49}}, 400, "bad_request"),
            ({"name": "a", "camera": None}, 404, "no_such_mark"),
        ):
            assert_problem(await ada.post(path, body), status, code)
        lobby = (await ada.ask("/api/open", private=True))["session"]
        assert_problem(
            await ada.post(f"/api/sessions/{lobby}/views", {"name": "a", "camera": CAMERA}),
            404,
            "no_recording",
        )
        assert (await ada.get(f"/api/recordings/{token}/marks")).json() == {"bookmarks": [], "views": []}
        assert_problem(await ada.get("/api/recordings/nonsense/marks"), 404, "no_such_session")


async def test_marks_have_a_price(site: Stack) -> None:
    """A player who adds more than its budget is refused with 429, over the room's socket too."""
    token = await recorded(site, 100, "running")
    async with Person(site.url) as ada, opened(site) as store:
        await ada.login(name="ada")
        await store.call("SADD", store.keys.session_players(token), ada.player)
        for _ in range(80):
            answer = await ada.post(f"/api/sessions/{token}/views", {"name": "a", "camera": CAMERA})
            if answer.status_code != 200:
                break
        assert_problem(answer, 429, "rate_limited")
        async with joined(site.url, token, ada) as (line, _):
            for number in (1, 2, 3):
                await line.say("bookmark", {"name": "a", "frame": 1}, number)
            assert (await line.until("error"))["d"]["code"] == "rate_limited"
