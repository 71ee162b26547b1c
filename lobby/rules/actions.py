"""The legal actions of a seat, as data. The client draws its controls from them, a bot plans within them, and the
server checks messages against them.

A mode answers ``legal`` with an ActionSpec; the server checks every action against it before it is journaled,
so the simulation only gets actions of the right form. Rules that depend on the world, such as the owner of a body, are
checked by the mode. This module must never import numpy or a mode.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tussle.lobby.errors import Refused

__all__ = ["ActionField", "ActionKind", "ActionSpec", "check_action"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")


class ActionField(msgspec.Struct, frozen=True, omit_defaults=True):
    """One argument of an action.

    type: "number" (between ``low`` and ``high``, inclusive), "vector" (three numbers, each between them),
    "choice" (one of ``choices``) or "name" (an id of a body, handle, ...). unit: for people. default: taken
    when the field is absent; without one the field must be there.
    """

    type: Literal["number", "vector", "choice", "name"] = "number"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    default: float | str | None = None


class ActionKind(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kind of action with its arguments.

    note: one line for the person who chooses. latest: of the inputs of this kind that one seat sends for one tick, only
    the newest takes effect. cost: solver time that an input takes beside the tick [ms], about; each seat has a budget.
    """

    kind: str
    fields: dict[str, ActionField] = {}
    note: str = ""
    latest: bool = False
    cost: float = 0.0


class ActionSpec(msgspec.Struct, frozen=True):
    """All that one seat may do now."""

    seat: int
    kinds: tuple[ActionKind, ...]

    def kind(self, name: str) -> ActionKind | None:
        """The kind of that name, or None."""
        for kind in self.kinds:
            if kind.kind == name:
                return kind
        return None


def check_action(spec: ActionSpec, kind: str, d: Mapping[str, Any]) -> dict[str, Any]:
    """The action's arguments in canonical form: numbers as floats, vectors as lists, defaults filled in.

    Raises Refused with the offending ``field`` and a code: ``unknown_kind``, ``unknown_field``,
    ``missing_field``, ``bad_type`` or ``out_of_range``.
    """
    for allowed in spec.kinds:
        if allowed.kind == kind:
            break
    else:
        names = ", ".join(option.kind for option in spec.kinds) or "nothing"
        raise Refused(f"{kind!r} is not possible now; possible: {names}", code="unknown_kind", field="kind")
    fields = allowed.fields
    for name in d:
        if name not in fields:
            raise Refused(f"{kind} takes no {name!r}", code="unknown_field", field=str(name))
    checked: dict[str, Any] = {}
    for name, field in fields.items():
        value = d.get(name, field.default)
        low, high = field.low, field.high
        # The most common case, without a call.
        is_number = field.type == "number" and type(value) is float
        if is_number and low is not None and high is not None and low <= value <= high:
            checked[name] = value
            continue
        if value is None:
            raise Refused(f"{kind} needs {name!r}", code="missing_field", field=name)
        check = _check_number if field.type == "number" else _check_value
        checked[name] = check(name, field, value)
    return checked


def _check_value(name: str, field: ActionField, value: Any) -> Any:
    if field.type == "vector":
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            raise Refused(f"{name!r} must be three numbers", code="bad_type", field=name)
        return [_check_number(name, field, part) for part in value]
    if not isinstance(value, str):
        raise Refused(f"{name!r} must be a string", code="bad_type", field=name)
    if field.type == "choice" and value not in field.choices:
        raise Refused(f"{name!r} must be one of {', '.join(field.choices)}", code="out_of_range", field=name)
    if field.type == "name" and not _NAME.fullmatch(value):
        raise Refused(f"{name!r} is not a name", code="bad_type", field=name)
    return value


def _check_number(name: str, field: ActionField, value: Any) -> float:
    number = value if type(value) is float else _to_float(name, value)
    if not math.isfinite(number):
        raise Refused(f"{name!r} must be finite", code="out_of_range", field=name)
    low, high = field.low, field.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise Refused(
            f"{name!r} must lie between {field.low} and {field.high}", code="out_of_range", field=name
        )
    return number


def _to_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(f"{name!r} must be a number", code="bad_type", field=name)
    try:
        return float(value)
    except OverflowError:
        return math.inf
