"""A client whose server dies: it knows where else to go, also before its first welcome. Real servers, killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stack import Stack
from tests.support.witness import asked
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
