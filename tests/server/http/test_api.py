"""The HTTP API as a whole: bodies, methods and paths that it refuses, and its behaviour under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.http import http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Line, Person

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60", "MAX_BODY_BYTES": "4096"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic abc", "nonsense"])
async def test_a_request_without_a_login_is_refused(site: Stack, authorization: str) -> None:
    """/api/me and every call for a seat answer 401 with login_required and a challenge."""
    async with http_client(site.url) as http:
        headers = {"authorization": authorization} if authorization else {}
        answers = [await http.get("/api/me", headers=headers)]
        for path in ("find", "open", "join", "observe", "leave", "logout"):
            answers.append(await http.post(f"/api/{path}", json={}, headers=headers))
        for answer in answers:
            assert_problem(answer, 401, "login_required")
            assert answer.headers["www-authenticate"] == "Bearer"


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
async def test_a_bad_body_is_a_problem(ada: Person, content: bytes, code: str) -> None:
    """Bad JSON, wrong types and bodies over the limit get 400 with a code, with a declared length or in chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 700):
            yield content[start : start + 700]

    assert_problem(await ada.http.post("/api/login", content=content), 400, code)
    assert_problem(await ada.http.post("/api/login", content=chunks()), 400, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/login", 405),
        ("GET", "/api/login", 404),  # answered by the web client's route, which has no such file
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
    async with http_client(site.url) as http:
        answer = await http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_two_hundred_requests_at_once_are_answered(site: Stack) -> None:
    """A hundred logins and a hundred lists at once all get 200."""
    async with http_client(site.url) as http:
        asked = [http.post("/api/login", json={}) if i % 2 else http.get("/api/sessions") for i in range(200)]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}


async def test_the_first_example_of_the_protocol_works(site: Stack) -> None:
    """Log in, find a session, connect, receive the welcome: the calls at the start of docs/protocol.md."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/find", mode="duel", size=6)
        async with Line.to(seat["ws_url"]) as line:
            assert (await line.hello(ticket=seat["ticket"]))["session"] == seat["session"]
