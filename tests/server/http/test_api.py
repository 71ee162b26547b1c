"""The HTTP API of a real server: every route, and every refusal as a problem document with its code."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.errors import AuthError
from tussle.player.client import Client

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60", "MAX_BODY_BYTES": "4096"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def ada(site: Stack) -> AsyncIterator[Person]:
    """A new guest."""
    async with Person(site.url) as person:
        yield await person.login()


def assert_problem(
    answer: httpx.Response, status: int, code: str, field: str | None = None
) -> dict[str, Any]:
    """RFC 9457, with our code, and never a trace."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert {"type", "title", "detail"} <= problem.keys()
    assert field is None or problem["field"] == field
    assert "Traceback" not in answer.text
    return problem


# -- who -------------------------------------------------------------------------------------------


async def test_a_guest_gets_a_name_of_its_own(site: Stack) -> None:
    """Two guests who call themselves the same are told apart; both are themselves with their tokens."""
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


async def test_a_name_belongs_to_who_knows_its_secret(site: Stack) -> None:
    """The same credentials give the same player; another secret, another case or none do not give the name away."""
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


async def test_a_guest_may_become_somebody(ada: Person) -> None:
    """With its token, a name and a secret it keeps its identity and gets the name."""
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


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic abc", "nonsense"])
async def test_who_is_not_logged_in_is_told_to(site: Stack, authorization: str) -> None:
    """Every call on a seat and /api/me: 401 with login_required and a challenge."""
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        headers = {"authorization": authorization} if authorization else {}
        answers = [await http.get("/api/me", headers=headers)]
        for path in ("find", "open", "join", "observe", "leave", "logout"):
            answers.append(await http.post(f"/api/{path}", json={}, headers=headers))
        for answer in answers:
            assert_problem(answer, 401, "login_required")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_that_is_none_is_refused(ada: Person) -> None:
    """Made up, cut short, or full of odd bytes."""
    good = ada.token
    for token in ("x", good[:-1], good + "x", "{main}:*"):
        ada.token = token
        assert_problem(await ada.get("/api/me"), 401, "unauthorized")


# -- seats -----------------------------------------------------------------------------------------


async def test_find_fills_the_oldest_lobby(site: Stack) -> None:
    """Two who look for the same are seated together; asking again gives the same seat and a new ticket."""
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


async def test_open_join_observe_leave(site: Stack) -> None:
    """The whole way by code: the joiner gets the next seat, an observer none; a leaver is free again."""
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
        ("login", {"name": "x" * 500}, 422, "bad_name", None),
        ("login", {"name": "Ada", "secret": ""}, 422, "bad_secret", None),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    ada: Person, path: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    """With a code for programs and, where one is to blame, the field."""
    assert_problem(await ada.post(f"/api/{path}", body), status, code, field)


async def test_parameters_that_the_mode_refuses_do_not_start_a_session(site: Stack) -> None:
    """Nonsense in ``params`` ends the session with a reason, at the latest when it starts; the server lives."""
    async with Person(site.url) as ada:
        await ada.login()
        answer = await ada.post("/api/open", {"params": {"turn_s": "soon"}, "private": True})
        if answer.status_code != 200:
            assert_problem(answer, 422, "bad_params")
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{site.url}/healthz")).json()["ok"]


# -- looking ---------------------------------------------------------------------------------------


async def test_the_list_of_sessions_has_filters(site: Stack) -> None:
    """By mode, by status, by words; private lobbies are not in it; an unknown status is refused."""
    async with Person(site.url) as ada, Person(site.url) as otto, duel(site.url) as game:
        await ada.login(name="Hypatia")
        await otto.login()
        public = (await ada.ask("/api/open", size=3))["session"]
        private = (await otto.ask("/api/open", size=3, private=True))["session"]

        async def tokens(query: str = "") -> set[str]:
            return {view["session"] for view in (await ada.get(f"/api/sessions{query}")).json()["sessions"]}

        assert public in await tokens()
        assert private not in await tokens()
        assert game.session not in await tokens()  # it was opened as private
        assert public in await tokens("?status=open")
        assert public not in await tokens("?status=running")
        assert public in await tokens("?mode=duel")
        assert public not in await tokens("?mode=sandbox")
        assert public in await tokens("?search=hypatia")
        assert await tokens("?search=nobody-of-that-name") == set()
        answer = await ada.get("/api/sessions?status=happy")
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"]
        assert (await otto.look(private))["session"] == private


async def test_a_running_session_shows_where_it_stands(site: Stack) -> None:
    """Status, round, turn, whose turn and until when, and the brief that a bot needs."""
    async with duel(site.url) as game:
        _, _, started = await game.turn()
        view = await game.persons[0].look(game.session)
        assert (view["status"], view["turn"]) == ("running", started["d"]["turn"])
        assert view["turn_seat"] == started["d"]["seat"] == view["brief"]["seat"]
        assert view["turn_ends_at"] > view["started_at"] > 0
        assert all(seat["health"] > 0 and seat["connected"] for seat in view["seats"])
        assert view["ws_url"].startswith("ws://")


async def test_unknown_sessions_are_not_found(ada: Person) -> None:
    """A token that nobody has, and what is no token."""
    assert_problem(await ada.get("/api/sessions/k7qm2xpv"), 404, "not_found")
    assert_problem(await ada.get("/api/sessions/nonsense!"), 404, "no_such_session")


async def test_the_catalogue_lists_bodies(ada: Person) -> None:
    """Each with what a person chooses by; the ids are those that find takes."""
    catalogue = (await ada.get("/api/catalogue")).json()
    assert {"bodies", "materials", "scenes"} == catalogue.keys()
    assert {"halo", "crux", "cobble", "marl"} <= catalogue["bodies"].keys()


async def test_the_leaderboard_of_a_mode(ada: Person) -> None:
    """A list, empty before anybody was rated; an unknown mode is refused."""
    board = (await ada.get("/api/leaderboard/duel")).json()
    assert board["mode"] == "duel"
    assert isinstance(board["rows"], list)
    assert_problem(await ada.get("/api/leaderboard/chess"), 422, "unknown_mode", "mode")


async def test_health_and_metrics(site: Stack, ada: Person) -> None:
    """Health is JSON; the metrics parse as Prometheus' text format and count what happened."""
    health = (await ada.get("/healthz")).json()
    assert (health["ok"], health["draining"]) == (True, False)
    assert {"server", "build", "sessions"} <= health.keys()
    async with duel(site.url) as game:
        acting, _, _ = await game.turn()
        await acting.act("brace")
        await acting.until("turn_ended")
        answer = await ada.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert all(family.documentation for family in families.values())

    def value(family: str, sample: str) -> float:
        return sum(one.value for one in families[family].samples if one.name == sample)

    assert value("tussle_connections", "tussle_connections") >= 2
    assert value("tussle_ticks", "tussle_ticks_total") > 0
    assert value("tussle_frames_sent", "tussle_frames_sent_total") > 0
    assert value("tussle_input_to_frame_seconds", "tussle_input_to_frame_seconds_count") >= 1
    assert value("tussle_proofs", "tussle_proofs_total") >= 1


# -- requests that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 2000, "bad_request"),
        (b"[]", "bad_request"),
        (b"null", "bad_request"),
        (b'"hello"', "bad_request"),
        (b'{"name": 1}', "bad_request"),
        (b'{"name": "a", "name2": "b"}', "bad_request"),
        (b"x" * 5000, "too_large"),
        (json.dumps({"name": "x" * 5000}).encode(), "too_large"),
    ],
)
async def test_a_body_that_is_no_good_is_a_problem(ada: Person, content: bytes, code: str) -> None:
    """Bad JSON, wrong types, too much: 400 with its code, declared or in chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 700):
            yield content[start : start + 700]

    assert_problem(await ada.http.post("/api/login", content=content), 400, code)
    assert_problem(await ada.http.post("/api/login", content=chunks()), 400, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/login", 405),
        ("GET", "/api/login", 404),  # of the web client's, who has no such page
        ("DELETE", "/api/sessions", 405),
        ("POST", "/healthz", 405),
        ("PUT", "/api/me", 405),
        ("GET", "/api/nothing", 404),
        ("POST", "/nowhere", 405),
        ("GET", "/api/sessions/%00", 404),
    ],
)
async def test_wrong_methods_and_paths_are_problems(site: Stack, method: str, path: str, status: int) -> None:
    """404 and 405 are problem documents too."""
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        answer = await http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_a_flood_of_requests_at_once_is_answered(site: Stack) -> None:
    """Two hundred logins and lists together: each is answered, none with a server error."""
    async with httpx.AsyncClient(base_url=site.url, trust_env=False, timeout=30) as http:
        asked = [http.post("/api/login", json={}) if i % 2 else http.get("/api/sessions") for i in range(200)]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}


async def test_the_first_words_of_the_readme_work(site: Stack) -> None:
    """Log in, find, connect, be told of it: four calls, as docs/protocol.md opens with."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/find", mode="duel", size=6)
        async with Line.to(seat["ws_url"]) as line:
            assert (await line.hello(ticket=seat["ticket"]))["session"] == seat["session"]
