"""The scripts against a simple model of lobbies: any sequence of joins, leaves, disconnections, timers, runs and ends.

After every step the whole store is compared with the model: statuses, seats, host, flags, the session of each player,
every index, the timers, the events without a gap, and the lifecycle as a path through the table of lobby/lifecycle.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import HOLDER, World, connected
from tussle.lobby.connections import Connected
from tussle.lobby.errors import Conflict, LobbyFull
from tussle.lobby.lifecycle import ENDED, LifecycleEvent, Status, advance
from tussle.lobby.runs import Fence
from tussle.lobby.settings import Settings
from tussle.worker.cleanup import Cleanup

PLAYERS = 5
SIZES = (1, 2, 3)
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "12"))
"""The environment variable sets a longer run: MACHINE_EXAMPLES=500."""

S = Status
T = TypeVar("T")


@dataclass
class Member:
    """A seat in the model."""

    player: str
    ready: bool
    connected: bool = False
    left: bool = False
    connection: Connected | None = None


@dataclass
class Lobby:
    """A session in the model."""

    size: int
    private: bool
    host: str
    opened_at: int
    status: Status = S.OPEN
    seats: dict[int, Member] = field(default_factory=dict)
    fence: Fence | None = None
    expiring: bool = False
    away: str = ""

    def seat_of(self, player: str) -> int | None:
        return next(
            (seat for seat, member in self.seats.items() if member.player == player and not member.left), None
        )

    @property
    def waiting(self) -> bool:
        return self.status in (S.OPEN, S.FILLED)

    def settle(self) -> None:
        """Set the status after seats or flags changed: filled, starting or open again."""
        if self.waiting:
            self.status = S.FILLED if len(self.seats) == self.size else S.OPEN
            if self.status is S.FILLED and all(m.ready and m.connected for m in self.seats.values()):
                self.status = S.STARTING

    def take(self, player: str, ready: bool) -> int:
        seat = next(seat for seat in range(self.size) if seat not in self.seats)
        self.seats[seat] = Member(player, ready)
        self.settle()
        return seat

    def pass_host(self, player: str) -> None:
        """A connected member takes the place of a host that is gone."""
        if self.host == player:
            seat = self.seat_of(player)
            assert seat is not None
            following = ((seat + step) % self.size for step in range(1, self.size))
            here = (self.seats[at] for at in following if at in self.seats and self.seats[at].connected)
            next_host = next((member.player for member in here), "")
            if next_host:
                self.host, self.away = next_host, self.away or player

    def greet(self, player: str) -> None:
        """A host that was gone is host again."""
        if self.waiting and self.away == player:
            self.host, self.away = player, ""

    def drop(self, seat: int) -> None:
        player = self.seats.pop(seat).player
        self.away = "" if self.away == player else self.away
        if not self.seats:
            self.status = S.ENDED
            return
        if self.host == player:
            following = ((seat + step) % self.size for step in range(1, self.size))
            self.host = next(self.seats[at].player for at in following if at in self.seats)
        self.settle()


class LobbyMachine(RuleBasedStateMachine):
    """One realm, five players, one server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.url = url
        self.lobbies: dict[str, Lobby] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        realm = f"test-{secrets.token_hex(4)}"
        [store] = self.do(self.stack.enter_async_context(connected(self.url, realm)))
        self.world = World(store, Settings(redis_url=self.url, realm=realm, data_dir=Path("unused")))
        self.do(self.world.register())
        self.players = self.do(self.world.players(PLAYERS))

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()

    # the model's view

    def where(self, player: str) -> str | None:
        """The session that a player is in."""
        return next(
            (
                t
                for t, lobby in self.lobbies.items()
                if lobby.status not in ENDED and lobby.seat_of(player) is not None
            ),
            None,
        )

    def some(self, pick: int, *statuses: Status) -> str | None:
        tokens = [token for token, lobby in self.lobbies.items() if lobby.status in statuses]
        return tokens[pick % len(tokens)] if tokens else None

    # gathering

    @rule(
        who=st.integers(0, PLAYERS - 1),
        size=st.sampled_from(SIZES),
        ready=st.booleans(),
        private=st.booleans(),
    )
    def open(self, who: int, size: int, ready: bool, private: bool) -> None:
        player = self.players[who]
        opening = self.world.seating.open(player, "duel", size, holder=HOLDER, ready=ready, private=private)
        if self.where(player):
            with pytest.raises(Conflict, match="leave it first"):
                self.do(opening)
            return
        seat = self.do(opening)
        self.added(seat.session, Lobby(size, private, player, 0), player, ready)

    def added(self, token: str, lobby: Lobby, player: str, ready: bool) -> None:
        lobby.opened_at = self.do(self.world.views.view(token)).opened_at
        lobby.take(player, ready)
        self.lobbies[token] = lobby

    @rule(who=st.integers(0, PLAYERS - 1), size=st.sampled_from(SIZES), ready=st.booleans())
    def find(self, who: int, size: int, ready: bool) -> None:
        player, bound = self.players[who], self.where(self.players[who])
        finding = self.world.seating.find(player, "duel", size, holder=HOLDER, ready=ready)
        if bound is not None:
            lobby = self.lobbies[bound]
            if lobby.waiting and lobby.size == size:
                seat = self.do(finding)
                assert (seat.session, seat.seat) == (bound, lobby.seat_of(player))
            else:
                with pytest.raises(Conflict, match="leave it first"):
                    self.do(finding)
            return
        open_ones = [
            (not any(member.connected for member in lobby.seats.values()), lobby.opened_at, token)
            for token, lobby in self.lobbies.items()
            if lobby.status is S.OPEN and lobby.size == size and not lobby.private
        ]
        seat = self.do(finding)
        if open_ones:
            assert seat.session == min(open_ones)[-1], "not the oldest open lobby"
            assert seat.seat == self.lobbies[seat.session].take(player, ready)
        else:
            assert seat.session not in self.lobbies
            self.added(seat.session, Lobby(size, False, player, 0), player, ready)

    @rule(who=st.integers(0, PLAYERS - 1), pick=st.integers(0, 20), ready=st.booleans())
    @precondition(lambda self: self.lobbies)
    def join(self, who: int, pick: int, ready: bool) -> None:
        player = self.players[who]
        token = list(self.lobbies)[pick % len(self.lobbies)]
        lobby = self.lobbies[token]
        joining = self.world.seating.join(player, token, ready=ready)
        has_left = any(member.player == player and member.left for member in lobby.seats.values())
        if lobby.status in ENDED or has_left:
            with pytest.raises(Conflict):
                self.do(joining)
        elif lobby.seat_of(player) is not None:
            assert self.do(joining).seat == lobby.seat_of(player)
        elif self.where(player):
            with pytest.raises(Conflict, match="leave it first"):
                self.do(joining)
        elif lobby.status is not S.OPEN:
            with pytest.raises(LobbyFull):
                self.do(joining)
        else:
            assert self.do(joining).seat == lobby.take(player, ready)

    @rule(who=st.integers(0, PLAYERS - 1), again=st.booleans())
    def leave(self, who: int, again: bool) -> None:
        player, token = self.players[who], self.where(self.players[who])
        if token is None:
            return
        for _ in range(1 + again):
            self.do(self.world.seating.leave(player, token))
        lobby = self.lobbies[token]
        seat = lobby.seat_of(player)
        assert seat is not None
        if lobby.waiting:
            lobby.drop(seat)
        else:
            lobby.seats[seat].left, lobby.seats[seat].connected = True, False

    @rule(who=st.integers(0, PLAYERS - 1), by_ticket=st.booleans())
    def connect(self, who: int, by_ticket: bool) -> None:
        player, token = self.players[who], self.where(self.players[who])
        if token is None:
            return
        lobby = self.lobbies[token]
        seat = lobby.seat_of(player)
        assert seat is not None
        member = lobby.seats[seat]
        conn = f"c{next(self.world.names)}"
        if member.connection is not None and not by_ticket:
            connecting = self.world.connections.connect(resume=member.connection.resume, conn=conn)
        else:
            ticket = self.do(self.world.seating.join(player, token)).ticket
            connecting = self.world.connections.connect(ticket=ticket, conn=conn)
        now = self.do(connecting)
        assert (now.seat, now.player, now.session) == (seat, player, token)
        before = member.connection.conn if member.connection is not None and member.connected else ""
        assert now.replaced_conn == before
        member.connection, member.connected = now, True
        lobby.greet(player)
        lobby.settle()
        assert now.status == lobby.status

    @rule(who=st.integers(0, PLAYERS - 1), stale=st.booleans())
    def disconnect(self, who: int, stale: bool) -> None:
        player, token = self.players[who], self.where(self.players[who])
        if token is None:
            return
        lobby = self.lobbies[token]
        member = lobby.seats[lobby.seat_of(player) or 0]
        conn = "another" if stale or member.connection is None else member.connection.conn
        self.do(self.world.connections.disconnect(token, player, conn))
        if conn != "another":
            gone, member.connected = member.connected, False
            if gone and lobby.waiting:
                lobby.pass_host(player)

    @rule(who=st.integers(0, PLAYERS - 1), ready=st.booleans())
    def set_ready(self, who: int, ready: bool) -> None:
        player, token = self.players[who], self.where(self.players[who])
        if token is None:
            return
        lobby = self.lobbies[token]
        setting = self.world.seating.set_ready(player, token, ready)
        if not lobby.waiting:
            with pytest.raises(Conflict):
                self.do(setting)
            return
        self.do(setting)
        lobby.seats[lobby.seat_of(player) or 0].ready = ready
        lobby.settle()

    @rule(pick=st.integers(0, 20), then=st.sampled_from(["", "run", "end", "fail"]))
    def fill_and_start(self, pick: int, then: str) -> None:
        """A short path to a run: free players fill a lobby, all connect and are ready, and then it runs."""
        token = self.some(pick, S.OPEN, S.FILLED)
        if token is None:
            return
        for who, player in enumerate(self.players):
            if self.lobbies[token].status is S.OPEN and self.where(player) is None:
                self.join(who, list(self.lobbies).index(token), True)
        for member in list(self.lobbies[token].seats.values()):
            if not member.connected:
                self.connect(self.players.index(member.player), True)
            if not member.ready:
                self.set_ready(self.players.index(member.player), True)
        if then and self.lobbies[token].status is S.STARTING:
            starting = [t for t, lobby in self.lobbies.items() if lobby.status is S.STARTING]
            self.claim(starting.index(token))
            self.hold(token, "run")
            if then != "run":
                self.hold(token, then)

    # timers

    @rule(pick=st.integers(0, 20))
    def expire_reservation(self, pick: int) -> None:
        """The reservation of one member who is not connected expires."""
        absent = [
            (token, seat)
            for token, lobby in self.lobbies.items()
            if lobby.waiting
            for seat, member in lobby.seats.items()
            if not member.connected
        ]
        if not absent:
            return
        token, seat = absent[pick % len(absent)]
        lobby = self.lobbies[token]
        timer = f"seat:{token}:{lobby.seats[seat].player}"
        self.do(self.world.store.call("ZADD", self.world.store.keys.deadlines, "XX", 1, timer))
        assert self.do(self.world.timers.run_due(1)) == 1
        assert self.do(self.world.timers.run_due(1)) == 0
        lobby.drop(seat)

    @rule(pick=st.integers(0, 20))
    def expire_lobby(self, pick: int) -> None:
        """The deadline of one lobby passes: it times out, or fails if it is starting and its holder never ran it."""
        token = self.some(pick, S.OPEN, S.FILLED, S.STARTING)
        if token is None:
            return
        lobby = self.lobbies[token]
        self.do(self.world.store.call("ZADD", self.world.store.keys.deadlines, "XX", 1, f"lobby:{token}"))
        assert self.do(self.world.timers.run_due(1)) == 1
        lobby.status = S.FAILED if lobby.status is S.STARTING else S.TIMED_OUT

    # the run

    @rule(pick=st.integers(0, 20))
    def claim(self, pick: int) -> None:
        token = self.some(pick, S.STARTING)
        if token is None:
            return
        lobby = self.lobbies[token]
        fence, members = self.do(self.world.begin(token))
        assert fence.epoch == (lobby.fence.epoch if lobby.fence else 0) + 1
        assert {m.seat: (m.player, m.left) for m in members} == {
            seat: (member.player, member.left) for seat, member in lobby.seats.items()
        }
        lobby.fence = fence

    @rule(pick=st.integers(0, 20), then=st.sampled_from(["run", "end", "fail", "stale"]))
    def run_on(self, pick: int, then: str) -> None:
        token = self.some(pick, S.STARTING, S.RUNNING)
        if token is not None and self.lobbies[token].fence is not None:
            self.hold(token, then)

    def hold(self, token: str, then: str) -> None:
        lobby = self.lobbies[token]
        fence = lobby.fence
        assert fence is not None
        runs = self.world.runs
        if then == "stale":
            stale = replace(fence, epoch=fence.epoch - 1)
            for attempt in (
                runs.running(stale, 0, b"", 1 / 60),
                runs.finish(stale, 9, [], None),
                runs.publish(stale, 9, []),
            ):
                with pytest.raises(Exception, match="holds the session"):
                    self.do(attempt)
        elif then == "run":
            self.do(runs.running(fence, 0, b"", 1 / 60))
            lobby.status = S.RUNNING
        elif then == "fail":
            self.do(runs.finish(fence, 1, [], None, event=LifecycleEvent.FAILED))
            lobby.status = S.FAILED
        elif lobby.status is S.RUNNING:
            self.do(runs.finish(fence, 1, [(1, "out", {})], None))
            lobby.status = S.ENDED

    @rule()
    def clean(self) -> None:
        """A worker cleans up all ended sessions."""
        worker = Cleanup(self.world.store, self.world.settings)
        self.do(worker.group.ensure())
        self.do(worker.drain())
        for lobby in self.lobbies.values():
            lobby.expiring = lobby.expiring or lobby.status in ENDED

    # the comparison

    @invariant()
    def the_store_equals_the_model(self) -> None:
        if hasattr(self, "players"):
            self.do(self.compare())

    async def compare(self) -> None:
        """Compare in two round trips: the keys of players and sessions, then the indexes."""
        keys = self.world.store.keys
        tokens = list(self.lobbies)
        commands: list[tuple[Any, ...]] = [
            ("HGET", keys.player(player), "session") for player in self.players
        ]
        for token in tokens:
            commands += [
                ("HMGET", keys.session(token), "status", "host", "v"),
                ("HGETALL", keys.seats(token)),
                ("SMEMBERS", keys.session_players(token)),
                ("SMEMBERS", keys.awaited(token)),
                ("XRANGE", keys.events(token), "-", "+"),
                ("TTL", keys.session(token)),
            ]
            commands += [
                ("HMGET", keys.session_player(token, member.player), "ready", "connected")
                for _, member in sorted(self.lobbies[token].seats.items())
            ]
        commands.append(("XRANGE", keys.lifecycle, "-", "+"))
        replies = iter(await self.world.store.batch(commands, atomic=True))
        for player in self.players:
            assert next(replies) == self.where(player)
        for token in tokens:
            self.compare_lobby(self.lobbies[token], replies)
        paths: dict[str, list[str]] = {token: [] for token in tokens}
        for _, flat in next(replies):
            entry = dict(zip(flat[::2], flat[1::2], strict=True))
            paths[entry["session"]].append(entry["event"])
        for token, path in paths.items():
            assert path[0] == LifecycleEvent.OPENED
            at = S.OPEN
            for event in path[1:]:
                at = advance(at, LifecycleEvent(event))
                assert at is not None, path
            assert at == self.lobbies[token].status
        await self.compare_indexes()

    @staticmethod
    def compare_lobby(lobby: Lobby, replies: Iterator[Any]) -> None:
        status, host, v = next(replies)
        assert status == lobby.status
        flat = next(replies)
        assert dict(zip(flat[::2], flat[1::2], strict=True)) == {
            str(seat): member.player for seat, member in lobby.seats.items()
        }
        assert set(next(replies)) == {member.player for member in lobby.seats.values()}
        if lobby.seats:
            assert host == lobby.host
        awaited = set(next(replies))
        if lobby.waiting:
            assert awaited == {m.player for m in lobby.seats.values() if not (m.ready and m.connected)}
        assert [name for name, _ in next(replies)] == [f"{n}-0" for n in range(1, int(v) + 1)]
        assert (next(replies) > 0) == lobby.expiring
        for _, member in sorted(lobby.seats.items()):
            assert next(replies) == [str(int(member.ready)), str(int(member.connected))]

    async def compare_indexes(self) -> None:
        keys = self.world.store.keys

        def tokens(*statuses: Status) -> set[str]:
            return {token for token, lobby in self.lobbies.items() if lobby.status in statuses}

        timers = {f"lobby:{token}" for token in tokens(S.OPEN, S.FILLED, S.STARTING)}
        for token in tokens(S.OPEN, S.FILLED):
            timers |= {
                f"seat:{token}:{m.player}" for m in self.lobbies[token].seats.values() if not m.connected
            }
        wanted = {
            keys.lobbies: tokens(S.OPEN, S.FILLED, S.STARTING),
            keys.running: tokens(S.RUNNING),
            keys.ended: tokens(*ENDED),
            keys.deadlines: timers,
        }
        for size in SIZES:
            wanted[keys.open_lobbies("duel", size)] = {
                token
                for token in tokens(S.OPEN)
                if self.lobbies[token].size == size and not self.lobbies[token].private
            }
        replies = await self.world.store.batch([("ZRANGE", key, 0, -1) for key in wanted])
        assert [set(reply) for reply in replies] == list(wanted.values())


@pytest.mark.timeout(600)
def test_any_sequence_of_events(store_url: str) -> None:
    """For any order of the calls of players, timers, holders and workers, store and model agree after every step."""
    run_state_machine_as_test(
        lambda: LobbyMachine(store_url),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.filter_too_much,
                HealthCheck.data_too_large,
            ],
        ),
    )
