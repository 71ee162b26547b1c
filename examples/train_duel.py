"""Train the bot "taught" of the duel: ./run python examples/train_duel.py --minutes 9 --out mine

At each turn against "novice" a linear policy tries shots that differ from its own by noise, in pairs of opposite signs.
The better ones say where its outputs should move: Salimans et al. 2017, "Evolution strategies as a scalable alternative
to reinforcement learning", for the shot instead of the weights. docs/howto/train.md
"""

import argparse
import os
import time
from multiprocessing import get_context
from pathlib import Path

from training.duels import UNSEEN, draw_curve, here, np, prepare, share_won

from tussle.server.modes.duel.taught import FEATURES, OUTPUTS, ShotPolicy, describe_shot, take_shot

TURNS, PAIRS, SIGMA, STEP, MOMENTUM, POINTS = 12, 4, 0.4, 0.25, 0.8, 8


def explore(job):
    """Play turns of a policy; return the slope of the worth of its shots in its weights."""
    policy, seed = job
    rng, slopes = np.random.default_rng(seed), np.zeros_like(policy.weights)
    for _ in range(TURNS):
        brief, own = here().turn(rng)
        features, azimuth = describe_shot(brief, own, 1 - own)
        outputs, noise = policy.outputs(features), SIGMA * rng.normal(size=(PAIRS, OUTPUTS))
        better = [here().worth(take_shot(outputs + one, azimuth)) for one in noise]
        gains = np.subtract(better, [here().worth(take_shot(outputs - one, azimuth)) for one in noise])
        slopes += np.outer(gains @ noise, [*features, 1.0]) / (2 * SIGMA**2 * PAIRS * TURNS)
        here().act(take_shot(outputs + SIGMA * rng.normal(size=OUTPUTS), azimuth))
    return slopes


parser = argparse.ArgumentParser()
options = {"minutes": 9.0, "processes": os.cpu_count(), "seed": 1, "test": 200, "out": Path("taught")}
for name, default in options.items():
    parser.add_argument(f"--{name}", type=type(default), default=default)

if __name__ == "__main__":
    given, mean, curve, generation = parser.parse_args(), np.zeros((OUTPUTS, FEATURES + 1)), [], 0
    weights, speed, rng, began = mean, 0.0, np.random.default_rng(given.seed), time.monotonic()
    with get_context("spawn").Pool(given.processes, prepare) as pool:
        while (share := (time.monotonic() - began) / 60 / given.minutes) < 1:
            if share >= len(curve) / POINTS:
                won = share_won(pool, ShotPolicy(mean), 2 * UNSEEN + 100 * len(curve), given.test // 2)
                curve.append((share * given.minutes, won))
                print(f"minute {curve[-1][0]:.1f}, {generation} generations: {won:.0%} won", flush=True)
            jobs = [(ShotPolicy(weights), int(seed)) for seed in rng.integers(UNSEEN, size=given.processes)]
            speed = MOMENTUM * speed + np.mean(pool.map(explore, jobs), axis=0)
            weights, generation = weights + STEP * (1 - 0.7 * share) * speed, generation + 1
            mean = mean + max(0.05, 1 / generation) * (weights - mean)
        ShotPolicy(mean).save(given.out / "duel-taught.json")
        for words, ahead in (("the policy alone", False), ("with look-ahead, as bots play it", True)):
            won = share_won(pool, ShotPolicy(mean), UNSEEN, given.test, ahead=ahead)
            print(f"{words}: {won:.1%} of {given.test} unseen duels against novice won", flush=True)
            curve += [(given.minutes, won)] * (not ahead)
    draw_curve(curve, given.minutes, given.out / "learning.svg")
