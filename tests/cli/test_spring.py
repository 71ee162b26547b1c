"""``tussle spring`` as a user runs it, with real solvers that start after it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.stack import Stack
from tussle.lobby.store.store import Store


async def tussle(store: Store, tmp_path: Path, *arguments: str) -> asyncio.subprocess.Process:
    environ = {
        "REDIS_URL": store.url, "REALM": store.keys.realm, "DATA_DIR": str(tmp_path), "COLUMNS": "100",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from tussle.cli.main import main; main()", *arguments, cwd=ROOT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_a_run_waits_for_the_solvers_and_is_followed_to_its_end(store: Store, tmp_path: Path) -> None:
    """Without solvers the command prints what it waits for; with them the run ends at the closed form."""
    command = await tussle(store, tmp_path, "spring", "mine", "--x", "0.5", "--v", "0")
    assert command.stdout is not None
    stack = Stack.up(store.url, store.keys.realm, SPRING_CYCLES="200")
    try:
        async with asyncio.timeout(60):
            begun = (await command.stdout.readline()).decode()
            assert re.fullmatch(r"run \d+-\d+ of mine: x 0.5 m, v 0 m/s\n", begun)
            waits = (await command.stdout.readline()).decode()
            assert waits == "it waits for `tussle worker velocity` and `tussle worker position`\n"
            for solver in ("velocity", "position"):
                await stack.worker(solver)
            rest = (await command.stdout.read()).decode()
            assert await command.wait() == 0, rest
    finally:
        await stack.close()
    assert "step 200, t 20.0 s" in rest
    assert "200 steps; largest distance from the closed form" in rest and "they agree" in rest
    assert await store.call("XLEN", store.keys.positions) == 201


async def test_no_follow_only_starts_the_run(store: Store, tmp_path: Path) -> None:
    """--no-follow writes the trigger and ends; a start out of range is refused in one line and not written."""
    refused = await tussle(store, tmp_path, "spring", "--v", "1e9")
    assert refused.stdout is not None
    assert (await refused.stdout.read()).decode() == "Error: v must be within 1e+06\n"
    assert await refused.wait() == 1
    assert await store.call("EXISTS", store.keys.positions) == 0
    begun = await tussle(store, tmp_path, "spring", "--no-follow")
    assert await begun.wait() == 0
    ((_, flat),) = await store.call("XRANGE", store.keys.positions, "-", "+")
    assert flat[1] == "cli" and flat[3] == flat[5] == '{"x":0.0,"v":1.0,"t":0.0}'


async def test_an_unstable_run_ends_with_an_error(store: Store, tmp_path: Path) -> None:
    """The numbers of an unstable run overflow; the command that follows it ends with an error."""
    async with Stack.up(store.url, store.keys.realm, SPRING_CYCLES="1000", SPRING_H="1000000") as stack:
        for solver in ("velocity", "position"):
            await stack.worker(solver)
        command = await tussle(store, tmp_path, "spring")
        assert command.stdout is not None
        async with asyncio.timeout(60):
            output = (await command.stdout.read()).decode()
            assert await command.wait() == 1
    assert re.search(r"Error: the run stopped after \d+ steps: it is unstable", output)
