"""Addresses of servers as text."""

from __future__ import annotations

import pytest

from tussle.lobby.addresses import host_port, local_url, socket_address


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
