"""One duel between bots without a server, and what came of it. In a module of its own, so that a pool's processes find
it by name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tussle.player.planner import look
from tussle.server.modes.mode import Look, Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

__all__ = ["IDS", "Course", "Job", "play", "play_job"]

ROOT = Path(__file__).parents[2]
CATALOGUE: dict[str, dict[str, Any]] = {
    body["id"]: body for body in json.loads((ROOT / "catalogue" / "catalogue.json").read_text())["bodies"]
}
IDS = sorted(CATALOGUE)


Job = tuple[tuple[str, ...], tuple[str, ...], int, bool]
"""Bodies, skills, seed, whether to check contact."""


@dataclass(slots=True)
class Course:
    """The outcome of one duel. ``lead``: shares of health after each turn; ``checked``: states that were checked."""

    bodies: tuple[str, ...]
    winner: int | None
    turns: int
    ticks: int
    seconds: float
    unconverged: int
    looks: int = 0
    checked: int = 0
    failed_checks: int = 0
    turn_seconds: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    blows: list[tuple[str, float]] = field(default_factory=list)
    outs: list[str] = field(default_factory=list)
    lead: list[list[float]] = field(default_factory=list)


def play(
    bodies: Sequence[str],
    skills: Sequence[str],
    seed: int,
    *,
    check: bool = False,
    look: Callable[[Simulation], Look] | None = None,
) -> Course:
    """Play one duel between bots. ``check`` checks contact after every tick; the time for it is not counted."""
    seats = tuple(
        Seat(seat, f"p{seat}", f"n{seat}", "bot", skill, body)
        for seat, (body, skill) in enumerate(zip(bodies, skills, strict=True))
    )
    spec = SessionSpec("bench", "duel", seats, {body: CATALOGUE[body] for body in bodies}, seed)
    decide = get_mode("duel").bot
    began = time.thread_time()
    simulation, advance = Simulation.start(spec)
    course = Course(tuple(bodies), None, 0, advance.ticks_run, 0.0, advance.unconverged)
    brief: dict[str, Any] = {}
    outside = 0.0
    while advance.phase != "over":
        for _, name, d in advance.events:
            if name == "turn_started":
                brief = d
        inputs = []
        if advance.phase == "acting":
            seat = advance.seat
            assert seat is not None
            peek = look(simulation) if look is not None else None
            action = decide(brief, seat, skills[seat], peek, stream(seed, advance.turn, seat))
            course.looks += action.candidates
            inputs = [Input(seat, action.kind, advance.turn + 1, action.d)]
        advance = simulation.advance(inputs, 1 if check else 300)
        if check:
            paused = time.thread_time()
            course.checked += 1
            course.failed_checks += not simulation.check_contact().passed
            outside += time.thread_time() - paused
        course.ticks += advance.ticks_run
        course.unconverged += advance.unconverged
        _read(course, advance.events)
    assert advance.result is not None
    course.winner = advance.result.winner
    course.seconds = time.thread_time() - began - outside
    return course


def _read(course: Course, events: Iterable[tuple[int, str, dict[str, Any]]]) -> None:
    for _, name, d in events:
        if name == "turn_ended":
            course.turns += 1
            course.turn_seconds.append(d["ticks"] / 60)
            course.hits.append(sum(damage for seat, damage in enumerate(d["damage"]) if seat != d["seat"]))
            course.lead.append(d["health"])
        elif name == "blow":
            course.blows.append((d["bound"], d["impulse_credited_Ns"] / d["impulse_barrier_Ns"]))
        elif name == "out":
            course.outs.append(d["cause"])


def play_job(job: Job) -> Course:
    """``play`` for a pool of processes."""
    bodies, skills, seed, check = job
    planning = any(skill.startswith("planner") for skill in skills)
    return play(bodies, skills, seed, check=check, look=_looking if planning else None)


def _looking(simulation: Simulation) -> Look:
    seat = simulation.mode.actor(simulation.rules)
    assert seat is not None
    return lambda action: look(simulation, seat, action)
