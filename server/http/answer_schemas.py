"""What each HTTP call answers, as types: the response schemas of the OpenAPI document are made from them.

    ANSWERS  (method, path) -> Answered

The types that clients decode too are in lobby/wire/http_answers.py.

tests/server/http/test_answer_schemas.py sends the calls to a server and compares. Clients ignore fields that they do
not know, so that every object may have more of them. This module must never build an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tussle.lobby.bot_requests import BotRequest, BotsAsked
from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.rules.spring import SpringRun
from tussle.lobby.standings import LeaderboardRow
from tussle.lobby.wire.http_answers import (
    Fork,
    ForkTree,
    Join,
    Login,
    Me,
    MeshView,
    PlayerProfile,
    SceneDocument,
    SceneListing,
    SceneReport,
    SentMesh,
)
from tussle.lobby.wire.messages import SessionView
from tussle.lobby.wire.replay import Bookmark, NamedView
from tussle.server.modes.offers import ModeList

__all__ = ["ANSWERS", "Answered"]

JSON = "application/json"
BYTES = "application/octet-stream"


class Nothing(msgspec.Struct, frozen=True):
    """Done."""


class Leaderboard(msgspec.Struct, frozen=True):
    """The best players of a mode."""

    mode: str
    rows: list[LeaderboardRow]


class ListedSeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A seat of a row of the list."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    body: str
    ready: bool
    connected: bool
    health: float | None = None
    out: bool = False


class ListedSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the list of sessions: a view without what is large, and without fields that have their default."""

    session: str
    status: str
    mode: str
    size: int
    host: str
    seats: list[ListedSeat]
    opened_at: int
    started_at: int = 0
    ended_at: int = 0
    round: int = 0
    tick: int = 0
    turn_seat: int | None = None
    closes_at: int = 0
    min_distance: float | None = None
    reason: str = ""
    parent: str | None = None
    parent_tick: int | None = None
    result: dict[str, Any] | None = None
    observers: dict[str, int] = {}


class SessionList(msgspec.Struct, frozen=True):
    """A page of sessions. ``next``: the cursor of the next page, or empty."""

    sessions: list[ListedSession]
    next: str


class Catalogue(msgspec.Struct, frozen=True):
    """By id, the bodies, materials, scenes and ready meshes."""

    bodies: dict[str, Any]
    materials: dict[str, Any]
    scenes: dict[str, Any]
    meshes: dict[str, Any]


class Health(msgspec.Struct, frozen=True):
    """``ok``: this server serves its sessions; ``accepts``: it also takes new ones."""

    ok: bool
    accepts: bool
    store: Literal["ok", "full"]
    server: str
    build: str
    sessions: int
    draining: bool
    connections: int
    connection_limit: int


class BotRequests(msgspec.Struct, frozen=True):
    """Lobbies that want bots."""

    requests: list[BotRequest]


class Marks(msgspec.Struct, frozen=True):
    """Bookmarks and named views of a recording."""

    bookmarks: list[Bookmark]
    views: list[NamedView]


class SpringStarted(msgspec.Struct, frozen=True):
    """The id of a run, and the stream that its first entry was added to."""

    run: str
    stream: str


class UploadRow(msgspec.Struct, frozen=True):
    """An uploaded recording."""

    recording: str
    player: str
    name: str
    title: str
    mode: str
    version: int
    length: int
    bytes: int
    made_at: int
    changed_at: int


class UploadList(msgspec.Struct, frozen=True):
    """Uploads, the last changed first."""

    recordings: list[UploadRow]


class RecordedList(msgspec.Struct, frozen=True):
    """With ``kind=sessions``: recorded sessions. ``next``: the cursor of the next page, or empty."""

    recordings: list[RecordedSession]
    next: str


class RecordingAbout(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a recording has. ``fields``: name -> dtype, per, unit, meaning; ``segments``: the bodies of each
    topology."""

    session: str
    mode: str
    live: bool
    length: int
    dt: float
    stride: int
    first_tick: int | None
    last_tick: int | None
    fields: dict[str, Any]
    segments: list[Any]
    seats: list[Any]
    spec: dict[str, Any]
    physics_id: str


class StoredUpload(msgspec.Struct, frozen=True):
    """An upload that is stored."""

    recording: str
    version: int
    length: int
    bytes: int
    sha256: str


class ChangedUpload(msgspec.Struct, frozen=True):
    """An upload that is changed. ``frames``: tick -> version of the edited frames."""

    recording: str
    version: int
    length: int
    frames: dict[str, int]


class UploadVersions(msgspec.Struct, frozen=True):
    """The version of an upload, and of its edited frames: tick -> version."""

    version: int
    frames: dict[str, int]


class FrameLock(msgspec.Struct, frozen=True):
    """The token of a frame's lock, and how long it is valid [s]."""

    lock: int
    expires_s: float


class Released(msgspec.Struct, frozen=True):
    """Whether the lock was held with that token."""

    released: bool


class MemberRow(msgspec.Struct, frozen=True):
    """A member of a session, for operators."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    connected: bool


class LoadedSession(msgspec.Struct, frozen=True):
    """A session and its load. ``solver_ms``: per tick; ``share``: of one core; ``dilation``: 1 is real time. Null: not
    measured."""

    session: str
    status: str
    mode: str
    size: int
    tick: int
    members: list[MemberRow]
    observers: int
    opened_at: int
    started_at: int
    server: str
    tick_rate: float | None
    solver_ms: float | None
    share: float | None
    dilation: float | None


class ServerRow(msgspec.Struct, frozen=True):
    """A server. ``held``: whether its lease is valid. Null: it has not reported."""

    id: str
    url: str
    sessions: int
    physics_id: str
    lease_age_ms: int | None
    build: str
    held: bool | None
    draining: bool | None
    connections: int | None
    share: float | None


class SolverRow(msgspec.Struct, frozen=True):
    """A solver process of a server."""

    server: str
    index: int
    kind: str
    running: bool
    sessions: int
    queue: int
    busy: float
    load: float


class PlayerRow(msgspec.Struct, frozen=True):
    """A player who is connected to a session."""

    server: str
    player: str
    name: str
    kind: str
    session: str
    role: str


class PlayerBan(msgspec.Struct, frozen=True):
    """A ban of a player, and its end [ms]."""

    player: str
    name: str
    until: int


class BannedNetwork(msgspec.Struct, frozen=True):
    """A ban of an address or network, and its end [ms]."""

    address: str
    until: int


class LimitKey(msgspec.Struct, frozen=True):
    """An owner of a budget: its refusals, what it holds, and what is left of a rate."""

    key: str
    refusals: int
    holds: float
    left: float | None


class LimitRow(msgspec.Struct, frozen=True):
    """One budget of one server; ``setting`` sets it."""

    server: str
    resource: str
    owner: str
    rate: float
    burst: float
    held: bool
    setting: str
    count: int
    refusals: int
    keys: list[LimitKey]


class RefusalRow(msgspec.Struct, frozen=True):
    """How often a server has refused something with a code."""

    server: str
    code: str
    count: int


class OverviewAnswer(msgspec.Struct, frozen=True):
    """What operators see, over all servers. Lists are bounded; the counts are of all. Times in ms of the store's
    clock."""

    at: int
    session_count: int
    player_count: int
    sessions: list[LoadedSession]
    servers: list[ServerRow]
    solvers: list[SolverRow]
    players: list[PlayerRow]
    banned: list[PlayerBan]
    banned_addresses: list[BannedNetwork]
    limits: list[LimitRow]
    refusals: list[RefusalRow]


class BannedPlayer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The player, and the end of the ban [ms]."""

    player: str
    until: int = 0


class BannedAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """The address or network, and the end of the ban [ms]."""

    address: str
    until: int = 0


class Draining(msgspec.Struct, frozen=True):
    """The server hands its sessions over and stops."""

    draining: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer without an error: its type if it is JSON, or several types, its media types, its status."""

    type: Any = None
    or_type: Any = None
    media: tuple[str, ...] = (JSON,)
    status: int = 200


_SESSION = "/api/sessions/{token}"
_RECORDING = "/api/recordings/{token}"
_ANY = dict[str, Any]

ANSWERS: dict[tuple[str, str], Answered] = {
    ("POST", "/api/login"): Answered(Login),
    ("POST", "/api/logout"): Answered(Nothing),
    ("GET", "/api/me"): Answered(Me),
    ("GET", "/api/leaderboard/{mode}"): Answered(Leaderboard),
    ("GET", "/api/players/{player}"): Answered(PlayerProfile),
    ("POST", "/api/find"): Answered(Join),
    ("POST", "/api/open"): Answered(Join),
    ("POST", "/api/join"): Answered(Join),
    ("POST", "/api/observe"): Answered(Join),
    ("POST", "/api/leave"): Answered(Nothing),
    ("POST", f"{_SESSION}/fork"): Answered(Fork),
    ("GET", f"{_SESSION}/forks"): Answered(ForkTree),
    ("POST", f"{_SESSION}/bots"): Answered(BotsAsked),
    ("POST", f"{_SESSION}/rematch"): Answered(Join),
    ("POST", "/api/bots/requests"): Answered(BotRequests),
    ("POST", "/api/bots/seat"): Answered(Join),
    ("GET", "/api/sessions"): Answered(SessionList),
    ("GET", "/api/sessions/changes"): Answered(media=("text/event-stream",)),
    ("GET", _SESSION): Answered(SessionView),
    ("GET", "/api/catalogue"): Answered(Catalogue),
    ("GET", "/api/modes"): Answered(ModeList),
    ("GET", "/healthz"): Answered(Health),
    ("GET", "/metrics"): Answered(media=("text/plain",)),
    ("GET", "/api/recordings"): Answered(UploadList, RecordedList),
    ("GET", _RECORDING): Answered(RecordingAbout),
    ("GET", f"{_RECORDING}.zarr/{{path:path}}"): Answered(media=(BYTES, JSON)),
    ("GET", f"{_RECORDING}/picture.png"): Answered(media=("image/png",)),
    ("GET", f"{_RECORDING}/frames"): Answered(
        media=(
            "application/x-npz", "application/x-npy", "application/msgpack", "application/vnd.apache.arrow.stream",
            JSON,
        )
    ),
    ("GET", f"{_RECORDING}/topology/{{segment}}"): Answered(media=(BYTES,)),
    ("GET", f"{_RECORDING}/events"): Answered(list[_ANY]),
    ("PUT", _RECORDING): Answered(StoredUpload, status=201),
    ("POST", f"{_RECORDING}/frames"): Answered(ChangedUpload),
    ("DELETE", _RECORDING): Answered(Nothing),
    ("POST", f"{_RECORDING}/locks"): Answered(FrameLock),
    ("DELETE", f"{_RECORDING}/locks/{{tick}}"): Answered(Released),
    ("GET", f"{_RECORDING}/versions"): Answered(UploadVersions),
    ("PUT", "/api/meshes"): Answered(SentMesh, status=202),
    ("GET", "/api/meshes/{mesh}"): Answered(MeshView),
    ("GET", "/api/meshes/{mesh}/data"): Answered(media=(BYTES,)),
    ("GET", f"{_RECORDING}/marks"): Answered(Marks),
    ("POST", f"{_SESSION}/views"): Answered(Nothing),
    ("GET", f"{_SESSION}/scene"): Answered(SceneListing),
    ("GET", f"{_SESSION}/scene/bodies/{{body}}"): Answered(SceneDocument),
    ("GET", f"{_SESSION}/scene.json"): Answered(_ANY),
    ("POST", f"{_SESSION}/scene/check"): Answered(SceneReport),
    ("POST", "/api/shapes"): Answered(media=(BYTES,)),
    ("POST", "/api/springs"): Answered(SpringStarted),
    ("GET", "/api/springs/{run}"): Answered(SpringRun),
    ("GET", "/api/admin/overview"): Answered(OverviewAnswer),
    ("POST", f"{_SESSION}/pause"): Answered(Nothing),
    ("POST", f"{_SESSION}/resume"): Answered(Nothing),
    ("POST", f"{_SESSION}/end"): Answered(Nothing),
    ("POST", f"{_SESSION}/kick"): Answered(Nothing),
    ("POST", "/api/admin/ban"): Answered(BannedPlayer),
    ("POST", "/api/admin/unban"): Answered(BannedPlayer),
    ("POST", "/api/admin/ban-address"): Answered(BannedAddress),
    ("POST", "/api/admin/unban-address"): Answered(BannedAddress),
    ("POST", "/api/admin/notice"): Answered(Nothing),
    ("POST", "/api/admin/drain"): Answered(Draining),
    ("POST", "/api/drain"): Answered(Draining),
}  # fmt: skip
"""What each call answers, by method and path as its route has them."""
