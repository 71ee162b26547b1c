"""Mesh files become bodies; a broken file is refused with one clear line."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import meshio
import numpy as np
import pytest

from tests.support.mesh_files import as_file, as_glb
from tests.support.worlds import RUBBER, STONE, block, cube, ground, scene
from tussle.lobby.errors import Refused
from tussle.lobby.mesh_files import READY, MeshFiles
from tussle.lobby.rules.mesh_faults import BadMesh, MeshFault
from tussle.lobby.rules.scenes import Body, Recipe
from tussle.server.physics import mesh_formats
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.embedding import embed, embedded_vertices
from tussle.server.physics.geometry import Mesh, signed_volume
from tussle.server.physics.mesh_formats import FORMATS
from tussle.server.physics.meshes import (
    decode_mesh,
    encode_mesh,
    load_recipe,
    read_mesh,
    solid_of,
    tetrahedralise,
    write_mesh,
)
from tussle.server.physics.model import body_vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build
from tussle.server.physics.solver import step
from tussle.server.physics.stored_meshes import load_mesh, use_meshes
from tussle.server.physics.world_state import State

CUBE = build(Recipe("box", {"size": [1.0, 1.0, 1.0]}))
BLOCK = build(Recipe("block", {"size": [1.0, 1.0, 1.0], "cells": [2, 2, 2]}))
TORUS = build(Recipe("torus", {"n": 12, "m": 6, "R": 0.5, "r": 0.2}))
VOLUME = signed_volume(TORUS.vertices, TORUS.faces)

Points = list[list[float]] | np.ndarray


def write(path: Path, points: Points, cells: list[tuple[str, object]]) -> Path:
    meshio.Mesh(np.array(points, dtype=float), [(kind, np.array(data)) for kind, data in cells]).write(path)
    return path


@pytest.mark.parametrize("ending", sorted(set(FORMATS) - {".glb"}))
def test_surfaces_of_every_format(tmp_path: Path, ending: str) -> None:
    """A closed triangle surface survives every format, also STL, which repeats each vertex in every triangle."""
    mesh = read_mesh(write(tmp_path / f"torus{ending}", TORUS.vertices, [("triangle", TORUS.faces)]))
    assert mesh.closed and mesh.tetrahedra is None
    assert (len(mesh.vertices), len(mesh.faces)) == (len(TORUS.vertices), len(TORUS.faces))
    assert signed_volume(mesh.vertices, mesh.faces) == pytest.approx(
        signed_volume(TORUS.vertices, TORUS.faces), rel=1e-5
    )


@pytest.mark.parametrize("ending", [".vtk", ".vtu", ".msh"])
def test_tetrahedra(tmp_path: Path, ending: str) -> None:
    """Tetrahedra survive the formats that have them, and become an elastic body."""
    path = write(tmp_path / f"block{ending}", BLOCK.vertices, [("tetra", BLOCK.tetrahedra)])
    mesh = read_mesh(path)
    assert mesh.tetrahedra is not None and len(mesh.tetrahedra) == 48
    body = Body("a", Recipe("mesh", {"path": path.name}), RUBBER, "elastic", position=(0, 1, 0))
    model, state = compile_scene(scene([ground(), body]), load_mesh=lambda r: load_recipe(r, folder=tmp_path))
    assert model.masses[0] == pytest.approx(1000.0)
    state, _ = step(model, state)
    assert check_contact(model, state).passed


def test_inverted_tetrahedra_are_turned(tmp_path: Path) -> None:
    """A file that orders its tetrahedra the other way round is read correctly."""
    assert BLOCK.tetrahedra is not None
    path = write(tmp_path / "block.vtu", BLOCK.vertices, [("tetra", BLOCK.tetrahedra[:, [1, 0, 2, 3]])])
    assert signed_volume(BLOCK.vertices, read_mesh(path).faces) == pytest.approx(1.0)


def test_faces_are_turned_outwards(tmp_path: Path) -> None:
    """Faces that disagree with one another, and with the outside, are oriented."""
    faces = CUBE.faces.copy()
    faces[[1, 4, 7]] = faces[[1, 4, 7]][:, ::-1]
    mesh = read_mesh(write(tmp_path / "cube.ply", CUBE.vertices, [("triangle", faces)]))
    assert mesh.closed and signed_volume(mesh.vertices, mesh.faces) == pytest.approx(1.0)


def test_quadrilaterals_are_split(tmp_path: Path) -> None:
    """Quadrilaterals become two triangles each."""
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    mesh = read_mesh(write(tmp_path / "cube.obj", corners, [("quad", quads)]))
    assert mesh.closed and len(mesh.faces) == 12


def test_polygons_normals_and_colours(tmp_path: Path) -> None:
    """Polygons are split; the seams of textures, normals, colours of points, comments and negative numbers are read."""
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    rings = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    coloured = "".join(f"v {x} {y} {z} 0.5 0.5 0.5\n" for x, y, z in corners)
    faces = "".join("f " + " ".join(f"{k - 8}/{1 + k % 4}/1" for k in ring) + "\n" for ring in rings)
    seams = "vt 0 0\nvt 1 0\nvt 0 1\nvt 1 1\nvn 0 0 1\n"
    (tmp_path / "cube.obj").write_text(f"# a cube\nmtllib x.mtl\n{coloured}{seams}usemtl x\n{faces}")
    lines = ["COFF # a cube", "8 6 12", *(f"{x} {y} {z} 255 0 0 255" for x, y, z in corners)]
    (tmp_path / "cube.off").write_text("\n".join([*lines, *("4 " + " ".join(map(str, r)) for r in rings)]))
    for name in ("cube.obj", "cube.off"):
        mesh = read_mesh(tmp_path / name)
        assert (len(mesh.vertices), len(mesh.faces)) == (8, 12), name
        assert mesh.closed and signed_volume(mesh.vertices, mesh.faces) == pytest.approx(1.0)


def test_an_open_sheet_is_an_obstacle_only(tmp_path: Path) -> None:
    """A sheet may be static; as a body it is refused by name."""
    path = write(
        tmp_path / "sheet.obj",
        [[-2, 0, -2], [2, 0, -2], [2, 0, 2], [-2, 0, 2]],
        [("triangle", [[0, 2, 1], [0, 3, 2]])],
    )
    sheet = Recipe("mesh", {"path": str(path)})
    compile_scene(
        scene([Body("sheet", sheet, STONE, "static"), cube("a", position=(0, 1, 0))]), load_mesh=load_recipe
    )
    with pytest.raises(Refused, match=r"'sheet'.*closed"):
        compile_scene(scene([Body("sheet", sheet, STONE)]), load_mesh=load_recipe)


def broken(make: Callable[[Path], Path], word: str) -> object:
    return pytest.param(make, word, id=word.replace(" ", "-"))


FAN = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]]
TWO = np.concatenate([CUBE.vertices, CUBE.vertices + np.array([0.5, 0.45, 0.4])])
FLAT = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
GAP = [[0, 0, 0], [1, 0, 0], [np.nan, 1, 0]]
BOTH = np.concatenate([CUBE.faces, CUBE.faces + 8])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        broken(lambda d: d / "absent.vtk", "no such file"),
        broken(lambda d: d.joinpath("x.su2").write_text("NDIME= 3") and d / "x.su2", "unknown ending"),
        broken(
            lambda d: d.joinpath("x.off").write_text("OFF\n9 1000000000 0\n0 0 0\n") and d / "x.off",
            "do not hold",
        ),
        broken(lambda d: d.joinpath("x.vtk").write_text("nonsense") and d / "x.vtk", "cannot be read"),
        broken(lambda d: d.joinpath("x.stl").write_bytes(b"") or d / "x.stl", "x.stl"),
        broken(lambda d: d.joinpath("x.msh").write_bytes(bytes(range(256))) and d / "x.msh", "x.msh"),
        broken(lambda d: write(d / "x.vtk", CUBE.vertices, [("line", [[0, 1]])]), "neither triangles"),
        broken(
            lambda d: write(d / "x.vtu", FAN, [("triangle", [[0, 1, 2], [0, 1, 3], [0, 1, 4]])]),
            "three or more",
        ),
        broken(lambda d: write(d / "x.vtu", FAN, [("triangle", [[0, 1, 1]])]), "degenerate"),
        broken(
            lambda d: write(
                d / "x.vtu", [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], [("tetra", [[0, 1, 2, 3]])]
            ),
            "flat",
        ),
        broken(
            lambda d: write(d / "x.vtu", GAP, [("triangle", [[0, 1, 2]])]),
            "finite",
        ),
        broken(
            lambda d: write(d / "x.vtu", TWO, [("triangle", np.concatenate([CUBE.faces, CUBE.faces + 8]))]),
            "intersects",
        ),
    ],
)
def test_broken_files(
    tmp_path: Path, make: Callable[[Path], Path], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each broken file is refused with its name and one line, and nothing is printed."""
    with pytest.raises(Refused) as caught:
        read_mesh(make(tmp_path))
    message = str(caught.value)
    assert (
        caught.value.reason == "bad_mesh" and word in message and "\n" not in message and len(message) < 250
    )
    assert capsys.readouterr() == ("", "")


def test_a_moebius_strip_has_no_sides(tmp_path: Path) -> None:
    """A surface that cannot be oriented is refused."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points = [
        [(1 + s * np.cos(a / 2)) * np.cos(a), s * np.sin(a / 2), (1 + s * np.cos(a / 2)) * np.sin(a)]
        for a in angles
        for s in (-0.2, 0.2)
    ]
    faces = []
    for k in range(12):
        a, b = 2 * k, 2 * k + 1
        c, d = ((2 * k + 2), (2 * k + 3)) if k < 11 else (1, 0)
        faces += [[a, b, c], [b, d, c]]
    with pytest.raises(Refused, match="oriented"):
        read_mesh(write(tmp_path / "strip.vtu", points, [("triangle", faces)]))


def test_scenes_from_outside_read_no_files() -> None:
    """Without a loader, a scene that names a file is refused."""
    with pytest.raises(Refused, match="'a'"):
        compile_scene(scene([Body("a", Recipe("mesh", {"path": "/etc/passwd"}), STONE)]))


def test_tetrahedralisation(tmp_path: Path) -> None:
    """A closed surface, however small, is filled with tetrahedra, which a mesh file keeps exactly."""
    filled = tetrahedralise(Mesh(1e-9 * TORUS.vertices, TORUS.faces), edge_length=0.3)
    assert filled.tetrahedra is not None
    assert signed_volume(filled.vertices, filled.faces) == pytest.approx(1e-27 * VOLUME, rel=0.03)
    write_mesh(filled, tmp_path / "torus.vtu")
    again = read_mesh(tmp_path / "torus.vtu")
    assert len(again.vertices) == len(filled.vertices) and len(again.faces) == len(filled.faces)
    with pytest.raises(Refused, match="inside"):
        tetrahedralise(Mesh(CUBE.vertices, CUBE.faces[:-1], closed=False))


def test_an_embedded_surface_follows_its_body() -> None:
    """A fine sphere inside a coarse block moves, turns and stretches with it; so with an affine body."""
    sphere = build(Recipe("sphere", {"radius": 0.14, "level": 2}))
    turn = (0.9, 0.1, 0.3, 0.2)
    model, state = compile_scene(
        scene([block("a", position=(0, 1, 0), rotation=turn), cube("b", position=(1, 1, 0), rotation=turn)])
    )
    stretch = np.diag([1.2, 0.9, 1.1])
    for body in range(2):
        fine = embed(model, body, sphere)
        rest, _ = model.surface(body)
        now = body_vertices(model, state, body)
        rigid = np.linalg.lstsq(np.c_[rest, np.ones(len(rest))], now, rcond=None)[0]
        assert embedded_vertices(fine, state) == pytest.approx(np.c_[sphere.vertices, np.ones(162)] @ rigid)
        q = state.q @ stretch
        assert embedded_vertices(fine, State(q=q, v=state.v, active=state.active)) == pytest.approx(
            np.c_[sphere.vertices, np.ones(162)] @ rigid @ stretch
        )


def fault(path: Path) -> BadMesh:
    with pytest.raises(BadMesh) as caught:
        solid_of(read_mesh(path), path.name)
    return caught.value


SHARED = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.5]]


@pytest.mark.parametrize(
    ("points", "cells", "kind"),
    [
        (CUBE.vertices, ("triangle", CUBE.faces[1:]), MeshFault.OPEN),
        (FAN, ("triangle", [[0, 1, 2], [0, 1, 3], [0, 1, 4]]), MeshFault.NOT_MANIFOLD),
        (TWO, ("triangle", BOTH), MeshFault.INTERSECTS),
        (SHARED, ("tetra", [[0, 1, 2, 3], [0, 1, 2, 4]]), MeshFault.INVERTED),
        (FLAT, ("tetra", [[0, 1, 2, 3]]), MeshFault.FLAT),
    ],
)
def test_a_fault_has_a_kind_and_a_place(
    tmp_path: Path, points: Points, cells: tuple[str, object], kind: MeshFault
) -> None:
    """The place is on the mesh, in the coordinates of the file."""
    found = fault(write(tmp_path / "x.vtu", points, [cells]))
    assert found.fault is kind and found.place is not None, found
    low, high = np.min(points, axis=0) - 1e-9, np.max(points, axis=0) + 1e-9
    assert (low <= found.place).all() and (found.place <= high).all()


@pytest.mark.parametrize("ending", [".stl", ".obj", ".off", ".ply", ".vtk", ".msh", ".glb"])
def test_any_bytes_are_read_or_refused(tmp_path: Path, ending: str) -> None:
    """Cut off anywhere, with any byte changed, or of another format: a coded refusal, never another exception."""
    whole = as_file(ending, TORUS.vertices, TORUS.faces)
    chance = np.random.default_rng(7)
    path = tmp_path / f"x{ending}"
    variants = [whole[: int(cut)] for cut in chance.integers(0, len(whole), 6)]
    for at in [*range(0, 80, 5), *chance.integers(0, len(whole), 12)]:
        changed = bytearray(whole)
        changed[int(at)] ^= int(chance.integers(1, 256))
        variants.append(bytes(changed))
    for data in [*variants, b"", b"\0" * 200, bytes(range(256))]:
        path.write_bytes(data)
        with contextlib.suppress(BadMesh):
            read_mesh(path)


def test_a_glb_has_its_nodes_transformations(tmp_path: Path) -> None:
    """A scaled, turned and moved node gives a scaled, turned and moved mesh."""
    node = {
        "scale": [2.0, 1.0, 1.0],
        "rotation": [0.0, 0.0, 0.5**0.5, 0.5**0.5],
        "translation": [5.0, 0.0, 0.0],
    }
    path = tmp_path / "cube.glb"
    path.write_bytes(as_glb(CUBE.vertices, CUBE.faces, node=node))
    mesh = read_mesh(path)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([1.0, 2.0, 1.0], abs=1e-6)
    assert mesh.vertices.mean(axis=0) == pytest.approx([5.0, 0.0, 0.0], abs=1e-6)


def test_a_stored_mesh_is_read_by_its_hash_only(tmp_path: Path) -> None:
    """The bytes give the same mesh; a changed byte, an unknown hash and a path are refused; a scale is applied."""
    data = encode_mesh(BLOCK)
    decoded = decode_mesh(data)
    assert np.array_equal(decoded.vertices, BLOCK.vertices) and np.array_equal(decoded.faces, BLOCK.faces)
    name = hashlib.sha256(data).hexdigest()
    (tmp_path / "block").write_bytes(data)
    MeshFiles(str(tmp_path)).put(tmp_path / "block", name, READY)
    use_meshes(str(tmp_path))
    recipe = Recipe("mesh", {"sha256": name, "scale": 0.5})
    body = Body("a", recipe, RUBBER, "elastic", position=(0, 1, 0))
    model, _ = compile_scene(scene([ground(), body]), load_mesh=load_mesh)
    assert model.volumes[0] == pytest.approx(0.125)
    (tmp_path / "meshes" / f"{name}.mesh").write_bytes(data[:-1] + b"\xff")
    use_meshes(str(tmp_path))
    for params in ({"sha256": name}, {"sha256": "0" * 64}, {"path": "block"}, {"sha256": "../block"}):
        with pytest.raises(Refused) as caught:
            load_mesh(Recipe("mesh", params))
        assert caught.value.reason == "unknown_mesh"


VTU = """<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian" header_type="UInt64"{compressor}>
<UnstructuredGrid><Piece NumberOfPoints="{points}" NumberOfCells="{cells}"><Points>
<DataArray type="Float64" NumberOfComponents="3" format="{format}">{data}</DataArray></Points><Cells>
<DataArray type="Int64" Name="connectivity" format="ascii">0 1 2 3</DataArray>
<DataArray type="Int64" Name="offsets" format="ascii">4</DataArray>
<DataArray type="UInt8" Name="types" format="ascii">10</DataArray></Cells></Piece></UnstructuredGrid></VTKFile>"""
CORNERS = "0 0 0 1 0 0 0 1 0 0 0 1"
BLOCKS = base64.b64encode(struct.pack("<3Q", 1 << 60, 1 << 60, 0) + bytes(96)).decode()


@pytest.mark.parametrize(
    ("points", "cells", "form", "data"),
    [
        (10**15, 1, "ascii", CORNERS),
        (4, 10**15, "ascii", CORNERS),
        (4, 1, "binary", BLOCKS),
    ],
)
def test_a_vtu_header_that_lies_is_refused(
    tmp_path: Path, points: int, cells: int, form: str, data: str
) -> None:
    """Numbers of points, cells and blocks that the file does not have: one line, and memory for none of them."""
    compressor = ' compressor="vtkZLibDataCompressor"' if form == "binary" else ""
    path = tmp_path / "lie.vtu"
    text = VTU.format(compressor=compressor, points=points, cells=cells, format=form, data=data)
    path.write_text(text)
    tracemalloc.start()
    with pytest.raises(BadMesh):
        read_mesh(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("pack", [zlib.compress, lzma.compress])
def test_a_compressed_vtu_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    """A small file could ask for any memory. One within the bound is read, also after another was refused."""
    corners = np.array([float(one) for one in CORNERS.split()]).tobytes()
    name = "vtkZLibDataCompressor" if pack is zlib.compress else "vtkLZMADataCompressor"

    def made(data: bytes) -> Path:
        packed = pack(data)
        head = struct.pack("<4Q", 1, len(data), 0, len(packed))
        coded = base64.b64encode(head).decode() + base64.b64encode(packed).decode()
        path = tmp_path / "packed.vtu"
        text = VTU.format(compressor=f' compressor="{name}"', points=4, cells=1, format="binary", data=coded)
        path.write_text(text)
        return path

    monkeypatch.setattr(mesh_formats, "DECOMPRESSED_MAX", 1 << 20)
    with pytest.raises(BadMesh, match="more than 1048576 bytes"):
        read_mesh(made(bytes(8 << 20)))
    assert len(read_mesh(made(corners)).vertices) == 4
