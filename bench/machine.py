"""The machine and the processes that benchmarks measure, described and read one way in all of them (Linux)."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tussle.server.simulation.identity import origin

__all__ = ["cpu_s", "loaded_machine", "machine", "resident_bytes", "user_and_kernel_s"]


def machine() -> str:
    """Python, processor and cores of this machine."""
    model = origin()["cpu_model"] or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"Python {platform.python_version()}, {model}, {cores} cores"


def loaded_machine() -> str:
    """The machine with its present load average. Call it before the measurement."""
    return f"{machine()}, load before {os.getloadavg()[0]:.1f}"


def user_and_kernel_s(pid: int) -> tuple[float, float]:
    """User and system time of a process, all threads [s]."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(words[11]) / ticks, int(words[12]) / ticks


def cpu_s(*pids: int) -> float:
    """User and system time of processes, all threads [s]."""
    return sum(sum(user_and_kernel_s(pid)) for pid in pids)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process [B]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
