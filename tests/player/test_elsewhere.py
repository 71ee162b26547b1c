"""A client whose server dies: it knows where else to go, also before its first welcome. Real servers, killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stack import Stack, until
from tests.support.witness import asked, sessions
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore
from tussle.player.client import Client

QUICK = {"LEASE_MS": "900"}


@pytest.mark.parametrize("role", ["player", "observer"])
async def test_a_seat_is_taken_up_elsewhere_when_its_server_dies_before_the_welcome(
    valkey: Binary, realm: str, tmp_path: Path, role: str
) -> None:
    """kill -9 between the seat's answer and the first hello: the same ticket opens the seat at the other server."""
    with EmbeddedStore(Settings(data_dir=tmp_path), binary=valkey) as store:
        async with Stack.up(store.url, realm, **QUICK) as stack:
            first, second = await stack.more_servers(2)
            async with Client(first.url) as host, Client(first.url) as guest:
                await host.login()
                await guest.login()
                seat = await host.open(mode="duel", size=2)

                async def known() -> bool:
                    return second.url.replace("http", "ws") + "/ws" in (await host.join(seat.session)).servers

                await asked(known, "the servers to know of one another")
                take = guest.join if role == "player" else guest.observe
                place = await take(seat.session)
                assert place.ws_url.startswith(first.url.replace("http", "ws"))
                await first.kill()
                async with guest.connect(place, give_up_s=30.0) as connection:
                    assert connection.url.startswith(second.url.replace("http", "ws"))
                    assert (connection.session, connection.seat) == (seat.session, place.seat)


async def test_a_client_learns_of_a_server_that_starts_later(
    valkey: Binary, realm: str, tmp_path: Path
) -> None:
    """The only server welcomes a player and an observer. A second server starts, and the first one is killed: both come
    back at the second one."""
    with EmbeddedStore(Settings(data_dir=tmp_path), binary=valkey) as store:
        async with Stack.up(store.url, realm, **QUICK) as stack:
            first = await stack.server()
            async with Client(first.url) as host, Client(first.url) as guest:
                await host.login()
                await guest.login()
                seat = await host.open(mode="duel", size=2)
                place = await guest.observe(seat.session)
                async with host.connect(seat) as playing, guest.connect(place) as watching:
                    both = (playing, watching)
                    assert [one.servers for one in both] == [(seat.ws_url,)] * 2
                    second = await stack.server()
                    there = second.url.replace("http", "ws") + "/ws"
                    await until(lambda: all(there in one.servers for one in both), "the new address")
                    await first.kill()
                    await until(
                        lambda: all(one.connected and one.url == there for one in both), "both to be back"
                    )


async def test_bots_whose_server_died_come_back_by_themselves(
    valkey: Binary, realm: str, tmp_path: Path
) -> None:
    """kill -9 of the only server that the bots were given: they play on at the other one. That one dies too, and is
    started again much later than their patience: they play there again, until they are stopped."""
    with EmbeddedStore(Settings(data_dir=tmp_path), binary=valkey) as store:
        async with Stack.up(store.url, realm, SIM_SPEED="0", **QUICK) as stack:
            first, second = await stack.more_servers(2)
            bots = await stack.bots(2, 0, "--patience", "0.5", "--skill", "random", SERVER_URL=first.url)

            async def finished(url: str, seen: set[str], count: int = 1) -> list[str]:
                new = [view["session"] for view in await sessions(url, "ended")]
                new = [session for session in new if session not in seen]
                return new if len(new) >= count else []

            seen = set(await asked(lambda: finished(first.url, set()), "a first duel", 120.0))
            await first.kill()
            seen |= set(await finished(second.url, seen))
            # Once they began a second duel there, the bots have noticed the end of the first one.
            await asked(lambda: finished(second.url, seen, 2), "two duels at the other server", 120.0)
            before = len(bots.said("bot_interrupted"))
            await second.kill()
            await until(lambda: len(bots.said("bot_interrupted")) > before, "the bots to notice", 60.0)
            again = await stack.again(second)
            seen |= set(await finished(again.url, set()))
            await asked(lambda: finished(again.url, seen), "a duel after the restart", 120.0)
            assert bots.running
            assert await bots.end() == 0
            assert "found no server" not in bots.output
