"""The planning bot: its world is the server's, looking ahead pays, and the first look is as fast as the others."""

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tests.server.simulation.test_simulation import CATALOGUE, Course, decide, make_spec
from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.player.planner import Planner, look
from tussle.server.modes.mode import Action, stream
from tussle.server.simulation.simulation import Input, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first


def at_turn(number: int, *bodies: str) -> tuple[Simulation, dict[str, Any]]:
    """A server's world at its n-th turn, and the brief that it published."""
    spec = make_spec(*bodies, seed=4)
    simulation, advance = Simulation.start(spec)
    course = Course()
    course.take(advance)
    while advance.turn < number:
        advance = course.take(simulation.advance([decide(spec, advance, course.events)], 300))
    return simulation, [d for _, name, d in course.events if name == "turn_started"][-1]


@pytest.mark.parametrize("turn", [0, 3])
def test_sees_what_will_happen(turn: int) -> None:
    """A look-ahead finds, from public events alone, exactly what the server's world then does."""
    simulation, brief = at_turn(turn, "cobble", "thistle", "marl")
    action = Action("launch", {"azimuth": 10.0, "elevation": 12.0, "power": 0.9})
    outside = Simulation.recall(make_spec("cobble", "thistle", "marl", seed=99), brief)
    outcome = look(outside, brief["seat"], action)
    advance = simulation.advance([Input(brief["seat"], action.kind, 1, action.d)], 300)
    assert outcome.health == [seat.health for seat in advance.standing.values()]
    assert outcome.positions == simulation.view().positions.tolist()


def test_planner_decides_alike_and_legally() -> None:
    """A planner's action follows from brief and stream; the server takes it."""
    simulation, brief = at_turn(1, "cobble", "quern")
    planner = Planner("duel", CATALOGUE)
    one, two = (planner.decide(brief, brief["seat"], "planner:4", stream(1, 1, 1)) for _ in range(2))
    assert one == two
    assert one.candidates == 4
    assert simulation.advance([Input(brief["seat"], one.kind, 1, one.d)], 300).ticks_run > 6


def test_another_session() -> None:
    """One planner plays one session after another, of other bodies too; nonsense it refuses."""
    planner = Planner("duel", CATALOGUE)
    for bodies in (("cobble", "quern"), ("marl", "halo", "crux")):
        _, brief = at_turn(0, *bodies)
        assert planner.decide(brief, 0, "planner:1", stream(1, 1, 1)).kind == "launch"
    with pytest.raises(Refused):
        planner.decide(brief | {"positions": brief["positions"][:2]}, 0, "planner", stream(1, 1, 1))


PROGRAM = """
import asyncio, json, sys
from numba.core.caching import Cache
from tussle.lobby.bot_requests import BotRequest
from tussle.player import bots, crew
from tussle.server.modes.duel.taught import taught_policy

way, skill = sys.argv[1:]
given = json.load(sys.stdin)
loaded, load = [], Cache.load_overload

def counted(self, *arguments):
    loaded.append(self.cache_path)
    return load(self, *arguments)

Cache.load_overload = counted

def files():
    return taught_policy.cache_info().currsize

class Bot:
    token = "login"
    def __init__(self, *_, **__): ...
    async def __aenter__(self): return self
    async def __aexit__(self, *_): ...
    async def aclose(self): ...
    async def login(self, *_, **__): ...
    async def healthy(self): return True
    async def catalogue(self): return {"bodies": given["bodies"]}
    async def bot_requests(self, _): return [BotRequest("s", "duel", 2, 1, skill)]
    async def leave(self, _): ...
    async def take_seat(self, session, _):
        raise Seated

class Seated(BaseException): ...

async def seated(decide):
    before = len(loaded), files()
    kind, _ = await decide(given["brief"], given["brief"]["seat"])
    print(json.dumps({"kind": kind, "before": before, "after": (len(loaded), files())}))

deciders = []
bots.Client = crew.Client = crew._Bot = Bot
if way == "crew":
    make = crew.decide_by_mode
    crew.decide_by_mode = lambda *arguments: deciders.append(make(*arguments)) or deciders[-1]
    async def main():
        try:
            await crew.serve(bots.Party(server_url="", serve=1), bots.Tally())
        except* Seated:
            await seated(deciders[0])
else:
    async def play(party, tally, decide, *_):
        await seated(decide)
    bots.play = play
    async def main():
        await bots.play_party(bots.Party(server_url="", count=1, skill=skill), bots.Tally())
asyncio.run(main())
"""
"""Bots up to the seat, without a server; then a decision. It counts the kernels and the policies that are loaded."""


@pytest.mark.parametrize(("way", "skill"), [("crew", "taught"), ("party", "planner:2")])
def test_the_first_decision_of_a_process_loads_nothing(way: str, skill: str) -> None:
    """All kernels, and the file of a taught policy, are in the process when the bot takes its seat."""
    _, advance = Simulation.start(make_spec("cobble", "quern"))
    brief = next(d for _, name, d in advance.events if name == "turn_started")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, way, skill],
        input=msgspec.json.encode({"bodies": CATALOGUE, "brief": brief}).decode(),
        capture_output=True, text=True, timeout=500, check=True, cwd=ROOT,
    )  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["kind"]
    assert found["before"][0] > 0
    assert found["after"] == found["before"]
