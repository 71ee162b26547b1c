"""A small scene, and a room whose members edit it, for the tests of the editor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import World
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.lobby.scene_documents import Committed, Edit
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.store.store import Store

__all__ = ["CUBE", "Room", "SmallScenes", "cube", "documents_of", "read_log", "replay_log"]

CUBE: dict[str, Any] = {
    "shape": {"kind": "box", "params": {"size": [0.2, 0.2, 0.2]}},
    "material": {"density": 400},
}


def cube(x: float, y: float = 0.5) -> dict[str, Any]:
    """The document of a cube at that place."""
    return {**CUBE, "position": [x, y, 0]}


class SmallScenes:
    """Every mode begins with a floor and one stone."""

    def editable(self, mode: str) -> bool:
        return mode == "sandbox"

    def make(self, mode: str, params: Mapping[str, Any]) -> Scene:
        stone = Recipe(kind="box", params={"size": [0.3, 0.3, 0.3]})
        slab = Recipe(kind="slab", params={"size": [4.0, 0.3, 4.0]})
        return Scene(
            bodies=(
                Body(id="stone", shape=stone, material=Material(density=2000.0), position=(0.0, 0.2, 0.0)),
                Body(id="floor", kind="static", shape=slab, material=Material(density=1000.0)),
            ),
            name="small",
        )


@dataclass
class Room:
    """A waiting sandbox whose members edit its scene through one server."""

    world: World
    scenes: SceneStore
    session: str
    players: list[str]
    ids: dict[str, int] = field(default_factory=dict)
    spent: int = 0

    @classmethod
    async def open(
        cls, world: World, members: int = 2, scene: str = "", size: int = 16, mode: str = "sandbox"
    ) -> Room:
        """A room with members who are connected and not ready."""
        players = await world.players(members)
        seat = await world.seating.open(players[0], mode, size, holder=world.holder, scene=scene, ready=False)
        await world.enter(seat)
        for player in players[1:]:
            await world.enter(await world.seating.join(player, seat.session, ready=False))
        return cls(world, SceneStore(world.store, world.settings, SmallScenes()), seat.session, players)

    def next_id(self, player: str) -> int:
        self.ids[player] = self.ids.get(player, 0) + 1
        return self.ids[player]

    def charge(self, size: int) -> None:
        self.spent += size

    async def commit(self, member: int, *edits: Edit) -> Committed:
        player = self.players[member]
        return await self.scenes.commit(self.session, player, self.next_id(player), edits, self.charge)

    async def add(self, member: int, body: str, x: float) -> Committed:
        return await self.commit(member, Edit(body, 0, document=cube(x)))

    async def lock(self, member: int, body: str) -> int:
        return await self.scenes.lock(self.session, self.players[member], f"conn-{member}", body)

    async def edit(self, member: int, body: str, delta: Mapping[str, Any]) -> Committed:
        """Lock a body, edit its present version and give the lock back."""
        token = await self.lock(member, body)
        base = (await self.scenes.document(self.session, body)).version
        try:
            return await self.commit(member, Edit(body, base, lock=token, delta=delta))
        finally:
            await self.scenes.unlock(self.session, self.players[member], {body: token})

    async def undo(self, member: int, *, redo: bool = False) -> Committed:
        player = self.players[member]
        command = self.next_id(player)
        return await self.scenes.undo(self.session, player, command, self.charge, redo=redo)

    async def whole(self) -> bytes:
        return await self.scenes.whole(self.session)


async def read_log(store: Store, session: str, after: int = 0) -> list[tuple[int, dict[str, str]]]:
    """The entries of the log of a scene after that version: (version, fields)."""
    entries = await store.call("XRANGE", store.keys.scene_log(session), f"({after}-0", "+")
    return [
        (int(name.partition("-")[0]), dict(zip(flat[::2], flat[1::2], strict=True))) for name, flat in entries
    ]


def replay_log(
    documents: Mapping[str, Any], log: Sequence[tuple[int, Mapping[str, str]]], first: int = 1
) -> dict[str, Any]:
    """The documents after the commits of a log. Raises AssertionError if a version is missing or comes twice, or if an
    edit was not based on what the one before has left."""
    present = dict(documents)
    version = first
    for number, fields in log:
        assert number == version + 1, f"version {number} follows {version}"
        version = number
        for edit in json.loads(fields["edits"]):
            assert edit["before"] == present.get(edit["body"]), (number, edit["body"])
            if edit["after"] is None:
                del present[edit["body"]]
            else:
                present[edit["body"]] = edit["after"]
    return present


def documents_of(scene: Mapping[str, Any]) -> dict[str, Any]:
    """The documents of a whole scene, by id."""
    world = {name: value for name, value in scene.items() if name != "bodies"}
    return {"world": world, **{body["id"]: body for body in scene["bodies"]}}
