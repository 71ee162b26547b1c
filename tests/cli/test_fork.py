"""``tussle fork`` as a user runs it, on a session that another version recorded."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import sys
from pathlib import Path

from tests.server.archive.recorded import make_old
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.cli.fork import tree_lines
from tussle.lobby.wire.http_answers import Forked, ForkTree

TOKEN = "aaaaaaa2"


def put_golden(archive: Path) -> int:
    """The golden duel of four as the session TOKEN, as another version recorded it, in the schema without hashes.
    Returns its last tick."""
    folder = archive / TOKEN
    shutil.copytree(ROOT / "tests" / "golden" / "archive" / "duel", folder)
    make_old(folder)
    path = folder / "manifest-000001.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "session": TOKEN, "physics_id": "0.9.0-other"})
    )
    return int(json.loads((folder / "end.json").read_text())["tick"])


async def tussle(url: str, *arguments: str) -> tuple[int, str]:
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from tussle.cli.main import main; main()", *arguments, "--server", url, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await command.communicate()
    return command.returncode or 0, output.decode()


async def test_a_fork_is_played_by_bots(store_url: str) -> None:
    """No other player joins, so bots take the four seats and play from the nearest checkpoint to the end; the command
    says that another version recorded it. The tree is shown without a tick, and a refusal is one line."""
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", SIM_SPEED="0") as stack:
        tick = put_golden(stack.data_dir / "archive") - 50
        server = await stack.server()
        code, output = await tussle(
            server.url, "fork", TOKEN, "--tick", str(tick), "--wait", "0", "--skill", "random"
        )
        assert code == 0, output
        first, last = output.splitlines()
        found = re.match(
            rf"(\w{{8}}) forks {TOKEN} at tick (\d+), NOT exact: recorded by another version", first
        )
        assert found and int(found[2]) <= tick, output
        assert re.match(rf"{found[1]} ended at tick \d+", last)
        code, output = await tussle(server.url, "fork", TOKEN)
        assert (code, output.splitlines()[0]) == (0, f"{TOKEN}  <")
        assert re.search(
            rf"  {found[1]}  at tick {found[2]}, not exact, ended, by [A-Z][a-z]+ [A-Z][a-z]+\b", output
        )
        code, output = await tussle(server.url, "fork", TOKEN, "--tick", "5000")
        assert code == 1 and output.startswith("Error: tick_not_recorded: tick 5000 is not recorded")


def test_the_tree_has_each_fork_below_its_parent() -> None:
    """Also forks whose parent's own entry is forgotten; terminal codes in names are escaped."""
    forks = [
        Forked("bbbbbbb2", "aaaaaaa2", 10, True, 1, "Ada", "running"),
        Forked("ccccccc2", "bbbbbbb2", 20, False, 2, "O\x1b", None),
        Forked("ddddddd2", "eeeeeee2", 5, True, 3, "Mia", None),
    ]
    assert tree_lines(ForkTree("bbbbbbb2", "aaaaaaa2", forks)) == [
        "aaaaaaa2",
        "  bbbbbbb2  at tick 10, running, by Ada  <",
        "    ccccccc2  at tick 20, not exact, by O\\x1b",
        "eeeeeee2",
        "  ddddddd2  at tick 5, by Mia",
    ]
