"""Numbers of JSON messages: no more digits than they mean, and no integer that JavaScript cannot hold.

A float has nine significant digits, a nanometre in a metre or a millisecond in a week, and at most twelve decimals. A
seed has 63 bits and is a string; readers take an integer too, as older servers send it. This module must never change a
document that is hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

__all__ = ["DIGITS", "as_sent", "events_as_sent", "read_seed"]

DIGITS, DECIMALS = 9, 12
WHOLE = 10.0**DIGITS

_PLAIN = frozenset({str, int, bool, type(None)})
_KNOWN = _PLAIN | {dict, list, tuple}
"""Types that need no test for abstract ones, which takes ten times as long."""

SEEDS = frozenset({"seed"})
"""Names of the fields that are seeds of a session."""


def as_sent(value: Any, digits: int = DIGITS, decimals: int = DECIMALS) -> Any:
    """``value``, of dicts, lists, tuples and plain values, as a message has it. NaN and infinity stay.

    digits, decimals: a float that is not whole is rounded to so many significant digits and at most so many decimals.
    """
    return _conversion(digits, decimals)(value)


@cache
def _conversion(digits: int, decimals: int) -> Callable[[Any], Any]:
    """The conversion with these numbers of digits. It is called for every number of every event."""
    shown = f"{{:.{digits}g}}".format
    short = 10.0 ** (digits - decimals)
    """From here on no more than ``decimals`` decimals are left when there are ``digits`` digits."""

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind is float or (kind not in _KNOWN and isinstance(value, float)):
            if value.is_integer() and -WHOLE < value < WHOLE:
                return float(value)  # all of its digits are kept
            rounded = float(shown(value))
            return round(rounded, decimals) if -short < rounded < short else rounded
        if kind in _PLAIN:
            return value
        if kind is dict or (kind is not list and isinstance(value, Mapping)):
            return {
                name: part
                if (of := type(part)) is str or of is bool
                else str(part)
                if of is int and name in SEEDS
                else convert(part)
                for name, part in value.items()
            }
        if kind is list or isinstance(value, list | tuple):
            return [convert(part) for part in value]
        return value

    return convert


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
