"""Which ticks are recorded, as a function of specification and inputs alone, and what the solver reports of them.

    tick % stride == 0, or the world waits or is over after the tick; and the first state

The number of ticks in one advance, the frames that viewers get, and the speed of the machine must not change a
recording. Therefore an advance is run in stretches, each of which ends at a recorded tick or at the end of the advance.
This module must never know a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tussle.server.modes.mode import Phase, Standing
from tussle.server.simulation.simulation import Advance, Input

__all__ = ["Stretch", "advance_in_stretches", "is_recorded", "join_advances", "stride_of", "ticks_to_record"]

RECORD_HZ = 30.0
"""Recorded frames per simulated second while the world moves, about."""


def stride_of(dt: float) -> int:
    """Ticks from one recorded frame to the next while the world moves. dt: length of a tick [s]."""
    return max(1, round(1.0 / (dt * RECORD_HZ)))


def is_recorded(tick: int, phase: Phase, stride: int) -> bool:
    """Whether the state after a tick is recorded. phase: of the rules after it."""
    return tick % stride == 0 or phase != "moving"


def ticks_to_record(tick: int, stride: int) -> int:
    """Ticks from a state to the next one that is recorded in any case."""
    return stride - tick % stride


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """A part of an advance: from a recorded tick, or its beginning, to the next recorded tick, or its end.

    The fields are those of an Advance over these ticks alone.
    """

    tick: int
    ticks_run: int
    phase: Phase
    frame: bytes
    topology: bytes | None
    min_distance: float
    contacts: int
    iterations: int
    energy: float
    standing: dict[int, Standing]
    energies: tuple[float, ...]

    @classmethod
    def of(cls, advance: Advance) -> Stretch:
        return cls(
            advance.tick, advance.ticks_run, advance.phase, advance.frame, advance.topology, advance.min_distance,
            advance.contacts, advance.iterations, advance.energy, advance.standing, advance.energies,
        )  # fmt: skip


def advance_in_stretches(
    advance: Callable[[Sequence[Input], int], Advance],
    inputs: list[Input],
    ticks: int,
    tick: int,
    stride: int,
) -> tuple[Advance, list[Stretch]]:
    """Run up to ``ticks`` ticks from ``tick`` on, in stretches. Returns the whole advance, and the stretches if there
    are several. Raises what ``advance`` raises; a world that failed in a later stretch has run the earlier ones."""
    whole = advance(inputs, min(ticks, ticks_to_record(tick, stride)))
    stretches = [Stretch.of(whole)]
    while whole.ticks_run < ticks and whole.phase == "moving":
        then = advance([], min(ticks - whole.ticks_run, ticks_to_record(whole.tick, stride)))
        stretches.append(Stretch.of(then))
        whole = join_advances(whole, then)
    return whole, stretches if len(stretches) > 1 else []


def join_advances(first: Advance, then: Advance) -> Advance:
    """Two advances, one after the other, as one. The frame is that of the second; its contact numbers are those of the
    second too."""
    return msgspec.structs.replace(
        then,
        ticks_run=first.ticks_run + then.ticks_run,
        topology=first.topology if then.topology is None else then.topology,
        events=first.events + then.events,
        hashes=first.hashes + then.hashes,
        min_distance=min(first.min_distance, then.min_distance),
        contacts=max(first.contacts, then.contacts),
        iterations=first.iterations + then.iterations,
        unconverged=first.unconverged + then.unconverged,
    )
