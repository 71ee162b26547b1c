"""The HTTP calls about forks: open a lobby that begins with a recorded state, and show the tree of a session's forks.

    POST fork -> budgets -> server/sessions/forking.py -> open_fork (lobby/seating.py) -> a seat, as POST /api/open

A caller that may read a session may fork it. A fork of a private session is private; so is a fork of a session of which
this is not known. This module must never read an archive itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import NotFound, RateLimited, Refused
from tussle.lobby.forks import ForkEntry, ForkPlan
from tussle.lobby.roles import Operation
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.lobby_routes import LobbyRoutes
from tussle.server.http.requests import Requests, StrictRequest, address_owner, check_token
from tussle.server.http.tagged_bodies import TaggedBodies

__all__ = ["ForkRequest", "ForkRoutes"]

BUSY_S = 2.0


class ForkRequest(StrictRequest, frozen=True):
    """A new lobby whose first state is that of a recorded tick. seat: of the caller; none: its own in that session, or
    the first one."""

    tick: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    seat: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    ready: bool = False
    private: bool = False


class ForkRoutes:
    """The calls about forks. ``lobbies``: reserves seats."""

    def __init__(self, backend: Backend, requests: Requests, lobbies: LobbyRoutes) -> None:
        self._backend = backend
        self._bodies = TaggedBodies()
        self._requests = requests
        self._lobbies = lobbies

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="POST", path="/api/sessions/{token}/fork", operation=Operation.FORK, handler=self.fork,
                body=ForkRequest, summary="Open a lobby that begins with a recorded state of that session",
                errors=(400, 404, 409, 422),
            ),
            Endpoint(
                path="/api/sessions/{token}/forks", operation=Operation.LIST, public=self.show_tree,
                summary="The tree of forks that a session is part of", errors=(404,),
            ),
        ]  # fmt: skip

    async def fork(self, request: Request, player: PlayerInfo) -> Response:
        body = await self._requests.decode(request, ForkRequest)
        session = check_token(request.path_params["token"])
        backend = self._backend
        backend.store_memory.admit()
        await backend.seating.require_free(player.player)
        private = await backend.forks.privacy(session)
        async with self._making(request, player):
            try:
                made = await backend.forking.make(session, body.tick)
            except NotFound as error:
                if error.reason == "not_archived" and private is None:
                    raise NotFound(f"there is no session {session}", code="no_such_session") from None
                raise
        seats = made.spec.seats
        if body.seat is not None and body.seat >= len(seats):
            raise Refused(f"the session has {len(seats)} seats", code="bad_seat", field="seat")
        own = next((seat.seat for seat in seats if seat.player == player.player), None)
        extra = len(made.first.spec) + len(made.first.state)
        self._lobbies.admit(Operation.FORK, request, player, extra=extra)
        known = made.private if private is None else private
        origin = made.origin
        plan = ForkPlan(
            made.first,
            ForkEntry("", session, origin.tick, origin.exact, hidden=body.private, name=player.name),
            tuple(seat.body for seat in seats),
            made.out,
            own if body.seat is None else body.seat,
            await backend.forks.root_of(session),
            backend.forks.kept_ms,
        )
        async with self._lobbies.reserving(request, player) as reserved:
            reservation = await backend.seating.open_fork(
                player.player,
                made.spec.mode,
                plan,
                holder=backend.address(),
                ready=body.ready,
                private=body.private or known is not False,
                params=msgspec.json.encode(made.spec.params),
                address=address_owner(request),
            )
            reserved(reservation)
        backend.telemetry.forks.labels(exact=str(origin.exact).lower()).inc()
        more = {"parent": session, "parent_tick": origin.tick, "exact": origin.exact}
        return self._lobbies.answer(request, reservation, more)

    async def show_tree(self, request: Request) -> Response:
        session = check_token(request.path_params["token"])
        root, entries = await self._backend.forks.tree(session)
        shown = visible(entries, root, session)
        tokens = list(dict.fromkeys([root, session, *(entry.session for entry in shown)]))
        statuses = await self._backend.forks.statuses(tokens)
        if not shown and session not in statuses:
            raise NotFound(f"there is no session {session}", code="no_such_session", field="session")
        return self._bodies.respond(
            request,
            {
                "session": session,
                "root": root,
                "forks": [_row(entry, statuses.get(entry.session)) for entry in shown],
            },
        )

    @contextlib.asynccontextmanager
    async def _making(self, request: Request, player: PlayerInfo) -> AsyncIterator[None]:
        """Charge a fork, and hold it while it is made. Raises RateLimited."""
        address, ledger = address_owner(request), self._backend.ledger
        self._requests.charge(Resource.FORKS, Owner.PLAYER, player.player)
        self._requests.charge(Resource.FORKS, Owner.ADDRESS, address)
        held: list[tuple[Owner, str]] = []
        try:
            for owner, key in ((Owner.PLAYER, player.player), (Owner.ADDRESS, address)):
                if not ledger.hold(Resource.FORKS_IN_PROGRESS, owner, key):
                    message = f"too many forks of this {owner} are being made"
                    raise RateLimited(message, code="forks_busy", retry_after=BUSY_S)
                held.append((owner, key))
            yield
        finally:
            for owner, key in held:
                ledger.release(Resource.FORKS_IN_PROGRESS, owner, key)


def visible(entries: Sequence[ForkEntry], root: str, session: str) -> list[ForkEntry]:
    """The forks that a caller sees who asks for the tree of ``session``. A fork that was asked to be private is left
    out with its own forks, unless ``session`` is one of them. So is one whose parent is no longer in the tree."""
    parents = {entry.session: entry.parent for entry in entries}
    known = {session}
    while session in parents and parents[session] not in known:
        session = parents[session]
        known.add(session)
    seen = {root, *known}
    shown = []
    for entry in entries:  # a parent is older than its forks
        if entry.session in known or (entry.parent in seen and not entry.hidden):
            seen.add(entry.session)
            shown.append(entry)
    return shown


def _row(entry: ForkEntry, status: str | None) -> dict[str, Any]:
    return {
        "session": entry.session, "parent": entry.parent, "parent_tick": entry.tick, "exact": entry.exact,
        "at": entry.at, "name": entry.name, "status": status,
    }  # fmt: skip
