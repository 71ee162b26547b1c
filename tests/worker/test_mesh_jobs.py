"""The worker that makes meshes, as processes on a real store: deaths, repeats, limits, and what retention keeps."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import until
from tests.support.mesh_files import as_glb, as_obj, as_stl, bumpy_ring
from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack, children
from tussle.lobby.mesh_files import READY, UPLOAD, MeshFiles
from tussle.lobby.mesh_store import GROUP, Meshes
from tussle.lobby.rules.scenes import Recipe
from tussle.lobby.settings import Settings
from tussle.lobby.store.consumer_group import ConsumerGroup
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import NewUpload, Uploads
from tussle.lobby.wire.http_answers import MeshView
from tussle.server.physics.shapes import build
from tussle.server.recordings.uploaded import BLOBS, place_of
from tussle.worker import mesh_retention
from tussle.worker.mesh_retention import MeshRetention

CUBE = build(Recipe("box", {"size": [1.0, 1.0, 1.0]}))


@dataclass
class Workshop:
    """A realm whose workers make meshes, without a server."""

    store: Store
    stack: Stack
    meshes: Meshes
    files: MeshFiles

    async def send(self, data: bytes, form: str = ".stl") -> str:
        """Queue a file as a server does. Returns its hash."""
        sha256 = hashlib.sha256(data).hexdigest()
        if await self.meshes.reserve(sha256, len(data), form, "ada") == "storing":
            path = self.stack.data_dir.parent / sha256
            path.write_bytes(data)
            self.files.put(path, sha256, UPLOAD)
            await self.meshes.queue(sha256)
        return sha256

    async def wait(self, sha256: str, *states: str) -> MeshView:
        async def there() -> bool:
            return (await self.meshes.view(sha256)).state in states

        await until(there, 120.0)
        return await self.meshes.view(sha256)


@pytest.fixture
async def workshop(store: Store, realm: str) -> AsyncIterator[Workshop]:
    stack = Stack.up(store.url, realm, CLAIM_IDLE_S="0.5", MESH_S="40")
    try:
        yield Workshop(store, stack, Meshes(store, 10**9), MeshFiles(str(stack.data_dir / "archive")))
    finally:
        await stack.close()


async def test_a_worker_that_is_killed_leaves_its_job_to_another_one(workshop: Workshop) -> None:
    """kill -9 in mid-work: the child ends too, another worker makes the mesh, once, and the bytes in use are counted
    once."""
    points, faces = bumpy_ring(40, 40)
    first = await workshop.stack.worker("meshes")
    mesh = await workshop.send(as_stl(points, faces))
    await workshop.wait(mesh, "working")
    await until(lambda: _there(bool(children(first.pid))))
    below = children(first.pid)
    await first.kill()
    await until(lambda: _there(not any(Path(f"/proc/{pid}").exists() for pid in below)))
    assert (await workshop.meshes.view(mesh)).state == "working"
    await workshop.stack.worker("meshes")
    made = await workshop.wait(mesh, "ready", "refused")
    assert made.state == "ready" and made.shape is not None, made
    keys, call = workshop.store.keys, workshop.store.call
    assert await call("HGET", keys.mesh(mesh), "attempts") == "2"
    assert await call("XLEN", keys.mesh_jobs) == 0
    assert (await call("XPENDING", keys.mesh_jobs, GROUP))[0] == 0
    ready = made.shape["params"]["sha256"]
    await until(lambda: _there(workshop.files.list() == [(ready, READY)]))
    assert await call("HGETALL", keys.mesh_use) == ["bytes", str(len(workshop.files.read(ready)))]


async def _there(value: bool) -> bool:
    return value


async def test_a_job_that_kills_every_worker_is_given_up(workshop: Workshop) -> None:
    """After three attempts that never ended the mesh is refused, its file is removed, and it may be sent again."""
    mesh = await workshop.send(as_stl(CUBE.vertices, CUBE.faces))
    await workshop.store.call("HSET", workshop.store.keys.mesh(mesh), "attempts", 3, "state", "working")
    await workshop.stack.worker("meshes")
    given_up = await workshop.wait(mesh, "refused", "ready")
    assert (given_up.state, given_up.reason) == ("refused", "gave_up")
    await until(lambda: _there(workshop.files.list() == []))
    assert await workshop.store.call("HGET", workshop.store.keys.mesh_use, "bytes") == "0"
    assert await workshop.send(as_stl(CUBE.vertices, CUBE.faces)) == mesh
    assert (await workshop.wait(mesh, "ready", "refused")).state == "ready"


async def test_an_entry_that_names_no_mesh_is_removed(workshop: Workshop) -> None:
    """What is written to the stream of jobs by hand ends no worker, waits for none, and takes no place in the queue."""
    jobs, call = workshop.store.keys.mesh_jobs, workshop.store.call
    for fields in (("a", "b"), ("mesh", "../../etc/passwd"), ("mesh", b"\xff\xfe")):
        await call("XADD", jobs, "*", *fields)
    worker = await workshop.stack.worker("meshes")
    mesh = await workshop.send(as_stl(CUBE.vertices, CUBE.faces))
    assert (await workshop.wait(mesh, "ready", "refused")).state == "ready"
    assert worker.running and len(worker.said("entry_refused")) == 3
    assert await call("XLEN", jobs) == 0
    assert (await call("XPENDING", jobs, GROUP))[0] == 0


async def test_the_late_end_of_an_old_attempt_keeps_the_job_for_others(store: Store) -> None:
    """A worker that was too slow ends nothing: if the worker of the newest attempt dies, the job is claimed again."""
    meshes, mesh = Meshes(store, 10**9), "a" * 64
    one, other = (
        ConsumerGroup(store, store.keys.mesh_jobs, GROUP, name, claim_idle_s=60.0, block_s=0.0, count=1)
        for name in ("one", "other")
    )
    await one.ensure()
    assert await meshes.reserve(mesh, 10, ".stl", "ada") == "storing"
    assert await meshes.queue(mesh) == "queued"
    (entry,) = await one.read()
    slow, _ = await meshes.take(entry)
    assert await other.claim(0.0) == [entry]
    newest, _ = await meshes.take(entry)
    assert not await meshes.refuse(entry, slow, "unreadable", "late", None)
    assert await one.claim(0.0) == [entry]
    last, _ = await meshes.take(entry)
    assert (slow, newest, last) == (1, 2, 3)
    assert await meshes.refuse(entry, last, "unreadable", "no mesh", None)
    assert await store.call("XLEN", store.keys.mesh_jobs) == 0
    assert await store.call("HEXISTS", store.keys.mesh_use, "jobs.ada") == 0


async def test_files_that_lie_are_refused_by_the_child(workshop: Workshop) -> None:
    """Claims of 10^9 vertices, lengths that are not there, a wrong format: each is refused, and none is a death of the
    process that reads it."""
    points, faces = CUBE.vertices, CUBE.faces
    bombs = {
        ".stl": as_stl(points, faces, count=10**9),
        ".glb": as_glb(points, faces, count=10**9),
        ".obj": as_obj(points, faces) + b"\nf 1 2 1000000000",
        ".ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 1000000000\nproperty float x\n"
        b"property float y\nproperty float z\nend_header\n",
        ".vtk": b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 1000000000 float\n",
        ".msh": b"$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n1000000000\n",
    }
    await workshop.stack.worker("meshes", MESH_MEMORY_MB="512")
    for form, data in bombs.items():
        seen = await workshop.wait(await workshop.send(data, form), "refused", "ready")
        assert (seen.state, seen.reason) == ("refused", "unreadable"), (form, seen)
        attempts = await workshop.store.call("HGET", workshop.store.keys.mesh(seen.mesh), "attempts")
        assert attempts == "1", form


async def test_retention_keeps_what_something_names(store: Store, tmp_path: Path) -> None:
    """A mesh that a scene in the store or a manifest in the archive names is kept, whatever its age; one that nothing
    names is removed with its file; the bytes in use follow."""
    settings = Settings(data_dir=tmp_path, archive_url=str(tmp_path / "archive"), mesh_days=1)
    files = MeshFiles(settings.archive_address)
    keys, call = store.keys, store.call
    names = []
    for number in range(4):
        data = bytes([number]) * 100
        (tmp_path / "one").write_bytes(data)
        names.append(hashlib.sha256(data).hexdigest())
        files.put(tmp_path / "one", names[-1], READY)
        await call("HSET", keys.mesh(names[-1]), "state", "ready", "ready", names[-1], "bytes", 100)
        await call("ZADD", keys.meshes, 1, names[-1])
    await call("HSET", keys.mesh_use, "bytes", 400)
    in_store, in_archive, new, unused = names
    await call("HSET", keys.scene("f" * 64), "data", json.dumps({"sha256": in_store}))
    folder = tmp_path / "archive" / "aaaaaaa2"
    folder.mkdir()
    (folder / "manifest-000001.json").write_text(json.dumps({"scene": json.dumps({"sha256": in_archive})}))
    await call("ZADD", keys.meshes, await store.now_ms(), new)
    retention = MeshRetention(store, settings)
    assert await retention.run_pass() == 1
    assert {sha256 for sha256, _ in files.list()} == {in_store, in_archive, new}
    assert await call("HGET", keys.mesh_use, "bytes") == "300"
    assert await call("EXISTS", keys.mesh(unused)) == 0
    assert float(await call("ZSCORE", keys.meshes, in_archive)) > time.time() * 1000 - 3_600_000
    assert await MeshRetention(store, settings).run_pass() == 0


async def test_what_killed_processes_left_is_removed(store: Store, tmp_path: Path) -> None:
    """kill -9 leaves a mesh that arrives and the folder of an upload: they go when they are old, others stay."""
    settings = Settings(data_dir=tmp_path, archive_url=str(tmp_path / "archive"))
    now, paths = time.time(), {}
    for name, age_s in (("meshing/a", 7200), ("meshing/b", 60), ("uploads/a", 90_000), ("uploads/b", 7200)):
        paths[name] = tmp_path / name
        paths[name].mkdir(parents=True)
        (paths[name] / "body").write_bytes(b"PK")
        os.utime(paths[name], (now - age_s, now - age_s))
    await MeshRetention(store, settings, clock=lambda: now).run_pass()
    assert [name for name, path in paths.items() if path.exists()] == ["meshing/b", "uploads/b"]


async def test_what_cannot_be_removed_is_logged(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that the disk does not give up is named in the log, and the others are removed."""
    settings = Settings(data_dir=tmp_path, archive_url=str(tmp_path / "archive"))
    stuck, free = tmp_path / "uploads" / "a", tmp_path / "uploads" / "b"
    for folder in (stuck, free):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    remove = shutil.rmtree

    def refuse(path: Path) -> None:
        if path == stuck:
            raise OSError(errno.EROFS, "read-only file system")
        remove(path)

    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(shutil, "rmtree", refuse)
    monkeypatch.setattr(
        mesh_retention.log, "warning", lambda event, *, path, error: seen.append((event, path))
    )
    await MeshRetention(store, settings).run_pass()
    assert (stuck.exists(), free.exists()) == (True, False)
    assert seen == [("not_removed", str(stuck))]


async def test_what_a_dead_server_and_worker_left_is_removed(store: Store, tmp_path: Path) -> None:
    """A reservation whose file never came gives its bytes back after an hour; a ready mesh that the store does not know
    is removed unless an upload of a recording, or anything else, names it. New ones stay, also without MESH_DAYS."""
    settings = Settings(
        data_dir=tmp_path,
        archive_url=str(tmp_path / "archive"),
        recordings_url=str(tmp_path / "recordings"),
        mesh_days=0,
    )
    files, keys, meshes = MeshFiles(settings.archive_address), store.keys, Meshes(store, 1000)
    old, fresh = "a" * 64, "b" * 64
    for sha256 in (old, fresh):
        assert await meshes.reserve(sha256, 100, ".stl", "ada") == "storing"
    await store.call("ZADD", keys.meshes, 1, old)
    names = {}
    for name in ("lost", "named", "new"):
        (tmp_path / "one").write_bytes(name.encode() * 20)
        names[name] = hashlib.sha256(name.encode() * 20).hexdigest()
        files.put(tmp_path / "one", names[name], READY)
        if name != "new":
            path = tmp_path / "archive" / "meshes" / f"{names[name]}.{READY}"
            os.utime(path, (time.time() - 7200, time.time() - 7200))
    table = b"table " + names["named"].encode()
    digest = hashlib.sha256(table).hexdigest()
    blob = tmp_path / "recordings" / BLOBS / place_of(digest)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(table)
    await Uploads(store, settings).store("rec8aaaa", "p1", "ada", NewUpload(digest, 10, 1))
    retention = MeshRetention(store, settings)
    await retention.run_pass()
    assert {sha256 for sha256, _ in files.list()} == {names["named"], names["new"]}
    assert await store.call("HGET", keys.mesh_use, "bytes") == "100"
    assert (await meshes.state(old), await meshes.state(fresh)) == ("", "storing")
    blob.unlink()
    with pytest.raises(FileNotFoundError):
        await retention.run_pass()
    assert {sha256 for sha256, _ in files.list()} == {names["named"], names["new"]}
    other = hashlib.sha256(b"other").hexdigest()
    there = tmp_path / "recordings" / BLOBS / place_of(other)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(b"other")
    await Uploads(store, settings).store("rec9aaaa", "p1", "ada", NewUpload(other, 5, 1))
    theirs = MeshFiles(settings.archive_address, "another")
    theirs.note_realm()
    await retention.run_pass()  # another realm has meshes here: which ones it needs is not known
    assert {sha256 for sha256, _ in files.list()} == {names["named"], names["new"]}
    (tmp_path / "archive" / "meshes" / "realm.another").unlink()
    await retention.run_pass()  # a table that is lost keeps nothing, while others are there
    assert {sha256 for sha256, _ in files.list()} == {names["new"]}
