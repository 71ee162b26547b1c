"""The servers that are alive, and the lease that each of them keeps.

A lease is a hash with a life of some seconds, renewed thrice in it. It names one boot (``nonce``) of one server; all
sessions of that boot are held through it. This module must never decide what a lost lease means: the holder and the
sweep do.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from tussle.lobby.errors import AuthError
from tussle.lobby.ids import new_secret, secret_hash
from tussle.lobby.store.store import Store

__all__ = ["HolderAddress", "ServerInfo", "Servers", "socket_address"]


RELAY_TICKET_MS = 10_000
FORGET_MS = 600_000


def socket_address(url: str) -> str:
    """The WebSocket address of the server at ``url`` (http or https); '' for none."""
    return url.replace("http", "ws", 1) + "/ws" if url else ""


@dataclass(frozen=True, slots=True)
class HolderAddress:
    """One boot of a server, as a session remembers it."""

    id: str
    nonce: str
    url: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server whose lease is good. ``sessions``: how many it ran at its last renewal."""

    id: str
    nonce: str
    url: str
    sessions: int
    physics_id: str
    internal_url: str


class Servers:
    """The leases of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def register(
        self, server: str, nonce: str, url: str, physics_id: str, px: int, *, internal_url: str = ""
    ) -> None:
        """Take the lease for ``px`` ms; repeating it as the same boot is a success.

        Raises Fenced ``server_id_taken`` while another boot has it.
        """
        await self._store.run(
            "register", self._keys(server), [server, nonce, url, physics_id, px, internal_url or url]
        )

    async def renew(self, server: str, nonce: str, px: int, sessions: int = 0) -> bool:
        """Renew the lease. False: it is lost, and another may hold our sessions."""
        return bool(
            (await self._store.run("renew", self._keys(server), [server, nonce, px, sessions]))[1] == "1"
        )

    async def release(self, server: str, nonce: str) -> None:
        """Give the lease back; one that is not ours is left alone."""
        await self._store.run("release", [self._store.keys.server(server)], [nonce])

    async def issue_relay_ticket(self, server: str) -> str:
        """A secret that opens one relay to another server, once and soon."""
        ticket = new_secret()
        key = self._store.keys.ticket(secret_hash(ticket))
        await self._store.call("SET", key, f"relay:{server}", "PX", RELAY_TICKET_MS)
        return ticket

    async def redeem_relay_ticket(self, ticket: str) -> str:
        """The server that a relay comes from. Raises AuthError."""
        said = await self._store.call("GETDEL", self._store.keys.ticket(secret_hash(ticket)))
        if said is None or not str(said).startswith("relay:"):
            raise AuthError("this relay ticket is used, too old or none of ours", code="ticket_refused")
        return str(said).removeprefix("relay:")

    async def get(self, server: str) -> ServerInfo | None:
        """The server of that name, while its lease is good."""
        fields = await self._store.call("HMGET", self._store.keys.server(server), *_FIELDS)
        return _info(server, fields)

    async def alive(self) -> list[ServerInfo]:
        """Every server whose lease is good, by name."""
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
        """Forget boots that have been silent for long, but those (id, nonce) that are ``kept``: of them the last
        renewal says since when nobody holds their sessions."""
        servers = self._store.keys.servers
        flat = await self._store.call("ZRANGE", servers, 0, -1, "WITHSCORES")
        renewed = {member: float(at) for member, at in zip(flat[::2], flat[1::2], strict=True)}
        newest = max(renewed.values(), default=0.0)
        for member, at in renewed.items():
            if newest - at > FORGET_MS and _boot(member) not in kept:
                await self._store.call("ZREM", servers, member)

    def _keys(self, server: str) -> list[str]:
        return [self._store.keys.server(server), self._store.keys.servers]


_FIELDS = ("nonce", "url", "sessions", "physics_id", "internal_url")


def _boot(member: str) -> tuple[str, str]:
    """(id, nonce) of a member of the servers."""
    name, _, nonce = member.rpartition(":")
    return name, nonce


def _info(server: str, fields: list[str | None]) -> ServerInfo | None:
    nonce, url, sessions, physics_id, internal_url = fields
    if nonce is None:
        return None
    return ServerInfo(
        server, nonce, url or "", int(sessions or 0), physics_id or "", internal_url or url or ""
    )
