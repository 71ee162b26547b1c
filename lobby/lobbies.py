"""Lobbies: gathering players under one session token, until all are seated, connected and ready.

    find / open / join -> ticket -> connect <-> disconnect -> (all ready) -> starting
         `-> leave                      `-> resume token, new at every connection

Any server may do any of this for any lobby: each change is one script, exact under concurrency and safe to repeat.
What the run does with the session is lobby/runs.py. This module must never keep state of its own that matters.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import msgspec

from tussle.lobby.errors import AuthError, Conflict, LobbyFull, NotFound, Refused, StoreError
from tussle.lobby.ids import is_session_token, new_secret, new_session_token, secret_hash
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Argument, Store
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import Event, ObserversData, SessionView

__all__ = ["Connected", "HolderAddress", "Lobbies", "SeatReservation"]

Role = Literal["player", "observer"]

FIND_TRIES = 256
MEMBERS_TRIES = 16
SHAPES_KEPT = 10_000
DUE_AT_ONCE = 200

PARAMS_BYTES, PARAMS_DEPTH = 4096, 8
"""How much a lobby may say about its mode, and how deep: every list of sessions carries it."""


@dataclass(frozen=True, slots=True)
class SeatReservation:
    """A place in a session, with the ticket that one connection takes it up with (TICKET_TTL_S, once)."""

    session: str
    seat: int | None
    role: Role
    ticket: str
    holder_url: str
    holder_id: str
    holder_nonce: str


@dataclass(frozen=True, slots=True)
class Connected:
    """What a connection is from now on.

    ``v``: newest event, this connection's own included. ``resume``: the token for the next time; the one that it
    came with stays valid until this one is used. ``replaced_conn``: the connection that lost the seat to this one,
    or ''. ``last_id``: the greatest command id that the seat is known to have used.
    """

    session: str
    player: str
    name: str
    kind: str
    role: Role
    seat: int | None
    conn: str
    resume: str | None
    v: int
    status: str
    epoch: int
    tick: int
    replaced_conn: str
    last_id: int
    holder: str
    holder_url: str


class Lobbies:
    """Every lobby of a realm, from any server."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._keys = store.keys
        self._settings = settings
        self._views = Views(store)
        self._shapes: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._finding: dict[tuple[str, int], asyncio.Lock] = {}
        self._oldest: dict[tuple[str, int], str] = {}

    # taking a place

    async def open(
        self,
        player: str,
        mode: str,
        size: int,
        *,
        holder: HolderAddress,
        body: str = "",
        bodies: Sequence[str] = (),
        ready: bool = True,
        private: bool = False,
        scene: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> SeatReservation:
        """Open a lobby; the player is its host. ``private``: joined by its token only. ``bodies``: what a player
        without a choice is given from, distinct ones first.

        Raises Refused for a bad size, AuthError for an unknown player, Conflict ``in_session``.
        """
        self._check_size(size)
        opened = await self._open(
            player,
            mode,
            size,
            holder,
            body,
            bodies,
            ready,
            private=private,
            scene=scene,
            params=params,
            alone=False,
        )
        assert isinstance(opened, SeatReservation)
        return opened

    async def find(
        self,
        player: str,
        mode: str,
        size: int,
        *,
        holder: HolderAddress,
        body: str = "",
        bodies: Sequence[str] = (),
        ready: bool = True,
    ) -> SeatReservation:
        """Seat the player in the oldest open lobby of that mode and size; open one only if there is none.

        Exact under any concurrency. A player who waits in such a lobby already gets a new ticket for it. Raises as
        ``open``, and Conflict ``crowded`` when others were faster again and again.
        """
        self._check_size(size)
        shape = (mode, size)
        lock = self._finding.setdefault(shape, asyncio.Lock())
        async with lock:  # of this process only: it saves useless tries, exactness comes from the scripts
            oldest = self._oldest.pop(shape, None)  # what the last answer said; the scripts know better
            for _ in range(FIND_TRIES):
                try:
                    if oldest is None:
                        waiting = await self._store.call("ZRANGE", self._keys.open_lobbies(mode, size), 0, 0)
                        oldest = waiting[0] if waiting else ""
                    if oldest:
                        seat, oldest = await self._seat(
                            player, oldest, shape, body, bodies, ready, only_oldest=True
                        )
                        if seat is None:
                            continue
                        self._oldest[shape] = oldest or ""
                        return await self._housed(seat, holder)
                    opened = await self._open(player, mode, size, holder, body, bodies, ready, alone=True)
                    if isinstance(opened, SeatReservation):
                        self._oldest[shape] = opened.session if size > 1 else ""
                        return opened
                    oldest = opened
                except Conflict as error:
                    oldest = None
                    if error.reason == "ended":
                        continue
                    if error.reason != "in_session":
                        raise
                    found = await self._where(player, shape)
                    if found is not None:
                        return await self._housed(found, holder)
        raise Conflict("too many look for a lobby at once; try again", code="crowded")

    async def join(
        self, player: str, session: str, *, body: str = "", bodies: Sequence[str] = (), ready: bool = True
    ) -> SeatReservation:
        """Take a seat in that lobby, or, as a member at any stage, a new ticket for the seat that one has.

        Raises NotFound, LobbyFull, AuthError for an unknown player, Conflict ``in_session``, ``left`` or ``ended``.
        """
        shape = await self._shape(session)
        for _ in range(2):
            try:
                seat, _ = await self._seat(player, session, shape, body, bodies, ready)
            except Conflict as error:
                if error.reason != "in_session":
                    raise
                await self._where(player, None)
                continue
            if seat is None:
                raise LobbyFull("this lobby is full", field="session")
            return seat
        raise Conflict("you are in another session", code="in_session")

    async def observe(self, player: str, session: str) -> SeatReservation:
        """A ticket to watch. Raises NotFound."""
        secret = new_secret()
        reply = await self._run(
            "observe",
            session,
            await self._shape(session),
            [self._keys.ticket(secret_hash(secret))],
            [player, self._ticket_ms],
        )
        return SeatReservation(
            session, None, "observer", f"{session}.{player}.{secret}", reply[3], reply[1], reply[2]
        )

    async def leave(self, player: str, session: str) -> None:
        """Give the seat up: free at once in a lobby, a forfeit in a run. Repeating it, or leaving what is gone, is
        a success."""
        await self._unseat(player, session, "left", "")

    # while it waits

    async def choose_body(self, player: str, session: str, body: str) -> None:
        """Raises NotFound; Conflict ``not_member`` or ``not_open``."""
        keys = [self._keys.session_player(session, player)]
        await self._run("choose_body", session, await self._shape(session), keys, [player, body])

    async def set_ready(self, player: str, session: str, ready: bool) -> None:
        """The last one to be ready starts the session. Raises NotFound; Conflict ``not_member`` or ``not_open``."""
        keys = [self._keys.session_player(session, player)]
        await self._run("set_ready", session, await self._shape(session), keys, [player, int(ready)])

    async def chat(self, player: str, session: str, id: int, text: str) -> None:
        """Append a line for all; once per command id. Raises NotFound; Conflict ``not_member`` or ``ended``."""
        keys = self._keys
        await self._store.run(
            "chat",
            [keys.session(session), keys.events(session), keys.session_player(session, player)],
            [keys.wake(session), player, id, text],
        )

    # connections

    async def connect(
        self,
        *,
        ticket: str | None = None,
        resume: str | None = None,
        conn: str,
        new_resume: str | None = None,
        server: str = "",
    ) -> Connected:
        """A connection takes up its place with a ticket or a resume token. ``conn`` names it among all servers.

        After the end it only answers, and the resume token stays as it is. Raises NotFound; AuthError
        ``ticket_refused`` or ``resume_refused``; Conflict ``not_member`` for one who left.
        """
        session, player, secret = (
            _parse(ticket, "ticket_refused") if ticket else _parse(resume, "resume_refused")
        )
        following = new_resume or new_secret()
        keys = [self._keys.player(player), self._keys.session_player(session, player)]
        if ticket:
            keys.append(self._keys.ticket(secret_hash(secret)))
        reply = await self._run(
            "connect",
            session,
            await self._shape(session),
            keys,
            [player, "ticket" if ticket else secret_hash(secret), conn, secret_hash(following), server],
        )
        _, role, seat, name, kind, v, status, epoch, tick, replaced, last_id, holder, holder_url, rotated = (
            reply
        )
        return Connected(
            session=session,
            player=player,
            name=name,
            kind=kind,
            role=cast(Role, role),
            seat=int(seat) if seat else None,
            conn=conn,
            resume=f"{session}.{player}.{following}" if rotated == "1" else resume,
            v=int(v),
            status=status,
            epoch=int(epoch),
            tick=int(tick),
            replaced_conn=replaced,
            last_id=int(last_id),
            holder=holder,
            holder_url=holder_url,
        )

    async def disconnect(self, session: str, player: str, conn: str) -> None:
        """The connection is gone; without effect if the seat has a newer one, or the session is gone."""
        shape = await self._known_shape(session)
        if shape is not None:
            keys = [self._keys.session_player(session, player)]
            grace_ms = round(self._settings.reconnect_grace_s * 1000)
            await self._run("disconnect", session, shape, keys, [player, conn, grace_ms])

    # timers

    async def run_due(self, now: int | None = None) -> int:
        """Execute the deadlines that have passed at ``now`` (ms, default the store's clock); how many did something.

        Any process may call it at any time: each deadline takes effect once.
        """
        now = await self._store.now_ms() if now is None else now
        due = await self._store.call(
            "ZRANGEBYSCORE", self._keys.deadlines, "-inf", now, "LIMIT", 0, DUE_AT_ONCE
        )
        done = 0
        for timer in due:
            kind, session, *player = timer.split(":")
            shape = await self._known_shape(session)
            if shape is None:
                await self._store.call("ZREM", self._keys.deadlines, timer)
            elif kind == "lobby":
                done += await self._time_out(session, shape, now)
            else:
                done += await self._unseat(player[0], session, "absent", now)
        return done

    async def next_due(self) -> int | None:
        """When the next deadline passes [ms of the store's clock]; None: there is none."""
        first = await self._store.call("ZRANGE", self._keys.deadlines, 0, 0, "WITHSCORES")
        return int(float(first[1])) if first else None

    async def now_ms(self) -> int:
        """The store's clock [ms]."""
        return await self._store.now_ms()

    async def dt_of(self, session: str) -> float:
        """Length of a tick of a session that runs [s]; 0 before."""
        return float(await self._store.call("HGET", self._keys.session(session), "dt") or 0)

    async def newest_v(self, session: str) -> int:
        """v of the newest event; 0 for a session that there is not."""
        return int(await self._store.call("HGET", self._keys.session(session), "v") or 0)

    async def holder_of(self, session: str) -> tuple[HolderAddress, str]:
        """The server that holds a session, and the session's status. Raises NotFound."""
        key = self._keys.session(session)
        server, nonce, url, status = await self._store.call(
            "HMGET", key, "holder", "holder_nonce", "holder_url", "status"
        )
        if status is None:
            raise NotFound(f"there is no session {session[:16]}", field="session")
        return HolderAddress(server or "", nonce or "", url or ""), status

    async def rehome(self, session: str, old: HolderAddress, new: HolderAddress) -> bool:
        """Give a waiting lobby whose holder is dead another one. False: nothing to do any more."""
        reply = await self._store.run(
            "rehome",
            [self._keys.session(session), self._keys.server(old.id)],
            [old.id, old.nonce, new.id, new.nonce, new.url],
        )
        return bool(reply[1] == "1")

    # reading

    async def view(self, session: str) -> SessionView:
        """Raises NotFound."""
        return await self._views.view(session)

    async def events(self, session: str, after_v: int, limit: int | None = None) -> Sequence[Event]:
        """Events with a greater v, in order. Raises NotFound; Conflict ``gap``: take the view instead."""
        return await self._views.events(session, after_v, limit)

    async def observers(self, session: str) -> ObserversData:
        """Who only watches, on any server."""
        return await self._views.observers(session)

    async def keep_observers(
        self, session: str, here: Sequence[str], gone: Sequence[str], *, life_ms: int
    ) -> bool:
        """Renew those who watch here ("player name"), strike out who went; whether the list changed. Raises
        NotFound."""
        keys = self._keys
        reply = await self._store.run(
            "observers",
            [keys.session(session), keys.observers(session)],
            [keys.wake(session), life_ms, len(here), *here, *gone],
        )
        return bool(reply[1] == "1")

    # inside

    @property
    def _ticket_ms(self) -> int:
        return round(self._settings.ticket_ttl_s * 1000)

    def _check_size(self, size: int) -> None:
        if not 1 <= size <= self._settings.max_seats:
            raise Refused(f"a lobby has 1 to {self._settings.max_seats} seats", code="bad_size", field="size")

    async def _open(
        self,
        player: str,
        mode: str,
        size: int,
        holder: HolderAddress,
        body: str,
        bodies: Sequence[str],
        ready: bool,
        *,
        private: bool = False,
        scene: str = "",
        params: Mapping[str, Any] | None = None,
        alone: bool,
    ) -> SeatReservation | str:
        """The host's seat; or, with ``alone``, the token of a lobby that is open already."""
        told = _encode_params(params or {})
        while True:
            session, secret = new_session_token(), new_secret()
            try:
                reply = await self._run(
                    "open",
                    session,
                    (mode, size),
                    self._player_keys(session, player, secret),
                    [
                        player, mode, size, scene, told, int(private),
                        holder.id, holder.nonce, holder.url, round(self._settings.lobby_timeout_s * 1000),
                        body, _wishes(bodies, session, player), int(ready), self._ticket_ms, int(alone),
                    ],
                )  # fmt: skip
            except Conflict as error:
                if error.reason == "token_taken":
                    continue
                if error.reason == "in_session" and not alone and await self._where(player, None) is None:
                    continue
                raise
            if reply[0] == "TAKEN":
                return str(reply[1])
            ticket = f"{session}.{player}.{secret}"
            return SeatReservation(
                session, int(reply[1]), "player", ticket, holder.url, holder.id, holder.nonce
            )

    async def _seat(
        self,
        player: str,
        session: str,
        shape: tuple[str, int],
        body: str,
        bodies: Sequence[str],
        ready: bool,
        *,
        only_oldest: bool = False,
    ) -> tuple[SeatReservation | None, str | None]:
        """The seat, or None if there is none to have; and the oldest open lobby of that shape, '' for none, None for
        not known. Raises Conflict ``ended`` for a lobby that is over or overdue."""
        secret = new_secret()
        reply = await self._run(
            "seat",
            session,
            shape,
            self._player_keys(session, player, secret),
            [
                player, body, _wishes(bodies, session, player), int(ready), self._ticket_ms, int(only_oldest),
            ],
        )  # fmt: skip
        match reply:
            case ["OK", seat, server, nonce, url, oldest]:
                ticket = f"{session}.{player}.{secret}"
                return SeatReservation(session, int(seat), "player", ticket, url, server, nonce), oldest
            case ["OTHER", oldest]:
                return None, oldest
            case ["GONE"]:
                raise Conflict("this lobby has ended", code="ended")
        return None, None

    async def _where(self, player: str, shape: tuple[str, int] | None) -> SeatReservation | None:
        """Resolve "in another session": a new ticket if that is a waiting lobby of this shape; None if the player
        was bound to a session that is over and is free now. Raises Conflict ``in_session``."""
        session = await self._store.call("HGET", self._keys.player(player), "session")
        if not session:
            return None
        if await self._release(player, session):
            return None
        if shape is not None and await self._known_shape(session) == shape:
            status = await self._store.call("HGET", self._keys.session(session), "status")
            if status in ("open", "filled"):
                return await self.join(player, session)
        raise Conflict(f"you are in session {session}; leave it first", code="in_session")

    async def _release(self, player: str, session: str) -> bool:
        """Unbind the player from that session if it is over, gone or has the player no more."""
        keys = self._keys
        reply = await self._store.run(
            "release_player",
            [
                keys.player(player),
                keys.session(session),
                keys.session_players(session),
                keys.session_player(session, player),
            ],
            [session, player],
        )
        return bool(reply[1] == "1")

    async def _housed(self, seat: SeatReservation, holder: HolderAddress) -> SeatReservation:
        """The seat, after its lobby was given a living holder if it had none."""
        if (seat.holder_id, seat.holder_nonce) == (holder.id, holder.nonce):
            return seat
        if await self._store.call("HGET", self._keys.server(seat.holder_id), "nonce") == seat.holder_nonce:
            return seat
        await self.rehome(
            seat.session, HolderAddress(seat.holder_id, seat.holder_nonce, seat.holder_url), holder
        )
        now, _ = await self.holder_of(seat.session)
        return replace(seat, holder_id=now.id, holder_nonce=now.nonce, holder_url=now.url)

    async def _unseat(self, player: str, session: str, reason: str, by: int | str) -> int:
        shape = await self._known_shape(session)
        if shape is None:
            await self._release(player, session)
            return 0
        keys = [self._keys.player(player), self._keys.session_player(session, player)]
        reply = await self._run("unseat", session, shape, keys, [player, reason, by])
        return int(reply[1])

    async def _time_out(self, session: str, shape: tuple[str, int], now: int) -> int:
        for _ in range(MEMBERS_TRIES):
            members = sorted(await self._store.call("SMEMBERS", self._keys.session_players(session)))
            reply = await self._run(
                "time_out", session, shape, [self._keys.player(member) for member in members], [now, *members]
            )
            if reply[0] == "OK":
                return int(reply[1] != "")
        raise StoreError(f"the members of {session} change faster than they can be freed")

    def _player_keys(self, session: str, player: str, secret: str) -> list[str]:
        keys = self._keys
        return [keys.player(player), keys.session_player(session, player), keys.ticket(secret_hash(secret))]

    async def _shape(self, session: str) -> tuple[str, int]:
        """(mode, size), which never change. Raises NotFound."""
        shape = await self._known_shape(session)
        if shape is None:
            raise NotFound(f"there is no session {session[:16]}", field="session")
        return shape

    async def _known_shape(self, session: str) -> tuple[str, int] | None:
        shape = self._shapes.get(session)
        if shape is None and is_session_token(session):
            mode, size = await self._store.call("HMGET", self._keys.session(session), "mode", "size")
            if mode is not None:
                shape = self._shapes[session] = (mode, int(size))
                while len(self._shapes) > SHAPES_KEPT:
                    self._shapes.popitem(last=False)
        return shape

    async def _run(
        self, script: str, session: str, shape: tuple[str, int], keys: list[str], args: Sequence[Argument]
    ) -> list[Any]:
        channels = [session, self._keys.wake(session), self._keys.lifecycle]
        return await self._store.run(
            script, [*self._keys.for_scripts(session, *shape), *keys], [*channels, *args]
        )

    async def list(
        self, mode: str | None = None, status: str | None = None, limit: int = 50, search: str = ""
    ) -> Sequence[SessionView]:
        """Public sessions: those that wait, the oldest first, then those that run. Raises Refused for a status that
        there is not."""
        return await self._views.sessions(mode, status, limit, search)


def _parse(text: str | None, code: str) -> tuple[str, str, str]:
    """Session, player and secret of a ticket or resume token."""
    parts = (text or "").split(".")
    if len(parts) != 3 or not is_session_token(parts[0]) or not all(parts):
        raise AuthError("this is not a ticket or resume token", code=code)
    return parts[0], parts[1], parts[2]


def _wishes(bodies: Sequence[str], session: str, player: str) -> bytes:
    """The bodies in an order of this player's own in this session, the same at every try."""

    def draw(body: str) -> bytes:
        return hashlib.sha256(f"{session}:{player}:{body}".encode()).digest()

    return msgspec.json.encode(sorted(bodies, key=draw))


def _encode_params(params: Mapping[str, Any]) -> bytes:
    """As JSON. Raises Refused (bad_params) for more than a lobby may say."""
    within: list[Any] = [params]
    for _ in range(PARAMS_DEPTH):
        within = [
            inner
            for value in within
            if isinstance(value, Mapping | list)
            for inner in (value.values() if isinstance(value, Mapping) else value)
        ]
    told = b"" if within else msgspec.json.encode(params)
    if within or len(told) > PARAMS_BYTES:
        raise Refused(
            f"params may have {PARAMS_BYTES} bytes, {PARAMS_DEPTH} deep", code="bad_params", field="params"
        )
    return told
