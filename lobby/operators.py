"""The operators' calls: pause, resume, end, kick; ban, notify, drain. Any server may run them.

    POST .../pause -> operate.lua -> status paused, event session_paused -> the holder stops at a tick boundary
    POST .../ban   -> ban.lua -> player:P banned_until, an order (lobby/orders.py) -> every server closes its sockets

Who is an operator is in the player's record (lobby/accounts.py).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.address_bans import AddressBans
from tussle.lobby.bans import Bans
from tussle.lobby.errors import ClientError, Conflict, NotFound
from tussle.lobby.lifecycle import HELD
from tussle.lobby.orders import OrderLog
from tussle.lobby.roles import Role
from tussle.lobby.seating import Seating
from tussle.lobby.servers import Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.views import Views

__all__ = ["Operators"]


class Operators:
    """The operators of a realm and their calls. ``bans``, ``address_bans`` and ``orders`` are the realm's. Every
    coroutine may raise StoreError."""

    def __init__(self, scripts: SessionScripts, seating: Seating) -> None:
        self._scripts = scripts
        self._seating = seating
        self._views = Views(scripts.store)
        self._servers = Servers(scripts.store)
        self.bans = Bans(scripts.store)
        self.address_bans = AddressBans(scripts.store)
        self.orders = OrderLog(scripts.store)

    def roles_of(self, player: PlayerInfo) -> frozenset[Role]:
        """The roles of a logged-in caller: always observer, player while in a session, operator by its record."""
        roles = {Role.OBSERVER}
        if player.session:
            roles.add(Role.PLAYER)
        if player.operator:
            roles.add(Role.OPERATOR)
        return frozenset(roles)

    async def pause(self, session: str, by: str) -> None:
        """Pause a run at its next tick, with its turn clock. Raises NotFound; Conflict ``not_running``."""
        await self._operate(session, "pause", by)

    async def resume(self, session: str, by: str) -> None:
        """Resume a paused run. Raises as ``pause``."""
        await self._operate(session, "resume", by)

    async def end(self, session: str, by: str) -> None:
        """End a session. A run ends without a result; a starting one ends once its world is built. In a waiting lobby
        every seat is given up, which ends it. Raises NotFound; Conflict ``not_running`` if it ended meanwhile."""
        view = await self._views.view(session)
        if view.status in HELD:
            await self._operate(session, "end", by)
        else:
            for seat in view.seats:
                await self._seating.leave(seat.player, session)

    async def kick(self, session: str, player: str) -> None:
        """Give up the seat of a player, as ``Seating.leave`` does. Raises NotFound for a player without a seat."""
        view = await self._views.view(session)
        if player not in {seat.player for seat in view.seats}:
            raise NotFound(f"{player!r} has no seat in {session}", code="not_member", field="player")
        await self._seating.leave(player, session)

    async def ban(self, player: str, by: str, for_s: float | None = None) -> tuple[str, int]:
        """Ban a player by id or name, and give up its seat. Returns its id and the end of the ban [ms].

        Raises NotFound; Conflict for the caller itself; Refused ``out_of_range``.
        """
        found = await self.bans.find(player)
        if found == by:
            raise Conflict("an operator cannot ban itself", field="player")
        until = await self.bans.ban(found, by, for_s)
        store = self._scripts.store
        session = await store.call("HGET", store.keys.player(found), "session")
        if session:
            with suppress(ClientError):  # the session has ended, or the player has just left
                await self._seating.leave(found, session)
        return found, until

    async def unban(self, player: str, by: str) -> str:
        """Lift the ban of a player, by id or name. Returns its id. Raises NotFound."""
        found = await self.bans.find(player)
        await self.bans.unban(found, by)
        return found

    async def notify(self, text: str, by: str, session: str = "") -> None:
        """Show a notice in a session, or in all. Raises NotFound; Refused ``bad_notice``."""
        await self.orders.notify(text, by, session)

    async def drain(self, server: str, by: str) -> None:
        """Have a server hand its sessions over and stop. Raises NotFound ``no_such_server``."""
        info = await self._servers.get(server)
        if info is None:
            raise NotFound(
                f"there is no living server {server[:48]!r}", code="no_such_server", field="server"
            )
        await self.orders.drain(info, by)

    async def _operate(self, session: str, operation: Literal["pause", "resume", "end"], by: str) -> None:
        shape = await self._scripts.find_shape(session)
        if shape is None:
            raise NotFound("there is no such session", code="no_such_session", field="session")
        await self._scripts.run("operate", session, [], [operation, by], shape=shape)
