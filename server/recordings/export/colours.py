"""The colours of bodies in exported pictures and scenes: those of the web client."""

from __future__ import annotations

from tussle.server.recordings.frame_store import SegmentBody

__all__ = ["Colour", "colour_code", "colour_of", "linear"]

Colour = tuple[float, float, float]

SEATS = ("#F58220", "#8ED6FF", "#A487FF", "#F6F1E4", "#C6DB4A", "#34C2A0", "#D63A2B", "#3B62E8")
PROPS = ("#8FA39B", "#B9A88C", "#9FB0BC", "#C7C2B4")
GROUND = "#1B5A4E"


def colour_of(body: SegmentBody) -> Colour:
    """The colour of a body: its seat's, the ground's, or one of the props' by its id."""
    if body.seat is None and body.kind == "static":
        return linear(GROUND)
    return linear(colour_code(body.seat, body.id))


def colour_code(seat: int | None, body: str) -> str:
    """The sRGB colour of a body that can move, such as "#F58220": its seat's, or one of the props' by its id."""
    if seat is not None:
        return SEATS[seat % len(SEATS)]
    value = 0
    for letter in body:
        value = (value * 31 + ord(letter)) % 2**32
    return PROPS[value % len(PROPS)]


def linear(colour: str) -> Colour:
    """An sRGB colour such as "#F58220" as light intensities from 0 to 1 (IEC 61966-2-1)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return red, green, blue
