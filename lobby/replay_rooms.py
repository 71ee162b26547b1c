"""Replay rooms in the store: the members, the presenter, the presented frame, chat, bookmarks and named views.

    first member -> opened -> last member leaves, or its server dies -> ended -> keys expire -> expired
    present -> token (one connection, PRESENTER_MS) -> scrub, which renews it -> release, disconnection or expiry

A room belongs to the recording of a session and has its token. Every change is one script, which also publishes the
message to the members; any server may run it. The room's keys expire unless a server with a member renews them;
bookmarks and named views are kept as long as the recording. This module must never use a socket or open a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tussle.lobby.errors import Conflict, NotFound
from tussle.lobby.ids import new_secret
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.wire.replay import (
    Bookmark,
    BookmarkAdded,
    BookmarkGone,
    BookmarkRemoved,
    CameraView,
    NamedView,
    PresenceData,
    ReplayLine,
    ReplayRoomMember,
    ViewGone,
    ViewRemoved,
    ViewSet,
    encode_replay,
)

__all__ = ["BOOKMARKS", "PRESENTER_MS", "VIEWS", "Author", "Progress", "ReplayRoomState", "ReplayRooms"]

PRESENTER_MS = 5000
"""Life of the presenter's token after its last use."""

OPEN_MS = 60_000
"""Life of the keys of an open room after the last renewal; its servers renew them every ten seconds."""

MEMBERS_SHOWN = 64
"""Most members that a message names. All are counted."""

CHAT_KEPT, CHAT_SHOWN = 200, 50
"""Lines of chat that a room keeps, and that a new member gets."""

BOOKMARKS, VIEWS = 100, 30
"""Most bookmarks and named views of a recording."""

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes bookmarks and views. An operator may change those of others."""

    player: str
    name: str
    operator: bool = False


@dataclass(frozen=True, slots=True)
class ReplayRoomState:
    """A room as the store has it. ``presenter``: player and connection, or None."""

    grant: int
    n: int
    frame: int
    playing: bool
    speed: float
    presenter: tuple[str, str] | None
    bookmarks: tuple[Bookmark, ...]
    views: tuple[NamedView, ...]
    chat: tuple[ReplayLine, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """``length``: frames of the recording, None if the store does not know; ``live``: the session is not over;
    ``presented``: somebody has the presenter's token."""

    length: int | None
    live: bool
    presented: bool


class ReplayRooms:
    """The replay rooms of a realm."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._keys = store.keys
        self._kept_ms = round(settings.recordings_days * DAY_MS)

    async def attend(
        self, room: str, present: Sequence[str], gone: Sequence[str] = (), *, life_ms: int
    ) -> bool:
        """Renew the members that are connected to this server and remove those that left it. The first member opens
        the room, the last one ends it.

        A member is "player name". One that no server renews for ``life_ms`` lapses. Returns whether the list changed.
        """
        keys = self._keys
        reply = await self._store.run(
            "replay_attend",
            [
                *keys.of_replay(room), keys.replay_bookmarks(room), keys.replay_views(room), keys.replays,
                keys.lifecycle,
            ],
            [
                room, keys.replay_channel(room), keys.lifecycle, OPEN_MS, self._kept_ms, life_ms, len(present),
                *present, *gone,
            ],
        )  # fmt: skip
        return bool(reply[1] == "1")

    async def members(self, room: str) -> PresenceData:
        """The members of a room on all servers."""
        key = self._keys.replay_members(room)
        count, entries = await self._store.batch([("ZCARD", key), ("ZRANGE", key, 0, MEMBERS_SHOWN - 1)])
        named = [entry.partition(" ") for entry in sorted(entries)]
        return PresenceData(tuple(ReplayRoomMember(player, name) for player, _, name in named), int(count))

    async def read(self, room: str) -> ReplayRoomState:
        """Everything that a new member gets, except the list of members."""
        keys = self._keys
        about, presenter, bookmarks, views, chat = await self._store.batch(
            [
                ("HMGET", keys.replay(room), "grants", "n", "frame", "playing", "speed"),
                ("GET", keys.replay_presenter(room)),
                ("HVALS", keys.replay_bookmarks(room)),
                ("HVALS", keys.replay_views(room)),
                ("XREVRANGE", keys.replay_chat(room), "+", "-", "COUNT", CHAT_SHOWN),
            ]
        )
        grant, n, frame, playing, speed = about
        held = msgspec.json.decode(presenter) if presenter else None
        return ReplayRoomState(
            grant=int(grant or 0),
            n=int(n or 0),
            frame=int(frame or 0),
            playing=playing == "1",
            speed=float(speed or 1.0),
            presenter=None if held is None else (held["player"], held["connection"]),
            bookmarks=_bookmarks(bookmarks),
            views=_views(views),
            chat=tuple(_line(entry) for entry in reversed(chat)),
        )

    async def progress(self, rooms: Sequence[str]) -> list[Progress]:
        """How far the recordings of rooms go, and whether somebody presents."""
        commands: list[tuple[str, ...]] = []
        for room in rooms:
            commands.append(("HGET", self._keys.recording(room), "length"))
            commands.append(("HGET", self._keys.session(room), "status"))
            commands.append(("GET", self._keys.replay_presenter(room)))
        replies = await self._store.batch(commands)
        return [
            Progress(
                None if length is None else int(length),
                status is not None and status not in ENDED,
                presenter is not None,
            )
            for length, status, presenter in zip(replies[::3], replies[1::3], replies[2::3], strict=True)
        ]

    # presenting

    async def present(self, room: str, player: str, connection: str) -> int:
        """Give the presenter's token to a connection, or renew it. Returns the number of the grant.

        Raises Conflict ``presenter_taken``, NotFound if the room is not open.
        """
        keys = self._keys
        reply = await self._store.run(
            "replay_present",
            [keys.replay(room), keys.replay_presenter(room)],
            [keys.replay_channel(room), player, connection, PRESENTER_MS],
        )
        return int(reply[1])

    async def release(self, room: str, connection: str) -> bool:
        """Take the token back from a connection. Returns False, and changes nothing, if it does not have it."""
        keys = self._keys
        reply = await self._store.run(
            "replay_release", [keys.replay_presenter(room)], [keys.replay_channel(room), connection]
        )
        return bool(reply[1] == "1")

    async def scrub(
        self, room: str, connection: str, frame: int, playing: bool, speed: float
    ) -> tuple[int, int]:
        """Move the room to a frame and renew the token. Returns (number of the grant, n).

        Raises Conflict ``not_presenter``, NotFound if the room is not open.
        """
        keys = self._keys
        reply = await self._store.run(
            "replay_scrub",
            [keys.replay(room), keys.replay_presenter(room)],
            [
                *(keys.replay_channel(room), connection, PRESENTER_MS),
                *(frame, int(playing), repr(float(speed))),
            ],
        )
        return int(reply[1]), int(reply[2])

    # chat, bookmarks, views

    async def say(self, room: str, player: str, name: str, text: str) -> None:
        """Append a line to the chat; the oldest beyond CHAT_KEPT are dropped. Raises NotFound."""
        keys = self._keys
        await self._store.run(
            "replay_chat",
            [keys.replay(room), keys.replay_chat(room)],
            [keys.replay_channel(room), OPEN_MS, CHAT_KEPT, player, name, text],
        )

    async def add_bookmark(self, room: str, author: Author, name: str, frame: int) -> Bookmark:
        """Keep a bookmark. Raises Conflict ``too_many_marks``, NotFound if the room is not open."""
        made = Bookmark(new_secret()[:8], name, frame, author.player, author.name)
        key = self._keys.replay_bookmarks(room)
        place = self._keys.replay(room)
        await self._keep(room, key, BOOKMARKS, made.id, made, BookmarkAdded(made), author, place=place)
        return made

    async def remove_bookmark(self, room: str, author: Author, bookmark: str) -> None:
        """Raises NotFound ``no_such_mark``, Forbidden ``not_author``."""
        message = BookmarkRemoved(BookmarkGone(bookmark))
        await self._drop(room, self._keys.replay_bookmarks(room), bookmark, message, author)

    async def set_view(
        self, room: str, author: Author, name: str, camera: CameraView, *, by_member: bool = False
    ) -> None:
        """Keep a camera under a name. ``by_member``: outside of a room, by a member of the session or an operator.
        Raises as ``add_bookmark``; Forbidden ``not_author`` if somebody else made the view of this name; Conflict
        ``not_member``; NotFound ``no_recording``."""
        place = self._keys.session(room) if by_member else self._keys.replay(room)
        if by_member:
            await self._check_member(room, author)
        made = NamedView(name, camera, author.player)
        key = self._keys.replay_views(room)
        await self._keep(room, key, VIEWS, name, made, ViewSet(made), author, place=place)

    async def _check_member(self, session: str, author: Author) -> None:
        recorded, member = await self._store.batch(
            [
                ("EXISTS", self._keys.recording(session)),
                ("SISMEMBER", self._keys.session_players(session), author.player),
            ]
        )
        if not recorded:
            raise NotFound("the session has no recording yet, or it is gone", code="no_recording")
        if not member and not author.operator:
            raise Conflict("only members of the session keep its views", code="not_member")

    async def marks(self, room: str) -> tuple[tuple[Bookmark, ...], tuple[NamedView, ...]]:
        """Bookmarks and named views of a recording; empty if the recording does not exist."""
        keys = self._keys
        bookmarks, views = await self._store.batch(
            [("HVALS", keys.replay_bookmarks(room)), ("HVALS", keys.replay_views(room))]
        )
        return _bookmarks(bookmarks), _views(views)

    async def remove_view(self, room: str, author: Author, name: str, *, by_member: bool = False) -> None:
        """Raises NotFound ``no_such_mark``, Forbidden ``not_author``; with ``by_member`` as ``set_view``."""
        if by_member:
            await self._check_member(room, author)
        await self._drop(room, self._keys.replay_views(room), name, ViewRemoved(ViewGone(name)), author)

    async def _keep(
        self,
        room: str,
        key: str,
        most: int,
        field: str,
        mark: Bookmark | NamedView,
        message: BookmarkAdded | ViewSet,
        author: Author,
        *,
        place: str,
    ) -> None:
        await self._store.run(
            "replay_keep",
            [place, key],
            [
                *(self._keys.replay_channel(room), self._kept_ms, most, field, msgspec.json.encode(mark)),
                *(encode_replay(message), author.player, int(author.operator)),
            ],
        )

    async def _drop(
        self, room: str, key: str, field: str, message: BookmarkRemoved | ViewRemoved, author: Author
    ) -> None:
        await self._store.run(
            "replay_drop",
            [key],
            [
                *(self._keys.replay_channel(room), field, encode_replay(message)),
                *(author.player, int(author.operator)),
            ],
        )

    # the worker's part

    async def end_lapsed(self, rooms: Iterable[str]) -> list[str]:
        """End the rooms whose members have all lapsed, and remove those from the index whose keys have expired. Returns
        the event of each, or ''."""
        keys = self._keys
        calls = [
            (
                [keys.replay(room), keys.replay_members(room), keys.replays, keys.lifecycle],
                [room, keys.lifecycle],
            )
            for room in rooms
        ]
        return [str((await self._store.run("replay_end", names, arguments))[1]) for names, arguments in calls]

    async def expire(self, room: str, after_ms: int) -> bool:
        """Set the expiry of the keys of a room that has ended. Returns False, and changes nothing, if it is open."""
        reply = await self._store.run("replay_expire", self._keys.of_replay(room), [after_ms])
        return bool(reply[1] == "1")

    async def forget_marks(self, room: str) -> None:
        """Delete the bookmarks and views of a recording that no longer exists."""
        await self._store.call("DEL", self._keys.replay_bookmarks(room), self._keys.replay_views(room))


def _bookmarks(texts: Iterable[str]) -> tuple[Bookmark, ...]:
    """In the order of frames."""
    found = (msgspec.json.decode(text, type=Bookmark) for text in texts)
    return tuple(sorted(found, key=lambda mark: (mark.frame, mark.id)))


def _views(texts: Iterable[str]) -> tuple[NamedView, ...]:
    """In the order of names."""
    found = (msgspec.json.decode(text, type=NamedView) for text in texts)
    return tuple(sorted(found, key=lambda view: view.name))


def _line(entry: Any) -> ReplayLine:
    number, flat = entry
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return ReplayLine(
        int(number.partition("-")[0]), fields["player"], fields["name"], fields["text"], int(fields["at"])
    )
