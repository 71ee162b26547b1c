"""docs/events.md and the types of lobby/wire/mode_events.py list the events of the modes and their fields."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from tests.server.modes.curling.test_curling import Sheet
from tests.server.modes.sandbox.test_authored import hung_on_a_wire
from tests.server.modes.sandbox.test_sandbox import Box
from tests.server.simulation.test_simulation import make_spec, play
from tests.support.paths import ROOT
from tussle.lobby.wire.mode_events import MODE_EVENTS
from tussle.lobby.wire.numbers import as_sent
from tussle.server.modes.mode import Effect
from tussle.server.simulation.simulation import Input

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first

DOCUMENT = (ROOT / "docs" / "events.md").read_text()
EVERYWHERE = {"tick", "time_sim", "round", "turn"}


def documented(mode: str) -> dict[str, set[str]]:
    """Return event -> fields from the table of a mode; a row without an event continues the row above."""
    section = DOCUMENT.split(f"\n## {mode}\n")[1].split("\n## ")[0]
    fields: dict[str, set[str]] = {}
    names: list[str] = []
    for row in section.splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        if len(cells) != 3 or cells[0] == "event" or cells[0].startswith("---"):
            continue
        names = re.findall(r"`(\w+)`", cells[0]) or names
        for name in names:
            fields.setdefault(name, set()).update(re.findall(r"`(\w+)`", cells[1]))
    return fields


Found = list[tuple[str, Mapping[str, Any]]]


def check_types(mode: str, found: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Each event has the fields of its type, no others, and values of their types, as it is sent. Raises AssertionError
    or msgspec.ValidationError."""
    for event, d in found:
        sent = msgspec.json.decode(msgspec.json.encode(as_sent(dict(d))))
        kind = MODE_EVENTS[mode][event]
        assert set(sent) <= {field.encode_name for field in msgspec.structs.fields(kind)}, event
        msgspec.convert(sent, kind)


def duel_events() -> Found:
    course = play(make_spec("cobble", "quern", "marl", seed=2, params={"rounds_to_win": 2}))
    return [(name, d) for _, name, d in course.events]


def sandbox_events() -> Found:
    box = Box(slots=1, brief_s=0.2)
    box.act(0, "grab", body="cobble-0", handle="v0")
    box.act(1, "grab", body="marl-1", handle="v0")
    box.act(1, "move", target=[0, 1, 0])
    box.act(0, "release")
    box.act(2, "spawn", body="halo", position=[0.0, 1.5, 0.0])
    box.act(2, "remove", body="halo-2")
    box.simulation._affect(Effect(push={0: ((60.0, 0.0, 0.0), (0.0, 0.0, 0.0))}))
    box.run(45)
    for kind, d in (
        ("freeze", {"state": "on"}),
        ("gravity", {"strength": 5.0}),
        ("mark", {}),
        ("undo", {}),
        ("reset", {}),
    ):
        box.act(0, kind, **d)
    box.act(4, "join")
    box.run(1, *(Input(seat, "leave") for seat in (0, 1, 2, 4)))
    return [(name, d) for _, name, d in (*box.events, *hung_on_a_wire().run(1).events)]


def curling_events() -> Found:
    sheet = Sheet("good", "good", "good", stones=2, ends=1)
    sheet.throw(0.86)
    sheet.throw(0.9)
    sheet.throw(0.1)
    sheet.advance(Input(0, "leave"))
    while sheet.last.phase != "over":
        sheet.throw(0.8)
    return [(name, d) for _, name, d in sheet.events]


COURSES = {"Duel": duel_events, "Curling": curling_events, "Sandbox": sandbox_events}


@pytest.mark.parametrize("mode", COURSES)
def test_every_field_is_documented(mode: str) -> None:
    """Each documented event occurs and has exactly the documented fields, and those of its type."""
    found = COURSES[mode]()
    fields = documented(mode)
    assert {name for name, _ in found} == set(fields) == set(MODE_EVENTS[mode.lower()]) - {"forked"}
    check_types(mode.lower(), found)
    for name, d in found:
        keys = set(d)
        if name in ("freeze", "gravity", "mark", "undo", "reset"):
            assert keys - EVERYWHERE <= fields[name]
        else:
            assert keys == fields[name] | EVERYWHERE, name
