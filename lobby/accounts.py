"""Players and their logins: guests, names with a secret, bearer tokens.

A guest has a name that cannot be registered (``ada#k3v7``), and its record expires LOGIN_TTL_S after its last use. A
registered name has a secret, which logs that player in. Tokens are random, stored as hashes, and expire LOGIN_TTL_S
after their last use. This module must never log a secret, nor store one in clear.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tussle.lobby.errors import AuthError, Conflict, Refused, StoreError
from tussle.lobby.hashing import SecretHasher
from tussle.lobby.ids import new_player_id, new_secret, secret_hash
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["Accounts", "IssuedLogin", "PlayerInfo", "canonical_name", "clean_name"]

Kind = Literal["person", "bot"]

NAME_LENGTH = range(2, 25)
SECRET_LENGTH = range(6, 201)
GUEST_NAME = "guest"
NewPlayer = Literal["guest", "registered"]


@dataclass(frozen=True, slots=True)
class IssuedLogin:
    """The answer to a login. ``token`` is the bearer token, which only this answer contains."""

    player: str
    name: str
    token: str
    expires_s: int
    guest: bool


@dataclass(frozen=True, slots=True)
class PlayerInfo:
    """The player of a token. ``session``: the session that the player is in, or ''."""

    player: str
    name: str
    kind: str
    session: str
    guest: bool


def clean_name(name: str) -> str:
    """The name as it is stored. Raises Refused: 2 to 24 printable characters, single inner spaces, no '#'."""
    name = " ".join(unicodedata.normalize("NFKC", name).split(" ")).strip()
    bad = "#" in name or not name.isprintable() or "  " in name
    if len(name) not in NAME_LENGTH or bad:
        raise Refused("a name has 2 to 24 printable characters and no '#'", code="bad_name", field="name")
    return name


def canonical_name(name: str) -> str:
    """The form in which names are compared: equal for spellings that log in the same player. Raises Refused."""
    return clean_name(name).casefold()


class Accounts:
    """All players of a realm."""

    def __init__(self, store: Store, settings: Settings, *, hasher: PasswordHasher | None = None) -> None:
        self._store = store
        self._ttl_s = settings.login_ttl_s
        self._hasher = SecretHasher(hasher or PasswordHasher())

    async def login(
        self,
        name: str | None = None,
        secret: str | None = None,
        kind: Kind = "person",
        bearer: str | None = None,
        *,
        skill: str = "",
        charge: Callable[[NewPlayer], None] = lambda _: None,
    ) -> IssuedLogin:
        """Find or create a player and log it in.

        Without a secret: a guest, with ``bearer`` the player of that token. With name and secret: the player of that
        name, created if the name is free; with a guest's ``bearer``, the guest gets the name and keeps its experience.
        ``charge`` is called before a guest or a registered player is created, and may refuse by raising.
        Raises AuthError ``name_taken`` for a name with another secret, AuthError ``unauthorized`` for a bearer that is
        not valid, Refused ``bad_name`` or ``bad_secret``, RateLimited if too many secrets wait to be hashed.
        """
        caller = await self.authenticate(bearer) if bearer else None
        if secret is None:
            if name is not None:
                name = clean_name(name)
                if await self._store.call("HEXISTS", self._store.keys.players_by_name, name.casefold()):
                    raise AuthError("this name is registered; log in with its secret", code="name_taken")
            if caller:
                return await self._issue(caller.player, caller.name, caller.guest)
            charge("guest")
            return await self._guest(name or GUEST_NAME, kind, skill)
        if name is None:
            raise Refused("a secret needs a name", code="bad_name", field="name")
        if len(secret) not in SECRET_LENGTH:
            raise Refused("a secret has 6 to 200 characters", code="bad_secret", field="secret")
        name = clean_name(name)
        known = await self._verify(name, secret)
        if known is None:
            charge("registered")
            known = await self._claim(name, secret, kind, skill, caller)
        return known

    async def authenticate(self, token: str) -> PlayerInfo:
        """The player of a bearer token; renews the token. Raises AuthError."""
        keys = self._store.keys
        player = await self._store.call("GETEX", keys.login(secret_hash(token)), "EX", self._ttl_s)
        if player is None:
            raise AuthError("this login token is not valid or has expired")
        key = keys.player(player)
        name, kind, session, guest = await self._store.call("HMGET", key, "name", "kind", "session", "guest")
        if kind is None:
            raise AuthError("this guest has expired")
        if guest == "1":
            await self._store.call("EXPIRE", key, self._ttl_s)
        return PlayerInfo(player, name, kind, session or "", guest == "1")

    async def logout(self, token: str) -> None:
        """Delete a bearer token; an unknown one is ignored."""
        await self._store.call("DEL", self._store.keys.login(secret_hash(token)))

    async def _guest(self, name: str, kind: Kind, skill: str) -> IssuedLogin:
        keys = self._store.keys
        while True:
            player, token = new_player_id(), new_secret()
            shown = f"{name}#{player[-4:]}"
            try:
                await self._store.run(
                    "create_guest",
                    [keys.player(player), keys.login(secret_hash(token))],
                    [player, shown, kind, skill, self._ttl_s],
                )
            except Conflict:
                continue  # 30^11 ids: practically never
            return IssuedLogin(player, shown, token, self._ttl_s, True)

    async def _issue(self, player: str, name: str, guest: bool) -> IssuedLogin:
        token = new_secret()
        await self._store.call("SET", self._store.keys.login(secret_hash(token)), player, "EX", self._ttl_s)
        return IssuedLogin(player, name, token, self._ttl_s, guest)

    async def _verify(self, name: str, secret: str) -> IssuedLogin | None:
        """Log a registered player in. Returns None for a free name. Raises AuthError for another secret."""
        keys = self._store.keys
        player = await self._store.call("HGET", keys.players_by_name, name.casefold())
        if player is None:
            return None
        stored, shown = await self._store.call("HMGET", keys.player(player), "secret_hash", "name")
        if stored is None:
            raise StoreError(f"the name {name!r} belongs to a player without a secret")
        try:
            await self._hasher.verify(stored, secret)
        except (VerificationError, InvalidHashError):
            raise AuthError("this name is registered with another secret", code="name_taken") from None
        return await self._issue(player, shown, False)

    async def _claim(
        self, name: str, secret: str, kind: Kind, skill: str, caller: PlayerInfo | None
    ) -> IssuedLogin:
        keys = self._store.keys
        hashed = await self._hasher.hash(secret)
        upgrade = caller is not None and caller.guest
        player = caller.player if caller is not None and upgrade else new_player_id()
        token = new_secret()
        try:
            await self._store.run(
                "claim_name",
                [keys.players_by_name, keys.player(player), keys.login(secret_hash(token))],
                [name.casefold(), player, name, kind, skill, hashed, self._ttl_s, int(upgrade)],
            )
        except AuthError:
            # Another call registered the name first. With the same secret it is the same player.
            known = await self._verify(name, secret)
            if known is None:
                raise
            return known
        return IssuedLogin(player, name, token, self._ttl_s, False)
