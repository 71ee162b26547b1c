"""Relays, private sessions, host names and the store's files: attempts of strangers."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

import pytest

from tests.support.gateway import address
from tests.support.http import http_client
from tests.support.paths import ROOT
from tests.support.stack import Stack, children
from tests.support.stranger import Line, Person, duel
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore
from tussle.server.limits import Hosts

ENVIRONMENT = {
    "ADDRESS_CONNECTIONS": "12",
    "SIM_SPEED": "0",
    "TURN_S": "60",
    "ALLOWED_HOSTS": "play.example.org",
}

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def upgrade(site: Stack, path: bytes, host: bytes = b"127.0.0.1") -> tuple[socket.socket, bytes]:
    """Ask for a WebSocket; the socket and the status of the answer."""
    raw = socket.create_connection(address(site), timeout=10.0)
    raw.sendall(UPGRADE % (path, host))
    heard = b""
    while b"\r\n\r\n" not in heard and (data := raw.recv(4096)):
        heard += data
    return raw, heard[9:12]


@pytest.mark.asyncio(loop_scope="module")
async def test_relays_count_against_their_address_until_the_ticket_is_redeemed(site: Stack) -> None:
    """More upgrades of /relay than ADDRESS_CONNECTIONS are refused."""
    with contextlib.ExitStack() as held:
        statuses = []
        for _ in range(20):
            raw, status = upgrade(site, b"/relay")
            held.callback(raw.close)
            statuses.append(status)
        assert statuses.count(b"101") <= 12
        assert set(statuses[12:]) <= {b"429", b""}


def test_the_proxy_does_not_pass_relays_on() -> None:
    """/relay is between servers, which reach each other without the proxy."""
    assert "location = /relay { return 404; }" in (ROOT / "compose/nginx/tussle.conf").read_text()


@pytest.mark.asyncio(loop_scope="module")
async def test_live_lists_a_private_session_to_its_members_only(site: Stack) -> None:
    """A stranger's list and announcements leave it out; with its token a stranger may subscribe."""
    async with Person(site.url) as spy:
        await spy.login()
        url = site.url.replace("http", "ws", 1) + "/live"
        async with Line.to(url) as line:
            await line.say("live", {"protocol": 1, "login": spy.token})
            await line.until("live")
            async with duel(site.url) as game:
                await line.say("sources", id=1)
                listed = (await line.until("sources"))["d"]["sources"]
                assert game.session not in listed
                async with Line.to(url) as member:
                    await member.say("live", {"protocol": 1, "login": game.persons[0].token})
                    await member.until("live")
                    await member.say("sources", id=1)
                    assert game.session in (await member.until("sources"))["d"]["sources"]
                await line.say("subscribe", {"source": game.session}, id=2)
                await line.until("subscribed", source=game.session)
            assert not [
                m for m in line.messages if m["t"] == "source_added" and m["d"]["source"] == game.session
            ]


HOSTS = [
    ("127.0.0.1:8420", True), ("[::1]:8420", True), ("10.0.0.7", True), ("localhost:8420", True), ("server:8420", True),
    ("lab-pc.local", True), ("play.example.org", True), ("PLAY.example.org.:443", True), ("pages.example.net", True),
    ("evil.localhost.com", False), ("other.example.com", True), ("evil.example", False),
    ("127.0.0.1.evil.example", False),
    ("play.example.org.evil.example", False), ("", True), (None, True),
]  # fmt: skip


@pytest.mark.parametrize(("host", "known"), HOSTS)
def test_which_host_names_are_known(host: str | None, known: bool) -> None:
    """Addresses, names without a dot, private names, and the names in the settings."""
    hosts = Hosts(
        "other.example.com", "http://play.example.org", "/at/{hostname}", "https://pages.example.net"
    )
    assert hosts.allow(host) is known
    assert Hosts("*").allow(host)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_foreign_host_name_changes_nothing(site: Stack) -> None:
    """DNS rebinding: posts and sockets for another host name get 421 unknown_host; reading is allowed."""
    async with http_client(site.url) as http:
        headers = {"host": "evil.example"}
        answer = await http.post("/api/login", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
        assert (await http.get("/api/sessions", headers=headers)).status_code == 200
        known = await http.post("/api/login", json={}, headers={"host": "play.example.org"})
        assert known.status_code == 200
    for path in (b"/ws", b"/live", b"/relay"):
        raw, status = upgrade(site, path, b"evil.example")
        raw.close()
        assert status == b"421"


@pytest.mark.asyncio(loop_scope="module")
async def test_after_logging_out_a_token_opens_nothing(site: Stack) -> None:
    """The token is refused over HTTP and in /live. An open socket of a session stays open: it has its own ticket."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        async with Line.to(
            seat["ws_url"].replace("play.example.org", site.url.removeprefix("http://"))
        ) as line:
            await line.hello(ticket=seat["ticket"])
            await ada.ask("/api/logout")
            assert (await ada.get("/api/me")).status_code == 401
            async with Line.to(site.url.replace("http", "ws", 1) + "/live") as live:
                await live.say("live", {"protocol": 1, "login": ada.token})
                assert (await live.end())[0] == 4003
            await line.say("ping", {"at": 1.0})
            await line.until("pong")


def test_the_files_of_the_embedded_store_are_for_their_owner_only(valkey: Binary, tmp_path: Path) -> None:
    """Folder and files, also in a folder that an older version made."""
    store = EmbeddedStore(Settings(data_dir=tmp_path), binary=valkey)
    store.folder.mkdir(mode=0o755)
    with store:
        found = [store.folder, *store.folder.rglob("*")]
        assert any("appendonly" in path.name for path in found)
        for path in found[:1]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        for path in found[1:]:
            if path.name != "lock":
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.asyncio(loop_scope="module")
async def test_addresses_with_passwords_are_no_arguments(site: Stack) -> None:
    """Everybody on a machine can read the arguments of a process, and only its owner its environment. The solver
    processes get the address of the archive, and none of them as an argument."""
    site.forks = False  # a forked solver has the arguments of the fork server
    server = await site.server()
    seen = [(Path("/proc") / str(pid) / "cmdline") for pid in children(server.pid)]
    arguments = [path.read_bytes().split(b"\0") for path in seen if path.exists()]
    assert any(b"tussle.server.solver.process" in words for words in arguments), arguments
    assert not [word for words in arguments for word in words if b"archive" in word and b"/" in word]
