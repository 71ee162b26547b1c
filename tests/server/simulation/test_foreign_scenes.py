"""Scenes of Rigid IPC and polyfem are read as far as our features go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from click.testing import CliRunner

from tussle.cli.main import main
from tussle.lobby.errors import Refused
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.simulation.foreign_scenes import is_foreign_scene, read_foreign_scene
from tussle.server.simulation.simulate import load_scene, mesh_of

CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
TETS = np.array([[0, 4, 6, 5], [0, 6, 2, 3], [0, 5, 3, 1], [5, 6, 3, 7], [0, 6, 3, 5]])


def write(folder: Path, document: dict[str, Any], meshes: str = "meshes") -> Path:
    """A scene in a folder, and a cube of 1 m in a folder of meshes beside it."""
    (folder / meshes).mkdir(exist_ok=True)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in CORNERS]
    lines += ["f " + " ".join(str(corner + 1) for corner in face) for face in faces]
    (folder / meshes / "cube.obj").write_text("\n".join(lines))
    meshio.write(folder / meshes / "cube.vtk", meshio.Mesh(CORNERS, [("tetra", TETS)]))
    (folder / "scene.json").write_text(json.dumps(document))
    return folder / "scene.json"


def rigid(*bodies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    problem = {"gravity": [0, -9.8, 0], "coefficient_friction": 0.3, "rigid_bodies": list(bodies)}
    return {"scene_type": "distance_barrier_rb_problem", "rigid_body_problem": problem, **fields}


def test_a_scene_of_rigid_ipc_is_read(tmp_path: Path) -> None:
    """Scale, rotation, fixed degrees of freedom and units; what is not taken is listed."""
    notes: list[str] = []
    path = write(
        tmp_path,
        rigid(
            {"mesh": "cube.obj", "dimensions": [10, 1, 10], "position": [0, -0.5, 0], "is_dof_fixed": True},
            {"mesh": "cube.obj", "scale": [1, 2, 3], "rotation": [0, 0, 90], "position": [0, 2, 0],
             "angular_velocity": [0, 180, 0], "density": 500, "force": [1, 0, 0]},
            {"mesh": "cube.obj", "position": [4, 2, 0], "is_dof_fixed": [True, True, True, True, False, True]},
            {"mesh": "cube.obj", "position": [8, 2, 0], "is_dof_fixed": [True, False, True, True, True, True]},
            {"mesh": "cube.obj", "position": [12, 2, 0], "type": "kinematic", "angular_velocity": [0, 0, 90]},
            timestep=0.02,
            newton_solver={},
        ),
    )  # fmt: skip
    assert is_foreign_scene(path)
    scene = load_scene(path, folder=tmp_path, note=notes.append)
    assert (scene.dt, scene.gravity, scene.dhat) == (0.02, (0.0, -9.8, 0.0), 1e-3)
    assert [body.kind for body in scene.bodies] == ["static", "affine", "affine", "affine", "rail"]
    turned = scene.bodies[1]
    assert turned.spin == pytest.approx((0.0, np.pi, 0.0)) and turned.material.friction == 0.3
    assert np.ptp(mesh_of(turned.shape, tmp_path).vertices, axis=0) == pytest.approx([2.0, 1.0, 3.0])
    assert [(joint.kind, joint.a, joint.axis) for joint in scene.joints] == [
        ("hinge", "body2", (0.0, 1.0, 0.0)),
        ("slider", "body3", (0.0, 1.0, 0.0)),
    ]
    assert scene.bodies[4].rail is not None and scene.bodies[4].rail.spin == pytest.approx(np.pi / 2)
    assert notes == ["not taken: newton_solver", "not taken: body1.force"]
    compile_scene(scene, load_mesh=lambda recipe: mesh_of(recipe, tmp_path))


def test_a_scene_of_polyfem_is_read(tmp_path: Path) -> None:
    """Over the file that it includes: materials by volume, obstacles, what a boundary holds, the sign of rhs."""
    notes: list[str] = []
    document = {
        "common": "common.json",
        "geometry": [
            {"mesh": "meshes/cube.vtk", "transformation": {"translation": [0, 1, 0], "scale": 0.5},
             "volume_selection": 1},
            {"mesh": "meshes/cube.obj", "transformation": {"dimensions": [4, 1, 4]}, "is_obstacle": True},
            {"mesh": "meshes/cube.vtk", "transformation": {"translation": [6, 0, 0]}, "volume_selection": 2,
             "surface_selection": 7},
        ],
        "contact": {"epsv": 1e-4},
        "time": {"tend": 1, "time_steps": 50, "integrator": "ImplicitNewmark"},
        "boundary_conditions": {"rhs": [0, 9.81, 0], "dirichlet_boundary": [
            {"id": 7, "value": [0, 0, 0]}, {"id": 8, "value": ["x*t", 0, 0]}]},
        "initial_conditions": {"velocity": [{"id": 1, "value": [1, 0, 0]}]},
        "materials": [{"id": 1, "E": 2e5, "nu": 0.4, "rho": 900}, {"id": 2, "E": 1e9, "nu": 0.3, "rho": 1}],
    }  # fmt: skip
    (tmp_path / "common.json").write_text(
        json.dumps({"contact": {"dhat": 0.01, "friction_coefficient": 0.2}})
    )
    path = write(tmp_path, document)
    scene = read_foreign_scene(path, tmp_path, notes.append)
    assert [body.kind for body in scene.bodies] == ["elastic", "static", "static"]
    body = scene.bodies[0]
    material = body.material
    assert (material.stiffness, material.density, material.friction) == (2e5, 900.0, 0.2)
    assert body.velocity == (1.0, 0.0, 0.0)
    assert (scene.gravity, scene.dt, scene.dhat) == ((0.0, -9.81, 0.0), 0.02, 0.01)
    assert notes == [
        "not taken: dirichlet_boundary 8: 'x'",
        "not taken: time.integrator; implicit Euler is used",
    ]
    compile_scene(scene, load_mesh=lambda recipe: mesh_of(recipe, tmp_path))


def test_the_boundaries_of_polyfem_move(tmp_path: Path) -> None:
    """A side of a body that is pulled, another that is held, and an obstacle that moves, as they are prescribed; and
    BDF of two steps is ours."""
    notes: list[str] = []
    document = {
        "geometry": [
            {"mesh": "meshes/cube.vtk", "transformation": {"translation": [0, 1, 0]}, "volume_selection": 1,
             "surface_selection": [{"id": 1, "axis": "-y", "position": 0.501},
                                   {"id": 2, "axis": "y", "position": 1.499}]},
            {"mesh": "meshes/cube.obj", "transformation": {"translation": [4, 1, 0]}, "is_obstacle": True,
             "surface_selection": 100},
        ],
        "contact": {"dhat": 0.01},
        "time": {"dt": 0.02, "time_steps": 50, "integrator": {"type": "BDF", "steps": 2}},
        "boundary_conditions": {
            "dirichlet_boundary": [{"id": 1, "value": [0, 0, 0]}, {"id": 2, "value": [0, "0.2*sin(pi*t/2)", 0]}],
            "obstacle_displacements": [{"id": 100, "value": [0, 0, "0.5*t"]}]},
        "materials": {"E": 1e5, "nu": 0.3, "rho": 1000},
    }  # fmt: skip
    scene = read_foreign_scene(write(tmp_path, document), tmp_path, notes.append)
    assert notes == [] and scene.integrator == "bdf2"
    assert [body.kind for body in scene.bodies] == ["elastic", "affine"]
    still, pulled = scene.bodies[0].pins
    assert still.motion is None and len(still.vertices) == len(pulled.vertices) == 4
    model, state = compile_scene(scene, load_mesh=lambda recipe: mesh_of(recipe, tmp_path))
    start = state.q.copy()
    for _ in range(50):
        state, _ = step(model, state)
    assert state.q[list(still.vertices)] == pytest.approx(start[list(still.vertices)])
    assert (state.q - start)[list(pulled.vertices)] == pytest.approx(
        np.tile([0.0, 0.2, 0.0], (4, 1)), abs=2e-3
    )
    other = model.node_offset[1]
    assert (state.q - start)[other] == pytest.approx([0.0, 0.0, 0.5], abs=2e-3)


def test_the_command_takes_it(tmp_path: Path) -> None:
    """It lists what is not taken, and its own scene.json can be simulated again, with the same bits."""
    cube = {"mesh": "cube.obj", "position": [0, 1, 0], "torque": [1, 0, 0]}
    floor = {"mesh": "cube.obj", "dimensions": [10, 1, 10], "position": [0, -0.6, 0], "type": "static"}
    path = write(tmp_path, rigid(cube, floor))
    hashes = []
    for source, folder in ((path, tmp_path / "out"), (tmp_path / "out" / "scene.json", tmp_path / "again")):
        result = CliRunner().invoke(main, ["simulate", "-i", str(source), "-o", str(folder), "--steps", "3"])
        assert result.exit_code == 0, result.output
        assert ("not taken: body0.torque" in result.output) == (source == path)
        hashes.append(result.output.split("hash ")[1][:16])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (rigid({"mesh": "none.obj"}), "no such file"),
        (rigid({"mesh": "cube.obj", "position": [0, 1]}), "three finite numbers"),
        (rigid({"mesh": "cube.obj", "scale": -1}), "not positive"),
        ({"geometry": [{"mesh": "meshes/cube.vtk"}]}, "no material"),
        ({"geometry": [], "common": "scene.json"}, "include one another"),
        ({"geometry": 7}, "not a scene that is read"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    """With the name of the file."""
    path = write(tmp_path, document)
    with pytest.raises(Refused, match=message) as refused:
        load_scene(path, folder=tmp_path)
    assert len(str(refused.value).splitlines()) == 1
