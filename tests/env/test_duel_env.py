"""The duel as a PettingZoo environment: PettingZoo's own tests, rewards, and the same bits as a recorded session."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import BODIES
from tests.support.zoo import api_test, render_test, seed_test
from tussle.env import DuelEnv
from tussle.lobby.errors import Refused
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import verify
from tussle.server.modes.mode import Seat, stream
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

PAIR = ("cobble", "marl")
TRIO = ("cobble", "marl", "halo")


def played(env: DuelEnv, seed: int, turns: int) -> list[dict[str, float]]:
    """The rewards of each turn of random actions."""
    env.reset(seed=seed)
    rewards = []
    for number in range(turns):
        if any(env.terminations.values()):
            break
        action = np.random.default_rng([seed, number]).uniform(-1.0, 1.0, 5)
        env.step(action.astype(np.float32))
        rewards.append(dict(env.rewards))
    return rewards


@pytest.mark.parametrize("seats", [2, 3])
def test_pettingzoos_api_test_passes(seats: int) -> None:
    """The AEC test of PettingZoo finds no fault and nothing to warn of, also where a seat goes out early."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api_test(DuelEnv(seats=seats, starts=2), num_cycles=30)


def test_pettingzoos_seed_test_passes() -> None:
    """Two environments of one seed are equal in every observation, reward and brief."""
    seed_test(lambda: DuelEnv(starts=2), num_cycles=5)


def test_pettingzoos_render_test_passes() -> None:
    """Both render modes give what PettingZoo expects of them, without a display."""
    render_test(lambda render_mode: DuelEnv(starts=1, render_mode=render_mode))


def test_the_dict_has_what_the_array_has() -> None:
    """The two forms of an observation are the same numbers, in their spaces."""
    flat, named = DuelEnv(starts=1), DuelEnv(starts=1, observation="dict")
    for env in (flat, named):
        env.reset(seed=1)
    array, fields = flat.observe("seat_1"), named.observe("seat_1")
    assert flat.observation_space("seat_1").contains(array)
    assert named.observation_space("seat_1").contains(fields)
    for name, place in flat.table.index().items():
        np.testing.assert_array_equal(array[place], fields[name].ravel())
    assert fields["own_turn"] == 0.0
    assert float(np.linalg.norm(fields["position"][1])) == pytest.approx(2 * 1.116, abs=0.1)


def test_the_rewards_of_a_step_add_up_to_zero() -> None:
    """What one seat wins the others lose; the winner of a duel gets +1 more than its damage."""
    env = DuelEnv(bodies=PAIR, starts=4)
    totals = [played(env, seed, 40) for seed in range(3)]
    for rewards in totals:
        assert all(abs(sum(each.values())) < 1e-9 for each in rewards)
    assert any(any(env_rewards.values()) for duel in totals for env_rewards in duel)


def test_an_illegal_action_changes_nothing() -> None:
    """A mapping that the rules refuse raises Refused with its code; the turn is still open and the state the same."""
    env = DuelEnv(bodies=PAIR, starts=1)
    env.reset(seed=1)
    assert env.episode is not None
    before = env.episode.simulation.hash()
    with pytest.raises(Refused) as refusal:
        env.step({"kind": "launch", "azimuth": 0.0, "elevation": 10.0, "power": 7.0})
    assert refusal.value.reason == "out_of_range"
    assert env.episode.simulation.hash() == before
    env.step({"kind": "brace"})
    assert env.agent_selection == "seat_1"


def test_an_array_action_is_what_its_table_says() -> None:
    """Direction, elevation, power and kind of an action array become the arguments of the input."""
    env = DuelEnv(starts=1)
    launch = env.translate(np.array([0.0, 1.0, 0.0, 1.0, -1.0], np.float32))
    assert launch == {"kind": "launch", "azimuth": pytest.approx(90.0), "elevation": 30.0, "power": 1.0}
    assert env.translate(np.array([1, 0, 0, 0, 0.9], np.float32)) == {"kind": "brace"}
    assert set(env.translate(np.array([1, 0, 0, 0, 0.1], np.float32))) == {"kind", "azimuth", "power"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bodies": ["cobble"]}, "2 seats need 2 bodies"),
        ({"starts": 0}, "at least one beginning"),
        ({"render_mode": "ansi"}, "render_mode is one of"),
        ({"observation": "text"}, "'array' or a 'dict'"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    """The environment says which argument is wrong when it is made."""
    with pytest.raises(ValueError, match=message):
        DuelEnv(**arguments)


def test_a_window_shows_the_same_bits() -> None:
    """An episode that is shown while it runs has the hashes of one that is not."""
    shown, hidden = DuelEnv(bodies=PAIR, starts=1, render_mode="human"), DuelEnv(bodies=PAIR, starts=1)
    shown.metadata = {**shown.metadata, "render_fps": 0}
    for env in (shown, hidden):
        env.reset(seed=3)
        env.step({"kind": "hop", "azimuth": 40.0, "power": 0.3})
    shown.close()
    assert shown.episode is not None and hidden.episode is not None
    assert shown.episode.hashes == hidden.episode.hashes
    assert len(hidden.episode.hashes) > 10


async def test_a_recorded_session_played_in_the_environment_has_its_hashes(tmp_path: Path) -> None:
    """A duel of bots that a session would archive, and that `tussle verify` finds exact, is played again by its inputs
    in the environment: the hash of every tick is equal."""
    archive = Archive(str(tmp_path))
    seats = tuple(
        Seat(seat, f"p{seat}", f"bot {seat}", "bot", "fair", body) for seat, body in enumerate(TRIO)
    )
    spec = SessionSpec("recorded", "duel", seats, {body: BODIES[body] for body in TRIO}, 77, {"rounds": 3})
    volume = archive.volume("recorded", 1)
    await volume.write_manifest(spec, physics_id())
    simulation, here = Simulation.start(spec)
    volume.record(here, [])
    while here.phase != "over":
        brief = next(d for _, name, d in reversed(here.events) if name == "turn_started")
        action = simulation.mode.bot(brief, brief["seat"], "fair", None, stream(77, here.turn, brief["seat"]))
        inputs = [Input(brief["seat"], action.kind, here.turn + 1, action.d)]
        here = simulation.advance(inputs, 300)
        volume.record(here, inputs)
    volume.keep(here.tick, simulation.checkpoint())
    await volume.end(here.tick)
    record = load_record(archive, "recorded")
    assert verify(record, check_contact=False).holds

    env = DuelEnv(seats=3, params=spec.params, starts=1)
    env.reset(options={"session_seed": spec.seed, "bodies": TRIO})
    for given in (one for tick in sorted(record.inputs) for one in record.inputs[tick]):
        while env.terminations[env.agent_selection]:
            env.step(None)
        assert env.agent_selection == f"seat_{given.seat}"
        env.step({"kind": given.kind, **given.d})
    assert env.episode is not None
    assert env.episode.over
    assert {tick: env.episode.hashes[tick - 1] for tick in record.hashes} == record.hashes
    assert len(env.episode.hashes) == record.last_tick
