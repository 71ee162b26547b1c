"""The body of a request: its length, its pace, into memory or into a file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from tussle.lobby.errors import ProtocolError, RateLimited, StoreError
from tussle.server.http.bodies import (
    BLOCK,
    BodyPace,
    body_pieces,
    declared_length,
    read_body,
    receive_file,
)

AT_ONCE = BodyPace(100.0)


def request(*pieces: bytes, silent: bool = False, cut: bool = False) -> Any:
    """A request whose body has these pieces. silent: nothing follows and it does not end. cut: the client is gone."""

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if silent:
            await asyncio.Event().wait()
        if cut:
            raise ClientDisconnect

    return SimpleNamespace(stream=stream, headers={})


def too_long() -> ProtocolError:
    return ProtocolError("too long", code="too_large")


async def test_a_body_may_be_as_long_as_its_limit_and_no_longer() -> None:
    """One byte more is refused, also when no length was declared."""
    assert await read_body(body_pieces(request(b"abc", b"", b"de"), 5, too_long, AT_ONCE)) == b"abcde"
    with pytest.raises(ProtocolError, match="too long"):
        await read_body(body_pieces(request(b"abc", b"def"), 5, too_long, AT_ONCE))


@pytest.mark.parametrize("pace", [BodyPace(0.05), BodyPace(0.0, rate=100.0), BodyPace(100.0, piece_s=0.05)])
async def test_a_body_that_stalls_is_too_slow(pace: BodyPace) -> None:
    """The whole time, the time that its first bytes have earned, or the time of one piece is over."""
    with pytest.raises(ProtocolError) as refused:
        await read_body(body_pieces(request(b"abc", silent=True), 5, too_long, pace))
    assert refused.value.reason == "too_slow"


async def test_a_body_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ProtocolError) as refused:
        await read_body(body_pieces(request(b"abc", cut=True), 5, too_long, AT_ONCE))
    assert refused.value.reason == "bad_request"


async def test_a_file_has_the_bytes_and_each_block_is_charged_before() -> None:
    """A refused charge leaves the file as it was; an error of the disk is the store's error."""
    sent = [bytes([number]) * (BLOCK // 2) for number in range(3)]
    data, charged = b"".join(sent), list[int]()
    file = io.BytesIO()
    pieces = body_pieces(request(*sent), len(data), too_long, AT_ONCE)
    digest, size = await receive_file(pieces, file, contextlib.nullcontext, charged.append)
    assert (file.getvalue(), digest, size) == (data, hashlib.sha256(data).hexdigest(), len(data))
    assert charged == [BLOCK, BLOCK // 2]

    def refuse(_: int) -> None:
        raise RateLimited("too many bytes")

    empty = io.BytesIO()
    with pytest.raises(RateLimited):
        await receive_file(
            body_pieces(request(*sent), len(data), too_long, AT_ONCE), empty, contextlib.nullcontext, refuse
        )
    assert empty.getvalue() == b""

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        raise StoreError("the disk is full")
        yield

    with pytest.raises(StoreError):
        await receive_file(body_pieces(request(*sent), len(data), too_long, AT_ONCE), empty, full)


@pytest.mark.parametrize(
    ("header", "length"),
    [(None, None), ("0", 0), ("17", 17), ("\u00b2", 2**63), ("-1", 2**63), ("1" * 16, 2**63), ("", 2**63)],
)
def test_a_length_that_is_no_number_exceeds_every_limit(header: str | None, length: int | None) -> None:
    """A superscript two counts as a digit in Python, and int() refuses it."""
    asked = request()
    asked.headers = {} if header is None else {"content-length": header}
    assert declared_length(asked) == length
