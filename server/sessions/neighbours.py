"""The other servers of the realm, as clients are to know them: where to go when this server does not answer.

Sans-I/O: the time is an argument. It must never decide who is alive: the leases in the store do.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["MOST", "Neighbours"]

MOST = 8
"""Most servers in the list of a client. Each server names those that follow its own address, in a ring of all
addresses: the clients of a server that dies do not all go to the same one."""

KEPT_S = 30.0
"""How long a server without a lease stays in the list [s]. On a busy machine a lease may be renewed late. A client that
lost its server in that moment would know no other one, and a dead server in its list costs it one attempt."""


class Neighbours:
    """``urls``: those with a lease first, then those that had one less than KEPT_S ago; at most MOST."""

    def __init__(self, own: str) -> None:
        """own: the address of this server. Servers that share it are not listed: a client reaches them there."""
        self.urls: tuple[str, ...] = ()
        self._own = own
        self._seen: dict[str, float] = {}

    def update(self, alive: Iterable[str], now: float) -> bool:
        """Take the addresses of all servers that have a lease at ``now`` [s]. Returns whether ``urls`` has changed."""
        self._seen = {url: seen for url, seen in self._seen.items() if now - seen < KEPT_S}
        self._seen.update((url, now) for url in alive if url not in ("", self._own))
        ring = sorted(self._seen, key=lambda url: (self._seen[url] < now, url < self._own, url))
        before, self.urls = self.urls, tuple(ring[:MOST])
        return set(before) != set(self.urls)
