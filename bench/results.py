"""The page of results of a benchmark that measures one thing: a table of names and values, and whether it is enough."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["report"]


def report(
    program: str, title: str, where: str, rows: Sequence[tuple[str, str]], verdict: str, *, save: bool
) -> None:
    """Print the page and, with ``save``, write it beside the program, whose ``__file__`` is ``program``."""
    folder = Path(program).parent
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    text = (
        f"# {title}\n\n`python -m bench.{folder.name}` on {where}\n\n| | |\n|---|---|\n{table}\n\n{verdict}\n"
    )
    sys.stdout.write(text)
    if save:
        (folder / "results.md").write_text(text)
