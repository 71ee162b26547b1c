"""A duel of several bouts: who wins it, where bodies stand again, who acts first, who has left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.balance.duels import CATALOGUE
from tussle.lobby.runs import Fence, Member
from tussle.lobby.settings import Settings
from tussle.server.modes.duel.duel import Duel
from tussle.server.modes.duel.state import OUT_BELOW_Y
from tussle.server.modes.mode import CatalogueBody, Seat, convert_params
from tussle.server.sessions.specification import make_spec
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

BODIES = ("cobble", "marl", "halo")


def spec(seats: int = 2, **params: Any) -> SessionSpec:
    people = tuple(Seat(seat, f"p{seat}", f"n{seat}", "person", "", BODIES[seat]) for seat in range(seats))
    return SessionSpec("bouts", "duel", people, {body: CATALOGUE[body] for body in BODIES}, 7, params=params)


class Match:
    """A match in a simulation: every event, and the seat that acts now."""

    def __init__(self, spec: SessionSpec) -> None:
        self.simulation, advance = Simulation.start(spec)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.take(advance)
        self.rest()

    def take(self, advance: Any) -> None:
        self.advance = advance
        self.events += [(name, d) for _, name, d in advance.events]

    def rest(self) -> None:
        """Until a seat acts, or it is over."""
        while self.advance.phase == "moving":
            self.take(self.simulation.advance([], 300))

    def act(self, kind: str, **d: float) -> None:
        self.say(self.advance.seat, kind, **d)

    def say(self, seat: int, kind: str, **d: float) -> None:
        self.take(self.simulation.advance([Input(seat, kind, self.advance.turn + 1, dict(d))], 300))
        self.rest()

    def of(self, name: str) -> list[dict[str, Any]]:
        return [d for kind, d in self.events if kind == name]


def test_a_match_is_won_by_bouts() -> None:
    """Best of three: the seat that wins two bouts wins. In each bout every body is whole, on the mat, at rest and at
    another place; the opening turn is slow again, another seat acts first, and turns are counted on."""
    match = Match(spec(rounds_to_win=2, rounds=1))
    first = match.of("turn_started")[0]
    for _ in range(2):
        match.act("brace")
    ended = match.of("bout_ended")
    assert len(ended) == 1
    assert (ended[0]["bout"], ended[0]["decided"]) == (1, False)
    begun = match.of("bout_started")[0]
    assert (begun["bout"], begun["order"]) == (2, [1, 0])
    turn = match.of("turn_started")[-1]
    assert (turn["seat"], turn["round"], turn["turn"], turn["bout"]) == (1, 1, 2, 2)
    assert turn["rules"]["opening"] is True
    assert turn["health"] == first["health_full"]
    assert turn["alive"] == [True, True]
    assert not np.allclose(turn["positions"], first["positions"], atol=0.05)
    assert min(position[1] for position in turn["positions"]) > OUT_BELOW_Y + 0.3
    while match.advance.phase != "over":
        match.act("brace")
    [result] = match.of("result")
    assert (result["bouts"], result["cause"], result["turns"]) == (3, "bouts", 6)
    assert match.simulation.check_contact().passed


def test_two_wins_end_it() -> None:
    """A seat that throws itself off loses the bout and acts second in the next one; after two the other has won, with
    the outs of both bouts counted."""
    match = Match(spec(rounds_to_win=2, rounds=40))
    loser = match.advance.seat
    while match.advance.phase != "over":
        if match.advance.seat == loser:
            _throw(match)
        else:
            match.act("brace")
    [result] = match.of("result")
    assert result["winner"] == 1 - loser
    assert result["wins"][1 - loser] == 2
    assert result["outs_by_cause"]["fallen"] == 2
    assert result["places"][loser] == 2
    assert [one["wins"] for one in match.of("bout_ended")][-1] == result["wins"]


def _throw(match: Match) -> None:
    """The seat that acts goes towards the rim."""
    x, _, z = match.of("turn_started")[-1]["positions"][match.advance.seat]
    match.act("launch", azimuth=float(np.degrees(np.arctan2(z, x))), elevation=20.0, power=1.0)


def test_leaving_ends_a_match_of_two_and_not_of_three() -> None:
    """Of two, the other wins whatever the score. Of three, the rest play on; the body that left is not on the mat of
    the next bout, and its seat comes last."""
    two = Match(spec(rounds_to_win=2))
    two.say(0, "leave")
    assert two.of("result")[0]["winner"] == 1
    three = Match(spec(3, rounds_to_win=2, rounds=1))
    three.say(2, "leave")
    while not three.of("bout_started"):
        three.act("brace")
    assert 2 not in three.of("bout_started")[0]["order"]
    assert three.of("turn_started")[-1]["alive"] == [True, True, False]
    while three.advance.phase != "over":
        three.act("brace")
    assert three.of("result")[0]["places"][2] == 3


def test_leaving_while_a_bout_settles() -> None:
    """Of two seats the other wins; it has won the match, not the bout."""
    match = Match(spec(rounds_to_win=2, rounds=1))
    match.act("brace")
    while not match.of("bout_started"):
        seat = match.advance.seat
        given = [] if seat is None or match.advance.phase == "moving" else [Input(seat, "brace", 9)]
        match.take(match.simulation.advance(given, 1))
    assert match.advance.phase == "moving"
    match.say(0, "leave")
    [result] = match.of("result")
    assert (result["winner"], match.advance.phase) == (1, "over")


def test_a_look_ahead_ends_with_the_bout() -> None:
    """What a bot foresees is the bout that is played, also when the match would go on."""
    match = Match(spec(rounds_to_win=2))
    brief = match.of("turn_started")[-1]
    catalogue = {body: convert_params("x", CATALOGUE[body], CatalogueBody) for body in BODIES[:2]}
    duel = Duel({"rounds_to_win": 2}, spec().seats, catalogue)
    state, _ = duel.recall(brief)
    assert (state.bout, state.first_turn, state.wins) == (3, brief["turn"], (0, 0))


@pytest.mark.parametrize(
    ("kinds", "params", "wanted"),
    [
        (("person", "person"), {}, 2),
        (("person", "bot"), {}, None),
        (("person", "person"), {"rounds": 3}, None),
        (("person", "person"), {"rounds_to_win": 3}, 3),
    ],
)
def test_people_play_best_of_three(
    kinds: tuple[Any, ...], params: dict[str, Any], wanted: int | None
) -> None:
    """By default between people; never with a bot, and not if the host chose the parameters."""
    members = [
        Member(seat, f"p{seat}", f"n{seat}", kind, "", BODIES[seat], False, 0)
        for seat, kind in enumerate(kinds)
    ]
    fence = Fence("t", "s", "n", 1, "duel", 2, "", params, "o")
    made = make_spec(fence, members, CATALOGUE, Settings())
    assert made.params.get("rounds_to_win") == wanted
