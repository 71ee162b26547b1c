"""The tutorial, followed literally: its code blocks are a mode, which is run, played and verified."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import until
from tests.support.one_store import store_url as store_url
from tests.support.paths import ROOT
from tests.support.stack import Stack, children
from tussle.lobby.store.store import Store

PAGE = ROOT / "docs" / "tutorial" / "your-first-mode.md"


def write(name: str, folder: Path) -> Path:
    """Write the file that the blocks of this name form in order, and return its path."""
    blocks = re.findall(rf"<!-- file: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks
    path = folder / name
    path.write_text("\n".join(blocks))
    return path


async def run_python(*command: str | Path, **environment: str) -> str:
    """Run the interpreter and return its standard output. The exit code must be 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"NUMBA_CACHE_DIR": str(Path(sys.prefix) / "kernels"), **os.environ, **environment},
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_the_tutorial_uses_the_public_api_only() -> None:
    """All names of Tussle come from tussle.modes and tussle.mode_testing."""
    modules = set(re.findall(r"^(?:from|import) (\w[\w.]*)", PAGE.read_text(), re.MULTILINE))
    assert {name for name in modules if name.split(".")[0] == "tussle"} == {
        "tussle.modes",
        "tussle.mode_testing",
    }
    assert not {name.split(".")[0] for name in modules} & {"lobby", "server", "player", "worker", "cli"}


@pytest.mark.parametrize("module", ["tussle.modes", "tussle.mode_testing"])
async def test_the_public_api_of_modes_loads_no_solver(module: str) -> None:
    """Every public name can be imported, and neither numba, scipy nor ipctk is loaded."""
    code = (
        f"import sys; from {module} import *; print(sorted({{'numba', 'scipy', 'ipctk'}} & set(sys.modules)))"
    )
    assert await run_python("-c", code) == "[]\n"


@pytest.mark.timeout(600)  # a cold cache compiles the solver first
async def test_the_mode_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """The script of section 7: two runs agree, nothing intersects, the sharp bot beats the random bot."""
    modes, script = write("putt.py", tmp_path), write("play.py", tmp_path)
    output = await run_python(script, MODES=str(modes), PYTHONPATH=str(ROOT))
    assert re.fullmatch(r"\d+ ticks; winner: 0 distances: \[.*\]\n", output), output


@pytest.mark.timeout(600)
async def test_the_mode_is_played_survives_and_is_verified(
    store_url: str, realm: str, store: Store, tmp_path: Path
) -> None:
    """The commands of section 8 on real processes. The solver process is killed while the session runs."""
    modes = {"MODES": str(write("putt.py", tmp_path))}
    async with Stack.up(store_url, realm, SIM_SPEED="1", **modes) as stack:
        server = await stack.server()
        bots = await stack.bots(3, 1, "--mode", "putt", "--size", "3", "--skill", "sharp")
        token = ""

        async def second_turn() -> bool:
            nonlocal token
            for running in await store.call("ZRANGE", store.keys.running, 0, -1):
                if int(await store.call("HGET", store.keys.session(running), "turn") or 0) >= 2:
                    token = running
            return bool(token)

        await until(second_turn, 60)
        for solver in children(server.pid):
            os.kill(solver, signal.SIGKILL)
        assert await bots.wait(120) == 0, bots.output
        assert "solver_died" in server.output
        names = ("mode", "status", "result")
        mode, status, result = await store.call("HMGET", store.keys.session(token), *names)
        assert (mode, status) == ("putt", "ended")
        assert sorted(json.loads(result)["places"]) == ["0", "1", "2"]
        verify = ("-c", "from tussle.cli.main import main; main()", "verify", token, "--json")
        output = json.loads(await run_python(*verify, DATA_DIR=str(stack.data_dir), **modes))
    assert output["holds"]
    assert output["ended"]
    assert not output["differences"]
