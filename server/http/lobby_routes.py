"""The HTTP calls that reserve or give up a seat: find, open, join, observe, leave.

A reservation is a ticket; the client takes the seat over the WebSocket. This module must never seat a player itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.addresses import socket_address
from tussle.lobby.errors import Conflict, NotFound, RateLimited, Refused
from tussle.lobby.roles import Operation
from tussle.lobby.rules.scene_edits import SCENE_BYTES, assemble
from tussle.lobby.rules.scenes import encode_scene
from tussle.lobby.seating import SeatReservation, encode_params
from tussle.lobby.text import Key, SessionToken
from tussle.lobby.wire.negotiation import PROTOCOL
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.responses import json_response
from tussle.server.limits import PROXIED, request_address
from tussle.server.modes.registry import get_mode
from tussle.server.recordings.library import OpenRecording
from tussle.server.recordings.poses import pose_scene
from tussle.server.sessions.first_scenes import FOREIGN

__all__ = ["FindRequest", "JoinRequest", "LobbyRoutes", "OpenRequest", "SessionRequest"]

ALTERNATES = 3
"""Maximum number of other servers' addresses in a reservation."""

ERRORS = (404, 409, 422)


class FindRequest(StrictRequest, frozen=True):
    """A seat in the oldest open lobby of that mode and size, or in a new one. bots: whether bots fill a new one if
    nobody else comes within ALONE_S."""

    mode: Key = "duel"
    size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    body: Key = ""
    ready: bool = True
    bots: bool = True


class LikeRequest(StrictRequest, frozen=True):
    """The scene of another session; with a tick, as its recording shows it then."""

    session: SessionToken
    tick: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class OpenRequest(StrictRequest, frozen=True):
    """A new lobby. scene: its document; or template: the name of a scene of the catalogue; or like: a session. bots:
    whether bots fill a public one if nobody else comes within ALONE_S."""

    mode: Key = "duel"
    size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    body: Key = ""
    ready: bool = False
    private: bool = False
    bots: bool = True
    scene: Annotated[str, msgspec.Meta(max_length=SCENE_BYTES)] = ""
    template: Key = ""
    like: LikeRequest | None = None
    params: Annotated[dict[Key, Any], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=dict)


class JoinRequest(StrictRequest, frozen=True):
    """A seat in that lobby."""

    session: SessionToken
    body: Key = ""
    ready: bool = False


class SessionRequest(StrictRequest, frozen=True):
    """The session that a call is about."""

    session: SessionToken


class LobbyRoutes:
    """The calls about seats."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/find", operation=Operation.FIND, handler=self.find, body=FindRequest,
                summary="A seat in an open lobby, or in a new one", errors=ERRORS,
            ),
            Endpoint(
                method="POST", path="/api/open", operation=Operation.OPEN, handler=self.open, body=OpenRequest,
                summary="Open a lobby and reserve its seat 0", errors=ERRORS,
            ),
            Endpoint(
                method="POST", path="/api/join", operation=Operation.JOIN, handler=self.join, body=JoinRequest,
                summary="A seat in that lobby, or a new ticket for the player's seat", errors=ERRORS,
            ),
            Endpoint(
                method="POST", path="/api/observe", operation=Operation.WATCH, handler=self.observe,
                body=SessionRequest, summary="A ticket to watch that session", errors=ERRORS,
            ),
            Endpoint(
                method="POST", path="/api/leave", operation=Operation.RELEASE, handler=self.leave,
                body=SessionRequest, summary="Give up the player's seat", errors=ERRORS,
            ),
        ]  # fmt: skip

    async def find(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, FindRequest)
        self.admit(Operation.FIND, request, player)
        self._check_size(body.mode, body.size)
        self.check_body(body.body)
        alone_ms = self.alone_ms(body.mode, body.size, player) if body.bots else 0
        async with self.reserving_alone(request, player, body.size, alone_ms) as reserved:
            reservation = await self._backend.seating.find(
                player.player,
                body.mode,
                body.size,
                body=body.body,
                bodies=sorted(self._backend.bodies()),
                ready=body.ready,
                holder=self._backend.address(),
                person=player.kind == "person",
                alone_ms=alone_ms,
                address=address_owner(request),
            )
            reserved(reservation)
        return self.answer(request, reservation)

    async def open(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, OpenRequest)
        given = len(body.scene.encode("utf-8", "replace"))
        self.admit(Operation.OPEN, request, player, extra=given + len(msgspec.json.encode(body.params)))
        scene = await self._first_scene(body)
        more = max(0, len(scene.encode("utf-8", "replace")) - given)
        self._requests.charge(Resource.STORE_BYTES, Owner.PLAYER, player.player, more)
        self._requests.charge(Resource.STORE_BYTES, Owner.ADDRESS, address_owner(request), more)
        self._check_size(body.mode, body.size)
        encode_params(body.params)  # within its bounds, before the mode reads it
        self._backend.mode_scenes.check(body.mode, body.params, body.size, scene)
        self.check_body(body.body)
        alone_ms = self.alone_ms(body.mode, body.size, player) if body.bots and not body.private else 0
        async with self.reserving_alone(request, player, body.size, alone_ms) as reserved:
            reservation = await self._backend.seating.open(
                player.player,
                body.mode,
                body.size,
                body=body.body,
                bodies=sorted(self._backend.bodies()),
                ready=body.ready,
                private=body.private,
                holder=self._backend.address(),
                scene=scene,
                params=body.params,
                alone_ms=alone_ms,
                address=address_owner(request),
            )
            reserved(reservation)
        return self.answer(request, reservation)

    async def join(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, JoinRequest)
        if body.session != player.session:  # a member returns: the session continues
            self.admit(Operation.JOIN, request, player, session=check_token(body.session))
        self.check_body(body.body)
        async with self.reserving(request, player) as reserved:
            reservation = await self._backend.seating.join(
                player.player,
                check_token(body.session),
                body=body.body,
                bodies=sorted(self._backend.bodies()),
                ready=body.ready,
            )
            reserved(reservation)
        return self.answer(request, reservation)

    async def observe(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, SessionRequest)
        self._requests.charge_store(Operation.WATCH, request, player)
        reservation = await self._backend.seating.observe(player.player, check_token(body.session))
        return self.answer(request, reservation)

    async def leave(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, SessionRequest)
        await self._backend.seating.leave(player.player, check_token(body.session))
        return json_response({})

    def admit(
        self, operation: Operation, request: Request, player: PlayerInfo, *, extra: int = 0, session: str = ""
    ) -> None:
        """Check that the store has room for new work, and charge it. Raises StoreError ``store_full``, RateLimited."""
        self._backend.store_memory.admit()
        self._requests.charge_store(operation, request, player, extra=extra, session=session)

    @contextlib.asynccontextmanager
    async def reserving(
        self, request: Request, player: PlayerInfo
    ) -> AsyncIterator[Callable[[SeatReservation], None]]:
        """Charge a reservation, which is given back if the block raises. Call the result with the seat."""
        reservations, address = self._backend.reservations, address_owner(request)
        await reservations.charge(address, player.player)
        try:
            yield lambda seat: reservations.record(seat.session, player.player, address)
        except RateLimited as error:
            reservations.cancel(address, player.player)
            for owner, key in ((Owner.ADDRESS, address), (Owner.PLAYER, player.player)):
                for resource in (Resource.SESSIONS, Resource.OPENINGS):
                    if error.reason == f"{owner}_{resource}":
                        self._backend.ledger.count_refusal(resource, owner, key)
            raise
        except BaseException:
            reservations.cancel(address, player.player)
            raise

    @contextlib.asynccontextmanager
    async def reserving_alone(
        self, request: Request, player: PlayerInfo, size: int, alone_ms: int
    ) -> AsyncIterator[Callable[[SeatReservation], None]]:
        """Charge a reservation, and make room for the bots that a new lobby gets by itself. Call the result with the
        seat."""
        shares, address = self._backend.bot_shares, address_owner(request)

        def reserved(seat: SeatReservation) -> None:
            record(seat)
            if seat.no_bots_of:
                shares.count_refusal(Owner(seat.no_bots_of), address, player.player)

        async with self.reserving(request, player) as record:
            if alone_ms:
                await shares.make_room(address, player.player, size - 1)
            yield reserved

    async def _first_scene(self, body: OpenRequest) -> str:
        """The document that a new lobby begins with; '' if the mode sets up its own. In canonical form, if it can be
        edited. Raises Refused, and Conflict if the scene is too large."""
        given = [field for field in ("scene", "template", "like") if getattr(body, field)]
        if len(given) > 1:
            raise Refused(
                "a lobby takes only one of scene, template and like", code="bad_scene", field=given[1]
            )
        scenes = self._backend.scenes
        if not given or not scenes.editable(body.mode):
            if given and not body.scene:
                raise Refused(f"{body.mode} has a scene of its own", code="no_scene", field=given[0])
            return body.scene
        if body.like is not None:
            document = await self._scene_like(body.like)
        else:
            document = body.scene or await self._template(body.template)
        parts = await scenes.read(document)
        return assemble(parts.world.data, (one.data for one in parts.bodies)).decode()

    async def _scene_like(self, like: LikeRequest) -> str:
        """The scene of a session that waits, runs or is recorded. Raises NotFound."""
        token, backend = check_token(like.session), self._backend
        if like.tick is None:
            try:
                return (await backend.scenes.whole(token)).decode()
            except (NotFound, Conflict) as error:
                if error.reason not in ("no_such_session", "not_editable"):
                    raise
        opened = await backend.library.open(token)
        return await backend.library.run(self._scene_of, opened, like.tick)

    def _scene_of(self, opened: OpenRecording, tick: int | None) -> str:
        """The scene of a recording, in a thread. Raises Refused, NotFound (tick_not_recorded)."""
        try:
            attributes = opened.store.attributes
            spec = {"seats": attributes.get("seats") or [], **(attributes.get("spec") or {})}
            scene, spawned = self._backend.mode_scenes.recorded(spec)
            if tick is not None:
                scene = pose_scene(opened.store, scene, tick, spawned)
            return encode_scene(scene).decode()
        except FOREIGN as error:
            if opened.upload is None:
                raise
            raise Refused(
                f"the recording has no scene: {type(error).__name__}", code="bad_scene", field="like"
            ) from error

    async def _template(self, name: str) -> str:
        found = (await self._backend.catalogue())["scenes"].get(name, {})
        if "scene" not in found:
            raise Refused(
                f"there is no scene {name!r}; GET /api/catalogue lists them",
                code="unknown_template",
                field="template",
            )
        return msgspec.json.encode(found["scene"]).decode()

    def alone_ms(self, mode: str, size: int, player: PlayerInfo) -> int:
        """The time after which bots fill a lobby in which this player waits alone [ms]; 0: never."""
        waits = size > 1 and player.kind == "person" and get_mode(mode).policy == "turns"
        return round(self._backend.settings.alone_s * 1000) if waits else 0

    def _check_size(self, mode: str, size: int) -> None:
        low, high = get_mode(mode).seats
        high = min(high, self._backend.settings.max_seats)
        if not low <= size <= high:
            raise Refused(f"{mode} takes {low} to {high} seats", code="bad_size", field="size")

    def check_body(self, body: str) -> None:
        if body and body not in self._backend.bodies():
            raise Refused(
                f"there is no body {body!r}; GET /api/catalogue lists them", code="unknown_body", field="body"
            )

    def answer(
        self, request: Request, seat: SeatReservation, more: Mapping[str, Any] | None = None
    ) -> Response:
        """The response with a reservation, and further fields."""
        backend = self._backend
        own, follows = backend.address().url, backend.follows_requests
        came = request_address(request.headers.get, proxied=bool(request.scope.get(PROXIED)))
        holder = came.of_server(seat.holder_url, own, follows=follows)
        # A server that this client cannot reach is relayed by this one.
        target = holder or came.of_server(own, own, follows=follows)
        here = follows and (not holder or seat.holder_url == own)
        servers = (came.of_server(url, own, follows=follows) for url in (own, *backend.neighbours()))
        alternates = [url for url in dict.fromkeys(servers) if url not in ("", target)][:ALTERNATES]
        return json_response(
            {
                "session": seat.session,
                "seat": seat.seat,
                "role": seat.role,
                "ticket": seat.ticket,
                "ws_url": socket_address(target),
                "here": here,
                "servers": [socket_address(url) for url in alternates],
                "protocol": PROTOCOL,
                "build": self._backend.build,
                **(more or {}),
            }
        )
