"""The client's HTTP side: what it asks, and what it raises."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import msgspec
import pytest

from tests.support.pair import ModelSession
from tussle.lobby.errors import (
    AuthError,
    Conflict,
    LobbyFull,
    NotFound,
    ProtocolError,
    RateLimited,
    Refused,
    ServerFault,
)
from tussle.lobby.wire.http_answers import ModeStanding, PastMatch, PlayerProfile
from tussle.player.client import Client
from tussle.player.transcript import Disconnected

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **options: str) -> Client:
    return Client("http://tussle.test", transport=httpx.MockTransport(handler), **options)  # type: ignore[arg-type]


def always(response: httpx.Response) -> Handler:
    return lambda _: response


async def test_login_is_remembered_and_shown_with_every_call() -> None:
    """The token goes into the Authorization header; absent fields are not sent."""
    asked: list[tuple[str, dict[str, object], str | None]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, json.loads(request.content), request.headers.get("authorization")))
        if request.url.path == "/api/login":
            return httpx.Response(
                200, json={"player": "p1", "name": "Ada", "token": "secret", "expires_s": 60}
            )
        return httpx.Response(
            200,
            json={
                "session": "k7qm2xpv",
                "seat": 0,
                "role": "player",
                "ticket": "t",
                "ws_url": "ws://x/ws",
                "new": 1,
            },
        )

    async with client(handle) as ada:
        await ada.login("Ada", "her secret")
        join = await ada.find(mode="duel", size=2)
    assert asked[0] == ("/api/login", {"name": "Ada", "secret": "her secret", "kind": "person"}, None)
    assert asked[1] == ("/api/find", {"mode": "duel", "size": 2, "ready": True}, "Bearer secret")
    assert (join.seat, join.ws_url) == (0, "ws://x/ws")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "name_taken", AuthError),
        (404, "not_found", NotFound),
        (409, "lobby_full", LobbyFull),
        (409, "in_session", Conflict),
        (422, "unknown_body", Refused),
        (429, "rate_limited", RateLimited),
        (400, "bad_message", ProtocolError),
        (500, "server_error", ServerFault),
    ],
)
async def test_a_problem_document_becomes_the_error_that_it_was(status: int, code: str, kind: type) -> None:
    problem = {
        "type": f"urn:x:{code}",
        "title": "X",
        "status": status,
        "detail": "a sentence",
        "code": code,
        "field": "f",
    }
    async with client(always(httpx.Response(status, json=problem))) as ada:
        with pytest.raises(kind, match="a sentence") as caught:
            await ada.join("k7qm2xpv")
    assert (caught.value.reason, caught.value.field) == (code, "f")


async def test_an_answer_that_is_no_problem_document_is_an_error_too() -> None:
    """A proxy's page of HTML, for one."""
    async with client(always(httpx.Response(502, text="<html>Bad Gateway</html>"))) as ada:
        with pytest.raises(ServerFault, match="Bad Gateway"):
            await ada.sessions()


async def test_an_answer_of_another_shape_is_an_error() -> None:
    async with client(always(httpx.Response(200, json={"sessions": 5}))) as ada:
        with pytest.raises(ProtocolError):
            await ada.sessions()


@pytest.mark.parametrize("data", [b'{"sessions": "\xff"}', b"[" * 100_000, b'{"title": "\xff"}'])
@pytest.mark.parametrize("status", [200, 502])
async def test_an_answer_of_any_bytes_is_an_error_of_ours(status: int, data: bytes) -> None:
    """Bytes that are not UTF-8, or nested too deeply."""
    async with client(always(httpx.Response(status, content=data))) as ada:
        with pytest.raises(ProtocolError if status == 200 else ServerFault):
            await ada.sessions()


async def test_no_server_is_a_disconnection_with_its_address() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with client(refuse) as ada:
        with pytest.raises(Disconnected, match=r"no answer from http://tussle\.test \(refused\)"):
            await ada.whoami()
        assert not await ada.healthy()


async def test_the_profile_of_a_player_is_typed() -> None:
    """Of any player by the identity; NotFound for one that nobody knows."""
    profile = PlayerProfile(
        player="p1", name="Ada#k3v7", kind="person", xp=40, played=2, won=1,
        standings=(ModeStanding(mode="duel", value=1012.5, provisional=True, played=2, place=3),),
        matches=(PastMatch(session="k7qm2xpv", mode="duel", at=1_700_000_000_000, place=1, of=2, body="cube"),),
    )  # fmt: skip

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/players/p1":
            return httpx.Response(
                404, json={"code": "not_found", "title": "no such player", "field": "player"}
            )
        return httpx.Response(200, content=msgspec.json.encode(profile))

    async with client(handle) as ada:
        assert await ada.profile("p1") == profile
        with pytest.raises(NotFound):
            await ada.profile("p2")


async def test_sessions_are_typed_views_and_filters_are_passed_on() -> None:
    view = ModelSession().view()

    def handle(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"mode": "duel", "search": "ada"}
        return httpx.Response(200, content=msgspec.json.encode({"sessions": [view]}))

    async with client(handle) as ada:
        assert await ada.sessions(mode="duel", search="ada") == [view]
