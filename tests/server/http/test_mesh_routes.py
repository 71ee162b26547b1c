"""Meshes of one's own over HTTP, on a real server with a real worker."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from tests.support.mesh_files import as_file, as_stl, bumpy_ring
from tests.support.paths import ROOT
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.meshes import decode_mesh
from tussle.server.physics.shapes import build

ENVIRONMENT = {"SIM_SPEED": "0", "CLAIM_IDLE_S": "0.5", "MESH_BYTES": "200000"}

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUBE = build(Recipe("box", {"size": [1.0, 1.0, 1.0]}))
VOLUME = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop(site: Stack) -> AsyncIterator[Stack]:
    """The server, with a worker that makes meshes."""
    await site.worker("meshes")
    yield site


async def send(person: Person, data: bytes, name: str = "mesh.stl", **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {person.token}"} if person.token else {}
    return await person.http.put("/api/meshes", params={"name": name, **query}, content=data, headers=headers)


async def made(person: Person, mesh: str) -> dict[str, Any]:
    """Wait until a mesh is ready or refused."""
    async with asyncio.timeout(120):
        while True:
            now: dict[str, Any] = (await person.get(f"/api/meshes/{mesh}")).json()
            if now["state"] in ("ready", "refused"):
                return now
            await asyncio.sleep(0.05)


def moved(offset: float) -> np.ndarray:
    """The points of the cube, elsewhere: other bytes, the same shape."""
    return CUBE.vertices + np.array([offset, 0.0, 0.0])


async def test_a_file_becomes_a_ready_mesh(workshop: Stack, ada: Person) -> None:
    """An upload is named by its hash and is followed to the ready mesh, which is centred and read by its own hash.
    An equal upload is the same job, and is stored once."""
    data = as_stl(moved(3.0), CUBE.faces)
    answer = await send(ada, data, "cube.STL")
    assert answer.status_code == 202, answer.text
    mesh = answer.json()["mesh"]
    assert mesh == hashlib.sha256(data).hexdigest()
    now = await made(ada, mesh)
    assert (now["state"], now["percent"]) == ("ready", 100), now
    ready = now["shape"]["params"]["sha256"]
    assert now["volume"] == pytest.approx(VOLUME, rel=0.02) and now["vertices"] >= 8
    assert now["bounding_radius"] == pytest.approx(3**0.5 / 2, rel=0.02)
    read = await ada.get(f"/api/meshes/{mesh}/data")
    solid = decode_mesh(read.content)
    assert hashlib.sha256(read.content).hexdigest() == ready
    assert len(solid.vertices) == now["vertices"] and abs(solid.vertices.mean(axis=0)).max() < 0.2
    assert (await ada.get(f"/api/meshes/{ready}/data")).content == read.content
    assert (await ada.get(f"/api/meshes/{ready}")).json()["shape"] == now["shape"]
    again = await ada.http.get(f"/api/meshes/{ready}/data", headers={"if-none-match": f'"{ready}"'})
    assert again.status_code == 304
    async with Person(workshop.url) as otto:
        await otto.login()
        assert (await send(otto, data, "other.stl")).json() == {"mesh": mesh, "state": "ready"}
    files = sorted(path.name for path in (workshop.data_dir / "archive" / "meshes").iterdir())
    assert files == [f"{ready}.mesh", f"realm.{workshop.realm}"]


@pytest.mark.parametrize("ending", [".obj", ".ply", ".vtk", ".msh", ".glb"])
async def test_every_format_is_read(workshop: Stack, ada: Person, ending: str) -> None:
    """The cube in each format becomes a mesh of its volume."""
    answer = await send(ada, as_file(ending, moved(1.0), CUBE.faces), f"cube{ending}")
    now = await made(ada, answer.json()["mesh"])
    assert now["state"] == "ready", now
    assert now["volume"] == pytest.approx(VOLUME, rel=0.02)


async def test_the_default_cube_of_blender_is_read(workshop: Stack, ada: Person) -> None:
    """Its corners have several texture coordinates and normals, its faces are quads, and it names a material file."""
    data = (ROOT / "tests" / "support" / "blender_cube.obj").read_bytes()
    now = await made(ada, (await send(ada, data, "untitled.obj")).json()["mesh"])
    assert now["state"] == "ready", now
    assert now["volume"] == pytest.approx(8.0, rel=0.02) and now["bounding_radius"] == pytest.approx(
        3**0.5, rel=0.02
    )


async def test_a_broken_mesh_is_refused_with_its_place(workshop: Stack, ada: Person) -> None:
    """The reason is a word for programs, and the place is in the coordinates of the file."""
    answer = await send(ada, as_stl(moved(5.0), CUBE.faces[1:]))
    now = await made(ada, answer.json()["mesh"])
    assert (now["state"], now["reason"]) == ("refused", "open"), now
    low, high = moved(5.0).min(axis=0) - 1e-6, moved(5.0).max(axis=0) + 1e-6
    assert (low <= now["place"]).all() and (now["place"] <= high).all()
    assert "shape" not in now
    assert_problem(await ada.get(f"/api/meshes/{now['mesh']}/data"), 404, "unknown_mesh")


async def test_a_session_hears_how_far_a_mesh_is(workshop: Stack, ada: Person) -> None:
    """The viewers of the session get each step as messages: queued, percentages, and the end: ready, or refused with
    the reason and the place. Somebody without a seat in it cannot send them."""
    opened = await ada.ask("/api/open", mode="sandbox", size=2)
    session = opened["session"]
    async with Person(workshop.url) as otto, Line.to(opened["ws_url"]) as line:
        await line.hello(ticket=opened["ticket"])
        await otto.login()
        data = as_stl(*bumpy_ring(40, 40))
        assert_problem(await send(otto, data, session=session), 409, "not_member")
        watching = await otto.ask("/api/observe", session=session)
        async with Line.to(watching["ws_url"]) as observer:
            await observer.hello(ticket=watching["ticket"])
            await observer.until("session")
            mesh = (await send(ada, data, session=session)).json()["mesh"]
            for one in (line, observer):
                await one.until("mesh", mesh=mesh, state="ready", ceiling_s=120)
                heard = [message for message in one.messages if message["t"] == "mesh"]
                assert not any("v" in message for message in heard)
                steps = [(message["d"]["state"], message["d"]["percent"]) for message in heard]
                assert steps[:2] == [("queued", 0), ("working", 0)]
                assert heard[-1]["d"] == {"mesh": mesh, "state": "ready", "percent": 100}
                working = [percent for state, percent in steps[1:-1] if state == "working"]
                assert len(working) == len(steps) - 2 and working == sorted(set(working))
                assert 0 < working[-1] < 100
        broken = as_stl(moved(6.0), CUBE.faces[1:])
        for _ in range(2):  # also when the same file is sent again
            seen = len(line.messages)
            mesh = (await send(ada, broken, session=session)).json()["mesh"]
            refused = await line.wait(
                lambda seen=seen: next(
                    (m["d"] for m in line.messages[seen:] if m["t"] == "mesh" and "reason" in m["d"]), None
                )
            )
            view = await made(ada, mesh)
            assert refused == {
                "mesh": mesh, "state": "refused", "percent": 100, "reason": "open", "place": view["place"],
            }  # fmt: skip
            low, high = moved(6.0).min(axis=0) - 1e-6, moved(6.0).max(axis=0) + 1e-6
            assert (low <= refused["place"]).all() and (refused["place"] <= high).all()
        await line.command("leave")


async def test_what_is_no_upload_is_refused(workshop: Stack, ada: Person) -> None:
    """Without a login, of an unknown format, empty, too large, for no session: a code each, and nothing is stored."""
    async with Person(workshop.url) as nobody:
        assert_problem(await send(nobody, b"x"), 401, "login_required")
    assert_problem(await send(ada, b"x", "cube.exe"), 422, "bad_mesh_name")
    assert_problem(await send(ada, b"x", ""), 422, "bad_mesh_name")
    assert_problem(await send(ada, b""), 400, "bad_request")
    assert_problem(await send(ada, bytes(200_001)), 400, "too_large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(65_536)

    headers = {"authorization": f"Bearer {ada.token}"}
    answer = await ada.http.put("/api/meshes", params={"name": "a.stl"}, content=endless(), headers=headers)
    assert_problem(answer, 400, "too_large")
    assert_problem(await send(ada, b"x", session="abcdefgh"), 404, "not_found")
    assert_problem(await ada.get(f"/api/meshes/{'0' * 64}"), 404, "unknown_mesh")
    assert_problem(await ada.get("/api/meshes/..%2f..%2fetc"), 404, "http_404")
    assert list((workshop.data_dir / "meshing").glob("upload-*")) == []
