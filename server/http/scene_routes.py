"""The HTTP calls that read the scene of a session: what is in it, one document, or all of it.

    GET /api/sessions/T/scene              versions, locks, limits
    GET /api/sessions/T/scene/bodies/B     one document; B is "world" for the settings of the world
    GET /api/sessions/T/scene.json         the whole scene, also after the start

Every answer has an ETag. A client that knows the token may read. This module must never write.
"""

from __future__ import annotations

import hashlib

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import NotFound
from tussle.lobby.roles import Operation
from tussle.lobby.rules.scene_edits import DOCUMENT_BYTES, SCENE_BYTES
from tussle.lobby.rules.scene_limits import BODIES_MAX, VERTICES_MAX
from tussle.lobby.scene_documents import DocumentVersion
from tussle.server.http.backend import Backend
from tussle.server.http.content_headers import has_content
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import check_token

__all__ = ["SceneRoutes"]

LIMITS = {
    "bodies": BODIES_MAX,
    "vertices": VERTICES_MAX,
    "bytes": SCENE_BYTES,
    "document_bytes": DOCUMENT_BYTES,
}

ERRORS = (404, 409)


class SceneRoutes:
    """The calls about scenes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                path="/api/sessions/{token}/scene", operation=Operation.SCENE, public=self.show_list,
                summary="The scene of a session: versions and locks of its documents", errors=ERRORS,
            ),
            Endpoint(
                path="/api/sessions/{token}/scene/bodies/{body}", operation=Operation.SCENE, public=self.show_body,
                summary="The document of one body, or of the world", errors=ERRORS,
            ),
            Endpoint(
                path="/api/sessions/{token}/scene.json", operation=Operation.SCENE, public=self.show_whole,
                summary="The whole scene as one document", errors=ERRORS,
            ),
        ]  # fmt: skip

    async def show_list(self, request: Request) -> Response:
        token = check_token(request.path_params["token"])
        listing = await self._backend.scenes.listing(token)
        shown = (listing.world, *listing.bodies)
        self._backend.editing.watch_locks(token, [one.body for one in shown if one.lock is not None])
        return _tagged(
            request,
            orjson.dumps(
                {
                    "version": listing.version,
                    "editable": listing.editable,
                    "world": _entry(listing.world),
                    "bodies": [_entry(body) for body in listing.bodies],
                    "limits": LIMITS,
                    "used": {
                        "bodies": len(listing.bodies),
                        "vertices": listing.vertices,
                        "bytes": listing.size,
                    },
                }
            ),
        )

    async def show_body(self, request: Request) -> Response:
        token, body = check_token(request.path_params["token"]), request.path_params["body"]
        if len(body) > 48 or not body.isascii():
            raise NotFound("the scene has no such body", code="no_such_body", field="body")
        found = await self._backend.scenes.document(token, body)
        content = {
            "body": found.body,
            "version": found.version,
            "sha256": found.sha256,
            "document": msgspec.Raw(found.data),
        }
        return _tagged(request, msgspec.json.encode(content))

    async def show_whole(self, request: Request) -> Response:
        return _tagged(request, await self._backend.scenes.whole(check_token(request.path_params["token"])))


def _entry(document: DocumentVersion) -> dict[str, object]:
    return {
        "body": document.body,
        "version": document.version,
        "sha256": document.sha256,
        "lock": document.lock,
    }


def _tagged(request: Request, content: bytes) -> Response:
    """A JSON response with an ETag, or 304 if the client has it."""
    headers = {
        "etag": f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"',
        "cache-control": "no-cache",
    }
    if has_content(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
