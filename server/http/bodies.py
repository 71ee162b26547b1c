"""The body of a request as it arrives: within a length and a time, into memory or into a file.

    request -> body_pieces -> read_body: bytes
                           -> receive_file: a file, written and hashed in a thread

A body in a file is never in memory as a whole. This module must never interpret a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from tussle.lobby.errors import ProtocolError

__all__ = ["BodyPace", "body_pieces", "declared_length", "read_body", "receive_file"]

BLOCK = 2**18
"""Bytes that are written to the file at once, and charged before."""


@dataclass(frozen=True, slots=True)
class BodyPace:
    """A body must arrive within ``first_s`` [s] and one second more for each ``rate`` bytes, and each piece of it
    within ``piece_s`` [s]."""

    first_s: float
    rate: float = math.inf
    piece_s: float = math.inf


def declared_length(request: Request) -> int | None:
    """The Content-Length of a request, more than any limit if it is not a number; None if there is none."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else 2**63


async def body_pieces(
    request: Request, longest: int, too_long: Callable[[], ProtocolError], pace: BodyPace
) -> AsyncGenerator[bytes]:
    """The body in pieces. Raises ``too_long()`` beyond ``longest`` bytes, and ProtocolError (too_slow, bad_request)."""
    began, received = time.monotonic(), 0
    stream = request.stream()
    try:
        while True:
            left_s = began + pace.first_s + received / pace.rate - time.monotonic()
            async with asyncio.timeout(max(0.0, min(left_s, pace.piece_s))):
                piece = await anext(stream, None)
            if piece is None:
                return
            received += len(piece)
            if received > longest:
                raise too_long()
            yield piece
    except TimeoutError:
        raise ProtocolError("the body did not arrive in time", code="too_slow") from None
    except ClientDisconnect:
        raise ProtocolError("the request was cut off", code="bad_request") from None


async def read_body(pieces: AsyncGenerator[bytes]) -> bytes:
    """A small body. Raises as body_pieces."""
    body = bytearray()
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            body += piece
    return bytes(body)


async def receive_file(
    pieces: AsyncGenerator[bytes],
    file: BinaryIO,
    writing: Callable[[], AbstractContextManager[None]],
    charge: Callable[[int], None] = lambda size: None,
) -> tuple[str, int]:
    """Write a body into ``file``. Returns its SHA-256 and its length.

    writing: entered around each write; it makes a StoreError of an OSError. charge: called with the length of each
    block before it is written. Raises as body_pieces, ``writing`` and ``charge``.
    """
    digest, size, waiting = hashlib.sha256(), 0, bytearray()

    def write() -> None:
        digest.update(waiting)
        with writing():
            file.write(waiting)
        waiting.clear()

    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            waiting += piece
            size += len(piece)
            if len(waiting) >= BLOCK:
                charge(len(waiting))
                await asyncio.to_thread(write)
    charge(len(waiting))
    await asyncio.to_thread(write)
    return digest.hexdigest(), size
