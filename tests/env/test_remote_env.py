"""A live session as a PettingZoo environment: PettingZoo's own test, and the bits of the local environment."""

from __future__ import annotations

import asyncio
import contextlib
import math
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from examples.policies.charge import decide
from tests.conftest import until
from tests.support.stack import Stack
from tests.support.zoo import api_test, render_test
from tussle.env import CurlingEnv, DuelEnv, remote
from tussle.env.remote_env import RemoteEnv
from tussle.lobby.errors import Conflict, Refused
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.player.client import Client
from tussle.player.transcript import Disconnected
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import verify

QUICK = {"rounds": 4}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A server with a process of bots that fill seats."""
    async with (
        EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store"))) as store,
        Stack.up(store.url, "test-remote", SIM_SPEED="0") as stack,
    ):
        await stack.server()
        await stack.bots(0, 1, "--serve")
        async with Client(stack.url) as client:
            await client.login()
            lobby = await client.open(mode="duel", private=True)

            async def served() -> bool:
                with contextlib.suppress(Conflict):  # no_bots: their process still starts
                    return bool(await client.fill(lobby.session))
                return False

            await until(served)
            await client.leave(lobby.session)
        yield stack


def play(env: RemoteEnv, turns: int = 1000) -> list[tuple[str, dict[str, Any], dict[str, float]]]:
    """Launches at the other until all agents are done: agent, action and rewards of each turn."""
    rng = np.random.default_rng(5)
    played = []
    while env.agents and len(played) < turns:
        agent = env.agent_selection
        if env.terminations[agent] or env.truncations[agent]:
            env.step(None)
            continue
        action = decide(env.infos[agent]["brief"], env.seat(agent), rng)
        env.step(action)
        played.append((agent, action, dict(env.rewards)))
    return played


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_pettingzoos_api_test_passes_over_a_live_session(live: Stack) -> None:
    """The AEC test of PettingZoo finds no fault and nothing to warn of where the world is a server's."""

    def test() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = remote(live.url, agents=2, params=QUICK)
            try:
                api_test(env, num_cycles=12)
            finally:
                env.close()

    await asyncio.to_thread(test)


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_pettingzoos_render_test_passes_over_a_live_session(live: Stack) -> None:
    """It plays a little in each render mode. It leaves environments open, which are closed here."""
    made: list[RemoteEnv] = []

    def make(render_mode: str) -> RemoteEnv:
        made.append(remote(live.url, agents=2, params=QUICK, render_mode=render_mode))
        return made[-1]

    try:
        await asyncio.to_thread(render_test, make)
    finally:
        for env in made:
            await asyncio.to_thread(env.close)
    assert {env.render_mode for env in made} == {"human", "rgb_array"}


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mode", ["duel", "curling"])
async def test_the_picture_of_a_live_turn_is_that_of_the_local_one(live: Stack, mode: str) -> None:
    """Drawn from the frames of the server before the first input, with a ring around what acts."""

    def draw() -> tuple[np.ndarray, str]:
        env = remote(live.url, mode=mode, agents=2, render_mode="rgb_array")
        try:
            env.reset()
            return env.render(), env.session
        finally:
            env.close()

    picture, session = await asyncio.to_thread(draw)
    spec = load_record(Archive(str(live.data_dir / "archive")), session).spec
    kind = {"duel": DuelEnv, "curling": CurlingEnv}[mode]
    local = kind(params=spec.params, render_mode="rgb_array")
    local.reset(options={"session_seed": spec.seed, "bodies": [seat.body for seat in spec.seats]})
    expected = local.render()
    assert picture.shape == (480, 480, 3) and picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - expected).mean() < 0.5


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_live_episode_has_the_bits_and_rewards_of_a_local_one(live: Stack) -> None:
    """The inputs of an episode over ``remote`` give the same rewards and the same hash of every tick in DuelEnv, and
    its archive is exact for `tussle verify`."""

    def episode() -> tuple[str, list[tuple[str, dict[str, Any], dict[str, float]]], dict[str, int]]:
        env = remote(live.url, agents=2, params=QUICK)
        try:
            env.reset()
            seats = {agent: env.seat(agent) for agent in env.agents}
            return env.session, play(env), seats
        finally:
            env.close()

    session, played, seats = await asyncio.to_thread(episode)
    archive = Archive(str(live.data_dir / "archive"))
    record = load_record(archive, session)
    assert verify(record, check_contact=False).holds
    spec = record.spec
    assert any(reward for _, _, rewards in played for reward in rewards.values())
    local = DuelEnv(params=spec.params, starts=1)
    local.reset(options={"session_seed": spec.seed, "bodies": [seat.body for seat in spec.seats]})
    for agent, action, rewards in played:
        assert local.agent_selection == f"seat_{seats[agent]}"
        local.step(dict(action))
        given = {seats[each]: reward for each, reward in rewards.items()}
        assert given == pytest.approx({0: local.rewards["seat_0"], 1: local.rewards["seat_1"]}, abs=1e-8)
    assert local.episode is not None and local.episode.over
    assert {tick: local.episode.hashes[tick - 1] for tick in record.hashes} == record.hashes


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_one_agent_plays_bots_that_fill_the_lobby(live: Stack) -> None:
    """With an opponent's skill the other seat is a bot; an illegal action is refused and the turn stays open; each
    reset is another session."""

    def play_two() -> None:
        env = remote(live.url, opponent="random", params=QUICK, observation="dict")
        try:
            tokens = set()
            for _ in range(2):
                env.reset()
                tokens.add(env.session)
                assert env.observe("player_0")["own_turn"] == 1.0
                with pytest.raises(Refused):
                    env.step({"kind": "launch", "azimuth": 0.0, "elevation": 10.0, "power": 7.0})
                played = play(env)
                assert played and not env.agents
                assert any(name == "result" for _, name, _ in env.events)
            assert len(tokens) == 2
        finally:
            env.close()

    await asyncio.to_thread(play_two)


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_agent_that_goes_out_is_done_while_the_others_play_on(live: Stack) -> None:
    """A body that leaves the arena: its agent is terminated and steps with None, the session goes on."""

    def play_three() -> None:
        env = remote(live.url, seats=3, agents=3, params=QUICK)
        try:
            env.reset()
            agent = env.agent_selection
            x, _, z = env.infos[agent]["brief"]["positions"][env.seat(agent)]
            outwards = math.degrees(math.atan2(z, x))
            env.step({"kind": "launch", "azimuth": outwards, "elevation": 30.0, "power": 1.0})
            assert (env.agent_selection, env.terminations[agent]) == (agent, True)
            assert env.rewards[agent] <= 0.0
            env.step(None)
            assert agent not in env.agents and len(env.agents) == 2
            assert play(env, turns=1) and not any(env.truncations.values())
        finally:
            env.close()

    await asyncio.to_thread(play_three)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "chess"}, "remote has the modes"),
        ({"agents": 3}, "2 seats have 1 to 2 agents"),
        ({"params": QUICK}, "opened here"),
        ({"mode": "sandbox", "params": {"bodies": ["cobble", "jelly"]}}, "axes of jelly"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The error says which argument is wrong, before anything is connected."""
    with pytest.raises(ValueError, match=message):
        remote("http://127.0.0.1:9", **arguments)


def test_a_server_that_does_not_answer_is_an_error() -> None:
    """Nothing is left open, and the call says that there is no server."""
    with pytest.raises(Disconnected):
        remote("http://127.0.0.1:9", timeout_s=2.0)


def test_without_a_reset_there_is_no_session(tmp_path: Path) -> None:
    """Before the first reset the environment has no agents and no session."""
    env = RemoteEnv(DuelEnv(), [], opponent=None, timeout_s=1.0)
    with pytest.raises(ValueError, match="call reset"):
        _ = env.session
