"""The HTTP calls about bots that fill free seats: a host asks for them; a bot process finds and takes the seats.

    POST /api/sessions/T/bots -> BotShares -> Filling.request        the host of a lobby
    POST /api/bots/requests   -> Filling.offers                      a bot process, at least every two seconds
    POST /api/bots/seat       -> Seating.fill                        a bot

This module must never seat a bot that no request asked for.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Forbidden
from tussle.lobby.filling import ALONE_SKILL
from tussle.lobby.roles import Operation
from tussle.lobby.text import SessionToken
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.lobby_routes import LobbyRoutes
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.responses import json_response

__all__ = ["BotRoutes", "BotSeatRequest", "BotsRequest", "ServeRequest"]

Skill = Literal["dummy", "random", "novice", "fair", "good", "sharp", "planner", "taught"]
Secret = Annotated[str, msgspec.Meta(max_length=200)]


class BotsRequest(StrictRequest, frozen=True):
    """Bots for the free seats of a lobby. count: at most this many; 0: no more bots; null: one for every free seat."""

    count: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    skill: Skill = ALONE_SKILL


class ServeRequest(StrictRequest, frozen=True):
    """The lobbies that want bots. secret: BOT_SECRET of the server, if it has one."""

    secret: Secret = ""


class BotSeatRequest(StrictRequest, frozen=True):
    """A seat in a lobby that wants bots."""

    session: SessionToken
    secret: Secret = ""


class BotRoutes:
    """The calls about bots."""

    def __init__(self, backend: Backend, requests: Requests, lobbies: LobbyRoutes) -> None:
        self._backend = backend
        self._requests = requests
        self._lobbies = lobbies

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/sessions/{token}/bots", operation=Operation.FILL, handler=self.ask,
                body=BotsRequest, summary="Ask for bots in a lobby, as its host", errors=(404, 409, 422),
            ),
            Endpoint(
                method="POST", path="/api/bots/requests", operation=Operation.SERVE, handler=self.show,
                body=ServeRequest, summary="The lobbies that want bots, for a bot process", errors=(403,),
            ),
            Endpoint(
                method="POST", path="/api/bots/seat", operation=Operation.SERVE, handler=self.take,
                body=BotSeatRequest, summary="A seat in a lobby that wants bots", errors=(403, 404, 409),
            ),
        ]  # fmt: skip

    async def ask(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, BotsRequest)
        token = check_token(request.path_params["token"])
        self._lobbies.admit(Operation.FILL, request, player, session=token)
        shares = self._backend.bot_shares
        async with shares.asking(token, address_owner(request), player.player, body.count):
            asked = await self._backend.filling.request(player.player, token, body.count, body.skill)
        return json_response(msgspec.to_builtins(asked))

    async def show(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, ServeRequest)
        self._check_bot(request, player, body.secret)
        offers = await self._backend.filling.offers(player.player)
        groups = await self._backend.bot_shares.groups([offer.session for offer in offers])
        named = [
            msgspec.structs.replace(offer, group=group) for offer, group in zip(offers, groups, strict=True)
        ]
        return json_response({"requests": msgspec.to_builtins(named)})

    async def take(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, BotSeatRequest)
        self._check_bot(request, player, body.secret)
        token = check_token(body.session)
        self._lobbies.admit(Operation.SERVE, request, player, session=token)
        async with self._lobbies.reserving(request, player) as reserved:
            seat = await self._backend.seating.fill(
                player.player, token, bodies=sorted(self._backend.bodies())
            )
            reserved(seat)
        return self._lobbies.answer(request, seat)

    def _check_bot(self, request: Request, player: PlayerInfo, secret: str) -> None:
        """Raises Forbidden for a person, or without the secret; RateLimited after many wrong secrets, for the right one
        too: otherwise the answer would tell them apart."""
        if player.kind != "bot":
            raise Forbidden("only bots fill seats; log in with kind bot")
        wanted, address = self._backend.settings.bot_secret, address_owner(request)
        if not wanted:
            return
        self._requests.charge(Resource.GUESSES, Owner.ADDRESS, address)
        if not hmac.compare_digest(wanted.encode(), secret.encode("utf-8", "replace")):
            raise Forbidden("bots that fill seats of this server must know its BOT_SECRET")
        self._backend.ledger.give_back(Resource.GUESSES, Owner.ADDRESS, address)
