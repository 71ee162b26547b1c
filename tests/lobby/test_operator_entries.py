"""The setting OPERATORS: a name gives rights only together with the hash of a secret."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from tussle.lobby.environment import BadSetting
from tussle.lobby.operator_entries import format_entry, parse_entries
from tussle.lobby.settings import Settings

HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(
    "a secret of hers",
    salt=b"0123456789abcdef",  # a fixed one: the ids of the tests have the hash
)


def test_an_entry_is_read_as_it_was_written() -> None:
    """Several entries, with spaces and capitals; the hash has no sign that a shell or a compose file expands."""
    text = f" {format_entry('Ada Lovelace', HASHED)} , {format_entry('bob', HASHED)},"
    assert parse_entries(text) == {"ada lovelace": HASHED, "bob": HASHED}
    assert not set(format_entry("ada", HASHED)) & set("$,'\"\\ ")
    assert parse_entries("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("boss", "run `tussle operator add NAME`"),
        (f"{format_entry('ada', HASHED)},boss", "'boss' has no hash"),
        ("boss:a secret", "is not what `tussle operator hash NAME` prints"),
        (f"boss:{HASHED}", "is not what"),
        (f"bo#ss:{format_entry('x', HASHED)[2:]}", "is not what"),
        (f"{format_entry('ada', HASHED)},{format_entry('ADA', HASHED)}", "twice"),
        (format_entry("", HASHED), "empty"),
    ],
)
def test_an_entry_that_gives_no_rights_stops_the_start(text: str, said: str) -> None:
    """A bare name, a secret in clear and a damaged entry are errors of one line that name the setting."""
    with pytest.raises(ValueError, match=said):
        parse_entries(text)
    with pytest.raises(BadSetting, match=r"^OPERATORS: ") as refused:
        Settings.read({"OPERATORS": text})
    assert "\n" not in str(refused.value)
