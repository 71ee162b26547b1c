"""The spring-damper as a session. It computes the same steps as the stream solvers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.modes.test_events import EVERYWHERE, check_types, documented
from tussle.lobby.errors import Refused
from tussle.lobby.rules.spring import Spring, SpringState
from tussle.lobby.wire.frames import decode_frame
from tussle.lobby.wire.mode_events import MODE_EVENTS
from tussle.server.modes.mode import Seat
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first


def make_spec(**params: Any) -> SessionSpec:
    seats = (Seat(0, "p0", "ada"), Seat(1, "p1", "bob"))
    return SessionSpec("k7qm2xpv", "spring-damper", seats, {}, seed=1, params={"turn_s": 20, **params})


def run(
    simulation: Simulation, ticks: int, *inputs: Input, at_once: int = 7
) -> tuple[list[Any], list[bytes]]:
    """Return events and hashes of ``ticks`` ticks, or of all until the end."""
    events: list[Any] = []
    hashes: list[bytes] = []
    given = list(inputs)
    while len(hashes) < ticks:
        advance = simulation.advance(given, min(at_once, ticks - len(hashes)))
        given = []
        events += advance.events
        hashes += advance.hashes
        if advance.phase == "over":
            break
    return events, hashes


def steps(events: list[Any]) -> list[tuple[int, float, float, float]]:
    rows: list[tuple[int, float, float, float]] = []
    for _, kind, d in events:
        if kind == "steps":
            rows += list(zip(d["n"], d["t"], d["x"], d["v"], strict=True))
    return rows


def marched(spring: Spring, x: float, v: float) -> list[tuple[int, float, float, float]]:
    state, rows = SpringState(x=x, v=v, t=0.0), []
    while (half := spring.step_velocity(state)) is not None:
        after = spring.step_position(half)
        assert after is not None
        state = after
        rows.append((state.n, state.t, state.x, state.v))
    return rows


def test_a_session_makes_the_same_steps_as_the_streams() -> None:
    """A session makes 1000 steps with the solvers' bits, each within 1e-9 of the closed form, and ends."""
    simulation, first = Simulation.start(make_spec())
    events, _ = run(simulation, 2000)
    assert steps(events) == marched(Spring(), 0.0, 1.0)
    for _, kind, d in events:
        if kind == "steps":
            assert d["x"] == pytest.approx(d["closed"], abs=1e-9)
    ended = events[-2][2]
    assert (events[-2][1], ended["n"]) == ("run_ended", 1000) and ended["error"] < 1e-9
    assert ended["x"] == pytest.approx(-0.15788136, abs=5e-9)
    result = simulation.look().result
    assert result is not None and (result.cause, result.winner) == ("done", None)
    assert [kind for _, kind, _ in first.events] == ["set_up", "triggered"]


def test_a_restored_session_has_the_same_hashes() -> None:
    """Hashes depend neither on how ticks are grouped nor on a restore in mid-run."""
    whole, _ = Simulation.start(make_spec(cycles=120))
    _, hashes = run(whole, 500)
    parts, _ = Simulation.start(make_spec(cycles=120))
    _, first = run(parts, 53, at_once=1)
    again = Simulation.restore(make_spec(cycles=120), parts.checkpoint())
    events, rest = run(again, 500, at_once=11)
    assert [*first, *rest] == hashes
    assert steps(events)[-1][0] == 120


def test_any_member_may_trigger_a_new_run() -> None:
    """The input ``trigger`` begins a new run; the unreported steps of the old run are published first."""
    simulation, _ = Simulation.start(make_spec(cycles=50))
    before, _ = run(simulation, 13)
    events, _ = run(simulation, 500, Input(1, "trigger", 3, {"x": 0.5, "v": -2.0}))
    assert [kind for _, kind, _ in events][:2] == ["steps", "triggered"]
    assert [row[0] for row in steps(before) + steps(events)[:3]] == list(range(1, 14))
    assert steps(events)[3:] == marched(Spring(cycles=50), 0.5, -2.0)


def test_a_frame_has_the_position_of_the_mass() -> None:
    """The frame's body is at x."""
    simulation, _ = Simulation.start(make_spec(x=1.0, v=0.0))
    advance = simulation.advance([], 10)
    x = marched(Spring(), 1.0, 0.0)[9][2]
    assert decode_frame(advance.frame).rows[0].tolist() == pytest.approx([x, 0.6, 0.0], abs=1e-6)
    assert simulation.check_contact().passed


def test_it_is_over_when_everybody_has_left() -> None:
    """When the last member leaves, the session ends with the cause empty."""
    simulation, _ = Simulation.start(make_spec())
    run(simulation, 5, Input(0, "leave"))
    assert simulation.look().phase == "moving"
    events, _ = run(simulation, 5, Input(1, "leave"))
    assert events[-1][1] == "result" and events[-1][2]["cause"] == "empty"


@pytest.mark.parametrize(
    "params",
    [
        {"m": 0},
        {"h": 1.0},
        {"zeta": -1},
        {"cycles": 0},
        {"zeta": 50.0},
        {"k": 1e9},
        {"x": float("nan")},
        {"m": 1e-308, "k": 1e308, "zeta": 0},
        {"m": 8e307, "k": 8e307},
        {"zeta": 1.0, "h": 1e-4},
        {"colour": 1},
    ],
)
def test_bad_parameters_are_refused(params: dict[str, Any]) -> None:
    """A bad parameter is refused with a code when the session is created."""
    with pytest.raises(Refused) as refused:
        Simulation.start(make_spec(**params))
    assert refused.value.reason == "bad_params"


@pytest.mark.parametrize("mass", [1e-9, 1e9])
def test_the_lightest_and_the_heaviest_mass_run_to_their_end(mass: float) -> None:
    """No mass that is accepted is too light or too heavy for the solver, which shows it."""
    simulation, _ = Simulation.start(make_spec(m=mass, k=mass, x=1e6, v=-1e6, cycles=40))
    events, _ = run(simulation, 100)
    assert simulation.look().phase == "over"
    assert steps(events) == marched(Spring(m=mass, k=mass, cycles=40), 1e6, -1e6)


def test_every_field_is_documented() -> None:
    """Each event of docs/events.md occurs and has exactly the documented fields."""
    simulation, first = Simulation.start(make_spec(cycles=20))
    events, _ = run(simulation, 3, Input(1, "leave"))
    more, _ = run(simulation, 100, Input(1, "join"))
    found = [(name, d) for _, name, d in [*first.events, *events, *more]]
    fields = documented("Spring-damper")
    assert {name for name, _ in found} == set(fields) == set(MODE_EVENTS["spring-damper"]) - {"forked"}
    check_types("spring-damper", found)
    for name, d in found:
        assert set(d) == fields[name] | EVERYWHERE, name
