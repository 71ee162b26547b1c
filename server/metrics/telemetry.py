"""The metrics of one server, exposed at /metrics. This module must never block or fail its callers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tussle.server.metrics.meters import QuickCounter, QuickGauge, QuickHistogram
from tussle.server.metrics.readings import Readings
from tussle.server.metrics.solver_meters import SolverMeters

__all__ = ["Telemetry"]

LATENCY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
STORE = (0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0)
DISTANCE = (1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 1e-2)


class Telemetry:
    """The metrics and their registry; each server has its own, so that one test process can run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.readings = Readings()
        r = self.registry
        self.connections = Gauge("tussle_connections", "Live WebSocket connections", registry=r)
        self.sessions = Gauge("tussle_sessions", "Sessions that this server runs", registry=r)
        self.started = Counter("tussle_sessions_started", "Sessions started", registry=r)
        self.finished = Counter("tussle_sessions_finished", "Sessions ended", ["event"], registry=r)
        self.messages = QuickCounter("tussle_messages", "Messages from clients", "type", registry=r)
        self.refusals = Counter("tussle_refusals", "Messages and requests refused", ["code"], registry=r)
        self.overspending = Counter(
            "tussle_budget_refusals",
            "Requests, messages and connections beyond a budget",
            ["resource", "owner"],
            registry=r,
        )
        self.store_used = Gauge("tussle_store_used_bytes", "Memory that the store uses [B]", registry=r)
        self.store_limit = Gauge(
            "tussle_store_limit_bytes", "Limit of the store's memory [B]; 0: none", registry=r
        )
        self.store_full = Gauge(
            "tussle_store_full", "1 while new work is refused because the store is almost full", registry=r
        )
        self.closes = Counter("tussle_closes", "Connections closed by the server", ["code"], registry=r)
        self.frames_sent = QuickCounter("tussle_frames_sent", "Frames sent, summed over viewers", registry=r)
        self.frames_skipped = QuickCounter(
            "tussle_frames_skipped", "Frames skipped for slow viewers", registry=r
        )
        self.frame_bytes = QuickGauge("tussle_frame_bytes", "Size of the newest frame [B]", registry=r)
        self.frame_bytes_sent = QuickCounter(
            "tussle_frame_bytes_sent", "Bytes of frames sent, summed over viewers", registry=r
        )
        self.ticks = Counter("tussle_ticks", "Ticks simulated", registry=r)
        self.unconverged = Counter(
            "tussle_ticks_unconverged", "Ticks that ended at the iteration limit", registry=r
        )
        self.tick_seconds = QuickHistogram(
            "tussle_tick_seconds", "Solver time per tick [s]", buckets=LATENCY, registry=r
        )
        self.min_distance = QuickHistogram(
            "tussle_min_distance_metres", "Smallest distance per advance [m]", buckets=DISTANCE, registry=r
        )
        self.contact_checks = Counter(
            "tussle_proofs", "Contact checks of checkpoints by ipctk", ["holds"], registry=r
        )
        self.input_seconds = QuickHistogram(
            "tussle_input_to_frame_seconds",
            "Input admitted to its first frame [s]",
            buckets=LATENCY,
            registry=r,
        )
        self.journal_seconds = QuickHistogram(
            "tussle_journal_seconds", "Journal call [s]", buckets=STORE, registry=r
        )
        self.checkpoint_seconds = QuickHistogram(
            "tussle_checkpoint_seconds",
            "Checkpoint with contact check, archive and store call [s]",
            buckets=STORE,
            registry=r,
        )
        self.recoveries = Counter(
            "tussle_recoveries", "Sessions restored after a failure", ["exact"], registry=r
        )
        self.recovery_seconds = Histogram(
            "tussle_recovery_seconds",
            "Time that nobody held a recovered session [s]",
            buckets=LATENCY,
            registry=r,
        )
        self.forks = Counter("tussle_forks", "Lobbies opened as forks of a session", ["exact"], registry=r)
        self.recordings_stopped = Counter(
            "tussle_recordings_stopped",
            "Recordings that stopped before their session",
            ["reason"],
            registry=r,
        )
        self.dilation = QuickGauge(
            "tussle_dilation", "Wall time per simulated time while moving; 1 is real time", registry=r
        )
        self.dilated = QuickGauge(
            "tussle_sessions_dilated",
            "Sessions that run slower than real time and whose members were notified",
            registry=r,
        )
        self.solvers = SolverMeters(registry=r)
        self.lease_age = Gauge("tussle_lease_age_seconds", "Age of the last lease renewal [s]", registry=r)

    def frames(self, *, sent: int, skipped: int, size: int) -> None:
        """Count one broadcast frame of ``size`` bytes: sent to some viewers, skipped for the slow ones."""
        self.frames_sent.inc(sent)
        self.frame_bytes.value = size
        self.frame_bytes_sent.inc(sent * size)
        if skipped:
            self.frames_skipped.inc(skipped)

    def count_overspending(self, resource: str, owner: str) -> None:
        """Count one refusal of the ledger (server/costs.py)."""
        self.overspending.labels(resource=resource, owner=owner).inc()

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
