"""A recording as a Zarr group: read without our code, whole or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from tests.server.recordings.frames import fill, frames, read, topology
from tussle.lobby.errors import LobbyError, NotFound, ProtocolError, Refused
from tussle.lobby.files import Files
from tussle.server.recordings.frame_store import OPTIONAL
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.server.recordings.zarr_layout import MESH_ARRAYS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of three segments."""
    path = tmp_path / "one.zarr"
    store = ZarrFrames.create(str(path), {"mode": "duel"}, seats=2)
    fill(store)
    store.close()
    return path


def test_zarr_reads_it_without_our_code(folder: Path) -> None:
    """zarr.open gives every array with the same numbers, the attributes, the energies, and the meshes."""
    store = ZarrFrames.open(str(folder))
    group = zarr.open_group(str(folder), mode="r")
    assert set(group.array_keys()) == {"tick", "time", "min_distance", "counts", "energies", "standings"}
    for name in ("tick", "time", "min_distance"):
        ours = np.array(read(store, range(store.length), (name,))[name])
        theirs = np.asarray(group[name])
        assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes(), name
    for number, segment in enumerate(store.segments):
        numbers = range(segment.first, segment.first + segment.frames)
        for name in ("rows", "active"):
            ours = np.array(read(store, numbers, (name,))[name])
            assert ours.tobytes() == np.asarray(group[f"segments/{number}/{name}"]).tobytes()
    named = {
        "counts": {"contacts": "contacts", "iterations": "iterations"},
        "energies": {"mechanical": "energy"} | {name.removeprefix("energy_"): name for name in OPTIONAL},
        "standings": {"health": "health", "score": "score", "out": "out"},
    }
    for path, kinds in named.items():
        assert group[path].attrs["kinds"] == list(kinds)
        theirs = np.asarray(group[path])
        for place, name in enumerate(kinds.values()):
            ours = np.array(read(store, range(store.length), (name,))[name])
            assert ours.astype(theirs.dtype).tobytes() == theirs[:, place].tobytes(), name
    numbers = np.array(read(store, range(store.length), ("segment",))["segment"])
    assert numbers.tolist() == [0] * 1500 + [1] * 700 + [2] * 40
    meshes, at = group.attrs["meshes"], 0
    for digest, count in zip(meshes["sha256"], meshes["vertices"], strict=True):
        if digest == store.segments[1].bodies[0].mesh:
            mesh = np.asarray(group["meshes/vertices"])[at : at + count]
            assert np.array_equal(mesh, topology("elastic").bodies[0].vertices)
            assert meshes["sha256"][group.attrs["segments"][1]["bodies"][0]["mesh"]] == digest
        at += count
    assert at == group["meshes/vertices"].shape[0]
    assert group.attrs["schema"] == "tussle-recording/3"
    assert [one["frames"] for one in group.attrs["segments"]] == [1500, 700, 40]


def test_each_array_opens_alone(folder: Path) -> None:
    """Every array has its own metadata."""
    array = zarr.open_array(str(folder / "segments" / "1" / "rows"), mode="r")
    assert array.shape == (700, 12, 3)
    assert array.metadata.dimension_names == ("frame", "row", "axis")


def test_xarray_reads_it_without_our_code(folder: Path) -> None:
    """The curves are one dataset along the frames, with tick and time as coordinates; each segment is another."""
    curves = xarray.open_zarr(folder, consolidated=False)
    assert set(curves.coords) == {"tick", "time"}
    assert curves["energies"].sizes == {"frame": 2240, "kind": 7}
    assert curves["energies"].attrs["units"] == "J"
    assert curves["standings"].sizes == {"frame": 2240, "standing": 3, "seat": 2}
    rows = xarray.open_zarr(folder, group="segments/0", consolidated=False)["rows"]
    assert rows.sizes == {"frame": 1500, "row": 8, "axis": 3}


def test_only_core_codecs_and_a_fixed_chunk(folder: Path) -> None:
    """Any reader of Zarr 3 has these codecs; the chunk depends on the shape alone."""
    seen = set()
    for path in folder.rglob("zarr.json"):
        document = json.loads(path.read_bytes())
        seen |= {codec["name"] for codec in document.get("codecs", [])}
        assert document["zarr_format"] == 3
    assert seen == {"bytes", "transpose", "blosc"}
    chunk = json.loads((folder / "segments/0/rows/zarr.json").read_bytes())["chunk_grid"]["configuration"]
    assert chunk == {"chunk_shape": [1024, 8, 3]}


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    """In whatever pieces the frames came, and from however many threads: equal files."""
    groups = []
    for number, pieces in enumerate(((1500,), (1,) * 200 + (700, 500, 100), (1024, 476))):
        store = ZarrFrames.create(str(tmp_path / str(number)), seats=2)
        whole, at = frames(0, 1500), 0
        for count in pieces:
            part = {name: array[at : at + count] for name, array in whole.items()}
            store.append(part, topology("affine", "affine") if at == 0 else None)
            at += count
        store.close()
        groups.append(
            {
                path.relative_to(tmp_path / str(number)): path.read_bytes()
                for path in (tmp_path / str(number)).rglob("*")
                if path.is_file()
            }
        )
    assert groups[0] == groups[1] == groups[2]


def test_equal_meshes_are_stored_once(folder: Path) -> None:
    """Three topologies of ten bodies have three different meshes; the two arrays of all meshes have each of them
    once."""
    store = ZarrFrames.open(str(folder))
    named = {body.mesh for segment in store.segments for body in segment.bodies}
    meshes = json.loads((folder / "zarr.json").read_bytes())["attributes"]["meshes"]
    assert sorted(meshes["sha256"]) == sorted(named) and len(named) == 3
    for part in ("vertices", "faces"):
        array = zarr.open_array(str(folder / "meshes" / part), mode="r")
        assert array.shape == (sum(meshes[part]), 3)


def test_the_metadata_of_an_array_is_stored_once(folder: Path) -> None:
    """A group on disk has no second copy of its arrays' metadata, which would be a third of a short duel's recording; a
    server adds it to its answer."""
    stored = json.loads((folder / "zarr.json").read_bytes())
    assert "consolidated_metadata" not in stored
    served = json.loads(ZarrFrames.open(str(folder)).file("zarr.json"))
    for path, document in served.pop("consolidated_metadata")["metadata"].items():
        assert json.loads((folder / path / "zarr.json").read_bytes()) == document
    assert served == stored


def test_a_new_recording_takes_no_place_that_is_taken(folder: Path) -> None:
    """What was recorded is never written over."""
    with pytest.raises(Refused) as refused:
        ZarrFrames.create(str(folder))
    assert refused.value.reason == "recording_exists"


@pytest.mark.parametrize("name", ["meshes", "arrays", "coordinates"])
def test_attributes_that_the_program_makes_are_refused(tmp_path: Path, folder: Path, name: str) -> None:
    """An attribute that would be overwritten is refused where it is given, and nothing is written."""
    with pytest.raises(Refused, match=name) as refused:
        ZarrFrames.create(str(tmp_path / "new.zarr"), {name: 1})
    assert (refused.value.reason, refused.value.field) == ("reserved_attribute", name)
    assert not (tmp_path / "new.zarr").exists()
    store, before = ZarrFrames.open(str(folder), write=True), (folder / "zarr.json").read_bytes()
    with pytest.raises(Refused, match=name):
        store.attributes = {name: 1}
    assert store.attributes["mode"] == "duel"
    store.attributes[name] = 1
    with pytest.raises(Refused, match=name):
        store.close()
    assert (folder / "zarr.json").read_bytes() == before
    del store.attributes[name]
    store.close()


def test_a_recording_that_is_read_is_not_written(folder: Path) -> None:
    """Only a recording that was opened to write takes frames."""
    with pytest.raises(Refused) as refused:
        ZarrFrames.open(str(folder)).append(frames(99_000, 1))
    assert refused.value.reason == "read_only"


def test_a_missing_recording_is_not_found(tmp_path: Path) -> None:
    """A folder without one, and no folder at all."""
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFound) as refused:
            ZarrFrames.open(str(place))
        assert refused.value.reason == "no_recording"


BODY = {"id": "a", "kind": "affine", "rows": 4, "mesh": 0}


def attributes(**changed: object) -> bytes:
    """The metadata of an empty recording, changed."""
    whole = {
        "schema": "tussle-recording/3",
        "segments": [],
        "meshes": {"sha256": [], "vertices": [], "faces": []},
        "arrays": {"seats": 0, "events_bytes": 0},
        "events": {"kinds": [], "kind": [], "tick": [], "values": []},
    }
    return json.dumps({"attributes": whole | changed}).encode()


def test_the_metadata_of_an_empty_recording_is_read(tmp_path: Path) -> None:
    """What the tests below change is a recording."""
    (tmp_path / "zarr.json").write_bytes(attributes())
    assert ZarrFrames.open(str(tmp_path)).length == 0


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"zarr_format":3,"node_type":"group","attributes":{}}',
        b'{"attributes":{"schema":"tussle-recording/2","segments":[],"meshes":[],"arrays":{},"events":{}}}',
        b'{"attributes":{"schema":"tussle-recording/3","segments":[]}}',
        attributes(segments=7),
        attributes(arrays={}),
        attributes(meshes={"sha256": ["0"], "vertices": [], "faces": []}),
        attributes(segments=[{"first": 0, "frames": 1, "bodies": [BODY]}]),
        attributes(events={"kinds": [["out"]], "kind": [1], "tick": [2], "values": [[]]}),
        attributes(events={"kinds": [[]], "kind": [0], "tick": [2], "values": [[]]}),
        attributes(events={"kinds": [["out"]], "kind": [0, 0], "tick": [2], "values": [[]]}),
    ],
)
def test_a_foreign_group_is_refused(tmp_path: Path, text: bytes) -> None:
    """Another Zarr group, or no group, is refused as not_a_recording."""
    (tmp_path / "zarr.json").write_bytes(text)
    with pytest.raises(ProtocolError) as refused:
        ZarrFrames.open(str(tmp_path))
    assert refused.value.reason == "not_a_recording"


def everything(path: Path) -> None:
    store = ZarrFrames.open(str(path))
    for _ in store.frames(range(store.length), store.fields):
        pass
    for number in range(len(store.segments)):
        store.topology(number)


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "size"])
def test_a_damaged_chunk_is_reported(folder: Path, damage: str) -> None:
    """A chunk or mesh that is missing, cut off or claims another size is damaged_recording, never fill values."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "zarr.json"]
    paths = [path for path in paths if "log" not in path.parts]
    everything(folder)
    for path in paths:
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            bad = {"cut": data[:-1], "empty": b"", "size": data[:4] + b"\xff\xff\xff\x7f" + data[8:]}[damage]
            path.write_bytes(bad)
        with pytest.raises(ProtocolError) as refused:
            everything(folder)
        assert refused.value.reason == "damaged_recording", path
        path.write_bytes(data)
    everything(folder)


def test_a_changed_mesh_is_found(folder: Path) -> None:
    """A mesh is named by its hash; other numbers under that name are refused."""
    layout, path = MESH_ARRAYS[0], folder / MESH_ARRAYS[0].chunk_path(0)
    vertices = layout.decode(path.read_bytes()).copy()
    vertices[0] += 1.0
    path.write_bytes(layout.encode(vertices))
    with pytest.raises(ProtocolError) as refused:
        everything(folder)
    assert refused.value.reason == "damaged_recording"


def test_no_flipped_byte_of_the_metadata_ends_in_a_traceback(folder: Path) -> None:
    """Each byte changed: the recording opens as it can, or the error has a code."""
    path = folder / "zarr.json"
    data = path.read_bytes()
    for at in range(0, len(data), 37):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        try:
            everything(folder)
        except LobbyError as error:
            assert error.reason in ("not_a_recording", "damaged_recording")


def test_a_recording_says_nothing_before_it_is_closed(tmp_path: Path) -> None:
    """A writer that died left chunks and no group: there is no recording, not half of one."""
    store = ZarrFrames.create(str(tmp_path / "one.zarr"), seats=2)
    store.append(frames(0, 1500), topology("affine", "affine"))
    with pytest.raises(NotFound):
        ZarrFrames.open(str(tmp_path / "one.zarr"))


def test_clients_and_bots_load_no_codec() -> None:
    """numcodecs and zarr take a tenth and half a second; who neither reads nor writes a chunk never imports them."""
    program = (
        "import sys, tussle.player.client, tussle.player.bots, tussle.server.app;"
        "import tussle.server.recordings.zarr_frames;"
        "sys.exit(', '.join({'numcodecs', 'zarr', 'xarray', 's3fs'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_any_failure_of_a_file_system_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries of object stores raise errors of their own; a caller need not know them."""
    files = Files("memory://one")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no connection")

    for name in ("cat_file", "pipe_file", "exists", "ls", "rm_file", "rm"):
        monkeypatch.setattr(files._fs, name, fail)
    for call in (
        lambda: files.read("a"), lambda: files.write("a", b""), lambda: files.exists("a"), lambda: files.list(),
        lambda: files.delete("a"), lambda: files.remove("a"),
    ):  # fmt: skip
        with pytest.raises(OSError, match="RuntimeError: no connection"):
            call()
