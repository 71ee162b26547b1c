"""The store calls of clients: which client a task serves, and how fast the messages of its sockets may call the store.

    socket  -> serve_socket(ledger, address) -> for_client(paced) -> known_as(player) after its hello
    request -> serve_request(address)        -> for_client        -> known_as(player) after its login

Resource.STORE_CALLS limits the calls of a player and of an address on all their sockets. A call beyond it is not
refused: it waits, and its socket is not read meanwhile. Requests have prices of their own (Resource.REQUESTS).
"""

from __future__ import annotations

import time

from tussle.lobby.store.call_lanes import Caller, for_client
from tussle.server.costs import Ledger, Owner, Resource

__all__ = ["serve_request", "serve_socket"]


def serve_request(address: str) -> None:
    """From now on the store calls of this task are those of an HTTP client. ``address``: the key of its budgets."""
    for_client(Caller(address))


def serve_socket(ledger: Ledger, address: str) -> None:
    """From now on the store calls of this task are those of a socket. ``address``: the key of its budgets."""

    def pace(caller: Caller) -> float:
        now = time.monotonic()
        wait_s = 0.0
        if caller.player:
            wait_s = ledger.reserve(Resource.STORE_CALLS, Owner.PLAYER, caller.player, now)
        if address:
            wait_s = max(wait_s, ledger.reserve(Resource.STORE_CALLS, Owner.ADDRESS, address, now + wait_s))
        return wait_s

    for_client(Caller(address, pace=pace))
