"""Names of guests that ask for none: two words, unique among the names that are live."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from tests.conftest import World
from tussle.lobby.accounts import Accounts, hash_secret
from tussle.lobby.errors import AuthError
from tussle.lobby.guest_names import FIRST_WORDS, SECOND_WORDS, draw_names
from tussle.lobby.names import check_new_name, clean_name, name_key
from tussle.lobby.operator_entries import format_entry


class Repeating(Random):
    """Draws the same pairs of words every time."""

    def sample(self, population: range, k: int) -> list[int]:  # type: ignore[override]
        return list(population[:k])


def test_every_pair_of_words_is_a_name_of_its_own() -> None:
    """All pairs are valid new names as they are written, within the length bound, and no two look alike."""
    names = [f"{first} {second}" for first in FIRST_WORDS for second in SECOND_WORDS]
    assert len(names) > 10_000
    assert all(check_new_name(clean_name(name)) == name for name in names)
    assert len({name_key(name) for name in names}) == len(names)


@pytest.mark.parametrize("words", [FIRST_WORDS, SECOND_WORDS])
def test_no_letter_begins_many_words(words: tuple[str, ...]) -> None:
    """At least 20 letters begin a word, and none begins more than one word in twelve."""
    letters = Counter(word[0] for word in words)
    assert len(letters) >= 20 and max(letters.values()) * 12 <= len(words)


def test_a_draw_has_no_name_twice() -> None:
    """Names of one draw differ, so that every try is another name."""
    assert len(set(draw_names(Random(1), 500))) == 500


async def test_guests_at_once_get_names_that_differ(world: World) -> None:
    """Guests that draw the same eight names get each of them once; the next one's name has a suffix."""
    accounts = Accounts(world.store, world.settings, rng=Repeating())
    drawn = draw_names(Repeating(), 8)
    logins = await asyncio.gather(*(accounts.login() for _ in range(9)))
    names = {login.name for login in logins}
    assert len(names) == 9 and names > set(drawn)
    (last,) = (login for login in logins if login.name not in drawn)
    assert last.name == f"{drawn[-1]}#{last.player[-4:]}"
    for login in logins:
        assert (await accounts.authenticate(login.token)).name == login.name


async def test_a_registered_or_reserved_name_is_not_drawn(world: World) -> None:
    """A name that is registered in any case, or is in OPERATORS, is passed over."""
    first, second, third = draw_names(Repeating(), 3)
    await world.accounts.login(first.upper(), "engine-1843")
    entry = format_entry(second, hash_secret("engine-1843"))
    settings = replace(world.settings, operators=entry)
    assert (await Accounts(world.store, settings, rng=Repeating()).login()).name == third


@pytest.mark.parametrize("secret", [None, "engine-1843"])
async def test_the_name_of_a_live_guest_is_taken(world: World, secret: str | None) -> None:
    """Neither another guest nor a registration gets the words of a live guest, in any case; nor does an operator.
    The guest keeps its name."""
    guest = await world.accounts.login()
    for name in (guest.name, guest.name.upper()):
        with pytest.raises(AuthError) as refused:
            await world.accounts.login(name, secret)
        assert refused.value.reason == "name_taken"
    with pytest.raises(AuthError) as refused:
        await world.accounts.add_operator(guest.name, "engine-1843")
    assert refused.value.reason == "name_taken"
    assert (await world.accounts.login(guest.name, bearer=guest.token)).name == guest.name


async def test_a_guest_may_register_its_own_words_or_release_them(world: World) -> None:
    """A guest registers the name that it was given. One that takes another name leaves its words to others."""
    first, second, _ = draw_names(Repeating(), 3)
    accounts = Accounts(world.store, world.settings, rng=Repeating())
    kept, left = await accounts.login(), await accounts.login()
    assert (kept.name, left.name) == (first, second)
    assert (await accounts.login(first, "engine-1843", bearer=kept.token)).player == kept.player
    await accounts.login("ada", "engine-1843", bearer=left.token)
    assert (await accounts.login()).name == second


async def test_the_words_are_kept_as_long_as_the_guest(world: World) -> None:
    """Use renews the name with the guest; it expires with LOGIN_TTL_S."""
    guest = await world.accounts.login()
    keys = world.store.keys
    for key in (keys.guest_name(name_key(guest.name)), keys.player(guest.player)):
        assert 0 < await world.store.call("TTL", key) <= world.settings.login_ttl_s
        await world.store.call("EXPIRE", key, 5)
    await world.accounts.authenticate(guest.token)
    assert await world.store.call("TTL", keys.guest_name(name_key(guest.name))) > 5
