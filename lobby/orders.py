"""Operators' orders to all servers: show a notice, close a banned player's connections, drain.

    any server --order.lua, ban*.lua--> orders stream --> every server, each order once

A server reads the stream from its own start on, so that an order never acts on a later boot. Orders to one session
(pause, resume, end) are fields of the session instead: lobby/operators.py. This module must never execute an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.servers import ServerInfo
from tussle.lobby.store.store import Store

__all__ = ["ORDERS_KEPT", "Order", "OrderLog"]

ORDERS_KEPT = 1000
"""Orders that the stream keeps, about. A server reads it twice a second."""

READ_COUNT = 100

NOTICE_LENGTH = 300
"""Characters of a notice."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order. target: the session of a notice ('' for all), the banned player, the address whose ban has changed, or
    ``server:nonce``."""

    id: str
    kind: Literal["notice", "ban", "addresses", "drain"]
    target: str
    text: str
    by: str


class OrderLog:
    """The orders of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def notify(self, text: str, by: str, session: str = "") -> None:
        """Have every server show a notice in a session, or in all. Raises NotFound; Refused ``bad_notice`` for a text
        that is empty, longer than NOTICE_LENGTH, or has control or invisible characters."""
        text = text.strip()
        if not 1 <= len(text) <= NOTICE_LENGTH or not text.isprintable():
            raise Refused(
                f"a notice has 1 to {NOTICE_LENGTH} printable characters on one line",
                code="bad_notice",
                field="text",
            )
        if session and not await self._store.call("EXISTS", self._store.keys.session(session)):
            raise NotFound("there is no such session", code="no_such_session", field="session")
        await self._append("notice", session, text, by)

    async def drain(self, server: ServerInfo, by: str) -> None:
        """Have one boot of a server hand its sessions over and stop."""
        await self._append("drain", f"{server.id}:{server.nonce}", "", by)

    async def newest(self) -> str:
        """The id of the newest order; ``read`` returns those after it."""
        rows = await self._store.call("XREVRANGE", self._store.keys.orders, "+", "-", "COUNT", 1)
        return str(rows[0][0]) if rows else "0-0"

    async def read(self, after: str) -> list[Order]:
        """The orders after an id, oldest first, at most READ_COUNT."""
        rows = await self._store.call(
            "XRANGE", self._store.keys.orders, f"({after}", "+", "COUNT", READ_COUNT
        )
        orders = []
        for name, flat in rows:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            kind = cast("Literal['notice', 'ban', 'addresses', 'drain']", fields["kind"])
            orders.append(Order(name, kind, fields["target"], fields["text"], fields["by"]))
        return orders

    async def _append(self, kind: str, target: str, text: str, by: str) -> None:
        await self._store.run("order", [self._store.keys.orders], [kind, target, text, by, ORDERS_KEPT])
