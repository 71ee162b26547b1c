"""The generated pages of docs/reference have the content of the tables in the source."""

from __future__ import annotations

import inspect
import json
import math
import re
import runpy

import msgspec
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.store.keys import Keys
from tussle.server.modes.mode import CatalogueBody, Seat
from tussle.server.modes.registry import get_mode

PAGES = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))["PAGES"]
CATALOGUE = json.loads((ROOT / "catalogue" / "catalogue.json").read_text())


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_current(name: str) -> None:
    """If this fails: python docs/reference/generate.py"""
    assert PAGES[name]() == (ROOT / "docs" / "reference" / name).read_text()


def documented_bounds() -> list[tuple[str, str, float, float]]:
    """Mode, param, smallest and largest value of each param of docs/reference/modes.md that has both."""
    text = (ROOT / "docs" / "reference" / "modes.md").read_text()
    return [
        (mode, param, float(low), float(high))
        for mode, section in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        for param, low, high in re.findall(r"^\| `(\w+)` \|.* from (\S+) to (\S+) \|$", section, re.M)
    ]


@pytest.mark.parametrize(("mode", "param", "low", "high"), documented_bounds())
def test_a_documented_bound_of_a_param_holds(mode: str, param: str, low: float, high: float) -> None:
    """A session takes the smallest and the largest documented value of a param, and refuses what is beyond."""
    found = get_mode(mode)
    seats = [Seat(seat, "", "", "person", body="halo") for seat in range(found.seats[0])]
    bodies = {body["id"]: msgspec.convert(body, CatalogueBody) for body in CATALOGUE["bodies"]}
    for value in (low, high):
        found({param: int(value) if value.is_integer() else value}, seats, bodies)
    for value in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), low - 1, high + 1):
        with pytest.raises(Refused) as caught:
            found({param: int(value) if value.is_integer() else value}, seats, bodies)
        assert caught.value.reason == "bad_params"


PLACEHOLDERS = {
    "token": "T",
    "player": "P",
    "address": "A",
    "server": "S",
    "token_hash": "<sha256>",
    "name_hash": "<sha256>",
    "ticket_hash": "<sha256>",
    "digest": "<sha256>",
    "tick": "<tick>",
    "kind": "bodies",
    "mode": "<mode>",
    "size": "<size>",
    "name": "<name>",
    "words": "<words>",
    "run": "<run>",
    "solver": "<solver>",
    "sink": "<sink>",
    "body": "<id>",
    "day": "<day>",
}

NOT_STORED = {
    "prefix", "of_session", "of_scene", "of_replay", "for_scripts", "for_running", "live", "wake", "replay_channel",
    "logs",
}  # fmt: skip
"""Members of Keys that are lists of keys or channels."""


def stored_keys() -> set[str]:
    """Every key and channel of lobby/store/keys.py, with placeholders, without the realm."""
    keys = Keys("main")
    found = set()
    for name, member in inspect.getmembers(Keys):
        if name.startswith("_") or name in NOT_STORED:
            continue
        if isinstance(member, property):
            found.add(getattr(keys, name))
        elif inspect.isfunction(member):
            arguments = [PLACEHOLDERS[p] for p in inspect.signature(member).parameters if p != "self"]
            found.add(member(keys, *arguments))
    return {key.removeprefix(keys.prefix) for key in found}


def listed_keys() -> set[str]:
    """The names in the first column of the tables of docs/keys.md. ``a:b`` `:c` means a:b and a:c."""
    found: set[str] = set()
    text = (ROOT / "docs" / "keys.md").read_text()
    for cell in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", cell)
        found |= {names[0].rsplit(":", 1)[0] + name if name.startswith(":") else name for name in names}
    return found


def test_the_page_of_keys_lists_every_key() -> None:
    """And no key that lobby/store/keys.py cannot make, except the other kinds of the catalogue."""
    listed = listed_keys() - {"catalogue:materials", "catalogue:scenes", "catalogue:meshes"}
    assert listed == stored_keys()


def places_to_change() -> list[tuple[str, str]]:
    """The rows of the table "Where to change what" of ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text[text.index("| to change | go to |") :].split("\n\n")[0].splitlines()[2:]
    return [(subject.strip(), places) for _, subject, places, _ in (row.split("|") for row in table)]


@pytest.mark.parametrize(("subject", "places"), places_to_change(), ids=lambda text: text[:40])
def test_a_place_to_change_exists(subject: str, places: str) -> None:
    """Each folder and file of the table exists, a file in parentheses in the folder before it."""
    for place in re.findall(r"`([a-z][\w./<>-]*/[\w./<>-]*)`", places):
        found = [*ROOT.glob(place.replace("<mode>", "*"))]
        assert found, f"{subject}: {place}"
        assert all(path.is_dir() for path in found) is place.endswith("/"), f"{subject}: {place}"
    for folder, files in re.findall(r"`([\w/]+/)` \(([^)]*)\)", places):
        for name in re.findall(r"\w+\.(?:py|lua)", files):
            assert (ROOT / folder / name).is_file(), f"{subject}: {folder}{name}"


def test_the_first_ten_places_are_one_folder_each() -> None:
    """What is changed most has one place."""
    for subject, places in places_to_change()[:10]:
        assert len(re.findall(r"`[\w/]+/`", places)) == 1, subject
