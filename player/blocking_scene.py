"""The scene of a session for scripts and notebooks: bodies by name, whose fields are read and assigned.

    session.scene.add("box", size=(0.4, 0.4, 0.4), position=(0, 0.3, 0))
    session.scene["body-1"].material = "jelly"
    del session.scene["body-1"]

This module must never repeat what player/scene_client.py does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tussle.lobby.errors import NotFound
from tussle.lobby.rules.scenes import Material
from tussle.lobby.wire.http_answers import SceneListing, SceneReport
from tussle.player.scene_client import WORLD, SessionScene

__all__ = ["BlockingScene", "SceneBody"]

T = TypeVar("T")


class _Runs(Protocol):
    """Runs a coroutine in the client's loop and waits for it."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], what: str) -> T: ...


def _field(name: str, default: Any, meaning: str) -> Any:
    """A property that reads a field of a body's document, and edits it."""

    def read(self: SceneBody) -> Any:
        return self.document.get(name, default)

    def write(self: SceneBody, value: Any) -> None:
        self.update(**{name: value})

    return property(read, write, doc=meaning)


class SceneBody:
    """A body of the scene. Reading a field reads the present document; assigning one edits it. An edit is made on the
    version that was read last: if another member has changed the body since, it raises SceneConflict with the present
    version and document."""

    def __init__(self, scene: BlockingScene, id: str) -> None:
        self._scene = scene
        self._id = id

    @property
    def id(self) -> str:
        """Its name in the scene."""
        return self._id

    @property
    def document(self) -> dict[str, Any]:
        """The whole document as it is now, without the fields that have their default. Raises NotFound."""
        return self._scene._read(self._id)

    position: Any = _field("position", (0.0, 0.0, 0.0), "Where its origin is [m].")
    rotation: Any = _field(
        "rotation", (1.0, 0.0, 0.0, 0.0), "Its orientation: a unit quaternion (w, x, y, z)."
    )
    velocity: Any = _field("velocity", (0.0, 0.0, 0.0), "Its velocity at the start [m/s].")
    spin: Any = _field("spin", (0.0, 0.0, 0.0), "Its angular velocity at the start [rad/s].")
    material: Any = _field(
        "material",
        None,
        "Its material: numbers (density [kg/m^3], stiffness [Pa], ...), or a name to assign.",
    )
    shape: Any = _field("shape", None, "Its shape: a recipe {kind, params}; lengths in m.")
    kind: Any = _field("kind", "affine", "affine, elastic, static or rail.")
    pins: Any = _field("pins", (), "Vertices that keep their position.")
    handles: Any = _field("handles", (), "Named sets of vertices that a seat may pull.")
    rail: Any = _field(
        "rail", None, "The motion of a body of kind rail; amplitude [m], frequency [Hz], spin [rad/s]."
    )

    def update(self, **fields: Any) -> None:
        """Change several fields in one step; None gives a field its default. Raises SceneConflict, Conflict
        (body_locked, not_editable), Refused (bad_scene)."""
        self._scene._update(self._id, fields)

    def __repr__(self) -> str:
        return f"<body {self._id}>"


class BlockingScene:
    """The scene of a session: ``session.scene``. Iteration gives the names of the bodies; an index gives one body.

    Each change is one step that ``undo`` takes back. After the start of the session the scene can only be read.
    """

    def __init__(self, run: _Runs, scene: SessionScene) -> None:
        self._run = run
        self._scene = scene

    # bodies by name

    def __len__(self) -> int:
        return len(self.listing().bodies)

    def __iter__(self) -> Iterator[str]:
        return iter(self._run(self._scene.bodies(), "the list of bodies"))

    def __contains__(self, body: object) -> bool:
        return body in list(self)

    def __getitem__(self, body: str) -> SceneBody:
        """The body of this name. Raises KeyError if there is none."""
        try:
            self._read(body)
        except NotFound as error:
            raise KeyError(body) from error
        return SceneBody(self, body)

    def __setitem__(self, body: str, document: Mapping[str, Any]) -> None:
        """Replace the whole document of a body. Raises SceneConflict, Conflict, Refused."""
        self._run(self._scene.write(body, document), f"the edit of {body}")

    def __delitem__(self, body: str) -> None:
        """Remove a body. Raises KeyError if there is none; SceneConflict, Conflict."""
        try:
            self._run(self._scene.remove(body), f"the removal of {body}")
        except NotFound as error:
            raise KeyError(body) from error

    # building

    def add(
        self,
        shape: str | Mapping[str, Any] = "box",
        *,
        id: str | None = None,
        material: str | Mapping[str, Any] | Material = "wood",
        **fields: Any,
    ) -> SceneBody:
        """Add a body: ``add("box", size=(0.4, 0.4, 0.4), position=(0, 0.3, 0))``, lengths in m. shape: a kind of
        docs/scenes.md with its parameters, a body or a ready mesh of the catalogue, or a recipe. material: rubber,
        wood, steel, jelly, ice, stone, or numbers. See ``SessionScene.add`` for the fields and errors."""
        adding = self._scene.add(shape, id=id, material=material, **fields)
        return SceneBody(self, self._run(adding, "a new body"))

    def from_mesh(self, path: str | Path, *, id: str | None = None, **fields: Any) -> SceneBody:
        """Add a body with the mesh of a file (STL, OBJ, PLY, VTK, MSH, GLB), once a worker has checked it. Raises
        Refused (bad_mesh) with the reason and the place; see ``SessionScene.from_mesh``."""
        return SceneBody(self, self._run(self._scene.from_mesh(path, id=id, **fields), "a mesh"))

    def array(self, body: str, count: int, step: Sequence[float]) -> list[SceneBody]:
        """Add ``count`` copies of a body, each ``step`` [m] further, in one step."""
        names = self._run(self._scene.array(body, count, step), f"copies of {body}")
        return [SceneBody(self, name) for name in names]

    def undo(self, *, skip: int | None = None) -> list[str]:
        """Undo the newest step of this player; return the names of the bodies that changed. Raises Conflict:
        nothing_to_undo, undo_conflict. ``skip``: drop this step first, the ``error.detail["step"]`` of an
        undo_conflict; see ``SessionScene.undo``."""
        return self._run(self._scene.undo(skip=skip), "the answer to undo")

    def redo(self, *, skip: int | None = None) -> list[str]:
        """Redo the step that was undone last; return the names of the bodies that changed. Raises as ``undo``."""
        return self._run(self._scene.redo(skip=skip), "the answer to redo")

    @contextlib.contextmanager
    def lock(self, *bodies: str) -> Iterator[None]:
        """Lock bodies for several edits; see ``BlockingSession.lock``."""
        lock = self._scene.lock(*bodies)
        self._run(lock.__aenter__(), "a lock")
        try:
            yield
        finally:
            self._run(lock.__aexit__(None, None, None), "the release of a lock")

    # the whole scene

    @property
    def world(self) -> dict[str, Any]:
        """The settings of the world that differ from their default: ``gravity`` [m/s^2], ``dt`` [s], ``dhat`` [m]."""
        return self._read(WORLD)

    def set_world(self, **settings: Any) -> None:
        """Change settings of the world, in SI units: ``set_world(gravity=(0, -1.62, 0))``. Raises as an edit."""
        self._update(WORLD, settings)

    def listing(self) -> SceneListing:
        """Version, locks, limits and use of the scene."""
        return self._run(self._scene.listing(), "the list of bodies")

    @property
    def document(self) -> dict[str, Any]:
        """The whole scene, ``tussle-scene/1``, as ``tussle simulate`` runs it; also after the start."""
        return self._run(self._scene.document(), "the scene")

    def check(self) -> SceneReport:
        """Compute whether the scene can start: which bodies touch, and the smallest gap [m]."""
        return self._run(self._scene.check(), "the check of the scene")

    def save(self, path: str | Path) -> None:
        """Write the whole scene to a file, for ``load`` and ``tussle simulate``."""
        self._run(self._scene.save(path), "the scene")

    def load(self, path: str | Path) -> None:
        """Replace the scene with the one in a file. Raises Refused (bad_scene), and as an edit; see
        ``SessionScene.load``."""
        self._run(self._scene.load(path), "the edits of a whole scene")

    # what bodies call

    def _read(self, body: str) -> dict[str, Any]:
        return self._run(self._scene.read(body), f"the document of {body}")

    def _update(self, body: str, fields: Mapping[str, Any]) -> None:
        self._run(self._scene.update(body, **fields), f"the edit of {body}")
