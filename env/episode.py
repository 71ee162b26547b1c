"""One episode: the simulation of a session, without a server.

    Episode.start(spec) -> settled world -> act(inputs) -> events, hashes, brief -> ... -> over

The inputs and the hash of every tick are kept, so that an episode can be compared with a live session and with an
archive. A world that has settled is kept for the next episode of the same specification: the simulation is immutable
below its methods, so a copy costs nothing. This module must never know a space or a reward.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tussle.lobby.settings import Settings
from tussle.lobby.wire.frames import Frame, Topology, decode_frame, decode_topology
from tussle.server.modes.mode import Seat, View
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

__all__ = ["Episode", "bodies_of_catalogue", "make_spec"]

KEPT = 256
"""How many settled worlds are kept. A world of two bodies takes about 100 kB."""

Event = tuple[int, str, dict[str, Any]]

_settled: OrderedDict[tuple[bytes, int], tuple[Simulation, Advance]] = OrderedDict()


@cache
def bodies_of_catalogue() -> Mapping[str, dict[str, Any]]:
    """The bodies of the catalogue that a server of these settings is seeded with, by id."""
    chosen = Path(Settings.read().catalogue or Path(__file__).resolve().parent.parent / "catalogue")
    path = chosen / "catalogue.json" if chosen.is_dir() else chosen
    return {body["id"]: body for body in json.loads(path.read_text())["bodies"]}


def make_spec(
    mode: str, bodies: Sequence[str], seed: int, params: Mapping[str, Any], *, also: Iterable[str] = ()
) -> SessionSpec:
    """The specification of an episode: one seat for each body ("" for a mode without own bodies). also: further bodies
    of the catalogue that the mode uses."""
    catalogue = bodies_of_catalogue()
    used = sorted(({*bodies} | {*also}) & {*catalogue})
    return SessionSpec(
        session="episode",
        mode=mode,
        seats=tuple(
            Seat(number, f"seat_{number}", f"seat_{number}", "bot", "", body)
            for number, body in enumerate(bodies)
        ),
        catalogue={body: catalogue[body] for body in used},
        seed=seed,
        params=dict(params),
    )


class Episode:
    """The world of one episode and what happened in it.

    brief: the newest public payload of the mode (``turn_started`` or ``brief``), from which bots decide. inputs: (tick
    after which they were given, input), all of the episode. hashes: one of each tick.
    """

    def __init__(self, simulation: Simulation, advance: Advance) -> None:
        self.spec = simulation.spec
        self.simulation = simulation
        self.advance = advance
        self.inputs: list[tuple[int, Input]] = []
        self.hashes: list[bytes] = list(advance.hashes)
        self.brief: dict[str, Any] = {}
        self._ids = [0] * simulation.mode.seat_count
        self._read(advance.events)

    @classmethod
    def start(cls, spec: SessionSpec, *, settle_ticks: int = 0) -> Episode:
        """The episode at its first decision: for a mode in turns, when all bodies rest; else after ``settle_ticks``.
        The second start of a specification takes the settled world of the first. Raises Refused."""
        key = msgspec.msgpack.encode(spec, order="deterministic"), settle_ticks
        kept = _settled.get(key)
        if kept is None:
            simulation, advance = Simulation.start(spec)
            if settle_ticks:
                later = simulation.advance([], settle_ticks)
                advance = msgspec.structs.replace(
                    later, events=advance.events + later.events, hashes=advance.hashes + later.hashes
                )
            kept = _settled[key] = simulation, advance
            if len(_settled) > KEPT:
                _settled.popitem(last=False)
        _settled.move_to_end(key)
        simulation, advance = kept
        return cls(simulation.branch(), advance)

    @property
    def over(self) -> bool:
        """Whether the session has its result."""
        return self.advance.phase == "over"

    def act(self, acts: Sequence[tuple[int, str, Mapping[str, Any]]], ticks: int) -> list[Event]:
        """Give inputs (seat, kind, arguments) and run up to ``ticks`` ticks, as a session does. Returns the events.
        Raises Refused in a mode in turns, where one input is given at a time; then nothing has changed."""
        inputs = [
            Input(seat, kind, self._ids[seat] + place, dict(d))
            for place, (seat, kind, d) in enumerate(acts, 1)
        ]
        tick = self.advance.tick
        self.advance = self.simulation.advance(inputs, ticks)
        for given in inputs:
            self._ids[given.seat] = given.id
        self.inputs += [(tick, given) for given in inputs]
        self.hashes += self.advance.hashes
        self._read(self.advance.events)
        return self.advance.events

    def view(self) -> View:
        """The world between two ticks."""
        return self.simulation.view()

    def public_brief(self) -> dict[str, Any]:
        """A copy of the newest brief, as a bot on a server receives it."""
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.brief))
        return copied

    def picture(self) -> tuple[Topology, Frame]:
        """What a viewer gets of the present state."""
        now = self.simulation.look()
        assert now.topology is not None
        return decode_topology(now.topology), decode_frame(now.frame)

    def _read(self, events: Sequence[Event]) -> None:
        for _, name, d in events:
            if name in ("turn_started", "brief"):
                self.brief = d
