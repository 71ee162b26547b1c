"""Notebooks of examples/: a program in the percent format, and the same cells as .ipynb without outputs.

python -m tests.support.notebooks       writes each .ipynb again
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

__all__ = ["NOTEBOOKS", "notebook"]

NOTEBOOKS = (ROOT / "examples" / "build_a_tower.py",)


def notebook(program: Path) -> str:
    """The text of the .ipynb of a program."""
    cells: list[dict[str, Any]] = []
    for mark, text in re.findall(
        r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", program.read_text(), re.S | re.M
    ):
        source = text.strip("\n")
        if mark:
            source = "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.splitlines())
        cell: dict[str, Any] = {"cell_type": "markdown" if mark else "code", "id": f"cell-{len(cells)}"}
        cell |= {"metadata": {}, "source": source.splitlines(keepends=True)}
        cells.append(cell if mark else {**cell, "execution_count": None, "outputs": []})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        path.with_suffix(".ipynb").write_text(notebook(path))
