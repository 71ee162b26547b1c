"""A session of the mode spring-damper, started from the lobby, on real processes."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.stack import Stack
from tussle.lobby.rules.spring import Spring, SpringState
from tussle.lobby.wire.numbers import as_sent
from tussle.player.client import Client


async def test_it_is_opened_watched_and_triggered_like_any_session(store_url: str, realm: str) -> None:
    """Open it, see it in the list, watch its steps, trigger a run, see it end: the stream solvers' numbers."""
    async with Stack.up(store_url, realm, SIM_SPEED="20") as stack:
        server = await stack.server()
        async with Client(server.url) as ada:
            await ada.login("ada")
            seat = await ada.open(mode="spring-damper", size=1, ready=True, params={"cycles": 60})
            rows: list[Any] = []
            kinds = []
            async with asyncio.timeout(60), ada.connect(seat) as session:
                async for event in session:
                    kinds.append(event.t)
                    if event.t == "running":
                        views = await ada.sessions(mode="spring-damper")
                        assert [view.session for view in views] == [seat.session]
                        await session.act("trigger", x=0.25, v=-1.0)
                    if event.t == "steps" and event.d["run"] == 2:
                        rows += zip(event.d["n"], event.d["x"], event.d["v"], strict=True)
                    if event.t in ("ended", "failed"):
                        break
    assert kinds[-1] == "ended" and "run_ended" in kinds
    spring, state = Spring(cycles=60), SpringState(x=0.25, v=-1.0, t=0.0)
    for n, x, v in rows:
        half = spring.step_velocity(state)
        assert half is not None
        after = spring.step_position(half)
        assert after is not None
        state = after
        assert (n, x, v) == (state.n, *as_sent([state.x, state.v]))
    assert state.n == 60
