"""One simulation of a mesh file or a scene without a lobby, for ``tussle simulate``. Writes a folder:

    scene.json                          the scene
    frames/*.vtu, simulation.pvd        frames for ParaView
    series.csv, plot.svg                energies, contacts, smallest distance
    states.bin, recording.json          the exact state of every tick, the hashes, and the versions that computed them

It reports progress to a callback. It must never print, and never use the store or a socket.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import quoteattr

import meshio
import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.ready_meshes import ready_meshes
from tussle.lobby.rules.mesh_faults import BadMesh, MeshFault
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, encode_scene
from tussle.lobby.rules.templates import TEMPLATES, make_template
from tussle.server.physics.checkpoint import encode_state, state_hash
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.fingerprint import versions
from tussle.server.physics.geometry import Mesh
from tussle.server.physics.mesh_formats import FORMATS
from tussle.server.physics.meshes import load_recipe, read_mesh, solid_of, write_mesh
from tussle.server.physics.model import Model, vertex_velocities, vertices
from tussle.server.physics.rollout import trajectory
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.stored_meshes import load_mesh
from tussle.server.physics.world_state import Control, State, StepReport
from tussle.server.simulation.foreign_scenes import is_foreign_scene, read_foreign_scene
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.mesh_maker import fill_apart

__all__ = ["MATERIALS", "Summary", "load_scene", "mesh_of", "simulate"]

MATERIALS: dict[str, Material] = {
    "jelly": Material(density=1000.0, stiffness=2e4, poisson=0.45, friction=0.4, damping=0.5),
    "rubber": Material(density=1100.0, stiffness=5e5, poisson=0.45, friction=0.6, damping=0.2),
    "foam": Material(density=120.0, stiffness=8e4, poisson=0.2, friction=0.6, damping=1.0),
    "wood": Material(density=600.0, stiffness=1e7, poisson=0.3, friction=0.4),
    "stone": Material(density=2500.0, stiffness=5e7, poisson=0.2, friction=0.5),
}
"""Materials by name for a mesh file."""
SMALLEST_M = 1e-3
"""Smallest size of a mesh file [m]. A smaller one cannot lie on a ground of its size, in double precision."""
COMMON_M = 0.01, 30.0
"""Sizes of mesh files that are not noted as unusual [m]."""
FRAME_TIME = 1 / 30
"""Simulated time between two frames [s], at least."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a simulation. intersections, inversions: number of states that have any, of ``checked`` states."""

    folder: Path
    ticks: int
    frames: int
    checked: int
    intersections: int
    inversions: int
    unconverged: int
    iterations: int
    min_distance: float
    state_hash: str

    @property
    def holds(self) -> bool:
        return self.intersections == 0 and self.inversions == 0


def load_scene(
    source: Path,
    *,
    dt: float | None = None,
    material: str | None = None,
    folder: Path,
    note: Callable[[str], None] = lambda text: None,
) -> Scene:
    """The scene to simulate: a scene document (.json), one of Rigid IPC or polyfem, the name of a template
    (lobby/rules/templates.py), or one body made of a mesh file or a ready mesh of the catalogue, dropped on the ground.

    A closed triangle surface is filled with tetrahedra. The body's mesh is written to ``folder``, so that the scene of
    that folder can be simulated again. ``note`` is called with a line about a mesh whose size is unusual, and
    about what is not taken of a foreign scene. Raises
    Refused (bad_mesh, bad_scene, bad_material).
    """
    if material is not None and material not in MATERIALS:
        raise Refused(
            f"no material {material!r}; there are {', '.join(MATERIALS)}",
            code="bad_material",
            field="material",
        )
    template = str(source) in TEMPLATES and not source.exists()
    if template or source.suffix.lower() == ".json":
        try:
            if template:
                scene = make_template(str(source)).scene
            elif is_foreign_scene(source):
                scene = read_foreign_scene(source, folder, note)
            else:
                scene = decode_scene(source.read_bytes())
        except OSError as error:
            raise Refused(f"{source.name}: {error.strerror}", code="bad_scene") from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise Refused(f"not a scene: {error}", code="bad_scene") from None
        if material is not None:
            bodies = [msgspec.structs.replace(b, material=MATERIALS[material]) for b in scene.bodies]
            scene = msgspec.structs.replace(scene, bodies=tuple(bodies))
        return scene if dt is None else msgspec.structs.replace(scene, dt=dt)
    ready = next((one for one in ready_meshes().values() if one.id == str(source)), None)
    if ready is not None and not source.exists():
        shape = Recipe("mesh", {"sha256": ready.sha256})
        mesh = load_mesh(shape)
    else:
        shape = Recipe("mesh", {"path": "body.vtu"})
        mesh = _read_any(source)
        _judge_size(mesh, source.name, note)
        if mesh.closed and mesh.tetrahedra is None and find_spec("pytetwild") is not None:
            mesh = fill_apart(mesh, source.name)
        mesh = solid_of(mesh, source.name)
        write_mesh(mesh, folder / "body.vtu")
    assert mesh.tetrahedra is not None
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    size = float((high - low).max())
    centre = 0.5 * (low + high)
    made = MATERIALS[material or "rubber"]
    ground = Recipe("slab", {"size": [6 * size, size, 6 * size]})
    body = Body(
        "body",
        shape,
        made,
        "elastic",
        position=(-float(centre[0]), 0.3 * size - float(low[1]), -float(centre[2])),
    )
    return Scene(
        bodies=(Body("ground", ground, made, "static"), body),
        name=source.stem,
        dt=1 / 60 if dt is None else dt,
        dhat=2e-3 * size,
        max_iterations=100,
    )


def _read_any(source: Path) -> Mesh:
    """The mesh of a file: one of the formats that uploads may have, or another one that meshio reads. Raises
    BadMesh."""
    if source.suffix.lower() in FORMATS or not source.is_file():
        return read_mesh(source)
    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            found = meshio.read(source)  # it prints, and calls sys.exit on some errors
            with tempfile.TemporaryDirectory(prefix="tussle-") as place:
                known = Path(place) / "mesh.vtu"
                cells = [block for block in found.cells if block.type in ("triangle", "quad", "tetra")]
                meshio.write(known, meshio.Mesh(found.points, cells))
                mesh = read_mesh(known)
    except BadMesh as error:
        raise BadMesh(error.message.replace("mesh.vtu", source.name), error.fault, error.place) from None
    except (SystemExit, Exception) as error:  # noqa: BLE001 - meshio may raise anything
        reason = str(error).strip().partition("\n")[0] if not isinstance(error, SystemExit) else ""
        raise BadMesh(
            f"{source.name}: it cannot be read{f': {reason[:200]}' if reason else ''}; "
            f"{', '.join(FORMATS)} are read, and other formats of meshio",
            MeshFault.UNREADABLE,
        ) from None
    return mesh


def _judge_size(mesh: Mesh, name: str, note: Callable[[str], None]) -> None:
    """Refuse a mesh that is too small, before it is filled, and note one whose unit is perhaps another. Raises
    BadMesh."""
    size = float((mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)).max())
    if size < SMALLEST_M:
        message = (
            f"it is {size:.3g} m across; coordinates are metres, and at least {SMALLEST_M:g} m are needed"
        )
        raise BadMesh(f"{name}: {message}", MeshFault.FLAT)
    if not COMMON_M[0] <= size <= COMMON_M[1]:
        note(f"{name} is {size:.3g} m across: coordinates are metres. Scale it if it has another unit.")


def mesh_of(recipe: Recipe, folder: Path) -> Mesh:
    """The mesh of a recipe: a stored one if it names a hash, else a file in ``folder``. Raises Refused."""
    return load_mesh(recipe) if "sha256" in recipe.params else load_recipe(recipe, folder=folder)


def simulate(
    scene: Scene,
    folder: Path,
    *,
    steps: int,
    check: bool = False,
    meshes: Path | None = None,
    progress: Callable[[int, StepReport], None] = lambda tick, report: None,
    control: Callable[[int], Control] = lambda tick: Control(),
) -> Summary:
    """Run ``steps`` ticks of a scene and write everything into ``folder``.

    check: run the contact check on every state, not only on the last. meshes: the folder to which the scene's mesh
    paths are relative (default ``folder``). Raises Refused for a scene that cannot start; no file is written then.
    """
    places = folder if meshes is None else meshes
    model, state = compile_scene(scene, load_mesh=lambda recipe: mesh_of(recipe, places))
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for old in (folder / "frames").glob("[0-9]*.vtu"):  # of an earlier simulation into the same folder
        old.unlink()
    (folder / "scene.json").write_bytes(msgspec.json.format(encode_scene(scene), indent=1))
    every = max(1, round(FRAME_TIME / scene.dt))
    frames = [_write_frame(model, state, folder)]
    rows: list[list[float]] = []
    hashes = [state_hash(state)]
    checked = intersections = inversions = unconverged = iterations = 0
    nearest = math.inf
    with (folder / "states.bin").open("wb") as states:
        states.write(encode_state(state))
        for after, report in trajectory(model, state, steps, lambda number, _: control(number)):
            state, tick = after, after.tick
            states.write(encode_state(state))
            hashes.append(state_hash(state))
            unconverged += not report.converged
            iterations += report.iterations
            nearest = min(nearest, report.min_distance)
            rows.append(_row(model, tick, report))
            if check or tick == steps:
                contact = check_contact(model, state)
                checked += 1
                intersections += bool(contact.intersections or contact.contained)
                inversions += bool(contact.inversions)
            if tick % every == 0 or tick == steps:
                frames.append(_write_frame(model, state, folder))
            progress(tick, report)
    _write_index(folder, frames)
    _write_series(folder, rows)
    _write_plot(folder, scene, rows)
    recording = {
        "schema": "tussle-states/1",
        "physics": physics_id(),
        "versions": versions(),
        "hashes": hashes,
    }
    (folder / "recording.json").write_text(json.dumps(recording, indent=1))
    return Summary(
        folder=folder,
        ticks=steps,
        frames=len(frames),
        checked=checked,
        intersections=intersections,
        inversions=inversions,
        unconverged=unconverged,
        iterations=iterations,
        min_distance=nearest,
        state_hash=hashes[-1],
    )


SERIES = (
    "tick",
    "time_s",
    "kinetic_J",
    "gravity_J",
    "elastic_J",
    "contacts",
    "min_distance_m",
    "iterations",
    "converged",
)


def _row(model: Model, tick: int, report: StepReport) -> list[float]:
    energies = [report.kinetic, report.gravity, report.elastic]
    counts = [report.contacts, report.min_distance, report.iterations, int(report.converged)]
    return [tick, tick * model.dt, *energies, *counts]


def _write_series(folder: Path, rows: list[list[float]]) -> None:
    with (folder / "series.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(SERIES)
        writer.writerows(rows)


def _write_frame(model: Model, state: State, folder: Path) -> tuple[float, str]:
    """Write one VTU file: tetrahedra of elastic bodies, surfaces of all others. Returns its time [s] and name."""
    t = model.tables
    surface = vertices(model, state)
    tets, triangles, owner = (
        t.tets,
        model.faces,
        np.repeat(np.arange(len(model.body_ids)), np.diff(model.face_offset)),
    )
    elastic = np.array([kind == "elastic" for kind in model.kinds], dtype=bool)
    shown = ~elastic[owner] & state.active[owner]
    tet_owner = np.repeat(np.arange(len(model.body_ids)), np.diff(t.tet_start))
    tets, tet_owner = tets[state.active[tet_owner]], tet_owner[state.active[tet_owner]]
    nodes = len(state.q)
    points = np.concatenate([state.q, surface, model.static_vertices])
    faces = np.concatenate([triangles[shown] + nodes, model.static_faces + nodes + len(surface)])
    face_owner = np.concatenate([owner[shown], np.full(len(model.static_faces), -1)])
    cells, bodies = [], []
    for kind, block, owners in (("tetra", tets, tet_owner), ("triangle", faces, face_owner)):
        if len(block):
            cells.append((kind, block))
            bodies.append(owners.astype(np.int32))
    used, numbered = np.unique(np.concatenate([block.ravel() for _, block in cells]), return_inverse=True)
    numbered, at, packed = numbered.reshape(-1), 0, []
    for kind, block in cells:
        packed.append((kind, numbered[at : at + block.size].reshape(block.shape)))
        at += block.size
    velocity = np.zeros_like(points)
    velocity[:nodes] = state.v
    velocity[nodes : nodes + len(surface)] = vertex_velocities(model, state)
    name = f"frames/{state.tick:06d}.vtu"
    frame = meshio.Mesh(
        points[used], packed, point_data={"velocity": velocity[used]}, cell_data={"body": bodies}
    )
    frame.write(folder / name)
    return state.tick * model.dt, name


def _write_index(folder: Path, frames: list[tuple[float, str]]) -> None:
    lines = [f'    <DataSet timestep="{time:.9g}" part="0" file={quoteattr(name)}/>' for time, name in frames]
    head = ['<?xml version="1.0"?>', '<VTKFile type="Collection" version="0.1">', "  <Collection>"]
    text = "\n".join([*head, *lines, "  </Collection>", "</VTKFile>", ""])
    (folder / "simulation.pvd").write_text(text)


PANELS = (
    ("energy [J]", (("kinetic", 2, "#d1495b"), ("gravity", 3, "#00798c"), ("elastic", 4, "#edae49"))),
    ("contacts", (("contacts", 5, "#30638e"),)),
    ("smallest distance [mm]", (("distance", 6, "#003d5b"),)),
)


def _write_plot(folder: Path, scene: Scene, rows: list[list[float]]) -> None:
    """Draw three panels over time as SVG, without a plotting library."""
    width, height, left, gap = 860, 190, 70, 40
    total = gap + len(PANELS) * (height + gap)
    size = f'width="{width}" height="{total}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    out.append(f'<text x="{left}" y="22">{_escaped(scene.name or "scene")}</text>')
    data = np.array(rows, dtype=np.float64).reshape(-1, len(SERIES))
    data[:, 6] *= 1e3
    end = float(data[-1, 1]) if len(data) else 1.0
    for number, (title, curves) in enumerate(PANELS):
        top = gap + number * (height + gap)
        values = data[:, [column for _, column, _ in curves]]
        finite = values[np.isfinite(values)]
        low, high = (min(0.0, float(finite.min())), float(finite.max())) if len(finite) else (0.0, 1.0)
        high = high if high > low else low + 1.0
        out.append(
            f'<rect x="{left}" y="{top}" width="{width - left - 20}" height="{height}" fill="none" stroke="#999"/>'
        )
        out.append(f'<text x="{left + 6}" y="{top + 15}">{title}</text>')
        out.append(
            f'<text x="4" y="{top + 12}">{high:.4g}</text><text x="4" y="{top + height}">{low:.4g}</text>'
        )
        for place, (name, column, colour) in enumerate(curves):
            label = left + 190 + 90 * place
            out.append(f'<text x="{label}" y="{top + 15}" fill="{colour}">{name}</text>')
            for run in _runs(data[:, 1], data[:, column]):
                points = " ".join(
                    f"{left + (width - left - 20) * x / end:.1f},{top + height * (1 - (y - low) / (high - low)):.1f}"
                    for x, y in run
                )
                out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    out.append(f'<text x="{width - 90}" y="{total - 12}">{end:.3g} s</text></svg>')
    (folder / "plot.svg").write_text("\n".join(out))


def _runs(x: np.ndarray, y: np.ndarray) -> list[list[tuple[float, float]]]:
    """The pieces of a curve where y is finite."""
    runs: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(b):
            runs[-1].append((a, b))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
