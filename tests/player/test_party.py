"""``python -m player`` against real servers: any number of bots, any number of matches, also when the server dies."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.support.stack import Stack
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.player.client import Client

pytestmark = pytest.mark.timeout(400)  # a cold start compiles the kernels


@pytest.fixture
async def stack(tmp_path: Path, realm: str) -> AsyncIterator[Stack]:
    """One store, one server in the making; duels as fast as the solver can."""
    async with (
        EmbeddedStore(Settings(data_dir=tmp_path)) as store,
        Stack.up(store.url, realm, SIM_SPEED="0", LOBBY_TIMEOUT_S="2") as stack,
    ):
        yield stack


def counts(output: str) -> dict[str, int]:
    """The summary line, by word."""
    line = output.strip().splitlines()[-1]
    assert re.match(r"\d+ bots( stopped)?: ", line), output
    return {
        word: int(number) for number, word in re.findall(r"(\d+) ([a-z ]+?)(?=,|$)", line.partition(": ")[2])
    }


async def test_an_odd_number_of_bots_ends_too(stack: Stack) -> None:
    """Two play; the third finds no opponent within the lobby timeout, leaves, says so, and all exit with 0."""
    await stack.server()
    bots = await stack.bots(3, 1, "--seed", "5")
    assert await bots.wait(120) == 0
    counted = counts(bots.output)
    assert (counted["matches"], counted["won"], counted["found no opponent"]) == (2, 1, 1)
    assert "bot_found_no_opponent" in bots.output


async def test_six_bots_play_three_matches_each_in_sessions_of_three(stack: Stack) -> None:
    """Matches are counted per bot; every session has its three."""
    await stack.server()
    bots = await stack.bots(6, 2, "--size", "3", "--skill", "novice", LOBBY_TIMEOUT_S="10")
    assert await bots.wait(240) == 0
    counted = counts(bots.output)
    assert counted["matches"] + 2 * counted.get("found no opponent", 0) >= 12
    assert counted["turns"] > 12


async def test_planners_look_ahead_in_time(stack: Stack) -> None:
    """They decide with the solver in their own process, within a bot's turn: no turn is skipped for long thought."""
    await stack.server(BOT_TURN_S="10")
    bots = await stack.bots(2, 1, "--skill", "planner", LOBBY_TIMEOUT_S="30")
    assert await bots.wait(240) == 0
    counted = counts(bots.output)
    assert counted["matches"] == 2
    assert "refused" not in counted


async def test_bots_that_are_stopped_leave_their_seats(stack: Stack) -> None:
    """SIGTERM to a bot that waits: its lobby is gone, and the next player opens a new one."""
    await stack.server()
    bots = await stack.bots(1, 0, LOBBY_TIMEOUT_S="60")
    async with Client(stack.url) as client:

        async def waits() -> bool:
            return bool(await client.sessions(status="open"))

        async def none_waits() -> bool:
            return not await client.sessions(status="open")

        await until(waits)
        bots.send(signal.SIGTERM)
        assert await bots.wait(20) == 0
        await until(none_waits)
    assert "1 bots stopped: 0 matches" in bots.output


async def test_bots_play_on_when_the_server_comes_back(stack: Stack) -> None:
    """The server stops in mid-duel and starts again on its port: every bot still gets its matches."""
    server = await stack.server()
    port = server.url.rpartition(":")[2]
    bots = await stack.bots(2, 2, "--think", "0.2")
    async with Client(stack.url) as client:

        async def runs() -> bool:
            return bool(await client.sessions(status="running"))

        await until(runs)
    assert await server.end() == 0
    again = await stack.start("server", "server", PORT=port)
    again.url = server.url
    assert await bots.wait(200) == 0, again.output
    counted = counts(bots.output)
    assert counted["matches"] >= 2
    assert "found no server" not in counted


async def test_bots_without_a_server_say_so(stack: Stack) -> None:
    """Nobody is there within their patience: exit code 1, one line."""
    bots = await stack.start(
        "player", "bots", "--count", "2", "--patience", "0.2", "--server", "http://127.0.0.1:9"
    )
    assert await bots.wait(60) == 1
    assert counts(bots.output)["found no server"] == 2
