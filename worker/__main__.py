"""``python -m worker [all|cleanup|sweep|velocity|...]``: one worker against REDIS_URL, until SIGTERM or SIGINT.

On a signal the worker finishes its current entry, leaves its consumer group and exits with 0. worker/processes.py makes
each process; this module must never do more than read the arguments and the settings.
"""

from __future__ import annotations

import argparse
import sys

from tussle.lobby.environment import BadSetting
from tussle.lobby.settings import Settings
from tussle.worker.processes import PROCESSES, run_process

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one worker and return its exit code: 0 after a signal, 2 for settings or a store that cannot be used."""
    parser = argparse.ArgumentParser(prog="worker", description="Consume the streams of the store.")
    parser.add_argument("part", nargs="?", choices=list(PROCESSES), default="all")
    part = parser.parse_args(arguments).part
    try:
        settings = Settings.read()
    except BadSetting as error:
        sys.stderr.write(f"tussle: {error}\n")
        return 2
    return run_process(part, settings)


if __name__ == "__main__":
    sys.exit(main())
