"""The HTTP calls about uploaded meshes: send a file, read its state, read the ready mesh.

    PUT file -> budgets -> a local file, hashed as it arrives -> reserve -> the archive's meshes -> queue -> 202

A file is never in memory as a whole, and nothing of it is read here: ``worker meshes`` does that. Any client that knows
the hash of a mesh can read it. This module must never interpret a file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Conflict, NotFound, ProtocolError, RateLimited, Refused, StoreError
from tussle.lobby.mesh_files import UPLOAD, is_mesh_hash
from tussle.lobby.roles import Operation
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.bodies import BodyPace, body_pieces, declared_length, receive_file
from tussle.server.http.content_headers import has_content
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, address_owner, check_token, query_text
from tussle.server.http.responses import json_response

__all__ = ["MeshRoutes"]

ENDINGS = (".stl", ".obj", ".ply", ".vtk", ".msh", ".glb")

PACE = BodyPace(10.0, rate=65_536.0, piece_s=20.0)
"""How slowly a file may arrive."""

BUSY_S = 2.0

CACHED = "public, max-age=31536000, immutable"


class MeshRoutes:
    """The calls about meshes."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests
        self._ledger = backend.ledger
        self._most = backend.settings.mesh_bytes
        self._folder = backend.settings.data_dir / "meshing"

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="PUT", path="/api/meshes", operation=Operation.MESH, handler=self.send,
                errors=(400, 403, 404, 409, 422),
                summary="Send a mesh file (the body), which a worker checks and fills with tetrahedra",
                query={
                    "name": "of the file; its ending is the format: .stl .obj .ply .vtk .msh .glb",
                    "session": "whose viewers get the progress as mesh messages; the caller has a seat in it",
                },
            ),
            Endpoint(
                path="/api/meshes/{mesh}", operation=Operation.RECORDING, public=self.show,
                summary="The state of an upload, or the numbers of a ready mesh", errors=(404,),
            ),
            Endpoint(
                path="/api/meshes/{mesh}/data", operation=Operation.RECORDING, public=self.data,
                summary="The ready mesh, as bytes", errors=(404,),
            ),
        ]  # fmt: skip

    async def send(self, request: Request, player: PlayerInfo) -> Response:
        ending = Path(query_text(request, "name", 200)).suffix.lower()
        if ending not in ENDINGS:
            message = f"the name of the file must end in {', '.join(ENDINGS)}"
            raise Refused(message, code="bad_mesh_name", field="name")
        session = query_text(request, "session")
        if session:
            await self._require_seat(check_token(session), player)
        backend = self._backend
        backend.store_memory.admit()
        with self._sending(request, player):
            self._requests.charge(Resource.MESHES, Owner.PLAYER, player.player)
            self._requests.charge(Resource.MESHES, Owner.ADDRESS, address_owner(request))
            self._requests.charge_store(Operation.MESH, request, player)
            async with self._received(request, player) as (path, sha256, size):
                state = await backend.meshes.reserve(sha256, size, ending, player.player, session)
                if state == "storing":
                    with _reachable():
                        await asyncio.to_thread(backend.mesh_files.put, path, sha256, UPLOAD)
                    state = await backend.meshes.queue(sha256)
        return json_response({"mesh": sha256, "state": state}, 202)

    async def show(self, request: Request) -> Response:
        found = await self._backend.meshes.view(_hash(request))
        return json_response(msgspec.to_builtins(found))

    async def data(self, request: Request) -> Response:
        sha256, size = await self._backend.meshes.ready(_hash(request))
        headers = {"etag": f'"{sha256}"', "cache-control": CACHED if sha256 == _hash(request) else "no-cache"}
        if has_content(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        owner = address_owner(request)
        self._requests.charge(
            Resource.RECORDING_BYTES, Owner.ADDRESS, owner, 0 if request.method == "HEAD" else size
        )
        with _reachable():
            try:
                data = await asyncio.to_thread(self._backend.mesh_files.read, sha256)
            except FileNotFoundError:
                raise NotFound(f"there is no mesh {sha256[:12]}", code="unknown_mesh", field="mesh") from None
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def _require_seat(self, session: str, player: PlayerInfo) -> None:
        view = await self._backend.views.view(session)
        if all(seat.player != player.player for seat in view.seats):
            raise Conflict("you have no seat in this session", code="not_member", field="session")

    @contextlib.contextmanager
    def _sending(self, request: Request, player: PlayerInfo) -> Iterator[None]:
        """Count a file among those that are sent at once. Raises RateLimited (meshes_busy)."""
        owners = ((Owner.PLAYER, player.player), (Owner.ADDRESS, address_owner(request)), (Owner.SERVER, ""))

        def refusal(owner: Owner) -> RateLimited:
            message = f"too many mesh files of this {owner} are being sent"
            return RateLimited(message, code="meshes_busy", retry_after=BUSY_S)

        with self._ledger.holding(Resource.MESH_UPLOADS, owners, refusal):
            yield

    @contextlib.asynccontextmanager
    async def _received(self, request: Request, player: PlayerInfo) -> AsyncIterator[tuple[Path, str, int]]:
        """The body as a local file, with its hash and its size. Bytes are charged as they arrive.

        Raises ProtocolError (too_large, too_slow, bad_request) and RateLimited.
        """

        def too_large() -> ProtocolError:
            return ProtocolError(f"a mesh file has at most {self._most} bytes", code="too_large")

        def charge(size: int) -> None:
            self._requests.charge(Resource.MESH_BYTES, Owner.PLAYER, player.player, size)
            self._requests.charge(Resource.MESH_BYTES, Owner.ADDRESS, address_owner(request), size)

        if (declared_length(request) or 0) > self._most:
            raise too_large()
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        with _reachable():
            file: Any = await asyncio.to_thread(NamedTemporaryFile, "wb", prefix="upload-", dir=self._folder)
        try:
            pieces = body_pieces(request, self._most, too_large, PACE)
            digest, size = await receive_file(pieces, file, _reachable, charge)
            if not size:
                raise ProtocolError("the body is empty", code="bad_request")
            with _reachable():
                await asyncio.to_thread(file.flush)
            yield Path(file.name), digest, size
        finally:
            await asyncio.to_thread(file.close)


def _hash(request: Request) -> str:
    """The hash in the path. Raises NotFound (unknown_mesh) if it is none."""
    text: str = request.path_params["mesh"]
    if not is_mesh_hash(text):
        raise NotFound(f"{text[:16]!r} is not the hash of a mesh", code="unknown_mesh", field="mesh")
    return text


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Raise StoreError (meshes_unreachable) for an error of the file system."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the files of the meshes cannot be reached: {error.strerror}", code="meshes_unreachable"
        ) from None
