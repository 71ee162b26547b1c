"""Editing the scene of a waiting lobby: the commands of its members, and the locks that they hold.

    lock, unlock, edit, undo, redo, skip -> budgets -> lobby/scene_store.py -> acknowledgement, with token or versions
    every LOCK_MS / 3: renew the locks of living connections        connection closes -> its locks are free
                       a lock that members were shown has expired -> they are sent that it is free

The store publishes each change to the servers of all members (server/fanout/audiences.py). A lock whose server dies
expires. This module must never keep a document.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from tussle.lobby.connections import Connected
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.scene_documents import Committed, Edit
from tussle.lobby.scene_store import LOCK_MS, SceneStore
from tussle.lobby.wire.client_messages import EditScene, Lock, Redo, SceneCommand, Skip, Undo, Unlock
from tussle.lobby.wire.messages import (
    AckData,
    BodyVersion,
    LockChange,
    LockMessage,
    SceneData,
    SceneMessage,
    encode,
)
from tussle.server.costs import EDIT_BYTES, Ledger, Owner, Resource
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.framing import text_frame

__all__ = ["Editing"]

log = get_logger("server.editing")

RENEW_S = LOCK_MS / 3000

LOCK = '{"t":"lock"'
"""Begins a message about a lock."""

_decode_lock = msgspec.json.Decoder(LockMessage).decode


@dataclass(slots=True)
class _Held:
    """The locks of one connection: body -> token."""

    session: str
    player: str
    locks: dict[str, int] = field(default_factory=dict)


class Editing:
    """The editors of one server. ``admit``: raises StoreError ``store_full`` while the store has no room."""

    def __init__(
        self, scenes: SceneStore, audiences: Audiences, ledger: Ledger, admit: Callable[[], None]
    ) -> None:
        self._scenes = scenes
        self._audiences = audiences
        self._ledger = ledger
        self._admit = admit
        self._held: dict[str, _Held] = {}
        self._shown: dict[str, set[str]] = {}
        self._missed = False

    async def execute(self, who: Connected, address: str, message: SceneCommand) -> AckData:
        """Execute a command of a member and return what acknowledges it. Raises LobbyError."""
        session, player = who.session, who.player

        def charge(size: int) -> None:
            amount, now = size + EDIT_BYTES, time.monotonic()
            self._ledger.charge(Resource.SCENE_BYTES, Owner.SEAT, f"{session} {player}", now, amount)
            self._ledger.charge(Resource.SCENE_BYTES, Owner.SESSION, session, now, amount)
            self._ledger.charge(Resource.SCENE_BYTES, Owner.ADDRESS, address, now, amount)

        match message:
            case Unlock():
                await self._scenes.unlock(session, player, {message.d.body: message.d.lock})
                held = self._held.get(who.conn)
                if held is not None and held.locks.get(message.d.body) == message.d.lock:
                    del held.locks[message.d.body]
                return AckData()
            case Lock():
                self._admit()
                charge(0)
                held = self._held.setdefault(who.conn, _Held(session, player))
                token = await self._scenes.lock(session, player, who.conn, message.d.body)
                held.locks[message.d.body] = token
                return AckData(lock=token)
            case EditScene():
                self._admit()
                edits = [msgspec.convert(item, Edit, from_attributes=True) for item in message.d.edits]
                return _acknowledged(await self._scenes.commit(session, player, message.id, edits, charge))
            case Undo() | Redo():
                self._admit()
                redo = isinstance(message, Redo)
                return _acknowledged(await self._scenes.undo(session, player, message.id, charge, redo=redo))

            case Skip():
                charge(0)
                await self._scenes.skip(session, player, message.d.step)
                return AckData()

    async def leave(self, who: Connected) -> None:
        """Free the locks of a connection that has closed. If the store does not answer they expire."""
        held = self._held.pop(who.conn, None)
        if held is not None:
            try:
                await self._scenes.unlock(held.session, held.player, held.locks)
            except LobbyError as error:
                log.warning("locks_not_freed", token=short(held.session), code=error.reason)

    def heard(self, session: str, text: str) -> None:
        """A message about a scene was sent to the members on this server."""
        if text.startswith(LOCK):
            change = _decode_lock(text).d
            if change.seat is None:
                self._shown.get(session, set()).discard(change.body)
            else:
                self.watch_locks(session, [change.body])

    def watch_locks(self, session: str, bodies: Sequence[str]) -> None:
        """Members on this server see these locks: send them a message when one expires, because its server died."""
        if bodies and session in self._audiences.tokens():
            self._shown.setdefault(session, set()).update(bodies)

    def missed(self) -> None:
        """Messages about scenes may have been lost: send the versions of all scenes in the next round."""
        self._missed = True

    async def keep(self) -> None:
        """Renew the locks of living connections, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            for held in list(self._held.values()):
                await self._renew(held)
            for session in list(self._shown):
                await self._show_expired(session)
            if self._missed:
                self._missed = False
                await self._send_versions()

    async def _renew(self, held: _Held) -> None:
        if not held.locks:
            return
        renewed = dict(held.locks)
        try:
            lost = await self._scenes.renew(held.session, held.player, renewed)
        except StoreError as error:  # the next round tries again, until the locks expire
            log.warning("store_waiting", work="locks", token=short(held.session), error=error.message)
            return
        for body in lost:
            if held.locks.get(body) == renewed[body]:
                del held.locks[body]

    async def _show_expired(self, session: str) -> None:
        shown = self._shown[session]
        if not shown or session not in self._audiences.tokens():
            del self._shown[session]
            return
        try:
            gone = await self._scenes.unlocked(session, sorted(shown))
        except StoreError:
            return
        for body in gone:
            shown.discard(body)
            self._audiences.broadcast(session, text_frame(encode(LockMessage(LockChange(body, None)))))

    async def _send_versions(self) -> None:
        for session in self._audiences.tokens():
            try:
                version = await self._scenes.version(session)
            except StoreError:
                self._missed = True
                return
            if version:
                message = SceneMessage(SceneData(version, ()))
                self._audiences.broadcast(session, text_frame(encode(message)))


def _acknowledged(made: Committed) -> AckData:
    bodies = tuple(BodyVersion(one.body, one.version, one.sha256) for one in made.bodies)
    return AckData(version=made.version, bodies=bodies)
