"""The replay rooms of one server: which rooms have members here, and what the store says about them.

    join -> subscribe to the room's channel -> messages -> ReplayRoom.apply
    look -> once a second: how far the recordings go, whether each presenter's token still exists

A room exists here while this server has a member of it. After the connection to the store was lost, ``on_lost`` sends
every member a new welcome. This module must never open a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tussle.lobby.errors import LobbyError, NotFound, StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.store.call_lanes import own_task
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups
from tussle.lobby.wire.replay import PresenterData
from tussle.server.fanout.presence import LIFE_MS, PresenceLists
from tussle.server.fanout.replay_room import ReplayMember, ReplayRoom
from tussle.server.recordings.library import Library

__all__ = ["ServerReplayRooms"]

log = get_logger("server.replay")

AT_ONCE = 200
"""Rooms that one call of the store looks at."""

PRESENCE_HINT = "presence"
"""Payload on a room's channel that reports changed members, not a message."""


class ServerReplayRooms:
    """The rooms with a member on this server. ``on_lost``: called with a room whose messages may have been lost."""

    def __init__(
        self,
        store: Store,
        rooms: ReplayRooms,
        library: Library,
        on_lost: Callable[[ReplayRoom], Awaitable[None]],
    ) -> None:
        self._store = store
        self._stored = rooms
        self._library = library
        self._on_lost = on_lost
        self._rooms: dict[str, ReplayRoom] = {}
        self._channels: dict[str, str] = {}
        self._hints: Wakeups | None = None
        self._subscribing = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self.present = PresenceLists(self._write_members, self._show_members, work="replay")

    def __len__(self) -> int:
        return len(self._rooms)

    async def join(self, token: str, member: ReplayMember) -> ReplayRoom:
        """Add a member: from now on it gets every message of the room. Raises NotFound ``no_recording``, StoreError;
        the caller calls ``leave`` in any case."""
        room = self._rooms.get(token)
        if room is None:
            length, live = await self._measure(token)
            room = self._rooms.get(token) or ReplayRoom(token, length, live)
        self._rooms[token] = room
        room.members.add(member)
        channel = self._store.keys.replay_channel(token)
        self._channels[channel] = token
        async with self._subscribing:
            if self._hints is None:
                raise StoreError("the server starts")
            await self._hints.add(channel)
        return room

    def leave(self, token: str, member: ReplayMember) -> None:
        """Remove a member, and the room with the last one. Does nothing if it is not in the room."""
        room = self._rooms.get(token)
        if room is None:
            return
        room.members.discard(member)
        if room.members:
            return
        room.close()
        del self._rooms[token]
        self.present.forget(token)
        leaving = own_task(self._unsubscribe(token), name="replay-leave")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _unsubscribe(self, token: str) -> None:
        async with self._subscribing:
            if token not in self._rooms and self._hints is not None:
                channel = self._store.keys.replay_channel(token)
                self._channels.pop(channel, None)
                await self._hints.remove(channel)

    async def _measure(self, token: str) -> tuple[int, bool]:
        """Length of a recording, and whether its session still runs. Raises NotFound ``no_recording``, ProtocolError
        if it is damaged."""
        (known,) = await self._stored.progress([token])
        if known.length is not None and (known.length or known.live):
            return known.length, known.live
        if known.live:
            raise NotFound("the session has no recording yet", code="no_recording")
        return (await self._library.open(token)).store.length, False

    # the store

    async def follow(self) -> None:
        """Pass the messages of the rooms on to their members, until cancelled."""
        async with Wakeups(self._store) as hints:
            self._hints = hints
            async for channel, payload in hints:
                if channel == RECONNECTED:
                    for lost in list(self._rooms.values()):
                        await self._recover(lost)
                    continue
                token = self._channels.get(channel, "")
                room = self._rooms.get(token)
                if payload == PRESENCE_HINT:
                    self.present.refresh(token)
                elif room is not None:
                    try:
                        room.apply(payload)
                    except msgspec.MsgspecError as error:  # of a newer server
                        log.warning("replay_message_dropped", token=short(token), error=str(error))

    async def _recover(self, room: ReplayRoom) -> None:
        try:
            await self._on_lost(room)
        except LobbyError as error:
            log.warning("store_waiting", work="replay", token=short(room.token), error=error.message)

    async def look(self) -> None:
        """Read how far the recordings go and whether each presenter's token still exists. Raises StoreError."""
        tokens = list(self._rooms)
        for at in range(0, len(tokens), AT_ONCE):
            await self._look_at(tokens[at : at + AT_ONCE])

    async def refresh(self, room: ReplayRoom) -> None:
        """Read how far the recording of one room goes. Raises StoreError."""
        await self._look_at([room.token])

    async def _look_at(self, tokens: Sequence[str]) -> None:
        before = {token: self._rooms[token].presenter for token in tokens if token in self._rooms}
        for token, now in zip(tokens, await self._stored.progress(tokens), strict=True):
            room = self._rooms.get(token)
            if room is None:
                continue
            room.set_progress(room.length if now.length is None else now.length, now.live)
            if (
                not now.presented
                and room.presenter.player is not None
                and room.presenter is before.get(token)
            ):
                room.set_presenter(PresenterData(None, room.grant))

    # members

    async def _write_members(self, room: str, present: Sequence[str], gone: Sequence[str]) -> None:
        await self._stored.attend(room, present, gone, life_ms=LIFE_MS)

    async def _show_members(self, token: str) -> bool:
        room = self._rooms.get(token)
        if room is None:
            return False
        now = await self._stored.members(token)
        room.set_present(now)
        return now.member_count > 0
