"""Curling: scoring by a table of cases; turns and ends on the real solver."""

from typing import Any

import pytest

from tussle.lobby.errors import Refused
from tussle.lobby.wire.frames import decode_frame
from tussle.server.modes.curling.curling import Curling
from tussle.server.modes.curling.state import HOUSE, CurlingState, End, score_end
from tussle.server.modes.mode import Seat, stream
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first


def make_spec(*skills: str, seed: int = 1, **params: Any) -> SessionSpec:
    seats = tuple(Seat(seat, f"p{seat}", f"n{seat}", "bot", skill) for seat, skill in enumerate(skills))
    return SessionSpec("T", "curling", seats, {}, seed, params)


class Sheet:
    """Runs a curling session and collects its events."""

    def __init__(self, *skills: str, **options: Any) -> None:
        self.spec = make_spec(*(skills or ("good", "good")), **options)
        self.simulation, self.last = Simulation.start(self.spec)
        self.events = list(self.last.events)
        self.hashes = list(self.last.hashes)

    def advance(self, *inputs: Input, ticks: int = 1000) -> Advance:
        self.last = self.simulation.advance(inputs, ticks)
        self.events += self.last.events
        self.hashes += self.last.hashes
        return self.last

    def throw(
        self, power: float, azimuth: float = 0.0, spin: float = 0.0
    ) -> list[tuple[str, dict[str, Any]]]:
        """Throw for the seat whose turn it is, run until rest, and return the events."""
        assert self.last.seat is not None
        d = {"power": power, "azimuth": azimuth, "spin": spin}
        return [
            (name, found) for _, name, found in self.advance(Input(self.last.seat, "launch", 1, d)).events
        ]

    @property
    def rules(self) -> CurlingState:
        rules = self.simulation.rules
        assert isinstance(rules, CurlingState)
        return rules


@pytest.mark.parametrize(
    ("stones", "end"),
    [
        ([], End(None, 0)),
        ([(0, HOUSE, 1.01)], End(None, 0)),
        ([(0, HOUSE, 0.9)], End(0, 1)),
        ([(0, HOUSE, 0.5), (1, HOUSE + 0.2, 0.0)], End(1, 1)),
        ([(0, HOUSE, 0.1), (0, HOUSE - 0.3, 0.0), (1, HOUSE, -0.4), (0, HOUSE, 0.5)], End(0, 2)),
        ([(0, HOUSE, 0.1), (0, HOUSE, 0.4), (0, HOUSE, 1.2)], End(0, 2)),
    ],
)
def test_score(stones: list[tuple[int, float, float]], end: End) -> None:
    """The seat of the nearest stone scores one point per stone that is nearer than the other seats' nearest."""
    assert score_end(stones) == end


def test_the_world_has_only_the_actors_stone() -> None:
    """At first one stone is on the launch line; the other stones are not in the world."""
    sheet = Sheet()
    assert decode_frame(sheet.last.frame).active.tolist() == [True] + [False] * 7
    assert (sheet.last.phase, sheet.last.seat) == ("acting", 0)
    x, _, z = sheet.simulation.view().positions[0]
    assert (x, z) == (0.0, 0.0)


def test_stopping_distance() -> None:
    """A stone slides v^2 / (2 mu g) within five percent, and the seats alternate."""
    sheet = Sheet()
    sheet.throw(0.85)
    way = (4.2 * 0.85) ** 2 / (2 * 0.1 * 9.81)
    assert sheet.simulation.view().positions[0, 0] == pytest.approx(way, rel=0.05)
    assert sheet.last.seat == 1
    (stone,) = next(d for _, name, d in reversed(sheet.events) if name == "turn_started")["stones"]
    assert (stone["stone"], stone["seat"]) == (0, 0)


def test_lost_stones() -> None:
    """A stone that leaves the sheet or stops within the first metre is lost."""
    sheet = Sheet()
    found = sheet.throw(1.0)
    assert ("stone_lost", "off") in [(name, d.get("cause")) for name, d in found]
    found = sheet.throw(0.2)
    assert ("stone_lost", "short") in [(name, d.get("cause")) for name, d in found]
    assert sheet.rules.on_sheet.count(True) == 1


def test_guard_rule() -> None:
    """An early throw that drives an opponent's stone off is undone: that stone returns, the thrown one is removed."""
    sheet = Sheet()
    sheet.throw(0.84, azimuth=8.5)
    place = sheet.simulation.view().positions[0].copy()
    found = dict(sheet.throw(1.0, azimuth=7.5))
    assert found["turn_ended"]["undone"]
    assert sheet.simulation.view().positions[0] == pytest.approx(place)
    assert [stone for stone, on in enumerate(sheet.rules.on_sheet) if on] == [0, 1]
    assert sheet.simulation.check_contact().passed


def test_end_is_scored_and_scorer_begins() -> None:
    """After the last stone the end is scored and the sheet is cleared; the scoring seat begins the next end."""
    sheet = Sheet(stones=1)
    sheet.throw(0.2)
    found = dict(sheet.throw(0.855))
    assert (found["end_scored"]["seat"], found["end_scored"]["points"]) == (1, 1)
    assert sheet.rules.points == (0, 1)
    assert (sheet.last.seat, sheet.rules.order.order) == (1, (1, 0))
    assert sheet.rules.on_sheet.count(True) == 1


def test_draw_after_one_more_end() -> None:
    """Equal points after the last end add one end; if they are still equal, the session is a draw."""
    sheet = Sheet(stones=1, ends=1)
    for _ in range(4):
        assert sheet.last.phase == "acting"
        sheet.throw(0.2)
    result = sheet.last.result
    assert result is not None
    assert (result.winner, result.places, result.cause) == (None, {0: 1, 1: 1}, "points")


def test_skip_and_leave() -> None:
    """A skip loses the stone, three skips in a row lose the seat, and the last seat wins."""
    sheet = Sheet("good", "good", "good")
    sheet.advance(Input(0, "skip"))
    assert (sheet.last.seat, sheet.rules.on_sheet.count(True)) == (1, 1)
    sheet.advance(Input(2, "leave"))
    assert (sheet.last.phase, sheet.last.seat) == ("acting", 1)
    sheet.advance(Input(1, "leave"))
    result = sheet.last.result
    assert result is not None
    assert (result.winner, result.cause, result.places) == (0, "last_standing", {0: 1, 1: 2, 2: 3})


@pytest.mark.parametrize("skills", [("sharp", "novice"), ("good", "good", "fair")])
def test_whole_session(skills: tuple[str, ...]) -> None:
    """Bots play to a result; each throw passes the contact check; a world restored in mid-throw continues equally."""

    def course(restore: bool) -> Sheet:
        sheet = Sheet(*skills, stones=2, ends=2)
        while sheet.last.phase != "over":
            inputs = []
            if sheet.last.phase == "acting":
                assert sheet.last.seat is not None
                brief = next(d for _, name, d in reversed(sheet.events) if name == "turn_started")
                skill = skills[sheet.last.seat]
                action = Curling.bot(
                    brief, sheet.last.seat, skill, None, stream(1, sheet.last.turn, sheet.last.seat)
                )
                inputs = [Input(sheet.last.seat, action.kind, 1, action.d)]
                assert sheet.simulation.check_contact().passed
            sheet.advance(*inputs, ticks=50)
            if restore:
                sheet.simulation = Simulation.restore(sheet.spec, sheet.simulation.checkpoint())
        return sheet

    one, two = course(False), course(True)
    assert one.hashes == two.hashes
    assert one.events == two.events
    result = one.last.result
    assert result is not None
    assert sorted(result.places) == list(range(len(skills)))


@pytest.mark.parametrize(
    ("skills", "params", "code"),
    [
        (("good",), {}, "bad_seats"),
        (("good",) * 5, {}, "bad_seats"),
        (("good",) * 2, {"stones": 9}, "bad_params"),
        (("good",) * 2, {"sweeping": True}, "bad_params"),
    ],
)
def test_bad_spec(skills: tuple[str, ...], params: dict[str, Any], code: str) -> None:
    """An unusable number of seats or parameter is refused with its code."""
    with pytest.raises(Refused) as caught:
        Simulation.start(make_spec(*skills, **params))
    assert caught.value.reason == code


def test_an_illegal_throw_is_refused() -> None:
    """A throw out of turn or out of range is refused with code and field."""
    sheet = Sheet()
    for given, code in (
        (Input(1, "launch", 1, {"power": 0.5, "azimuth": 0.0}), "not_your_turn"),
        (Input(0, "launch", 1, {"power": 0.5, "azimuth": 11.0}), "out_of_range"),
        (Input(0, "hop", 1, {}), "unknown_kind"),
        (Input(5, "leave"), "seat_out"),
    ):
        with pytest.raises(Refused) as caught:
            sheet.advance(given)
        assert caught.value.reason == code
