"""JSON responses and problem documents (RFC 9457).

An error response must never be made by anything but ``problem_response``.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import orjson
from starlette.responses import Response

from tussle.lobby.errors import ClientError, LobbyError, StoreError
from tussle.lobby.text import MESSAGE_LENGTH, clip
from tussle.lobby.wire.numbers import as_sent

__all__ = ["encode_json", "error_response", "json_response", "problem_response"]


def json_response(
    value: Any, status: int = 200, media_type: str = "application/json", *, exact: bool = False
) -> Response:
    """A response that is not cached, encoded by ``encode_json``."""
    content = encode_json(value, exact=exact)
    return Response(content, status, media_type=media_type, headers={"cache-control": "no-store"})


def encode_json(value: Any, *, exact: bool = False) -> bytes:
    """Structs as objects, numbers as messages have them (lobby/wire/numbers.py). ``exact``: every digit, of data that
    is computed with."""
    sent = value if exact else as_sent(msgspec.to_builtins(value, str_keys=True))
    return orjson.dumps(sent, default=msgspec.to_builtins)


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    title: str = "",
    kind: str = "about:blank",
    field: str | None = None,
    retry_after: float | None = None,
) -> Response:
    """A problem document. ``code`` is for programs; ``field`` names the invalid field; an empty title is ``detail``.
    ``retry_after`` [s] is in the document, and in whole seconds in the Retry-After header (RFC 9110)."""
    detail, title = clip(detail, MESSAGE_LENGTH), clip(title or detail, MESSAGE_LENGTH)
    document: dict[str, Any] = {
        "type": kind, "title": title, "status": status, "detail": detail, "code": code
    }  # fmt: skip
    if field is not None:
        document["field"] = field
    if retry_after is not None:
        document["retry_after"] = round(retry_after, 3)
    response = json_response(document, status, "application/problem+json")
    if "retry_after" in document:
        response.headers["retry-after"] = str(max(1, math.ceil(document["retry_after"])))
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def error_response(error: LobbyError) -> Response:
    """The problem document of an error. Only errors of a client or of the store are described in ``detail``."""
    return problem_response(
        error.status,
        error.reason,
        error.message if isinstance(error, ClientError | StoreError) else "an error of the server",
        title=type(error).__name__,
        kind=f"urn:tussle:error:{error.reason}",
        field=error.field,
        retry_after=error.retry_after,
    )
