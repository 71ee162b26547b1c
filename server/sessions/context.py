"""The services that every run of a server uses. It must never have state of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tussle.lobby.claims import Claims
from tussle.lobby.forks import Forks
from tussle.lobby.runs import Runs
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.settings import Settings
from tussle.server.archive.archive import Archive
from tussle.server.costs import Ledger
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.recordings import Recordings
from tussle.server.sessions.lease import Lease

__all__ = ["SessionContext"]


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The services that every run of a server uses."""

    settings: Settings
    runs: Runs
    forks: Forks
    claims: Claims
    lease: Lease
    telemetry: Telemetry
    archive: Archive
    recordings: Recordings
    ledger: Ledger
    scenes: SceneStore
