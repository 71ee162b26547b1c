"""A live sandbox as a PettingZoo Parallel environment: PettingZoo's own test, and the bits of a local simulation."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
import pytest_asyncio

from tests.conftest import until
from tests.env.test_sandbox_env import stack_policy
from tests.support.stack import Stack
from tests.support.zoo import parallel_api_test
from tussle.env import SandboxEnv, remote
from tussle.env.episode import make_spec
from tussle.env.remote_hands import RemoteHandsEnv
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.player.blocking import connect
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import verify
from tussle.server.simulation.simulation import Simulation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A server."""
    async with (
        EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store"))) as store,
        Stack.up(store.url, "test-hands", SIM_SPEED="2") as stack,
    ):
        await stack.server()
        yield stack


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_pettingzoos_parallel_test_passes_over_a_live_session(live: Stack) -> None:
    """It finds no fault and nothing to warn of where the world is a server's."""

    def test() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = remote(live.url, mode="sandbox", agents=2, max_steps=10)
            try:
                parallel_api_test(env, num_cycles=12)
            finally:
                env.close()

    await asyncio.to_thread(test)


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_policy_of_the_local_environment_stacks_in_a_live_one(live: Stack) -> None:
    """The same function takes, carries and lets go; the archive is exact for `tussle verify`, and its inputs give a
    local simulation the same hash at every tick."""

    def episode() -> tuple[str, float, dict[str, bool]]:
        env = remote(
            live.url, mode="sandbox", seats=1, agents=1, task="stack", observation="dict",
            params={"side": 3.0, "height": 2.0},
        )  # fmt: skip
        try:
            seen, _ = env.reset(seed=1)
            reward, done = 0.0, {"hand_0": False}
            for _ in range(120):
                if not env.agents:
                    break
                seen, rewards, done, _, infos = env.step({"hand_0": stack_policy(seen["hand_0"])})
                reward = rewards["hand_0"]
                assert "refused" not in infos["hand_0"]
            return env.session, reward, done
        finally:
            env.close()

    session, reward, done = await asyncio.to_thread(episode)
    assert done == {"hand_0": True}
    assert reward > 8.0
    archive = Archive(str(live.data_dir / "archive"))

    async def sealed() -> bool:
        return load_record(archive, session).ended

    await until(sealed)
    record = load_record(archive, session)
    assert verify(record, check_contact=False).holds
    bodies = SandboxEnv(hands=1, task="stack").bodies
    spec = make_spec("sandbox", ("",), 0, {**record.spec.params, "bodies": bodies}, also=bodies)
    simulation, advance = Simulation.start(msgspec.structs.replace(spec, seed=record.spec.seed))
    hashes = {}
    while advance.tick < record.last_tick:
        advance = simulation.advance(record.inputs.get(advance.tick + 1, []), 1)
        hashes[advance.tick] = advance.hashes[-1]
    assert len(record.hashes) > 60
    assert {tick: hashes.get(tick) for tick in record.hashes if tick} == {
        tick: one for tick, one in record.hashes.items() if tick
    }


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_beside_the_hands(live: Stack) -> None:
    """A hand does not take what a person holds; when the person removes a body, the episode is truncated; a sandbox
    with other bodies is refused, and no seat is kept."""

    def together() -> None:
        close = np.array([0.0, 0.0, 0.0, 1.0])
        with connect(live.url) as person:
            bodies = {"bodies": ["cobble", "marl", "rafter", "burr"], "side": 3.0, "height": 2.0}
            own = person.open(mode="sandbox", size=2, private=True, ready=True, params=bodies)
            wrong = remote(live.url, mode="sandbox", task="stack")
            env = remote(live.url, mode="sandbox", observation="dict")
            try:
                seen, _ = env.reset(seed=1, options={"session": own.token})
                name = own.wait_for("brief").d["bodies"][0]["id"]
                own.act("grab", body=name, handle="centre")
                own.wait_for("slot_granted")
                env.table.places[0] += seen["hand_0"]["position"][0]
                for _ in range(3):
                    seen, *_ = env.step({"hand_0": close})
                assert not seen["hand_0"]["holds"][0, 0]
                assert env.table.held[len(env.possible_agents) + own.seat] == 0
                own.act("remove", body=name)
                while env.agents:
                    _, _, ended, cut, infos = env.step({"hand_0": close})
                assert (ended, cut) == ({"hand_0": False}, {"hand_0": True})
                assert infos["hand_0"]["lost"] == f"removed: {name}"
                own.leave()
                own = person.open(mode="sandbox", size=2, private=True, ready=True, params=bodies)
                with pytest.raises(ValueError, match="the sandbox has the bodies"):
                    wrong.reset(options={"session": own.token})
                with pytest.raises(ValueError, match="call reset"):
                    _ = wrong.session
            finally:
                env.close()
                wrong.close()

    await asyncio.to_thread(together)


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_picture_of_a_live_sandbox_is_that_of_the_local_one(live: Stack) -> None:
    """Drawn from the frames of the server, with the same goal and hands."""

    def draw() -> tuple[np.ndarray, np.ndarray]:
        env = remote(live.url, mode="sandbox", seats=1, render_mode="rgb_array")
        local = SandboxEnv(hands=1, bodies=env.table.bodies, render_mode="rgb_array")
        try:
            with pytest.raises(ValueError, match="call reset"):
                env.render()
            env.reset(seed=1)
            local.reset(seed=1)
            local.goal, local.places = env.table.goal, env.table.places
            return env.render(), local.render()
        finally:
            env.close()

    picture, expected = await asyncio.to_thread(draw)
    assert picture.shape == (480, 480, 3) and picture.dtype == np.uint8
    assert (picture != picture[240, 0]).any()
    assert np.abs(picture.astype(int) - expected).mean() < 0.5


def test_without_a_reset_there_is_no_session() -> None:
    """Before the first reset there are no agents, and a step moves nothing."""
    env = RemoteHandsEnv(SandboxEnv(hands=1), [], seats=1, opponent=None, params={}, timeout_s=1.0)
    assert env.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(ValueError, match="call reset"):
        _ = env.session
