"""The HTTP calls about recordings of players: upload, add and change frames, lock a frame, remove.

    PUT    /api/recordings/T?sha256=           an archive (server/recordings/packed.py)
    POST   /api/recordings/T/frames?sha256=    frames that are added, inserted or edited (msgpack)
    GET    /api/recordings/T/versions          versions of the frames
    POST   /api/recordings/T/locks             lock a frame, or renew the lock;   DELETE  .../locks/<tick>?lock=
    DELETE /api/recordings/T

An uploaded recording is read like any other (recording_routes.py) and listed by recording_lists.py.
Bodies are received into a file, in pieces. This module must never open a recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import NotFound, ProtocolError, RateLimited, Refused
from tussle.lobby.ids import is_session_token
from tussle.lobby.roles import Operation
from tussle.lobby.text import check_text
from tussle.lobby.uploads import LOCK_MS
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.bodies import BodyPace, body_pieces, declared_length, read_body, receive_file
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, query_text
from tussle.server.http.responses import json_response
from tussle.server.recordings.uploading import FRAMES_BYTES, SentFrames, reachable

__all__ = ["UploadRoutes"]

SHA256 = re.compile(r"[0-9a-f]{64}")

TITLE_LENGTH = 80

PACE = BodyPace(20.0, rate=32_768.0, piece_s=20.0)
"""How slowly a body may arrive."""

BUSY_S = 2.0

FRAME_COST = 4096.0
"""What a change of frames costs in bytes, beside its body: the table of the recording is written again."""


class LockRequest(StrictRequest, frozen=True):
    """Lock the frame of a tick. renew: the token of a lock that is kept for longer; 0: a new lock."""

    tick: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    renew: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0


class UploadRoutes:
    """The calls about recordings of players."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests
        self._most = backend.settings.upload_bytes

    def endpoints(self) -> list[Endpoint]:
        def endpoint(method: str, path: str, handler: Any, summary: str, **more: Any) -> Endpoint:
            return Endpoint(
                method=method, path=f"/api/recordings/{path}", operation=Operation.UPLOAD, handler=handler,
                summary=summary, **more,
            )  # fmt: skip

        digest = {"sha256": "SHA-256 of the body, in hexadecimal digits"}
        return [
            endpoint(
                "PUT", "{token}", self.put, "Upload a recording: a ZIP archive of its Zarr group",
                errors=(400, 403, 409, 422),
                query={**digest, "title": "its title in lists", "listed": "0: no list shows it"},
            ),
            endpoint(
                "POST", "{token}/frames", self.change, "Add frames to an uploaded recording, or edit some (msgpack)",
                errors=(400, 403, 404, 409, 422), query=digest,
            ),
            endpoint("DELETE", "{token}", self.remove, "Remove an uploaded recording", errors=(403, 404)),
            endpoint(
                "POST", "{token}/locks", self.lock, "Lock a frame of an uploaded recording, or renew the lock",
                body=LockRequest, errors=(400, 403, 404, 409),
            ),
            endpoint(
                "DELETE", "{token}/locks/{tick}", self.unlock, "Release the lock of a frame", errors=(404, 422),
                query={"lock": "the lock's token"},
            ),
            Endpoint(
                path="/api/recordings/{token}/versions", operation=Operation.RECORDING, public=self.versions,
                summary="Versions of the frames of an uploaded recording", errors=(404,),
            ),
        ]  # fmt: skip

    async def put(self, request: Request, player: PlayerInfo) -> Response:
        token = request.path_params["token"]
        if not is_session_token(token):
            raise Refused(
                "the name has the form of a session's token: 8 of its letters", code="bad_name", field="token"
            )
        sha256, title = (
            _sha256(request),
            check_text(query_text(request, "title", TITLE_LENGTH), field="title"),
        )
        listed = query_text(request, "listed", 1) != "0"
        size = _length(request, self._most)
        self._backend.store_memory.admit()
        uploading = self._backend.uploading
        await uploading.check_free(token, player)
        async with self._receiving(request, player, size), uploading.scratch() as folder:
            self._requests.charge_store(Operation.UPLOAD, request, player)
            async with _opened(folder / "body") as file:
                digest, _ = await receive_file(_pieces(request, size), file, reachable)
                _check(digest, sha256)
                stored = await uploading.add(
                    token, player, file, _subfolder(folder), title=title, listed=listed
                )
        return json_response(
            {
                "recording": token, "version": stored.version, "length": stored.kept.length,
                "bytes": stored.kept.size, "sha256": stored.kept.sha256,
            },
            201,
        )  # fmt: skip

    async def change(self, request: Request, player: PlayerInfo) -> Response:
        token, sha256 = _token(request), _sha256(request)
        size = _length(request, FRAMES_BYTES)
        self._backend.store_memory.admit()
        uploading = self._backend.uploading
        upload = await uploading.own(token, player)
        async with self._receiving(request, player, size + FRAME_COST), uploading.scratch() as folder:
            self._requests.charge_store(Operation.UPLOAD, request, player)
            data = await read_body(_pieces(request, size))
            _check((await asyncio.to_thread(hashlib.sha256, data)).hexdigest(), sha256)
            try:
                sent = msgspec.msgpack.decode(data, type=SentFrames)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ProtocolError(f"the frames: {error}", code="bad_upload") from None
            stored = await uploading.change(
                upload.token, player, sent, folder, lambda written: self._charge(request, player, written)
            )
        return json_response(
            {
                "recording": token, "version": stored.version, "length": stored.kept.length,
                "frames": {str(tick): version for tick, version in stored.frames.items()},
            }
        )  # fmt: skip

    async def remove(self, request: Request, player: PlayerInfo) -> Response:
        token = _token(request)
        await self._backend.uploads.remove(token, "" if player.operator else player.player)
        await self._backend.replay_rooms.forget_marks(token)
        return json_response({})

    async def versions(self, request: Request) -> Response:
        token = _token(request)
        upload = await self._backend.uploads.find(token)
        if upload is None:
            raise NotFound("there is no uploaded recording of this name", code="no_recording")
        frames = await self._backend.uploading.versions(upload)
        return json_response({"version": upload.version, "frames": {str(k): v for k, v in frames.items()}})

    async def lock(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, LockRequest)
        self._backend.store_memory.admit()
        token = await self._backend.uploads.lock(_token(request), player.player, body.tick, body.renew)
        return json_response({"lock": token, "expires_s": LOCK_MS / 1000})

    async def unlock(self, request: Request, player: PlayerInfo) -> Response:
        tick, lock = request.path_params["tick"], query_text(request, "lock", 16)
        if not all(text.isascii() and text.isdecimal() and len(text) <= 16 for text in (tick, lock)):
            raise Refused("the tick and the lock are whole numbers", code="bad_query", field="lock")
        upload = await self._backend.uploading.own(_token(request), player)
        released = await self._backend.uploads.unlock(upload.token, int(tick), int(lock))
        return json_response({"released": released})

    def _charge(self, request: Request, player: PlayerInfo, size: float) -> None:
        most = self._backend.ledger.most(Resource.UPLOAD_BYTES, Owner.PLAYER)
        self._requests.charge(Resource.UPLOAD_BYTES, Owner.PLAYER, player.player, min(size, most))
        self._requests.charge(Resource.UPLOAD_BYTES, Owner.ADDRESS, address_owner(request), min(size, most))

    @contextlib.asynccontextmanager
    async def _receiving(self, request: Request, player: PlayerInfo, size: float) -> AsyncIterator[None]:
        """Charge an upload, and hold it while it is received and read. Raises RateLimited."""
        owners = ((Owner.PLAYER, player.player), (Owner.ADDRESS, address_owner(request)), (Owner.SERVER, ""))

        def refusal(owner: Owner) -> RateLimited:
            return RateLimited(f"too many uploads of this {owner}", code="uploads_busy", retry_after=BUSY_S)

        with self._backend.ledger.holding(Resource.UPLOADS_IN_PROGRESS, owners, refusal):
            self._charge(request, player, size)
            yield


def _token(request: Request) -> str:
    token: str = request.path_params["token"]
    if not is_session_token(token):
        raise NotFound("there is no recording of this name", code="no_recording")
    return token


def _sha256(request: Request) -> str:
    text = query_text(request, "sha256", 64).lower()
    if not SHA256.fullmatch(text):
        raise Refused(
            "the query must have the SHA-256 of the body: ?sha256=", code="bad_hash", field="sha256"
        )
    return text


def _length(request: Request, most: int) -> int:
    """The declared length of the body. Raises ProtocolError."""
    declared = declared_length(request)
    if declared is None:
        raise ProtocolError("an upload has a Content-Length", code="bad_upload")
    if declared > most:
        raise ProtocolError(f"an upload has at most {most} bytes", code="upload_too_large")
    return declared


def _subfolder(folder: Path) -> Path:
    made = folder / "files"
    with reachable():
        made.mkdir()
    return made


@contextlib.asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[BinaryIO]:
    """A new file. Raises StoreError (recordings_unreachable)."""
    with reachable():
        file = await asyncio.to_thread(path.open, "w+b")
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # what it could not write was reported before
            file.close()


def _pieces(request: Request, size: int) -> AsyncGenerator[bytes]:
    """The body, whose declared length is ``size``."""
    return body_pieces(
        request,
        size,
        lambda: ProtocolError("the body is longer than its Content-Length", code="bad_upload"),
        PACE,
    )


def _check(digest: str, sha256: str) -> None:
    if digest != sha256:
        raise ProtocolError(
            "the bytes that arrived do not have the SHA-256 that the request states", code="bad_hash"
        )
