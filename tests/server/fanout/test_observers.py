"""The list of observers over real sockets and three servers."""

from __future__ import annotations

from typing import Any

from tests.support.stack import Stack
from tests.support.stranger import Line, Person


async def test_every_viewer_on_every_server_gets_the_observers(store_url: str, realm: str) -> None:
    """Observers arrive on two servers and leave: each viewer gets the list without a v, a late one at once, and the
    view has the same count."""
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
                        for viewer in (line, watching, late):
                            await heard(viewer, ["Lena", "Tomas"])
                        view = await ada.look(seat["session"])
                        assert view["observers"]["count"] == 2
                    await heard(line, ["Lena"])
                await heard(line, [])
                assert all("v" not in message for message in line.messages if message["t"] == "observers")


async def heard(line: Line, names: list[str]) -> None:
    """Wait until the newest list has these names, without the suffix of guests."""

    def last() -> dict[str, Any] | None:
        lists = [message["d"] for message in line.messages if message["t"] == "observers"]
        return lists[-1] if lists else None

    def matches() -> bool:
        now = last()
        return now is not None and [name.partition("#")[0] for name in now["names"]] == names

    await line.wait(matches)
    assert (last() or {})["count"] == len(names)
