"""The metrics of the solver processes: queue, busy share, sessions, waits and moves.

server/solver/pool.py counts waits and moves here; the rest is read at a scrape. This module must never import the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CollectorRegistry, GaugeMetricFamily
from prometheus_client.registry import Collector

from tussle.server.metrics.meters import QuickCounter, QuickHistogram

__all__ = ["SolverMeters", "SolverReading"]

WAITS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class SolverReading:
    """One solver process. queue: calls that wait for it. busy: share of the last seconds in which it computed. kind:
    light or heavy. load: CPU seconds per second of its sessions."""

    index: int
    kind: str
    running: bool
    sessions: int
    queue: int
    busy: float
    load: float


class SolverMeters(Collector):
    """``read``: returns the readings of all processes; the server sets it."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self.read: Callable[[], Iterable[SolverReading]] = tuple
        self._waits = QuickHistogram(
            "tussle_solver_wait_seconds",
            "Call of a session until its solver process gets it [s]",
            buckets=WAITS,
            registry=registry,
        )
        self._moves = QuickCounter(
            "tussle_solver_moves", "Worlds moved to another solver process", "to", registry=registry
        )
        registry.register(self)

    def waited(self, seconds: float) -> None:
        self._waits.observe(seconds)

    def moved(self, *, heavy: bool) -> None:
        self._moves.inc(1.0, "heavy" if heavy else "light")

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ["solver", "kind"]
        texts = {
            "running": "Solver process runs (1) or not (0)",
            "sessions": "Sessions of a solver process",
            "queue": "Calls that wait for a solver process",
            "busy": "Share of the last seconds in which a solver process computed",
            "load": "CPU seconds per second of a solver process's sessions",
        }
        readings = list(self.read())
        for name, text in texts.items():
            family = GaugeMetricFamily(f"tussle_solver_{name}", text, labels=labels)
            for reading in readings:
                family.add_metric([str(reading.index), reading.kind], float(getattr(reading, name)))
            yield family
