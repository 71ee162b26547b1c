"""Duels against the bot "novice" for examples/train_duel.py: turns to learn from, duels that test, and the curve.

Each process of the pool has one Practice, which ``prepare`` makes.
"""

from itertools import chain

import tussle.env  # noqa: F401  (before numpy: the same bits as on a server; it registers the environments)

# isort: split
import gymnasium
import numpy as np

from tussle.player.planner import look
from tussle.server.modes.duel.taught import decide_taught
from tussle.server.simulation.simulation import Input

UNSEEN = 10_000_000  # training takes the seeds below, tests those from here on
TICKS = 70  # of a shot that is tried
practice = None


class Practice:
    """A duel that waits for the learner's turn; when it is over, the next one begins."""

    def __init__(self):
        self.env = gymnasium.make("Tussle/Duel-v0", opponent="novice", starts=UNSEEN).unwrapped
        self.info = None

    def turn(self, rng):
        """Return the brief and the seat of the turn."""
        if self.info is None:
            _, self.info = self.env.reset(seed=int(rng.integers(UNSEEN)))
        return self.info["brief"], self.env.seat

    def worth(self, action):
        """Return the share of health that the foe would lose by an action, less that of the own seat."""
        brief, own = self.info["brief"], self.env.seat
        world = self.env.table.episode.simulation.branch()
        after = world.advance([Input(own, action.kind, 0, action.d)], TICKS).standing
        left = [0.0 if after[seat].out else max(0.0, after[seat].health) for seat in (0, 1)]
        lost = [(brief["health"][seat] - left[seat]) / brief["health_full"][seat] for seat in (0, 1)]
        return lost[1 - own] - lost[own]

    def act(self, action):
        """Take the turn."""
        _, _, done, _, self.info = self.env.step({"kind": action.kind, **action.d})
        if done:
            self.info = None

    def play(self, policy, seed, ahead):
        """Return whether a policy wins the duel of this seed; with odd seeds it sits second. ahead: it looks ahead."""
        _, self.info = self.env.reset(seed=seed, options={"seat": seed % 2})
        rng, own = np.random.default_rng(seed), self.env.seat

        def peek(action):
            return look(self.env.table.episode.simulation, own, action)

        while self.info is not None:
            brief = self.info["brief"]
            self.act(decide_taught(policy, brief, own, 1 - own, peek if ahead else None, rng))
        return self.env.table.episode.advance.result.winner == own


def prepare():
    """Prepare a process of the pool."""
    global practice
    practice = Practice()


def here():
    """Return the Practice of this process."""
    return practice


def _play(job):
    policy, seeds, ahead = job
    return [practice.play(policy, int(seed), ahead) for seed in seeds]


def share_won(pool, policy, first, count, *, ahead=False):
    """Return the share of the duels of ``count`` seeds from ``first`` on that a policy wins."""
    jobs = [(policy, part, ahead) for part in np.array_split(np.arange(first, first + count), 8)]
    return float(np.mean(list(chain.from_iterable(pool.map(_play, jobs, chunksize=1)))))


def draw_curve(curve, minutes, path):
    """Draw (minutes, share of duels won) as an SVG; the goal of 65 % is dashed."""
    width, height, left, low = 560, 300, 60, 40
    spots = [
        (left + (width - left - 20) * x / minutes, low + (height - 2 * low) * (1.0 - y)) for x, y in curve
    ]
    size = f'width="{width}" height="{height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    lines.append('<rect width="100%" height="100%" fill="white"/>')
    for share in (0.0, 0.25, 0.5, 0.65, 0.75, 1.0):
        y = low + (height - 2 * low) * (1.0 - share)
        dash = ' stroke-dasharray="5 4" stroke="#d1495b"' if share == 0.65 else ' stroke="#ddd"'
        lines.append(f'<line x1="{left}" x2="{width - 20}" y1="{y:.0f}" y2="{y:.0f}"{dash}/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{share:.0%}</text>')
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    lines.append(f'<polyline points="{points}" fill="none" stroke="#00798c" stroke-width="2"/>')
    lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#00798c"/>' for x, y in spots]
    lines.append(f'<text x="{left}" y="{height - 12}">0</text>')
    lines.append(f'<text x="{width - 20}" y="{height - 12}" text-anchor="end">{minutes:.0f} min</text>')
    lines.append(f'<text x="{left}" y="24">duels won against novice, by the policy alone</text></svg>')
    path.write_text("\n".join(lines) + "\n")
