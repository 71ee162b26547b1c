"""``python -m worker [all|cleanup|sweep|velocity|...]``: one worker against REDIS_URL, until SIGTERM or SIGINT.

The entry under way is finished, the consumer taken off its group, the exit code is 0. worker/processes.py knows how
each is made.
"""

from __future__ import annotations

import argparse
import sys

from tussle.lobby.settings import BadSetting, Settings
from tussle.worker.processes import PROCESSES, run_process

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after a signal, 2 for settings or a store that cannot be used."""
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
