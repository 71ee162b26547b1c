"""``python -m worker position``: reads velocities, writes positions. One of the two solvers of the spring-damper."""

from __future__ import annotations

from tussle.lobby.rules.spring import Spring
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.spring.solvers import StreamSolver

__all__ = ["position_solver"]


def position_solver(store: Store, settings: Settings) -> StreamSolver:
    """The solver that turns a velocity into the next position."""
    spring = Spring.of(settings)
    return StreamSolver(
        store,
        settings,
        name="position",
        source=store.keys.velocities,
        sink=store.keys.positions,
        spring=spring,
        step=spring.step_position,
    )
