"""Spring-damper runs over HTTP, with real stream solvers that start later."""

from __future__ import annotations

import asyncio

import httpx

from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby.rules.spring import Spring
from tussle.player.client import Client


async def test_a_run_waits_for_its_solvers_and_is_followed(store_url: str, realm: str) -> None:
    """POST writes the trigger. GET lists the missing solvers, and after their start every step once."""
    async with Stack.up(store_url, realm, SPRING_CYCLES="120") as stack:
        server = await stack.server()
        async with Client(server.url) as ada:
            await ada.login("ada")
            run = await ada.begin_spring("web", x=0.25, v=-1.0)
            seen = await ada.look_at_spring(run)
            assert (seen.name, seen.x0, seen.v0, seen.n) == ("web", 0.25, -1.0, ())
            assert seen.waits_for == ("velocity", "position")
            for solver in ("velocity", "position"):
                await stack.worker(solver)
            steps: list[int] = []
            async with asyncio.timeout(60):
                while not seen.done:
                    await asyncio.sleep(0.2)  # the rate limit is ten looks a second
                    seen = await ada.look_at_spring(run, seen.after)
                    steps += seen.n
                    for n, x, closed in zip(seen.n, seen.x, seen.closed_x, strict=True):
                        assert closed == Spring(cycles=120).closed_form(0.25, -1.0, n)[0]
                        assert abs(x - closed) < 1e-9
            assert steps == list(range(1, 121))


async def test_a_bad_run_is_refused(store_url: str, realm: str) -> None:
    """A run without a login, out of range, with a bad name or above the rate limit gets a problem with its code."""
    async with Stack.up(store_url, realm) as stack:
        server = await stack.server()
        async with Person(server.url) as nobody, Person(server.url) as eve:

            async def refused(answer: httpx.Response, status: int, code: str) -> None:
                assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text

            await refused(await nobody.post("/api/springs", {}), 401, "login_required")
            await eve.login()
            await refused(await eve.post("/api/springs", {"v": 1e7}), 422, "bad_start")
            await refused(await eve.post("/api/springs", {"name": ""}), 422, "bad_name")
            await refused(await eve.post("/api/springs", {"x": "far"}), 400, "bad_request")
            await refused(await eve.get("/api/springs/1-1"), 404, "no_such_run")
            for run in ("web", "99999999999999999999-1", "٣-٣", "1-1?after=1-99999999999999999999"):
                await refused(await eve.get(f"/api/springs/{run}"), 422, "bad_run")
            answers = await asyncio.gather(*(eve.post("/api/springs", {}) for _ in range(12)))
            assert {answer.status_code for answer in answers} == {200, 429}
            looks = await asyncio.gather(*(eve.get("/api/springs/1-1") for _ in range(300)))
            assert {answer.status_code for answer in looks} == {404, 429}
