"""What the server answers over HTTP: logins, seats, forks, accounts, scenes and meshes.

The server's OpenAPI document is made from these types (server/http/answer_schemas.py), and the Python client decodes
with them. A server writes every field, unless the type leaves defaults out; a default is what a client assumes of an
older server. Fields that a client does not know are ignored. This module must never send a request.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "Fork",
    "ForkTree",
    "Forked",
    "Join",
    "Login",
    "Me",
    "MeshView",
    "ModeStanding",
    "PastMatch",
    "PlayerProfile",
    "SceneDocument",
    "SceneEntry",
    "SceneListing",
    "SceneProblem",
    "SceneReport",
    "SentMesh",
]


class Login(msgspec.Struct, frozen=True):
    """The answer to a login. ``token`` is a secret, valid for ``expires_s`` seconds."""

    player: str
    name: str
    token: str
    expires_s: int = 0
    guest: bool = False


class Join(msgspec.Struct, frozen=True):
    """A seat, or an observer's place, in a session. ``ticket`` is a secret that works once, for some seconds, at
    ``ws_url``; ``servers`` are other addresses that accept it. here: ``ws_url`` is the server that answered, and the
    client uses the address at which it reached that server."""

    session: str
    role: Literal["player", "observer"]
    ticket: str
    ws_url: str
    seat: int | None = None
    protocol: int = 0
    build: str = ""
    servers: tuple[str, ...] = ()
    here: bool = False


class Fork(Join, frozen=True):
    """A seat in a fork. ``parent_tick``: the tick of ``parent`` that it begins with. ``exact``: its first state is the
    recorded one, bit for bit; False if another version recorded it, and it begins at the nearest checkpoint."""

    parent: str = ""
    parent_tick: int = 0
    exact: bool = True


class Forked(msgspec.Struct, frozen=True):
    """One fork in a tree. at: when it was made [ms]; name: of the player who made it; status: None once the store has
    no keys of it."""

    session: str
    parent: str
    parent_tick: int
    exact: bool
    at: int
    name: str = ""
    status: str | None = None


class ForkTree(msgspec.Struct, frozen=True):
    """The forks of the session ``root``, and the forks of those, oldest first."""

    session: str
    root: str
    forks: list[Forked]


class Me(msgspec.Struct, frozen=True):
    """The account of the player who is logged in. ``rating`` is by mode; ``session`` is where the player has a seat."""

    player: str
    name: str
    kind: str = "person"
    session: str | None = None
    xp: int = 0
    rating: dict[str, float] = {}
    played: int = 0
    won: int = 0


class ModeStanding(msgspec.Struct, frozen=True):
    """A player in one mode. ``value``: the rating [points]; ``provisional``: it is still uncertain. ``place``: on the
    leaderboard, 1 is best; None if the player is not on it."""

    mode: str
    value: float
    provisional: bool
    played: int
    place: int | None = None


class PastMatch(msgspec.Struct, frozen=True):
    """An ended session of a player. ``session``: '' if it was private. ``at``: its end [ms]. ``place``: 1 is best,
    ``of`` so many players. ``rating``: in its mode afterwards [points]; None if the session was not rated."""

    session: str
    mode: str
    at: int
    place: int
    of: int
    body: str = ""
    rating: int | None = None


class PlayerProfile(msgspec.Struct, frozen=True):
    """A player as anybody may see it. ``standings``: by mode. ``matches``: the newest first, a bounded number; a forked
    session is not among them."""

    player: str
    name: str
    kind: Literal["person", "bot"]
    xp: int
    played: int
    won: int
    standings: tuple[ModeStanding, ...] = ()
    matches: tuple[PastMatch, ...] = ()


class SceneEntry(msgspec.Struct, frozen=True):
    """A document of a scene. ``lock``: the seat that has locked it, None if nobody has."""

    version: int
    sha256: str
    body: str = "world"
    lock: int | None = None


class SceneListing(msgspec.Struct, frozen=True):
    """The list of a scene: versions and locks. ``version`` grows by one with each commit. ``editable``: the lobby still
    waits. ``limits``, ``used``: bodies, vertices and bytes."""

    version: int
    editable: bool
    world: SceneEntry
    bodies: tuple[SceneEntry, ...]
    limits: dict[str, int] = {}
    used: dict[str, int] = {}


class SceneProblem(msgspec.Struct, frozen=True):
    """Why a scene cannot start."""

    body: str
    code: str
    message: str
    field: str | None = None


class SceneReport(msgspec.Struct, frozen=True):
    """Whether a scene can start. ``overlaps``: pairs of bodies that touch; ``smallest_gap``: the smallest distance of
    two bodies [m], None if none are near."""

    version: int
    ok: bool
    vertices: int = 0
    overlaps: tuple[tuple[str, str], ...] = ()
    problems: tuple[SceneProblem, ...] = ()
    smallest_gap: float | None = None


class SceneDocument(msgspec.Struct, frozen=True):
    """The document of one body, or of the world (docs/scene.schema.json)."""

    version: int
    document: dict[str, Any]
    body: str = ""
    sha256: str = ""


class MeshView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mesh as anybody may see it. state: queued, working, ready, refused. reason: a MeshFault, with a message and the
    place of the fault in the coordinates of the file [m]. shape: the recipe that scenes use."""

    mesh: str
    state: Literal["queued", "working", "ready", "refused"]
    percent: int
    reason: str = ""
    message: str = ""
    place: tuple[float, float, float] | None = None
    shape: dict[str, Any] | None = None
    vertices: int = 0
    tetrahedra: int = 0
    volume: float = 0.0
    bounding_radius: float = 0.0


class SentMesh(msgspec.Struct, frozen=True):
    """An upload, named by the SHA-256 of its bytes."""

    mesh: str
    state: Literal["queued", "working", "ready", "refused"]
