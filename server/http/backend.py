"""What the HTTP API calls on its server. This module must never import what runs sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tussle.lobby.accounts import Accounts
from tussle.lobby.filling import Filling
from tussle.lobby.forks import Forks
from tussle.lobby.mesh_files import MeshFiles
from tussle.lobby.mesh_store import Meshes
from tussle.lobby.name_guesses import NameGuesses
from tussle.lobby.operators import Operators
from tussle.lobby.overview import Overviews
from tussle.lobby.recording_index import RecordingIndex
from tussle.lobby.rematches import Rematches
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings
from tussle.lobby.spring_runs import SpringRuns
from tussle.lobby.standings import Standings
from tussle.lobby.uploads import Uploads
from tussle.lobby.views import Views
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.costs import Ledger
from tussle.server.gateway.editing import Editing
from tussle.server.http.bot_shares import BotShares
from tussle.server.http.reservations import Reservations
from tussle.server.http.session_changes import SessionChanges
from tussle.server.http.session_lists import SessionLists
from tussle.server.limits import Hosts
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.library import Library
from tussle.server.recordings.pictures import Pictures
from tussle.server.recordings.uploading import Uploading
from tussle.server.sessions.first_scenes import ModeScenes
from tussle.server.sessions.forking import Forking
from tussle.server.sessions.shape_cache import ShapeCache
from tussle.server.store_memory import StoreMemory

__all__ = ["Backend"]


class Backend(Protocol):
    """The parts of a server; server/app.py implements it."""

    settings: Settings
    accounts: Accounts
    seating: Seating
    filling: Filling
    rematches: Rematches
    forks: Forks
    forking: Forking
    views: Views
    operators: Operators
    overviews: Overviews
    springs: SpringRuns
    standings: Standings
    telemetry: Telemetry
    ledger: Ledger
    store_memory: StoreMemory
    reservations: Reservations
    bot_shares: BotShares
    name_guesses: NameGuesses
    hosts: Hosts
    banned: BannedAddresses
    session_lists: SessionLists
    session_changes: SessionChanges
    library: Library
    pictures: Pictures
    recording_index: RecordingIndex
    uploads: Uploads
    uploading: Uploading
    shapes: ShapeCache
    meshes: Meshes
    mesh_files: MeshFiles
    replay_rooms: ReplayRooms
    scenes: SceneStore
    editing: Editing
    mode_scenes: ModeScenes
    build: str

    def address(self) -> HolderAddress:
        """This server, as the holder of a session that starts here."""

    @property
    def follows_requests(self) -> bool:
        """Whether a client reaches this server where its request came: PUBLIC_URL names no address."""
        ...

    def neighbours(self) -> Sequence[str]:
        """Addresses of the other living servers of the realm."""

    def bodies(self) -> dict[str, dict[str, Any]]:
        """The bodies of the catalogue, by name."""

    async def catalogue(self) -> dict[str, dict[str, Any]]:
        """Bodies, materials, scenes and ready meshes, read from the store."""

    def health(self) -> dict[str, Any]:
        """The content of /healthz. ``ok`` is false while the server starts, drains or has lost its lease.
        ``accepts``: it also takes new work, which a full store (``store``: full) does not allow."""

    def is_proxy(self, peer: str) -> bool:
        """Whether this is the address of a trusted proxy."""

    def stop(self) -> None:
        """Hand the sessions over and stop, as SIGTERM does."""
