"""Replay rooms in the store: one grant at a time, their lifecycle, marks that outlive them."""

from __future__ import annotations

import asyncio

import pytest

from tussle.lobby import replay_rooms
from tussle.lobby.errors import Conflict, Forbidden, NotFound
from tussle.lobby.lifecycle import ReplayRoomEvent
from tussle.lobby.replay_rooms import BOOKMARKS, CHAT_KEPT, OPEN_MS, Author, ReplayRooms
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.wire.replay import CameraView

ROOM = "k7qm2xpv"
LIFE_MS = 30_000
ADA, OTTO, BOSS = Author("p1", "ada"), Author("p2", "otto"), Author("p3", "boss", operator=True)
CAMERA = CameraView((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))


@pytest.fixture
async def rooms(store: Store, settings: Settings) -> ReplayRooms:
    """The rooms of a realm; one is open and has a member."""
    made = ReplayRooms(store, settings)
    await made.attend(ROOM, ["p1 ada"], life_ms=LIFE_MS)
    return made


async def events(store: Store) -> list[str]:
    """The events of rooms on the lifecycle stream."""
    entries = await store.call("XRANGE", store.keys.lifecycle, "-", "+")
    return [dict(zip(flat[::2], flat[1::2], strict=True))["event"] for _, flat in entries]


async def test_a_hundred_requests_give_one_grant(
    rooms: ReplayRooms, stores: list[Store], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred connections that ask at once, through three clients of the store, one presents; the others are
    refused, and only the granted one may scrub."""
    monkeypatch.setattr(replay_rooms, "PRESENTER_MS", 120_000)  # a slow machine must not let it expire
    clients = [ReplayRooms(store, settings) for store in stores]
    answers = await asyncio.gather(
        *(clients[i % 3].present(ROOM, f"p{i}", f"c{i}") for i in range(100)), return_exceptions=True
    )
    granted = [i for i, answer in enumerate(answers) if answer == 1]
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert len(granted) == 1 and len(refused) == 99, answers
    assert {error.reason for error in refused} == {"presenter_taken"}
    assert await rooms.scrub(ROOM, f"c{granted[0]}", 7, False, 1.0) == (1, 1)
    with pytest.raises(Conflict) as refusal:
        await rooms.scrub(ROOM, f"c{granted[0] + 1}", 8, False, 1.0)
    assert refusal.value.reason == "not_presenter"
    assert (await rooms.read(ROOM)).frame == 7


async def test_a_token_is_renewed_released_and_numbered(rooms: ReplayRooms, store: Store) -> None:
    """A scrub and a repeated request renew the token, a release by another connection does nothing, each grant has the
    next number, and a scrub after the release is refused."""
    key = store.keys.replay_presenter(ROOM)
    assert await rooms.present(ROOM, "p1", "c1") == 1
    for renew in (rooms.scrub(ROOM, "c1", 3, True, 0.5), rooms.present(ROOM, "p1", "c1")):
        await store.call("PEXPIRE", key, 1000)
        await renew
        assert await store.call("PTTL", key) > 1000
    assert not await rooms.release(ROOM, "c2")
    assert await rooms.release(ROOM, "c1")
    with pytest.raises(Conflict):
        await rooms.scrub(ROOM, "c1", 4, False, 1.0)
    assert await rooms.present(ROOM, "p2", "c2") == 2
    state = await rooms.read(ROOM)
    assert (state.grant, state.n, state.frame, state.playing, state.speed) == (2, 1, 3, True, 0.5)
    assert state.presenter == ("p2", "c2")


async def test_a_room_opens_ends_and_expires(rooms: ReplayRooms, store: Store) -> None:
    """It opens with its first member and ends with its last one; it may open again; every key has an expiry while it is
    open, and after its end the worker's."""
    keys = store.keys
    await rooms.attend(ROOM, ["p2 otto"], ["p1 ada"], life_ms=LIFE_MS)
    await rooms.present(ROOM, "p2", "c2")
    await rooms.say(ROOM, "p2", "otto", "hello")
    await rooms.add_bookmark(ROOM, OTTO, "blow", 3)
    await rooms.set_view(ROOM, OTTO, "default", CAMERA)
    owned = [*keys.of_replay(ROOM), keys.replay_bookmarks(ROOM), keys.replay_views(ROOM)]
    lives = await store.batch([("PTTL", key) for key in owned])
    assert all(life > 0 for life in lives) and max(lives[:4]) <= OPEN_MS
    assert not await rooms.expire(ROOM, 1000)
    await rooms.attend(ROOM, [], ["p2 otto"], life_ms=LIFE_MS)
    with pytest.raises(NotFound):
        await rooms.say(ROOM, "p2", "otto", "late")
    assert await rooms.expire(ROOM, 600_000)
    assert await store.call("PTTL", keys.replay_chat(ROOM)) > OPEN_MS
    await rooms.attend(ROOM, ["p1 ada"], life_ms=LIFE_MS)
    assert (await rooms.read(ROOM)).chat[0].text == "hello"
    assert 0 < await store.call("PTTL", keys.replay_chat(ROOM)) <= OPEN_MS
    await rooms.attend(ROOM, [], ["p1 ada"], life_ms=LIFE_MS)
    assert await rooms.expire(ROOM, 0)
    assert await rooms.end_lapsed([ROOM, "gggggggg"]) == [ReplayRoomEvent.EXPIRED, ""]
    assert await rooms.end_lapsed([ROOM]) == [""]
    assert await events(store) == [
        *(
            ReplayRoomEvent.OPENED,
            ReplayRoomEvent.ENDED,
            ReplayRoomEvent.OPENED,
            ReplayRoomEvent.ENDED,
            ReplayRoomEvent.EXPIRED,
        )
    ]
    assert [mark.name for mark in (await rooms.read(ROOM)).bookmarks] == ["blow"]


async def test_a_room_of_dead_servers_ends(rooms: ReplayRooms, store: Store) -> None:
    """Members that no server renews lapse, and the sweep's script ends the room once."""
    assert await rooms.end_lapsed([ROOM]) == [""]
    await store.call("DEL", store.keys.replay_members(ROOM))
    assert await rooms.end_lapsed([ROOM]) == [ReplayRoomEvent.ENDED]
    assert await rooms.end_lapsed([ROOM]) == [""]


async def test_marks_are_bounded_and_belong_to_their_authors(rooms: ReplayRooms) -> None:
    """Only the author or an operator changes a bookmark or a view, and a recording has a largest number of them."""
    mark = await rooms.add_bookmark(ROOM, ADA, "blow", 3)
    await rooms.set_view(ROOM, ADA, "default", CAMERA)
    with pytest.raises(Forbidden) as refusal:
        await rooms.remove_bookmark(ROOM, OTTO, mark.id)
    assert refusal.value.reason == "not_author"
    with pytest.raises(Forbidden):
        await rooms.set_view(ROOM, OTTO, "default", CAMERA)
    await rooms.set_view(ROOM, BOSS, "default", CAMERA)
    await rooms.remove_bookmark(ROOM, BOSS, mark.id)
    with pytest.raises(NotFound) as missing:
        await rooms.remove_bookmark(ROOM, ADA, mark.id)
    assert missing.value.reason == "no_such_mark"
    for i in range(BOOKMARKS):
        await rooms.add_bookmark(ROOM, ADA, f"b{i}", i)
    with pytest.raises(Conflict) as full:
        await rooms.add_bookmark(ROOM, ADA, "one more", 1)
    assert full.value.reason == "too_many_marks"
    await rooms.remove_view(ROOM, BOSS, "default")
    state = await rooms.read(ROOM)
    assert (len(state.bookmarks), state.views) == (BOOKMARKS, ())
    await rooms.forget_marks(ROOM)
    assert (await rooms.read(ROOM)).bookmarks == ()


async def test_chat_is_bounded(rooms: ReplayRooms, store: Store) -> None:
    """A room keeps the newest lines only."""
    for i in range(CHAT_KEPT + 5):
        await rooms.say(ROOM, "p1", "ada", f'line {i} \N{OCTOPUS} "quoted" /')
    assert await store.call("XLEN", store.keys.replay_chat(ROOM)) == CHAT_KEPT
    newest = (await rooms.read(ROOM)).chat[-1]
    assert (newest.n, newest.text) == (CHAT_KEPT + 5, f'line {CHAT_KEPT + 4} \N{OCTOPUS} "quoted" /')


async def test_two_rooms_share_nothing(rooms: ReplayRooms) -> None:
    """Rooms do not share presenter, frame, chat or marks."""
    other = "gggggggg"
    await rooms.attend(other, ["p2 otto"], life_ms=LIFE_MS)
    assert (await rooms.present(ROOM, "p1", "c1"), await rooms.present(other, "p2", "c2")) == (1, 1)
    await rooms.scrub(ROOM, "c1", 9, False, 1.0)
    await rooms.say(ROOM, "p1", "ada", "here")
    await rooms.add_bookmark(ROOM, ADA, "mine", 1)
    state = await rooms.read(other)
    assert (state.frame, state.n, state.chat, state.bookmarks) == (0, 0, (), ())
    assert (await rooms.members(other)).member_count == 1
