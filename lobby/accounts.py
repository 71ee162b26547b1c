"""Players and their logins: guests, names with a secret, bearer tokens.

A guest that asks for a name gets one that cannot be registered (``ada#k3v7``). Any other guest gets two words
(``Amber Quern``, guest_names.py) that nobody else can take while it lives. The record of a guest expires LOGIN_TTL_S
after its last use. A registered name has a secret, which logs that player in. Tokens are random, stored as hashes, and
expire LOGIN_TTL_S after their last use.

An operator is a registered player whose record says so (``tussle operator add``), or whose secret is that of its name's
entry in OPERATORS. A name in OPERATORS is reserved: nobody registers it without that secret. This module must never log
a secret, nor store one in clear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tussle.lobby.errors import AuthError, Conflict, Forbidden, NotFound, Refused, StoreError
from tussle.lobby.guest_names import draw_names
from tussle.lobby.hashing import SecretHasher, password_hasher
from tussle.lobby.ids import new_player_id, new_secret, secret_hash
from tussle.lobby.names import check_new_name, clean_name, name_key
from tussle.lobby.operator_entries import parse_entries
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["Accounts", "IssuedLogin", "PlayerInfo", "canonical_name", "hash_secret"]

Kind = Literal["person", "bot"]

SECRET_LENGTH = range(6, 201)
NAMES_DRAWN = 8
"""Names that are tried for a guest without one. If all are taken, the guest gets the last with a suffix."""
NewPlayer = Literal["guest", "registered"]
TAKE_TRIES = 3
"""Attempts to give a name to a new player, while other calls change who has it."""


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
    """The player of a token. ``session``: the session that the player is in, or ''. ``operator``: whether it has an
    operator's rights."""

    player: str
    name: str
    kind: str
    session: str
    guest: bool
    operator: bool = False


def canonical_name(name: str) -> str:
    """The form in which names are compared: equal for spellings that log in the same player. Raises Refused."""
    return name_key(clean_name(name))


def hash_secret(secret: str) -> str:
    """The argon2 hash of a secret, for an entry of OPERATORS. Raises Refused ``bad_secret``."""
    _check_length(secret)
    return password_hasher().hash(secret)


def _check_length(secret: str) -> None:
    if len(secret) not in SECRET_LENGTH:
        raise Refused("a secret has 6 to 200 characters", code="bad_secret", field="secret")


class Accounts:
    """All players of a realm."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        hasher: PasswordHasher | None = None,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._rng = rng or SystemRandom()
        self._ttl_s = settings.login_ttl_s
        self._hasher = SecretHasher(hasher or password_hasher())
        self._reserved = {
            name_key(name): hashed for name, hashed in parse_entries(settings.operators).items()
        }

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
        not valid, Refused ``bad_name`` or ``bad_secret``, Forbidden ``banned``, RateLimited if too many secrets wait to
        be hashed.
        """
        caller = await self.authenticate(bearer) if bearer else None
        if secret is None:
            if name is not None:
                name = clean_name(name)
                if name_key(name) in self._reserved or await self._player_named(name):
                    raise AuthError("this name is registered; log in with its secret", code="name_taken")
                await self._check_guests(name, caller.player if caller else "")
            if caller:
                return await self._issue(caller.player, caller.name, caller.guest)
            if name is not None:
                check_new_name(name)
            charge("guest")
            return await self._guest(name, kind, skill)
        if name is None:
            raise Refused("a secret needs a name", code="bad_name", field="name")
        _check_length(secret)
        name = clean_name(name)
        if name_key(name) in self._reserved:
            return await self._login_reserved(name, secret, kind, skill)
        known = await self._verify(name, secret)
        if known is None:
            check_new_name(name)
            charge("registered")
            known = await self._claim(name, secret, kind, skill, caller)
        return known

    async def authenticate(self, token: str) -> PlayerInfo:
        """The player of a bearer token; renews the token. Raises AuthError; Forbidden ``banned``."""
        keys = self._store.keys
        player = await self._store.call("GETEX", keys.login(secret_hash(token)), "EX", self._ttl_s)
        if player is None:
            raise AuthError("this login token is not valid or has expired")
        key = keys.player(player)
        name, kind, session, guest, stored, operator, banned = await self._store.call(
            "HMGET", key, "name", "kind", "session", "guest", "secret_hash", "operator", "banned_until"
        )
        if kind is None:
            raise AuthError("this guest has expired")
        await self._check_ban(banned)
        if guest == "1":
            renewed = [key, keys.matches(player)]
            renewed += [] if "#" in name else [keys.guest_name(name_key(name))]
            await self._store.batch([("EXPIRE", one, self._ttl_s) for one in renewed])
            return PlayerInfo(player, name, kind, session or "", True)
        reserved = self._reserved.get(name_key(name))
        operates = operator == "1" or (reserved is not None and reserved == stored)
        return PlayerInfo(player, name, kind, session or "", False, operates)

    async def logout(self, token: str) -> None:
        """Delete a bearer token; an unknown one is ignored."""
        await self._store.call("DEL", self._store.keys.login(secret_hash(token)))

    async def add_operator(self, name: str, secret: str, *, replace: bool = False) -> str:
        """Make the registered player of that name an operator, and create it if the name is free. Returns its id.

        The secret must be the player's own. With ``replace`` a new player gets the name and the secret, and the player
        that had the name loses it. Raises Refused ``bad_name`` or ``bad_secret``; AuthError ``name_taken`` for another
        secret, for a name in OPERATORS, or for the two words of a guest.
        """
        name = clean_name(name)
        _check_length(secret)
        if name_key(name) in self._reserved:
            raise AuthError("this name is an operator through its entry in OPERATORS", code="name_taken")
        player = await self._player_named(name)
        if player and not replace:
            await self._check_secret(player, secret)
            await self._store.run(
                "set_operator", [self._store.keys.player(player), self._store.keys.operators], [player, 1]
            )
            return player
        await self._check_guests(name)
        hashed = await self._hasher.hash(secret)
        return (await self._take_name(name, hashed, "person", "", login=False, operator=True)).player

    async def remove_operator(self, name: str) -> bool:
        """Take an operator's rights from the player of that name; its account stays. Returns False if the player was
        not an operator.

        Raises NotFound for a name that nobody has. A name in OPERATORS keeps the rights of its entry.
        """
        keys = self._store.keys
        player = await self._player_named(clean_name(name))
        if not player:
            raise NotFound(f"nobody is registered as {name[:24]!r}", field="name")
        reply = await self._store.run("set_operator", [keys.player(player), keys.operators], [player, 0])
        return bool(reply[1] == "1")

    async def operators(self) -> list[str]:
        """The names of the operators in the store, sorted. Those of OPERATORS are not among them."""
        keys = self._store.keys
        players = sorted(await self._store.call("SMEMBERS", keys.operators))
        names = await self._store.batch([("HGET", keys.player(player), "name") for player in players])
        return sorted(filter(None, names))

    async def _guest(self, name: str | None, kind: Kind, skill: str) -> IssuedLogin:
        """Create a guest with the name it asks for and a suffix, or with two words that are free."""
        keys = self._store.keys
        while True:
            player, token = new_player_id(), new_secret()
            drawn = [] if name else draw_names(self._rng, NAMES_DRAWN)
            free = [one for one in drawn if name_key(one) not in self._reserved]
            try:
                reply = await self._store.run(
                    "create_guest",
                    [
                        keys.player(player), keys.login(secret_hash(token)), keys.players_by_name,
                        *(keys.guest_name(name_key(one)) for one in free),
                    ],
                    [
                        player, f"{name or drawn[-1]}#{player[-4:]}", kind, skill, self._ttl_s,
                        *(text for one in free for text in (one, name_key(one))),
                    ],
                )  # fmt: skip
            except Conflict:
                continue  # one of 30^11 ids is never taken in practice
            return IssuedLogin(player, str(reply[1]), token, self._ttl_s, True)

    async def _check_guests(self, name: str, player: str = "") -> None:
        """Raises AuthError ``name_taken`` if another guest than ``player`` has these two words as its name."""
        holder = await self._store.call("GET", self._store.keys.guest_name(name_key(name)))
        if holder and holder != player:
            raise AuthError("this name belongs to a guest", code="name_taken")

    async def _check_ban(self, banned_until: str | None) -> None:
        """Raises Forbidden ``banned`` while the ban lasts."""
        if banned_until and int(banned_until) > await self._store.now_ms():
            until = datetime.fromtimestamp(int(banned_until) / 1000, UTC)
            raise Forbidden(
                f"an operator has banned this player until {until:%Y-%m-%d %H:%M} UTC", code="banned"
            )

    async def _issue(self, player: str, name: str, guest: bool) -> IssuedLogin:
        await self._check_ban(await self._store.call("HGET", self._store.keys.player(player), "banned_until"))
        token = new_secret()
        await self._store.call("SET", self._store.keys.login(secret_hash(token)), player, "EX", self._ttl_s)
        return IssuedLogin(player, name, token, self._ttl_s, guest)

    async def _verify(self, name: str, secret: str) -> IssuedLogin | None:
        """Log a registered player in. Returns None for a free name. Raises AuthError for another secret."""
        player = await self._player_named(name)
        if not player:
            return None
        return await self._issue(player, await self._check_secret(player, secret), False)

    async def _player_named(self, name: str) -> str:
        """The registered player of that name, or of one that looks like it, or ''."""
        return (await self._entry_of(name))[1]

    async def _entry_of(self, name: str) -> tuple[str, str]:
        """The field of ``players_by_name`` for a name, and its player or ''. Names that were registered before keys
        were compared by look have their lower-case form as field."""
        key = name_key(name)
        before, player = await self._store.call(
            "HMGET", self._store.keys.players_by_name, name.casefold(), key
        )
        return (name.casefold(), before) if before else (key, player or "")

    async def _check_secret(self, player: str, secret: str) -> str:
        """The shown name of a registered player. Raises AuthError ``name_taken`` for another secret."""
        stored, shown = await self._store.call(
            "HMGET", self._store.keys.player(player), "secret_hash", "name"
        )
        if stored is None:
            raise StoreError(f"the player {player} has a name and no secret")
        await self._compare(stored, secret)
        return str(shown)

    async def _compare(self, stored: str, secret: str) -> None:
        """Raises AuthError ``name_taken`` unless the hash is that of the secret."""
        try:
            await self._hasher.verify(stored, secret)
        except (VerificationError, InvalidHashError):
            raise AuthError("this name is registered with another secret", code="name_taken") from None

    async def _login_reserved(self, name: str, secret: str, kind: Kind, skill: str) -> IssuedLogin:
        """Log in under a name of OPERATORS. Its entry decides the secret; a player that got the name in another way, or
        by an older entry, loses it."""
        reserved = self._reserved[name_key(name)]
        await self._compare(reserved, secret)
        player = await self._player_named(name)
        if player:
            stored, shown = await self._store.call(
                "HMGET", self._store.keys.player(player), "secret_hash", "name"
            )
            if stored == reserved:
                return await self._issue(player, shown, False)
        return await self._take_name(name, reserved, kind, skill)

    async def _take_name(
        self, name: str, hashed: str, kind: Kind, skill: str, *, login: bool = True, operator: bool = False
    ) -> IssuedLogin:
        """Give a name to a new player, also if another one has it. Without ``login`` the token is ''."""
        keys = self._store.keys
        for attempt in range(TAKE_TRIES):
            field, old = await self._entry_of(name)
            player, token = new_player_id(), new_secret()
            try:
                await self._store.run(
                    "take_name",
                    [
                        keys.players_by_name, keys.player(player), keys.login(secret_hash(token)), keys.operators,
                        *([keys.player(old)] if old else []),
                    ],
                    [
                        field, player, name, kind, skill, hashed, self._ttl_s if login else 0, int(operator),
                        old, f"{name}#{old[-4:]}",
                    ],
                )  # fmt: skip
            except Conflict:
                if attempt == TAKE_TRIES - 1:
                    raise
            else:
                return IssuedLogin(player, name, token if login else "", self._ttl_s, False)
        raise AssertionError("unreachable")

    async def _claim(
        self, name: str, secret: str, kind: Kind, skill: str, caller: PlayerInfo | None
    ) -> IssuedLogin:
        keys = self._store.keys
        hashed = await self._hasher.hash(secret)
        upgrade = caller is not None and caller.guest
        player = caller.player if caller is not None and upgrade else new_player_id()
        before = caller.name if caller is not None and upgrade else name
        token = new_secret()
        try:
            await self._store.run(
                "claim_name",
                [
                    keys.players_by_name, keys.player(player), keys.login(secret_hash(token)),
                    keys.guest_name(name_key(name)), keys.guest_name(name_key(before)), keys.matches(player),
                ],
                [name_key(name), player, name, kind, skill, hashed, self._ttl_s, int(upgrade)],
            )  # fmt: skip
        except AuthError:
            # Another call registered the name first. With the same secret it is the same player.
            known = await self._verify(name, secret)
            if known is None:
                raise
            return known
        return IssuedLogin(player, name, token, self._ttl_s, False)
