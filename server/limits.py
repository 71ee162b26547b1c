"""Token buckets, and which addresses, origins and proxies count as what. Sans-I/O.

server/costs.py has the budgets. This module must never read a clock: the time is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from tussle.lobby.addresses import RequestAddress
from tussle.lobby.environment import BadSetting, split_list

__all__ = [
    "ABORT",
    "PROXIED",
    "SLOW_DOWN",
    "Hosts",
    "Origins",
    "Proxies",
    "TokenBucket",
    "owner_of_address",
    "request_address",
]

PROXIED = "tussle.proxied"
"""Key of a request's scope: whether a trusted proxy sent it."""

ABORT = "tussle.abort"
"""Key of a request's scope: a function that closes its connection at once and drops unsent bytes."""

SLOW_DOWN = "tussle.slow_down"
"""Key of a request's scope: a function that delays the next request of its connection, because this one was refused."""

HOST_FORM = re.compile(r"([A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
"""A Host header that is repeated to the client as a part of an address."""

PREFIX_FORM = re.compile(r"[A-Za-z0-9._~/-]{0,100}")

MAPPED = "::ffff:"
"""Prefix of an IPv4-mapped IPv6 address."""


@dataclass(slots=True)
class TokenBucket:
    """A token bucket: ``rate`` per second on average, at most ``burst`` at once."""

    rate: float
    burst: float
    level: float = field(init=False)
    at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.level = self.burst

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take ``amount`` tokens at time ``now`` [s]. Returns False, and takes nothing, if there are not enough."""
        level = self.level + (now - self.at) * self.rate if now > self.at else self.level
        if level > self.burst:
            level = self.burst
        self.at = now
        enough = level >= amount
        self.level = level - amount if enough else level
        return enough

    def reserve(self, now: float, amount: float = 1.0) -> float:
        """Take ``amount`` tokens at time ``now`` [s], those of the future if need be. Returns the time [s] until they
        are there: the caller waits that long."""
        self.take(now, 0.0)
        self.level -= amount
        return max(0.0, -self.level / self.rate)

    def wait(self, amount: float = 1.0) -> float | None:
        """The time [s] until ``amount`` tokens are there, as of the last ``take``; None if they never will be."""
        if amount > self.burst or self.rate <= 0:
            return None
        return max(0.0, (amount - self.level) / self.rate)

    def give(self, amount: float) -> None:
        """Give tokens back that were not used."""
        self.level = min(self.burst, self.level + amount)


class Proxies:
    """The proxies that are trusted to report a client's address.

    An IPv4-mapped IPv6 address (``::ffff:10.0.0.1``) and its IPv4 address are the same address.
    """

    def __init__(self, text: str) -> None:
        """``text``: TRUSTED_PROXIES, addresses and networks, comma-separated. Raises BadSetting."""
        self._networks = [_parse_network(part) for part in split_list(text)]

    def trust(self, peer: str) -> bool:
        """Whether ``peer`` is the address of a trusted proxy; False for text that is not an address."""
        try:
            address = _unmapped(ip_address(peer))
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def hosts(self) -> list[str]:
        """The networks as text, IPv4 networks in IPv4-mapped form too, for a library that compares plainly."""
        mapped = [
            f"{MAPPED}{network.network_address}/{network.prefixlen + 96}"
            for network in self._networks
            if isinstance(network, IPv4Network)
        ]
        return [*map(str, self._networks), *mapped]

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The client's address: the last one in the header that is not a trusted proxy, otherwise ``peer``."""
        if forwarded_for is None or not self.trust(peer):
            return peer
        for hop in reversed([part.strip() for part in forwarded_for.split(",")]):
            if hop and not self.trust(hop):
                return hop
        return peer


@lru_cache(maxsize=4096)
def owner_of_address(address: str) -> str:
    """The key of an address's budgets: an IPv4 address, or the /64 network of an IPv6 address.

    One customer of a provider usually has a whole /64 (RFC 6177), so its addresses share their budgets. Text that is
    not an address is its own key.
    """
    try:
        parsed = _unmapped(ip_address(address))
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ip_network((int(parsed), 64), strict=False))


def request_address(header: Callable[[str], str | None], *, proxied: bool) -> RequestAddress:
    """The address at which a client reached this server. ``header`` returns a header's value. The X-Forwarded headers
    count only if ``proxied``: a trusted proxy sent them. Its own Host header may name the address behind it."""

    def first(name: str) -> str:
        return (header(name) or "").partition(",")[0].strip() if proxied else ""

    host = first("x-forwarded-host") or (header("host") or "").strip()
    if not HOST_FORM.fullmatch(host):
        return RequestAddress("", not proxied)
    scheme = "https" if first("x-forwarded-proto").lower() in ("https", "wss") else "http"
    prefix = first("x-forwarded-prefix").strip("/")
    if not PREFIX_FORM.fullmatch(prefix):
        prefix = ""
    return RequestAddress(f"{scheme}://{host}{'/' + prefix if prefix else ''}", not proxied)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    """The network, in IPv4 form if it is IPv4-mapped. Raises BadSetting."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        advice = (
            ": any client could then choose its address; name the network of the proxy" if text == "*" else ""
        )
        raise BadSetting(f"TRUSTED_PROXIES={text}: not an address or a network{advice}") from None
    first = _unmapped(network.network_address)
    if isinstance(first, IPv4Address) and network.version == 6 and network.prefixlen >= 96:
        return IPv4Network((first, network.prefixlen - 96))
    return network


PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".test")
"""Suffixes that no name on the public Internet has (RFC 6761, 6762, 8375), and so no page of a third party."""


class Hosts:
    """The Host headers of requests that may change something. Sans-I/O.

    With DNS rebinding an attacker's host name resolves to the server's address, and a visitor's browser sends the
    requests of the attacker's page to the server as same-origin requests. Their Host header has the attacker's name.
    Accepted are addresses, names of one label (compose services, machines of a LAN), names below PRIVATE_SUFFIXES, and
    the names in the settings.
    """

    def __init__(self, allowed_hosts: str, *urls: str) -> None:
        """``allowed_hosts``: ALLOWED_HOSTS, names separated by commas, or ``*``. ``urls``: addresses or origins whose
        hosts are accepted too."""
        names = [host_name(part) for part in split_list(allowed_hosts)]
        names += [urlsplit(url).hostname or "" for url in urls if "://" in url]
        self._names = frozenset(name.lower() for name in names if name)

    def allow(self, host: str | None) -> bool:
        """Whether a request with this Host header may change something. Every browser sends one."""
        if not host or "*" in self._names:
            return True
        name = host_name(host)
        if name in self._names or "." not in name or name.endswith(PRIVATE_SUFFIXES):
            return True
        return _is_address(name)


def host_name(host: str) -> str:
    """The name in a Host header, in lower case, without its port, the brackets of IPv6 and a final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if host.count(":") == 1 else host.rstrip(".")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class Origins:
    """The web pages that may use the server: its own, and those of the named origins.

    text: origins, comma-separated, or ``*``.
    """

    def __init__(self, text: str) -> None:
        self._named = frozenset(part.rstrip("/").lower() for part in split_list(text))

    def named(self, origin: str) -> bool:
        """Whether the setting names that origin."""
        return "*" in self._named or origin.lower() in self._named

    def allow(self, origin: str | None, host: str | None, siblings: Iterable[str] = ()) -> bool:
        """Whether a page of ``origin`` may open a socket at ``host``. Programs that are not browsers send no origin.

        siblings: addresses of servers of the same realm; a page of theirs reconnects to this server when they stop.
        """
        if origin is None or self.named(origin):
            return True
        if bool(host) and urlsplit(origin).netloc.lower() == (host or "").lower():
            return True
        return any(
            origin.lower() == "{0.scheme}://{0.netloc}".format(urlsplit(url.lower())) for url in siblings
        )
