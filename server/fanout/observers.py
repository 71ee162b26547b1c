"""The observers (spectators) of each session: their list in the store, and its broadcast to the viewers.

server/fanout/presence.py keeps the lists. This module must never block a connection.
"""

from __future__ import annotations

from collections.abc import Sequence

from tussle.lobby.connections import Connections
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import ObserversMessage, encode
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.framing import text_frame
from tussle.server.fanout.presence import LIFE_MS, PresenceLists

__all__ = ["Observers"]


class Observers(PresenceLists):
    """The observers on this server."""

    def __init__(self, connections: Connections, views: Views, audiences: Audiences) -> None:
        self._connections = connections
        self._views = views
        self._audiences = audiences
        super().__init__(self._write_observers, self._show_observers, work="observers")

    async def _write_observers(self, session: str, present: Sequence[str], gone: Sequence[str]) -> None:
        await self._connections.keep_observers(session, present, gone, life_ms=LIFE_MS)

    async def _show_observers(self, session: str) -> bool:
        now = await self._views.observers(session)
        self._audiences.show_observers(session, text_frame(encode(ObserversMessage(now))))
        return now.count > 0
