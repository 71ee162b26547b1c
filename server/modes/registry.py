"""The modes by name: those of the package and those of the setting MODES. Importing this module must never load a
solver.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tussle.lobby.environment import read_variable
from tussle.lobby.errors import Refused
from tussle.server.modes.curling.curling import Curling
from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.mode import Mode
from tussle.server.modes.outside import find_sources, load_modes
from tussle.server.modes.sandbox.sandbox import Sandbox
from tussle.server.modes.spring_damper.spring_damper import SpringDamper

__all__ = ["all_modes", "get_mode", "outside_sources"]


@cache
def all_modes() -> dict[str, type[Mode]]:
    """Return every mode by its name. Raises BadSetting if a file of the setting MODES cannot be used."""
    built_in: dict[str, type[Mode]] = {mode.name: mode for mode in (Duel, Curling, Sandbox, SpringDamper)}
    return built_in | load_modes(read_variable("MODES"), built_in)


def get_mode(name: str) -> type[Mode]:
    """Return the mode of that name. Raises Refused (unknown_mode)."""
    try:
        return all_modes()[name]
    except KeyError:
        raise Refused(f"no mode is called {name!r}", code="unknown_mode", field="mode") from None


def outside_sources() -> list[Path]:
    """Return the files of the modes outside of the package. Raises BadSetting."""
    return find_sources(read_variable("MODES"))
