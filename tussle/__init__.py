"""Tussle: a multiplayer lobby and session server for shared soft-body physics.

    import tussle

    with tussle.connect("http://127.0.0.1:8420") as client:     # blocking, for scripts and notebooks
        with client.find(mode="duel", size=2) as session:
            for event in session: ...

    async with tussle.Client("http://127.0.0.1:8420") as client: ...     # the same, for asyncio

The names of ``__all__`` are the public API. Each is loaded when it is first used (PEP 562), so ``import tussle`` loads
nothing else, and ``import tussle.lobby`` loads no client.

In a checkout the packages lie beside this folder (``server/``, ``lobby/``, ...); an installed wheel has them inside.
Both are imported by one name, ``tussle.server``: in a checkout the parent folder is a second place to look for
submodules. The file ``.checkout`` marks a checkout; it is not part of the wheel.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tussle.lobby.errors import (
        AuthError,
        ClientError,
        CloseCode,
        Conflict,
        Forbidden,
        LobbyError,
        LobbyFull,
        NotFound,
        NotYourTurn,
        ProtocolError,
        RateLimited,
        Refused,
        ServerFault,
        SolverFailed,
        StoreError,
    )
    from tussle.lobby.standings import LeaderboardRow
    from tussle.lobby.wire.frames import Frame, Topology
    from tussle.lobby.wire.http_answers import (
        Fork,
        Forked,
        ForkTree,
        Join,
        Login,
        Me,
        ModeStanding,
        PastMatch,
        PlayerProfile,
        SceneListing,
        SceneReport,
    )
    from tussle.lobby.wire.messages import Event, NoticeData, ObserversData, SeatView, SessionView
    from tussle.player.blocking import BlockingClient, BlockingReplayRoom, BlockingSession, connect, recording
    from tussle.player.blocking_recording import BlockingRecording
    from tussle.player.blocking_scene import BlockingScene, SceneBody
    from tussle.player.client import Client
    from tussle.player.clips import RecordedBody, RecordedFrames
    from tussle.player.connection import SessionConnection
    from tussle.player.live_client import follow, list_sources
    from tussle.player.recording_client import Recording
    from tussle.player.replay_client import ReplayRoomConnection
    from tussle.player.scene_client import SceneConflict, SessionScene
    from tussle.player.transcript import Disconnected
    from tussle.sweeps import SweepResult, record_run, sweep

__all__ = [
    "AuthError",
    "BlockingClient",
    "BlockingRecording",
    "BlockingReplayRoom",
    "BlockingScene",
    "BlockingSession",
    "Client",
    "ClientError",
    "CloseCode",
    "Conflict",
    "Disconnected",
    "Event",
    "Forbidden",
    "Fork",
    "ForkTree",
    "Forked",
    "Frame",
    "Join",
    "LeaderboardRow",
    "LobbyError",
    "LobbyFull",
    "Login",
    "Me",
    "ModeStanding",
    "NotFound",
    "NotYourTurn",
    "NoticeData",
    "ObserversData",
    "PastMatch",
    "PlayerProfile",
    "ProtocolError",
    "RateLimited",
    "RecordedBody",
    "RecordedFrames",
    "Recording",
    "Refused",
    "ReplayRoomConnection",
    "SceneBody",
    "SceneConflict",
    "SceneListing",
    "SceneReport",
    "SeatView",
    "ServerFault",
    "SessionConnection",
    "SessionScene",
    "SessionView",
    "SolverFailed",
    "StoreError",
    "SweepResult",
    "Topology",
    "connect",
    "follow",
    "list_sources",
    "record_run",
    "recording",
    "sweep",
]

_MODULES = {
    "Client": "player.client", "Join": "lobby.wire.http_answers", "Login": "lobby.wire.http_answers",
    "Me": "lobby.wire.http_answers", "Fork": "lobby.wire.http_answers", "ForkTree": "lobby.wire.http_answers",
    "Forked": "lobby.wire.http_answers", "PlayerProfile": "lobby.wire.http_answers",
    "ModeStanding": "lobby.wire.http_answers", "PastMatch": "lobby.wire.http_answers",
    "connect": "player.blocking", "BlockingClient": "player.blocking", "BlockingSession": "player.blocking",
    "BlockingReplayRoom": "player.blocking", "BlockingScene": "player.blocking_scene",
    "SceneBody": "player.blocking_scene", "SceneReport": "lobby.wire.http_answers",
    "SceneListing": "lobby.wire.http_answers",
    "SceneConflict": "player.scene_client", "SessionScene": "player.scene_client",
    "recording": "player.blocking", "BlockingRecording": "player.blocking_recording",
    "Recording": "player.recording_client", "RecordedFrames": "player.clips", "RecordedBody": "player.clips",
    "SweepResult": "sweeps", "sweep": "sweeps", "record_run": "sweeps",
    "SessionConnection": "player.connection", "Disconnected": "player.transcript",
    "follow": "player.live_client", "list_sources": "player.live_client",
    "ReplayRoomConnection": "player.replay_client",
    "Event": "lobby.wire.messages", "SessionView": "lobby.wire.messages", "SeatView": "lobby.wire.messages",
    "ObserversData": "lobby.wire.messages", "NoticeData": "lobby.wire.messages",
    "Frame": "lobby.wire.frames", "Topology": "lobby.wire.frames", "LeaderboardRow": "lobby.standings",
}  # fmt: skip
"""Where a public name is defined; names that are not listed are errors, in lobby.errors."""

if (Path(__file__).parent / ".checkout").is_file():
    __path__.append(str(Path(__file__).resolve().parent.parent))


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tussle' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tussle.{_MODULES.get(name, 'lobby.errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
