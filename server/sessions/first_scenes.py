"""The scenes that modes begin with, for the editor: what the mode itself would set up, as a document.

This module must never load a solver, and never read the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Scene
from tussle.server.modes.mode import CatalogueBody, Seat
from tussle.server.modes.registry import all_modes, get_mode

__all__ = ["ModeScenes"]


class ModeScenes:
    """The first scenes of the modes of this server. ``bodies``: the catalogue's."""

    def __init__(self, bodies: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._bodies = bodies

    def editable(self, mode: str) -> bool:
        """Whether the scene of this mode can be edited while the lobby waits: the mode has ``editable_scene``."""
        return bool(getattr(all_modes().get(mode), "editable_scene", False))

    def make(self, mode: str, params: Mapping[str, Any]) -> Scene:
        """The scene that the mode sets up, without handles: the run makes them. Raises Refused for wrong
        parameters."""
        try:
            catalogue = msgspec.convert(self._bodies(), dict[str, CatalogueBody])
        except msgspec.ValidationError as error:
            raise Refused(f"not a catalogue: {error}", code="bad_catalogue", field="catalogue") from None
        rules = get_mode(mode)(params, [Seat(0, "", "")], catalogue)
        state, _ = rules.setup(0)
        scene = rules.scene(state, 0)
        bodies = tuple(msgspec.structs.replace(body, handles=()) for body in scene.bodies)
        return msgspec.structs.replace(scene, bodies=bodies)
