"""``python -m worker position``: reads velocities, writes positions. One of the two solvers of the spring-damper."""

from __future__ import annotations

from lobby.settings import Settings
from lobby.spring import Spring
from lobby.store import Store
from worker.stream_solver import StreamSolver

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
