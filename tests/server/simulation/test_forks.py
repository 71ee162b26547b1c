"""A fork begins with the state of another session, bit for bit, and goes on by the same rules."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from tests.support.paths import BODIES
from tussle.lobby.errors import ProtocolError, Refused
from tussle.server.modes.curling.curling import Curling
from tussle.server.modes.mode import Seat
from tussle.server.simulation.simulation import Advance, Input, Origin, SessionSpec, Simulation

COURSES: dict[str, tuple[dict[str, Any], list[Input], int]] = {
    "duel": ({}, [Input(0, "launch", 1, {"azimuth": 90.0, "elevation": 10.0, "power": 0.5})], 20),
    "curling": ({"ends": 1, "stones": 1}, [Input(0, "launch", 1, {"azimuth": 1.0, "power": 0.7})], 20),
    "sandbox": ({"bodies": ["marl"]}, [Input(0, "gravity", 1, {"strength": 3.0}), Input(0, "mark", 2)], 20),
    "spring-damper": ({}, [Input(0, "trigger", 1, {"x": 0.5, "v": 0.0})], 20),
}
"""Mode -> parameters, the inputs of the first tick, and ticks after which it is forked."""


def spec_of(mode: str) -> SessionSpec:
    seats = tuple(Seat(seat, f"p{seat}", f"n{seat}", "person", "", "marl") for seat in range(2))
    return SessionSpec("parent", mode, seats, {"marl": BODIES["marl"]}, 7, COURSES[mode][0])


def fork_of(simulation: Simulation, tick: int) -> tuple[SessionSpec, bytes]:
    """The specification of a fork in which bots sit, and its first state."""
    state = simulation.release()
    origin = Origin("parent", tick, simulation.hash().hex(), hashlib.sha256(state).hexdigest())
    seats = tuple(
        msgspec.structs.replace(seat, player=f"q{seat.seat}", kind="bot") for seat in simulation.spec.seats
    )
    return msgspec.structs.replace(simulation.spec, session="child", seats=seats, fork=origin), state


def moved(mode: str) -> tuple[Simulation, Advance]:
    """A session in the middle of something."""
    _, inputs, ticks = COURSES[mode]
    simulation, _ = Simulation.start(spec_of(mode))
    return simulation, simulation.advance(inputs, ticks)


@pytest.mark.parametrize("mode", COURSES)
def test_a_fork_goes_on_like_its_parent(mode: str) -> None:
    """The first state has the same hash and the same tick; with the same inputs, so has every later one. The inputs of
    its clients count from the beginning."""
    parent, here = moved(mode)
    spec, state = fork_of(parent, here.tick)
    fork, first = Simulation.begin(spec, state)
    assert (fork.hash(), first.tick, first.ticks_run, first.hashes) == (parent.hash(), here.tick, 0, [])
    assert first.energies[:4] == pytest.approx(here.energies[:4], rel=1e-9, abs=1e-12)
    assert [kind for _, kind, _ in first.events] == ["set_up", "forked"]
    assert first.events[1][2]["parent_tick"] == here.tick
    then = Input(0, "leave", 3)
    assert fork.advance([then], 30).hashes == parent.advance([then], 30).hashes
    assert Simulation.restore(spec, fork.checkpoint()).hash() == parent.hash()


@pytest.mark.parametrize("mode", ["duel", "curling"])
def test_the_turn_that_waits_is_announced_again(mode: str) -> None:
    """The turn is as in the parent, with the time limit of the player who has the seat now."""
    parent, here = Simulation.start(spec_of(mode))
    spec, state = fork_of(parent, here.tick)
    _, first = Simulation.begin(spec, state)
    [was] = [d for _, kind, d in here.events if kind == "turn_started"]
    [now] = [d for _, kind, d in first.events if kind == "turn_started"]
    assert (now["deadline_s"], first.deadline_s) == (2.0, 2.0)
    assert {**now, "deadline_s": was["deadline_s"]} == was


def test_a_fork_takes_only_its_own_first_state() -> None:
    """Another state, a changed byte and no state are refused; so is a first state for a session of its own."""
    parent, here = moved("sandbox")
    spec, state = fork_of(parent, here.tick)
    changed = state[:-1] + bytes([state[-1] ^ 1])
    for wrong in (changed, moved("duel")[0].release(), b"", b"\xc1"):
        with pytest.raises(ProtocolError):
            Simulation.begin(spec, wrong)
    for call in (lambda: Simulation.start(spec), lambda: Simulation.begin(parent.spec, state)):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.reason == "bad_spec"


def test_a_mode_without_a_brief_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that waits could not be announced: refused with ``no_fork``. While the world moves it can be forked."""
    parent, here = Simulation.start(spec_of("curling"))
    spec, state = fork_of(parent, here.tick)
    monkeypatch.setattr(Curling, "brief", lambda self, state, view: None)
    with pytest.raises(Refused) as refused:
        Simulation.begin(spec, state)
    assert refused.value.reason == "no_fork"


def test_specifications_of_other_sessions_keep_their_bytes() -> None:
    """A session that is no fork is encoded as before there were forks, so that its checkpoints are too."""
    assert b"fork" not in msgspec.msgpack.encode(spec_of("duel"))
