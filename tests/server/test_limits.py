"""Token buckets, addresses, origins and proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.environment import BadSetting
from tussle.server.limits import Origins, Proxies, TokenBucket, owner_of_address


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 3)), max_size=60))
def test_a_bucket_limits_rate_and_burst(steps: list[tuple[float, float]]) -> None:
    """In any time span, at most burst + rate * time is taken."""
    bucket = TokenBucket(rate=2.0, burst=5.0)
    now = taken = 0.0
    for wait, amount in steps:
        now += wait
        if bucket.take(now, amount):
            taken += amount
        assert taken <= 5.0 + 2.0 * now + 1e-6


def test_the_wait_is_the_time_until_the_tokens_are_there() -> None:
    """After the returned time the same amount can be taken; an amount beyond the burst never can."""
    bucket = TokenBucket(rate=2.0, burst=5.0)
    assert bucket.take(0.0, 5.0)
    assert bucket.wait(3.0) == pytest.approx(1.5)
    assert not bucket.take(1.4, 3.0)
    assert bucket.take(1.5, 3.0)
    assert bucket.wait(6.0) is None


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_addresses_of_one_network_share_their_budgets(address: str, owner: str) -> None:
    """An IPv6 client cannot get a new budget by taking another address of its /64 network."""
    assert owner_of_address(address) == owner


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
    """Allowed: the same origin, a named origin, and programs that send no origin."""
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
def test_a_page_of_another_server_of_the_realm_is_allowed(origin: str, allowed: bool) -> None:
    """A page stays open after its server stops and connects to another one; any other origin is refused."""
    siblings = ["http://one.example:8420", "http://two.example:8420/behind/a/path"]
    assert Origins("").allow(origin, "three.example:8420", siblings) is allowed


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
def test_only_a_trusted_proxy_sets_the_client_address(peer: str, said: str | None, client: str) -> None:
    """The header counts only if a trusted proxy sent it, and then only its last untrusted hop."""
    assert Proxies("10.0.0.0/8, 2001:db8::/32").client(peer, said) == client


@pytest.mark.parametrize(
    ("setting", "peer", "trusted"),
    [
        ("10.0.0.0/8", "10.0.0.1", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.0/8", "::ffff:a00:1", True),
        ("10.0.0.0/8", "::ffff:11.0.0.1", False),
        ("10.0.0.0/8", "::10.0.0.1", False),
        ("10.0.0.5/8", "10.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "11.0.0.1", False),
        ("::/0", "2001:db8::7", True),
        ("2001:db8::/32", "2001:db8::7%eth0", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("", "127.0.0.1", False),
    ],
)
def test_a_mapped_peer_is_its_ipv4_address(setting: str, peer: str, trusted: bool) -> None:
    """Proxies and the server's HTTP library agree, for IPv4, IPv6 and IPv4-mapped peers and networks."""
    proxies = Proxies(setting)
    assert proxies.trust(peer) is trusted
    plain = any(ip_address(peer) in ip_network(host) for host in proxies.hosts())
    assert plain is trusted


@pytest.mark.parametrize("setting", ["nonsense", "10.0.0.0/33", "10.0.0.0/8, *", "proxy.example"])
def test_a_bad_proxy_is_a_bad_setting(setting: str) -> None:
    """One line names the setting and the part that cannot be used."""
    with pytest.raises(BadSetting, match=r"^TRUSTED_PROXIES=[^,]*: not an address or a network"):
        Proxies(setting)
