"""The servers that are alive, and the lease that each of them keeps.

A lease is a hash that expires after some seconds; its server renews it three times in that period. It names one boot
(``nonce``) of one server and covers all sessions of that boot. This module must never decide what happens after a
lease is lost: the holder and the sweep do.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from tussle.lobby.errors import AuthError
from tussle.lobby.ids import new_secret, secret_hash
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.store.store import Argument, Store

__all__ = ["HolderAddress", "ServerInfo", "Servers"]


HELD_FIELD = "held:"
"""Prefix of the fields of a lease that name its sessions."""

RELAY_TICKET_MS = 10_000
FORGET_MS = 600_000


@dataclass(frozen=True, slots=True)
class HolderAddress:
    """One boot of a server, as stored in the sessions that it holds."""

    id: str
    nonce: str
    url: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server with a valid lease. ``sessions``: the number that it ran at its last renewal. ``max_sessions``: the most
    that it holds, 0 without a limit."""

    id: str
    nonce: str
    url: str
    sessions: int
    physics_id: str
    internal_url: str
    max_sessions: int = 0


class Servers:
    """The leases of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def register(
        self,
        server: str,
        nonce: str,
        url: str,
        physics_id: str,
        px: int,
        *,
        internal_url: str = "",
        max_sessions: int = 0,
    ) -> None:
        """Take the lease for ``px`` ms. The same boot may repeat it.

        Raises Fenced ``server_id_taken`` while another boot has the lease.
        """
        await self._store.run(
            "register",
            self._keys(server),
            [server, nonce, url, physics_id, px, internal_url or url, max_sessions],
        )

    async def renew(self, server: str, nonce: str, px: int, sessions: Sequence[str] = ()) -> bool:
        """Renew the lease, with the sessions that the server runs. Returns False if it is lost; another server may then
        hold the sessions."""
        args: list[Argument] = [server, nonce, px, len(sessions), *sessions]
        return bool((await self._store.run("renew", self._keys(server), args))[1] == "1")

    async def make_room(self, server: str) -> bool:
        """Remove the sessions from a lease that have ended or that another server holds. Returns whether the server has
        room now, also if another call has made it."""
        keys = self._store.keys
        fields = await self._store.call("HGETALL", keys.server(server))
        lease = dict(zip(fields[::2], fields[1::2], strict=True))
        tokens = [name.removeprefix(HELD_FIELD) for name in lease if name.startswith(HELD_FIELD)]
        replies = await self._store.batch(
            [("HMGET", keys.session(token), "status", "holder") for token in tokens]
        )
        gone = [
            HELD_FIELD + token
            for token, (status, holder) in zip(tokens, replies, strict=True)
            if status is None or status in ENDED or holder != server
        ]
        if gone:
            await self._store.call("HDEL", keys.server(server), *gone)
        return len(tokens) - len(gone) < int(lease.get("max_sessions", 0))

    async def release(self, server: str, nonce: str) -> None:
        """Give the lease back. The lease of another boot is not changed."""
        await self._store.run("release", [self._store.keys.server(server)], [nonce])

    async def issue_relay_ticket(self, server: str) -> str:
        """A secret that opens one relay to another server. It works once, for RELAY_TICKET_MS."""
        ticket = new_secret()
        key = self._store.keys.ticket(secret_hash(ticket))
        await self._store.call("SET", key, f"relay:{server}", "PX", RELAY_TICKET_MS)
        return ticket

    async def redeem_relay_ticket(self, ticket: str) -> str:
        """The id of the server that opened a relay. Raises AuthError."""
        said = await self._store.call("GETDEL", self._store.keys.ticket(secret_hash(ticket)))
        if said is None or not str(said).startswith("relay:"):
            raise AuthError("this relay ticket is used, expired or unknown", code="ticket_refused")
        return str(said).removeprefix("relay:")

    async def get(self, server: str) -> ServerInfo | None:
        """The server of that id, or None without a valid lease."""
        fields = await self._store.call("HMGET", self._store.keys.server(server), *_FIELDS)
        return _info(server, fields)

    async def alive(self) -> list[ServerInfo]:
        """Every server with a valid lease, in order of their ids."""
        boots = [
            _boot(member) for member in await self._store.call("ZRANGE", self._store.keys.servers, 0, -1)
        ]
        replies = await self._store.batch(
            [("HMGET", self._store.keys.server(name), *_FIELDS) for name, _ in boots]
        )
        found = [_info(name, fields) for (name, _), fields in zip(boots, replies, strict=True)]
        living = [
            info
            for info, (_, nonce) in zip(found, boots, strict=True)
            if info is not None and info.nonce == nonce
        ]
        return sorted(living, key=lambda info: info.id)

    async def forget_silent(self, kept: Container[tuple[str, str]]) -> None:
        """Remove boots whose last renewal is FORGET_MS old, except the (id, nonce) in ``kept``.

        Boots that still hold sessions are kept: their last renewal is the start of the time without a holder.
        """
        servers = self._store.keys.servers
        flat = await self._store.call("ZRANGE", servers, 0, -1, "WITHSCORES")
        renewed = {member: float(at) for member, at in zip(flat[::2], flat[1::2], strict=True)}
        newest = max(renewed.values(), default=0.0)
        for member, at in renewed.items():
            if newest - at > FORGET_MS and _boot(member) not in kept:
                await self._store.call("ZREM", servers, member)

    def _keys(self, server: str) -> list[str]:
        return [self._store.keys.server(server), self._store.keys.servers]


_FIELDS = ("nonce", "url", "sessions", "physics_id", "internal_url", "max_sessions")


def _boot(member: str) -> tuple[str, str]:
    """(id, nonce) of a member of the servers zset."""
    name, _, nonce = member.rpartition(":")
    return name, nonce


def _info(server: str, fields: list[str | None]) -> ServerInfo | None:
    nonce, url, sessions, physics_id, internal_url, most = fields
    if nonce is None:
        return None
    return ServerInfo(
        server,
        nonce,
        url or "",
        int(sessions or 0),
        physics_id or "",
        internal_url or url or "",
        int(most or 0),
    )
