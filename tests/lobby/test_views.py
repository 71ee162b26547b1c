"""Views of sessions: events and lists."""

from __future__ import annotations

import pytest

from tests.conftest import HOLDER, World
from tussle.lobby.errors import Conflict


async def test_a_gap_is_reported(world: World) -> None:
    """Trimmed events and a v beyond the newest raise Conflict ``gap``; otherwise the tail is complete."""
    session, players = await world.starting()
    for id in range(1, 41):
        await world.seating.chat(players[0], session, id, "x")
    newest = (await world.views.events(session, 0))[-1].v
    assert [event.v for event in await world.views.events(session, 10, 5)] == [11, 12, 13, 14, 15]
    assert await world.views.events(session, newest) == []
    await world.store.call("XTRIM", world.store.keys.events(session), "MINID", "20-0")
    assert [event.v for event in await world.views.events(session, 19)] == list(range(20, newest + 1))
    for after in (0, 18, newest + 1):
        with pytest.raises(Conflict) as refused:
            await world.views.events(session, after)
        assert refused.value.reason == "gap"


async def test_the_list(world: World) -> None:
    """Waiting sessions come first, then running ones; mode, status and search select."""
    fence, _ = await world.running()
    host, other = await world.players(2)
    waiting = await world.seating.open(host, "curling", 4, holder=HOLDER)
    ended, _ = await world.ended()
    everything = await world.views.sessions()
    assert [view.session for view in everything] == [waiting.session, fence.session]
    assert [view.session for view in await world.views.sessions(mode="duel")] == [fence.session]
    assert [view.session for view in await world.views.sessions(status="ended")] == [ended]
    assert [view.session for view in await world.views.sessions(status="running")] == [fence.session]
    assert [view.session for view in await world.views.sessions(status="open")] == [waiting.session]
    name = await world.store.call("HGET", world.store.keys.player(host), "name")
    assert [view.session for view in await world.views.sessions(search=name.upper())] == [waiting.session]
    assert [view.session for view in await world.views.sessions(limit=1)] == [waiting.session]
    assert other
