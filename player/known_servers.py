"""The addresses of a realm that one connection knows: where it is, and where it goes when that server does not answer.

Sans-I/O. Any server of a realm serves any session and any replay room, or redirects to the one that does. This module
must never open a connection.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from urllib.parse import urljoin

__all__ = ["KnownServers"]


class KnownServers:
    """``url``: the WebSocket address of the present or the next connection. ``all``: every known one."""

    def __init__(self, url: str, others: Sequence[str], rng: random.Random) -> None:
        self.url = url
        self.all: tuple[str, ...] = ()
        self._rng = rng
        self.learn(others)

    def learn(self, others: Sequence[str]) -> None:
        """Remember this server and the others that it has named, and forget those before."""
        self.all = (self.url, *(urljoin(self.url, one) for one in others))

    def try_elsewhere(self) -> None:
        """Choose another known address for the next connection, if there is one."""
        others = [url for url in self.all if url != self.url]
        if others:
            self.url = self._rng.choice(others)
