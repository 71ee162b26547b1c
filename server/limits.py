"""How much one address or one player may ask for, and which origins and proxies are believed. Sans-I/O.

Everything here is bounded: of many keys the one that was quiet for the longest is forgotten, and begins afresh.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from tussle.server.gateway.protocol import TokenBucket

__all__ = ["Buckets", "Origins", "Places", "Proxies"]

KEPT = 20_000


class Buckets:
    """A token bucket for each key: ``rate`` a second on average, ``burst`` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """Whether one more may pass now."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst)
            if len(self._buckets) > KEPT:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now)


class Places:
    """How many things each key has at once, ``limit`` at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[str] = Counter()

    def enter(self, key: str) -> bool:
        """Take a place; True means that ``leave`` is due."""
        if self._taken[key] >= self._limit:
            return False
        self._taken[key] += 1
        return True

    def leave(self, key: str) -> None:
        self._taken[key] -= 1
        if self._taken[key] <= 0:
            del self._taken[key]


class Proxies:
    """The proxies whose word about a client's address counts. ``text``: addresses and networks, by commas."""

    def __init__(self, text: str) -> None:
        self._networks = [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]

    def trust(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """Where a request came from: the last address that no trusted proxy has, else ``peer``."""
        if forwarded_for is None or not self.trust(peer):
            return peer
        for hop in reversed([part.strip() for part in forwarded_for.split(",")]):
            if hop and not self.trust(hop):
                return hop
        return peer


class Origins:
    """Which web pages may use the server: its own always, others by name. ``text``: origins by commas, or ``*``."""

    def __init__(self, text: str) -> None:
        parts: Iterable[str] = (part.strip().rstrip("/").lower() for part in text.split(","))
        self._named = frozenset(part for part in parts if part)

    def named(self, origin: str) -> bool:
        """Whether the setting lets pages of that origin in."""
        return "*" in self._named or origin.lower() in self._named

    def allow(self, origin: str | None, host: str | None, kin: Iterable[str] = ()) -> bool:
        """Whether a browser's page of ``origin`` may open a socket at ``host``. What is no browser sends no origin.

        kin: addresses of servers of the same realm; a page of theirs comes here when they are gone.
        """
        if origin is None or self.named(origin):
            return True
        if bool(host) and urlsplit(origin).netloc.lower() == (host or "").lower():
            return True
        return any(origin.lower() == "{0.scheme}://{0.netloc}".format(urlsplit(url.lower())) for url in kin)
