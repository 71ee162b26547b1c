"""Who only watches a session: the list in the store."""

from __future__ import annotations

import pytest

from tests.conftest import World, until
from tussle.lobby.errors import NotFound
from tussle.lobby.views import OBSERVERS_NAMED
from tussle.lobby.wire.messages import ObserversData

LONG_MS = 60_000


async def lobby(world: World) -> str:
    (host,) = await world.players(1)
    return (await world.seating.open(host, "duel", 2, holder=world.holder)).session


async def test_the_list_is_kept_by_several_servers(world: World) -> None:
    """Each adds and strikes out its own; only a change is told as one; a view and a list of sessions have it too."""
    keep, session = world.connections.keep_observers, await lobby(world)
    assert await keep(session, ["p1 Lena#k3v7", "p2 Tomas of old"], [], life_ms=LONG_MS)
    assert not await keep(session, ["p1 Lena#k3v7", "p2 Tomas of old"], [], life_ms=LONG_MS)
    assert await keep(session, ["p3 Ada"], [], life_ms=LONG_MS)
    assert await keep(session, [], ["p1 Lena#k3v7"], life_ms=LONG_MS)
    expected = ObserversData(2, ("Ada", "Tomas of old"))
    assert await world.views.observers(session) == expected
    assert (await world.views.view(session)).observers == expected
    (listed,) = await world.views.sessions(limit=10)
    assert listed.observers == expected


async def test_who_is_not_renewed_lapses(world: World) -> None:
    """A server died with its observers: the next one to renew its own strikes them out and says that the list changed;
    where nobody renews, the whole list goes."""
    keep, session = world.connections.keep_observers, await lobby(world)
    await keep(session, ["p1 Lena"], [], life_ms=1)
    await keep(session, ["p2 Tomas"], [], life_ms=LONG_MS)

    async def lapsed() -> bool:
        await keep(session, ["p2 Tomas"], [], life_ms=LONG_MS)
        return (await world.views.observers(session)).names == ("Tomas",)

    await until(lapsed)
    await keep(session, [], [], life_ms=1)

    async def nobody() -> bool:
        return await world.views.observers(session) == ObserversData()

    await until(nobody)


async def test_a_crowd_is_counted_and_its_first_are_named(world: World) -> None:
    session = await lobby(world)
    crowd = [f"p{number} Guest {number}" for number in range(100)]
    await world.connections.keep_observers(session, crowd, [], life_ms=LONG_MS)
    seen = await world.views.observers(session)
    assert (seen.count, len(seen.names)) == (100, OBSERVERS_NAMED)


async def test_of_what_is_gone_nothing_is_written(world: World) -> None:
    """A late renewal does not bring back a key of a session whose keys have expired."""
    with pytest.raises(NotFound):
        await world.connections.keep_observers("k7qm2xpv", ["p1 Lena"], [], life_ms=LONG_MS)
    assert await world.store.call("EXISTS", world.store.keys.observers("k7qm2xpv")) == 0
