"""Uploaded recordings in the store: their owners, their versions, the locks of their frames, how many bytes they use.

    PUT, POST frames -> files (server/recordings/uploaded.py) -> store: one script, which checks owner, version and room
    readers -> find -> the table of the recording's files

An upload has its own token, in the form of a session's, and so an address. What a session recorded is never an
upload. This module must never open a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["LOCK_MS", "MOST_UPLOADS", "NewUpload", "Upload", "Uploads"]

LOCK_MS = 10_000
"""Life of the lock of a frame after it was taken or renewed."""

MOST_UPLOADS = 100
"""Most uploaded recordings of a player."""

LISTED = 100
"""Most uploads in one page of the list."""

EXAMINED = 1000
"""Most uploads that are read for one page."""


class Upload(msgspec.Struct, frozen=True):
    """An uploaded recording. player, name: its owner. version: grows by one with each change. sha256: of the table of
    its files. length: frames. made_at, changed_at: [ms since 1970]."""

    token: str
    player: str
    name: str
    title: str
    mode: str
    listed: bool
    version: int
    sha256: str
    bytes: int
    length: int
    made_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What is stored of an upload or a new version of one."""

    sha256: str
    bytes: int
    length: int
    title: str = ""
    mode: str = ""
    listed: bool = True


class Uploads:
    """The uploads of a realm."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._keys = store.keys
        self._most_bytes = settings.upload_player_bytes
        self._total_bytes = settings.upload_total_bytes

    async def find(self, token: str) -> Upload | None:
        """The upload with this token, if there is one."""
        flat = await self._store.call("HGETALL", self._keys.upload(token))
        return _upload(token, flat)

    async def store(
        self,
        token: str,
        player: str,
        name: str,
        made: NewUpload,
        *,
        base: int = 0,
        locks: Mapping[int, int] | None = None,
        guest: bool = False,
        only_check: bool = False,
    ) -> int:
        """Make an upload, or a version of one that was made on version ``base``. locks: tick -> token of each lock that
        the change needs. Guests share half of the room. only_check: check it and change nothing. Returns the version.

        Raises Refused ``recording_exists``, NotFound ``no_recording``, Forbidden ``not_own_recording``, Conflict
        ``stale_version``, ``stale_lock``, ``too_many_recordings``, ``recordings_full``.
        """
        keys, locks = self._keys, locks or {}
        total = self._total_bytes // 2 if guest else self._total_bytes
        reply = await self._store.run(
            "upload_store",
            [
                keys.upload(token), keys.uploads, keys.upload_use, keys.session(token), keys.recording(token),
                *(keys.upload_lock(token, tick) for tick in locks),
            ],
            [
                token, player, base, made.sha256, made.bytes, made.length, MOST_UPLOADS, self._most_bytes, total,
                name, made.title, int(made.listed), made.mode, int(only_check), *locks.values(),
            ],
        )  # fmt: skip
        return int(reply[1])

    async def remove(self, token: str, player: str, *, not_after: int = 0) -> bool:
        """Remove an upload; player: "" for an operator. not_after: the time [ms] after which it must not have changed,
        0: any. Raises NotFound ``no_recording``, Forbidden ``not_own_recording``."""
        keys = self._keys
        reply = await self._store.run(
            "upload_remove",
            [keys.upload(token), keys.uploads, keys.upload_use],
            [token, player, not_after],
        )
        return bool(reply[1] == "1")

    async def listed(self, *, player: str = "", before: int = 0) -> list[Upload]:
        """The newest uploads that their owners list; player: of this player only; before: changed before this time
        [ms]."""
        newest = f"({before}" if before else "+inf"
        left = MOST_UPLOADS
        if player:
            left = int(await self._store.call("HGET", self._keys.upload_use, f"{player} count") or 0)
            if not left:
                return []
        tokens = await self._store.call(
            "ZREVRANGEBYSCORE", self._keys.uploads, newest, "-inf", "LIMIT", 0, EXAMINED
        )
        found: list[Upload] = []
        for at in range(0, len(tokens), LISTED):
            page = tokens[at : at + LISTED]
            if player:
                owners = await self._store.batch([("HGET", self._keys.upload(one), "player") for one in page])
                page = [one for one, owner in zip(page, owners, strict=True) if owner == player]
                left -= len(page)
            found += [upload for upload in await self._read(page) if upload.listed] if page else []
            if len(found) >= LISTED or left <= 0:
                break
        return found[:LISTED]

    async def all(self) -> list[Upload]:
        """Every upload, for a worker."""
        found: list[Upload] = []
        tokens = await self._store.call("ZRANGE", self._keys.uploads, 0, -1)
        for at in range(0, len(tokens), LISTED):
            found += await self._read(tokens[at : at + LISTED])
        return found

    async def _read(self, tokens: Sequence[str]) -> list[Upload]:
        replies = await self._store.batch([("HGETALL", self._keys.upload(token)) for token in tokens])
        uploads = (_upload(token, flat) for token, flat in zip(tokens, replies, strict=True))
        return [upload for upload in uploads if upload is not None]

    # locks of frames

    async def lock(self, token: str, player: str, tick: int, renew: int = 0) -> int:
        """Lock the frame of a tick, or renew the lock with the token ``renew``. Returns the lock's token.

        Raises NotFound ``no_recording``, Forbidden ``not_own_recording``, Conflict ``frame_locked``, ``stale_lock``.
        """
        keys = self._keys
        reply = await self._store.run(
            "upload_lock", [keys.upload(token), keys.upload_lock(token, tick)], [player, renew, LOCK_MS]
        )
        return int(reply[1])

    async def unlock(self, token: str, tick: int, lock: int) -> bool:
        """Release the lock of a frame. Returns False if it is not held with this token."""
        reply = await self._store.run("upload_unlock", [self._keys.upload_lock(token, tick)], [lock])
        return bool(reply[1] == "1")


def _upload(token: str, flat: Sequence[str]) -> Upload | None:
    if not flat:
        return None
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return msgspec.convert({**fields, "token": token}, Upload, strict=False)
