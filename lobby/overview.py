"""What operators see: sessions, servers, solvers, players, limits, over all servers of the realm.

    server --report, every REPORT_S--> server:<id>:report (expires) --.
                                     leases, sessions, bans of the store --> read -> Overview

A report is bounded: the slowest sessions, the first players, the budgets with the most refusals. It must never contain
a secret, a login token or a chat message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tussle.lobby.address_bans import AddressBans
from tussle.lobby.bans import Bans
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.servers import ServerInfo, Servers
from tussle.lobby.store.store import Store
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import SessionView

__all__ = [
    "PLAYERS_SHOWN",
    "REPORT_S",
    "SESSIONS_SHOWN",
    "Overview",
    "Overviews",
    "PlayerReport",
    "ServerReport",
    "SessionReport",
    "SolverReport",
]

REPORT_S = 2.0
"""Time between two reports of a server [s]."""

REPORT_MS = 10_000
"""Life of a report [ms]."""

KEYS_SHOWN = 20
"""Owners of a resource that are shown beside those that were refused."""

SESSIONS_SHOWN = 200
PLAYERS_SHOWN = 200
"""Rows of an overview and of one server's report. All are counted."""


class SessionReport(msgspec.Struct, frozen=True):
    """The load of a session, as its holder measures it (server/metrics/loads.py). dilation: 1 is the speed of
    SIM_SPEED."""

    session: str
    tick_rate: float
    solver_ms: float
    share: float
    dilation: float


class SolverReport(msgspec.Struct, frozen=True):
    """One solver process. kind: light or heavy. queue: calls that wait for it. busy: share of the last seconds in which
    it computed. load: CPU seconds per second of its sessions."""

    index: int
    kind: str
    running: bool
    sessions: int
    queue: int
    busy: float
    load: float


class PlayerReport(msgspec.Struct, frozen=True):
    """A player who is connected to a session at this server."""

    player: str
    name: str
    kind: str
    session: str
    role: str


class ServerReport(msgspec.Struct, frozen=True):
    """What one server reports. held: whether its lease is valid. limits: rows of server/costs.py. refusals: code ->
    count since its start."""

    server: str
    build: str
    held: bool
    draining: bool
    connections: int
    player_count: int
    sessions: tuple[SessionReport, ...] = ()
    solvers: tuple[SolverReport, ...] = ()
    players: tuple[PlayerReport, ...] = ()
    limits: tuple[dict[str, Any], ...] = ()
    refusals: dict[str, int] = {}


class Overview(msgspec.Struct, frozen=True):
    """Everything at one time [ms of the store's clock]. Lists are bounded; the counts are of all."""

    at: int
    session_count: int
    player_count: int
    sessions: list[dict[str, Any]]
    servers: list[dict[str, Any]]
    solvers: list[dict[str, Any]]
    players: list[dict[str, Any]]
    banned: list[dict[str, Any]]
    banned_addresses: list[dict[str, Any]]
    limits: list[dict[str, Any]]
    refusals: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Reported:
    info: ServerInfo
    lease_age_ms: int | None
    report: ServerReport | None


class Overviews:
    """The reports of a realm's servers. counted: for each resource that the store counts over all servers, what each
    address and each player holds."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        views: Views,
        bans: Bans,
        address_bans: AddressBans,
        counted: Mapping[str, Callable[[], Awaitable[Mapping[str, Counter[str]]]]],
    ) -> None:
        self._store = store
        self._counted = counted
        self._servers = servers
        self._views = views
        self._bans = bans
        self._address_bans = address_bans

    async def publish(self, report: ServerReport) -> None:
        """Replace the report of one server."""
        key = self._store.keys.server_report(report.server)
        await self._store.call("SET", key, msgspec.json.encode(report), "PX", REPORT_MS)

    async def read(self) -> Overview:
        """The overview now. Sessions: slow ones first."""
        now = await self._store.now_ms()
        reported = await self._reported(now)
        reports = [one.report for one in reported if one.report is not None]
        views = await self._views.all_present(SESSIONS_SHOWN)
        keys = self._store.keys
        shares = {resource: await count() for resource, count in self._counted.items()}
        counts = await self._store.batch([("ZCARD", keys.lobbies), ("ZCARD", keys.running)])
        return Overview(
            at=now,
            session_count=sum(counts),
            player_count=sum(report.player_count for report in reports),
            sessions=_sessions([view for view in views if view.status not in ENDED], reports),
            servers=[_server(one) for one in reported],
            solvers=[
                {"server": report.server, **msgspec.to_builtins(solver)}
                for report in reports
                for solver in report.solvers
            ],
            players=[
                {"server": report.server, **msgspec.to_builtins(player)}
                for report in reports
                for player in report.players
            ][:PLAYERS_SHOWN],
            banned=[
                {"player": ban.player, "name": ban.name, "until": ban.until}
                for ban in await self._bans.listed()
            ],
            banned_addresses=[
                {"address": ban.address, "until": ban.until} for ban in await self._address_bans.listed()
            ],
            limits=[
                {"server": report.server, **_with_shares(row, shares)}
                for report in reports
                for row in report.limits
            ],
            refusals=[
                {"server": report.server, "code": code, "count": count}
                for report in reports
                for code, count in report.refusals.items()
            ],
        )

    async def _reported(self, now: int) -> list[_Reported]:
        keys = self._store.keys
        living = await self._servers.alive()
        commands: list[tuple[str, ...]] = []
        for info in living:
            commands += [
                ("ZSCORE", keys.servers, f"{info.id}:{info.nonce}"),
                ("GET", keys.server_report(info.id)),
            ]
        replies = iter(await self._store.batch(commands))
        return [_reported(info, next(replies), next(replies), now) for info in living]


def _reported(info: ServerInfo, renewed: str | None, text: str | None, now: int) -> _Reported:
    age = max(0, now - int(float(renewed))) if renewed is not None else None
    return _Reported(info, age, msgspec.json.decode(text, type=ServerReport) if text else None)


def _with_shares(row: dict[str, Any], shares: Mapping[str, Mapping[str, Counter[str]]]) -> dict[str, Any]:
    """The row of a budget. If the store counts its resource, with what each owner holds on all servers."""
    if row["resource"] not in shares:
        return row
    held = shares[row["resource"]][row["owner"]]
    refused = {one["key"]: one["refusals"] for one in row["keys"]}
    largest = [key for key, _ in held.most_common(KEYS_SHOWN) if key not in refused]
    keys = [
        {"key": key, "refusals": refused.get(key, 0), "holds": held[key], "left": None}
        for key in (*refused, *largest)
    ]
    return {**row, "count": len({*refused, *held}), "keys": keys}


def _server(one: _Reported) -> dict[str, Any]:
    report = one.report
    return {
        "id": one.info.id,
        "url": one.info.url,
        "sessions": one.info.sessions,
        "physics_id": one.info.physics_id,
        "lease_age_ms": one.lease_age_ms,
        "build": report.build if report else "",
        "held": report.held if report else None,
        "draining": report.draining if report else None,
        "connections": report.connections if report else None,
        "share": round(sum(session.share for session in report.sessions), 3) if report else None,
    }


def _sessions(views: list[SessionView], reports: list[ServerReport]) -> list[dict[str, Any]]:
    """One row for each session, those that dilate the most first, then those that cost the most."""
    loads = {load.session: (report.server, load) for report in reports for load in report.sessions}
    rows = []
    for view in views:
        server, load = loads.get(view.session, ("", None))
        rows.append(
            {
                "session": view.session, "status": view.status, "mode": view.mode, "size": view.size, "tick": view.tick,
                "members": [
                    {"seat": seat.seat, "player": seat.player, "name": seat.name, "kind": seat.kind,
                     "connected": seat.connected}
                    for seat in view.seats
                ],
                "observers": view.observers.count, "opened_at": view.opened_at, "started_at": view.started_at,
                "server": server,
                "tick_rate": load.tick_rate if load else None, "solver_ms": load.solver_ms if load else None,
                "share": load.share if load else None, "dilation": load.dilation if load else None,
            }
        )  # fmt: skip
    return sorted(
        rows, key=lambda row: (-max(1.0, row["dilation"] or 0.0), -(row["share"] or 0.0), row["session"])
    )
