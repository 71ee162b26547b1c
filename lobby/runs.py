"""The store calls of the server that holds a session: claim, journal, publish, checkpoint, finish.

    begin -> running -> (journal -> publish)* with a checkpoint at intervals -> finish

Every script compares the fence (server id, boot nonce, epoch) and the status with the stored ones. A holder that lost
its session gets Fenced and changes nothing. A call can be repeated after a StoreError: if the first call took effect,
the second one changes nothing. This module must never interpret a state, a specification or an event's data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tussle.lobby.errors import DamagedData, StoreError
from tussle.lobby.lifecycle import LifecycleEvent, Status
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.lobby.servers import HolderAddress
from tussle.lobby.store.store import Argument, Store
from tussle.lobby.store.stored_json import read_stored
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import Event
from tussle.lobby.wire.numbers import as_sent

__all__ = [
    "Fence",
    "Member",
    "Orders",
    "Published",
    "Resumed",
    "Runs",
    "StoredCheckpoint",
    "TickEvent",
    "TurnClock",
]

TickEvent = tuple[int, str, Mapping[str, Any]]
"""(tick, type, data) of an event of the world."""

FIRST_ENTRY = 1
"""Number of a tick's first journal entry. It is not 0, because a stream cannot have the id 0-0."""

FINISH_TRIES = 4

EVENTS_PAGE = 500
"""Events that ``last_turn`` reads at once."""

JOURNAL_TICKS = 3600
"""Archived inputs stay in the journal for this many ticks, so that an input that a client repeats is recognised."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One claim of one session. ``mode``, ``size``, ``scene``, ``params`` and ``owner`` are fixed when the session is
    opened. ``owner``: the address of the player who opened it, or that player's id."""

    session: str
    server: str
    nonce: str
    epoch: int
    mode: str
    size: int
    scene: str
    params: dict[str, Any]
    owner: str


@dataclass(frozen=True, slots=True)
class Member:
    """A seat at the time of the claim. ``left``: its player has left; the run admits the forfeit."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    skill: str
    body: str
    left: bool
    last_id: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """A new fence of a session and its members. The events of ticks up to ``events_tick`` are published."""

    fence: Fence
    members: tuple[Member, ...]
    events_tick: int


@dataclass(frozen=True, slots=True)
class Published:
    """The result of publishing a tick. ``duplicate``: the tick was published before, and ``events`` are those events.

    ``first_v`` is 0 for a tick without events. ``turn_ends_at``: ms of the store's clock, or 0.
    """

    events: tuple[Event, ...]
    first_v: int
    last_v: int
    turn_ends_at: int = 0
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """Requests of operators to a run. ``paused``: do not step. ``end``: finish without a result. ``unattended``: it is
    paused because nobody was connected, and not by an operator."""

    paused: bool
    end: bool
    unattended: bool = False


@dataclass(frozen=True, slots=True)
class TurnClock:
    """``ends_at``: when the turn ends, 0 without one; ``now``: the store's clock [ms]."""

    ends_at: int
    now: int

    @property
    def left_s(self) -> float:
        return max(0, self.ends_at - self.now) / 1000


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """The exact state of a tick. ``journal``: id of the last journal entry that it includes, or ''."""

    tick: int
    data: bytes
    journal: str
    epoch: int


class Runs:
    """The sessions of a realm, as their holders write them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys
        self._views = Views(store)
        self.marks = RecordingMarks(store)

    async def begin(self, session: str, holder: HolderAddress) -> tuple[Fence, tuple[Member, ...]]:
        """Claim a session that is starting. Its epoch increases, so earlier fences are refused.

        Raises NotFound; Conflict ``not_starting``; Fenced if another server holds the session or the lease ended.
        """
        taken = await self._acquire(session, holder, "begin")
        return taken.fence, taken.members

    async def resume(self, session: str, holder: HolderAddress) -> Resumed:
        """A new fence for a running session of ``holder``. Raises NotFound, Conflict ``not_running``, Fenced."""
        return await self._acquire(session, holder, "resume")

    async def _acquire(
        self, session: str, holder: HolderAddress, step: Literal["begin", "resume"]
    ) -> Resumed:
        keys = self._keys
        mode, size, owner = await self._store.call("HMGET", keys.session(session), "mode", "size", "owner")
        reply = await self._store.run(
            "acquire",
            [*keys.for_scripts(session, mode or "", int(size or 0)), keys.server(holder.id)],
            [session, keys.wake(session), keys.lifecycle, holder.id, holder.nonce, step],
        )
        _, epoch, mode, size, digest, params, events_tick, *seats = reply
        scene = await self._store.call("HGET", keys.scene(digest), "data") if digest else ""
        fence = Fence(
            session,
            holder.id,
            holder.nonce,
            int(epoch),
            mode,
            int(size),
            scene or "",
            read_stored(params, dict[str, Any], "the params of the session"),
            owner or "",
        )
        places = [(int(seat), player) for seat, player in zip(seats[::2], seats[1::2], strict=True)]
        return Resumed(fence, await self.members(session, places), int(events_tick))

    async def running(self, fence: Fence, tick: int, spec: bytes, dt: float) -> Published:
        """Mark the session as running, with its world at ``tick``; ``dt`` is the length of a tick [s]. Stores ``spec``
        for recoveries. Raises Fenced."""
        dt = as_sent(dt)
        reply = await self._run(
            "running", fence, self._keys.for_running(fence.session), [tick, spec, repr(dt)]
        )
        v, at = int(reply[1]), int(reply[2])
        return Published((Event(v, "running", {"at": at, "dt": dt}, tick, fence.epoch),), v, v)

    async def journal(
        self, fence: Fence, tick: int, entries: Sequence[bytes], first_n: int = FIRST_ENTRY
    ) -> int:
        """Write a tick's inputs before the tick is computed, with ids ``tick-n``, n from ``first_n``.

        Returns how many entries were new. Raises Fenced, with code ``journal_differs`` if the journal has other inputs
        under these ids; then nothing is written.
        """
        if not entries:
            return 0
        reply = await self._store.run(
            "journal",
            [self._keys.session(fence.session), self._keys.journal(fence.session)],
            [fence.server, fence.nonce, fence.epoch, tick, first_n, *entries],
        )
        return int(reply[1])

    async def read_journal(self, session: str, after: str = "") -> list[tuple[int, int, bytes]]:
        """The entries (tick, n, entry) after the id ``after``, in order. A recovery replays them after a checkpoint."""
        reply = await self._store.call(
            "XRANGE", self._keys.journal(session), f"({after}" if after else "-", "+", raw=True
        )
        entries = []
        for name, fields in reply:
            tick, n = name.split(b"-")
            entries.append((int(tick), int(n), fields[1]))
        return entries

    async def trim_journal(self, fence: Fence, tick: int) -> None:
        """Delete the inputs older than JOURNAL_TICKS before ``tick``; the archive has them. Raises Fenced."""
        before = max(0, tick - JOURNAL_TICKS)
        if before:
            keys = [self._keys.session(fence.session), self._keys.journal(fence.session)]
            await self._store.run("trim_journal", keys, [fence.server, fence.nonce, fence.epoch, before])

    async def physics_of(self, session: str) -> str:
        """The physics id of the server that wrote the newest checkpoint, or ''."""
        return str(await self._store.call("HGET", self._keys.session(session), "physics_id") or "")

    async def archive_head(self, session: str) -> str:
        """The newest part of the archive before the newest checkpoint, as its holder wrote it, or ''."""
        return str(await self._store.call("HGET", self._keys.session(session), "archive_head") or "")

    async def orders(self, session: str) -> Orders:
        """The present requests of operators."""
        status, end, reason = await self._store.call(
            "HMGET", self._keys.session(session), "status", "end_asked", "pause_reason"
        )
        return Orders(paused=status == Status.PAUSED, end=end == "1", unattended=reason == "unattended")

    async def pause_unattended(self, fence: Fence) -> None:
        """Pause a run that nobody is connected to. Changes nothing if it is paused already. Raises Fenced."""
        await self._run("attend", fence, [], ["pause"])

    async def resume_attended(self, fence: Fence) -> None:
        """Resume a run that was paused so. Changes nothing if an operator has paused it since. Raises Fenced."""
        await self._run("attend", fence, [], ["resume"])

    async def last_turn(self, session: str, tick: int) -> TickEvent | None:
        """The newest ``turn_started`` event up to ``tick``, without the ``ends_at`` that ``publish`` adds."""
        events, newest = self._keys.events(session), "+"
        while True:
            page = await self._store.call("XREVRANGE", events, newest, "-", "COUNT", EVENTS_PAGE)
            for name, flat in page:
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                if fields["t"] == "turn_started" and int(fields["tick"]) <= tick:
                    data = read_stored(fields["d"], dict[str, Any], f"event {name} of the session")
                    return (
                        int(fields["tick"]),
                        "turn_started",
                        {k: v for k, v in data.items() if k != "ends_at"},
                    )
            if len(page) < EVENTS_PAGE:
                return None
            newest = f"({page[-1][0]}"

    async def start_clock(self, fence: Fence, left_ms: int | None = None) -> TurnClock:
        """Start the turn clock again, unless the session is paused.

        ``left_ms``: remaining time of the turn; None: the stored one. Raises Fenced: this is also how a holder that was
        unreachable is notified that it lost the session.
        """
        left = "" if left_ms is None else str(max(0, left_ms))
        args: list[Argument] = [fence.server, fence.nonce, fence.epoch, left]
        reply = await self._store.run("start_clock", [self._keys.session(fence.session)], args)
        return TurnClock(int(reply[1]), int(reply[2]))

    async def now_ms(self) -> int:
        """The store's clock [ms]."""
        return await self._store.now_ms()

    async def publish(
        self,
        fence: Fence,
        tick: int,
        events: Sequence[TickEvent],
        fields: Mapping[str, Any] | None = None,
        seats: Mapping[str, Mapping[str, Any]] | None = None,
        deadline_ms: int | None = None,
    ) -> Published:
        """Publish a tick, once: its events in order, fields of the session, fields of players by player id.

        ``deadline_ms``: length of the turn that begins at this tick. It sets ``turn_ends_at``, which is also added to
        ``turn_started`` events as ``ends_at``. Raises Fenced.
        """
        keys, session = self._keys, fence.session
        seats = seats or {}
        reply = await self._store.run(
            "publish",
            [keys.session(session), keys.events(session), *(keys.session_player(session, p) for p in seats)],
            [
                keys.wake(session), fence.server, fence.nonce, fence.epoch, tick,
                "" if deadline_ms is None else deadline_ms, *_tick_args(events, fields or {}, seats),
            ],
        )  # fmt: skip
        first_v, last_v, ends_at, again = (int(part) for part in reply[1:])
        if again:
            return Published(await self._tail(session, first_v, last_v), first_v, last_v, ends_at, True)
        return Published(
            _numbered(events, first_v, fence.epoch, ends_at if deadline_ms is not None else None),
            first_v,
            last_v,
            ends_at,
        )

    async def checkpoint(
        self,
        fence: Fence,
        tick: int,
        data: bytes,
        journal_offset: str = "",
        fields: Mapping[str, Any] | None = None,
        *,
        recording: RecordingMark | None = None,
    ) -> bool:
        """Store the exact state of a tick. Returns False if this claim has stored a newer one. Raises Fenced.

        ``recording``: the new mark of the recording, at most at ``tick``; None if it has not changed.
        """
        keys, session = self._keys, fence.session
        mark = recording.arguments() if recording else []
        reply = await self._store.run(
            "checkpoint",
            [keys.session(session), keys.checkpoint(session), keys.recording(session)],
            [
                fence.server, fence.nonce, fence.epoch, tick, data, journal_offset, len(mark), *mark,
                *(_text(part) for item in (fields or {}).items() for part in item),
            ],
        )  # fmt: skip
        return bool(reply[1] == "1")

    async def load_checkpoint(self, session: str) -> StoredCheckpoint | None:
        """The newest checkpoint, or None. Raises DamagedData."""
        tick, data, journal, epoch = await self._store.call(
            "HMGET", self._keys.checkpoint(session), "tick", "data", "journal", "epoch", raw=True
        )
        if tick is None:
            return None
        try:
            return StoredCheckpoint(int(tick), bytes(data), journal.decode(), int(epoch))
        except (AttributeError, TypeError, ValueError) as error:  # a field is missing or no number
            raise DamagedData(f"the checkpoint of the session is damaged: {error}") from None

    async def load_spec(self, session: str) -> bytes | None:
        """The ``spec`` that ``running`` stored, or None."""
        spec = await self._store.call("HGET", self._keys.session(session), "spec", raw=True)
        return None if spec is None else bytes(spec)

    async def finish(
        self,
        fence: Fence,
        tick: int,
        events: Sequence[TickEvent],
        result: Mapping[str, Any] | None,
        *,
        event: LifecycleEvent = LifecycleEvent.ENDED,
        reason: str = "",
        fields: Mapping[str, Any] | None = None,
        seats: Mapping[str, Mapping[str, Any]] | None = None,
        recording: RecordingMark | None = None,
    ) -> Published:
        """End the run as ENDED or FAILED: publish the last tick, store the result, release all players. Raises Fenced.

        The last published event is ``ended`` or ``failed``.
        """
        if event not in (LifecycleEvent.ENDED, LifecycleEvent.FAILED):
            raise ValueError(f"a run does not end as {event}")
        keys, session = self._keys, fence.session
        mark = recording.arguments() if recording else []
        for _ in range(FINISH_TRIES):
            members = sorted(await self._store.call("SMEMBERS", keys.session_players(session)))
            reply = await self._run(
                "finish",
                fence,
                [
                    keys.recording(session),
                    *(keys.session_player(session, p) for p in members),
                    *(keys.player(p) for p in members),
                ],
                [
                    tick, event.value, reason, "" if result is None else msgspec.json.encode(result),
                    len(mark), *mark, len(members), *members,
                    *_tick_args(events, fields or {}, {p: (seats or {}).get(p, {}) for p in members}),
                ],
            )  # fmt: skip
            if reply[0] != "OK":
                continue
            first_v, last_v, again = (int(part) for part in reply[1:])
            return Published(await self._tail(session, first_v, last_v), first_v, last_v, 0, bool(again))
        raise StoreError(f"the members of {session} changed in each of {FINISH_TRIES} attempts to end it")

    async def _run(self, script: str, fence: Fence, keys: list[str], args: Sequence[Argument]) -> list[Any]:
        session = fence.session
        return await self._store.run(
            script,
            [*self._keys.for_scripts(session, fence.mode, fence.size), *keys],
            [
                session, self._keys.wake(session), self._keys.lifecycle, fence.server, fence.nonce, fence.epoch,
                *args,
            ],
        )  # fmt: skip

    async def _tail(self, session: str, first_v: int, last_v: int) -> tuple[Event, ...]:
        if first_v == 0:
            return ()
        return tuple(await self._views.events(session, first_v - 1, last_v - first_v + 1))

    async def members(self, session: str, places: Sequence[tuple[int, str]]) -> tuple[Member, ...]:
        replies = await self._store.batch(
            [("HMGET", self._keys.session_player(session, player), *_MEMBER_FIELDS) for _, player in places]
        )
        return tuple(
            Member(seat, player, name, kind, skill or "", body or "", left == "1", int(last_id or 0))
            for (seat, player), (name, kind, skill, body, left, last_id) in zip(places, replies, strict=True)
        )


_MEMBER_FIELDS = ("name", "kind", "skill", "body", "left", "last_id")


def _text(value: Any) -> Argument:
    """A field's value as it is stored."""
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (str, bytes, int)) else str(value)


def _tick_args(
    events: Sequence[TickEvent], fields: Mapping[str, Any], seats: Mapping[str, Mapping[str, Any]]
) -> list[Argument]:
    """The arguments of publish_tick (scripts/parts/publishing.lua)."""
    args: list[Argument] = [len(events)]
    for tick, kind, data in events:
        args += [tick, kind, msgspec.json.encode(data)]
    for group in (fields, *seats.values()):
        args.append(len(group))
        for name, value in group.items():
            args += [name, _text(value)]
    return args


def _numbered(
    events: Sequence[TickEvent], first_v: int, epoch: int, ends_at: int | None
) -> tuple[Event, ...]:
    """The events as the script wrote them."""
    return tuple(
        Event(
            first_v + i,
            kind,
            {**data, "ends_at": ends_at} if ends_at is not None and kind == "turn_started" else dict(data),
            tick,
            epoch,
        )
        for i, (tick, kind, data) in enumerate(events)
    )
