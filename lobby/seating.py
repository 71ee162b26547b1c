"""Seats: find or open a lobby, take a seat in it, choose a body, get ready, leave.

    find / open / join / fill -> SeatReservation with a ticket -> (lobby/connections.py) -> all ready -> starting
         `-> leave

Any server may do this for any lobby. Each change is one script: atomic, and safe to repeat. This module must never keep
state that a decision depends on: its cache only saves round trips.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from tussle.lobby.bot_holdings import bot_share
from tussle.lobby.claims import Claims
from tussle.lobby.errors import Conflict, LobbyFull, RateLimited, Refused
from tussle.lobby.forks import ForkPlan
from tussle.lobby.ids import format_ticket, new_secret, new_session_token, secret_hash
from tussle.lobby.lifecycle import WAITING
from tussle.lobby.rematches import RematchPlan
from tussle.lobby.rules.scene_edits import SCENE_BYTES
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.session_scripts import SessionScripts, Shape
from tussle.lobby.session_shares import SessionShares
from tussle.lobby.settings import Settings
from tussle.lobby.views import Views

__all__ = ["SeatReservation", "SeatRole", "Seating", "encode_params"]

SeatRole = Literal["player", "observer"]

FIND_TRIES = 256

YIELD_TRIES = 8
"""How many bots are asked for their seats, and how many lobbies are tried, for one person."""

FULL_S = 5.0
"""Time after which a client should ask again when every server is full [s]."""

PARAMS_BYTES, PARAMS_DEPTH = 4096, 8
"""Largest size and nesting of a lobby's mode parameters. Every list of sessions contains the parameters."""


@dataclass(frozen=True, slots=True)
class SeatReservation:
    """A place in a session and the ticket for it. The ticket works for one connection within TICKET_TTL_S.

    ``seat`` is None for an observer. ``no_bots_of``: of a lobby that was opened and will ask for no bots by itself, who
    holds as many bots as it may: "address" or "player"; '' otherwise.
    """

    session: str
    seat: int | None
    role: SeatRole
    ticket: str
    holder_url: str
    holder_id: str
    holder_nonce: str
    no_bots_of: str = ""


@dataclass(frozen=True, slots=True)
class _Applicant:
    """A player who wants a seat. Without a ``body``, the script chooses one of ``bodies``. ``address``: a new lobby
    counts in its share; '': in no share of an address."""

    player: str
    body: str
    bodies: Sequence[str]
    ready: bool
    address: str = ""

    def preferred_bodies(self, session: str) -> bytes:
        """The bodies as JSON, in a random order that is the same in every attempt of this player in this session."""

        def draw(body: str) -> bytes:
            return hashlib.sha256(f"{session}:{self.player}:{body}".encode()).digest()

        return msgspec.json.encode(sorted(self.bodies, key=draw))


@dataclass(frozen=True, slots=True)
class _LobbyPlan:
    """A lobby to open."""

    mode: str
    size: int
    holder: HolderAddress
    private: bool = False
    scene: bytes = b""
    params: bytes = b"{}"
    fork: ForkPlan | None = None
    rematch: RematchPlan | None = None
    alone_ms: int = 0

    @property
    def scene_digest(self) -> str:
        return hashlib.sha256(self.scene).hexdigest() if self.scene else ""


class Seating:
    """The seats of every lobby of a realm."""

    def __init__(self, scripts: SessionScripts, settings: Settings) -> None:
        self._scripts = scripts
        self._store = scripts.store
        self._keys = scripts.keys
        self._views = Views(scripts.store)
        self._claims = Claims(scripts.store)
        self._servers = Servers(scripts.store)
        self._ticket_ms = round(settings.ticket_ttl_s * 1000)
        self._lobby_ms = round(settings.lobby_timeout_s * 1000)
        self._max_seats = settings.max_seats
        self._shares = SessionShares(scripts.store, settings)
        self._bot_share = bot_share(settings)
        self._finding: dict[Shape, asyncio.Lock] = {}
        self._oldest: dict[Shape, str] = {}

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
        alone_ms: int = 0,
        address: str = "",
    ) -> SeatReservation:
        """Open a lobby with the player as its host. ``alone_ms``: time after which one person who waits in it alone
        gets bots (lobby/filling.py), if BOT_SHARE has room for them; 0: never. ``address``: of the player, which has a
        share of all sessions and bots; '': of nobody's.

        A ``private`` lobby is joined by its token only. A player without a ``body`` gets one of ``bodies``, if possible
        one that no other seat has. Equal scenes are stored once. Raises Refused for a bad size, scene or params,
        AuthError for an unknown player, Conflict ``in_session``, RateLimited ``server_full`` if no server has room,
        ``address_sessions`` or ``player_sessions`` if one has its share of them, ``address_openings`` or
        ``player_openings`` if one opens them too fast.
        """
        self._check_size(size)
        document, encoded = _encode_scene(scene), encode_params(params or {})
        plan = _LobbyPlan(mode, size, holder, private, document, encoded, alone_ms=alone_ms)
        return await self._open_for(_Applicant(player, body, bodies, ready, address), plan)

    async def open_fork(
        self,
        player: str,
        mode: str,
        fork: ForkPlan,
        *,
        holder: HolderAddress,
        ready: bool = True,
        private: bool = False,
        params: bytes = b"{}",
        address: str = "",
    ) -> SeatReservation:
        """Open the lobby of a fork with the player as its host, on the seat of the plan. The plan's bodies
        define its number of seats. ``address``: see ``open``. Raises AuthError for an unknown player, Conflict
        ``in_session``, RateLimited as ``open``."""
        plan = _LobbyPlan(mode, len(fork.bodies), holder, private, params=params, fork=fork)
        return await self._open_for(_Applicant(player, "", (), ready, address), plan)

    async def open_rematch(
        self,
        player: str,
        rematch: RematchPlan,
        *,
        holder: HolderAddress,
        body: str = "",
        bodies: Sequence[str] = (),
        ready: bool = True,
        alone_ms: int = 0,
        address: str = "",
    ) -> SeatReservation:
        """Open the lobby of a rematch with the player as its host. Raises as ``open``, NotFound, and Conflict
        ``crowded`` if somebody was faster."""
        plan = _LobbyPlan(
            rematch.mode, rematch.size, holder, rematch.private, params=rematch.params, rematch=rematch,
            alone_ms=alone_ms,
        )  # fmt: skip
        return await self._open_for(_Applicant(player, body or rematch.body, bodies, ready, address), plan)

    async def require_free(self, player: str) -> None:
        """Raises Conflict ``in_session`` if the player has a seat in a session that is not over."""
        await self._resolve_binding(player, None)

    async def _open_for(self, host: _Applicant, plan: _LobbyPlan) -> SeatReservation:
        while True:
            try:
                opened = await self._open(host, plan, if_none=False)
            except Conflict as error:
                if error.reason == "in_session" and await self._resolve_binding(host.player, None) is None:
                    continue
                raise
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
        person: bool = False,
        alone_ms: int = 0,
        address: str = "",
    ) -> SeatReservation:
        """Seat the player in the oldest open lobby of that mode and size, or open a lobby if there is none. A lobby
        with a connected member goes before older ones in which all seats are reservations. A ``person`` gets the seat
        of a bot that fills it before a new lobby is opened; ``alone_ms`` and ``address``: see ``open``.

        Concurrent calls never overfill a lobby. A player who already waits in such a lobby gets a new ticket for it.
        Raises as ``open``, and Conflict ``crowded`` when other players took every seat first in FIND_TRIES attempts.
        """
        self._check_size(size)
        shape = (mode, size)
        plan = _LobbyPlan(mode, size, holder, alone_ms=alone_ms)
        applicant = _Applicant(player, body, bodies, ready, address)
        lock = self._finding.setdefault(shape, asyncio.Lock())
        async with lock:  # saves attempts within this process; the scripts decide
            candidate = self._oldest.pop(shape, None)  # from the last reply; the script checks it
            for _ in range(FIND_TRIES):
                try:
                    if candidate is None:
                        candidate = await self._oldest_open(shape)
                    if candidate:
                        seat, candidate = await self._seat(applicant, candidate, shape, only_oldest=True)
                        if seat is None:
                            continue
                        self._oldest[shape] = candidate or ""
                        return await self._with_live_holder(seat, holder)
                    if person and (yielded := await self._find_yielding(applicant, shape)):
                        return await self._with_live_holder(yielded, holder)
                    opened = await self._open(applicant, plan, if_none=True)
                    if isinstance(opened, SeatReservation):
                        self._oldest[shape] = opened.session if size > 1 else ""
                        return opened
                    candidate = opened
                except Conflict as error:
                    candidate = None
                    if error.reason in ("ended", "seats_held"):
                        continue
                    if error.reason != "in_session":
                        raise
                    found = await self._resolve_binding(player, shape)
                    if found is not None:
                        return await self._with_live_holder(found, holder)
        raise Conflict("too many players are looking for a lobby at once; try again", code="crowded")

    async def join(
        self, player: str, session: str, *, body: str = "", bodies: Sequence[str] = (), ready: bool = True
    ) -> SeatReservation:
        """Take a seat in that lobby. A member gets a new ticket for the seat it has, at any stage of the session.

        Raises NotFound, LobbyFull, AuthError for an unknown player, Conflict ``in_session``, ``left``, ``ended``, or
        ``seats_held``: the free seats of a rematch are held for others.
        """
        shape = await self._scripts.shape(session)
        applicant = _Applicant(player, body, bodies, ready)
        for _ in range(2):
            try:
                seat, _ = await self._seat(applicant, session, shape)
            except Conflict as error:
                if error.reason != "in_session":
                    raise
                await self._resolve_binding(player, None)
                continue
            if seat is None:
                raise LobbyFull("this lobby is full", field="session")
            return seat
        raise Conflict("you are in another session", code="in_session")

    async def fill(self, player: str, session: str, *, bodies: Sequence[str] = ()) -> SeatReservation:
        """Seat a bot in a lobby that wants bots. It is ready, and gives its seat to a person who comes before the
        start.

        Raises NotFound, AuthError for an unknown player, Forbidden for a person, Conflict ``in_session`` or
        ``no_bot_wanted``.
        """
        shape = await self._scripts.shape(session)
        applicant, secret, keys = _Applicant(player, "", bodies, True), new_secret(), self._keys
        reply = await self._scripts.run(
            "fill_seat",
            session,
            [*self._player_keys(session, player, secret), keys.bot_requests, keys.yielding_lobbies(*shape)],
            [player, applicant.preferred_bodies(session), self._ticket_ms],
            shape=shape,
        )
        _, seat, server, nonce, url = reply
        ticket = format_ticket(session, player, secret)
        return SeatReservation(session, int(seat), "player", ticket, url, server, nonce)

    async def observe(self, player: str, session: str) -> SeatReservation:
        """A ticket to observe a session. Raises NotFound."""
        secret = new_secret()
        ticket_key = self._keys.ticket(secret_hash(secret))
        reply = await self._scripts.run("observe", session, [ticket_key], [player, self._ticket_ms])
        _, server, nonce, url = reply
        return SeatReservation(
            session, None, "observer", format_ticket(session, player, secret), url, server, nonce
        )

    async def leave(self, player: str, session: str) -> None:
        """Give the seat up: it is free at once in a lobby, and a forfeit in a run.

        Leaving twice, or leaving a session that does not exist, changes nothing.
        """
        await self.unseat(player, session, "left")

    async def unseat(self, player: str, session: str, reason: str, *, due_at: int | None = None) -> int:
        """Free the player's seat for ``reason``. With ``due_at`` [ms], only if the seat's deadline was before that.

        Returns 1, or 0 if there was nothing to do.
        """
        shape = await self._scripts.find_shape(session)
        if shape is None:
            await self._release(player, session)
            return 0
        keys = [
            self._keys.player(player),
            self._keys.session_player(session, player),
            self._keys.bot_requests,
        ]
        args = [player, reason, "" if due_at is None else due_at]
        reply = await self._scripts.run("unseat", session, keys, args, shape=shape)
        return int(reply[1])

    async def choose_body(self, player: str, session: str, body: str) -> None:
        """Choose the body of a seat while the lobby waits. Raises NotFound; Conflict ``not_member`` or ``not_open``."""
        keys = [self._keys.session_player(session, player)]
        await self._scripts.run("choose_body", session, keys, [player, body])

    async def set_ready(self, player: str, session: str, ready: bool) -> None:
        """Set whether a member is ready. The session starts when all seats are taken, connected and ready.

        Raises NotFound; Conflict ``not_member`` or ``not_open``.
        """
        keys = [self._keys.session_player(session, player)]
        await self._scripts.run("set_ready", session, keys, [player, int(ready)])

    async def chat(self, player: str, session: str, id: int, text: str) -> None:
        """Append a line of chat to the session's events. A command ``id`` that was used already has no effect.

        Raises NotFound; Conflict ``not_member`` or ``ended``.
        """
        keys = self._keys
        await self._store.run(
            "chat",
            [keys.session(session), keys.events(session), keys.session_player(session, player)],
            [keys.wake(session), player, id, text],
        )

    def _check_size(self, size: int) -> None:
        if not 1 <= size <= self._max_seats:
            raise Refused(f"a lobby has 1 to {self._max_seats} seats", code="bad_size", field="size")

    async def _oldest_open(self, shape: Shape) -> str:
        """The token of the oldest open lobby of that shape, or ''."""
        waiting = await self._store.call("ZRANGE", self._keys.open_lobbies(*shape), 0, 0)
        return waiting[0] if waiting else ""

    async def _open(self, host: _Applicant, plan: _LobbyPlan, *, if_none: bool) -> SeatReservation | str:
        """Open a lobby under an unused token. With ``if_none``: if a lobby is open, return its token instead.

        If the holder of the plan has MAX_SESSIONS sessions, another server that has room is the holder.
        """
        full, keys = set[str](), self._keys
        while True:
            session, secret = new_session_token(), new_secret()
            try:
                reply = await self._scripts.run(
                    "open",
                    session,
                    [
                        *self._player_keys(session, host.player, secret),
                        self._keys.server(plan.holder.id),
                        self._keys.session_shares,
                        self._keys.bot_shares,
                        self._keys.bot_owners,
                        *self._shares.keys(host.address, host.player),
                        *([self._keys.scene(plan.scene_digest)] if plan.scene else []),
                        *(self._fork_keys(session, plan.fork) if plan.fork else []),
                        *([keys.session(plan.rematch.of), keys.bot_requests] if plan.rematch else []),
                    ],
                    [
                        host.player, plan.mode, plan.size, plan.scene_digest, plan.params, int(plan.private),
                        plan.holder.id, plan.holder.nonce, plan.holder.url, self._lobby_ms,
                        host.body, host.preferred_bodies(session), int(host.ready), self._ticket_ms, int(if_none),
                        plan.scene, plan.alone_ms, *self._shares.arguments(host.address), *self._bot_share,
                        *(plan.fork.arguments(session) if plan.fork else [""]),
                        *(plan.rematch.arguments() if plan.rematch else []),
                    ],
                    shape=(plan.mode, plan.size),
                )  # fmt: skip
            except Conflict as error:
                if error.reason == "token_taken":
                    continue
                raise
            if reply[0] == "TAKEN" and plan.rematch:
                raise Conflict("somebody else was faster; try again", code="crowded")
            if reply[0] == "TAKEN":
                return str(reply[1])
            if reply[0] == "SHARE":
                raise self._shares.refusal(reply[1])
            if reply[0] == "RATE":
                raise self._shares.too_fast(reply[1], int(reply[2]))
            if reply[0] == "FULL":
                if not await self._servers.make_room(plan.holder.id):
                    full.add(plan.holder.id)
                    plan = replace(plan, holder=await self._find_room(full))
                continue
            ticket = format_ticket(session, host.player, secret)
            holder = plan.holder
            return SeatReservation(
                session, int(reply[1]), "player", ticket, holder.url, holder.id, holder.nonce, reply[2]
            )

    async def _find_room(self, full: Container[str]) -> HolderAddress:
        """A living server with room that is not in ``full``: the one with the fewest sessions. Raises RateLimited
        (``server_full``)."""
        able = [
            info
            for info in await self._servers.alive()
            if info.id not in full and (not info.max_sessions or info.sessions < info.max_sessions)
        ]
        if not able:
            raise RateLimited(
                "every server holds as many sessions as it may; try again later",
                code="server_full",
                retry_after=FULL_S,
            )
        room = min(able, key=lambda info: (info.sessions, info.id))
        return HolderAddress(room.id, room.nonce, room.url)

    async def _seat(
        self, applicant: _Applicant, session: str, shape: Shape, *, only_oldest: bool = False
    ) -> tuple[SeatReservation | None, str | None]:
        """Seat a player: (reservation, None if the lobby is full or not the oldest; the next candidate).

        The next candidate is the oldest open lobby of that shape, '' if there is none, None if it is not known.
        Raises Conflict ``ended`` for a lobby that has ended or is past its deadline.
        """
        for _ in range(YIELD_TRIES):
            secret = new_secret()
            reply = await self._scripts.run(
                "seat",
                session,
                [*self._player_keys(session, applicant.player, secret), self._keys.yielding_lobbies(*shape)],
                [
                    applicant.player, applicant.body, applicant.preferred_bodies(session), int(applicant.ready),
                    self._ticket_ms, int(only_oldest),
                ],
                shape=shape,
            )  # fmt: skip
            if reply[0] != "YIELD":
                break
            await self.unseat(
                reply[1], session, "gave_way"
            )  # another person may be faster: then the next bot
        match reply:
            case ["OK", seat, server, nonce, url, oldest]:
                ticket = format_ticket(session, applicant.player, secret)
                return SeatReservation(session, int(seat), "player", ticket, url, server, nonce), oldest
            case ["OTHER", oldest]:
                return None, oldest
            case ["GONE"]:
                raise Conflict("this lobby has ended", code="ended")
            case ["HELD", left]:
                left_s = int(left) / 1000
                raise Conflict("the free seats are held for others", code="seats_held", retry_after=left_s)
        return None, None

    async def _find_yielding(self, applicant: _Applicant, shape: Shape) -> SeatReservation | None:
        """A seat that a bot of a full lobby gives up. Raises Conflict ``in_session``."""
        key = self._keys.yielding_lobbies(*shape)
        for session in await self._store.call("ZRANGE", key, 0, YIELD_TRIES - 1):
            try:
                seat, _ = await self._seat(applicant, session, shape)
            except Conflict as error:
                if error.reason not in ("ended", "left", "seats_held"):
                    raise
            else:
                if seat is not None:
                    return seat
        return None

    async def _resolve_binding(self, player: str, shape: Shape | None) -> SeatReservation | None:
        """Resolve a refusal because the player is in a session already.

        Returns a new ticket if that session is a waiting lobby of this shape. Returns None if the session is over; the
        player is then free to try again. Raises Conflict ``in_session`` otherwise.
        """
        session = await self._store.call("HGET", self._keys.player(player), "session")
        if not session:
            return None
        if await self._release(player, session):
            return None
        if shape is not None and await self._scripts.find_shape(session) == shape:
            status = await self._store.call("HGET", self._keys.session(session), "status")
            if status in WAITING:
                return await self.join(player, session)
        raise Conflict(f"you are in session {session}; leave it first", code="in_session")

    async def _release(self, player: str, session: str) -> bool:
        """Unbind a player from a session that has ended, does not exist, or does not have the player as a member."""
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

    async def _with_live_holder(self, seat: SeatReservation, holder: HolderAddress) -> SeatReservation:
        """The reservation with a living holder. If the lobby's holder is dead, the lobby is assigned to ``holder``."""
        if (seat.holder_id, seat.holder_nonce) == (holder.id, holder.nonce):
            return seat
        if await self._store.call("HGET", self._keys.server(seat.holder_id), "nonce") == seat.holder_nonce:
            return seat
        dead = HolderAddress(seat.holder_id, seat.holder_nonce, seat.holder_url)
        await self._claims.rehome(seat.session, dead, holder)
        now, _ = await self._views.holder_of(seat.session)
        return replace(seat, holder_id=now.id, holder_nonce=now.nonce, holder_url=now.url)

    def _fork_keys(self, session: str, fork: ForkPlan) -> list[str]:
        keys = self._keys
        return [keys.fork(session), keys.forks(fork.root), keys.fork_root(session)]

    def _player_keys(self, session: str, player: str, secret: str) -> list[str]:
        keys = self._keys
        return [keys.player(player), keys.session_player(session, player), keys.ticket(secret_hash(secret))]


def _encode_scene(scene: str) -> bytes:
    """The scene in UTF-8. Raises Refused (bad_scene) if it is too large or has surrogates."""
    try:
        encoded = scene.encode() if len(scene) <= SCENE_BYTES else b""
    except UnicodeEncodeError:
        raise Refused("the scene is not valid Unicode", code="bad_scene", field="scene") from None
    if len(scene) > SCENE_BYTES or len(encoded) > SCENE_BYTES:
        raise Refused(f"a scene may have {SCENE_BYTES} bytes", code="bad_scene", field="scene")
    return encoded


def encode_params(params: Mapping[str, Any]) -> bytes:
    """The parameters as JSON. Raises Refused (bad_params) if they are too large or nested too deeply."""
    nested: list[Any] = [params]
    for _ in range(PARAMS_DEPTH):
        nested = [
            inner
            for value in nested
            if isinstance(value, Mapping | list)
            for inner in (value.values() if isinstance(value, Mapping) else value)
        ]
    encoded = b"" if nested else msgspec.json.encode(params)
    if nested or len(encoded) > PARAMS_BYTES:
        raise Refused(
            f"params may have {PARAMS_BYTES} bytes, {PARAMS_DEPTH} deep", code="bad_params", field="params"
        )
    return encoded
