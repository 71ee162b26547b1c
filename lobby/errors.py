"""The errors that Tussle raises on purpose, in one class tree.

    LobbyError
    |-- ClientError          a fault of the caller; the state is unchanged
    |   |-- ProtocolError    bytes or fields that no valid client sends
    |   |   `-- VersionMismatch  the client has another version of the protocol
    |   |-- AuthError        the login, ticket or resume token is missing or not valid
    |   |-- Forbidden        the caller's role does not have the right
    |   |-- NotFound         no such session, player, body
    |   |-- Conflict         the current state does not allow the call
    |   |   |-- LobbyFull
    |   |   |-- NotYourTurn
    |   |   `-- Moved        another server holds the session; the message is its address
    |   |-- Refused          a well-formed action that the mode's rules forbid
    |   |-- UnknownHost      the Host header does not name this server
    |   |-- AddressTooLong   the path or query of a request exceeds its limit
    |   `-- RateLimited      a budget or a rate limit is used up
    `-- ServerFault          a fault of the server; logged with its traceback, only the code is sent
        |-- StoreError       the store did not answer, or sent an invalid reply
        |   `-- ScriptError  a Lua script failed; repeating the call does not help
        |-- DamagedData      what the store keeps cannot be read
        |-- Fenced           another server holds the session; the caller stops
        |-- SolverFailed     a solver process died, hung or could not step
        `-- Diverged         a replay does not give the recorded states

Every error has a stable ``code`` for programs, a message for people, an HTTP ``status`` and a WebSocket ``close_code``.
Some also have the offending ``field``. Bugs are not in this tree: they propagate.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

__all__ = [
    "AddressTooLong",
    "AuthError",
    "ClientError",
    "CloseCode",
    "Conflict",
    "DamagedData",
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
    "VersionMismatch",
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
    """Base of the tree. ``str(error)`` is the message for people."""

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
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """``retry_after``: the time [s] after which the same call may succeed, if it is known. ``detail``: the present
        state that the call did not know, if the error's code has one."""
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        self.field = field
        self.retry_after = retry_after
        self.detail = detail


class ClientError(LobbyError):
    """A fault of the caller. The state is unchanged."""

    code = "bad_request"
    status = 400


class ProtocolError(ClientError):
    """Bytes or fields that no valid client sends. ``command``: the id of the refused command, if it could be read."""

    code = "bad_message"
    close_code = CloseCode.BAD_MESSAGE
    command: int | None = None


class VersionMismatch(ProtocolError):
    """The client speaks another version of the protocol."""

    code = "version_mismatch"
    close_code = CloseCode.VERSION_MISMATCH


class AuthError(ClientError):
    """The login, ticket or resume token is missing or not valid."""

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
    close_code = CloseCode.RESUME_REFUSED  # the session of the seat is gone: the client asks for another seat


class Conflict(ClientError):
    """The current state does not allow the call."""

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
    """A well-formed action that the mode does not allow; ``field`` names the part that is wrong."""

    code = "refused"
    status = 422


class UnknownHost(ClientError):
    """The Host header does not name this server, as in DNS rebinding (server/limits.py)."""

    code = "unknown_host"
    status = 421


class AddressTooLong(ClientError):
    """The path or query of a request exceeds its limit."""

    code = "address_too_long"
    status = 414


class RateLimited(ClientError):
    """A budget or a rate limit is used up; wait before the next call."""

    code = "rate_limited"
    status = 429
    close_code = CloseCode.RATE_LIMITED


class ServerFault(LobbyError):
    """A fault of the server. The caller gets the code, never the traceback."""

    code = "server_error"


class StoreError(ServerFault):
    """The store did not answer, or its reply is not valid."""

    code = "store_unavailable"
    status = 503


class ScriptError(StoreError):
    """A Lua script failed. Repeating the call does not help."""

    code = "script_error"
    status = 500


class DamagedData(ServerFault):
    """What the store keeps cannot be read; the message names it. Repeating the call does not help."""

    code = "damaged_data"


class Fenced(ServerFault):
    """Another server holds the session; the caller stops at once."""

    code = "fenced"


class SolverFailed(ServerFault):
    """A solver process died, hung or could not step."""

    code = "solver_failed"


class Diverged(ServerFault):
    """A replay does not give the recorded states."""

    code = "diverged"
