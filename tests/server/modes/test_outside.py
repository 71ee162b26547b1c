"""Modes outside of the package: what MODES may name, and what a process refuses at its start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tussle.lobby.environment import BadSetting
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
def unloaded() -> Iterator[None]:
    """Unload the modules that a test has loaded."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("tussle_modes_"):
            del sys.modules[name]


def test_files_and_folders_are_loaded(tmp_path: Path) -> None:
    """MODES can name a file (a module) or a folder (a package whose modules import one another)."""
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
        ("unread.py", MODE.format(name="unread", line="editable_scene = True"), "no usable authored (needed by"),
        ("taken.py", MODE.format(name="duel", line=""), "called 'duel' exists already"),
    ],
)  # fmt: skip
def test_an_object_that_is_not_a_mode_is_refused(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    """The error is one line with the file and the cause; no module stays loaded."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSetting, match=f"^MODES={path}: .*") as refused:
        load_modes(str(path), all_modes())
    assert said in str(refused.value)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two files that would have the same module name are refused."""
    first, second = write(tmp_path / "a" / "rules.py"), write(tmp_path / "b" / "rules.py", name="second")
    with pytest.raises(BadSetting, match="another file is called 'rules'"):
        load_modes(f"{first},{second}", [])


def test_the_default_bot_does_nothing() -> None:
    """A class that inherits from Mode need not define ``bot``."""

    class Plain(Mode):
        name = "plain"

    assert Plain.bot({}, 0, "good", None, None) == Action(kind="")  # type: ignore[arg-type]


def physics_id(setting: str) -> str:
    """Return the physics id that a process with this MODES computes."""
    done = subprocess.run(
        [sys.executable, "-c", "from tussle.server.simulation.identity import physics_id; print(physics_id())"],
        env={**os.environ, "MODES": setting}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_physics_id_depends_on_the_modes(tmp_path: Path) -> None:
    """Servers with different rules, or different versions of them, have different physics ids."""
    path = write(tmp_path / "rules.py")
    first = physics_id(str(path))
    assert first == physics_id(str(path))
    write(path, line="version = 2")
    assert len({physics_id(""), first, physics_id(str(path))}) == 3


@pytest.mark.parametrize("command", [("-m", "tussle.server"), ("-m", "tussle.player", "--mode", "other")])
def test_a_process_refuses_a_missing_file_at_the_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Exit code 2 and one line, before any port or connection is opened."""
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "MODES": str(tmp_path / "none.py"), "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().splitlines() == [
        f"tussle: MODES={tmp_path / 'none.py'}: neither a .py file nor a folder with an __init__.py"
    ]
