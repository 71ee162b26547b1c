"""Presence over real sockets: everyone in a session is told who only watches it, from whichever server."""

from __future__ import annotations

from typing import Any

from tests.support.stack import Stack
from tests.support.stranger import Line, Person


async def test_who_watches_is_told_to_everyone_on_every_server(store_url: str, realm: str) -> None:
    """One observer comes through another server, one through the same, both go: members hear it without a number, a
    late one at once, and the view says the same."""
    async with Stack.up(store_url, realm) as stack:
        first, second = await stack.more_servers(2)
        async with Person(first.url) as ada, Person(second.url) as lena, Person(first.url) as tomas:
            for person, name in ((ada, "Ada"), (lena, "Lena"), (tomas, "Tomas")):
                await person.login(name=name)
            seat = await ada.ask("/api/open", private=True)
            async with Line.to(seat["ws_url"]) as line:
                await line.hello(ticket=seat["ticket"])
                await heard(line, [])
                place = await lena.ask("/api/observe", session=seat["session"])
                async with Line.to(place["ws_url"]) as watching:
                    await watching.hello(ticket=place["ticket"])
                    await heard(line, ["Lena"])
                    await heard(watching, ["Lena"])
                    place = await tomas.ask("/api/observe", session=seat["session"])
                    async with Line.to(place["ws_url"]) as late:
                        await late.hello(ticket=place["ticket"])
                        for one in (line, watching, late):
                            await heard(one, ["Lena", "Tomas"])
                        view = await ada.look(seat["session"])
                        assert view["observers"]["count"] == 2
                    await heard(line, ["Lena"])
                await heard(line, [])
                assert all("v" not in message for message in line.messages if message["t"] == "observers")


async def heard(line: Line, names: list[str]) -> None:
    """That those are the ones who watch; a guest's name has its four characters behind it."""

    def last() -> dict[str, Any] | None:
        told = [message["d"] for message in line.messages if message["t"] == "observers"]
        return told[-1] if told else None

    def right() -> bool:
        now = last()
        return now is not None and [name.partition("#")[0] for name in now["names"]] == names

    await line.wait(right)
    assert (last() or {})["count"] == len(names)
