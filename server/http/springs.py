"""The HTTP calls of the spring-damper over its two stream solvers: begin a run, look how far it is. Thin.

This module must never step anything, nor wait for a solver: a run that waits is told as one that waits.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import RateLimited
from tussle.lobby.roles import Operation
from tussle.lobby.spring_runs import SpringRuns
from tussle.server.http.rights import OperationRoute, Rights
from tussle.server.limits import RateLimit

__all__ = ["Begin", "spring_routes"]

BEGIN_RATE, BEGIN_BURST = 0.5, 5.0
"""Runs that one player may begin a second, and at once: each is thousands of entries. One address: four times that."""

LOOK_RATE, LOOK_BURST = 10.0, 30.0
"""Looks of one player a second, and at once: each reads and reckons hundreds of steps. One address: four times that."""


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """x [m], v [m/s]: where the run begins."""

    name: str = "web"
    x: float = 0.0
    v: float = 1.0


def spring_routes(
    runs: SpringRuns,
    rights: Rights,
    read: Callable[[Request, Any], Awaitable[Any]],
) -> list[OperationRoute]:
    """``rights``, ``read``: those of server/http/api.py."""
    begins, looks = _limit(BEGIN_RATE, BEGIN_BURST), _limit(LOOK_RATE, LOOK_BURST)

    async def begin(request: Request, player: PlayerInfo) -> Response:
        asked = await read(request, Begin)
        begins(request, player, "runs")
        return _answer({"run": await runs.begin(asked.name, asked.x, asked.v)})

    async def look(request: Request, player: PlayerInfo) -> Response:
        looks(request, player, "looks")
        return _answer(await runs.look(request.path_params["run"], request.query_params.get("after", "")))

    return [
        rights.route("/api/springs", Operation.SPRING, begin, methods=["POST"]),
        rights.route("/api/springs/{run}", Operation.SPRING, look),
    ]


def _limit(rate: float, burst: float) -> Callable[[Request, PlayerInfo, str], None]:
    """Counts a call of a player, and of its address; raises RateLimited when it is one too many."""
    of_player, from_there = RateLimit(rate, burst), RateLimit(4 * rate, 4 * burst)

    def count(request: Request, player: PlayerInfo, what: str) -> None:
        address, now = request.client.host if request.client else "", time.monotonic()
        if not (of_player.take(player.player, now) and from_there.take(address, now)):
            raise RateLimited(f"too many {what} of this player, or from this address")

    return count


def _answer(value: Any) -> Response:
    return Response(
        msgspec.json.encode(value), media_type="application/json", headers={"cache-control": "no-store"}
    )
