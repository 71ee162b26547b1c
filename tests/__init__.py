"""The tests and the programs beside them compute with the CPU baseline, as Tussle does.

pytest loads this package as its first plugin (addopts in pyproject.toml), before another plugin imports numpy.
"""

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()
