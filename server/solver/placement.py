"""Chooses the solver process of a session. Pure functions of measured values.

    light processes, one per core            sessions whose ticks are short: each is served within one short tick
    heavy processes, started when needed     sessions whose ticks are long; lower priority of the operating system

A light session never shares a process with a heavy one for longer than it takes to measure it, and a heavy process
gets only the CPU time that the light ones and the server leave. This module must never move a session itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Slot", "choose_better_slot", "choose_slot"]

STAY_S = 5.0
"""A session stays this long in a process before it may move on to one of the same kind [s]."""

BUSY = 0.7
"""Load of a light process above which its sessions may move to another one [CPU s per s]."""

GAIN = 0.2
"""The other process must then have less load by more than that of the session and this much."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A solver process. ``load``: CPU seconds per second of its sessions."""

    index: int
    heavy: bool
    running: bool
    load: float
    sessions: int


def choose_slot(slots: Sequence[Slot], *, heavy: bool) -> int:
    """The slot for a new world: a running one if there is one, and of these the one with the least load. A heavy
    session goes to a running heavy process if there is one."""
    kind = heavy and any(slot.heavy and slot.running for slot in slots)
    fitting = [slot for slot in slots if slot.heavy == kind]
    return min(fitting, key=lambda slot: (not slot.running, slot.load, slot.sessions, slot.index)).index


def choose_better_slot(
    slots: Sequence[Slot], here: int, *, heavy: bool, load: float, stayed_s: float
) -> int | None:
    """The running slot where a session of slot ``here`` should go, or None if it should stay.

    A heavy session that is alone on the server stays. Heavy processes are evened out by the number of their sessions,
    since each session may use all that it gets; light ones by load.
    """
    own = next(slot for slot in slots if slot.index == here)
    others = [slot for slot in slots if slot.heavy == heavy and slot.running and slot.index != here]
    if not others:
        return None
    if own.heavy and not heavy:
        # Its average may be low for a moment only; a session with long ticks must not return to a light process.
        return min(others, key=lambda slot: (slot.load, slot.index)).index if stayed_s >= STAY_S else None
    if heavy and not own.heavy:
        if sum(slot.sessions for slot in slots) < 2:
            return None
        return min(others, key=lambda slot: (slot.sessions, slot.load, slot.index)).index
    if stayed_s < STAY_S:
        return None
    if heavy:
        target = min(others, key=lambda slot: (slot.sessions, slot.load, slot.index))
        return target.index if own.sessions - target.sessions >= 2 else None
    target = min(others, key=lambda slot: (slot.load, slot.index))
    return target.index if own.load > BUSY and own.load - target.load > load + GAIN else None
