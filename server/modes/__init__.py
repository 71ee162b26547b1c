"""The modes by name: the rules that a session can have. Importing them loads numpy, never a solver."""

from __future__ import annotations

from lobby.errors import Refused
from server.modes.curling import Curling
from server.modes.duel import Duel
from server.modes.mode import Mode
from server.modes.sandbox import Sandbox
from server.modes.spring_damper import SpringDamper

__all__ = ["MODES", "get_mode"]

MODES: dict[str, type[Mode]] = {mode.name: mode for mode in (Duel, Curling, Sandbox, SpringDamper)}


def get_mode(name: str) -> type[Mode]:
    """The mode of that name. Raises Refused (unknown_mode)."""
    try:
        return MODES[name]
    except KeyError:
        raise Refused(f"no mode is called {name!r}", code="unknown_mode", field="mode") from None
