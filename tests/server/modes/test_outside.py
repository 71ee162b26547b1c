"""Modes from outside of the package: what the setting MODES may name, and what is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tussle.lobby.settings import BadSetting
from tussle.server.modes.mode import Action, Mode
from tussle.server.modes.outside import find_sources, load_modes
from tussle.server.modes.registry import all_modes
from tussle.server.modes.spring_damper.spring_damper import SpringDamper

MODE = """
from tussle.server.modes.spring_damper.spring_damper import SpringDamper


class Other(SpringDamper):
    name = "{name}"
    {line}


MODES = (Other,)
"""


def write(path: Path, name: str = "other", line: str = "version = 1") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(MODE.format(name=name, line=line))
    return path


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test loaded is no module of the next one."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("tussle_modes_"):
            del sys.modules[name]


def test_files_and_folders_are_loaded(tmp_path: Path) -> None:
    """A file is a module; a folder is a package whose modules import one another."""
    single = write(tmp_path / "single.py")
    folder = write(tmp_path / "whole" / "rules.py", name="whole").parent
    (folder / "__init__.py").write_text("from .rules import MODES\n")
    setting = f" {single}, {folder},"
    loaded = load_modes(setting, ["duel"])
    assert list(loaded) == ["other", "whole"]
    assert all(issubclass(mode, SpringDamper) for mode in loaded.values())
    assert find_sources(setting) == [single, folder / "__init__.py", folder / "rules.py"]
    assert load_modes("", []) == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.py", None, "neither a .py file"),
        ("rules.txt", "MODES = ()", "neither a .py file"),
        ("empty.py", "", "must define MODES"),
        ("nothing.py", "MODES = ()", "must define MODES"),
        ("broken.py", "import this is not Python", "SyntaxError"),
        ("missing.py", "import there_is_no_such_module", "ModuleNotFoundError"),
        ("number.py", "MODES = (7,)", "is not a class"),
        ("half.py", "class Half:\n    name = 'half'\n\n\nMODES = (Half,)", "version, policy, seats, state_type, act"),
        ("shout.py", MODE.format(name="No Name!", line=""), "has no usable name"),
        ("one_seat.py", MODE.format(name="one", line="seats = 1"), "has no usable seats"),
        ("taken.py", MODE.format(name="duel", line=""), "called 'duel' exists already"),
    ],
)  # fmt: skip
def test_what_is_no_mode_is_refused(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    """One line that names the file and what is wrong with it; nothing stays loaded."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSetting, match=f"^MODES={path}: .*") as refused:
        load_modes(str(path), all_modes())
    assert said in str(refused.value)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """The second would silently be the first."""
    first, second = write(tmp_path / "a" / "rules.py"), write(tmp_path / "b" / "rules.py", name="second")
    with pytest.raises(BadSetting, match="another file is called 'rules'"):
        load_modes(f"{first},{second}", [])


def test_a_mode_that_says_nothing_of_bots_has_one_that_watches() -> None:
    """So do undo and look-ahead have an answer: a refusal, never a wrong state."""

    class Plain(Mode):
        name = "plain"

    assert Plain.bot({}, 0, "good", None, None) == Action(kind="")  # type: ignore[arg-type]


def physics_id(setting: str) -> str:
    """As a process with that setting computes it."""
    told = subprocess.run(
        [sys.executable, "-c", "from tussle.server.simulation.identity import physics_id; print(physics_id())"],
        env={**os.environ, "MODES": setting}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.strip()


def test_the_physics_is_named_after_the_modes_too(tmp_path: Path) -> None:
    """Servers with other rules, or another version of them, do not take each other's sessions for their own."""
    path = write(tmp_path / "rules.py")
    first = physics_id(str(path))
    assert first == physics_id(str(path))
    write(path, line="version = 2")
    assert len({physics_id(""), first, physics_id(str(path))}) == 3


@pytest.mark.parametrize("command", [("-m", "tussle.server"), ("-m", "tussle.player", "--mode", "other")])
def test_a_process_says_at_once_that_it_cannot_use_a_file(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Exit code 2 and one line, before anything is opened."""
    told = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "MODES": str(tmp_path / "none.py"), "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert told.returncode == 2, told.stderr
    assert told.stderr.strip().splitlines() == [
        f"tussle: MODES={tmp_path / 'none.py'}: neither a .py file nor a folder with an __init__.py"
    ]
