"""What this server reports to operators, and how it executes their orders to all servers.

    holder, solvers, gateway, ledger --make_report--> lobby/overview.py       orders stream --> close, announce, drain

This module must never decide who may give an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tussle.lobby.errors import StoreError
from tussle.lobby.logs import get_logger
from tussle.lobby.orders import Order, OrderLog
from tussle.lobby.overview import (
    PLAYERS_SHOWN,
    REPORT_S,
    SESSIONS_SHOWN,
    Overviews,
    PlayerReport,
    ServerReport,
    SessionReport,
    SolverReport,
)
from tussle.lobby.servers import HolderAddress
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.costs import Ledger
from tussle.server.fanout.audiences import Audiences
from tussle.server.gateway.gateway import Gateway
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.holder import Holder
from tussle.server.sessions.lease import Lease

__all__ = ["Reporter"]

log = get_logger("server.operations")

ORDERS_S = 0.5
"""Time between two reads of new orders [s]."""


class Reporter:
    """One server's side of the operators' overview. The server runs ``keep`` and ``follow_orders`` as tasks."""

    def __init__(
        self,
        address: HolderAddress,
        build: str,
        *,
        overviews: Overviews,
        orders: OrderLog,
        lease: Lease,
        holder: Holder,
        gateway: Gateway,
        audiences: Audiences,
        telemetry: Telemetry,
        ledger: Ledger,
        sim_speed: float,
        draining: Callable[[], bool],
        stop: Callable[[], None],
        banned: BannedAddresses,
    ) -> None:
        self._banned = banned
        self._address = address
        self._build = build
        self._overviews = overviews
        self._orders = orders
        self._lease = lease
        self._holder = holder
        self._gateway = gateway
        self._audiences = audiences
        self._telemetry = telemetry
        self._ledger = ledger
        self._sim_speed = sim_speed
        self._draining = draining
        self._stop = stop

    async def keep(self) -> None:
        """Publish a report every REPORT_S, until cancelled."""
        while True:
            try:
                await self._overviews.publish(self.make_report())
            except StoreError as error:
                log.warning("store_waiting", work="report", error=error.message)
            await asyncio.sleep(REPORT_S)

    async def follow_orders(self) -> None:
        """Execute every order that is given from now on, once, until cancelled."""
        after = ""
        while True:
            try:
                after = after or await self._orders.newest()
                for order in await self._orders.read(after):
                    if order.kind == "addresses":
                        await self.read_address_bans()  # if it fails, the order is read again
                    else:
                        self._carry_out(order)
                    after = order.id
            except StoreError as error:
                log.warning("store_waiting", work="orders", error=error.message)
            await asyncio.sleep(ORDERS_S)

    async def read_address_bans(self) -> None:
        """Read the banned addresses and close their connections. Raises StoreError."""
        await self._banned.load()
        self._banned.cut_off()
        self._gateway.close_banned_addresses()

    def _carry_out(self, order: Order) -> None:
        if order.kind == "notice":
            self._audiences.announce(order.target, order.text)
        elif order.kind == "ban":
            self._gateway.close_player(order.target, "banned: an operator has banned this player")
        elif order.target == f"{self._address.id}:{self._address.nonce}":
            log.info("drain_ordered", server=self._address.id, by=order.by)
            self._stop()

    def make_report(self) -> ServerReport:
        """The report now."""
        connected = self._gateway.players()
        return ServerReport(
            server=self._address.id,
            build=self._build,
            held=self._lease.held(),
            draining=self._draining(),
            connections=len(self._gateway.handler_tasks),
            player_count=len({who.player for who in connected}),
            sessions=self._sessions(),
            solvers=self._solvers(),
            players=tuple(
                PlayerReport(who.player, who.name, who.kind, who.session, who.role)
                for who in connected[:PLAYERS_SHOWN]
            ),
            limits=tuple(self._ledger.snapshot()),
            refusals=self._refusals(),
        )

    def _sessions(self) -> tuple[SessionReport, ...]:
        loads = self._telemetry.readings.loads.now(asyncio.get_running_loop().time())
        rows = [
            SessionReport(
                token,
                round(load.tick_rate, 1),
                round(load.solver_ms, 3),
                round(load.share, 4),
                round(max(1.0, load.dilation * self._sim_speed), 3),
            )
            for token, load in loads.items()
            if self._holder.holds(token)
        ]
        return tuple(sorted(rows, key=lambda row: (-row.dilation, -row.share))[:SESSIONS_SHOWN])

    def _solvers(self) -> tuple[SolverReport, ...]:
        return tuple(
            SolverReport(
                one.index,
                one.kind,
                one.running,
                one.sessions,
                one.queue,
                round(one.busy, 3),
                round(one.load, 3),
            )
            for one in self._telemetry.solvers.read()
        )

    def _refusals(self) -> dict[str, int]:
        """Refusals by code since the start, the most frequent first."""
        counts: dict[str, int] = {}
        samples: list[Any] = [
            sample for family in self._telemetry.refusals.collect() for sample in family.samples
        ]
        for sample in samples:
            if sample.name.endswith("_total") and sample.value:
                counts[sample.labels["code"]] = int(sample.value)
        return dict(sorted(counts.items(), key=lambda item: -item[1])[:SESSIONS_SHOWN])
