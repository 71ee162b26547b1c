"""The lists of recorded sessions in the store: pages, searches, their bound."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tussle.lobby.recorded_sessions import RecordedSeat, RecordedSession, RecordingChoice
from tussle.lobby.recording_index import EXAMINED, RecordingIndex


def token(number: int) -> str:
    """A session token; tokens are in the order of their numbers."""
    return "s" + f"{number:07}".translate(str.maketrans("0123456789", "23456789ab"))


def row(
    number: int, *, mode: str = "duel", names: tuple[str, ...] = ("ada", "Guest#12ab"), at: int = 0
) -> RecordedSession:
    """A row whose session ended at ``at``, or number + 1 [ms]."""
    seats = tuple(RecordedSeat(seat, f"p-{name}", name, "person", "halo") for seat, name in enumerate(names))
    ended = at or number + 1
    return RecordedSession(token(number), "ended", mode, len(seats), seats, ended, ended, ended, 10, 5.0)


async def listed(index: RecordingIndex, **choice: object) -> list[str]:
    return [session for page in await all_pages(index, **choice) for session in page]


async def all_pages(index: RecordingIndex, **choice: object) -> list[list[str]]:
    pages, after = [], None
    while True:
        rows, following = await index.page(RecordingChoice(**choice, after=after))  # type: ignore[arg-type]
        pages.append([one.session for one in rows])
        if not following:
            return pages
        at, _, session = following.partition(".")
        after = int(at), session


async def test_lists_are_read_in_pages_and_found_by_mode_player_and_time(world: World) -> None:
    """The newest end first, each row once, also those that ended in the same millisecond; a player is found by
    identity, by name in any case, and a guest without the digits of its name."""
    index = RecordingIndex(world.store, 100)
    for number in range(7):
        await index.add(row(number, at=5 if number < 3 else 0, mode="duel" if number % 2 else "curling"))
    await index.add(row(8, names=("Bob",)))
    await index.add(row(8, names=("Bob",)))
    order = [token(number) for number in (8, 6, 5, 4, 2, 1, 0, 3)]
    assert await listed(index, limit=100) == order
    assert await listed(index, limit=2) == order
    assert await all_pages(index, mode="curling") == [[token(6), token(4), token(2), token(0)]]
    for name in ("p-Bob", "bob", "BOB"):
        assert await all_pages(index, player=name) == [[token(8)]]
    assert await listed(index, player="guest", limit=3) == order[1:]
    assert await all_pages(index, player="guest#12AB", mode="duel") == [[token(5), token(1), token(3)]]
    assert await all_pages(index, player="nobody") == [[]]
    assert await all_pages(index, since=5, until=6) == [order[2:7]]
    assert await all_pages(index, search="BO") == [[token(8)]]


async def test_a_session_that_is_taken_off_is_on_no_list(world: World) -> None:
    """Neither a list nor a row is left of it, and nothing else changes."""
    index, keys = RecordingIndex(world.store, 100), world.store.keys
    for number in range(2):
        await index.add(row(number))
    assert await index.remove(token(0)) and not await index.remove(token(0))
    assert await all_pages(index, player="ada") == await all_pages(index) == [[token(1)]]
    assert await index.remove(token(1))
    for key in (keys.recorded, keys.recorded_rows, keys.recorded_in("duel"), keys.recorded_of("ada")):
        assert not await world.store.call("EXISTS", key)


async def test_full_lists_lose_their_oldest(world: World) -> None:
    """The lists have at most as many rows as they may; a recording that is listed late does not push out newer ones."""
    index = RecordingIndex(world.store, 3)
    for number in (4, 2, 3, 1, 5):
        await index.add(row(number))
    assert await all_pages(index) == await all_pages(index, player="ada") == [[token(5), token(4), token(3)]]
    assert await world.store.call("HLEN", world.store.keys.recorded_rows) == 3


async def test_a_page_reads_a_bounded_number_of_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that matches nothing reads a part of a long list, and its cursor leads on to the rest."""
    monkeypatch.setattr("tussle.lobby.recording_index.EXAMINED", 20)
    monkeypatch.setattr("tussle.lobby.recording_index.BATCH", 10)
    assert EXAMINED == 1000
    index = RecordingIndex(world.store, 1000)
    for number in range(45):
        await index.add(row(number, names=("last" if number == 0 else "ada",)))
    assert await all_pages(index, search="last") == [[], [], [token(0)]]
