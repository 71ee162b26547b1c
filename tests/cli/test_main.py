"""The command ``tussle``: its help, its start time, and its errors of one line."""

from __future__ import annotations

import ast
import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.paths import ROOT
from tussle.cli.main import COMMANDS, main
from tussle.cli.running import Running, announced, find_running, server_of, store_of
from tussle.cli.up import free_port_or
from tussle.lobby.cpu_baseline import baseline_variables
from tussle.lobby.settings import Settings


def test_help_names_every_command_and_imports_none() -> None:
    """``tussle --help`` lists every command and imports no heavy library."""
    script = (
        "import sys; from click.testing import CliRunner; from tussle.cli.main import main;"
        "print(CliRunner().invoke(main, ['--help']).output);"
        "print([m for m in ('numpy', 'redis', 'httpx', 'rich', 'msgspec', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_hints_name_the_command_that_the_user_called(tmp_path: Path) -> None:
    """Called through ./run, an error and a usage line say `./run`."""
    environment = {"DATA_DIR": str(tmp_path), "REDIS_URL": ""}
    for called in ("./run", "tussle"):
        arguments = ["--called", "./run"] if called == "./run" else []
        missing = CliRunner().invoke(main, [*arguments, "redis", "PING"], env=environment, prog_name="tussle")
        assert f"start `{called} up`, or set REDIS_URL" in missing.output
        wrong = CliRunner().invoke(main, [*arguments, "watch", "--wrong"], prog_name="tussle")
        assert f"Usage: {called} watch" in wrong.output
        assert f"Try '{called} watch" in wrong.output


def test_compiling_is_said_only_where_it_must_be_done(tmp_path: Path) -> None:
    """`tussle up` says that the first start compiles, but not where the machine code is complete."""
    script = (
        "from tussle.cli.up import waiting_words;"
        "from tussle.lobby.machine_code import compiled_mark; from tussle.lobby.wire import delta_compiled;"
        "print('compiles' in waiting_words()); (delta_compiled.delta_folder() / compiled_mark()).touch();"
        "print('compiles' in waiting_words())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_every_hint_is_made_by_hint() -> None:
    """No text of the commands names `tussle COMMAND` itself, except documentation and help."""
    for path in sorted((ROOT / "cli").glob("*.py")):
        tree = ast.parse(path.read_text())
        described: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                described.add(node.value)
            if isinstance(node, ast.keyword) and node.arg == "help":
                described.update(ast.walk(node.value))
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in described]
        named = [str(text.value) for text in texts if f"`{'tussle'} " in str(text.value)]
        assert not named, f"{path.name}: {named}"


def test_verify_computes_with_the_cpu_baseline() -> None:
    """As servers do, although its module imports numpy: so it has their bits and their physics_id on every CPU."""
    environment = {key: value for key, value in os.environ.items() if key not in baseline_variables()}
    script = (
        "import sys; from tussle.cli.main import main;"
        "main(['verify', '--help'], standalone_mode=False);"
        "from tussle.lobby.cpu_baseline import *;"
        "print('numpy' in sys.modules, baseline() is None or cpu_identity() == baseline())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("True True\n"), done.stdout


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in ("server", "worker", "seed", "simulate")]
)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_the_one_of_its_module(name: str) -> None:
    """And not one that the module imports: `tussle bots` would not look for the server of `tussle up`."""
    found = main.get_command(click.Context(main), name)
    assert found is not None and found.callback is not None
    assert found.callback.__module__ == COMMANDS[name][0]


def test_an_unknown_command_is_one_clear_error() -> None:
    result = CliRunner().invoke(main, ["dance"])
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.output


def test_a_bad_setting_is_one_line(tmp_path: Path) -> None:
    environ = {"LOBBY_TIMEOUT_S": "soon", "DATA_DIR": str(tmp_path)}
    result = CliRunner().invoke(main, ["up"], env=environ)
    assert result.exit_code == 2
    assert result.output.strip() == "Error: LOBBY_TIMEOUT_S=soon: not a value of type float"


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is in use; another Tussle"):
            free_port_or("127.0.0.1", port)
    assert free_port_or("127.0.0.1", 0) > 0


def test_commands_find_a_running_tussle_up(tmp_path: Path) -> None:
    """The server's address comes from the option, else SERVER_URL, else a running `tussle up`, else HOST and PORT. The
    store's comes with its realm, and without any store there is one clear error."""
    settings = Settings.read({}, data_dir=tmp_path)
    assert server_of(settings, None) == settings.server_url
    assert server_of(Settings.read({}, data_dir=tmp_path, port=9123), None) == "http://127.0.0.1:9123"
    with pytest.raises(click.ClickException, match="start `tussle up`"):
        store_of(settings, None)
    running = Running(os.getpid(), "http://127.0.0.1:9000", "redis://127.0.0.1:9001", "school")
    with announced(tmp_path, running):
        assert find_running(tmp_path) == running
        assert server_of(settings, None) == "http://127.0.0.1:9000"
        assert server_of(Settings.read({}, data_dir=tmp_path, port=9123), None) == "http://127.0.0.1:9000"
        found = store_of(settings, None)
        assert (found.redis_url, found.realm) == ("redis://127.0.0.1:9001", "school")
        assert server_of(settings, "localhost:7/") == "http://localhost:7"
        assert server_of(Settings.read({}, data_dir=tmp_path, server_url="http://x:1"), None) == "http://x:1"
        other = store_of(Settings.read({}, data_dir=tmp_path, redis_url="redis://x:1"), None)
        assert (other.redis_url, other.realm) == ("redis://x:1", "main")
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"pid": "x"}'])
def test_a_broken_or_stale_announcement_does_not_count(tmp_path: Path, text: str) -> None:
    (tmp_path / "running.json").write_text(text)
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("module", ["server.entry", "worker.__main__", "build_db"])
def test_help_starts_nothing(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m server --help`` prints what the program does, and ends; so do the other programs and the commands of
    ``tussle``."""
    main = importlib.import_module(f"tussle.{module}").main
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--no-such-option"])
    assert ended.value.code == 2


def test_the_announcement_of_a_dead_supervisor_does_not_count(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    document = {"pid": dead.pid, "server_url": "x", "redis_url": "y", "realm": "main"}
    (tmp_path / "running.json").write_text(json.dumps(document))
    assert find_running(tmp_path) is None
