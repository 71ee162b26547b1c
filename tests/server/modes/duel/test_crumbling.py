"""The rim of the mat cracks, is announced, and falls, and a body on it falls with it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.server.modes.duel.test_bouts import Match, spec
from tussle.lobby.rules.scenes import Quaternion
from tussle.server.modes.duel.mat import RIM_APOTHEM, distance_to_rim
from tussle.server.modes.duel.state import LIMIT_S, OUT_BELOW_Y
from tussle.server.modes.mode import Effect
from tussle.server.simulation.simulation import Input, Simulation


def brace_until(match: Match, name: str, count: int = 1) -> None:
    """Brace in every turn until so many events of that type have come, or it is over."""
    while len(match.of(name)) < count and match.advance.phase != "over":
        match.act("brace")


def facing(angle: float) -> Quaternion:
    """The turn about y that takes the x axis to this angle."""
    return math.cos(angle / 2.0), 0.0, -math.sin(angle / 2.0), 0.0


def stand(match: Match, seat: int, side: int, away: float) -> None:
    """Put a body on a side of the mat, at rest, that far from the centre."""
    simulation = match.simulation
    angle, height = side * math.pi / 4, float(simulation.view().positions[seat, 1])
    place = (away * math.cos(angle), height, away * math.sin(angle))
    simulation._world = simulation._world.affected(
        Effect(place={seat: (place, (1.0, 0.0, 0.0, 0.0))}, halt=True)
    )


def test_sides_crack_a_round_before_they_fall() -> None:
    """The brief of every turn says what has fallen and what falls next; the mat is static and whole until then."""
    match = Match(spec(falls_from=3, rounds=9))
    brace_until(match, "rim_fell")
    [cracked] = [d for d in match.of("rim_cracked") if d["round"] == 2]
    [fell] = match.of("rim_fell")
    assert (cracked["falls"], cracked["round"]) == (3, 2)
    assert fell["sides"] == cracked["sides"]
    briefs = {(d["round"], d["seat"]): d for d in match.of("turn_started")}
    assert briefs[1, 0]["cracked"] == briefs[1, 0]["fallen"] == []
    assert briefs[2, 0]["cracked"] == briefs[2, 1]["cracked"] == cracked["sides"]
    assert briefs[3, 0]["fallen"] == cracked["sides"]
    assert [briefs[3, 0]["sides"][side] for side in cracked["sides"]] == [RIM_APOTHEM] * 2
    assert briefs[3, 0]["cracked"] and not set(briefs[3, 0]["cracked"]) & set(cracked["sides"])
    assert match.simulation.check_contact().passed


def test_all_sides_fall_and_the_match_goes_on() -> None:
    """After four falls the mat is a smaller octagon. Nothing cracks any more, and no body of a slab is left."""
    match = Match(spec(falls_from=3, rounds=9))
    while match.advance.phase != "over":
        match.act("brace")
        assert match.simulation.check_contact().passed
    assert sorted(side for d in match.of("rim_fell") for side in d["sides"]) == list(range(8))
    assert len(match.of("rim_cracked")) == 4
    assert match.of("turn_started")[-1]["sides"] == [RIM_APOTHEM] * 8
    assert match.simulation.view().active.tolist() == [True, True, False, False]
    assert match.of("result")[0]["rounds"] == 9


@pytest.mark.parametrize("seats", [2, 3])
def test_a_seat_may_leave_while_a_side_falls(seats: int) -> None:
    """Also the one whose turn is next. Of two, the other wins."""
    match = Match(spec(seats, falls_from=3, rounds=9))
    while not match.of("rim_fell"):
        seat = match.advance.seat
        assert seat is not None
        match.take(match.simulation.advance([Input(seat, "brace", match.advance.turn + 1)], 1))
        while match.advance.phase == "moving" and not match.of("rim_fell"):
            match.take(match.simulation.advance([], 1))
    assert match.advance.phase == "moving"
    match.say(0, "leave")
    assert match.of("out")[-1]["cause"] == "forfeit"
    if seats == 2:
        assert match.of("result")[0]["winner"] == 1
    else:
        last = match.of("turn_started")[-1]
        assert (last["seat"], last["alive"], last["round"]) == (1, [False, True, True], 3)


def test_a_body_on_a_side_falls_with_it() -> None:
    """It is out by nobody's doing, in the last place, before anyone acts; the match is decided."""
    match = Match(spec(falls_from=3, rounds=9))
    brace_until(match, "rim_cracked")
    [cracked] = match.of("rim_cracked")
    match.act("brace")
    stand(match, 0, cracked["sides"][0], 1.5)
    match.act("brace")
    [out] = match.of("out")
    assert (out["seat"], out["cause"], out["by"], out["place"]) == (0, "fallen", None, 2)
    assert out["position"][1] < OUT_BELOW_Y
    [result] = match.of("result")
    assert (result["winner"], result["cause"]) == (1, "last_standing")
    assert match.simulation.check_contact().passed


def test_a_body_beside_the_rim_is_not_inside_of_a_slab() -> None:
    """The time limit ends the turn while a body falls: it is under the top of the mat, close to its side, which leans
    inwards. No state has an intersection."""
    match = Match(spec(falls_from=3, rounds=9))
    brace_until(match, "rim_cracked")
    match.act("brace")
    simulation, seat = match.simulation, match.advance.seat
    assert seat is not None
    match.take(simulation.advance([Input(seat, "brace", 99)], 1))
    angle = match.of("rim_cracked")[0]["sides"][0] * math.pi / 4
    pose = (1.77 * math.cos(angle), -0.3, 1.77 * math.sin(angle)), facing(angle)
    simulation._world = simulation._world.affected(Effect(place={0: pose}, halt=True))
    assert simulation.check_contact().passed
    ticks = round(LIMIT_S / simulation.view().dt) - 1
    turn = msgspec.structs.replace(simulation.rules.turn, ticks=ticks)
    simulation.rules = msgspec.structs.replace(simulation.rules, turn=turn)
    match.take(simulation.advance([], 1))
    assert len(match.of("rim_fell")) == 1
    while match.advance.phase == "moving":
        assert simulation.check_contact().passed
        match.take(simulation.advance([], 5))
    assert [d["seat"] for d in match.of("out")] == [0]


def test_the_next_living_seat_acts_when_the_first_one_falls() -> None:
    """In a match of three the round begins with the second seat, and no turn is lost or counted twice."""
    match = Match(spec(seats=3, falls_from=3, rounds=9))
    brace_until(match, "rim_cracked")
    [cracked] = match.of("rim_cracked")
    match.act("brace")
    match.act("brace")
    stand(match, 0, cracked["sides"][1], 1.5)
    before = match.of("turn_started")[-1]
    match.act("brace")
    assert [d["seat"] for d in match.of("out")] == [0]
    turn = match.of("turn_started")[-1]
    assert (turn["seat"], turn["round"], turn["turn"]) == (1, 3, before["turn"] + 1)
    assert turn["alive"] == [False, True, True]


def test_a_bout_begins_on_a_whole_mat() -> None:
    """In a match of several bouts the mat of the next one has every side again."""
    match = Match(spec(rounds_to_win=2, falls_from=3, rounds=3))
    brace_until(match, "bout_started")
    assert match.of("rim_fell")
    turn = match.of("turn_started")[-1]
    assert turn["bout"] == 2
    assert turn["fallen"] == turn["cracked"] == []
    assert len(match.simulation.view().ids) == 2
    assert match.simulation.check_contact().passed
    brace_until(match, "rim_fell", 2)
    assert len(match.of("rim_fell")) == 2


@pytest.mark.parametrize("falling", [False, True])
def test_a_checkpoint_has_what_has_fallen(falling: bool) -> None:
    """A world that is restored goes on with the same hashes: between two falls, and while sides fall."""
    match = Match(spec(falls_from=3, rounds=6))
    brace_until(match, "rim_fell")
    if falling:
        match.act("brace")
        match.take(match.simulation.advance([Input(match.advance.seat, "brace", match.advance.turn + 1)], 20))
        assert match.advance.phase == "moving"
        assert len(match.of("rim_fell")) == 2
        match.take(match.simulation.advance([], 10))
    again = Simulation.restore(match.simulation.spec, match.simulation.checkpoint())
    assert again.hash() == match.simulation.hash()
    shot = {"azimuth": 20.0, "elevation": 20.0, "power": 0.5}
    inputs = [] if falling else [Input(match.advance.seat, "launch", 99, shot)]
    first, second = match.simulation.advance(inputs, 300), again.advance(inputs, 300)
    assert first.hashes == second.hashes
    assert len(first.hashes) > 10


def test_a_look_ahead_knows_the_mat() -> None:
    """A planner restores the world from the brief alone: the same turn on the same mat, also over a fall."""
    match = Match(spec(falls_from=3, rounds=9))
    brace_until(match, "rim_fell")
    match.act("brace")
    brief: dict[str, Any] = match.of("turn_started")[-1]
    seen = Simulation.recall(match.simulation.spec, brief)
    shot = [Input(brief["seat"], "launch", 7, {"azimuth": 90.0, "elevation": 10.0, "power": 0.2})]
    real, foreseen = match.simulation.advance(shot, 400), seen.advance(shot, 400)
    assert [name for _, name, _ in foreseen.events] == [name for _, name, _ in real.events]
    assert "rim_fell" in [name for _, name, _ in foreseen.events]
    assert np.allclose(seen.view().positions[:2], match.simulation.view().positions[:2])


def test_the_distance_to_the_rim_is_to_what_is_left() -> None:
    """Over a fallen side it is negative."""
    centre = np.array([[1.4, 0.2, 0.0]])
    assert distance_to_rim(centre, ())[0] > 0.2
    assert distance_to_rim(centre, (0, 4))[0] == pytest.approx(RIM_APOTHEM - 1.4)
