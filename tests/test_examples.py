"""Each program of examples/ runs against a real server, store and bots, and ends."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

import tussle
from tests.conftest import until
from tests.support.notebooks import NOTEBOOKS, notebook
from tests.support.one_store import store_url as store_url
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.server.modes.duel.taught import ShotPolicy

EXAMPLES = ROOT / "examples"


async def run_example(name: str, *arguments: str, folder: Path = EXAMPLES, **environment: str) -> str:
    """What the program prints, run in a folder; it must end well within 150 s."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
    )  # fmt: skip
    try:
        async with asyncio.timeout(150):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, out.decode()
    return out.decode()


def client_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "tussle-client"]


def test_an_example_is_short() -> None:
    """At most 60 lines each."""
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path


def test_a_notebook_has_the_cells_of_its_program() -> None:
    """And no output; ``python -m tests.support.notebooks`` writes it."""
    for path in NOTEBOOKS:
        assert path.with_suffix(".ipynb").read_text() == notebook(path)


@pytest.mark.timeout(600)  # a cold cache compiles the solver first
async def test_the_training_runs(tmp_path: Path) -> None:
    """A second of training ends with a policy that differs from the untrained one, its test and the curve."""
    out = await run_example(
        "train_duel.py", "--minutes", "0.02", "--processes", "1", "--test", "4", "--out", str(tmp_path)
    )
    assert "with look-ahead, as bots play it" in out
    assert ShotPolicy.load(tmp_path / "duel-taught.json").weights.any()
    assert "<polyline" in (tmp_path / "learning.svg").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)  # a cold cache compiles the solver first
async def test_the_examples_run(store_url: str, realm: str, tmp_path: Path) -> None:
    """A duel, own bots, frames, an own mode and the streams, one after the other on one server."""
    modes = {"MODES": str(EXAMPLES / "fragile_duel.py")}
    async with Stack.up(store_url, realm, SIM_SPEED="2", **modes) as stack:
        server = await stack.server()
        opponent = await stack.bots(1, 1)
        tower = {"TUSSLE_URL": server.url, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path)}
        printed = await run_example("build_a_tower.py", folder=tmp_path, **tower)
        assert "7 bodies; the scene can start: True" in printed and "60 frames; the smallest gap" in printed
        assert (tmp_path / "smallest_gap.png").stat().st_size > 1000
        printed = await run_example("play_a_duel.py", server.url)
        assert "won" in printed
        assert await opponent.wait(60) == 0
        assert "bot 0: ended" in await run_example("own_bot.py", server.url, "2")

        fragile = await stack.bots(2, 1, "--mode", "fragile", "--think", "1")
        async with tussle.Client(server.url) as client:
            found: list[tussle.SessionView] = []

            async def plays() -> bool:
                found[:] = await client.sessions(mode="fragile", status="running")
                return bool(found)

            await until(plays, 60, every_s=0.05)
        printed = await run_example("smallest_gap.py", found[0].session, server.url, "5")
        assert "5 frames; the smallest gap is" in printed
        assert await fragile.wait(150) == 0
        assert "2 matches" in fragile.output
        printed = await run_example("consume_streams.py", store_url, realm)
        assert "'event': 'ended'" in printed


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_blocking_client_leaves_no_thread(store_url: str, realm: str) -> None:
    """It works inside of a running loop, names what it waits for, and its thread ends with it."""
    async with Stack.up(store_url, realm) as stack:
        url = (await stack.server()).url
        with tussle.connect(url) as client, client.open(mode="duel", private=True) as session:
            assert session.seat == 0
            assert client.whoami().session == session.token
            session.chat("hello")
            assert session.wait_for("chat", timeout_s=10).d["text"] == "hello"
            with pytest.raises(TimeoutError, match=r"waited 0.1 s for running in session"):
                session.wait_for("running", timeout_s=0.1)
            with pytest.raises(tussle.ClientError):
                session.act("launch", azimuth=0.0, elevation=0.0, power=1.0)
            session.leave()
            assert list(session.events(timeout_s=10)) is not None
            assert client_threads()
        assert not client_threads()
        with pytest.raises(RuntimeError, match="closed"):
            client.whoami()
    with pytest.raises(tussle.Disconnected):
        tussle.connect("http://127.0.0.1:9", timeout_s=5)
    assert not client_threads()
