"""The rights table: which role may perform which operation. Pure.

    anonymous  a caller without a login; it reads public pages, lists and recordings
    observer   a caller with a login, or a connection without a seat: watches, and asks for a seat
    player     an observer with a seat: acts, chats, leaves
    operator   an observer of every session who also pauses, ends, kicks, bans, notifies and drains

A caller can have several roles. The operator role gives none of a player's rights, and the reverse.

Every HTTP route and every message type names one Operation and asks this table before it runs (server/http/rights.py,
server/gateway/commands.py and replay_gate.py, server/live/hub.py). This module must never depend on a session's state:
whether a lobby has a free seat is not a right, and the lobby's scripts check it.
"""

from __future__ import annotations

from enum import StrEnum

from tussle.lobby.errors import Forbidden

__all__ = ["RIGHTS", "Operation", "Role", "check_right", "may"]


class Role(StrEnum):
    """What a connection or a caller is."""

    ANONYMOUS = "anonymous"
    OBSERVER = "observer"
    PLAYER = "player"
    OPERATOR = "operator"


class Operation(StrEnum):
    """What can be asked for."""

    LOGIN = "login"
    LIST = "list"
    """Read the sessions, the leaderboard and the catalogue."""
    INSPECT = "inspect"
    """Read the server's health, its metrics and the description of its API."""
    PAGES = "pages"
    """Load the web client."""
    RECORDING = "recording"
    """Read the recording of a session whose token the caller knows."""

    UPLOAD = "upload"
    """Upload a recording, change it, remove it. An operator may remove any."""

    SCENE = "scene"
    """Read the scene of a session whose token the caller knows."""

    LOGOUT = "logout"
    PROFILE = "profile"
    FIND = "find"
    OPEN = "open"
    JOIN = "join"
    MESH = "mesh"
    """Upload a mesh."""
    FORK = "fork"
    """Open a lobby that begins with a recorded state."""
    FILL = "fill"
    """Ask for bots in a lobby; its script checks that the caller is the host."""
    SERVE = "serve"
    """Look for lobbies that want bots, and take a seat in one as a bot."""
    REMATCH = "rematch"
    """Open or join the rematch of a session; its caller must have had a seat."""
    RELEASE = "release"
    """Give up the caller's seat in a session over HTTP; does nothing without a seat."""
    SHAPE = "shape"
    """See the mesh of a shape; check whether a scene could start."""
    SPRING = "spring"
    """Begin and read a run of the spring-damper's stream solvers."""

    WATCH = "watch"
    SENSOR_INFO = "sensor_info"
    SUBSCRIBE = "subscribe"

    REPLAY = "replay"
    """Join the replay room of a recording and follow its presenter."""
    PRESENT = "present"
    """Present in a replay room: take the presenter's token and send scrubs."""
    DISCUSS = "discuss"
    """Chat in a replay room; add bookmarks and views, and remove one's own. An operator may remove any."""

    ACT = "act"
    CHAT = "chat"
    READY = "ready"
    CHOOSE = "choose"
    LEAVE = "leave"
    EDIT = "edit"
    """Lock and edit the scene of a waiting lobby, undo and redo."""

    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    KICK = "kick"
    DRAIN = "drain"
    BAN = "ban"
    """Ban a player, or lift a ban."""
    NOTIFY = "notify"
    """Show a notice in a session, or in all."""
    OVERSEE = "oversee"
    """Read the overview: sessions, servers, solvers, players, limits."""


_PUBLIC = frozenset(
    {
        Operation.LOGIN,
        Operation.LIST,
        Operation.INSPECT,
        Operation.PAGES,
        Operation.RECORDING,
        Operation.SCENE,
    }
)
_SEATING = frozenset(
    {
        Operation.LOGOUT,
        Operation.PROFILE,
        Operation.FIND,
        Operation.OPEN,
        Operation.JOIN,
        Operation.MESH,
        Operation.FORK,
        Operation.FILL,
        Operation.SERVE,
        Operation.REMATCH,
        Operation.RELEASE,
        Operation.SHAPE,
        Operation.SPRING,
        Operation.UPLOAD,
    }
)
_WATCHING = frozenset(
    {
        Operation.WATCH,
        Operation.SENSOR_INFO,
        Operation.SUBSCRIBE,
        Operation.REPLAY,
        Operation.PRESENT,
        Operation.DISCUSS,
    }
)
_PLAYING = frozenset(
    {
        Operation.ACT,
        Operation.CHAT,
        Operation.READY,
        Operation.CHOOSE,
        Operation.LEAVE,
        Operation.EDIT,
    }
)
_OPERATING = frozenset(
    {
        Operation.PAUSE,
        Operation.RESUME,
        Operation.END,
        Operation.KICK,
        Operation.DRAIN,
        Operation.BAN,
        Operation.NOTIFY,
        Operation.OVERSEE,
    }
)

RIGHTS: dict[Role, frozenset[Operation]] = {
    Role.ANONYMOUS: _PUBLIC,
    Role.OBSERVER: _PUBLIC | _SEATING | _WATCHING,
    Role.PLAYER: _PUBLIC | _SEATING | _WATCHING | _PLAYING,
    Role.OPERATOR: _PUBLIC | _SEATING | _WATCHING | _OPERATING,
}
"""The whole matrix. An operation that is not listed for a role is refused."""


def may(role: Role, operation: Operation) -> bool:
    """Whether a role has a right."""
    return operation in RIGHTS[role]


def check_right(operation: Operation, *roles: Role) -> None:
    """Raises Forbidden unless one of the caller's roles has the right."""
    if not any(operation in RIGHTS[role] for role in roles):
        raise Forbidden(f"{' and '.join(sorted(roles)) or 'nobody'} may not {operation}")
