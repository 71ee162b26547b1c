"""Runs a mode without a server: a whole session of bots, in this process.

    played = play_with_bots("putt", {"cobble": "sharp", "marl": "random"}, seed=7)

This module must never use a store, a socket or a clock: the same arguments give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()

from tussle.build_db import SHIPPED  # noqa: E402
from tussle.server.modes.mode import Seat, stream  # noqa: E402
from tussle.server.modes.registry import get_mode  # noqa: E402
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation  # noqa: E402

__all__ = ["Playthrough", "play_with_bots"]

TICKS_AT_ONCE = 600


@dataclass(frozen=True, slots=True)
class Playthrough:
    """A whole session.

    hashes: of the world and the state after each tick. events: (tick, type, payload). result: the payload of the last
    event. contact_holds: whether a check that is independent of the solver found no intersection after any advance.
    """

    hashes: list[bytes]
    events: list[tuple[int, str, dict[str, Any]]]
    result: dict[str, Any]
    contact_holds: bool


def play_with_bots(
    mode: str,
    players: Mapping[str, str] | list[tuple[str, str]],
    *,
    seed: int,
    params: Mapping[str, Any] | None = None,
) -> Playthrough:
    """Play a mode in turns to its end, and return the session.

    players: (body of the catalogue, skill of the bot) for each seat. The mode is one of the package or of the setting
    MODES. Raises Refused for an unknown mode or body, and for parameters or inputs that the mode refuses.
    """
    pairs = list(players.items()) if isinstance(players, Mapping) else players
    bodies = {body["id"]: body for body in json.loads(SHIPPED.read_text())["bodies"]}
    seats = tuple(
        Seat(seat, f"p{seat}", f"Bot {seat}", "bot", skill, body) for seat, (body, skill) in enumerate(pairs)
    )
    spec = SessionSpec(
        session="playthrough",
        mode=mode,
        seats=seats,
        catalogue={body: bodies[body] for body, _ in pairs if body in bodies},
        seed=seed,
        params=dict(params or {}),
    )
    simulation, advance = Simulation.start(spec)
    hashes, events, brief = list(advance.hashes), list(advance.events), dict[str, Any]()
    holds = simulation.check_contact().passed
    while advance.phase != "over":
        brief = next((d for _, type_, d in reversed(advance.events) if type_ == "turn_started"), brief)
        inputs = []
        if advance.phase == "acting" and advance.seat is not None:
            seat, turn = advance.seat, advance.turn
            action = get_mode(mode).bot(brief, seat, seats[seat].skill, None, stream(seed, turn, seat))
            inputs = [Input(seat, action.kind, turn + 1, action.d)]
        advance = simulation.advance(inputs, TICKS_AT_ONCE)
        hashes += advance.hashes
        events += advance.events
        holds = holds and simulation.check_contact().passed
    return Playthrough(hashes, events, events[-1][2], holds)
