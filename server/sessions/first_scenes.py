"""The scenes that modes begin with, for the editor: what the mode itself would set up, as a document.

This module must never load a solver, and never read the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Scene, decode_scene
from tussle.lobby.wire.numbers import read_seed
from tussle.server.modes.mode import CatalogueBody, Mode, Seat
from tussle.server.modes.registry import all_modes, get_mode
from tussle.server.modes.sandbox.scene import scene_body
from tussle.server.modes.sandbox.state import SOFT_BODIES, Placed
from tussle.server.simulation.simulation import SessionSpec

__all__ = ["FOREIGN", "ModeScenes"]

FOREIGN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What modes and geometry raise for parameters, or a specification, that a player wrote."""


class ModeScenes:
    """The first scenes of the modes of this server. ``bodies``: the catalogue's."""

    def __init__(self, bodies: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._bodies = bodies

    def editable(self, mode: str) -> bool:
        """Whether the scene of this mode can be edited while the lobby waits: the mode has ``editable_scene``."""
        return bool(getattr(all_modes().get(mode), "editable_scene", False))

    def check(self, mode: str, params: Mapping[str, Any], size: int, document: str = "") -> None:
        """Set the mode up with its parameters and ``size`` seats. Raises Refused for what the mode refuses; that is any
        scene, '' apart, if the mode has its own.

        A scene that can be edited is not built here: that takes long and needs the meshes, so a solver does it. Its
        document has been checked when it was read (``SceneStore.read``).
        """
        rules_of, catalogue = get_mode(mode), self._catalogue()
        body = next(iter(sorted(catalogue)), "")
        seats = [Seat(number, "", "", body=body) for number in range(size)]
        try:
            if document and not self.editable(mode):
                rules_of.authored(params, seats, catalogue, document)
            else:
                rules_of(params, seats, catalogue)
        except FOREIGN as error:
            raise Refused(f"not parameters of {mode}: {error}", code="bad_params", field="params") from None

    def make(self, mode: str, params: Mapping[str, Any]) -> Scene:
        """The scene that the mode sets up for its smallest number of seats, without handles: the run makes them. Raises
        Refused for wrong parameters."""
        rules_of, catalogue = get_mode(mode), self._catalogue()
        body = next(iter(sorted(catalogue)), "")
        seats = [Seat(number, "", "", body=body) for number in range(rules_of.seats[0])]
        return _set_up(rules_of(params, seats, catalogue), 0)

    def _catalogue(self) -> dict[str, CatalogueBody]:
        try:
            return msgspec.convert(self._bodies(), dict[str, CatalogueBody])
        except msgspec.ValidationError as error:
            raise Refused(f"not a catalogue: {error}", code="bad_catalogue", field="catalogue") from None

    def recorded(self, spec: Mapping[str, Any]) -> tuple[Scene, dict[str, Body]]:
        """The scene that a recorded session began with, and the bodies that its catalogue has, by their catalogue id.
        Raises Refused for a specification that this server cannot read."""
        if not spec.get("mode"):  # made by ``tussle simulate``
            return decode_scene(str(spec.get("scene", ""))), {}
        try:
            session = msgspec.convert({**spec, "seed": read_seed(spec["seed"])}, SessionSpec)
            catalogue = msgspec.convert(session.catalogue, dict[str, CatalogueBody])
        except (msgspec.ValidationError, KeyError, ValueError) as error:
            raise Refused(
                f"the session's specification cannot be read: {error}", code="bad_scene", field="like"
            ) from None
        known = {**catalogue, **SOFT_BODIES}
        bodies = {
            name: msgspec.structs.replace(scene_body(Placed(name, name, (0.0, 0.0, 0.0)), known), handles=())
            for name in known
        }
        if session.scene:
            return decode_scene(session.scene), bodies
        return _set_up(get_mode(session.mode)(session.params, session.seats, catalogue), session.seed), bodies


def _set_up(rules: Mode, seed: int) -> Scene:
    state, _ = rules.setup(seed)
    scene = rules.scene(state, seed)
    bodies = tuple(msgspec.structs.replace(body, handles=()) for body in scene.bodies)
    return msgspec.structs.replace(scene, bodies=bodies)
