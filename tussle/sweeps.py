"""``tussle.sweep`` and what belongs to it: server/sweeps, imported so that it computes the bits of a server.

Imported before numpy, it computes with the CPU baseline, as servers and ``tussle sweep`` do (same ``physics_id``).
"""

from __future__ import annotations

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()

from tussle.server.sweeps.sweeping import SweepResult, record_run, sweep  # noqa: E402

__all__ = ["SweepResult", "record_run", "sweep"]
