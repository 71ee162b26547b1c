"""Random requests get a documented answer from the HTTP API, never a 500, and the server stays healthy."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.test_decoders_fuzz import json_values
from tests.support.http import http_client
from tests.support.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"LOGIN_RATE": "10000", "REQUEST_RATE": "100000", "GUESS_RATE": "10000", "TICKET_TTL_S": "1"}

EVENT_STREAM = "/api/sessions/changes"
"""A stream, whose answer does not end."""

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

POSTS = ("login", "find", "open", "join", "observe", "leave", "springs")
FIELDS = (
    "name",
    "secret",
    "kind",
    "skill",
    "mode",
    "size",
    "body",
    "ready",
    "private",
    "scene",
    "params",
    "session",
    "x",
    "v",
)
words = st.sampled_from(
    ["duel", "sandbox", "curling", "halo", "", "bot", "k7qm2xpv", "../..", "\x00", "é" * 40]
)
bodies = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), words | json_values, max_size=6).map(
        lambda d: json.dumps(d).encode()
    ),
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
)


def fuzz_bodies(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        token = http.post("/api/login", json={}).json()["token"]

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(POSTS), bodies, st.booleans())
        def ask(call: str, body: bytes, known: bool) -> None:
            headers = {"authorization": f"Bearer {token}"} if known and call != "login" else {}
            answer = http.post(f"/api/{call}", content=body, headers=headers)
            assert answer.status_code < 500, (call, body, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"]

        ask()


def fuzz_addresses(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(["sessions", "leaderboard", "catalogue", "me", ""]),
            st.text(max_size=30),
            words,
            words,
        )
        def ask(call: str, rest: str, mode: str, status: str) -> None:
            query = {"mode": mode, "status": status, "search": rest}
            for path in (f"/api/{call}/{quote(rest, safe='')}", "/api/sessions"):
                answer = http.get(path, params=query)
                assert answer.status_code < 500, (path, query, answer.text)

        ask()


async def test_any_body_gets_a_documented_answer(site: Stack) -> None:
    """Any body gets a status below 500; a refusal is a problem document with a code."""
    await asyncio.to_thread(fuzz_bodies, site.url)


async def test_any_path_and_query_gets_an_answer(site: Stack) -> None:
    """Any path and query gets a status below 500."""
    await asyncio.to_thread(fuzz_addresses, site.url)


async def test_the_openapi_document_matches_the_server(site: Stack) -> None:
    """Each operation of the document exists, and its bodies are the Structs that decode requests."""
    async with http_client(site.url) as http:
        described: dict[str, Any] = (await http.get("/openapi.json")).json()
        assert described["openapi"].startswith("3.1")
        assert set(described["components"]["schemas"]) >= {
            "LoginRequest",
            "FindRequest",
            "OpenRequest",
            "JoinRequest",
            "SessionRequest",
            "Problem",
        }
        for path, operations in described["paths"].items():
            if path == EVENT_STREAM:
                continue
            for method in operations:
                answer = await http.request(
                    method, path.replace("{token}", "k7qm2xpv").replace("{mode}", "duel")
                )
                said = set(operations[method]["responses"])
                assert str(answer.status_code) in said, (method, path, answer.status_code)


async def test_schemathesis_finds_nothing(site: Stack) -> None:
    """schemathesis finds no difference between the OpenAPI document and the server."""
    tool = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    if tool is None:
        pytest.skip("!! schemathesis IS NOT INSTALLED: the API was not compared with its document")
    async with http_client(site.url) as http:
        token = (await http.post("/api/login", json={})).json()["token"]
    done = await asyncio.to_thread(
        subprocess.run,
        [
            tool, "run", f"{site.url}/openapi.json", "-H", f"Authorization: Bearer {token}", "--max-examples", "15",
            "--checks", CHECKS, "--seed", "7", "--exclude-path", EVENT_STREAM,
        ],
        capture_output=True, text=True, check=False, timeout=270,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
