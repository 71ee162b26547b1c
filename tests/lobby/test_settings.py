"""Settings: each has a default, an environment variable and a line in .env.example."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tussle.lobby.environment import BadSetting, split_list
from tussle.lobby.settings import Settings, example

NAMES = [item.name for item in fields(Settings)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [("", []), (" , ,", []), ("a", ["a"]), (" a b , c,", ["a b", "c"]), ("a,a", ["a", "a"])],
)
def test_a_list_is_comma_separated(text: str, parts: list[str]) -> None:
    """Surrounding spaces and empty parts are dropped; order and inner spaces are kept."""
    assert split_list(text) == parts


def read_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_is_current() -> None:
    """If this fails: python -m tussle.lobby.settings > .env.example"""
    assert (ROOT / ".env.example").read_text() == example()


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_in_the_example_with_its_default(name: str) -> None:
    """The line of a setting, read back, gives its default."""
    line = read_example()[name.upper()]
    assert getattr(Settings.read({name.upper(): line}), name) == getattr(Settings(), name)


def test_the_example_has_nothing_else() -> None:
    """Every line names a setting."""
    assert sorted(read_example()) == sorted(name.upper() for name in NAMES)


def test_each_setting_is_read() -> None:
    """Some module other than settings.py reads an attribute of that name or of its property, or the variable itself."""
    read: set[str] = set()
    for folder in ("lobby", "server", "worker", "player", "env", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            if path != ROOT / "lobby" / "settings.py":
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Attribute):
                        read.add(node.attr)
                    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "read_variable":
                        read.add(ast.literal_eval(node.args[0]).lower())
    derived = {f"{name}_url" for name in ("archive", "recordings") if f"{name}_address" in read}
    assert set(NAMES) - read - derived == set()


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_has_a_meaning(name: str) -> None:
    """A setting has a description, and its default is a valid value."""
    [item] = [item for item in fields(Settings) if item.name == name]
    assert item.metadata["meaning"]
    Settings.read({}, **{name: getattr(Settings(), name)})


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("LEASE_MS", "500", "lease_ms", 500),
        ("TURN_S", "1.5", "turn_s", 1.5),
        ("PROVE", "no", "prove", False),
        ("PROVE", "TRUE", "prove", True),
        ("DATA_DIR", "/somewhere", "data_dir", Path("/somewhere")),
        ("REALM", "other", "realm", "other"),
        ("LEASE_MS", "", "lease_ms", Settings().lease_ms),
    ],
)
def test_the_environment_is_read(variable: str, text: str, name: str, value: Any) -> None:
    """Values are parsed by type; an empty value means the default."""
    assert getattr(Settings.read({variable: text, "UNKNOWN": "x"}), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("LEASE_MS", "fast"), ("LEASE_MS", "1"), ("LEASE_MS", "60001"), ("PROVE", "maybe"), ("STORE_FSYNC", "never"),
        ("REALM", "a b"), ("REALM", "a{b"), ("PORT", "70000"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(variable: str, text: str) -> None:
    """A bad value raises BadSetting, whose message names the variable."""
    with pytest.raises(BadSetting, match=variable):
        Settings.read({variable: text})
