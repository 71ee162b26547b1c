"""Decoding and authentication of requests, and what each costs. This module must never change any other state."""

from __future__ import annotations

import time
from typing import TypeVar

import msgspec
from starlette.requests import Request

from tussle.lobby.accounts import Accounts, PlayerInfo
from tussle.lobby.errors import AuthError, NotFound, ProtocolError, Refused
from tussle.lobby.ids import is_session_token
from tussle.lobby.roles import Operation
from tussle.lobby.settings import Settings
from tussle.server.costs import REQUEST_COSTS, STORE_COSTS, Ledger, Owner, Resource
from tussle.server.http.bodies import BodyPace, body_pieces, declared_length, read_body
from tussle.server.limits import owner_of_address

__all__ = ["Requests", "StrictRequest", "address_owner", "bearer_of", "check_token", "query_text"]

Shape = TypeVar("Shape")

TOKEN_LENGTH = 128
"""Largest length of a bearer token. Ours have 43 characters."""

BODY_PACE = BodyPace(10.0)
"""The time in which the body of a request must arrive."""


class StrictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON body of a request; a field that is not declared is refused."""


class Requests:
    """Reads the requests of one server within its limits."""

    def __init__(self, settings: Settings, accounts: Accounts, ledger: Ledger) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._accounts = accounts
        self._ledger = ledger

    async def decode(self, request: Request, shape: type[Shape]) -> Shape:
        """The body as ``shape``. Raises ProtocolError if it is too large, too slow or not valid."""
        try:
            return msgspec.json.decode(await self._read_body(request) or b"{}", type=shape)
        except msgspec.ValidationError as error:
            raise ProtocolError(str(error), code="bad_request") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProtocolError("the body is not JSON", code="bad_json") from None

    async def _read_body(self, request: Request) -> bytes:
        def too_large() -> ProtocolError:
            return ProtocolError("the request is too large", code="too_large")

        if (declared_length(request) or 0) > self._max_body_bytes:
            raise too_large()
        return await read_body(body_pieces(request, self._max_body_bytes, too_large, BODY_PACE))

    async def authenticate(self, request: Request) -> PlayerInfo:
        """The player whose login the request has. Raises AuthError."""
        token = bearer_of(request)
        if token is None:
            raise AuthError("log in first: POST /api/login gives a token", code="login_required")
        return await self._accounts.authenticate(token)

    def charge_operation(self, operation: Operation, request: Request, player: PlayerInfo | None) -> None:
        """Charge the price of an operation to the caller's address and player. Raises RateLimited.

        The security middleware has charged 1 to the address, as for every request.
        """
        price = REQUEST_COSTS.get(operation, 1.0)
        if price > 1.0:
            self.charge(Resource.REQUESTS, Owner.ADDRESS, address_owner(request), price - 1.0)
        if player is not None:
            self.charge(Resource.REQUESTS, Owner.PLAYER, player.player, price)

    def charge_store(
        self,
        operation: Operation,
        request: Request,
        player: PlayerInfo | None,
        *,
        extra: int = 0,
        session: str = "",
    ) -> None:
        """Charge what an operation and ``extra`` bytes write into the store to the address, the player and the session.
        Raises RateLimited, and charges nothing."""
        self._ledger.charge_store(
            time.monotonic(),
            STORE_COSTS[operation] + extra,
            address=address_owner(request),
            player=player.player if player is not None else "",
            session=session,
        )

    def charge(self, resource: Resource, owner: Owner, key: str, amount: float = 1.0) -> None:
        """Charge ``amount`` to a budget now. Raises RateLimited."""
        self._ledger.charge(resource, owner, key, time.monotonic(), amount)


def bearer_of(request: Request) -> str | None:
    """The bearer token in the Authorization header. Raises AuthError if it is longer than any token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    if len(token) > TOKEN_LENGTH:
        raise AuthError("this login token is not valid or has expired")
    return token.strip()


def query_text(request: Request, name: str, length: int = 48) -> str:
    """A parameter of the query, or ''. Raises Refused if it is longer than ``length``."""
    text = request.query_params.get(name, "")
    if len(text) > length:
        raise Refused(f"{name} has at most {length} characters", code="bad_query", field=name)
    return text


def address_owner(request: Request) -> str:
    """The key of the budgets of the client's address; "" if the address is not known."""
    return owner_of_address(request.client.host) if request.client else ""


def check_token(token: str) -> str:
    """``token`` itself. Raises NotFound if it does not have the form of a session token."""
    if not is_session_token(token):
        raise NotFound(f"{token[:16]!r} is not a session token", code="no_such_session", field="session")
    return token
