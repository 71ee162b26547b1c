"""The HTTP calls about players: log in and out, profile, leaderboards. This module must never log a secret."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo, canonical_name
from tussle.lobby.errors import NotFound, RateLimited
from tussle.lobby.ids import is_player_id
from tussle.lobby.roles import Operation
from tussle.lobby.standings import MATCHES_KEPT
from tussle.lobby.text import Label
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, StrictRequest, address_owner, bearer_of
from tussle.server.http.responses import json_response
from tussle.server.http.tagged_bodies import TaggedBodies
from tussle.server.modes.registry import get_mode

__all__ = ["AccountRoutes", "LoginRequest"]


NEW_PLAYERS = {"guest": Resource.GUESTS, "registered": Resource.REGISTRATIONS}


class LoginRequest(StrictRequest, frozen=True):
    """Without a secret: a guest. With a secret: the player of that name, created at the first login."""

    name: Label | None = None
    secret: Annotated[str, msgspec.Meta(max_length=400)] | None = None
    kind: Literal["person", "bot"] = "person"
    skill: Annotated[str, msgspec.Meta(max_length=24)] = ""


class AccountRoutes:
    """The calls about players."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._bodies = TaggedBodies()
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/login", operation=Operation.LOGIN, public=self.login, body=LoginRequest,
                summary="Log in as a guest, or by name and secret", errors=(401, 409, 422),
            ),
            Endpoint(
                method="POST", path="/api/logout", operation=Operation.LOGOUT, handler=self.logout,
                summary="Delete the login token of the request",
            ),
            Endpoint(
                path="/api/me", operation=Operation.PROFILE, handler=self.show_profile,
                summary="The profile of the player who is logged in",
            ),
            Endpoint(
                path="/api/leaderboard/{mode}", operation=Operation.LIST, public=self.show_leaderboard,
                summary="Standings of a mode", errors=(404, 422),
            ),
            Endpoint(
                path="/api/players/{player}", operation=Operation.LIST, public=self.show_player,
                summary=f"A player's standings and newest matches, at most {MATCHES_KEPT}", errors=(404,),
            ),
        ]  # fmt: skip

    async def login(self, request: Request) -> Response:
        """Log in. Raises RateLimited for an address, or for a name whose secret is tried too often. The name counts in
        its canonical form, so that another spelling of it has no budget of its own."""
        address, charge = address_owner(request), self._requests.charge
        charge(Resource.LOGINS, Owner.ADDRESS, address)
        self._backend.store_memory.admit()
        self._requests.charge_store(Operation.LOGIN, request, None)
        body = await self._requests.decode(request, LoginRequest)
        if body.secret is not None and body.name is not None:
            name = canonical_name(body.name)
            charge(Resource.GUESSES, Owner.NAME, name)
            charge(Resource.GUESSES, Owner.ADDRESS, address)
            await self._spend_guess(name)
        login = await self._backend.accounts.login(
            name=body.name, secret=body.secret, kind=body.kind, bearer=bearer_of(request), skill=body.skill,
            charge=lambda new: charge(NEW_PLAYERS[new], Owner.ADDRESS, address),
        )  # fmt: skip
        return json_response(
            {
                "player": login.player,
                "name": login.name,
                "token": login.token,
                "expires_s": login.expires_s,
                "guest": login.guest,
            }
        )

    async def _spend_guess(self, name: str) -> None:
        """Charge a guess to what all servers allow for a name. Raises RateLimited."""
        try:
            await self._backend.name_guesses.spend(name)
        except RateLimited:
            self._backend.ledger.count_refusal(Resource.GUESSES, Owner.NAME, name)
            raise

    async def logout(self, request: Request, _: PlayerInfo) -> Response:
        await self._backend.accounts.logout(bearer_of(request) or "")
        return json_response({})

    async def show_profile(self, _: Request, player: PlayerInfo) -> Response:
        return json_response(await self._backend.standings.profile(player.player))

    async def show_leaderboard(self, request: Request) -> Response:
        mode = get_mode(request.path_params["mode"]).name
        rows = await self._backend.standings.leaderboard(mode)
        return self._bodies.respond(request, {"mode": mode, "rows": rows})

    async def show_player(self, request: Request) -> Response:
        """The profile of any player. It is read by two batches of the store, and has at most MATCHES_KEPT matches: it
        costs what every list costs."""
        player = request.path_params["player"]
        if not is_player_id(player):
            raise NotFound("no such player", field="player")
        return json_response(await self._backend.standings.public_profile(player))
