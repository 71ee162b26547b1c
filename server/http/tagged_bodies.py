"""JSON answers that many clients ask for again: with an ETag, 304 if the client has them, compressed once.

    value -> bytes -> TaggedBody: hash -> 304 | gzip, made for the first client that accepts it | bytes

The tag is weak: it names the content, whatever its coding. This module must never decide what an answer contains.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import Response

from tussle.server.http.content_headers import accepted_codings, has_content
from tussle.server.http.responses import encode_json

__all__ = ["TaggedBodies", "TaggedBody"]

GZIP_BYTES = 1024
"""A body of at least this size is compressed for clients that accept it."""

GZIP_LEVEL = 5

KEPT_BYTES = 2**21
"""Most bytes of bodies that are kept to be compressed once, without their compressed form."""


class TaggedBody:
    """The bytes of one answer and their tag."""

    __slots__ = ("_packed", "content", "etag")

    def __init__(self, content: bytes, etag: str) -> None:
        self.content = content
        self.etag = etag
        self._packed = b""

    @classmethod
    def of(cls, content: bytes) -> Self:
        """A body with the tag of its content."""
        return cls(content, f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"')

    def respond(self, request: Request) -> Response:
        """The answer, or 304 if the client has it."""
        headers = {"cache-control": "no-cache", "etag": self.etag, "vary": "accept-encoding"}
        if has_content(request, self.etag):
            return Response(status_code=304, headers=headers)
        body = self.content
        if len(body) >= GZIP_BYTES and "gzip" in accepted_codings(request):
            headers["content-encoding"] = "gzip"
            body = self._packed = self._packed or gzip.compress(body, GZIP_LEVEL, mtime=0)
        return Response(body, media_type="application/json", headers=headers)


class TaggedBodies:
    """The answers that were given last, of KEPT_BYTES together; the least recently used one is forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, TaggedBody] = OrderedDict()
        self._bytes = 0

    def respond(self, request: Request, value: Any) -> Response:
        """The value as JSON, as ``json_response`` has it, or 304 if the client has it."""
        made = TaggedBody.of(encode_json(value))
        kept = self._kept.get(made.etag)
        if kept is None:
            kept = self._kept[made.etag] = made
            self._bytes += len(made.content)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.content)
        self._kept.move_to_end(made.etag)
        return kept.respond(request)
