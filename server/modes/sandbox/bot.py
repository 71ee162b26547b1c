"""The bot of the sandbox: it takes a free handle, drags the body over another body or anywhere, lets go, and begins
again.

It decides at each ``brief`` event, and it must never use what the payload does not contain. An action of kind "" does
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tussle.server.modes.mode import Action

__all__ = ["decide"]

_RELEASE = 0.25  # probability of letting go at a decision
_ABOVE = 0.25  # m, between a dragged body and the body below it


def decide(brief: Mapping[str, Any], seat: int, rng: np.random.Generator) -> Action:
    """Return a grab, a move or a release."""
    bodies = [body for body in brief["bodies"] if body["handles"]]  # nobody drags a rail
    mine = next((slot for slot in brief["slots"] if slot["seat"] == seat), None)
    if mine is None:
        taken = {(slot["body"], slot["handle"]) for slot in brief["slots"]}
        if seat in brief["queue"] or not bodies:
            return Action("")
        body = bodies[int(rng.integers(len(bodies)))]
        handle = "centre" if rng.random() < 0.5 else f"v{int(rng.integers(body['handles']))}"
        return (
            Action("")
            if (body["id"], handle) in taken
            else Action("grab", {"body": body["id"], "handle": handle})
        )
    if rng.random() < _RELEASE:
        return Action("release")
    others = [body for body in bodies if body["id"] != mine["body"]]
    held = next((body for body in bodies if body["id"] == mine["body"]), None)
    half = 0.8 * brief["box"]["side"] / 2
    if others and held is not None and rng.random() < 0.6:
        under = others[int(rng.integers(len(others)))]
        x, y, z = under["position"]
        y += under["radius"] + held["radius"] + _ABOVE
    else:
        x, z = rng.uniform(-half, half, 2)
        y = rng.uniform(0.3, 0.6 * brief["box"]["height"])
    low, high = -brief["box"]["side"] / 2, brief["box"]["side"] / 2
    top = brief["box"]["height"]
    target = [min(max(float(x), low), high), min(max(float(y), 0.0), top), min(max(float(z), low), high)]
    return Action("move", {"target": target})
