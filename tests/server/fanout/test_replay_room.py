"""One replay room on a server: old grants are dropped, scrubs are conflated, everything else stays in order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tussle.server.fanout.replay_room import ReplayRoom


class Heard:
    """A member that records what it is sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.shown = asyncio.Event()

    def hear(self, framed: bytes, n: int = 0) -> None:
        self.frames.append(framed)
        self.messages.append(msgspec.json.decode(framed[2 if framed[1] < 126 else 4 :]))

    def show(self, framed: bytes) -> None:
        self.hear(framed)
        self.shown.set()

    @property
    def places(self) -> list[tuple[int, int, int]]:
        """Grant, n and frame of the scrubs."""
        scrubs = [message["d"] for message in self.messages if message["t"] == "scrub"]
        return [(scrub["grant"], scrub["n"], scrub["frame"]) for scrub in scrubs]


def room_of(*members: Heard) -> ReplayRoom:
    room = ReplayRoom("k7qm2xpv", 1000, live=False)
    room.members |= set(members)
    return room


def scrub(grant: int, n: int, frame: int) -> str:
    return f'{{"t":"scrub","d":{{"grant":{grant},"n":{n},"frame":{frame}}}}}'


def presenter(player: str, grant: int) -> str:
    return f'{{"t":"presenter","d":{{"player":"{player}","grant":{grant},"connection":"c"}}}}'


async def test_scrubs_of_older_grants_are_dropped() -> None:
    """After a newer grant, a scrub of an older one does not reach the members, nor does one that came before."""
    member = Heard()
    room = room_of(member)
    room.apply(presenter("p1", 1))
    room.apply(scrub(1, 5, 10))
    room.apply(presenter("p2", 2))
    room.apply(scrub(1, 6, 11))
    room.apply(presenter("p1", 1))
    room.apply(presenter("p2", 3))  # what waits is sent before it
    assert member.places == [(1, 5, 10)]
    room.apply(scrub(2, 7, 19))
    room.apply(scrub(3, 7, 20))
    room.apply(scrub(3, 7, 21))
    room.apply(scrub(3, 6, 22))
    member.shown.clear()
    await member.shown.wait()
    assert member.places == [(1, 5, 10), (3, 7, 20)]
    assert [m["d"]["player"] for m in member.messages if m["t"] == "presenter"] == ["p1", "p2", "p2"]
    room.close()


async def test_a_room_sends_the_newest_scrub_only() -> None:
    """Of scrubs that come faster than a room sends them each member gets the first and the newest, framed once."""
    members = [Heard(), Heard()]
    room = room_of(*members)
    for n in range(1, 101):
        room.apply(scrub(1, n, n))
    for member in members:
        member.shown.clear()
    for member in members:
        await member.shown.wait()
        assert member.places == [(1, 1, 1), (1, 100, 100)]
    assert all(one is other for one, other in zip(members[0].frames, members[1].frames, strict=True))
    assert len(members[0].frames[-1]) <= 66, "30 a second are at most 2 kB/s"
    room.close()


async def test_the_last_place_of_a_presenter_comes_before_the_next_one() -> None:
    """A scrub that still waits is sent before the message about another presenter."""
    member = Heard()
    room = room_of(member)
    for n in (1, 2):
        room.apply(scrub(1, n, n))
    room.apply(presenter("p2", 2))
    assert [message["t"] for message in member.messages] == ["scrub", "scrub", "presenter"]
    assert member.places[-1] == (1, 2, 2)
    room.close()
