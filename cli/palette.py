"""The look of the terminal: colours, shapes and initials of the players, and the format of numbers.

Every colour comes with a shape and an initial, so that no information is shown by colour alone. This module must never
import a session.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CONTACT",
    "FAINT",
    "LABEL",
    "MAT",
    "OK",
    "SIGNAL",
    "STATUS_MARKS",
    "Mark",
    "bar",
    "counted",
    "gap",
    "marks_of",
    "number",
    "short_names",
]

SIGNAL, CONTACT, OK = "#FFC94A", "#FF8168", "#56CF9F"
LABEL, FAINT, MAT = "#8FA39C", "#647A74", "#2F8C7A"

_COLOURS = (
    ("#F58220", "#12211D", "●"),
    ("#8ED6FF", "#12211D", "■"),
    ("#F6F1E4", "#12211D", "◆"),
    ("#A487FF", "#12211D", "⬟"),
    ("#C6DB4A", "#12211D", "⬢"),
    ("#34C2A0", "#12211D", "✚"),
    ("#D63A2B", "#FFFFFF", "▲"),
    ("#3B62E8", "#FFFFFF", "♣"),
)
"""Colour, colour of text on it, shape. Red and cobalt come last: they are the darkest."""

STATUS_MARKS = {
    "open": ("○", LABEL),
    "filled": ("◎", LABEL),
    "starting": ("◎", SIGNAL),
    "running": ("●", OK),
    "paused": ("■", SIGNAL),
    "ended": ("■", FAINT),
    "timed_out": ("■", FAINT),
    "failed": ("◆", CONTACT),
}
"""Shape as well as colour, per status."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One player's sign."""

    colour: str
    ink: str
    shape: str
    initial: str


def marks_of(names: Sequence[str]) -> list[Mark]:
    """The signs of the seats, in order. Where first letters are equal, the next letter is used."""
    marks: list[Mark] = []
    taken: set[str] = set()
    for seat, name in enumerate(names):
        letters = [letter.upper() for letter in name if letter.isalnum()] or ["?"]
        initial = next((letter for letter in letters if letter not in taken), str(seat % 10))
        taken.add(initial)
        colour, ink, shape = _COLOURS[seat % len(_COLOURS)]
        marks.append(Mark(colour, ink, shape, initial))
    return marks


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the suffix that makes guests unique, where the short names already differ."""
    bare = [name.partition("#")[0] for name in names]
    return [
        short if short and bare.count(short) == 1 else name for short, name in zip(bare, names, strict=True)
    ]


def number(value: float, digits: int = 0) -> str:
    """A number with a true minus and thin spaces between thousands."""
    return f"{value:,.{digits}f}".replace(",", "\u2009").replace("-", "−")


def counted(count: int, word: str) -> str:
    """A number with its noun, in the plural unless it is one: ``1 tick``, ``364 ticks``."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def gap(millimetres: float | None) -> str:
    """The smallest distance as text. It is never shown as 0, because it is always positive."""
    if millimetres is None or not math.isfinite(millimetres):
        return "no contact"
    if millimetres >= 0.1:
        return f"{millimetres:.2f} mm"
    return f"{millimetres * 1000:.3g} µm"


_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int) -> tuple[str, str]:
    """(full part, empty part) of a bar, to an eighth of a cell. A share above 0 fills at least an eighth."""
    share = min(1.0, max(0.0, share))
    eighths = round(share * width * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return text, "·" * (width - len(text))
