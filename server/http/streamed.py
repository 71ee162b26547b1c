"""Responses that are made in a thread, piece by piece, while they are sent: compressed if the client accepts it, cut
off if the client does not read.

    pieces (a generator) -> thread -> [gzip | zstd] -> send, one piece made ahead -> the client

A response needs memory for a few pieces, whatever its length. The first piece is made before anything is sent, so that
a recording that cannot be read is answered with an error document. This module must never know what a piece is.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tussle.lobby.errors import LobbyError
from tussle.lobby.logs import get_logger
from tussle.server.limits import ABORT
from tussle.server.recordings.answers import Piece
from tussle.server.recordings.zarr_layout import zstd

__all__ = ["CODINGS", "Run", "StreamedResponse", "cut", "packed"]

SLICE_BYTES = 2**18
"""What is sent at once [B]."""

SLICE_S = 20.0
"""How long a client may take for a slice [s]. A slower one is cut off."""

GZIP_LEVEL = 1

CODINGS: Mapping[str, float] = {"zstd": 2.0, "gzip": 4.0}
"""Content codings, the preferred one first, and what a byte costs in comparison with one that is not compressed."""

log = get_logger("server.http")

Run = Callable[..., Awaitable[Piece | None]]
"""Calls a function in a thread."""


def cut(pieces: Iterator[Piece], length: int) -> Iterator[Piece]:
    """The first ``length`` bytes."""
    for piece in pieces:
        if length <= 0:
            return
        yield piece[:length]
        length -= len(piece)


def packed(pieces: Iterator[Piece], coding: str) -> Iterator[Piece]:
    """The pieces in a content coding: one gzip member, or a frame of zstd for each piece (RFC 8878, 3.1)."""
    if coding == "zstd":
        yield from map(zstd, pieces)
        return
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    for piece in pieces:
        data = gzip.compress(piece)
        if data:
            yield data
    yield gzip.flush()


class StreamedResponse(Response):
    """``first`` and then ``rest``, whose pieces ``run`` makes in a thread. ``ended`` is called once it is over, whether
    or not anything was sent."""

    def __init__(
        self,
        first: Piece | None,
        rest: Iterator[Piece],
        run: Run,
        ended: Callable[[], None],
        *,
        status: int,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = status
        self.media_type = media_type
        self.init_headers(headers)
        self._first = first
        self._rest = rest
        self._run = run
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] != "HEAD":
                await self._send_all(scope, receive, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._ended()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        following: asyncio.Future[Piece | None] | None = None
        piece = self._first
        try:
            while piece is not None and not gone.done():
                following = asyncio.ensure_future(self._run(next, self._rest, None))
                view = memoryview(piece)
                for at in range(0, len(view), SLICE_BYTES):
                    async with asyncio.timeout(SLICE_S):
                        part = view[at : at + SLICE_BYTES]
                        await send({"type": "http.response.body", "body": part, "more_body": True})
                piece = await following
        except (LobbyError, TimeoutError) as error:
            log.warning("response_cut_off", path=scope["path"], error=str(error) or "read too slowly")
            if ABORT not in scope:
                raise
            scope[ABORT]()
            await gone
        finally:
            gone.cancel()
            if following is not None:  # its thread still uses the pieces
                with suppress(Exception):
                    await following


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        """The body of a request without a body."""
