"""A plugin of pytest that is loaded before others (addopts in pyproject.toml), and thus before numpy is imported.

The tests then compute with the CPU baseline, as the programs do.
"""

from tussle.lobby.cpu_baseline import use_baseline

__all__: list[str] = []

use_baseline()
