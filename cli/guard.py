"""The last one standing: stops the children of a supervisor that died without stopping them (kill -9).

Run as a program of its own. It reads lines from its standard input, which only the supervisor holds open:
``+PID`` a process group began, ``_PID`` one that stops last, ``-PID`` it ended. At the end of the input the groups
that are left get SIGTERM, newest first and one after the other, and SIGKILL when their time is over. It must import
nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GRACE_S = 12.0


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib would double the start-up time
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return True


def end(group: int) -> None:
    """SIGTERM to the leader, so that it can stop its own children in order; then whatever is left of the
    group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while alive(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] in "+_":
            groups.insert(0 if line[0] == "_" else len(groups), group)
        elif group in groups:
            groups.remove(group)
    for group in reversed(groups):
        end(group)


if __name__ == "__main__":
    main()
