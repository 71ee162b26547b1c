"""The files of the web client over HTTP: caching, compression, and no other file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from tussle.lobby.accounts import PlayerInfo
from tussle.server.http.rights import Rights
from tussle.server.http.static import allows_playground, web_routes


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<title>Tussle</title><script src="./assets/app-abc.js">')
    (folder / "index.html.br").write_bytes(b"brotli")
    (folder / "assets" / "app-abc.js").write_text("plain")
    (folder / "assets" / "app-abc.js.br").write_bytes(b"brotli")
    (folder / ".stamp").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    return folder


def serving(dist: Path, *, playground: bool = False) -> httpx.AsyncClient:
    async def nobody(_: Request) -> PlayerInfo:
        raise AssertionError("a page needs no login")

    rights = Rights(nobody, lambda _: frozenset(), lambda *_: None)
    transport = httpx.ASGITransport(Starlette(routes=web_routes(rights, dist, playground=playground)))
    return httpx.AsyncClient(transport=transport, base_url="http://tussle")


@pytest.fixture
async def client(dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(dist) as client:
        yield client


async def test_the_index_is_revalidated_by_its_etag(client: httpx.AsyncClient) -> None:
    """A cache must revalidate /. An unchanged index is not sent again."""
    first = await client.get("/", headers={"accept-encoding": "identity"})
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = await client.get(
        "/", headers={"if-none-match": first.headers["etag"], "accept-encoding": "identity"}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_assets_are_immutable_and_compressed(client: httpx.AsyncClient) -> None:
    """An asset is compressed for clients that accept it. Each encoding has its own ETag."""
    packed = await client.get("/assets/app-abc.js", headers={"accept-encoding": "gzip, br"})
    assert packed.headers["cache-control"].endswith("immutable")
    assert packed.headers["content-encoding"] == "br"
    assert packed.headers["content-type"].startswith("text/javascript")
    plain = await client.get("/assets/app-abc.js", headers={"accept-encoding": "identity"})
    assert plain.text == "plain"
    assert plain.headers["etag"] != packed.headers["etag"]


@pytest.mark.parametrize(
    "path", ["/../outside.txt", "/%2e%2e/outside.txt", "/.stamp", "/assets/../../outside.txt"]
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    """Paths that leave dist, and hidden files in it, are not served."""
    assert "secret" not in (await client.get(path)).text


async def test_a_path_without_a_file_is_the_client(client: httpx.AsyncClient) -> None:
    """An unknown page gets index.html. A missing asset and an unknown API path get 404."""
    assert "Tussle" in (await client.get("/somewhere")).text
    assert (await client.get("/assets/old-123.js")).status_code == 404
    assert (await client.get("/api/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("path", "script"), [("/", "./assets/"), ("/admin", "./assets/"), ("/r/abcdefgh", "../assets/")]
)
async def test_a_page_names_its_files_relative_to_itself(
    client: httpx.AsyncClient, path: str, script: str
) -> None:
    """A proxy may have put the server below any path: no address begins at the root of the host."""
    answer = await client.get(
        path, headers={"accept-encoding": "br" if script.startswith("..") else "identity"}
    )
    assert f'src="{script}app-abc.js"' in answer.text


@pytest.mark.parametrize(
    ("path", "location"),
    [("/admin/", "../admin"), ("/game/admin/", "../admin"), ("//evil.example/", "../evil.example")],
)
async def test_a_page_has_no_slash_at_its_end(client: httpx.AsyncClient, path: str, location: str) -> None:
    """Each page has one address. The redirect never leads to another host."""
    answer = await client.get(f"http://tussle{path}")
    assert (answer.status_code, answer.headers["location"]) == (307, location)


async def test_without_a_bundle_the_page_has_the_build_command(tmp_path: Path) -> None:
    """The server runs without the client and answers / with the command that builds it."""
    async with serving(tmp_path / "none") as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert "player/web/build.py" in answer.text


@pytest.mark.parametrize("path", ["/playground", "/playground/"])
async def test_the_playground_is_served_only_where_it_is_allowed(dist: Path, path: str) -> None:
    """Its address is not that of a page elsewhere, with or without a slash."""
    async with serving(dist) as client:
        refused = await client.get(path)
        assert (refused.status_code, "PLAYGROUND" in refused.text) == (404, True)
    async with serving(dist, playground=True) as client:
        assert (await client.get("/playground")).text.startswith("<title>Tussle")


@pytest.mark.parametrize(
    ("wanted", "host", "allowed"),
    [
        ("auto", "127.0.0.1", True),
        ("auto", "::1", True),
        ("auto", "0.0.0.0", False),
        ("auto", "192.0.2.7", False),
        ("on", "0.0.0.0", True),
        ("off", "127.0.0.1", False),
    ],
)
def test_without_a_word_the_playground_is_for_this_machine_only(
    wanted: str, host: str, allowed: bool
) -> None:
    """PLAYGROUND is auto: a server that others reach serves it only when asked."""
    assert allows_playground(wanted, host) is allowed
