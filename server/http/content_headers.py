"""What a client accepts and has: Accept-Encoding and If-None-Match. This module must never decide a body."""

from __future__ import annotations

from starlette.requests import Request

__all__ = ["accepted_codings", "has_content"]


def accepted_codings(request: Request) -> set[str]:
    """The content codings that Accept-Encoding names, in lower case, without those of quality 0."""
    accepted = set()
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = "".join(part.split()).partition(";q=")
        if quality not in ("0", "0.", "0.0", "0.00", "0.000"):
            accepted.add(name)
    return accepted


def has_content(request: Request, etag: str) -> bool:
    """Whether If-None-Match has this tag, or ``*``. The comparison is weak (RFC 9110, 8.8.3.2): ``W/`` is ignored."""
    known = request.headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return known.strip() == "*" or etag.removeprefix("W/") in tags
