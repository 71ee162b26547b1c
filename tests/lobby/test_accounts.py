"""Players and logins: a client cannot take the identity of another player."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import World
from tussle.lobby.errors import AuthError, Refused
from tussle.lobby.ids import secret_hash
from tussle.lobby.names import clean_name


async def test_same_credentials_same_player(world: World) -> None:
    """Logging in again with name and secret finds the same player, however the name is written."""
    first = await world.accounts.login("Ada Lovelace", "engine-1843")
    again = await world.accounts.login("ada lovelace", "engine-1843")
    assert first.player == again.player and first.token != again.token
    assert (again.name, again.guest) == ("Ada Lovelace", False)


@pytest.mark.parametrize("secret", ["wrong-secret", None])
async def test_a_taken_name_needs_its_secret(world: World, secret: str | None) -> None:
    """A registered name is refused without its secret and with another secret."""
    await world.accounts.login("ada", "engine-1843")
    with pytest.raises(AuthError) as refused:
        await world.accounts.login("ADA", secret)
    assert refused.value.reason == "name_taken" and refused.value.status == 401


async def test_one_name_is_claimed_once(world: World) -> None:
    """Concurrent claims of a name with one secret give one player. With different secrets exactly one succeeds."""
    same = await asyncio.gather(*(world.accounts.login("ada", "engine-1843") for _ in range(10)))
    assert len({login.player for login in same}) == 1
    logins = await asyncio.gather(
        *(world.accounts.login("bob", f"secret-{i}") for i in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(login, BaseException) for login in logins) == 1
    assert all(isinstance(login, AuthError) for login in logins if isinstance(login, BaseException))


async def test_a_guest_has_a_name_that_cannot_be_registered(world: World) -> None:
    """A guest's name ends in '#' and a part of its id; a registered name must not contain '#'."""
    guest = await world.accounts.login("ada")
    assert guest.guest and guest.name == f"ada#{guest.player[-4:]}"
    with pytest.raises(Refused):
        await world.accounts.login(guest.name, "secret-1")


async def test_a_guest_takes_a_name(world: World) -> None:
    """A guest that claims a name stays the same player, keeps its experience and matches and does not expire any
    more."""
    guest = await world.accounts.login("ada", kind="bot", skill="fair")
    key, matches = world.store.keys.player(guest.player), world.store.keys.matches(guest.player)
    await world.store.call("HSET", key, "xp", "70")
    await world.store.call("RPUSH", matches, "{}")
    await world.store.call("EXPIRE", matches, 100)
    assert 0 < await world.store.call("TTL", key) <= world.settings.login_ttl_s
    ada = await world.accounts.login("Ada", "engine-1843", bearer=guest.token)
    assert (ada.player, ada.name, ada.guest) == (guest.player, "Ada", False)
    assert await world.store.call("TTL", key) == await world.store.call("TTL", matches) == -1
    stored = await world.hash(key)
    assert (stored["xp"], stored["kind"], stored["skill"], stored["guest"]) == ("70", "bot", "fair", "0")
    assert (await world.accounts.authenticate(guest.token)).name == "Ada"
    other = await world.accounts.login("Bob", "engine-1843", bearer=ada.token)
    assert other.player != ada.player, "a registered player does not change its name by claiming another"


async def test_a_guest_comes_back_by_its_token(world: World) -> None:
    """A login with a guest's token and no secret gives the same guest another token; an invalid token is refused."""
    guest = await world.accounts.login()
    again = await world.accounts.login(bearer=guest.token)
    assert (again.player, again.name, again.guest) == (guest.player, guest.name, True)
    with pytest.raises(AuthError):
        await world.accounts.login(bearer="nonsense")


async def test_a_token_is_stored_as_a_hash_and_renewed_by_use(world: World) -> None:
    """The store has neither tokens nor secrets in clear. Use renews token and guest; logout deletes the token."""
    login = await world.accounts.login("ada", "engine-1843")
    guest = await world.accounts.login()
    for one in (login, guest):
        key = world.store.keys.login(secret_hash(one.token))
        await world.store.call("EXPIRE", key, 5)
        info = await world.accounts.authenticate(one.token)
        assert (info.player, info.name, info.kind, info.session) == (one.player, one.name, "person", "")
        assert await world.store.call("TTL", key) > 5
    mine = [world.store.keys.player(guest.player), world.store.keys.matches(guest.player)]
    await world.store.call("RPUSH", mine[1], "{}")
    for key in mine:
        await world.store.call("EXPIRE", key, 5)
    await world.accounts.authenticate(guest.token)
    assert [await world.store.call("TTL", key) > 5 for key in mine] == [True, True]
    for key in await world.keys():
        assert login.token not in key
    stored = await world.hash(world.store.keys.player(login.player))
    assert stored["secret_hash"].startswith("$argon2id$") and "engine-1843" not in str(stored)
    await world.accounts.logout(login.token)
    with pytest.raises(AuthError):
        await world.accounts.authenticate(login.token)


async def test_an_expired_guest_is_not_authenticated(world: World) -> None:
    """The token of an expired guest is refused and does not create the guest again."""
    guest = await world.accounts.login()
    await world.store.call("DEL", world.store.keys.player(guest.player))
    with pytest.raises(AuthError):
        await world.accounts.authenticate(guest.token)
    assert not await world.store.call("EXISTS", world.store.keys.player(guest.player))


@pytest.mark.parametrize(
    "name", ["a", "x" * 25, "a#b", "tab\there", "two  spaces", "\u202etrick", "", "   ", "a\x00b"]
)
def test_bad_names(name: str) -> None:
    """Too short, too long, with '#', or with characters that are not printable."""
    with pytest.raises(Refused) as refused:
        clean_name(name)
    assert (refused.value.reason, refused.value.field) == ("bad_name", "name")


def test_names_are_normalised() -> None:
    """Unicode compatibility forms are one name; outer spaces are dropped."""
    assert clean_name(" \uff21da ") == "Ada"


@pytest.mark.parametrize("secret", ["short", "x" * 201])
async def test_bad_secrets(world: World, secret: str) -> None:
    """A secret has 6 to 200 characters."""
    with pytest.raises(Refused) as refused:
        await world.accounts.login("ada", secret)
    assert refused.value.reason == "bad_secret"


async def test_a_secret_needs_a_name(world: World) -> None:
    """A login with a secret and no name is refused."""
    with pytest.raises(Refused):
        await world.accounts.login(secret="engine-1843")
