"""What a solver process says of a scene before it starts: what is wrong with it, body by body, and the shapes in it.

    document -> check_scene -> SceneCheck: problems, bodies that overlap, the smallest gap
    recipe   -> make_shape  -> Shape: its mesh as clients draw it, its volume, its centre of mass

A scene whose check is ok can be started. The cost is bounded by lobby/rules/scene_limits.py. Importing this module
loads the solver; it must never step one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scene_limits import (
    BODIES_MAX,
    REACH,
    check_body,
    check_recipe,
    check_vertices,
    check_world,
)
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, with_bodies
from tussle.lobby.wire.frames import BodyKind, Topology, TopologyBody, encode_topology
from tussle.server.physics import shapes
from tussle.server.physics.contact_check import overlapping_pairs, smallest_gap
from tussle.server.physics.geometry import Mesh, affine_moments, bounding_radius
from tussle.server.physics.layout import make_part, measure
from tussle.server.physics.scene_compiler import compile_scene, refuse_overlaps
from tussle.server.physics.stored_meshes import load_mesh
from tussle.server.physics.world_state import Floats
from tussle.server.simulation.scene_report import OVERLAPS_MAX, WORLD, Problem, SceneCheck, Shape

__all__ = ["check_scene", "make_shape"]


def check_scene(document: bytes) -> SceneCheck:
    """Check a scene. Every body is checked alone, then those that are sound together."""
    try:
        scene = decode_scene(document)
    except (Refused, UnicodeDecodeError, RecursionError) as error:
        message = error.message if isinstance(error, Refused) else "not a scene"
        return SceneCheck(False, 0, [], [Problem(WORLD, "bad_scene", message)], None)
    problems: list[Problem] = []
    try:
        check_world(scene)
        if len(scene.bodies) > BODIES_MAX:
            raise Refused(f"a scene has at most {BODIES_MAX} bodies", code="too_many_bodies", field="bodies")
    except Refused as error:
        return SceneCheck(False, 0, [], [_problem(WORLD, error)], None)
    sound: list[Body] = []
    meshes: dict[str, Mesh] = {}
    counts: list[int] = []
    for body in scene.bodies:
        try:
            check_body(body)
            mesh = _build(body.shape)
            check_vertices([*counts, len(mesh.vertices)])
            measure(make_part(body, mesh), most=3 * REACH, dhat=scene.dhat)
        except Refused as error:
            problems.append(_problem(body.id, error))
        else:
            counts.append(len(mesh.vertices))
            meshes[body.id] = mesh
            sound.append(body)
    if all(body.kind == "static" for body in scene.bodies):
        problems.append(Problem(WORLD, "bad_scene", "a scene needs a body that can move", "bodies"))
    overlaps, gap = _together(scene, sound, meshes, problems)
    return SceneCheck(not problems and not overlaps, sum(counts), overlaps, problems, gap)


def _together(
    scene: Scene, sound: Sequence[Body], meshes: dict[str, Mesh], problems: list[Problem]
) -> tuple[list[tuple[str, str]], float | None]:
    """The pairs of bodies that overlap, and the smallest gap [m]. What else keeps them from starting is added to the
    problems."""
    if all(body.kind == "static" for body in sound):
        return [], None
    built = iter([meshes[body.id] for body in sound])
    together = with_bodies(scene, [msgspec.structs.replace(body, shape=Recipe("mesh", {})) for body in sound])
    try:
        model, state = compile_scene(together, load_mesh=lambda recipe: next(built), check=False)
        overlaps = overlapping_pairs(model, state, most=OVERLAPS_MAX)
        if not overlaps:
            refuse_overlaps(model, state)
    except Refused as error:
        problems.append(_problem(WORLD, error))
        return [], None
    return overlaps, None if overlaps else smallest_gap(model, state)


def make_shape(recipe: Recipe) -> Shape:
    """Build one shape. Raises Refused: bad_scene, too_many_vertices, unknown_mesh."""
    check_recipe(recipe)
    mesh = _build(recipe)
    check_vertices([len(mesh.vertices)])
    kind: BodyKind = "static" if not mesh.closed else "elastic" if mesh.tetrahedra is not None else "affine"
    measure(make_part(Body("shape", recipe, Material(density=1.0), kind), mesh), most=REACH, dhat=0.0)
    moments = affine_moments(mesh.vertices, mesh.faces, 1.0) if mesh.closed else np.zeros((4, 4))
    volume = float(moments[0, 0])
    centre = moments[0, 1:] / volume if volume > 0.0 else mesh.vertices.mean(axis=0)
    # All vertices, also those inside: pins and handles name them by their numbers.
    drawn = TopologyBody(
        id="shape",
        kind=kind,
        vertices=mesh.vertices.astype(np.float32),
        faces=mesh.faces.astype(np.uint32),
    )
    return Shape(
        topology=encode_topology(Topology(bodies=(drawn,))),
        vertices=len(mesh.vertices),
        tetrahedra=0 if mesh.tetrahedra is None else len(mesh.tetrahedra),
        volume=volume,
        bounding_radius=bounding_radius(mesh.vertices - centre),
        centre_of_mass=_vector(centre),
        low=_vector(mesh.vertices.min(axis=0)),
        high=_vector(mesh.vertices.max(axis=0)),
    )


def _build(recipe: Recipe) -> Mesh:
    """Return the mesh of a recipe. Raises Refused."""
    if recipe.kind == "mesh":
        return load_mesh(recipe)
    with np.errstate(
        all="ignore"
    ):  # a number that is too large gives a vertex that is not finite, which is refused
        return shapes.build(recipe)


def _problem(body: str, error: Refused) -> Problem:
    return Problem(body, error.reason, error.message, error.field)


def _vector(values: Floats) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
