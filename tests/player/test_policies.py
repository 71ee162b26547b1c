"""A user's function as a bot: in a live duel, and as an opponent in tussle.env, with the same hash of every tick."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.stack import Stack
from tussle.env import DuelEnv
from tussle.lobby.errors import Refused
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.player.policies import decide_by_policy, load_policy
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import verify


@pytest.mark.timeout(120)
async def test_a_live_duel_of_policies_has_the_bits_of_the_environment(tmp_path: Path, realm: str) -> None:
    """Two bots of --policy play a duel on a server. Its archive is exact for `tussle verify`, and its inputs give the
    same hash of every tick in DuelEnv."""
    async with (
        EmbeddedStore(Settings(data_dir=tmp_path)) as store,
        Stack.up(store.url, realm, SIM_SPEED="0") as stack,
    ):
        await stack.server()
        bots = await stack.bots(2, 1, "--policy", "examples.policies.charge:decide", "--seed", "3")
        assert await bots.wait(90) == 0, bots.output
        assert re.search(r"2 matches, 1 won, \d+ turns", bots.output), bots.output
        archive = Archive(str(stack.data_dir / "archive"))
        (session,) = archive.sessions()
        record = load_record(archive, session)
    assert verify(record, check_contact=False).holds
    spec = record.spec
    env = DuelEnv(params=spec.params, starts=1)
    env.reset(options={"session_seed": spec.seed, "bodies": [seat.body for seat in spec.seats]})
    for given in (one for tick in sorted(record.inputs) for one in record.inputs[tick]):
        assert env.agent_selection == f"seat_{given.seat}"
        env.step({"kind": given.kind, **given.d})
    assert env.episode is not None and env.episode.over
    assert {tick: env.episode.hashes[tick - 1] for tick in record.hashes} == record.hashes


async def test_a_policy_decides_for_a_bot() -> None:
    """The kind and the arguments of a policy's mapping are the input; an empty mapping does nothing."""
    rng = np.random.default_rng(1)
    decide = decide_by_policy(
        lambda brief, seat, rng: {"kind": "hop", "azimuth": brief["a"], "power": 1.0}, rng
    )
    assert await decide({"a": 3.0}, 0) == ("hop", {"azimuth": 3.0, "power": 1.0})
    assert await decide_by_policy(lambda brief, seat, rng: {}, rng)({}, 0) == ("", {})


@pytest.mark.parametrize(
    "name", ["charge", "no_such_module:charge", "tests.player.test_policies:nothing", "math:pi", ""]
)
def test_a_policy_that_is_none_is_refused(name: str) -> None:
    """A name without a module, a function or a callable is refused with a code, before a bot plays."""
    with pytest.raises(Refused) as refusal:
        load_policy(name)
    assert refusal.value.reason == "bad_params"
