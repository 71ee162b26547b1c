"""A mode of your own: a duel in which every blow does three times the damage. A file for the setting MODES.

    MODES=examples/fragile_duel.py tussle up --bots 0
    MODES=examples/fragile_duel.py tussle bots --mode fragile --count 2 --matches 1

It keeps the rules of the duel. docs/tutorial/your-first-mode.md writes a mode from the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.mode import CatalogueBody, Seat


class FragileDuel(Duel):
    """A duel with a third of the toughness."""

    name: ClassVar[str] = "fragile"

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        super().__init__(params, seats, catalogue)
        self.toughness = tuple(toughness / 3.0 for toughness in self.toughness)


MODES = (FragileDuel,)
