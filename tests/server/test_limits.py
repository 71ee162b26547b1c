"""Limits and trust, sans-I/O."""

from __future__ import annotations

import pytest

from tussle.server import limits
from tussle.server.limits import Buckets, Origins, Places, Proxies


def test_each_key_has_its_own_bucket() -> None:
    """One address that asks too much does not cost another anything, and is let in again later."""
    buckets = Buckets(rate=1.0, burst=2.0)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("b", 0.0)
    assert buckets.take("a", 1.0)


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million addresses cost no more memory than KEPT."""
    monkeypatch.setattr(limits, "KEPT", 3)
    buckets = Buckets(rate=0.0, burst=1.0)
    assert all(buckets.take(key, 0.0) for key in "abcd")
    assert not buckets.take("d", 0.0)
    assert buckets.take("a", 0.0)


def test_places_are_given_back() -> None:
    """At most ``limit`` at once; what nobody holds is not remembered."""
    places = Places(2)
    assert [places.enter("a") for _ in range(3)] == [True, True, False]
    places.leave("a")
    assert places.enter("a")
    places.leave("a")
    places.leave("a")
    assert not places._taken


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "tussle.example", True),
        ("https://tussle.example", "tussle.example", True),
        ("http://tussle.example:8080", "tussle.example:8080", True),
        ("http://tussle.example", "tussle.example:8080", False),
        ("https://evil.example", "tussle.example", False),
        ("https://tussle.example.evil.example", "tussle.example", False),
        ("null", "tussle.example", False),
        ("https://friend.example", "tussle.example", True),
        ("https://FRIEND.example", "tussle.example", True),
        ("https://evil.example", "", False),
        ("https://evil.example", None, False),
        ("", "", False),
    ],
)
def test_a_page_may_use_its_own_server_and_named_ones(
    origin: str | None, host: str | None, allowed: bool
) -> None:
    """The same origin, or one that the setting names; programs that send no origin."""
    assert Origins("https://friend.example/, https://other.example").allow(origin, host) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://one.example:8420", True),
        ("HTTP://One.example:8420", True),
        ("https://one.example:8420", False),
        ("http://one.example", False),
        ("http://one.example:8420.evil.example", False),
    ],
)
def test_pages_of_a_server_of_the_same_realm_may_come(origin: str, allowed: bool) -> None:
    """The page outlives the server that it came from; any other origin stays out."""
    kin = ["http://one.example:8420", "http://two.example:8420/behind/a/path"]
    assert Origins("").allow(origin, "three.example:8420", kin) is allowed


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "1.1.1.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.7", None, "10.0.0.7"),
        ("10.0.0.7", "10.0.0.2", "10.0.0.7"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("no address", "1.1.1.1", "no address"),
        ("2001:db8::7", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_only_a_trusted_proxy_says_who_the_client_is(peer: str, said: str | None, client: str) -> None:
    """Anyone may write the header; it counts when a proxy of ours brought it, and only its last foreign hop."""
    assert Proxies("10.0.0.0/8, 2001:db8::/32").client(peer, said) == client
