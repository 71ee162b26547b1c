"""The call for a rematch, on a real server: what it takes, what it refuses, and two people who press at once."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_rematch_from_the_end_of_a_duel_to_its_first_turn(site: Stack) -> None:
    """Two people play and press Rematch at the same time: both get a seat in one lobby, swapped, and play again as
    soon as they are connected. The views of both sessions name each other."""
    async with duel(site.url, rounds=1) as game:
        first = game.session
        refused = await game.persons[0].post(f"/api/sessions/{first}/rematch")
        assert_problem(refused, 409, "not_over")
        for _ in range(2):
            acting, _, _ = await game.turn()
            assert (await acting.act(azimuth=10.0, elevation=10.0, power=0.2))["t"] == "ack"
            await acting.until("turn_ended")
        for one in game.lines:
            await one.until("ended")
        seats = await asyncio.gather(
            *(one.ask(f"/api/sessions/{first}/rematch", ready=True) for one in game.persons)
        )
        assert seats[0]["session"] == seats[1]["session"] != first
        assert [seat["seat"] for seat in seats] == [1, 0]
        view = await game.persons[0].look(seats[0]["session"])
        assert (view["series"]["match"], view["series"]["before"]) == (2, first)
        assert view["params"] == (await game.persons[0].look(first))["params"]
        async with Line.to(seats[0]["ws_url"]) as one, Line.to(seats[1]["ws_url"]) as other:
            await one.hello(ticket=seats[0]["ticket"])
            await other.hello(ticket=seats[1]["ticket"])
            turn = await one.until("turn_started")
            assert turn["d"]["seat"] == 0
            assert (await game.persons[0].look(first))["rematch"] == seats[0]["session"]
            for person in game.persons:
                await person.ask("/api/leave", session=seats[0]["session"])
            await one.until("ended")


async def test_what_is_refused(site: Stack) -> None:
    """Without a login, with a wrong field, for no session, by a stranger, with an unknown body."""
    path = "/api/sessions/k7qm2xpv/rematch"
    async with Person(site.url) as ada:
        assert_problem(await ada.post(path), 401, "login_required")
        await ada.login()
        assert_problem(await ada.post(path), 404, "no_such_session")
        assert_problem(await ada.post("/api/sessions/nonsense!/rematch"), 404, "no_such_session")
        assert_problem(await ada.post(path, {"many": 1}), 400, "bad_request")
        assert_problem(await ada.post(path, {"body": "teapot"}), 422, "unknown_body")
