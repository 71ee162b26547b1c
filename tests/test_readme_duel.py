"""The program of the README plays a duel that it may win."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

from tests.support.paths import ROOT
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

BODIES = {
    body["id"]: body for body in json.loads((ROOT / "catalogue" / "catalogue.json").read_text())["bodies"]
}


def action_of_readme(turn: dict[str, Any], seat: int) -> dict[str, float]:
    """What the program in "Play in 60 seconds" acts when ``turn`` is its turn."""
    [program] = re.findall(
        r"```python\n(import math, tussle\n\n# a guest.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    lines = program.splitlines()
    begin = next(number for number, line in enumerate(lines) if "my_turn(event)" in line) + 1
    end = next(number for number, line in enumerate(lines) if "elif event.t" in line)
    acted: list[dict[str, float]] = []
    session = SimpleNamespace(seat=seat, act=lambda kind, **d: acted.append(d))
    code = "import math\n" + "\n".join(line.strip() for line in lines[begin:end])
    exec(code, {"session": session, "turn": turn})
    return acted[0]


def test_the_program_of_the_readme_wins_a_duel() -> None:
    """Against a bot of the skill that bots have by default, from both seats, it wins some duels. It lost all before,
    most of them by its own fall."""
    won = 0
    for seed in range(6):
        mine = seed % 2
        seats = tuple(Seat(seat, f"p{seat}", f"n{seat}", "bot", "good", "halo") for seat in range(2))
        simulation, advance = Simulation.start(SessionSpec("readme", "duel", seats, BODIES, seed))
        turn: dict[str, Any] = {}
        while advance.phase != "over":
            turn = next((d for _, name, d in reversed(advance.events) if name == "turn_started"), turn)
            inputs = []
            if advance.phase == "acting":
                seat = advance.seat
                assert seat is not None
                if seat == mine:
                    kind, d = "launch", action_of_readme(turn, seat)
                else:
                    action = get_mode("duel").bot(turn, seat, "good", None, stream(seed, advance.turn, seat))
                    kind, d = action.kind, action.d
                inputs = [Input(seat, kind, advance.turn + 1, d)]
            advance = simulation.advance(inputs, 300)
        assert advance.result is not None
        won += advance.result.winner == mine
        if won and seed:
            return
    raise AssertionError("it won none of six duels")
