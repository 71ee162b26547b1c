"""Connections of players to a session: who is connected, with which ticket or resume token.

    ticket -> connect -> resume token -> connect -> next resume token ...
                 `-> disconnect -> the seat is kept for RECONNECT_GRACE_S, then timers.py frees it

A ticket works once. A resume token stays valid until the token that replaced it is used, because the reply that carried
the new one may be lost. The store keeps hashes of both. This module must never use a socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from tussle.lobby.errors import AuthError, Conflict, NotFound
from tussle.lobby.ids import format_ticket, new_secret, parse_ticket, secret_hash
from tussle.lobby.seating import SeatRole
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings

__all__ = ["Connected", "Connections"]


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that was accepted.

    ``v``: the newest event, this connection's own included. ``resume``: the token for the next connection, None for an
    observer. ``replaced_conn``: the connection that this one replaced on the seat, or ''. ``last_id``: the greatest
    command id that the seat is known to have used.
    """

    session: str
    player: str
    name: str
    kind: str
    role: SeatRole
    seat: int | None
    conn: str
    resume: str | None
    v: int
    status: str
    epoch: int
    tick: int
    replaced_conn: str
    last_id: int
    holder: str
    holder_url: str


class Connections:
    """The connections of a realm, as the store has them."""

    def __init__(self, scripts: SessionScripts, settings: Settings) -> None:
        self._scripts = scripts
        self._keys = scripts.keys
        self._grace_ms = round(settings.reconnect_grace_s * 1000)

    async def connect(
        self,
        *,
        ticket: str | None = None,
        resume: str | None = None,
        conn: str,
        new_resume: str | None = None,
        server: str = "",
    ) -> Connected:
        """Connect a player with a ticket or a resume token. ``conn`` names the connection among all servers.

        A new connection replaces an older one on the same seat. After the end of the session nothing is written and the
        resume token stays valid. Raises NotFound; AuthError ``ticket_refused`` or ``resume_refused``; NotFound
        ``not_member`` for a player who left; Forbidden ``banned``.
        """
        session, player, secret = _parse(ticket, resume)
        following = new_resume or new_secret()
        keys = [self._keys.player(player), self._keys.session_player(session, player)]
        if ticket:
            keys.append(self._keys.ticket(secret_hash(secret)))
        try:
            reply = await self._scripts.run(
                "connect",
                session,
                keys,
                [player, "ticket" if ticket else secret_hash(secret), conn, secret_hash(following), server],
            )
        except Conflict as error:  # the close code must not say that the client should try again
            raise NotFound(error.message, code=error.reason) from None
        _, role, seat, name, kind, v, status, epoch, tick, replaced, last_id, holder, holder_url, rotated = (
            reply
        )
        return Connected(
            session=session,
            player=player,
            name=name,
            kind=kind,
            role=cast(SeatRole, role),
            seat=int(seat) if seat else None,
            conn=conn,
            resume=format_ticket(session, player, following) if rotated == "1" else resume,
            v=int(v),
            status=status,
            epoch=int(epoch),
            tick=int(tick),
            replaced_conn=replaced,
            last_id=int(last_id),
            holder=holder,
            holder_url=holder_url,
        )

    async def disconnect(self, session: str, player: str, conn: str) -> None:
        """Mark a connection as closed. Nothing happens if the seat has a newer one or the session does not exist."""
        shape = await self._scripts.find_shape(session)
        if shape is not None:
            keys = [self._keys.session_player(session, player)]
            await self._scripts.run("disconnect", session, keys, [player, conn, self._grace_ms], shape=shape)

    async def keep_observers(
        self, session: str, present: Sequence[str], gone: Sequence[str], *, life_ms: int
    ) -> bool:
        """Renew the observers that are connected to this server and remove those that left it.

        An observer is "player name". One that no server renews for ``life_ms`` lapses. Returns whether the list
        changed. Raises NotFound; nothing is written then.
        """
        reply = await self._scripts.store.run(
            "observers",
            [self._keys.session(session), self._keys.observers(session)],
            [self._keys.wake(session), life_ms, len(present), *present, *gone],
        )
        return bool(reply[1] == "1")


def _parse(ticket: str | None, resume: str | None) -> tuple[str, str, str]:
    """Session, player and secret of the ticket, or else of the resume token. Raises AuthError."""
    parsed = parse_ticket(ticket or resume or "")
    if parsed is None:
        code = "ticket_refused" if ticket else "resume_refused"
        raise AuthError("this is not a ticket or resume token", code=code)
    return parsed
