"""What a server tells its clients of its modes, so that a page can list them and ask for their parameters.

This module must never make a session.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import msgspec

from tussle.server.modes.mode import Mode
from tussle.server.modes.registry import all_modes

__all__ = ["ModeList", "OfferedMode", "offered_modes"]


class OfferedMode(msgspec.Struct, frozen=True):
    """A mode. seats: the fewest and the most. policy: ``turns``, or ``slots``, in which all act at once. builds:
    whether the members of a waiting lobby build the scene. rated: whether results change ratings. bots: whether bots
    play it. params: the JSON Schema of the parameters of a lobby; null if the mode tells nothing of them."""

    mode: str
    seats: tuple[int, int]
    policy: Literal["turns", "slots"]
    builds: bool
    rated: bool
    bots: bool
    params: dict[str, Any] | None


class ModeList(msgspec.Struct, frozen=True):
    """The modes that this server offers, those of the package first."""

    modes: tuple[OfferedMode, ...]


@cache
def offered_modes() -> ModeList:
    """Return every mode of this process."""
    return ModeList(
        tuple(
            OfferedMode(
                mode=name, seats=mode.seats, policy=mode.policy, builds=mode.editable_scene, rated=mode.rated,
                bots=mode.bot is not Mode.bot, params=_schema(mode.params_type) if mode.params_type else None,
            )
            for name, mode in all_modes().items()
        )
    )  # fmt: skip


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of an object, with the types that it refers to in ``$defs``."""
    whole = msgspec.json.schema(type_)
    parts = whole.pop("$defs")
    made: dict[str, Any] = parts.pop(whole["$ref"].removeprefix("#/$defs/"))
    if "description" in made:
        made["description"] = " ".join(made["description"].split()).replace("``", "`")
    return made | ({"$defs": parts} if parts else {})
