"""One simulation without a lobby writes all of its files, and a second one writes the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import meshio
import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.worlds import cube, ground, scene
from tussle.cli.simulate import simulate as command
from tussle.lobby.errors import Refused
from tussle.lobby.ready_meshes import ready_meshes
from tussle.lobby.rules.scenes import Rail, Recipe, decode_scene, encode_scene
from tussle.server.physics.checkpoint import decode_state, state_hash
from tussle.server.physics.meshes import load_recipe, write_mesh
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build
from tussle.server.physics.solver import step
from tussle.server.physics.stored_meshes import use_meshes
from tussle.server.simulation.simulate import load_scene, simulate


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    path = tmp_path / "ball.vtk"
    mesh = build(Recipe("ball", {"radius": 0.2, "cells": 2}))
    assert mesh.tetrahedra is not None
    meshio.Mesh(mesh.vertices, [("tetra", mesh.tetrahedra)]).write(path)
    return path


def test_a_mesh_file(ball: Path, tmp_path: Path) -> None:
    """A mesh falls on the ground; frames, index, series, plot and recording agree with one another."""
    out = tmp_path / "out"
    invoked = CliRunner().invoke(
        command, ["-i", str(ball), "-o", str(out), "--steps", "40", "--check", "--material", "jelly"]
    )
    assert invoked.exit_code == 0, invoked.output
    assert "40 contact checks, 0 intersections, 0 inversions" in invoked.output
    index = ElementTree.parse(out / "simulation.pvd").getroot()
    files = [entry.attrib["file"] for entry in index.iter("DataSet")]
    assert len(files) == 21 and all((out / name).is_file() for name in files)
    first, last = (meshio.read(out / files[k]) for k in (0, -1))
    assert {"tetra", "triangle"} == {block.type for block in last.cells}
    assert last.points[:, 1].max() < first.points[:, 1].max() and "velocity" in last.point_data
    rows = list(csv.DictReader((out / "series.csv").read_text().splitlines()))
    assert len(rows) == 40 and float(rows[-1]["min_distance_m"]) > 0 and float(rows[-1]["elastic_J"]) > 0
    assert (out / "plot.svg").read_text().count("<polyline") >= 4
    recording = json.loads((out / "recording.json").read_text())
    whole = (out / "states.bin").read_bytes()
    assert len(recording["hashes"]) == 41 and len(whole) % 41 == 0
    size = len(whole) // 41
    states = [decode_state(whole[k * size : (k + 1) * size]) for k in range(41)]
    assert [state_hash(state) for state in states] == recording["hashes"]


def test_the_written_scene_gives_the_same_again(ball: Path, tmp_path: Path) -> None:
    """Simulating the scene of the output folder reproduces the last state to the bit."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    made = load_scene(ball, folder=first)
    one = simulate(made, first, steps=10)
    again = load_scene(first / "scene.json", folder=second)
    two = simulate(again, second, steps=10, meshes=first)
    assert one.state_hash == two.state_hash and one.holds and two.holds
    model, state = compile_scene(again, load_mesh=lambda recipe: load_recipe(recipe, folder=first))
    for _ in range(10):
        state, _ = step(model, state)
    assert state_hash(state) == one.state_hash


def test_a_scene(tmp_path: Path) -> None:
    """A scene document is simulated as it is, or with another dt and material."""
    path = tmp_path / "scene.json"
    path.write_bytes(encode_scene(scene([ground(), cube("a", position=(0, 0.3, 0))])))
    invoked = CliRunner().invoke(command, ["-i", str(path), "-o", str(tmp_path / "out"), "--steps", "5"])
    assert invoked.exit_code == 0, invoked.output
    assert decode_scene((tmp_path / "out" / "scene.json").read_bytes()) == decode_scene(path.read_bytes())
    changed = load_scene(path, dt=0.01, material="foam", folder=tmp_path)
    assert changed.dt == 0.01 and changed.bodies[1].material.density == 120.0


def test_a_closed_surface_is_filled(tmp_path: Path) -> None:
    """A triangle surface is filled with tetrahedra, which are kept beside the result."""
    write_mesh(build(Recipe("torus", {"n": 10, "m": 5, "R": 0.17, "r": 0.075})), tmp_path / "torus.vtu")
    made = load_scene(tmp_path / "torus.vtu", folder=tmp_path)
    assert simulate(made, tmp_path, steps=2).holds
    assert np.isfinite(meshio.read(tmp_path / "body.vtu").points).all()


def test_a_sliver_that_cannot_be_filled_is_one_line(tmp_path: Path) -> None:
    """A surface at which the program that fills it crashes is refused by its name, and nothing else happens."""
    sliver = build(Recipe("box", {"size": [1.0, 1e-4, 1e-4]}))
    write_mesh(sliver, tmp_path / "sliver.vtu")
    with pytest.raises(Refused, match=r"sliver\.vtu: the surface could not be filled") as caught:
        load_scene(tmp_path / "sliver.vtu", folder=tmp_path)
    assert caught.value.reason == "bad_mesh" and "\n" not in caught.value.message
    assert not (tmp_path / "body.vtu").exists()


def test_frames_have_the_velocity_of_every_body(tmp_path: Path) -> None:
    """The velocities of a turning affine body and of a rail are those of their vertices."""
    spun = cube("a", position=(0, 2, 0), velocity=(1.0, 0.0, 0.0), spin=(0.0, 2.0, 0.0))
    moved = cube("r", position=(0, 4, 0), kind="rail", rail=Rail(amplitude=(0.1, 0, 0), frequency=0.5))
    made = scene([ground(), spun, moved], gravity=(0.0, 0.0, 0.0))
    simulate(made, tmp_path, steps=2)
    frame = meshio.read(tmp_path / "frames" / "000002.vtu")
    owner = frame.cell_data["body"][0]
    for body, speed in ((0, (1.0, 0.0, 0.0)), (1, (0.1 * np.pi, 0.0, 0.0)), (-1, (0.0, 0.0, 0.0))):
        velocity = frame.point_data["velocity"][np.unique(frame.cells[0].data[owner == body])]
        assert velocity.mean(axis=0) == pytest.approx(speed, abs=2e-3), body
        turning = np.ptp(velocity, axis=0)
        assert turning[2] == pytest.approx(2.0 * 0.3 if body == 0 else 0.0, rel=0.1, abs=1e-9), body


def test_a_ready_mesh_is_dropped_by_its_name(tmp_path: Path) -> None:
    """A name of the catalogue is a soft body; its scene names the mesh by hash, and needs no file and no server."""
    use_meshes(str(tmp_path / "nothing"))
    made = load_scene(Path("bone"), material="jelly", folder=tmp_path)
    (mesh,) = (mesh for mesh in ready_meshes().values() if mesh.id == "bone")
    assert made.bodies[1].shape == Recipe("mesh", {"sha256": mesh.sha256})
    assert simulate(made, tmp_path, steps=2).holds


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["-i", "absent.vtk"], "no such file"),
        (["-i", "absent.json"], "No such file"),
        (["-i", "nonsense.json"], "not a scene"),
        (["-i", "ball.vtk", "--material", "cheese"], "cheese"),
    ],
)
def test_an_invalid_input_is_one_line(
    ball: Path, arguments: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken input is one clear line and exit code 1."""
    monkeypatch.chdir(tmp_path)
    Path("nonsense.json").write_text("{}")
    invoked = CliRunner().invoke(command, [*arguments, "-o", "out"])
    assert invoked.exit_code == 1 and word in invoked.output
    assert len(invoked.output.strip().splitlines()) == 1


def test_an_overlapping_scene_is_refused(tmp_path: Path) -> None:
    """A scene that cannot start leaves nothing behind."""
    with pytest.raises(Refused, match="'a' and 'b'"):
        simulate(scene([cube("a"), cube("b", position=(0.1, 0, 0))]), tmp_path / "out", steps=1)
    assert not (tmp_path / "out").exists()
