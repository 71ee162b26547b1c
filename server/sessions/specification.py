"""The specification of a session's world, from its fence, its members and the catalogue.

It is made once, when the session starts, and stored: everything else is computed from it. This module must never
contact the store.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tussle.lobby.errors import SolverFailed
from tussle.lobby.forks import FirstState
from tussle.lobby.runs import Fence, Member
from tussle.lobby.settings import Settings
from tussle.server.modes.mode import Seat
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import SessionSpec

__all__ = ["fork_joins", "make_fork_spec", "make_spec"]


def make_spec(
    fence: Fence,
    members: Sequence[Member],
    catalogue: dict[str, dict[str, Any]],
    settings: Settings,
    scene: str = "",
) -> SessionSpec:
    """The specification of a session's world, with a random seed. scene: the document that its members made, '' if the
    mode sets up its own. Raises Refused for an unknown mode."""
    return SessionSpec(
        session=fence.session,
        mode=fence.mode,
        seats=tuple(
            Seat(seat=m.seat, player=m.player, name=m.name, kind=m.kind, skill=m.skill, body=m.body)
            for m in members
        ),
        catalogue=_needed(fence.mode, members, catalogue),
        seed=secrets.randbits(63),
        params={
            **_defaults(fence, members),
            "turn_s": settings.turn_s,
            "bot_turn_s": settings.bot_turn_s,
            **fence.params,
        },
        frame_precision="half" if settings.frame_precision == "half" else "single",
        scene=scene or msgspec.UNSET,
    )


def _defaults(fence: Fence, members: Sequence[Member]) -> Mapping[str, Any]:
    """The parameters of people who play each other, if the host chose none."""
    people = len(members) > 1 and all(member.kind == "person" for member in members)
    return getattr(get_mode(fence.mode), "people_params", {}) if people and not fence.params else {}


def make_fork_spec(fence: Fence, members: Sequence[Member], first: FirstState) -> SessionSpec:
    """The specification of a fork's world: its parent's, with the fork's members in the seats. Every holder makes the
    same one. Raises SolverFailed if the stored one cannot be read."""
    try:
        spec = msgspec.json.decode(first.spec, type=SessionSpec)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SolverFailed(f"the fork's specification cannot be read: {error}") from None
    bodies = {seat.seat: seat.body for seat in spec.seats}
    seats = tuple(
        Seat(seat=m.seat, player=m.player, name=m.name, kind=m.kind, skill=m.skill, body=bodies[m.seat])
        for m in members
    )
    return msgspec.structs.replace(spec, session=fence.session, seats=seats)


def fork_joins(spec: SessionSpec) -> bool:
    """Whether members of a session join at seats that others had left: in a fork of a mode in slots."""
    return spec.fork is not msgspec.UNSET and get_mode(spec.mode).policy == "slots"


def _needed(
    mode: str, members: Sequence[Member], catalogue: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The catalogue entries that a session needs: the chosen bodies in a mode with turns, all bodies with slots."""
    if get_mode(mode).policy == "slots":
        return dict(catalogue)
    return {member.body: catalogue[member.body] for member in members if member.body in catalogue}
