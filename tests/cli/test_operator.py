"""``tussle operator``: the secret comes from a terminal or from standard input, never from an argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tussle.cli.main import main
from tussle.lobby.operator_entries import parse_entries

SECRET = "a secret of hers"


def run(arguments: list[str], store_url: str, realm: str, folder: Path, said: str = "") -> Result:
    environ = {"REDIS_URL": store_url, "REALM": realm, "DATA_DIR": str(folder), "OPERATORS": ""}
    return CliRunner().invoke(main, ["operator", *arguments], input=said, env=environ)


@pytest.fixture
def operator(store_url: str, realm: str, tmp_path: Path) -> Any:
    """Runs a subcommand on the store of this test, with one line of standard input."""
    return lambda *arguments, said="": run(list(arguments), store_url, realm, tmp_path, said)


def test_an_operator_is_added_listed_and_removed(operator: Any) -> None:
    """The exit code is 0 and the output never has the secret."""
    assert "nobody is an operator" in operator("list").output
    added = operator("add", "Ada", said=f"{SECRET}\n")
    assert (added.exit_code, SECRET in added.output) == (0, False)
    assert "Ada is an operator" in added.output
    assert operator("list").output.splitlines() == ["Ada"]
    assert operator("remove", "ada").output.strip() == "ada is not an operator any more"
    assert operator("remove", "ada").output.strip() == "ada was not an operator"
    assert operator("remove", "nobody").exit_code == 1


def test_another_players_name_needs_its_secret_or_replace(operator: Any) -> None:
    """Without ``--replace`` nothing changes, and the message says what to do."""
    assert operator("add", "ada", said=f"{SECRET}\n").exit_code == 0
    refused = operator("add", "ada", said="another secret\n")
    assert refused.exit_code == 1 and "--replace" in refused.output
    assert operator("add", "ada", "--replace", said="another secret\n").exit_code == 0


@pytest.mark.parametrize("said", ["", "short\n"])
def test_a_secret_of_bad_length_is_refused(operator: Any, said: str) -> None:
    """Also an empty standard input."""
    refused = operator("add", "ada", said=said)
    assert refused.exit_code == 1 and "6 to 200 characters" in refused.output


def test_the_printed_hash_is_an_entry_of_the_setting(operator: Any) -> None:
    """``tussle operator hash`` prints one entry that OPERATORS takes, and needs no store."""
    printed = operator("hash", "Ada L", said=f"{SECRET}\n")
    assert printed.exit_code == 0
    assert list(parse_entries(printed.output.strip())) == ["ada l"]
    assert operator("hash", "a,b", said=f"{SECRET}\n").exit_code == 1


def test_the_store_must_be_there(tmp_path: Path) -> None:
    """Without a store the command says how to start one."""
    missing = run(["list"], "", "main", tmp_path)
    assert missing.exit_code == 1 and "start `tussle up`" in missing.output


def test_a_bare_name_in_the_setting_is_one_line(tmp_path: Path) -> None:
    """Every program that reads OPERATORS refuses a name without a hash with exit code 2 and says what to do."""
    refused = CliRunner().invoke(main, ["up"], env={"OPERATORS": "boss", "DATA_DIR": str(tmp_path)})
    assert refused.exit_code == 2
    [line] = refused.output.splitlines()
    assert line.startswith("Error: OPERATORS: 'boss' has no hash") and "tussle operator add" in line
