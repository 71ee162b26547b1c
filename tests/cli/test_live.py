"""``tussle live`` as a user runs it: the list of sources, then each new batch once."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.conftest import until
from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.cli.live import SourceFeed
from tussle.lobby.store.store import Store
from tussle.lobby.wire.live import Gap
from tussle.lobby.wire.sensors import ReadingBatch, Sensor, SensorInfo
from tussle.player.client import Client


async def start(stack: Stack, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start the command."""
    environ = {"DATA_DIR": str(folder), "SERVER_URL": stack.url, "COLUMNS": "100"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from tussle.cli.main import main; main()", *arguments, cwd=ROOT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def tussle(stack: Stack, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and output."""
    return await finished(await start(stack, folder, *arguments))


async def finished(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Return the exit code of a command, and the output that was not read before."""
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_sources_are_listed_and_followed(store: Store, realm: str, tmp_path: Path) -> None:
    """The command lists sources, prints batches in order as text or JSON, and refuses an unknown source in one line."""
    async with Stack.up(store.url, realm, SOURCE="mock", SOURCE_HZ="50") as stack:
        await stack.server()
        code, output = await tussle(stack, tmp_path, "live")
        assert code == 0 and "There are no sources" in output
        await stack.worker("source")

        async def announced() -> bool:
            return bool(await store.call("HEXISTS", store.keys.sources, "mock"))

        await until(announced)
        code, output = await tussle(stack, tmp_path, "live")
        assert code == 0, output
        assert re.search(r"^mock +mock +50/s +sine, ramp, walk$", output, re.MULTILINE), output
        code, output = await tussle(stack, tmp_path, "live", "mock", "--count", "30", "--json")
        assert code == 0, output
        batches: list[Any] = [json.loads(line) for line in output.splitlines()]
        first = batches[0]["n"]
        assert [batch["n"] for batch in batches] == list(range(first, first + 30))
        assert all(set(batch["readings"]) == {"sine", "ramp", "walk"} for batch in batches)
        code, output = await tussle(stack, tmp_path, "live", "mock", "--count", "3")
        assert code == 0 and len(output.splitlines()) == 3
        assert re.match(r"\d+  \d{4}-\d\d-\d\dT[\d:.]+\+00:00  sine ", output)
        code, output = await tussle(stack, tmp_path, "live", "nothing")
        assert (code, output) == (
            1,
            "Error: there is no source 'nothing'; `tussle live` lists the sources\n",
        )


async def test_a_session_without_readings_is_waited_for(store: Store, realm: str, tmp_path: Path) -> None:
    """The command says that it waits while a lobby is open, and prints batches once the session runs."""
    async with Stack.up(store.url, realm, SIM_SPEED="1") as stack:
        server = await stack.server()
        async with Client(server.url) as ada:
            await ada.login("ada")
            join = await ada.open(mode="spring-damper", size=1, ready=False)
            async with ada.connect(join) as line:
                following = await start(stack, tmp_path, "live", join.session, "--count", "2")
                assert following.stdout is not None
                async with asyncio.timeout(60):
                    first = await following.stdout.readline()
                assert first == b"No readings yet; waiting for the session to begin.\n"
                await asyncio.sleep(3.0)  # it must still wait, however often it has asked
                assert following.returncode is None
                await line.ready()
                code, output = await finished(following)
    batches = output.splitlines()
    assert code == 0, output
    assert [batch.split()[0].isdigit() for batch in batches] == [True, True]


def test_a_gap_and_units_are_shown() -> None:
    """Batches that no longer exist are counted and named; lists and missing readings are readable."""
    feed = SourceFeed("k7qm2xpv")
    feed.info = SensorInfo(
        "k7qm2xpv", "session", 0.1, (Sensor("energy", "J", "all of it"), Sensor("score", "1", "", True))
    )
    batch = ReadingBatch(8, "2026-11-20T10:00:00.000+00:00", {"energy": None, "score": [3.0, None]})
    lines = feed.take([batch], Gap(5, 7))
    assert lines == [
        "gap: batches 5 to 7 are no longer kept",
        "8  2026-11-20T10:00:00.000+00:00  energy none  score 3 none",
    ]
    assert json.loads(feed.take([batch], Gap(1, 2), as_json=True)[0])["gap"] == {"first": 1, "last": 2}
    console = Console(width=90, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(feed.screen())
    shown = " ".join(capture.get().split())
    assert "energy none J all of it" in shown and "5 no longer kept" in shown
