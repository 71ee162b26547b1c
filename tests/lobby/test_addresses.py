"""Addresses of servers as text."""

from __future__ import annotations

import pytest

from tussle.lobby.addresses import RequestAddress, host_port, local_url, socket_address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:8420"),
        ("tussle.example", "tussle.example:8420"),
        ("::1", "[::1]:8420"),
        ("[::1]", "[::1]:8420"),
        ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:8420"),
        ("fe80::1%eth0", "[fe80::1%eth0]:8420"),
    ],
)
def test_an_ipv6_host_is_in_brackets(host: str, expected: str) -> None:
    """Names and IPv4 addresses are left as they are."""
    assert host_port(host, 8420) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "http://127.0.0.1:8420"),
        ("::", "http://127.0.0.1:8420"),
        ("::1", "http://[::1]:8420"),
        ("10.0.0.1", "http://10.0.0.1:8420"),
    ],
)
def test_a_wildcard_is_reached_by_loopback(host: str, expected: str) -> None:
    """A server that listens on every interface is reached on 127.0.0.1."""
    assert local_url(host, 8420) == expected


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("http://one:8420", "/ws", "ws://one:8420/ws"),
        ("https://one/tussle", "/ws", "wss://one/tussle/ws"),
        ("http://[::1]:8420", "/live", "ws://[::1]:8420/live"),
        ("/behind/http", "/ws", "/behind/http/ws"),
        ("", "/ws", ""),
    ],
)
def test_the_socket_s_scheme_follows_http(url: str, path: str, expected: str) -> None:
    """Only the scheme changes; a path that contains "http" stays as it is."""
    assert socket_address(url, path) == expected


OURS = "http://127.0.0.1:8420"


@pytest.mark.parametrize(
    ("base", "direct", "own", "follows", "url", "expected"),
    [
        # the server of the request itself
        ("http://10.0.0.5:8420", True, OURS, True, OURS, "http://10.0.0.5:8420"),
        ("https://play.example/game", False, OURS, True, OURS, "https://play.example/game"),
        ("https://play.example", False, "/at/n1", False, "/at/n1", "https://play.example/at/n1"),
        (
            "http://10.0.0.5",
            True,
            "https://named.example",
            False,
            "https://named.example",
            "https://named.example",
        ),
        # another server
        ("http://127.0.0.1:8420", True, OURS, True, "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://[::1]:8420", True, OURS, True, "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://10.0.0.5:8420", True, OURS, True, "http://127.0.0.1:9", ""),
        ("http://127.0.0.1:8420", False, OURS, True, "http://127.0.0.1:9", ""),
        ("https://play.example", False, OURS, True, "http://10.0.0.6:8420", ""),
        ("https://play.example", False, OURS, True, "https://other.example", "https://other.example"),
        ("http://10.0.0.5:8420", True, OURS, True, "http://10.0.0.6:8420", "http://10.0.0.6:8420"),
        # a request that does not say
        ("", True, OURS, True, "http://10.0.0.6:8420", "http://10.0.0.6:8420"),
        ("", True, OURS, True, "/at/n1", ""),
    ],
)
def test_which_address_of_a_server_a_client_can_use(
    base: str, direct: bool, own: str, follows: bool, url: str, expected: str
) -> None:
    """The own server is where the request came, unless PUBLIC_URL says otherwise. An address of another server's own
    machine, or one without TLS, is not given to a client elsewhere, or with TLS."""
    assert RequestAddress(base, direct).of_server(url, own, follows=follows) == expected
