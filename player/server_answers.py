"""What the server answers the Python client: logins, seats, forks and accounts.

Fields that the client does not know are ignored, so that a newer server can have more. This module must never send a
request.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Fork", "ForkTree", "Forked", "Join", "Login", "Me"]


class Login(msgspec.Struct, frozen=True):
    """The answer to a login. ``token`` is a secret, valid for ``expires_s`` seconds."""

    player: str
    name: str
    token: str
    expires_s: int = 0
    guest: bool = False


class Join(msgspec.Struct, frozen=True):
    """A seat, or an observer's place, in a session. ``ticket`` is a secret that works once, for some seconds, at
    ``ws_url``; ``servers`` are other addresses that accept it. here: ``ws_url`` is the server that answered, and the
    client uses the address at which it reached that server."""

    session: str
    role: Literal["player", "observer"]
    ticket: str
    ws_url: str
    seat: int | None = None
    protocol: int = 0
    build: str = ""
    servers: tuple[str, ...] = ()
    here: bool = False


class Fork(Join, frozen=True):
    """A seat in a fork. ``parent_tick``: the tick of ``parent`` that it begins with. ``exact``: its first state is the
    recorded one, bit for bit; False if another version recorded it, and it begins at the nearest checkpoint."""

    parent: str = ""
    parent_tick: int = 0
    exact: bool = True


class Forked(msgspec.Struct, frozen=True):
    """One fork in a tree. at: when it was made [ms]; name: of the player who made it; status: None once the store has
    no keys of it."""

    session: str
    parent: str
    parent_tick: int
    exact: bool
    at: int
    name: str = ""
    status: str | None = None


class ForkTree(msgspec.Struct, frozen=True):
    """The forks of the session ``root``, and the forks of those, oldest first."""

    session: str
    root: str
    forks: list[Forked]


class Me(msgspec.Struct, frozen=True):
    """The account of the player who is logged in. ``rating`` is by mode; ``session`` is where the player has a seat."""

    player: str
    name: str
    kind: str = "person"
    session: str | None = None
    xp: int = 0
    rating: dict[str, float] = {}
    played: int = 0
    won: int = 0
