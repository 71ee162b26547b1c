"""The HTTP calls that read recordings, also of sessions that still run.

    GET /api/recordings/T                       description
    GET /api/recordings/T/frames                arrays of some frames
    GET /api/recordings/T/topology/<segment>    meshes, as the socket sends them
    GET /api/recordings/T/events                events
    GET /api/recordings/T.zarr/<path>           the Zarr group

A recording is read by the same right as its session: its token is its address (recording_lists.py lists those of public
sessions). Each answer has an ETag, and its bytes are charged before it is made. This module must never write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import RateLimited, Refused
from tussle.lobby.roles import Operation
from tussle.lobby.wire.frames import encode_topology
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.content_headers import accepted_codings, has_content
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, address_owner, query_text
from tussle.server.http.responses import problem_response
from tussle.server.http.streamed import CODINGS, StreamedResponse, cut, packed
from tussle.server.recordings.answers import FORMATS, Answer, Piece, answer, gathered
from tussle.server.recordings.selection import Selection, select
from tussle.server.recordings.zarr_layout import CHUNK_FRAMES

__all__ = ["RecordingRoutes"]

SMALL_BYTES = 1024
"""A shorter answer is not compressed [B]."""

PREPARE_BYTES = 2.0**14
"""What it costs to find out what an answer has [B]."""

BUSY_RETRY_S = 1.0

T = TypeVar("T")

BYTES = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

JSON = "application/json"

CACHED = "private, max-age=86400"
"""Cache-Control of what never changes: meshes, and frames that are chosen by number."""


class RecordingRoutes:
    """The calls that read recordings."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._library = backend.library
        self._ledger = backend.ledger
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        def endpoint(path: str, handler: Any, summary: str, **more: Any) -> Endpoint:
            return Endpoint(
                path=f"/api/recordings/{path}", operation=Operation.RECORDING, public=handler, summary=summary, **more
            )  # fmt: skip

        return [
            endpoint("{token}.zarr/{path:path}", self.file, "The recording as a Zarr group", errors=(400, 404)),
            endpoint("{token}", self.show, "What a recording has", errors=(400, 404)),
            endpoint(
                "{token}/frames", self.frames, "Frames of a recording as arrays", errors=(400, 404, 422),
                query={
                    "data": "fields, separated by commas; all without it",
                    "frames": "which: a number, or start:stop:step as in Python",
                    "tick": "frames of these ticks: a:b", "time": "frames of these simulated seconds: a:b",
                    "format": "npz, npy, msgpack, arrow or json, instead of the Accept header",
                },
            ),
            endpoint(
                "{token}/topology/{segment}", self.topology, "The meshes of a segment of a recording",
                errors=(400, 404, 422),
            ),
            endpoint("{token}/events", self.events, "The events of a recording", errors=(400, 404)),
        ]  # fmt: skip

    async def show(self, request: Request) -> Response:
        opened = await self._library.open(request.path_params["token"])

        def make() -> bytes:
            return orjson.dumps(opened.describe(), default=msgspec.to_builtins)

        return await self._document(request, _tag("about", opened.version, opened.live), make, JSON)

    async def frames(self, request: Request) -> Response:
        opened = await self._library.open(request.path_params["token"])
        form = _form(request)
        texts = {name: query_text(request, name, 200) for name in ("data", "frames", "tick", "time")}
        about = {"session": opened.session}

        def make() -> tuple[Selection, Answer]:
            selection = select(opened.store, **texts)
            return selection, answer(opened.store, selection, form, about)

        selection, made = await self._prepare(request, make)
        tag = _tag("frames", opened.identity, form, selection.fields, selection.numbers)
        fixed = (
            texts["frames"]
            and opened.upload is None
            and _is_fixed(texts["frames"], selection, opened.store.length)
        )
        # Frames that are left out are read too, as far as they are in a chunk with others.
        read = min(selection.numbers.step, CHUNK_FRAMES)
        return await self._answer(request, tag, made, cache=CACHED if fixed else "no-cache", read=read)

    async def topology(self, request: Request) -> Response:
        opened = await self._library.open(request.path_params["token"])
        text = request.path_params["segment"]
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise Refused(f"{text[:40]!r} is no segment", code="bad_range", field="segment")
        segment = int(text)

        def make() -> bytes:
            return encode_topology(opened.store.topology(segment))

        tag = _tag("topology", opened.identity, segment)
        cache = CACHED if opened.upload is None else "no-cache"
        return await self._document(request, tag, make, "application/octet-stream", cache=cache)

    async def events(self, request: Request) -> Response:
        opened = await self._library.open(request.path_params["token"])
        size = opened.store.events_bytes
        made = Answer(JSON, size, max(2, size + 1), lambda: _as_list(opened.store.events()))
        return await self._answer(request, _tag("events", opened.version), made)

    async def file(self, request: Request) -> Response:
        opened = await self._library.open(request.path_params["token"])
        path = request.path_params["path"]
        document = path.endswith("zarr.json")
        return await self._document(
            request, _tag("file", opened.version, path), lambda: opened.file(path),
            JSON if document else "application/octet-stream", compress=document,
        )  # fmt: skip

    async def _document(
        self,
        request: Request,
        tag: str,
        make: Callable[[], bytes],
        media_type: str,
        *,
        cache: str = "no-cache",
        compress: bool = True,
    ) -> Response:
        """An answer that is made as a whole."""
        known = _unchanged(request, tag, cache)
        if known is not None:
            return known
        data = await self._prepare(request, make)
        whole = memoryview(data)
        made = Answer(
            media_type, len(data), len(data), lambda: iter([whole]), lambda start: iter([whole[start:]])
        )
        return await self._answer(request, tag, made, cache=cache, compress=compress)

    async def _prepare(self, request: Request, work: Callable[[], T]) -> T:
        """Work before the size of an answer is known. It costs PREPARE_BYTES. Raises RateLimited."""
        ended = self._hold(request)
        try:
            self._charge(request, PREPARE_BYTES)
            return await self._library.run(work)
        finally:
            ended()

    async def _answer(
        self,
        request: Request,
        tag: str,
        made: Answer,
        *,
        cache: str = "no-cache",
        compress: bool = True,
        read: int = 1,
    ) -> Response:
        """The answer, or a part of it, if the client does not have it. read: bytes that are read for each one that is
        sent. Raises RateLimited."""
        known = _unchanged(request, tag, cache)
        if known is not None:
            return known
        start, end, status = _range(request, tag, made)
        if status == 416:
            refusal = problem_response(416, "bad_range", f"the answer has {made.length} bytes", field="range")
            refusal.headers["content-range"] = f"bytes */{made.length}"
            return refusal
        coding = _coding(request) if compress and status == 200 and made.size >= SMALL_BYTES else ""
        headers = _headers(f"{tag}-{coding}" if coding else tag, cache)
        size: float = made.size
        if coding:
            headers["content-encoding"] = coding
            size *= CODINGS[coding]
        elif made.length is not None:
            headers["content-length"] = str(end - start)
            size = end - start
        if made.part is not None and not coding:
            headers["accept-ranges"] = "bytes"
        if status == 206:
            headers["content-range"] = f"bytes {start}-{end - 1}/{made.length}"
        ended = self._hold(request)
        try:
            self._charge(request, 0.0 if request.method == "HEAD" else size * read)
            pieces = made.pieces() if made.part is None or not start else made.part(start)
            pieces = gathered(cut(pieces, end - start) if status == 206 else pieces)
            if coding:
                pieces = packed(pieces, coding)
            first = None if request.method == "HEAD" else await self._library.run(next, pieces, None)
        except BaseException:
            ended()
            raise
        return StreamedResponse(
            first, pieces, self._library.run, ended, status=status, media_type=made.media_type, headers=headers
        )  # fmt: skip

    def _charge(self, request: Request, size: float) -> None:
        most = self._ledger.most(Resource.RECORDING_BYTES, Owner.ADDRESS)
        owner = address_owner(request)
        self._requests.charge(Resource.RECORDING_BYTES, Owner.ADDRESS, owner, min(size, most))

    def _hold(self, request: Request) -> Callable[[], None]:
        """Hold one of the answers that are made at once. Returns the function that releases it."""
        held = [
            (Resource.RECORDING_READS, Owner.ADDRESS, address_owner(request)),
            (Resource.RECORDING_READS, Owner.SERVER, ""),
        ]
        for number, one in enumerate(held):
            if not self._ledger.hold(*one):
                for before in held[:number]:
                    self._ledger.release(*before)
                raise RateLimited(f"too many reads of recordings of this {one[1]}", retry_after=BUSY_RETRY_S)

        def release() -> None:
            for one in held:
                self._ledger.release(*one)

        return release


def _tag(*parts: object) -> str:
    """The inner part of an ETag: equal for equal bytes."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _headers(tag: str, cache: str) -> dict[str, str]:
    return {"cache-control": cache, "etag": f'"{tag}"', "vary": "accept, accept-encoding"}


def _unchanged(request: Request, tag: str, cache: str) -> Response | None:
    """304 if the client has the content that the tag names, in any content coding."""
    for name in (tag, *(f"{tag}-{coding}" for coding in CODINGS)):
        if has_content(request, f'"{name}"'):
            return Response(status_code=304, headers=_headers(name, cache))
    return None


def _range(request: Request, tag: str, made: Answer) -> tuple[int, int, int]:
    """Start, end and status of the response: 200 the whole, 206 a part, 416 a part that does not exist."""
    length = made.length or 0
    asked = BYTES.fullmatch(request.headers.get("range", ""))
    wanted = request.headers.get("if-range", f'"{tag}"') == f'"{tag}"'
    if asked is None or made.part is None or not wanted or asked[1] == asked[2] == "":
        return 0, length, 200
    if asked[1]:
        start, end = int(asked[1]), min(int(asked[2] or length) + (asked[2] != ""), length)
    else:
        start, end = max(0, length - int(asked[2])), length
    return (start, end, 206) if start < end else (0, 0, 416)


def _coding(request: Request) -> str:
    """The content coding that the client accepts and this server prefers; "" for none."""
    accepted = accepted_codings(request)
    return next((coding for coding in CODINGS if coding in accepted), "")


def _form(request: Request) -> str:
    """The format of frames: of the query, or of the Accept header. Raises Refused (bad_format)."""
    named = query_text(request, "format", 20)
    if named:
        if named not in FORMATS:
            raise Refused(f"there is no format {named}", code="bad_format", field="format")
        return named
    types: Mapping[str, str] = {media_type: form for form, media_type in FORMATS.items()}
    accept = request.headers.get("accept") or "*/*"
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in types:
            return types[media_type]
        if media_type in ("*/*", "application/*"):
            return next(iter(FORMATS))
    raise Refused(f"frames are {', '.join(FORMATS.values())}", code="bad_format", field="accept")


def _is_fixed(text: str, selection: Selection, length: int) -> bool:
    """Whether a selection by numbers is the same however long the recording becomes."""
    parts = text.split(":")
    if "-" in text or (len(parts) > 1 and not parts[1]):
        return False
    return len(parts) == 1 or int(parts[1]) <= length


def _as_list(lines: Iterator[bytes]) -> Iterator[Piece]:
    """Lines of JSON as one list. No line has a line break within."""
    waiting = b"["
    for piece in lines:
        yield waiting
        waiting = piece.replace(b"\n", b",")
    yield (waiting.removesuffix(b",") if len(waiting) > 1 else waiting) + b"]"
