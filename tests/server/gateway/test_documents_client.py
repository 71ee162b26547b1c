"""Clients that are written from the documents alone, against a real server: one in Node, and the shortest one."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GATEWAY_ENVIRONMENT
from tests.support.paths import ROOT
from tests.support.stack import Stack

ENVIRONMENT = {**GATEWAY_ENVIRONMENT, "SIM_SPEED": "2"}

NODE = shutil.which("node")
STEP_M = 1e-4
"""The step of a place in delta frames."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.skipif(NODE is None, reason="!! THE CLIENT OF THE DOCUMENTS WAS NOT RUN: no node")
async def test_a_stranger_plays_a_match_and_decodes_every_frame(site: Stack) -> None:
    """It logs in, opens a duel, asks for a bot, plays to the result, and drags an elastic body in a sandbox. What its
    delta frames show is what whole frames of the same ticks show, within the step of a place."""
    bots = await site.start("player", "bots", "--serve", SERVER_URL=site.url)
    client = str(ROOT / "tests" / "support" / "documents_client.mjs")
    done = await asyncio.to_thread(
        subprocess.run,
        [str(NODE), "--experimental-websocket", "--no-warnings", client, site.url],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    duel, box = seen["duel"], seen["sandbox"]
    assert duel["codec"].startswith("delta-")
    assert (duel["events"][-2:], duel["closed"]) == (["result", "ended"], 1000)
    assert {"seat_taken", "running", "set_up", "turn_started", "action", "turn_ended"} <= set(duel["events"])
    assert duel["result"]["winner"] in (0, 1, None)
    assert box["bodies"] == {"ground": "static", "stone": "affine", "jelly": "elastic"}
    assert (box["grabbed"], box["left"], box["closed"]) == ("ack", {"tick": None}, 4000)
    for found in (duel, box):
        assert found["ticks"] > 10
        assert found["place"] <= STEP_M
        assert found["axis"] <= 5e-3
    assert 0 < box["vertex"] <= 3 * STEP_M
    await bots.end()


async def test_the_shortest_client_runs(site: Stack, tmp_path: Path) -> None:
    """The program of the page prints 30 frames of a sandbox and the tick from which its gravity holds."""
    page = (ROOT / "docs" / "tutorial" / "shortest-client.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "tussle" not in program
    (tmp_path / "client.py").write_text(program)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-P", str(tmp_path / "client.py"), site.url],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    *frames, last = done.stdout.splitlines()
    seen = [re.fullmatch(r"tick (\d+): 6 bodies; \S+ is at (\S+) (\S+) (\S+)", line) for line in frames]
    ticks = [int(found[1]) for found in seen if found is not None]
    assert len(ticks) == len(frames) >= 30 and ticks == sorted(set(ticks))
    assert all(abs(float(found[place])) < 10 for found in seen if found is not None for place in (2, 3, 4))
    found = re.fullmatch(r"the gravity is that of the Moon from tick (\d+)", last)
    assert found is not None and int(found[1]) > ticks[29]
