"""Forks in the store: the first state of a fork that has not begun, the trees of forks, and the pins of archives.

    archive -> first state and specification -> open.lua -> session:T:fork -> the holder begins -> running.lua: removed
                                                   '-> forks:ROOT, one entry for each fork of a session and its forks

Everything that a fork needs is in the store once its lobby exists. It then depends neither on the server that made it
nor on its parent's archive. This module must never interpret a state or a specification.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tussle.lobby.store.store import Argument, Store

__all__ = ["PIN_S", "TREE_MOST", "FirstState", "ForkEntry", "ForkPlan", "Forks"]

PIN_S = 120.0
"""Time for which an archive that is read for a fork is not removed [s]."""

TREE_MOST = 200
"""Most entries of one tree. Beyond this number the oldest entries are deleted; the forks themselves are kept."""

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FirstState:
    """The first state of a fork. spec: its parent's specification (JSON), with the origin; the seats have the parent's
    players. state: see Simulation.release."""

    spec: bytes
    state: bytes


class ForkEntry(msgspec.Struct, frozen=True):
    """One fork in a tree. at: when it was made [ms]. hidden: its player asked for a private fork, so that trees do not
    show it. name: of the player who made it."""

    session: str
    parent: str
    tick: int
    exact: bool
    at: int = 0
    hidden: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """A fork to open. bodies: of the seats, in order, "" where the mode has none; they cannot be changed. out: seats
    that are out, which are taken last. seat: of the host; None: the first one. entry: without its session, which gets
    its token when it is opened."""

    first: FirstState
    entry: ForkEntry
    bodies: tuple[str, ...]
    out: tuple[int, ...] = ()
    seat: int | None = None
    root: str = ""
    kept_ms: int = 0

    def arguments(self, session: str) -> list[Argument]:
        """The arguments of open.lua."""
        entry = msgspec.structs.replace(self.entry, session=session)
        return [
            entry.parent, entry.tick, int(entry.exact), self.first.spec, self.first.state,
            msgspec.json.encode(self.bodies), "" if self.seat is None else self.seat, self.root,
            msgspec.json.encode(entry), self.kept_ms, TREE_MOST, *self.out,
        ]  # fmt: skip


class Forks:
    """The forks of a realm. kept_days: how long a tree is remembered after its newest fork; 0: for ever."""

    def __init__(self, store: Store, kept_days: float = 0.0) -> None:
        self._store = store
        self._keys = store.keys
        self.kept_ms = round(kept_days * DAY_MS)

    async def load_first(self, session: str) -> FirstState | None:
        """The first state of a fork that has not begun, empty if it is lost; None for a session that is not a fork."""
        spec, state = await self._store.call("HMGET", self._keys.fork(session), "spec", "state", raw=True)
        if spec is None or state is None:
            parent = await self._store.call("HGET", self._keys.session(session), "parent")
            return None if parent is None else FirstState(b"", b"")
        return FirstState(bytes(spec), bytes(state))

    async def privacy(self, session: str) -> bool | None:
        """Whether a session is private; None if its keys have expired."""
        private = await self._store.call("HGET", self._keys.session(session), "private")
        return None if private is None else private == "1"

    async def root_of(self, session: str) -> str:
        """The session that a tree begins with: the session itself if it is not a fork."""
        return str(await self._store.call("GET", self._keys.fork_root(session)) or session)

    async def tree(self, session: str) -> tuple[str, list[ForkEntry]]:
        """The root of a session's tree, and all forks that are remembered, oldest first, hidden ones too."""
        root = await self.root_of(session)
        flat = await self._store.call("ZRANGE", self._keys.forks(root), 0, -1, "WITHSCORES")
        entries = [
            msgspec.structs.replace(msgspec.json.decode(entry, type=ForkEntry), at=int(float(at)))
            for entry, at in zip(flat[::2], flat[1::2], strict=True)
        ]
        return root, entries

    async def statuses(self, sessions: list[str]) -> dict[str, str]:
        """The status of each session that the store knows."""
        found = await self._store.batch([("HGET", self._keys.session(one), "status") for one in sessions])
        return {one: status for one, status in zip(sessions, found, strict=True) if status is not None}

    async def pin(self, session: str) -> None:
        """Keep a session's archive from being removed for PIN_S: it is about to be read."""
        await self._store.call("SET", self._keys.archive_pin(session), "1", "PX", round(PIN_S * 1000))

    async def pinned(self, session: str) -> bool:
        """Whether a session's archive must not be removed now."""
        return bool(await self._store.call("EXISTS", self._keys.archive_pin(session)))
