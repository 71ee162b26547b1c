"""Every format, read by another program's reader, and what is left when an export fails."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.server.recordings.export.moving import DT, FIRST, HIDDEN, LENGTH, SEGMENTS, world
from tests.support.paths import ROOT
from tussle.lobby.errors import ProtocolError
from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import FORMATS, Film, export
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.zarr_frames import ZarrFrames

WRITTEN_HERE = [name for name in FORMATS if name != "rrd"]
MODULES = ROOT / "player" / "web" / "node_modules"
NAMES = {body.id for topology in SEGMENTS for body in topology.bodies}
SMALL = Film(size=(128, 96), fps=10)


def clip_of(recording: str, **chosen: Any) -> Clip:
    return Clip(ZarrFrames.open(recording), **chosen)


def test_a_copy_of_a_whole_recording_has_its_bytes(recording: str, place: Path) -> None:
    """Every file of the Zarr group, with chunks, metadata and events."""
    export(clip_of(recording), "zarr", place / "copy.zarr")
    files = [path for path in Path(recording).rglob("*") if path.is_file()]
    for path in files:
        assert (place / "copy.zarr" / path.relative_to(recording)).read_bytes() == path.read_bytes()
    assert len(files) == len([path for path in (place / "copy.zarr").rglob("*") if path.is_file()])


def test_a_part_of_a_recording_is_a_recording(recording: str, place: Path) -> None:
    """zarr reads it, and it says what it was taken from."""
    import zarr

    export(clip_of(recording, frames="30:60:3", bodies=["jelly"]), "zarr", place / "part.zarr")
    group: Any = zarr.open_group(str(place / "part.zarr"), mode="r")
    assert group["tick"][:].tolist() == [2 * frame for frame in range(30, 60, 3)]
    assert group["segments/1/rows"].shape == (6, 4, 3)
    assert np.allclose(group["segments/1/rows"][0], world("jelly-2", 42), atol=1e-6)
    taken = {"session": "k7qm2xpv", "frames": [30, 58, 3], "bodies": ["jelly"]}
    assert group.attrs["derived_from"] == taken
    assert ZarrFrames.open(str(place / "part.zarr")).length == 10


def test_numpy_loads_an_npz(recording: str, place: Path) -> None:
    """Arrays under the paths that they have in the recording, without pickled objects."""
    export(clip_of(recording, frames="1::2"), "npz", place / "a.npz")
    with np.load(place / "a.npz", allow_pickle=False) as loaded:
        assert loaded["time"].tolist() == [2 * frame * DT for frame in range(1, LENGTH, 2)]
        assert loaded["health"].shape == (FIRST, 2)
        rows = np.concatenate([loaded["segments/0/rows"][:, 8:], loaded["segments/1/rows"][:, 4:8]])
        assert np.allclose(rows[30], world("jelly-2", 61), atol=1e-6)
        assert loaded["segments/0/floor/faces"].shape == (4, 3)
        assert '"mode":"duel"' in str(loaded["attributes"])


def test_vtk_reads_the_series(recording: str, place: Path) -> None:
    """VTK's own reader finds world positions, triangles, bodies, seats and times of every frame."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    export(clip_of(recording), "vtk", place / "series")
    listed = ElementTree.parse(place / "series" / "recording.pvd").findall(".//DataSet")
    assert [float(one.get("timestep", "")) for one in listed] == [2 * n * DT for n in range(LENGTH)]
    for frame, one in enumerate(listed):
        reader = vtkXMLPolyDataReader()
        reader.SetFileName(str(place / "series" / one.get("file", "")))
        reader.Update()
        assert reader.GetErrorCode() == 0
        read = reader.GetOutput()
        bodies = SEGMENTS[frame // FIRST].bodies
        shown = [(n, body, world(body.id, frame)) for n, body in enumerate(bodies)]
        there = [(n, body, places) for n, body, places in shown if places is not None]
        assert np.allclose(
            vtk_to_numpy(read.GetPoints().GetData()), np.concatenate([p for *_, p in there]), atol=1e-5
        )
        cells = vtk_to_numpy(read.GetPolys().GetConnectivityArray()).reshape(-1, 3)
        assert (cells == np.concatenate([body.faces + 4 * n for n, (_, body, _) in enumerate(there)])).all()
        assert vtk_to_numpy(read.GetCellData().GetArray("body")).tolist() == [
            n for n, *_ in there for _ in range(4)
        ]
        seats = [-1 if body.seat is None else body.seat for _, body, _ in there for _ in range(4)]
        assert vtk_to_numpy(read.GetCellData().GetArray("seat")).tolist() == seats
        names = read.GetFieldData().GetAbstractArray("body_names")
        assert [names.GetValue(n) for n in range(names.GetNumberOfValues())] == [body.id for body in bodies]
        assert read.GetFieldData().GetArray("TimeValue").GetValue(0) == 2 * frame * DT


def test_a_gltf_reader_finds_every_vertex_at_its_place(recording: str, place: Path) -> None:
    """The animation, with turns, shear and elastic deformation, within a thousandth of a body's size; a body that is
    not in the world has no size."""
    from pygltflib import GLTF2

    export(clip_of(recording), "gltf", place / "a.glb")
    scene: Any = GLTF2().load(str(place / "a.glb"))
    assert {node.name for node in scene.nodes} == {"turner-0", "shearer-1", "jelly-2", "floor", "late-3"}
    targets = {node.name: len(scene.meshes[node.mesh].primitives[0].targets or ()) for node in scene.nodes}
    assert targets["turner-0"] == 0 and targets["shearer-1"] == 6 and 0 < targets["jelly-2"] <= 12
    for frame in range(LENGTH):
        for number, node in enumerate(scene.nodes):
            expected = world(node.name, frame)
            found, scale = _posed(scene, number, 2 * frame * DT)
            assert scale == (expected is not None), (node.name, frame)
            if expected is not None:
                assert np.abs(found - expected).max() < 1e-3 * 0.4, (node.name, frame)


@pytest.mark.skipif(
    not (shutil.which("node") and (MODULES / "three").is_dir()),
    reason="needs Node and the web client's packages",
)
def test_three_js_shows_the_animation(recording: str, place: Path) -> None:
    """The loader of three.js, which viewers on the web use, finds every vertex where it was in each frame, within a
    thousandth of a body's size. A body that is not in the world is not there."""
    export(clip_of(recording), "gltf", place / "a.glb")
    times = json.dumps([2 * frame * DT + 1e-4 for frame in range(0, LENGTH, 5)])
    check = ROOT / "tests" / "support" / "gltf_check.mjs"
    command = ["node", check, MODULES, place / "a.glb", times]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    shown = json.loads(done.stdout)
    assert len(shown) == len(range(0, LENGTH, 5))
    for number, meshes in enumerate(shown):
        frame = 5 * number
        wanted = {name: points for name in NAMES if (points := world(name, frame)) is not None}
        assert set(meshes) == set(wanted), frame
        for name, points in wanted.items():
            assert np.abs(np.array(meshes[name]) - points).max() < 1e-3 * 0.4, (name, frame)


def _posed(scene: Any, number: int, time: float) -> tuple[Array, float]:
    """The vertices of a node at a time of the animation, without its scale; and its scale."""
    node = scene.nodes[number]
    part = scene.meshes[node.mesh].primitives[0]
    pose: dict[str, Array] = {}
    for channel in scene.animations[0].channels:
        if channel.target.node == number:
            sampler = scene.animations[0].samplers[channel.sampler]
            times = _accessor(scene, sampler.input).reshape(-1)
            at = int(np.searchsorted(times, time + 1e-4)) - 1
            values = _accessor(scene, sampler.output)
            pose[channel.target.path] = values.reshape(len(times), -1)[at]
    points = _accessor(scene, part.attributes.POSITION).astype(np.float64)
    for weight, target in zip(pose.get("weights", ()), part.targets or (), strict=True):
        points = points + weight * _accessor(scene, target["POSITION"])
    x, y, z, w = pose.get("rotation", np.array([0.0, 0.0, 0.0, 1.0]))
    matrix = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    return points @ matrix.T + pose.get("translation", np.zeros(3)), float(pose.get("scale", np.ones(3))[0])


def _accessor(scene: Any, number: int) -> Array:
    accessor = scene.accessors[number]
    view = scene.bufferViews[accessor.bufferView]
    kind = {5126: "<f4", 5125: "<u4"}[accessor.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
    blob = scene.binary_blob()
    return np.frombuffer(blob, kind, accessor.count * width, view.byteOffset).reshape(accessor.count, width)


def test_duckdb_joins_the_tables(recording: str, place: Path) -> None:
    """Frames, seats, bodies, vertices and events, each fact once; no distance is null."""
    import duckdb

    export(clip_of(recording, frames="1:"), "parquet", place / "tables")
    tables = {path.stem: str(path) for path in (place / "tables").iterdir()}
    assert set(tables) == {"frames", "seats", "bodies", "vertices", "events"}
    counts = {
        name: duckdb.sql(f"select count(*) from '{path}'").fetchall()[0][0] for name, path in tables.items()
    }
    bodies = 3 * (LENGTH - 1)
    assert counts == {"frames": 79, "seats": 158, "bodies": bodies, "vertices": 4 * 79, "events": 2}
    found = duckdb.sql(
        f"select b.x, b.r1_x, f.energy, s.health, f.min_distance is null from '{tables['bodies']}' b"
        f" join '{tables['frames']}' f using (frame) join '{tables['seats']}' s using (frame, seat)"
        " where b.catalogue = 'turner' and f.tick = 20 and s.name = 'Ada'"
    ).fetchall()
    assert found == [(pytest.approx(0.2), pytest.approx(np.cos(1.1)), pytest.approx(4.5), 90.0, True)]
    hidden = f"select count(*) from '{tables['vertices']}' where x is null"
    assert duckdb.sql(hidden).fetchall() == [(4 * len(HIDDEN),)]


@pytest.mark.parametrize(("name", "codec"), [("mp4", "h264"), ("gif", "gif")])
def test_a_film_plays_in_simulated_time(recording: str, place: Path, name: str, codec: str) -> None:
    """A decoder finds pictures of the size and rate; they are not blank, and change where a body moves."""
    import av

    export(clip_of(recording, frames="10:40"), name, place / f"a.{name}", film=SMALL)
    with av.open(str(place / f"a.{name}")) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == codec and (stream.width, stream.height) == SMALL.size
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(stream)]
    assert len(pictures) == 11  # 29 intervals of 1/30 s at 10 pictures a second, and the last frame
    assert pictures[0].std() > 10
    assert np.abs(pictures[-1] - pictures[0]).max() > 60


def test_rerun_reads_its_file(recording: str, place: Path) -> None:
    """Rerun's own check of a file finds no error, where its SDK is installed."""
    pytest.importorskip("rerun")
    import sys

    export(clip_of(recording), "rrd", place / "a.rrd")
    command = [sys.executable, "-m", "rerun", "rrd"]
    done = subprocess.run(
        [*command, "verify", place / "a.rrd"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [*command, "print", place / "a.rrd"], capture_output=True, text=True, timeout=60, check=False
    )
    for entity in (
        "/world/turner-0",
        "/world/jelly-2",
        "/world/late-3",
        "/world/floor",
        "/curves/energy",
        "/events",
    ):
        assert entity in done.stdout


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_a_damaged_recording_leaves_no_file(recording: str, place: Path, name: str) -> None:
    """A chunk that is cut, in the second segment: the error is coded, and nothing is left."""
    shutil.copytree(recording, place / "bad.zarr")
    chunk = place / "bad.zarr" / "segments" / "1" / "rows" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(ProtocolError) as error:
        export(clip_of(str(place / "bad.zarr")), name, place / "out", film=SMALL)
    assert error.value.reason == "damaged_recording"
    assert [path.name for path in place.iterdir()] == ["bad.zarr"]


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files of this process can have so many bytes, as on a disk that is full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_a_full_disk_leaves_no_file(recording: str, place: Path, name: str) -> None:
    """The error of the file system comes through; an output of before is kept, with --force too."""
    (place / "out").write_text("mine")
    with small_disk(1000), pytest.raises(OSError):
        export(clip_of(recording), name, place / "out", film=SMALL, force=True)
    assert [path.name for path in place.iterdir()] == ["out"]
    assert (place / "out").read_text() == "mine"


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_an_interrupted_export_leaves_no_file(recording: str, place: Path, name: str) -> None:
    """Ctrl-C while frames are written."""

    def interrupt(frames: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(clip_of(recording), name, place / "out", film=SMALL, progress=interrupt)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_every_frame_is_counted_once(recording: str, place: Path, name: str) -> None:
    """So that the progress bar of the command ends where it should."""
    counted: list[int] = []
    export(clip_of(recording, frames="25:60"), name, place / "out", film=SMALL, progress=counted.append)
    assert sum(counted) == 35


def test_an_output_is_replaced_only_by_force(recording: str, place: Path) -> None:
    """A file, a folder, and one by the other."""
    clip = clip_of(recording, frames="0:2")
    export(clip, "npz", place / "out")
    with pytest.raises(FileExistsError):
        export(clip, "zarr", place / "out")
    assert (place / "out").is_file()
    for name in ("npz", "zarr", "zarr", "npz"):
        export(clip, name, place / "out", force=True)
        assert (place / "out").is_dir() == FORMATS[name].folder
        assert [path.name for path in place.iterdir()] == ["out"]
