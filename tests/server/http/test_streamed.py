"""Responses that are made while they are sent: a client that does not read, one that leaves, a piece that fails."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tussle.lobby.errors import ProtocolError
from tussle.server.http import streamed
from tussle.server.http.streamed import StreamedResponse, cut, packed
from tussle.server.limits import ABORT
from tussle.server.recordings.answers import Piece


class Client:
    """What a server sees of a client. ``reads``: how many slices it takes."""

    def __init__(self, reads: int = 10**9) -> None:
        self.heard = bytearray()
        self.slices = 0
        self.ended = 0
        self.aborted = asyncio.Event()
        self._reads = reads

    async def receive(self) -> dict[str, Any]:
        await self.aborted.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        data = message.get("body", b"")
        if data:
            if self.slices == self._reads:
                await asyncio.Event().wait()
            self.slices += 1
        self.heard += data

    def end(self) -> None:
        self.ended += 1

    async def get(self, pieces: Iterator[Piece], method: str = "GET") -> None:
        async def run(work: Callable[..., Any], *args: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(None, work, *args)

        response = StreamedResponse(
            next(pieces, None), pieces, run, self.end, status=200, media_type="a/b", headers={"etag": '"x"'}
        )
        scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", ABORT: self.aborted.set}
        await response(scope, self.receive, self.send)


async def test_everything_is_sent_in_slices() -> None:
    """Pieces are sent in order, none larger than a slice; the held answer is released once."""
    client, data = Client(), bytes(range(256)) * 4000
    await client.get(iter([data, b"", memoryview(data)]))
    assert bytes(client.heard) == data * 2 and client.slices >= 2 * len(data) // streamed.SLICE_BYTES
    assert client.ended == 1 and not client.aborted.is_set()


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """After SLICE_S the connection is aborted and the held answer released; at most one piece was made ahead."""
    monkeypatch.setattr(streamed, "SLICE_S", 0.01)
    made = []

    def pieces() -> Iterator[Piece]:
        for number in range(100):
            made.append(number)
            yield b"x" * 1000

    client = Client(reads=3)
    await client.get(pieces())
    assert client.aborted.is_set() and client.ended == 1 and len(made) <= 5


async def test_a_client_that_leaves_ends_its_answer() -> None:
    """Nothing more is made for a connection that is closed."""
    client, made = Client(), []

    def pieces() -> Iterator[Piece]:
        for number in range(10_000):
            made.append(number)
            yield b"x"

    client.aborted.set()
    await client.get(pieces())
    assert len(made) < 10 and client.ended == 1


async def test_a_piece_that_fails_cuts_the_answer_off() -> None:
    """A client cannot mistake an incomplete response for a complete one: the connection is aborted."""

    def pieces() -> Iterator[Piece]:
        yield b"begun"
        raise ProtocolError("a chunk is missing", code="damaged_recording")

    client = Client()
    await client.get(pieces())
    assert client.aborted.is_set() and client.ended == 1 and bytes(client.heard) == b"begun"


async def test_a_head_has_no_body() -> None:
    """No piece is made for HEAD."""
    client = Client()
    await client.get(iter([b"a", b"b"]), "HEAD")
    assert not client.heard and client.ended == 1


def test_codings_give_the_same_bytes() -> None:
    """gzip as one member, zstd as frames; a part is cut at its length."""
    from numcodecs.zstd import Zstd

    pieces = [b"a" * 100_000, b"", b"bc" * 50_000]
    assert gzip.decompress(b"".join(packed(iter(pieces), "gzip"))) == b"".join(pieces)
    frames = list(packed(iter([pieces[0], pieces[2]]), "zstd"))
    assert b"".join(Zstd().decode(frame) for frame in frames) == b"".join(pieces)
    assert b"".join(cut(iter(pieces), 150_000)) == b"".join(pieces)[:150_000]
