"""The one tree of errors that Tussle raises on purpose.

    LobbyError
    |-- ClientError          the caller's fault: nothing changed, the connection lives
    |   |-- ProtocolError    bytes or fields that no valid client sends
    |   |-- AuthError        who are you, or: that is not yours
    |   |-- Forbidden        we know who you are, and your role may not do that
    |   |-- NotFound         no such session, player, body
    |   |-- Conflict         true a moment ago, or not in this state
    |   |   |-- LobbyFull
    |   |   |-- NotYourTurn
    |   |   `-- Moved        another server holds the session; the message is its address
    |   |-- Refused          a well-formed action that the mode's rules forbid
    |   |-- UnknownHost      the request is for a host name that is not the server's
    |   |-- AddressTooLong   the path or query of a request is longer than any of ours
    |   `-- RateLimited
    `-- ServerFault          a fault of the server: logged with its trace, sent as its code only
        |-- StoreError       the store did not answer or answered nonsense
        |   `-- ScriptError  a script of ours has a fault; repeating the call does not help
        |-- Fenced           another owner holds this; stop at once
        |-- SolverFailed     a solver process died, hung or could not step
        `-- Diverged         a replay does not reproduce its record

Every error carries ``code`` (stable, for programs), a sentence (for people), the offending ``field`` where one
is known, an HTTP ``status`` and a WebSocket ``close_code``. Bugs are not in this tree: they propagate.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

__all__ = [
    "AddressTooLong",
    "AuthError",
    "ClientError",
    "CloseCode",
    "Conflict",
    "Diverged",
    "Fenced",
    "Forbidden",
    "LobbyError",
    "LobbyFull",
    "Moved",
    "NotFound",
    "NotYourTurn",
    "ProtocolError",
    "RateLimited",
    "Refused",
    "ScriptError",
    "ServerFault",
    "SolverFailed",
    "StoreError",
    "UnknownHost",
]


class CloseCode(IntEnum):
    """WebSocket close codes; the table in docs/protocol.md says what a client does on each."""

    NORMAL = 1000
    LEFT = 4000
    SHUTTING_DOWN = 4001
    ERROR = 4002
    RESUME_REFUSED = 4003
    BAD_MESSAGE = 4004
    REPLACED = 4010
    MOVED = 4011
    VERSION_MISMATCH = 4012
    RATE_LIMITED = 4013
    TOO_SLOW = 4014


class LobbyError(Exception):
    """Base of the tree. ``str(error)`` is the sentence for people."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    close_code: ClassVar[CloseCode] = CloseCode.ERROR

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """``retry_after``: the time [s] after which the same call may succeed, if it is known."""
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        self.field = field
        self.retry_after = retry_after


class ClientError(LobbyError):
    """The caller's fault. The state is unchanged."""

    code = "bad_request"
    status = 400


class ProtocolError(ClientError):
    """Bytes or fields that no valid client sends."""

    code = "bad_message"
    close_code = CloseCode.BAD_MESSAGE


class AuthError(ClientError):
    """The login, ticket or resume token is missing or wrong."""

    code = "unauthorized"
    status = 401
    close_code = CloseCode.RESUME_REFUSED


class Forbidden(ClientError):
    """The role of this player does not allow the call."""

    code = "not_allowed"
    status = 403
    close_code = CloseCode.RESUME_REFUSED


class NotFound(ClientError):
    """There is no such session, player or body."""

    code = "not_found"
    status = 404
    close_code = CloseCode.RESUME_REFUSED  # a seat in what is gone: ask for another


class Conflict(ClientError):
    """The call does not fit the present state."""

    code = "conflict"
    status = 409


class LobbyFull(Conflict):
    """All seats of the lobby are taken."""

    code = "lobby_full"


class NotYourTurn(Conflict):
    """It is another seat's turn."""

    code = "not_your_turn"


class Moved(Conflict):
    """The session is held by another server; ``message`` is its WebSocket address and nothing else."""

    code = "moved"
    close_code = CloseCode.MOVED


class Refused(ClientError):
    """A well-formed action that the mode does not allow; ``field`` names what is wrong with it."""

    code = "refused"
    status = 422


class UnknownHost(ClientError):
    """The request is for a host name that is not the server's: perhaps DNS rebinding (server/limits.py)."""

    code = "unknown_host"
    status = 421


class AddressTooLong(ClientError):
    """The path or query of a request is longer than any that the server knows."""

    code = "address_too_long"
    status = 414


class RateLimited(ClientError):
    """Too many calls; wait before the next."""

    code = "rate_limited"
    status = 429
    close_code = CloseCode.RATE_LIMITED


class ServerFault(LobbyError):
    """A fault of the server. The caller gets the code, never the trace."""

    code = "server_error"


class StoreError(ServerFault):
    """The store did not answer, or its answer makes no sense."""

    code = "store_unavailable"
    status = 503


class ScriptError(StoreError):
    code = "script_error"
    status = 500


class Fenced(ServerFault):
    """Another owner holds the session; the caller stops at once."""

    code = "fenced"


class SolverFailed(ServerFault):
    """A solver process died, hung or could not step."""

    code = "solver_failed"


class Diverged(ServerFault):
    """A replay does not reproduce its record."""

    code = "diverged"
