"""A mode outside of the package whose members build its scene: the one of docs/howto/editable-scene.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import World
from tests.support.paths import BODIES, ROOT
from tests.support.scenes import Room, cube
from tussle.lobby.errors import LobbyError
from tussle.lobby.scene_documents import Edit
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.wire.frames import decode_topology
from tussle.server.modes.mode import Seat
from tussle.server.modes.registry import all_modes
from tussle.server.sessions.first_scenes import ModeScenes
from tussle.server.simulation.simulation import SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first

PAGE = ROOT / "docs" / "howto" / "editable-scene.md"


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The mode of the page, as the setting MODES names it."""
    (text,) = re.findall(r"<!-- file: stand.py -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "stand.py"
    path.write_text(text)
    monkeypatch.setenv("MODES", str(path))
    all_modes.cache_clear()
    yield path
    all_modes.cache_clear()
    sys.modules.pop("tussle_modes_stand", None)


async def test_the_members_of_an_own_mode_build_what_runs(world: World, stand: Path) -> None:
    """The scene of the mode is edited while the lobby waits; the session simulates exactly that document, and its
    result is of it. A mode that does not say the word has no scene to edit."""
    scenes = SceneStore(world.store, world.settings, ModeScenes(lambda: BODIES))
    room = await Room.open(world, 1, size=8, mode="stand")
    room.scenes = scenes
    assert [body.body for body in (await scenes.listing(room.session)).bodies] == ["brick", "floor"]
    assert await scenes.for_start(room.session) == ""
    await room.commit(0, Edit("block", 0, document=cube(0.0, 0.33)))
    await room.edit(0, "brick", {"rotation": [1, 0, 0, 0], "position": [0, 0.12, 0]})

    def heights(document: str) -> tuple[list[str], float]:
        """The bodies of the world, and the result of the session."""
        seats = (Seat(0, "p0", "Ada"),)
        simulation, advance = Simulation.start(
            SessionSpec("T", "stand", seats, BODIES, seed=3, scene=document)
        )
        topology = decode_topology(advance.topology or b"")
        while advance.phase != "over":
            advance = simulation.advance([], 120)
        assert simulation.check_contact().passed
        ((_, _, result),) = [event for event in advance.events if event[1] == "result"]
        return sorted(body.id for body in topology.bodies), result["height"]

    document = await scenes.for_start(room.session)
    bodies, height = heights(document)
    assert bodies == ["block", "brick", "floor"] and height == pytest.approx(0.3, abs=0.03)
    bodies, height = heights("")
    assert bodies == ["brick", "floor"] and height == pytest.approx(0.1, abs=0.03)

    duel, _ = await world.starting()
    with pytest.raises(LobbyError) as refused:
        await scenes.listing(duel)
    assert refused.value.reason == "not_editable"


def test_the_first_scene_has_the_smallest_number_of_seats() -> None:
    """A mode whose seats have bodies is made with that of each of its fewest seats."""
    bodies = ModeScenes(lambda: BODIES).make("duel", {}).bodies
    assert len([body for body in bodies if body.kind != "static"]) == 2
