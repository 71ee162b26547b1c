"""The parameters, actions, bodies and places of a sandbox. Pure functions of data and geometry. This module must never
change a state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tussle.lobby.rules.actions import ActionField, ActionKind
from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe, Scene, Vector
from tussle.server.modes.mode import CatalogueBody, View
from tussle.server.modes.sandbox.authored import Box
from tussle.server.modes.sandbox.state import (
    DHAT,
    DT,
    FLOOR_DEPTH,
    FRICTION_SPEED,
    GRAVITY_MAX,
    MARGIN,
    SOFT_BODIES,
    Placed,
    SandboxParams,
    SandboxState,
)
from tussle.server.physics.world_state import Floats

__all__ = [
    "action_kinds",
    "build_scene",
    "clamp_target",
    "first_bodies",
    "handles_of",
    "is_free",
    "reach_of",
    "rebuild_cost",
    "scene_body",
    "vertex_count",
]

Catalogue = Mapping[str, CatalogueBody]


def rebuild_cost(bodies: int, vertices: int) -> float:
    """Return the solver time of compiling a scene [ms], rounded up to tens. Measured on an AMD EPYC: 17 ms for two
    bodies of 50 vertices, 204 ms for 24 of them, 93 ms for 24 of 8 vertices."""
    return 10.0 * math.ceil(0.1 * (3.0 * bodies + 0.11 * vertices))


def action_kinds(box: Box, catalogue: Catalogue, rebuild: float) -> tuple[ActionKind, ...]:
    """Return all actions, those of the host included. ``rebuild``: solver time of those that compile the scene [ms]."""
    reach = max(box.side / 2, box.height, -box.bottom)
    place = ActionField("vector", low=-reach, high=reach, unit="m")
    return (
        ActionKind("grab", {"body": ActionField("name"), "handle": ActionField("name")}, "Take a handle."),
        ActionKind("move", {"target": place}, "Pull it to a place.", latest=True),
        ActionKind("release", {}, "Let go, or leave the queue."),
        ActionKind(
            "spawn",
            {"body": ActionField("choice", choices=tuple(sorted(catalogue))), "position": place},
            "Bring in a body.",
            cost=rebuild,
        ),
        ActionKind(
            "remove",
            {"body": ActionField("name")},
            "Take a body out that nobody else holds.",
            cost=rebuild,
        ),
        ActionKind(
            "freeze",
            {"state": ActionField("choice", choices=("on", "off"))},
            "Host: stop the world.",
            latest=True,
        ),
        ActionKind(
            "gravity",
            {"strength": ActionField(low=0.0, high=GRAVITY_MAX, unit="m/s^2")},
            "Host: set gravity.",
            latest=True,
            cost=rebuild,
        ),
        ActionKind("mark", {}, "Host: save the world."),
        ActionKind("undo", {}, "Host: go back to what was last saved."),
        ActionKind("reset", {}, "Host: go back to the start.", cost=rebuild),
    )


def first_bodies(
    params: SandboxParams, catalogue: Catalogue, bodies: Sequence[str], serial: int = 0
) -> tuple[Placed, ...]:
    """Return the first bodies, placed on rings around the middle, apart from one another and above the floor."""
    placed = []
    for number, body in enumerate(bodies):
        ring, place = divmod(number, 8)
        angle = 2.0 * math.pi * place / min(8, max(1, len(bodies) - 8 * ring))
        reach = min(0.3 * params.side, 1.6)
        height = reach_of(catalogue[body]) + DHAT + 0.9 * ring
        position = (reach * math.cos(angle), height, reach * math.sin(angle))
        placed.append(Placed(id=f"{body}-{serial + number}", body=body, position=position))
    return tuple(placed)


def build_scene(state: SandboxState, side: float, catalogue: Catalogue) -> Scene:
    """Return the floor, half a metre wider than the box on each side, and the bodies at their spawn places."""
    side = side + 1.0
    floor = Body(
        id="floor",
        kind="static",
        shape=Recipe(kind="slab", params={"size": [side, FLOOR_DEPTH, side]}),
        material=Material(density=1000.0, friction=0.5),
    )
    return Scene(
        bodies=(*(scene_body(placed, catalogue) for placed in state.bodies), floor),
        name="sandbox",
        gravity=(0.0, -state.gravity, 0.0),
        dt=DT,
        dhat=DHAT,
        friction_speed=FRICTION_SPEED,
    )


def scene_body(placed: Placed, catalogue: Catalogue) -> Body:
    """Return a body of the catalogue at its spawn place."""
    body = catalogue[placed.body]
    return Body(
        id=placed.id,
        kind="elastic" if placed.body in SOFT_BODIES else "affine",
        shape=Recipe(kind=body.kind, params=body.params),
        material=Material(density=body.density, stiffness=body.stiffness, friction=body.friction),
        position=placed.position,
        rotation=placed.rotation,
        handles=handles_of(body),
    )


def handles_of(body: CatalogueBody) -> tuple[Handle, ...]:
    """Return the handles of a body: "centre" (all vertices) and "v0", "v1", ...: each vertex of an affine body, the
    eight corners of an elastic block (a pull at a single vertex would stretch it to a thread)."""
    count = int(body.computed["vertices"])
    centre = Handle("centre", tuple(range(count)))
    if body.id not in SOFT_BODIES:
        return (centre, *(Handle(f"v{vertex}", (vertex,)) for vertex in range(count)))
    nx, ny, nz = (cells + 1 for cells in body.params["cells"])
    grid = np.arange(nx * ny * nz).reshape(nx, ny, nz)
    ends = (slice(0, 2), slice(-2, None))
    corners = [grid[x, y, z].ravel().tolist() for x in ends for y in ends for z in ends]
    return (centre, *(Handle(f"v{number}", tuple(corner)) for number, corner in enumerate(corners)))


def reach_of(body: CatalogueBody) -> float:
    """Return a radius that contains the body [m]; the radius of the catalogue is rounded to a millimetre."""
    return body.computed["bounding_radius"] + 1e-3


def vertex_count(catalogue: Catalogue, bodies: Iterable[str]) -> int:
    """Return the number of vertices of the bodies."""
    return sum(int(catalogue[body].computed["vertices"]) for body in bodies)


def clamp_target(box: Box, target: Sequence[float]) -> Vector:
    """Return the target [m], moved to MARGIN inside the box."""
    reach = box.side / 2 - MARGIN
    x, y, z = target
    return (
        min(max(x, -reach), reach),
        min(max(y, box.bottom + MARGIN), box.height - MARGIN),
        min(max(z, -reach), reach),
    )


def is_free(view: View, place: Floats, radius: float, *, but: Sequence[int] = ()) -> bool:
    """Return whether a ball of that radius touches no bounding ball of a body, those of ``but`` excepted."""
    gaps = np.linalg.norm(view.positions - place, axis=1) - view.radii - radius
    gaps[list(but)] = math.inf
    return bool((gaps > 2.0 * DHAT).all())
