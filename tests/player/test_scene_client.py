"""The scene of a waiting sandbox in Python, on a real server: built, locked, undone, in conflict, saved, run."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import tussle
from tests.conftest import until
from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack
from tussle.lobby.errors import Conflict, NotFound, Refused
from tussle.lobby.rules.scenes import decode_scene
from tussle.player.client import Client
from tussle.player.scene_client import MATERIALS, SceneConflict

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(store_url: str) -> AsyncIterator[Stack]:
    async with Stack.up(store_url, f"test-{secrets.token_hex(4)}", SOLVERS="1") as stack:
        await stack.server()
        yield stack


async def test_a_script_builds_a_scene(site: Stack, tmp_path: Path) -> None:
    """Bodies are added, changed by assignment, copied, removed, undone and redone; a locked body is free after an
    exception; a scene that was saved is loaded again; then the session runs."""

    def script() -> None:
        with tussle.connect(site.url) as client, client.create("sandbox") as session:
            scene = session.scene
            box = scene.add("box", size=(0.4, 0.4, 0.4), material="steel", position=(0, 1, 0), id="brick")
            assert box.material["density"] == 7800 and "brick" in scene
            scene["brick"].position = (0, 1.5, 0.25)
            assert scene["brick"].position == [0, 1.5, 0.25] and scene["brick"].kind == "affine"
            scene["brick"].material = "ice"
            assert scene["brick"].material["friction"] == MATERIALS["ice"].friction
            assert [body.id for body in scene.array("brick", 3, (0, 0.5, 0))] == [
                "brick-1",
                "brick-2",
                "brick-3",
            ]
            assert scene["brick-3"].position == [0, 3, 0.25]
            assert set(scene.undo()) == {"brick-1", "brick-2", "brick-3"} and "brick-2" not in scene
            assert len(scene.redo()) == 3 and "brick-2" in scene
            del scene["brick-2"]
            for missing in ("brick-2", "nothing"):
                with pytest.raises(KeyError):
                    del scene[missing]
            with pytest.raises(ValueError, match="mine"), session.lock("brick"):
                box.spin = (0, 1, 0)
                assert locks(session)["brick"] == session.seat
                raise ValueError("mine")
            assert locks(session)["brick"] is None and box.spin == [0, 1, 0]
            scene.set_world(gravity=(0, -1.62, 0))
            assert scene.world["gravity"] == [0, -1.62, 0]
            with pytest.raises(Refused) as refused:
                box.position = (0, "up", 0)
            assert refused.value.reason == "bad_scene"
            with pytest.raises(Refused) as unknown:
                scene.add("box", size=(1, 1, 1), material="cheese")
            assert unknown.value.reason == "bad_material"
            path = tmp_path / "tower.json"
            scene.save(path)
            kept = scene.document
            assert json.loads(path.read_text()) == kept and len(
                decode_scene(path.read_bytes()).bodies
            ) == len(scene)
            del scene["brick-1"]
            box.update(position=(0, 2, 0), spin=None)
            scene.add("halo", position=(1, 1, 0))
            scene.load(path)
            assert by_id(scene.document) == by_id(kept)
            for name in set(scene) - {"floor", "brick"}:
                del scene[name]
            assert scene.check().ok and scene.check().vertices == 16
            scene.add("box", size=(0.4, 0.4, 0.4), position=box.position, id="bad")
            found = scene.check()
            assert not found.ok and {"bad", "brick"} == set(found.overlaps[0])
            scene.undo()
            session.run()
            frame = next(session.frames(timeout_s=60))
            assert [body.id for body in session.topology.bodies] == [
                "brick",
                "floor",
            ] and frame.min_distance > 0
            with pytest.raises(Conflict) as started:
                box.position = (0, 3, 0)
            assert started.value.reason == "not_editable" and len(scene.document["bodies"]) == 2

    def by_id(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "bodies": {body["id"]: body for body in document["bodies"]}}

    def locks(session: tussle.BlockingSession) -> dict[str, int | None]:
        return {entry.body: entry.lock for entry in session.scene.listing().bodies}

    await asyncio.to_thread(script)


async def test_a_ready_mesh_runs_and_the_next_scene_begins_with_it(site: Stack) -> None:
    """A mesh of the catalogue needs no upload: it is soft at the size that was asked for, runs in the session, and is
    in a scene that begins like that session, or like a tick of its recording."""

    def script() -> None:
        with tussle.connect(site.url) as client:
            bone = client.catalogue()["meshes"]["bone"]
            with client.create("sandbox") as session:
                scene = session.scene
                scene.add(
                    "bone", id="mine", scale=0.5, kind="elastic", material="jelly", position=(0, 0.3, 0)
                )
                for name in set(scene) - {"mine", "floor"}:
                    del scene[name]
                shape = {"kind": "mesh", "params": {"sha256": bone["sha256"], "scale": 0.5}}
                assert scene["mine"].shape == shape and scene.check().ok
                session.run()
                for frame in session.frames(timeout_s=60):
                    if frame.tick >= 20:
                        break
                sent = {body.id: body for body in session.topology.bodies}
                assert sent["mine"].kind == "elastic"
                assert 100 < len(sent["mine"].vertices) <= bone["vertices"]  # those of its surface
                token = session.token
            client.leave(token)
            for tick in (None, 10):
                with again(client, token if tick is None else (token, tick)) as other:
                    assert other.scene["mine"].shape == shape
                    fell = other.scene["mine"].position[1] < 0.3
                    assert fell == (tick is not None)
                client.leave(other.token)
            for like, code in (("ZZZZZZZZ", "no_such_session"), ((token, 10**9), "tick_not_recorded")):
                with pytest.raises(NotFound) as refused:
                    client.create(like=like)
                assert refused.value.reason == code

    def again(client: tussle.BlockingClient, like: str | tuple[str, int]) -> tussle.BlockingSession:
        """A scene like another one, as soon as its tick is recorded."""
        end = time.monotonic() + 60
        while True:
            try:
                return client.create(like=like)
            except NotFound as error:
                if error.reason not in ("tick_not_recorded", "no_recording") or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    await asyncio.to_thread(script)


async def test_a_conflict_has_the_present_version_and_document(site: Stack) -> None:
    """An edit on a version that another member has replaced changes nothing; its error has what is there now, and the
    next edit is made on that. A body that another has locked is refused with its name."""
    async with Client(site.url) as ada, Client(site.url) as bob:
        await ada.login("ada", "a secret")
        await bob.login("bob", "a secret")
        join = await ada.create(size=2)
        async with ada.connect(join) as mine, bob.connect(await bob.join(join.session)) as theirs:
            scene, other = ada.scene(mine), bob.scene(theirs)
            await scene.add("box", size=(0.4, 0.4, 0.4), id="brick", position=(0, 1, 0))
            await other.read("brick")
            version = await scene.update("brick", position=(0, 2, 0))
            with pytest.raises(SceneConflict) as conflict:
                await other.update("brick", position=(0, 3, 0))
            assert (conflict.value.body, conflict.value.version) == ("brick", version)
            assert conflict.value.document is not None and conflict.value.document["position"] == [0, 2, 0]
            assert (await scene.read("brick"))["position"] == [0, 2, 0]
            assert await other.update("brick", position=(0, 3, 0)) > version
            with pytest.raises(Conflict) as undone:
                await scene.undo()
            detail = undone.value.detail or {}
            assert (undone.value.reason, detail["body"], detail["name"]) == ("undo_conflict", "brick", "bob")
            for code in (
                "undo_conflict",
                "nothing_to_undo",
            ):  # the step that moved it, the one that added it, no more
                with pytest.raises(Conflict) as undone:
                    await scene.undo(skip=detail["step"])
                assert undone.value.reason == code
                detail = undone.value.detail or detail
            assert (await scene.read("brick"))["position"] == [0, 3, 0]
            async with other.lock("brick"):
                with pytest.raises(Conflict) as locked:
                    await scene.update("brick", position=(0, 4, 0))
                assert locked.value.reason == "body_locked" and "bob" in locked.value.message
                await other.remove("brick")
            with pytest.raises(SceneConflict) as gone:
                await scene.write("brick", {"shape": {"kind": "box", "params": {"size": [1, 1, 1]}}})
            assert gone.value.version == 0 and gone.value.document is None


async def test_a_lost_connection_frees_its_locks(site: Stack) -> None:
    """A client whose connection is cut while it holds a lock: another member can lock the body."""
    async with Client(site.url) as ada, Client(site.url) as bob:
        await ada.login()
        await bob.login()
        join = await ada.create(size=2)
        async with bob.connect(await bob.join(join.session)) as theirs:
            other = bob.scene(theirs)
            async with ada.connect(join) as mine:
                scene = ada.scene(mine)
                await scene.add("box", size=(0.4, 0.4, 0.4), id="brick", position=(0, 1, 0))
                held = scene.lock("brick")
                await held.__aenter__()

            async def free() -> bool:
                return all(entry.lock is None for entry in (await other.listing()).bodies)

            await until(free)
            await other.update("brick", position=(0, 2, 0))


async def simulated(scene: Path, out: Path, data_dir: Path) -> tuple[int, str]:
    """The exit code and the output of ``tussle simulate`` of 20 ticks."""
    words = ("simulate", "-i", str(scene), "-o", str(out), "--steps", "20", "--check")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from tussle.cli.main import main; main()", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DATA_DIR": str(data_dir)},
    )  # fmt: skip
    output, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode()


async def test_a_mesh_file_becomes_a_body(site: Stack, tmp_path: Path) -> None:
    """A file is sent, made ready by a worker and added; one that cannot be used says why, and where. ``tussle
    simulate`` runs the scene that names the uploaded mesh, where the server keeps its meshes, and says elsewhere that
    it has none."""
    await site.worker("meshes")
    corners = "v 0 0 0\nv .4 0 0\nv 0 .4 0\nv 0 0 .4\n"
    (tmp_path / "tetra.obj").write_text(corners + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    (tmp_path / "open.obj").write_text(corners + "f 1 2 3\n")

    def script() -> None:
        with tussle.connect(site.url) as client, client.create(private=True) as session:
            body = session.scene.from_mesh(tmp_path / "tetra.obj", kind="elastic", position=(0, 2, 0))
            assert body.shape["kind"] == "mesh" and body.kind == "elastic" and session.scene.check().ok
            with pytest.raises(Refused) as refused:
                session.scene.from_mesh(tmp_path / "open.obj")
            assert refused.value.reason == "bad_mesh" and "open at" in refused.value.message
            session.scene.save(tmp_path / "scene.json")
            ids.append(body.id)

    ids: list[str] = []
    await asyncio.to_thread(script)
    scene = tmp_path / "scene.json"
    code, output = await simulated(scene, tmp_path / "out", site.data_dir)
    assert code == 0 and "20 ticks" in output and " 0 intersections" in output, output
    with tussle.recording(str(tmp_path / "out" / "recording.zarr")) as recording:
        heights = recording.body(ids[0]).centre[:, 1]
    assert heights[0] == pytest.approx(2.0, abs=0.2) and heights[-1] < heights[0] - 0.3
    code, output = await simulated(scene, tmp_path / "elsewhere", tmp_path / "no-meshes")
    assert code == 1 and "there is no mesh" in output and not (tmp_path / "elsewhere").exists(), output
