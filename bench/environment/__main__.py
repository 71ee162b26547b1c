"""The training environments: ticks, duels and resets for each second of one core, beside other physics environments.

    python -m venv bench-env && bench-env/bin/pip install -e '.[env]' 'gymnasium[mujoco]' 'pettingzoo[sisl,butterfly]'
    bench-env/bin/python -m bench.environment --write

    solver         step() of two bodies, nothing else: at rest on the ground, and thrown at one another
    simulation     whole duels of bots: solver, rules, hash of every tick, events
    environment    the same duels through DuelEnv, with observations and rewards
    vector         duels in one loop, in threads of one process (bench/environment/threads.py) and in worker processes
    one loop       the physics of worlds in one compiled loop (bench/environment/one_loop.py): rules cannot be in it
    --sb3          PPO of Stable-Baselines3 as it is, on Tussle/Duel-v0: pip install torch stable-baselines3

Times are CPU time of this process, which other load affects little, but for ``vector`` and ``--sb3``: wall time. The
measurements take turns, and medians are reported. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import tussle.env  # before numpy: the CPU baseline

# isort: split
import gymnasium
import numpy as np

from bench.environment.one_loop import measure_one_loop
from bench.environment.threads import STEPS, WORLDS, measure_threads
from bench.machine import loaded_machine
from bench.results import report
from tussle.env import DuelEnv
from tussle.env.episode import Episode, make_spec
from tussle.server.modes.registry import get_mode
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control
from tussle.server.simulation.simulation import Input

__all__ = ["main"]

ROUNDS, STARTS, DUELS, TICKS = 5, 32, 32, 2000
SKILL = "fair"
BOT = get_mode("duel").bot


def solver(thrown: bool) -> float:
    """Ticks a second of two bodies."""
    world = Episode.start(make_spec("duel", ("cobble", "marl"), 3, {})).simulation._world
    first = state = world.state
    if thrown:
        v = np.zeros_like(first.v)
        v[0], v[4] = (first.q[4] - first.q[0]) * 2.0, (first.q[0] - first.q[4]) * 2.0
        first = dataclasses.replace(first, v=v)
    control = Control(drag=np.zeros(2))
    began = time.process_time()
    for tick in range(TICKS):
        if tick % 60 == 0:
            state = first
        state, _ = step(world.model, state, control)
    return TICKS / (time.process_time() - began)


def simulate() -> tuple[float, int]:
    """CPU time and ticks of DUELS duels, by the simulation alone."""
    env = DuelEnv(starts=STARTS)
    began, ticks = time.process_time(), 0
    for number in range(DUELS):
        episode = env.begin(number % STARTS, {})
        simulation, advance, brief = episode.simulation, episode.advance, episode.brief
        rng = np.random.default_rng(number)
        while advance.phase != "over":
            for _, name, d in advance.events:
                if name == "turn_started":
                    brief = d
            assert advance.seat is not None
            action = BOT(brief, advance.seat, SKILL, None, rng)
            advance = simulation.advance([Input(advance.seat, action.kind, 1, dict(action.d))], 1000)
            ticks += advance.ticks_run
    return time.process_time() - began, ticks


def play() -> float:
    """CPU time of the same duels through the environment, with every observation."""
    env = DuelEnv(starts=STARTS)
    began = time.process_time()
    for number in range(DUELS):
        env.reset(options={"session_seed": number % STARTS})
        rng = np.random.default_rng(number)
        for agent in env.agent_iter():
            _, _, ended, cut, info = env.last()
            if ended or cut:
                env.step(None)
                continue
            action = BOT(info["brief"], env.possible_agents.index(agent), SKILL, None, rng)
            env.step({"kind": action.kind, **action.d})
    return time.process_time() - began


def reset(*, known: bool) -> float:
    """CPU time of a reset [ms]: of a beginning that was used before, or of a new one."""
    env = DuelEnv(starts=STARTS)
    times = []
    for number in range(STARTS):
        seed = number if known else int(time.monotonic_ns() % 2**40)
        began = time.process_time()
        env.reset(options={"session_seed": seed})
        times.append(time.process_time() - began)
    return 1e3 * median(times)


def vector(processes: int) -> tuple[float, float]:
    """Steps a second, wall time, of worlds that act at random, and the sum of all rewards."""
    envs = tussle.env.vector(WORLDS, "Tussle/Duel-v0", processes=processes, starts=STARTS)
    try:
        envs.reset(seed=1)
        envs.action_space.seed(1)
        rewards = float(envs.step(envs.action_space.sample())[1].sum())
        began = time.monotonic()
        for _ in range(STEPS):
            rewards += float(envs.step(envs.action_space.sample())[1].sum())
        return WORLDS * STEPS / (time.monotonic() - began), rewards
    finally:
        envs.close()


def learn(steps: int = 4096) -> tuple[float, float, float]:
    """Train PPO of Stable-Baselines3 as it is. Returns steps a second, wall time, and the mean reward of
    the last 100 duels at the first and at the last update."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    means: list[float] = []

    class Note(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            means.append(float(np.mean([one["r"] for one in self.model.ep_info_buffer])))

    worlds = make_vec_env("Tussle/Duel-v0", n_envs=4, seed=1, env_kwargs={"starts": STARTS})
    model = PPO("MlpPolicy", worlds, n_steps=256, seed=1, device="cpu")
    began = time.monotonic()
    model.learn(steps, callback=Note())
    rate = model.num_timesteps / (time.monotonic() - began)
    worlds.close()
    return rate, means[0], means[-1]


def ant() -> float:
    """Physics ticks a second of Gymnasium's Ant (MuJoCo): one body of eight joints, five ticks a step."""
    env = gymnasium.make("Ant-v5")
    env.reset(seed=1)
    env.action_space.seed(1)
    skip, steps = env.unwrapped.frame_skip, 400  # type: ignore[attr-defined]
    began = time.process_time()
    for _ in range(steps):
        _, _, ended, cut, _ = env.step(env.action_space.sample())
        if ended or cut:
            env.reset()
    spent = time.process_time() - began
    env.close()
    return float(skip) * steps / spent


def zoo(module: str) -> Callable[[], float]:
    """Physics ticks a second of a parallel environment of PettingZoo that acts at random, one tick a step."""

    def measure() -> float:
        env = importlib.import_module(module).parallel_env()
        env.reset(seed=1)
        steps = 150
        began = time.process_time()
        for _ in range(steps):
            if not env.agents:
                env.reset()
            env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        spent = time.process_time() - began
        env.close()
        return steps / spent

    return measure


PEERS: tuple[tuple[str, str, Callable[[], float]], ...] = (
    ("MuJoCo, Gymnasium's Ant-v5", "mujoco", ant),
    ("Box2D, PettingZoo's multiwalker_v9 (3 walkers)", "Box2D", zoo("pettingzoo.sisl.multiwalker_v9")),
    ("pymunk, PettingZoo's pistonball_v6 (pictures)", "pymunk", zoo("pettingzoo.butterfly.pistonball_v6")),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.environment")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help="write results.md")
    parser.add_argument("--sb3", action="store_true", help="train with Stable-Baselines3, too")
    given = parser.parse_args()
    where = loaded_machine()
    warnings.simplefilter("ignore")
    simulate()  # loads the kernels, and settles every beginning
    peers = [one for one in PEERS if importlib.util.find_spec(one[1]) is not None]
    rates: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        rates.setdefault(name, []).append(value)

    for _ in range(given.rounds):
        note("rest", solver(thrown=False))
        note("thrown", solver(thrown=True))
        spent, ticks = simulate()
        through = play()
        note("ticks", ticks / spent)
        note("bare", 60.0 * DUELS / spent)
        note("env", 60.0 * DUELS / through)
        note("share", 100.0 * (through / spent - 1.0))
        note("known", reset(known=True))
        note("new", reset(known=False))
        for name, _, measure in peers:
            note(name, measure())
    physics = measure_one_loop(WORLDS)
    threads = measure_threads(2)
    loops: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(given.rounds):
        for processes, measured in loops.items():
            rate, rewards = vector(processes)
            measured.append(rate)
            assert abs(rewards - threads.rewards) < 1e-6, "every way plays the same duels"
    loop, piped, many = (median(measured) for measured in loops.values())
    found: dict[str, Any] = {name: median(values) for name, values in rates.items()}
    trained = []
    if given.sb3:
        rate, first, last = learn()
        trained = [
            (
                "Stable-Baselines3's PPO on Tussle/Duel-v0, 4,096 steps of 4 worlds: steps/s, wall",
                f"{rate:.0f}",
            ),
            ("reward of a duel at its first and at its last update", f"{first:.2f}, {last:.2f}"),
        ]
    reached = {
        "5,000 solver ticks/s with two bodies": min(found["rest"], found["thrown"]) >= 5000.0,
        "250 duels/min": found["env"] >= 250.0,
        "reset below 2 ms": found["known"] < 2.0,
        "the environment adds less than 10 %": found["share"] < 10.0,
    }
    rows = [
        ("solver, two bodies at rest: ticks/s", f"{found['rest']:,.0f}"),
        ("solver, two bodies that meet: ticks/s", f"{found['thrown']:,.0f}"),
        ("simulation with rules and hashes: ticks/s", f"{found['ticks']:,.0f}"),
        (f"duels/min, simulation alone ({SKILL} against {SKILL})", f"{found['bare']:.0f}"),
        ("duels/min through DuelEnv", f"{found['env']:.0f}"),
        ("the environment adds", f"{found['share']:.1f} %"),
        ("reset to a known beginning [ms]", f"{found['known']:.2f}"),
        ("reset to a new beginning: compiled and settled [ms]", f"{found['new']:.1f}"),
        (f"{WORLDS} duels in one loop of one process: steps/s, wall", f"{loop:.0f}"),
        (f"{WORLDS} duels in 1 worker process: steps/s, wall", f"{piped:.0f} ({piped / loop:.2f} times)"),
        (f"{WORLDS} duels in 2 worker processes: steps/s, wall", f"{many:.0f} ({many / loop:.2f} times)"),
        (
            f"{WORLDS} duels in 2 threads of one process, kernels without the GIL: steps/s, wall",
            f"{threads.threads:.0f} ({threads.threads / threads.loop:.2f} times)",
        ),
        (f"{WORLDS} worlds, physics alone, stepped from Python: ticks/s", f"{physics.stepped:,.0f}"),
        (
            f"{WORLDS} worlds, physics alone, in one compiled loop: ticks/s",
            f"{physics.looped:,.0f} ({physics.looped / physics.stepped:.2f} times)",
        ),
        *trained,
        *((f"{name}: ticks/s", f"{found[name]:,.0f}") for name, _, _ in peers),
    ]
    verdict = "\n".join(f"- {name}: {'reached' if yes else 'NOT reached'}" for name, yes in reached.items())
    report(__file__, "Training environments", where, rows, verdict, save=given.write)


if __name__ == "__main__":
    main()
