"""Stops the children of a supervisor that was killed (kill -9) before it could stop them itself.

Runs as a separate program. It reads lines from standard input, whose other end only the supervisor holds:
``+PID`` a process group started, ``_PID`` a group that is stopped last, ``-PID`` a group ended. At end of file each
remaining group gets SIGTERM, newest first, one after the other, and SIGKILL after GRACE_S. It must import the
standard library only.
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
