"""Every HTTP route and every message type names its operation in the rights table, and each operation is used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast, get_args

import httpx
import pytest
from starlette.applications import Starlette

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Forbidden
from tussle.lobby.roles import RIGHTS, Operation, Role
from tussle.lobby.settings import Settings
from tussle.lobby.wire.client_messages import ClientMessage
from tussle.lobby.wire.live import LiveMessage
from tussle.lobby.wire.replay import ReplayMessage
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.costs import Ledger
from tussle.server.gateway.commands import OPERATIONS as SOCKET_OPERATIONS
from tussle.server.gateway.replay_gate import OPERATIONS as REPLAY_OPERATIONS
from tussle.server.http.api import create_app
from tussle.server.http.backend import Backend
from tussle.server.http.rights import OperationRoute
from tussle.server.limits import Hosts
from tussle.server.live.hub import OPERATIONS as LIVE_OPERATIONS
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.store_memory import StoreMemory


class Accounts:
    """Accepts any token; the token is the player's id."""

    async def authenticate(self, token: str) -> PlayerInfo:
        return PlayerInfo(token, token, "person", "", False)


def make_app(roles: frozenset[Role]) -> Starlette:
    """The application of a server whose callers all have ``roles`` and whose parts do nothing."""
    backend = SimpleNamespace(
        settings=Settings(),
        accounts=Accounts(),
        hosts=Hosts(""),
        banned=BannedAddresses(cast(Any, None)),
        is_proxy=None,
        ledger=Ledger(Settings(), lambda *_: None),
        store_memory=StoreMemory(cast(Any, None), Telemetry(), lambda _: None),
        reservations=None,
        seating=None,
        views=None,
        library=None,
        replay_rooms=None,
        operators=SimpleNamespace(roles_of=lambda _: roles, pause=None, resume=None, end=None),
        overviews=None,
        springs=None,
        standings=None,
        telemetry=SimpleNamespace(
            refusals=SimpleNamespace(labels=lambda **_: SimpleNamespace(inc=lambda: None))
        ),
        build="test",
        stop=None,
    )
    return create_app(cast(Backend, backend))


ROUTES: list[Any] = list(make_app(frozenset()).routes)


def test_every_route_names_its_operation() -> None:
    """A plain Route would skip the table."""
    assert [route.path for route in ROUTES if not isinstance(route, OperationRoute)] == []


def test_every_message_type_names_its_operation() -> None:
    """All sockets, without a type that no client can send."""
    assert SOCKET_OPERATIONS.keys() == set(get_args(ClientMessage))
    assert LIVE_OPERATIONS.keys() == set(get_args(LiveMessage))
    assert REPLAY_OPERATIONS.keys() == set(get_args(ReplayMessage))


def test_every_operation_is_used() -> None:
    """An operation that nothing asks for does not belong in the table."""
    used = {route.operation for route in ROUTES}
    for operations in (SOCKET_OPERATIONS, LIVE_OPERATIONS, REPLAY_OPERATIONS):
        used |= set(operations.values())
    assert set(Operation) - used == set()


GUARDED = [
    (method, route.path, route.operation)
    for route in ROUTES
    if route.operation not in RIGHTS[Role.ANONYMOUS]
    for method in sorted(route.methods - {"HEAD"})
]


@pytest.mark.parametrize(("method", "path", "operation"), GUARDED, ids=lambda value: str(value))
async def test_a_route_refuses_a_caller_without_the_right(
    method: str, path: str, operation: Operation
) -> None:
    """401 without a login, 403 ``not_allowed`` with a login and no role; the handler does not run."""
    transport = httpx.ASGITransport(make_app(frozenset()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.request(method, path.replace("{token}", "k7qm2xpv").replace("{run}", "r"))
        assert (answer.status_code, answer.json()["code"]) == (401, "login_required")
        answer = await http.request(
            method, path.replace("{token}", "k7qm2xpv"), headers={"authorization": "Bearer ada"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, Forbidden.code)
        assert operation in answer.json()["detail"]
