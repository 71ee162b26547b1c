"""The HTTP calls that a scene's editor needs beside the scene: whether it could start, and what a shape looks like.

    POST /api/sessions/{token}/scene/check    problems, overlaps, the smallest gap of the present scene
    POST /api/shapes                          a recipe -> its mesh (a topology message) and its numbers

Both are computed in a solver process. This module must never build a mesh.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import ProtocolError
from tussle.lobby.roles import Operation
from tussle.lobby.rules.scene_limits import check_recipe
from tussle.lobby.rules.scenes import Recipe
from tussle.lobby.text import Key
from tussle.lobby.wire.numbers import as_sent
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.content_headers import has_content
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.responses import json_response
from tussle.server.sessions.shape_cache import shape_key

__all__ = ["ShapeRequest", "ShapeRoutes"]

RECIPE_BYTES = 16_384
"""The largest recipe."""

SHAPE_MS, VERTEX_MS = 5.0, 0.1
"""Solver time of a shape and of each of its vertices [ms]. Measured on an AMD EPYC: 2 ms for a box, 330 ms for a torus
of 8100 vertices."""


CHECK_MS, BODY_CHECK_MS, VERTEX_CHECK_MS = 5.0, 2.0, 0.4
"""Solver time of a check, and of each body and vertex of its scene [ms]. Measured on an AMD EPYC: 45 ms for 21 bodies
of 8 vertices, 1.4 s for one of 8000, 3.6 s for 128 rings around one another."""


class ShapeRequest(StrictRequest, frozen=True):
    """A recipe: a generator's name and its parameters (docs/scenes.md), or kind "mesh" with ``sha256``."""

    kind: Key
    params: Annotated[dict[Key, Any], msgspec.Meta(max_length=16)] = msgspec.field(default_factory=dict)


class ShapeRoutes:
    """The calls about shapes, and the check of scenes."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/shapes", operation=Operation.SHAPE, handler=self.show_shape,
                body=ShapeRequest, summary="The mesh of one shape, as clients draw it", errors=(422,),
            ),
            Endpoint(
                method="POST", path="/api/sessions/{token}/scene/check", operation=Operation.SHAPE,
                handler=self.check_scene, summary="Whether the present scene could start, and what is wrong with it",
                errors=(404, 409),
            ),
        ]  # fmt: skip

    async def check_scene(self, request: Request, player: PlayerInfo) -> Response:
        token = check_token(request.path_params["token"])
        listing, document = await self._backend.scenes.snapshot(token)
        cost = CHECK_MS + BODY_CHECK_MS * len(listing.bodies) + VERTEX_CHECK_MS * listing.vertices
        if not self._backend.shapes.knows_check(document):
            self._charge(request, player, cost)
        found = await self._backend.shapes.check(document, expected_s=cost / 1e3)
        return json_response({"version": listing.version, **msgspec.to_builtins(found)})

    async def show_shape(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, ShapeRequest)
        recipe = Recipe(body.kind, body.params)
        if len(msgspec.json.encode(recipe)) > RECIPE_BYTES:
            raise ProtocolError(f"a recipe has at most {RECIPE_BYTES} bytes", code="too_large")
        count = check_recipe(recipe)
        tag = f'"{shape_key(recipe)}"'
        if has_content(request, tag):
            return Response(status_code=304, headers={"etag": tag})
        cost = SHAPE_MS + VERTEX_MS * (count or 1000)
        if not self._backend.shapes.knows_shape(recipe):
            self._charge(request, player, cost)
        shape = await self._backend.shapes.shape(recipe, expected_s=cost / 1e3)
        numbers = {name: getattr(shape, name) for name in shape.__struct_fields__ if name != "topology"}
        headers = {
            "etag": tag,
            "cache-control": "no-cache",
            "x-shape": orjson.dumps(as_sent(numbers)).decode(),
        }
        return Response(shape.topology, media_type="application/octet-stream", headers=headers)

    def _charge(self, request: Request, player: PlayerInfo, amount: float) -> None:
        self._requests.charge(Resource.SCENE_WORK, Owner.PLAYER, player.player, amount)
        self._requests.charge(Resource.SCENE_WORK, Owner.ADDRESS, address_owner(request), amount)
