"""The planning bot's look-ahead: the solver runs on a copy of the world, in the bot's process.

A planner gets what every player gets: the ``turn_started`` payload and the catalogue. From them it restores the exact
world, and simulates candidate actions until all bodies rest. It must never read the server's state.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tussle.lobby.errors import Refused, SolverFailed
from tussle.server.modes.mode import Action, Outcome, Seat
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation
from tussle.server.solver.packages import missing_packages

__all__ = ["Planner", "look", "missing_packages", "prepare"]

_LIMIT = 1000
"""Ticks after which a look-ahead stops; a turn of a duel has at most 240."""


class Planner:
    """Decides with the solver. Blocking: run it in a thread.

    The first decision of a session compiles its world (10 ms); the first of a process also loads the kernels (1 s),
    unless ``prepare`` has loaded them. A look simulates one turn (about 15 ms), and a decision takes twelve looks.
    """

    def __init__(self, mode: str, catalogue: Mapping[str, Mapping[str, Any]]) -> None:
        """``catalogue``: body id -> its entry, as GET /api/catalogue returns them."""
        self._mode = mode
        self._catalogue = catalogue
        self._bodies: tuple[str, ...] = ()
        self._world: Simulation | None = None

    def decide(self, brief: Mapping[str, Any], seat: int, skill: str, rng: np.random.Generator) -> Action:
        """The action that the mode's bot of that skill chooses with ``look``.

        Raises Refused if ``brief`` is not a brief of the mode, and KeyError for a body that is not in the catalogue.
        """
        bodies = tuple(brief["bodies"])
        if self._world is None or bodies != self._bodies:
            self._world = Simulation.recall(self._spec(bodies), brief)
            self._bodies = bodies
        world = self._world.recalled(brief)
        return get_mode(self._mode).bot(brief, seat, skill, lambda action: look(world, seat, action), rng)

    def _spec(self, bodies: tuple[str, ...]) -> SessionSpec:
        """A spec with what determines a turn; the names of the players do not matter."""
        return SessionSpec(
            session="look-ahead",
            mode=self._mode,
            seats=tuple(Seat(seat, f"p{seat}", "", "bot", "", body) for seat, body in enumerate(bodies)),
            catalogue={body: dict(self._catalogue[body]) for body in bodies},
            seed=0,
        )


def prepare(mode: str, catalogue: Mapping[str, Mapping[str, Any]], skill: str) -> None:
    """Load into this process what decisions of that skill need, by one decision in a world that no session has. Blocks
    for about a second; where the kernels are not compiled yet, until another process has compiled them.

    Raises Refused (no_solver) if they cannot be compiled.
    """
    from tussle.server.solver.kernels import warm_up

    try:
        warm_up()
    except SolverFailed as error:
        raise Refused(str(error), code="no_solver", field="skill") from error
    bodies = itertools.cycle(sorted(catalogue))
    planner = Planner(mode, catalogue)
    _, advance = Simulation.start(planner._spec(tuple(itertools.islice(bodies, get_mode(mode).seats[0]))))
    brief = next(d for _, name, d in advance.events if name == "turn_started")
    planner.decide(brief, brief["seat"], skill, np.random.default_rng(0))


def look(world: Simulation, seat: int, action: Action) -> Outcome:
    """The outcome of an action once all bodies rest. ``world`` is not changed."""
    branch = world.branch()
    advance = branch.advance([Input(seat, action.kind, 0, dict(action.d))], _LIMIT)
    scores = [advance.standing[index] for index in sorted(advance.standing)]
    return Outcome(
        health=[one.health for one in scores],
        alive=[not one.out for one in scores],
        positions=branch.view().positions[: len(scores)].tolist(),
    )
