"""The result of a session as the store keeps it, for views and for the worker that awards it.

This module must never contact the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tussle.lobby.runs import Member
from tussle.lobby.wire.numbers import as_sent
from tussle.server.modes.mode import Result
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import SessionSpec

__all__ = ["stored_result"]


def stored_result(spec: SessionSpec, members: Sequence[Member], result: Result) -> dict[str, Any]:
    """The mode's result, with ``players`` (seat -> player) and whether the mode is ``rated``. Keys are text."""
    document: dict[str, Any] = as_sent(msgspec.to_builtins(result, str_keys=True))
    document["players"] = {str(member.seat): member.player for member in members}
    document["rated"] = get_mode(spec.mode).rated
    return document
