"""The duel's balance and cost on the real solver, as a table.

    python -m bench.balance [--pairs 8] [--processes 1] [--out bench/balance/results.md]

Every body plays every other one, sides alternating, with equal aimers. Then skills play one another, and four or six
seats play. A sample has the contact check after every tick. All duels are determined by seeds: a second run repeats
them. Intervals are 95 %. Costs are CPU time of one core of this machine.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.balance.duels import IDS, Course, Job, play, play_job
from bench.machine import machine

__all__ = ["main"]

Runner = Callable[[list[Job]], list[Course]]


def share(hits: int, count: int) -> str:
    """Return a percentage with its 95 % interval (Agresti and Coull)."""
    if not count:
        return "-"
    p = (hits + 2) / (count + 4)
    return f"{100 * hits / count:.0f} ± {196 * math.sqrt(p * (1 - p) / (count + 4)):.0f} %"


def quantiles(values: Sequence[float], points: Sequence[float], digits: int = 0) -> str:
    return " / ".join(f"{np.percentile(values, point):.{digits}f}" for point in points)


def drawn(count: int, seats: int, skills: Sequence[str], seed: int, *, check: bool = False) -> list[Job]:
    """Draw duels of distinct random bodies; the skills change seats from duel to duel."""
    rng = np.random.default_rng(seed)
    jobs: list[Job] = []
    for number in range(count):
        bodies = tuple(IDS[index] for index in rng.choice(len(IDS), seats, replace=False))
        turned = tuple(skills[(seat + number) % len(skills)] for seat in range(seats))
        jobs.append((bodies, turned, 1000 * seed + number, check))
    return jobs


def round_robin(run: Runner, rounds: int) -> list[str]:
    """Play every pair ``rounds`` times, sides alternating, with aimers of sigma 5; return rows and body table."""
    jobs: list[Job] = []
    for number, (a, b) in enumerate(itertools.combinations(IDS, 2)):
        for leg in range(rounds):
            pair = (a, b) if leg % 2 == 0 else (b, a)
            jobs.append((pair, ("good", "good"), 10_000 + number * 100 + leg, False))
    courses = run(jobs)
    played = {body: [0, 0] for body in IDS}
    for course in courses:
        for seat, body in enumerate(course.bodies):
            played[body][0] += course.winner == seat
            played[body][1] += course.winner is not None
    decided = [course for course in courses if course.winner is not None]
    first = sum(course.winner == 0 for course in decided)
    turns = [course.turns for course in courses]
    hits = [hit for course in courses for hit in course.hits if hit > 0]
    all_turns = sum(len(course.hits) for course in courses)
    blows = [blow for course in courses for blow in course.blows]
    comebacks = sum(_came_back(course) for course in decided)
    ticks = sum(course.ticks for course in courses)
    outs = [out for course in courses for out in course.outs]
    lines = [
        f"| round-robin, {len(jobs) // rounds} pairs x {rounds}, aimers of sigma 5 | {len(courses)} | bodies "
        f"{min(100 * w / n for w, n in played.values()):.0f}-{max(100 * w / n for w, n in played.values()):.0f} % |",
        f"| first mover wins | {len(decided)} | {share(first, len(decided))} |",
        f"| turns, p10 / median / p90 / max | {len(courses)} | {quantiles(turns, (10, 50, 90, 100))} |",
        f"| draws | {len(courses)} | {len(courses) - len(decided)} |",
        f"| ring-outs, breaks per duel | {len(courses)} | {outs.count('fallen') / len(courses):.2f}, "
        f"{outs.count('broken') / len(courses):.2f} |",
        f"| comebacks (the winner was 15 points or more behind) | {len(decided)} | {share(comebacks, len(decided))} |",
        f"| turns that hit another | {all_turns} | {share(len(hits), all_turns)} |",
        f"| damage of a hitting turn, median / p95 / max | {len(hits)} | {quantiles(hits, (50, 95, 100))} |",
        f"| blows whose credit bound bites (below 90 %; below 50 %) | {len(blows)} | "
        f"{share(sum(part < 0.9 for _, part in blows), len(blows))}; "
        f"{share(sum(part < 0.5 for _, part in blows), len(blows))} |",
        f"| a turn's simulated time [s], median / p95 / max | {all_turns} | "
        f"{quantiles([s for c in courses for s in c.turn_seconds], (50, 95, 100), 2)} |",
        f"| ticks that the iteration cap ended | {ticks} | {sum(course.unconverged for course in courses)} |",
        _cost("two", courses),
    ]
    table = ["", "| body | wins | duels |", "|---|---|---|"]
    for body, (wins, count) in sorted(played.items(), key=lambda item: -item[1][0] / max(1, item[1][1])):
        table.append(f"| {body} | {share(wins, count)} | {count} |")
    return lines + table


def _came_back(course: Course) -> bool:
    assert course.winner is not None
    other = 1 - course.winner
    return any(health[course.winner] <= health[other] - 15 for health in course.lead)


def _cost(seats: str, courses: Sequence[Course]) -> str:
    seconds = sum(course.seconds for course in courses)
    ticks = sum(course.ticks for course in courses)
    return (
        f"| cost with {seats} bodies: ms a tick; s a duel | {ticks} ticks | {1e3 * seconds / ticks:.2f}; "
        f"{seconds / len(courses):.2f} |"
    )


def many_seats(run: Runner, seats: int, count: int) -> list[str]:
    """Play duels of more than two equal aimers."""
    courses = run(drawn(count, seats, ["good"], 20 + seats))
    decided = [course for course in courses if course.winner is not None]
    first = sum(course.winner == 0 for course in decided)
    outs = [out for course in courses for out in course.outs]
    return [
        f"| {seats} aimers: turns p10 / median / p90 | {count} | "
        f"{quantiles([course.turns for course in courses], (10, 50, 90))} |",
        f"| {seats} aimers: first seat wins; ring-outs, breaks a duel | {len(decided)} | {share(first, len(decided))};"
        f" {outs.count('fallen') / count:.2f}, {outs.count('broken') / count:.2f} |",
        _cost(str(seats), courses),
    ]


def against(run: Runner, one: str, other: str, count: int, seed: int) -> str:
    """Return the row of how often skill ``one`` beats skill ``other``."""
    courses = run(drawn(count, 2, [one, other], seed))
    decided = [(number, course) for number, course in enumerate(courses) if course.winner is not None]
    wins = sum(course.winner == number % 2 for number, course in decided)
    return f"| {one} against {other} | {len(decided)} | {share(wins, len(decided))} |"


def check_states(run: Runner, count: int) -> str:
    """Check contact after every tick of a sample of duels."""
    courses = run(drawn(count, 2, ["good"], 31, check=True) + drawn(count // 3, 4, ["good"], 32, check=True))
    states = sum(course.checked for course in courses)
    return (
        f"| states that fail the contact check, every tick of {len(courses)} duels | {states} | "
        f"{sum(course.failed_checks for course in courses)} |"
    )


def main() -> None:
    """Play, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=8, help="duels of each pair of bodies")
    parser.add_argument("--sample", type=int, default=100, help="duels of the other rows")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.md")
    options = parser.parse_args()
    play(["cobble", "quern"], ["good", "good"], 0)  # loads the kernels
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:

        def run(jobs: list[Job]) -> list[Course]:
            return pool.map(play_job, jobs, chunksize=4)

        began = time.perf_counter()
        robin = round_robin(run, options.pairs)
        split = robin.index("")
        rows = robin[:split]
        rows += many_seats(run, 4, options.sample // 2)
        rows += many_seats(run, 6, options.sample // 4)
        rows.append(against(run, "good", "random", options.sample, 41))
        rows.append(against(run, "good", "novice", options.sample, 42))
        for looks, count in ((4, options.sample // 2), (12, options.sample // 2)):
            rows.append(against(run, f"planner:{looks}", "good", count, 43 + looks))
        rows.append(check_states(run, max(3, options.sample // 5)))
        took = time.perf_counter() - began
    lines = [
        "# Balance of the duel",
        "",
        f"`python -m bench.balance --pairs {options.pairs} --sample {options.sample} --processes {options.processes}`,"
        f" {took:.0f} s, {machine()}"
        " shared with other work. 95 % intervals.",
        "",
        "| what | sample | result |",
        "|---|---|---|",
        *rows,
        *robin[split:],
        "",
    ]
    options.out.write_text("\n".join(lines))
    print("\n".join(lines))  # noqa: T201 a script's output


if __name__ == "__main__":
    main()
