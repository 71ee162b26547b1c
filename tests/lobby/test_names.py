"""Names: which are refused for a new player, which look alike, and that old names still log in."""

from __future__ import annotations

import string

import pytest

from tests.conftest import World
from tussle.lobby.errors import AuthError, Refused
from tussle.lobby.names import check_new_name, clean_name, name_key


@pytest.mark.parametrize(
    "name",
    [
        "ad\u200ba", "\u3164\u3164", "\u2800\u2800", "ada\ufe0f", "a\u034fda", "ada\U000e0100", "a\u0434a", "p\u03b1ul",
        "\u13aa\u13a0\u13aa", "\u0430da", "\u03b1\u0434",
    ],
)  # fmt: skip
def test_invisible_characters_and_mixed_scripts_are_refused(name: str) -> None:
    """Characters that nobody sees, letters of two scripts, and scripts that are not in everyday use: bad_name."""
    with pytest.raises(Refused) as refusal:
        check_new_name(clean_name(name))
    assert refusal.value.reason == "bad_name"


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace", "o'Neil-7", "Zoë", "Иван", "Ада 2", "Νίκος", "太郎 Taro", "たろう太郎", "김철수",
        "สมชาย", "राम", "محمد", "דוד", "Ada 🐙", "ñandú_1", "x_x",
    ],
)  # fmt: skip
def test_usual_names_are_accepted(name: str) -> None:
    """Names of one script with digits, punctuation and symbols, and the usual mixes of East Asia."""
    assert check_new_name(clean_name(name)) == clean_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("aca", "\u0430\u0441\u0430"), ("BOBA", "\u0412\u041e\u0412\u0410"), ("NINA", "\u039d\u0399\u039d\u0391"),
        ("ADA", "ada"), ("ada", "\uff41\uff44\uff41"), ("nono", "\u0578\u0585\u0578\u0585"),
    ],
)  # fmt: skip
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    """A Cyrillic, Greek or Armenian name has the key of the Latin name that it looks like."""
    assert name_key(clean_name(one)) == name_key(clean_name(other))


def test_the_key_of_an_ascii_name_is_its_lower_case_form() -> None:
    """Names of ASCII letters that were registered before have this key already."""
    assert name_key(string.printable[:94]) == string.printable[:94].lower()


async def test_a_lookalike_of_a_registered_name_is_taken(world: World) -> None:
    """Nobody, guest or not, gets a name that looks like a registered one."""
    await world.accounts.login("aca", "correct horse")
    for secret in ("another secret", None):
        with pytest.raises(AuthError) as refusal:
            await world.accounts.login("\u0430\u0441\u0430", secret)
        assert refusal.value.reason == "name_taken"


async def test_a_name_that_was_registered_under_older_rules_logs_in(world: World) -> None:
    """An entry by lower-case name, also of two scripts, is still found."""
    old = await world.accounts.login("muxa", "correct horse")
    keys = world.store.keys
    for name in ("m\u0438xa", "\u043c\u0438\u0445\u0430"):
        await world.store.call("HSET", keys.players_by_name, name, old.player)
        await world.store.call("HDEL", keys.players_by_name, "muxa")
        assert (await world.accounts.login(name, "correct horse")).player == old.player


@pytest.mark.parametrize(
    "name",
    [
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
        "Ada \N{WOMAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\u200d\u2764\ufe0f\u200d\N{WOMAN}",
    ],
)
def test_emoji_that_are_joined_are_accepted(name: str) -> None:
    """Their joiners and style selectors are no hidden characters: the name is kept as it is."""
    assert check_new_name(clean_name(name)) == name


@pytest.mark.parametrize(
    "name", ["ab\u200dc", "a\ufe0fb", "\u200d\N{WOMAN}\N{WOMAN}", "\N{WOMAN}\u200da", "x\u200d\u200d"]
)
def test_joiners_elsewhere_are_refused(name: str) -> None:
    """They would make two names that look the same."""
    with pytest.raises(Refused):
        check_new_name(clean_name(name))


def test_the_style_of_an_emoji_makes_no_other_name() -> None:
    """With and without its selector it may look the same."""
    assert name_key("I \u2764\ufe0f it") == name_key("I \u2764 it")
