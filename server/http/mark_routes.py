"""The HTTP calls about the bookmarks and named views of recordings (lobby/replay_rooms.py).

    GET  /api/recordings/T/marks      bookmarks and views; of a session that still runs or waits too
    POST /api/sessions/T/views        a member keeps a camera under a name, or removes one

The members of a replay room keep them over its socket. This module must never open a recording.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.replay_rooms import Author
from tussle.lobby.roles import Operation
from tussle.lobby.text import check_text
from tussle.lobby.wire.replay import CameraView
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.responses import json_response

__all__ = ["MarkRoutes"]


class ViewRequest(StrictRequest, frozen=True):
    """A camera under a name; null removes the one of this name."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    camera: CameraView | None = None


class MarkRoutes:
    """The calls about marks."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                path="/api/recordings/{token}/marks", operation=Operation.RECORDING, public=self.show,
                summary="Bookmarks and named views of a recording", errors=(404,),
            ),
            Endpoint(
                method="POST", path="/api/sessions/{token}/views", operation=Operation.DISCUSS,
                handler=self.set_view, body=ViewRequest, summary="Keep a camera with a session, under a name",
                errors=(400, 403, 404, 409, 422),
            ),
        ]  # fmt: skip

    async def show(self, request: Request) -> Response:
        bookmarks, views = await self._backend.replay_rooms.marks(check_token(request.path_params["token"]))
        found: dict[str, Any] = {"bookmarks": bookmarks, "views": views}
        return json_response(msgspec.to_builtins(found))

    async def set_view(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, ViewRequest)
        token, rooms = check_token(request.path_params["token"]), self._backend.replay_rooms
        check_text(body.name, field="name")
        author = Author(player.player, player.name, player.operator)
        if body.camera is None:
            await rooms.remove_view(token, author, body.name, by_member=True)
            return json_response({})
        check_text(body.camera.follow, field="follow")
        self._backend.store_memory.admit()
        self._requests.charge_store(Operation.DISCUSS, request, player, session=f"{token} replay")
        self._requests.charge(Resource.MARKS, Owner.PLAYER, player.player)
        self._requests.charge(Resource.MARKS, Owner.ADDRESS, address_owner(request))
        await rooms.set_view(token, author, body.name, body.camera, by_member=True)
        return json_response({})
