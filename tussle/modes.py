"""The public API for authors of modes: all that the rules of a session need.

    from tussle.modes import Mode, Seat, Scene, ModeEvent, Effect

docs/tutorial/your-first-mode.md writes a mode with it; tussle/mode_testing.py runs one without a server. This module
must never import a solver: bots and clients import it too.
"""

from __future__ import annotations

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec, check_action
from tussle.lobby.rules.scenes import Body, Handle, Material, Quaternion, Recipe, Scene, Vector, decode_scene
from tussle.lobby.rules.slots import Slots
from tussle.lobby.rules.turns import SKIPS_TO_LEAVE, TurnOrder
from tussle.server.modes.mode import (
    Action,
    CatalogueBody,
    Effect,
    Look,
    Mode,
    ModeEvent,
    Outcome,
    Phase,
    Result,
    Score,
    Seat,
    Standing,
    View,
    describe_seat,
    stream,
)
from tussle.server.modes.slot_mode import SlotMode
from tussle.server.modes.turn_mode import REST_TICKS, TurnMode, TurnParams, count_quiet, find_winner
from tussle.server.physics.world_state import Control, HandleTarget

__all__ = [
    "REST_TICKS",
    "SKIPS_TO_LEAVE",
    "Action",
    "ActionField",
    "ActionKind",
    "ActionSpec",
    "Body",
    "CatalogueBody",
    "Control",
    "Effect",
    "Handle",
    "HandleTarget",
    "Look",
    "Material",
    "Mode",
    "ModeEvent",
    "Outcome",
    "Phase",
    "Quaternion",
    "Recipe",
    "Refused",
    "Result",
    "Scene",
    "Score",
    "Seat",
    "SlotMode",
    "Slots",
    "Standing",
    "TurnMode",
    "TurnOrder",
    "TurnParams",
    "Vector",
    "View",
    "check_action",
    "count_quiet",
    "decode_scene",
    "describe_seat",
    "find_winner",
    "stream",
]
