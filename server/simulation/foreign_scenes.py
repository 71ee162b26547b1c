"""Scenes of Rigid IPC and of polyfem, for ``tussle simulate``: read as far as our features go.

    {"scene_type": ..., "rigid_body_problem": {...}}   Rigid IPC (Ferguson et al. 2021): affine bodies
    {"geometry": [...], "materials": ...}              polyfem: elastic bodies

Each mesh is scaled and turned as the scene says, and written beside the result, so that the scene that is made can be
simulated again. What is not taken is named in notes, one line each; nothing is left out in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint
from tussle.lobby.rules.motions import Motion
from tussle.lobby.rules.scenes import Body, Material, Pin, Rail, Recipe, Scene
from tussle.server.physics.geometry import Mesh, affine_moments
from tussle.server.physics.meshes import read_mesh, write_mesh
from tussle.server.physics.world_state import Floats
from tussle.server.simulation.foreign_boundaries import UNREAD, read_motion, select_vertices

__all__ = ["is_foreign_scene", "read_foreign_scene"]

RIGID_STIFFNESS = 1e8
"""The stiffness of a rigid body as an affine one [Pa]."""
COMMON_DEPTH = 5
"""How many files of polyfem may include one another."""
HELD_VERTICES = 32
"""Most vertices by which a moving obstacle is held."""

Note = Callable[[str], None]


def is_foreign_scene(path: Path) -> bool:
    """Return whether a file is a scene of Rigid IPC or polyfem, by its top-level names."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and ("rigid_body_problem" in document or "geometry" in document)


def read_foreign_scene(path: Path, folder: Path, note: Note = lambda text: None) -> Scene:
    """Return the scene of a file of Rigid IPC or polyfem. Its meshes are written to ``folder``.

    note: called with one line for each thing that is not taken. Raises Refused (bad_scene, bad_mesh).
    """
    document = json.loads(path.read_bytes())
    try:
        if "rigid_body_problem" in document:
            return _read_rigid(document, path, folder, note)
        return _read_polyfem(_with_common(document, path, COMMON_DEPTH), path, folder, note)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        text = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise Refused(f"{path.name}: not a scene that is read: {text}", code="bad_scene") from None


# Rigid IPC


def _read_rigid(document: dict[str, Any], path: Path, folder: Path, note: Note) -> Scene:
    problem = document["rigid_body_problem"]
    _list_rest(document, RIGID_NAMES, "", note)
    _list_rest(problem, RIGID_PROBLEM_NAMES, "rigid_body_problem.", note)
    restitution = min(max(float(problem.get("coefficient_restitution", 0.0)), 0.0), 1.0)
    mu = float(problem.get("coefficient_friction", 0.0))
    bodies: list[Body] = []
    joints: list[Joint] = []
    for number, entry in enumerate(problem["rigid_bodies"]):
        if not entry.get("enabled", True):
            continue
        name = f"body{number}"
        _list_rest(entry, RIGID_BODY_NAMES, f"{name}.", note)
        for load in ("force", "torque"):
            if any(entry.get(load, ())):
                note(f"not taken: {name}.{load}")
        mesh = _shaped(_find_mesh(path, entry["mesh"]), entry)
        place = _vector(entry.get("position", (0, 0, 0)))
        velocity = _vector(entry.get("linear_velocity", (0, 0, 0)))
        spin = np.radians(_vector(entry.get("angular_velocity", (0, 0, 0))))
        density = float(entry.get("density", 1000.0))
        material = Material(density, RIGID_STIFFNESS, friction=mu, restitution=restitution)
        held = entry.get("is_dof_fixed", False)
        held = [held] * 6 if isinstance(held, bool) else [bool(one) for one in held]
        if len(held) != 6 or len(place) != 3:
            raise ValueError("only scenes in three dimensions are read")
        kind = entry.get("type", "dynamic")
        options: dict[str, Any] = {}
        if kind == "static" or all(held):
            options = {"kind": "static"}
        elif kind == "kinematic":
            options, taken = _kinematic(mesh, velocity, spin)
            if not taken or entry.get("kinematic_poses"):
                note(f"not taken: the course of the kinematic {name}")
        else:
            options = {"velocity": tuple(velocity.tolist()), "spin": tuple(spin.tolist())}
            if any(held):
                joint = _held(name, mesh, place, held)
                if joint is None:
                    note(f"not taken: {name}.is_dof_fixed {held}")
                else:
                    joints.append(joint)
        bodies.append(Body(name, _written(mesh, folder, name), material, position=_triple(place), **options))
    barrier = document.get("distance_barrier_constraint", {})
    friction = document.get("friction_constraints", {})
    return Scene(
        bodies=tuple(bodies),
        joints=tuple(joints),
        name=path.stem,
        gravity=_triple(_vector(problem.get("gravity", (0, 0, 0)))),
        dt=float(document.get("timestep", 0.01)),
        dhat=float(barrier.get("initial_barrier_activation_distance", 1e-3)),
        friction_speed=float(friction.get("static_friction_speed_bound", 1e-3)),
        max_iterations=100,
    )


def _kinematic(mesh: Mesh, velocity: Floats, spin: Floats) -> tuple[dict[str, Any], bool]:
    """Return the fields of a body that moves as prescribed, and whether its motion is taken."""
    speed = float(np.linalg.norm(spin))
    if speed == 0.0 or velocity.any() or not mesh.closed:
        return {"kind": "static"}, not (velocity.any() or speed)
    return {"kind": "rail", "rail": Rail(axis=_triple(spin / speed), spin=speed)}, True


def _held(name: str, mesh: Mesh, place: Floats, held: list[bool]) -> Joint | None:
    """Return the joint with the world that holds these of the six degrees of freedom; None if there is none."""
    moments = affine_moments(mesh.vertices, mesh.faces, 1.0)
    anchor = _triple(moments[0, 1:] / moments[0, 0] + place)
    places, turns = held[:3], held[3:]
    if all(places) and not any(turns):
        return Joint(f"{name}-ball", "ball", name, anchor)
    if all(places) and sum(turns) == 2:
        return Joint(f"{name}-hinge", "hinge", name, anchor, axis=_triple(np.eye(3)[turns.index(False)]))
    if all(turns) and sum(places) == 2:
        return Joint(f"{name}-slider", "slider", name, anchor, axis=_triple(np.eye(3)[places.index(False)]))
    return None


# polyfem


def _with_common(document: dict[str, Any], path: Path, depth: int) -> dict[str, Any]:
    """Return a document of polyfem over the one that it includes by "common"."""
    if "common" not in document:
        return document
    other = path.parent / str(document["common"])
    if depth == 0:
        raise ValueError("its files include one another")
    try:
        below = json.loads(other.read_bytes())
    except OSError as error:
        raise ValueError(f"{other.name}: {error.strerror}") from None
    return _merged(_with_common(below, other, depth - 1), document)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for name, value in above.items():
        old = both.get(name)
        both[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _read_polyfem(document: dict[str, Any], path: Path, folder: Path, note: Note) -> Scene:
    _list_rest(document, POLYFEM_NAMES, "", note)
    contact, time = document.get("contact", {}), document.get("time", {})
    bounds = document.get("boundary_conditions", {})
    taken = ("rhs", "dirichlet_boundary", "obstacle_displacements")
    _list_rest(bounds, taken, "boundary_conditions.", note)
    _list_rest(contact, ("enabled", "dhat", "epsv", "friction_coefficient"), "contact.", note)
    if not contact.get("enabled", True):
        note("not taken: contact.enabled false; bodies collide")
    mu = float(contact.get("friction_coefficient", 0.0))
    end = (
        float(time["tend"]) if "tend" in time else float(time.get("dt", 0.0)) * int(time.get("time_steps", 0))
    )
    courses = {name: _courses(bounds.get(name, []), name, end, note) for name in taken[1:]}
    speeds = {
        entry["id"]: _vector(entry["value"])
        for entry in document.get("initial_conditions", {}).get("velocity", [])
    }
    bodies: list[Body] = []
    for number, entry in enumerate(document["geometry"]):
        if not entry.get("enabled", True):
            continue
        name = f"body{number}"
        _list_rest(entry, POLYFEM_GEOMETRY_NAMES, f"{name}.", note)
        moves = entry.get("transformation", {})
        _list_rest(moves, ("translation", "rotation", "scale", "dimensions"), f"{name}.transformation.", note)
        mesh = _shaped(_find_mesh(path, entry["mesh"]), moves)
        volume, surface = entry.get("volume_selection", 0), entry.get("surface_selection")
        if isinstance(volume, dict | list):
            note(f"not taken: a selection of a part of {name}")
        place = _vector(moves.get("translation", (0, 0, 0)))
        placed = Mesh(mesh.vertices + place, mesh.faces, mesh.tetrahedra, mesh.closed)
        obstacle = bool(entry.get("is_obstacle", False))
        kind, pins = _held_parts(name, placed, surface, obstacle, courses, note)
        bodies.append(
            Body(
                name,
                _written(mesh, folder, name),
                _material(document.get("materials", {}), volume, mu, name if kind == "elastic" else None),
                kind,
                position=_triple(place),
                velocity=_triple(speeds.get(volume, np.zeros(3))) if kind == "elastic" and isinstance(volume, int)
                else (0.0, 0.0, 0.0),
                pins=pins,
            )
        )  # fmt: skip
    rhs = bounds.get("rhs", (0, 0, 0))
    if not all(isinstance(one, int | float) for one in rhs):
        raise ValueError("rhs is not constant")
    if "dt" not in time and "time_steps" not in time:
        raise ValueError("it has no time: only motions are computed")
    dt = time["dt"] if "dt" in time else time["tend"] / time["time_steps"]
    integrator = _integrator(time.get("integrator", "ImplicitEuler"))
    if integrator is None:
        note("not taken: time.integrator; implicit Euler is used")
    return Scene(
        bodies=tuple(bodies),
        name=path.stem,
        gravity=_triple(-_vector(rhs)),
        dt=float(dt),
        dhat=float(contact.get("dhat", 1e-3)),
        friction_speed=float(contact.get("epsv", 1e-3)),
        max_iterations=100,
        integrator=integrator or "implicit_euler",
    )


def _integrator(given: Any) -> Literal["implicit_euler", "bdf2"] | None:
    """Return the integrator of a scene; None if it is not one of ours."""
    kind, steps = (given.get("type"), given.get("steps", 1)) if isinstance(given, dict) else (given, 1)
    if kind in ("ImplicitEuler", "BDF1") or (kind, steps) == ("BDF", 1):
        return "implicit_euler"
    return "bdf2" if kind == "BDF2" or (kind, steps) == ("BDF", 2) else None


Courses = dict[str, dict[int, Motion | None]]
"""The motions of boundaries by the kind of the boundary and its number; None for one that is at rest."""


def _courses(entries: list[Any], kind: str, end: float, note: Note) -> dict[int, Motion | None]:
    """Return the motions of boundaries of a kind that can be read, by number."""
    found: dict[int, Motion | None] = {}
    for entry in entries:
        try:
            found[int(entry["id"])] = read_motion(entry, end)
        except UNREAD as error:
            number = entry.get("id", "?") if isinstance(entry, dict) else "?"
            note(f"not taken: {kind} {number}: {' '.join(str(error).split())[:60] or type(error).__name__}")
    return found


def _held_parts(
    name: str, mesh: Mesh, surface: Any, obstacle: bool, courses: Courses, note: Note
) -> tuple[Literal["affine", "elastic", "static"], tuple[Pin, ...]]:
    """Return the kind of a geometry, and the pins that its boundaries are. mesh: in place.

    An obstacle that moves is an affine body, held at its outermost vertices. A body of which everything is held at
    rest is static.
    """
    if obstacle:
        motion = courses["obstacle_displacements"].get(surface) if isinstance(surface, int) else None
        if motion is None:
            return "static", ()
        if not mesh.closed:
            note(f"not taken: the motion of {name}, which is open")
            return "static", ()
        return "affine", (Pin(_outermost(mesh), motion),)
    pins: list[Pin] = []
    seen: set[int] = set()
    for number, motion in courses["dirichlet_boundary"].items():
        try:
            vertices = set(select_vertices(mesh, surface, number).tolist()) - seen
        except UNREAD:
            note(f"not taken: a selection of a part of {name}")
            break
        seen |= vertices
        if vertices:
            pins.append(Pin(tuple(sorted(vertices)), motion))
    if len(pins) == 1 and pins[0].motion is None and seen == set(np.unique(mesh.faces).tolist()):
        return "static", ()
    return "elastic", tuple(pins)


def _outermost(mesh: Mesh) -> tuple[int, ...]:
    """Return the vertices of a surface that are outermost in some directions."""
    ways = np.random.default_rng(0).normal(size=(HELD_VERTICES, 3))
    used = np.unique(mesh.faces)
    return tuple(np.unique(used[np.argmax(mesh.vertices[used] @ ways.T, axis=0)]).tolist())


def _material(given: Any, volume: Any, mu: float, moving: str | None) -> Material:
    """Return the material of a volume. moving: the name of a body that needs one; None for an obstacle."""
    rows = given if isinstance(given, list) else [given]
    for row in rows:
        ids = row.get("id", volume)
        if volume == ids or (isinstance(ids, list) and volume in ids):
            break
    else:
        row = {}
    if moving is not None and not {"E", "nu"} <= set(row):
        raise ValueError(f"{moving} has no material with E and nu")
    density, young = float(row.get("rho", 1000.0)), float(row.get("E", 1e6))
    return Material(density, young, min(float(row.get("nu", 0.3)), 0.499), mu)


# both


RIGID_NAMES = ("scene_type", "solver", "timestep", "max_time", "rigid_body_problem", "distance_barrier_constraint",
               "friction_constraints", "max_iterations")  # fmt: skip
RIGID_PROBLEM_NAMES = ("rigid_bodies", "gravity", "coefficient_friction", "coefficient_restitution")
RIGID_BODY_NAMES = ("mesh", "position", "rotation", "scale", "dimensions", "density", "linear_velocity",
                    "angular_velocity", "is_dof_fixed", "type", "enabled", "kinematic_poses", "force",
                    "torque")  # fmt: skip
POLYFEM_NAMES = ("common", "geometry", "materials", "contact", "time", "boundary_conditions", "initial_conditions",
                 "tests", "output", "root_path")  # fmt: skip
POLYFEM_GEOMETRY_NAMES = ("mesh", "transformation", "volume_selection", "surface_selection", "is_obstacle",
                          "enabled")  # fmt: skip
"""What is taken of the documents, or has no meaning here."""


def _list_rest(document: Mapping[str, Any], taken: tuple[str, ...], prefix: str, note: Note) -> None:
    """Note the names that are not taken. A name that begins with # is a comment of these formats."""
    for name in document:
        if name not in taken and not name.startswith("#"):
            note(f"not taken: {prefix}{name}")


def _vector(values: Any) -> Floats:
    found = np.array(values, dtype=np.float64)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise ValueError("a vector has three finite numbers")
    return found


def _triple(values: Floats) -> tuple[float, float, float]:
    x, y, z = (float(one) for one in values)
    return x, y, z


def _find_mesh(path: Path, name: str) -> Mesh:
    """Return the mesh of a file that is beside the scene, or in a folder ``meshes`` above it. Raises BadMesh."""
    places = [path.parent, *(up / "meshes" for up in path.resolve().parents)]
    for place in places:
        if (place / name).is_file():
            return read_mesh(place / name)
    return read_mesh(path.parent / name)  # which says that it is not there


def _shaped(mesh: Mesh, entry: Mapping[str, Any]) -> Mesh:
    """Return a mesh scaled and turned as an entry says: by "scale" or to "dimensions", then by "rotation" [degrees]
    about x, y and z."""
    points = mesh.vertices
    if "dimensions" in entry:
        extent = np.ptp(points, axis=0)
        factor = _vector(entry["dimensions"]) / np.where(extent > 0.0, extent, 1.0)
    else:
        scale = entry.get("scale", 1.0)
        factor = np.full(3, float(scale)) if isinstance(scale, int | float) else _vector(scale)
    if not (factor > 0.0).all():
        raise ValueError("a scale is not positive")
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(_vector(entry.get("rotation", (0, 0, 0))))):
        c, s = math.cos(angle), math.sin(angle)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[a, a], one[a, b], one[b, a], one[b, b] = c, -s, s, c
        turn = one @ turn
    return Mesh((points * factor) @ turn.T, mesh.faces, mesh.tetrahedra)


def _written(mesh: Mesh, folder: Path, name: str) -> Recipe:
    write_mesh(mesh, folder / f"{name}.vtu")
    return Recipe("mesh", {"path": f"{name}.vtu"})
