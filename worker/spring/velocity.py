"""``python -m worker velocity``: reads positions, writes velocities. One of the two solvers of the spring-damper."""

from __future__ import annotations

from tussle.lobby.rules.spring import Spring
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.spring.solvers import StreamSolver

__all__ = ["velocity_solver"]


def velocity_solver(store: Store, settings: Settings) -> StreamSolver:
    """The solver that turns a position into the next velocity, until the cycles are done."""
    spring = Spring.of(settings)
    return StreamSolver(
        store,
        settings,
        name="velocity",
        source=store.keys.positions,
        sink=store.keys.velocities,
        spring=spring,
        step=spring.step_velocity,
    )
