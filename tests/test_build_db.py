"""Seeding the catalogue: repeatable and atomic."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import World
from tussle import build_db
from tussle.build_db import SHIPPED, catalogue_path, read_catalogue, seed
from tussle.lobby.errors import Refused
from tussle.lobby.ready_meshes import ready_meshes
from tussle.lobby.rules.scenes import decode_scene
from tussle.lobby.rules.templates import TEMPLATES, make_template
from tussle.lobby.store.store import Store


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SHIPPED.read_text())
    return loaded


def write(folder: Path, catalogue: object) -> Path:
    path = folder / "catalogue.json"
    path.write_text(catalogue if isinstance(catalogue, str) else json.dumps(catalogue))
    return path


async def held(store: Store) -> dict[str, dict[str, Any]]:
    found = {}
    for kind in build_db.KINDS:
        flat = await store.call("HGETALL", store.keys.catalogue(kind))
        found[kind] = {id: json.loads(text) for id, text in zip(flat[::2], flat[1::2], strict=True)}
    return found


async def test_two_runs_same_content(world: World) -> None:
    """The second run changes nothing and reports so; the store has the entries of the file, by id."""
    first = await seed(world.store, SHIPPED)
    stored = await held(world.store)
    again = await seed(world.store, world.settings)
    assert again.changes == [] and "nothing changed" in str(again)
    assert await held(world.store) == stored
    assert first.counts["bodies"] == len(document()["bodies"]) == len(stored["bodies"])
    assert {change for _, change, _ in first.changes} == {"added"}
    assert stored["bodies"]["cobble"] == document()["bodies"][0]
    assert {"octagon", *TEMPLATES} == set(stored["scenes"])
    assert set(stored["meshes"]) == {mesh.id for mesh in ready_meshes().values()}
    bunny = stored["meshes"]["bunny"]
    assert bunny["kind"] == "mesh" and bunny["params"]["sha256"] in ready_meshes()
    arch = stored["scenes"]["arch"]
    assert (arch["name"], decode_scene(json.dumps(arch["scene"]))) == ("Arch", make_template("arch").scene)


async def test_changes_are_reported(world: World, tmp_path: Path) -> None:
    """A changed, an added and a removed entry are reported; the removed entry is gone from the store."""
    await seed(world.store, SHIPPED)
    catalogue = document()
    gone = catalogue["bodies"].pop(0)["id"]
    catalogue["bodies"][0]["health"] = 1
    changed = catalogue["bodies"][0]["id"]
    catalogue["materials"] = [*catalogue["materials"], {"id": "basalt", "density": 700, "stiffness": 1e7}]
    summary = await seed(world.store, write(tmp_path, catalogue))
    reported = {change for change in summary.changes if change[0] == "bodies" or change[2] == "basalt"}
    assert reported == {
        ("bodies", "changed", changed),
        ("materials", "added", "basalt"),
        ("bodies", "removed", gone),
    }
    stored = await held(world.store)
    assert gone not in stored["bodies"] and stored["materials"]["basalt"]["density"] == 700
    assert f"removed bodies {gone}" in str(summary)


async def test_readers_see_a_whole_catalogue(world: World, tmp_path: Path) -> None:
    """A reader sees one of the two catalogues, complete, while they replace each other."""
    small = document()
    small["bodies"] = small["bodies"][:3]
    paths = [SHIPPED, write(tmp_path, small)]
    await seed(world.store, SHIPPED)
    done = asyncio.Event()

    async def read() -> set[int]:
        sizes = set()
        while not done.is_set():
            sizes.add(int(await world.store.call("HLEN", world.store.keys.catalogue("bodies"))))
        return sizes

    reader = asyncio.create_task(read())
    for i in range(20):
        await seed(world.store, paths[(i + 1) % 2])
    done.set()
    assert await reader <= {3, len(document()["bodies"])}


def broken() -> list[tuple[str, object]]:
    def changed(**changes: Any) -> dict[str, Any]:
        return {**document(), **changes}

    first = document()["bodies"][0]
    return [
        ("cut off", SHIPPED.read_text()[:-10]),
        ("no object", "[]"),
        ("schema", changed(schema="tussle-catalogue/2")),
        ("mesh", changed(meshes=["bunny", "no-such"])),
        ("no bodies", changed(bodies=[])),
        ("twice", changed(bodies=[first, first])),
        ("bad id", changed(bodies=[{**first, "id": "No Id"}])),
        ("shape", changed(bodies=[{**first, "kind": "blob"}])),
        ("density", changed(bodies=[{**first, "density": 0}])),
        ("missing", changed(bodies=[{key: value for key, value in first.items() if key != "health"}])),
        ("scene", changed(scenes=[{"name": "no id"}])),
        ("not a number", SHIPPED.read_text().replace('"density": 400', '"density": NaN', 1)),
    ]


@pytest.mark.parametrize(("name", "catalogue"), broken(), ids=[name for name, _ in broken()])
async def test_a_broken_file_changes_nothing(
    world: World, tmp_path: Path, name: str, catalogue: object
) -> None:
    """A broken file is refused as a whole, and the store is unchanged."""
    await seed(world.store, SHIPPED)
    before = await held(world.store)
    with pytest.raises(Refused) as refused:
        await seed(world.store, write(tmp_path, catalogue))
    assert refused.value.reason == "bad_catalogue"
    assert await held(world.store) == before


def test_a_missing_file(tmp_path: Path) -> None:
    """The error names the path of a missing file."""
    with pytest.raises(Refused, match=str(tmp_path)):
        read_catalogue(tmp_path / "none.json")


async def test_the_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It seeds the chosen file, prints the changes, and exits with 2 and one line on an error."""
    monkeypatch.setenv("REDIS_URL", world.settings.redis_url)
    monkeypatch.setenv("REALM", world.settings.realm)
    run = asyncio.to_thread
    assert await run(build_db.main, []) == 0
    assert "added bodies cobble" in capsys.readouterr().out
    write(tmp_path, document())
    assert await run(build_db.main, ["--from", str(tmp_path)]) == 0
    assert "nothing changed" in capsys.readouterr().out
    monkeypatch.setenv("CATALOGUE", str(tmp_path / "none.json"))
    assert await run(build_db.main, []) == 2
    monkeypatch.setenv("REDIS_URL", "")
    assert await run(build_db.main, []) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "none.json" in said[0] and "REDIS_URL" in said[1]
    assert catalogue_path(world.settings) == SHIPPED
