"""Numbers of JSON messages: no more digits than they mean, and no integer that JavaScript cannot hold.

A float has nine significant digits, a nanometre in a metre or a millisecond in a week, and at most twelve decimals. A
seed has 63 bits and is a string; readers take an integer too, as older servers send it. This module must never change a
document that is hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["DIGITS", "as_sent", "events_as_sent", "read_seed"]

DIGITS, DECIMALS = 9, 12
WHOLE = 10.0**DIGITS

SEEDS = frozenset({"seed"})
"""Names of the fields that are seeds of a session."""


def as_sent(value: Any) -> Any:
    """``value``, of dicts, lists, tuples and plain values, as a message has it. NaN and infinity stay."""
    if isinstance(value, float):
        if value.is_integer() and -WHOLE < value < WHOLE:
            return float(value)  # all of its digits are kept
        return round(float(f"{value:.{DIGITS}g}"), DECIMALS)
    if type(value) is dict or isinstance(value, Mapping):
        return {
            name: str(part) if name in SEEDS and type(part) is int else as_sent(part)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_sent(part) for part in value]
    return value


def events_as_sent(
    events: Iterable[tuple[int, str, Mapping[str, Any]]],
) -> list[tuple[int, str, Mapping[str, Any]]]:
    """Events (tick, type, data) with the numbers of ``data`` as messages have them."""
    return [(tick, kind, as_sent(data)) for tick, kind, data in events]


def read_seed(value: Any) -> int:
    """A seed as the server sends it, a string, or as an older one sent it, an integer. Raises ValueError."""
    if not isinstance(value, str) and type(value) is not int:
        raise ValueError("a seed is a string of digits")
    seed = int(value)
    if not 0 <= seed < 1 << 63:
        raise ValueError("a seed has 63 bits")
    return seed
