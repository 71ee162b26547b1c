"""A server is reached at the address at which its clients came: IPv4, IPv6, through proxies, with TLS and a prefix."""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.http import http_client
from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack
from tussle.player.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(store_url: str) -> AsyncIterator[Stack]:
    """A server that listens on every address and trusts a proxy that it knows by a host name."""
    async with Stack.up(store_url, "places-addresses") as stack:
        await stack.server(HOST="::", TRUSTED_PROXIES="localhost", REQUEST_RATE="4", PUBLIC_URL="/")
        yield stack


async def seat_of(http: httpx.AsyncClient, **headers: str) -> dict[str, object]:
    """A reserved seat, from a client behind the proxy."""
    login = (await http.post("/api/login", json={}, headers=headers)).json()
    headers["authorization"] = f"Bearer {login['token']}"
    answer = await http.post("/api/open", json={"mode": "duel", "size": 2}, headers=headers)
    assert answer.status_code == 200, answer.text
    seat: dict[str, object] = answer.json()
    return seat


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost"])
async def test_a_seat_is_at_the_address_of_the_request(site: Stack, host: str) -> None:
    """HOST=:: takes IPv4 and IPv6, and ws_url has the host that the client used."""
    url = site.url.replace("127.0.0.1", host)
    async with http_client(url) as http:
        seat = await seat_of(http, **{"x-forwarded-for": "198.51.100.1"})
    assert seat["ws_url"] == url.replace("http", "ws", 1) + "/ws"
    assert seat["here"] is True
    async with Client(url) as client:
        await client.login()
        join = await client.open(private=True)
        async with client.connect(join) as connection:
            assert connection.connected


async def test_a_trusted_proxy_says_where_the_client_came(site: Stack) -> None:
    """Behind an HTTPS proxy ws_url has the outer scheme, host, port and prefix, without PUBLIC_URL."""
    headers = {
        "x-forwarded-for": "198.51.100.2",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "play.example.org:8443",
        "x-forwarded-prefix": "/game/",
    }
    async with http_client(site.url) as http:
        assert (await seat_of(http, **headers))["ws_url"] == "wss://play.example.org:8443/game/ws"
        headers["x-forwarded-host"] = 'evil"><script>'
        assert (await seat_of(http, **headers))["ws_url"] == site.url.replace("http", "ws", 1) + "/ws"


async def test_clients_of_a_proxy_have_their_own_budgets(site: Stack) -> None:
    """Over IPv4 the proxy's address is mapped (::ffff:127.0.0.1). It is trusted nevertheless."""
    async with http_client(site.url) as http:

        async def asked(client: str) -> collections.Counter[int]:
            answers = [
                (await http.get("/api/sessions", headers={"x-forwarded-for": client})).status_code
                for _ in range(40)
            ]
            return collections.Counter(answers)

        assert (await asked("198.51.100.3"))[429]
        first = await http.get("/api/sessions", headers={"x-forwarded-for": "198.51.100.4"})
        assert first.status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.example.invalid"),
        ("PUBLIC_URL", "ftp://x"),
        ("PUBLIC_URL", "play.example.org"),
        ("HOST", "server.example.invalid"),
        ("REALM", "no-catalogue"),
    ],
)
async def test_a_wrong_address_is_one_line_at_the_start(site: Stack, name: str, value: str) -> None:
    """The server ends at once, names the setting and its value, and shows no traceback. A realm without a catalogue is
    such a value."""
    server = await site.start("server", "wrong", PORT="0", **{name: value})
    code = await server.wait(60)
    site.processes.remove(server)
    assert code in (1, 2)
    assert (value if name == "REALM" else f"{name}={value}") in server.output
    assert "Traceback" not in server.output
