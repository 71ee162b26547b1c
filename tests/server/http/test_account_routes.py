"""Logins, profiles and the leaderboard, on a real server."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from msgspec import convert

from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby.errors import AuthError, NotFound
from tussle.lobby.wire.http_answers import PlayerProfile
from tussle.player.blocking import BlockingClient
from tussle.player.client import Client

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_two_guests_with_one_name_get_different_names(site: Stack) -> None:
    """Each name gets a suffix. Each token authenticates its own guest."""
    async with Person(site.url) as one, Person(site.url) as two:
        names = []
        for person in (one, two):
            login = await person.ask("/api/login", name="Ada")
            assert login["guest"] and login["expires_s"] > 0
            person.token = login["token"]
            me = (await person.get("/api/me")).json()
            assert me["player"] == login["player"]
            names.append(login["name"])
        assert names[0] != names[1]
        assert all(name.startswith("Ada#") for name in names)


async def test_a_name_is_protected_by_its_secret(site: Stack) -> None:
    """The same name and secret give the same player. Another secret or none is refused, in any case of the name."""
    async with Person(site.url) as one, Person(site.url) as thief:
        first = await one.ask("/api/login", name="Grete", secret="a secret of hers")
        again = await one.ask("/api/login", name="Grete", secret="a secret of hers")
        assert first["player"] == again["player"]
        assert first["token"] != again["token"]
        assert not first["guest"]
        for name in ("Grete", "grete", "GRETE"):
            assert_problem(
                await thief.post("/api/login", {"name": name, "secret": "a guess of his"}), 401, "name_taken"
            )
        assert_problem(await thief.post("/api/login", {"name": "Grete"}), 401, "name_taken")


async def test_a_guest_may_claim_a_name(ada: Person) -> None:
    """A guest that logs in with its token, a name and a secret stays the same player and gets the name."""
    login = await ada.ask("/api/login", name=f"Emmy {ada.player[-6:]}", secret="a secret of hers")
    assert login["player"] == ada.player
    assert not login["guest"]


async def test_a_logout_deletes_one_token(site: Stack) -> None:
    """The token of the request is refused afterwards, other tokens of the player are valid, the seat stays."""
    name = f"Rosa {secrets.token_hex(3)}"
    async with Client(site.url) as one, Client(site.url) as two:
        login = await one.login(name, "a secret of hers")
        assert (await two.login(name, "a secret of hers")).player == login.player
        seat = await one.open()
        await one.logout()
        assert (one.me, one.token) == (None, None)
        async with Client(site.url, token=login.token) as late:
            for call in (late.whoami, late.logout):
                with pytest.raises(AuthError):
                    await call()
        assert (await two.whoami()).session == seat.session
        await two.leave(seat.session)


async def test_an_invalid_token_is_refused(ada: Person) -> None:
    """Tokens that were never issued, cut tokens and tokens with other characters get 401."""
    good = ada.token
    for token in ("x", good[:-1], good + "x", "{main}:*"):
        ada.token = token
        assert_problem(await ada.get("/api/me"), 401, "unauthorized")


async def test_anybody_reads_the_profile_of_a_player(ada: Person) -> None:
    """Without a login: the name, and no secret or seat. A player that does not exist is not found, whatever its id."""
    ada.token, token = "", ada.token
    answer = await ada.get(f"/api/players/{ada.player}")
    ada.token = token
    profile = answer.json()
    assert (profile["player"], profile["kind"], profile["played"]) == (ada.player, "person", 0)
    assert profile["standings"] == profile["matches"] == []
    assert not {"session", "secret_hash", "token"} & set(profile)
    known = convert(profile, PlayerProfile)
    async with Client(ada.url) as client:
        assert await client.profile(ada.player) == known
        with pytest.raises(NotFound):
            await client.profile("p2222222222x")
    with await asyncio.to_thread(BlockingClient, ada.url) as blocking:
        assert await asyncio.to_thread(blocking.profile, ada.player) == known
    for player in ("p2222222222x", "p", "x" * 1000, "p0000000000o", "{main}:*"):
        assert_problem(await ada.get(f"/api/players/{player}"), 404, "not_found")


async def test_the_leaderboard_of_a_mode(ada: Person) -> None:
    """It is a list, empty before the first rating. An unknown mode is refused."""
    board = (await ada.get("/api/leaderboard/duel")).json()
    assert board["mode"] == "duel"
    assert isinstance(board["rows"], list)
    assert_problem(await ada.get("/api/leaderboard/chess"), 422, "unknown_mode", "mode")
