"""Runs the store's scripts on one session, with the keys that every such script gets.

The index of open lobbies that a script keeps depends on the session's mode and size. Both never change, so this module
remembers them and each script needs one round trip. It must never cache anything of a session that can change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from tussle.lobby.errors import NotFound
from tussle.lobby.ids import is_session_token
from tussle.lobby.store.store import Argument, Store

__all__ = ["SessionScripts", "Shape"]

Shape = tuple[str, int]
"""(mode, size) of a lobby."""

SHAPES_KEPT = 10_000


class SessionScripts:
    """The scripts of every session of a realm. One per process is enough: it holds a cache and no connection."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = store.keys
        self._shapes: OrderedDict[str, Shape] = OrderedDict()

    async def find_shape(self, session: str) -> Shape | None:
        """The shape of a session; None if it does not exist."""
        shape = self._shapes.get(session)
        if shape is None and is_session_token(session):
            mode, size = await self.store.call("HMGET", self.keys.session(session), "mode", "size")
            if mode is not None:
                shape = self._shapes[session] = (mode, int(size))
                while len(self._shapes) > SHAPES_KEPT:
                    self._shapes.popitem(last=False)
        return shape

    async def shape(self, session: str) -> Shape:
        """The shape of a session. Raises NotFound."""
        shape = await self.find_shape(session)
        if shape is None:
            raise NotFound(f"there is no session {session[:16]}", field="session")
        return shape

    async def run(
        self,
        script: str,
        session: str,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        shape: Shape | None = None,
    ) -> list[Any]:
        """Run a script on a session and return its reply. ``keys`` and ``args`` follow the common ones of
        lobby/store/scripts/parts/session.lua. ``shape`` is looked up if it is not given.

        Raises NotFound if the session does not exist, and what the script refuses with.
        """
        mode, size = shape or await self.shape(session)
        channels = [session, self.keys.wake(session), self.keys.lifecycle]
        return await self.store.run(
            script, [*self.keys.for_scripts(session, mode, size), *keys], [*channels, *args]
        )
