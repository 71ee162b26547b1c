"""Bots: many players in one process. Each uses the same client, and gets the same data, as a person.

    login -> [ find -> connect -> act on every own turn_started -> ended ] * matches -> gone

When a server does not answer, a bot continues at another server of the realm, or at the same one once it answers.
Endless bots (matches 0) retry until they are stopped; others give up after ``patience_s``.

A bot knows the rules only through ``Mode.bot``, which decides from the public ``turn_started`` payload. This module
must never access a server's internals, the store or another bot.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from tussle.lobby.addresses import http_address
from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import (
    AuthError,
    ClientError,
    Conflict,
    Forbidden,
    LobbyError,
    ProtocolError,
    RateLimited,
    Refused,
    ServerFault,
)
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.logs import get_logger, short
from tussle.lobby.wire.http_answers import Join
from tussle.player.client import Client
from tussle.player.company import Company
from tussle.player.connection import SessionConnection
from tussle.player.policies import decide_by_policy, load_policy
from tussle.player.transcript import Disconnected

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Decide",
    "Party",
    "Tally",
    "decide_by_mode",
    "looks_ahead",
    "play",
    "play_party",
    "play_seat",
    "prepare",
]

log = get_logger(__name__)

FIRST_LOOK_S = 0.05

FORGOTTEN_S = 5.0
"""Time after the lobby timeout at which a bot stops waiting for the event [s]."""

COMPANY_S = 60.0
"""Time after which a bot that fills a seat leaves a session in which only such bots are connected [s]."""

PAUSE_S = 5.0
"""Longest pause between two attempts [s]. It bounds what many bots cost a server that is down."""

SERVERS_KEPT = 8
"""Most other servers that a bot remembers."""

LEAVE_S = 2.0
"""Time that a bot has for leaving its seat when it is stopped [s]."""

NAMES = (
    "Ada", "Otto", "Lena", "Kei", "Mira", "Bruno", "Juno", "Ivo", "Noor", "Tess", "Hugo", "Suri", "Pavel", "Edda",
    "Milo", "Yara", "Oskar", "Anouk", "Rafi", "Greta", "Zeno", "Willa", "Faro", "Dita", "Vito", "Xenia", "Quinn",
    "Celia", "Uma", "Lars",
)  # fmt: skip
"""Names of the bots. They are guests: the server adds letters to equal names."""

Decide = Callable[[Mapping[str, Any], int], Awaitable[tuple[str, dict[str, Any]]]]
"""(payload of turn_started or brief, own seat) -> kind and numbers of the action; kind "": do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The options of a process of bots. matches: per bot, 0 for endless. patience_s: how long a bot waits for a server
    that does not answer [s]; an endless bot waits until it is stopped. serve: most seats that further bots fill at once
    in lobbies that want bots (player/crew.py); secret: BOT_SECRET of the server. policy: "module:function" that decides
    instead of a skill (player/policies.py); bots that fill seats play by skill."""

    server_url: str
    count: int = 2
    matches: int = 1
    mode: str = "duel"
    size: int = 2
    skill: str = "good"
    think_s: float = 0.0
    lobby_timeout_s: float = 180.0
    patience_s: float = 60.0
    seed: int | None = None
    serve: int = 0
    secret: str = field(default="", repr=False)
    policy: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of what the bots of one process did. A match counts once for each of its bots."""

    matches: int = 0
    won: int = 0
    drawn: int = 0
    turns: int = 0
    refused: int = 0
    reconnections: int = 0
    lost: int = 0
    alone: int = 0
    gone: int = 0

    def __str__(self) -> str:
        parts = [f"{self.matches} matches", f"{self.won} won", f"{self.turns} turns"]
        parts += [f"{self.drawn} drawn"] if self.drawn else []
        parts += [f"{self.refused} refused"] if self.refused else []
        parts += [f"{self.lost} lost on the way"] if self.lost else []
        parts += [f"{self.reconnections} reconnections"] if self.reconnections else []
        parts += [f"{self.alone} found no opponent"] if self.alone else []
        parts += [f"{self.gone} found no server"] if self.gone else []
        return ", ".join(parts)


class Ending(Enum):
    """How one match ended for one bot."""

    PLAYED = "played"
    ALONE = "alone"
    LOST = "lost"


def decide_by_mode(
    mode: str, skill: str, rng: np.random.Generator, bodies: Mapping[str, Mapping[str, Any]] | None = None
) -> Decide:
    """Return the mode's program for that skill. ``bodies``: the catalogue's, for the look-ahead of a skill that has one
    (``looks_ahead``); without them it decides from the brief alone. Raises Refused for an unknown mode, and BadSetting
    for a broken file of MODES."""
    from tussle.server.modes.registry import get_mode

    rules = get_mode(mode)

    async def decide(brief: Mapping[str, Any], seat: int) -> tuple[str, dict[str, Any]]:
        action = rules.bot(brief, seat, skill, None, rng)
        return action.kind, dict(action.d)

    if bodies is None or not looks_ahead(mode, skill):
        return decide
    from tussle.player.planner import Planner

    planner = Planner(mode, bodies)

    async def plan(brief: Mapping[str, Any], seat: int) -> tuple[str, dict[str, Any]]:
        action = await asyncio.to_thread(planner.decide, brief, seat, skill, rng)
        return action.kind, dict(action.d)

    return plan


def looks_ahead(mode: str, skill: str) -> bool:
    """Whether a bot of that skill simulates its actions before it chooses one: in the modes that describe their world
    in a brief. "taught" plays without where the solver is not installed. Raises what ``get_mode`` raises."""
    from tussle.server.modes.mode import Mode
    from tussle.server.modes.registry import get_mode

    if get_mode(mode).recall is Mode.recall:
        return False
    if skill == "taught":
        from tussle.player.planner import missing_packages

        return not missing_packages()
    return skill.startswith("planner")


async def prepare(mode: str, skill: str, bodies: Mapping[str, Mapping[str, Any]] | None) -> None:
    """Load what ``decide_by_mode`` with these arguments needs, in a thread: a bot does it before it takes a seat, since
    the first look-ahead of a process can take longer than a turn. Raises Refused (no_solver)."""
    if bodies is None or not looks_ahead(mode, skill):
        return
    from tussle.player import planner

    await asyncio.to_thread(planner.prepare, mode, bodies, skill)


async def play_party(party: Party, tally: Tally) -> None:
    """Run the bots until each has played its matches, or has found no opponent or no server.

    When cancelled, every bot first leaves its seat. Raises Refused for an unknown mode, a missing policy or a missing
    solver, and BadSetting.
    """
    import numpy as np

    if party.skill.startswith("planner") and looks_ahead(party.mode, party.skill):
        from tussle.player.planner import missing_packages

        missing = missing_packages()
        if missing:
            raise Refused(missing, code="no_solver", field="skill")
    decide_by_mode(party.mode, party.skill, np.random.default_rng(party.seed))
    policy = load_policy(party.policy) if party.policy else None
    seeds = np.random.SeedSequence(party.seed).spawn(party.count)
    bodies = await _until_healthy(party)
    if policy is None:
        await prepare(party.mode, party.skill, bodies)
    first = random.Random(party.seed).randrange(len(NAMES))
    async with asyncio.TaskGroup() as group:
        for number, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            chance = random.Random(int(rng.integers(2**63)))
            if policy is None:
                decide = decide_by_mode(party.mode, party.skill, rng, bodies)
            else:
                decide = decide_by_policy(policy, rng)
            group.create_task(play(party, tally, decide, chance, NAMES[(first + number) % len(NAMES)]))


async def _until_healthy(party: Party) -> Mapping[str, Mapping[str, Any]] | None:
    """Wait for the server with one client, since bots often start together with it. Returns the catalogue's bodies if
    the bots look ahead."""
    deadline = time.monotonic() + party.patience_s
    async with Client(party.server_url, timeout_s=2.0) as client:
        logged = False
        while not await client.healthy() and time.monotonic() < deadline:
            if not logged:
                log.warning("server_waited_for", url=party.server_url, patience_s=party.patience_s)
                logged = True
            await asyncio.sleep(FIRST_LOOK_S)
        if looks_ahead(party.mode, party.skill):
            with contextlib.suppress(LobbyError):
                bodies: Mapping[str, Mapping[str, Any]] = (await client.catalogue())["bodies"]
                return bodies
    return None


async def play(party: Party, tally: Tally, decide: Decide, rng: random.Random, name: str = "") -> None:
    """Run one bot. It retries failed calls for ``party.patience_s``, an endless bot until it is cancelled; then it logs
    the reason and stops."""
    backoff = Backoff(rng, cap_s=PAUSE_S)
    servers = _Servers(party.server_url)
    token: str | None = None
    played = 0
    trouble_since: float | None = None
    while party.matches == 0 or played < party.matches:
        at_least_s = 0.0
        async with Client(servers.current, token=token, rng=rng) as client:
            try:
                if client.token is None:
                    await _log_in(client, party, name)
                ending = await _play_match(client, party, tally, decide, servers)
            except (AuthError, Forbidden) as error:
                client.token, reason = None, str(error)
            except (Disconnected, ServerFault, ProtocolError) as error:
                reason = str(error)
                servers.try_next()
            except RateLimited as error:
                at_least_s, reason = error.retry_after or 1.0, str(error)
            except Conflict as error:
                reason = str(error)
                await _leave_session(client)
            else:
                if ending is Ending.ALONE and party.matches:
                    tally.alone += 1
                    log.info("bot_found_no_opponent", waited_s=party.lobby_timeout_s)
                    return
                if ending is not Ending.LOST:
                    played += ending is Ending.PLAYED
                    token, trouble_since = client.token, None
                    backoff.reset()
                    continue
                tally.lost += 1
                reason = "the session was lost"
                await _leave_session(client)
            token = client.token
        now = time.monotonic()
        if trouble_since is None:
            trouble_since = now
            log.info("bot_interrupted", reason=reason, next=servers.current)
        elif party.matches and now - trouble_since > party.patience_s:
            tally.gone += 1
            log.warning("bot_gave_up", reason=reason)
            return
        log.debug("bot_waited", reason=reason)
        await asyncio.sleep(backoff.next_s(at_least_s=at_least_s))


class _Servers:
    """The servers that a bot knows, by HTTP address: its own first, then those that the seats of its sessions named.
    ``current`` is the one that it uses."""

    def __init__(self, own: str) -> None:
        self._known = [own.rstrip("/")]
        self.current = self._known[0]

    def learn(self, *ws_urls: str) -> None:
        """Remember the servers with these WebSocket addresses; the oldest but the own one are forgotten."""
        for address in map(http_address, ws_urls):
            if address in self._known[1:]:
                self._known.remove(address)
            if address != self._known[0]:
                self._known.append(address)
        del self._known[1:-SERVERS_KEPT]

    def try_next(self) -> None:
        """Switch to the next server."""
        place = self._known.index(self.current) if self.current in self._known else -1
        self.current = self._known[(place + 1) % len(self._known)]


async def _log_in(client: Client, party: Party, name: str) -> None:
    try:
        await client.login(name or None, kind="bot", skill=party.skill)
    except AuthError:  # the name belongs to an account
        await client.login(kind="bot", skill=party.skill)


async def _play_match(
    client: Client, party: Party, tally: Tally, decide: Decide, servers: _Servers
) -> Ending:
    join = await client.find(mode=party.mode, size=party.size)
    servers.learn(join.ws_url, *join.servers)
    done = False
    try:
        async with client.connect(join, give_up_s=party.patience_s) as connection:
            try:
                ending = await _play_session(connection, party, tally, decide)
            finally:
                servers.learn(*connection.servers)
            tally.reconnections += connection.reconnections
        done = ending is Ending.PLAYED
        return ending
    except Disconnected as error:
        log.info("bot_lost_session", token=short(join.session), reason=str(error))
        return Ending.LOST
    finally:
        if not done:
            await _leave(client, join)


async def play_seat(
    client: Client, join: Join, party: Party, tally: Tally, decide: Decide, *, fills: bool = False
) -> None:
    """Play one session to its end in a reserved seat. A bot that ``fills`` a seat ends when it has given the seat
    to a person, when only such bots are left in the lobby, or connected for COMPANY_S. Raises Disconnected."""
    async with client.connect(join, give_up_s=party.patience_s) as connection:
        await _play_session(connection, party, tally, decide, fills=fills)


async def _play_session(
    connection: SessionConnection, party: Party, tally: Tally, decide: Decide, *, fills: bool = False
) -> Ending:
    seat = connection.seat
    result: Mapping[str, Any] = {}
    acted: tuple[Any, Any] | None = None
    unanswered: Mapping[str, Any] | None = None
    waiting = True
    company, loop = Company(), asyncio.get_running_loop()
    events = aiter(connection)
    while True:
        # The server ends a lobby that does not fill; this timeout is for a server that does not.
        until = loop.time() + party.lobby_timeout_s + FORGOTTEN_S if waiting else None
        if fills and not waiting and company.left_at is not None:
            until = company.left_at + COMPANY_S
        try:
            async with asyncio.timeout_at(until):
                event = await anext(events, None)
        except TimeoutError:
            return Ending.ALONE
        if event is None:
            return Ending.LOST
        company.note(event.t, event.d, loop.time())
        match event.t:
            case "running" | "set_up":
                waiting = False
            case "timed_out":
                return Ending.ALONE
            case "seat_left" | "host_changed" if fills and waiting and event.d.get("seat") == seat:
                return Ending.ALONE
            case "failed":
                return Ending.LOST
            case "result":
                result = event.d
            case "ended":
                _count(tally, result or event.d.get("result") or {}, seat)
                return Ending.PLAYED if not waiting or result else Ending.ALONE
            case "session" if event.d["status"] in ENDED:
                if event.d["status"] == "timed_out":
                    return Ending.ALONE
                if event.d["status"] == "failed":
                    return Ending.LOST
                _count(tally, result or event.d.get("result") or {}, seat)
                return Ending.PLAYED
            case _:
                pass
        waiting = waiting and event.t != "turn_started" and event.d.get("status") != "running"
        brief = connection.my_turn(event)
        if event.t == "turn_ended" or (event.t == "action" and event.d.get("seat") == seat):
            unanswered = None
        elif event.t == "recovered":  # an action since the checkpoint may be lost
            brief, acted = unanswered, None
        elif event.t != "brief":
            unanswered = brief or unanswered
        if brief is None or seat is None:
            continue
        moment = event.tick if event.t == "brief" else brief.get("turn")
        if (event.epoch, moment) == acted:
            continue
        acted = (event.epoch, moment)
        await _act(connection, party, tally, decide, brief, seat)


async def _act(
    connection: SessionConnection,
    party: Party,
    tally: Tally,
    decide: Decide,
    brief: Mapping[str, Any],
    seat: int,
) -> None:
    if party.think_s:
        await asyncio.sleep(party.think_s)
    kind, numbers = await decide(brief, seat)
    if not kind:
        return
    try:
        await connection.act(kind, **numbers)
        tally.turns += 1
    except Disconnected:
        raise
    except ClientError as error:
        # Late (the deadline skipped the turn), or the session has ended: the next events decide.
        tally.refused += 1
        log.info(
            "bot_refused", token=short(connection.session), seat=seat, code=error.reason, reason=str(error)
        )


def _count(tally: Tally, result: Mapping[str, Any], seat: int | None) -> None:
    tally.matches += 1
    winner = result.get("winner")
    tally.won += winner is not None and winner == seat
    tally.drawn += bool(result) and winner is None


async def _leave(client: Client, join: Join) -> None:
    with contextlib.suppress(LobbyError, TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            await client.leave(join.session)


async def _leave_session(client: Client) -> None:
    """Leave the session that the server still has this player in, if any."""
    with contextlib.suppress(LobbyError, TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            me = await client.whoami()
            if me.session:
                await client.leave(me.session)
