"""What clients may spend: the budgets of addresses, players, names, seats and sessions, and what each request costs.

    request  -> Ledger.charge(resource, owner, key, amount) -> nothing | RateLimited with retry_after
    socket   -> Ledger.hold(resource, owner, key) -> True | False;  Ledger.release(...) when it closes

A budget is checked before the work is done, and a refused request costs only its response. ``budgets`` is the table of
all budgets and ``REQUEST_COSTS`` the table of all prices. There is one Ledger per server. This module must never read a
clock or the store: the time is an argument.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tussle.lobby.bot_holdings import bot_share
from tussle.lobby.errors import RateLimited
from tussle.lobby.roles import Operation
from tussle.lobby.session_shares import opening_rates, session_share
from tussle.lobby.settings import Settings
from tussle.server.limits import TokenBucket

__all__ = [
    "CHANGE_COST",
    "EDIT_BYTES",
    "EDIT_COST",
    "LIST_SOURCES_COST",
    "LOBBY_COST",
    "MARK_COST",
    "OFFER_COST",
    "PRESENT_COST",
    "REQUEST_COSTS",
    "RESYNC_COST",
    "SHARED_CHANGE_COST",
    "SOURCE_COST",
    "STORE_COSTS",
    "Budget",
    "Ledger",
    "Owner",
    "Resource",
    "budgets",
    "frame_bucket",
    "message_bucket",
]

KEPT = 20_000
"""Most keys that a budget keeps. Beyond it the least recently used key is forgotten and has a full budget again."""

SHOWN = 20
"""Keys of each budget in a snapshot, those with the most refusals first."""


class Owner(StrEnum):
    """Who a budget belongs to."""

    ADDRESS = "address"
    """An IPv4 address, or the /64 network of an IPv6 address: ``owner_of_address`` in server/limits.py."""
    PLAYER = "player"
    NAME = "name"
    """A name to log in by, in its canonical form."""
    CONNECTION = "connection"
    SERVER = "server"
    """The whole server; its key is ''."""
    SEAT = "seat"
    """A player in a session, whatever the number of its connections."""
    SESSION = "session"
    PART = "part"
    """The share of the budget of a session or replay room that one address may use. The rest is for the others."""


class Resource(StrEnum):
    """What is spent or held."""

    REQUESTS = "requests"
    """HTTP requests. The unit is about one millisecond of the event loop: REQUEST_COSTS."""
    PROBES = "probes"
    """Requests for health and metrics. They have a budget of their own, so that they are answered while an address has
    spent that of its requests."""
    LOGINS = "logins"
    GUESSES = "guesses"
    """Logins with a secret."""
    GUESTS = "guests"
    """New guests. The store keeps each one for LOGIN_TTL_S."""
    REGISTRATIONS = "registrations"
    """New names. The store keeps them for ever."""
    RESERVATIONS = "reservations"
    """Seats reserved by players who have not connected. A charge is given back when the player connects."""
    BOTS = "bots"
    """Held: bots that fill seats, or are wanted, in lobbies and sessions of a client, on all servers: the store
    counts them (lobby/bot_holdings.py)."""
    SESSIONS = "sessions"
    """Held: lobbies and sessions that a client has opened, on all servers: the store counts them
    (lobby/session_shares.py)."""
    OPENINGS = "openings"
    """Lobbies that are opened, on all servers: the store counts them (lobby/session_shares.py). Each may begin a
    session, which builds a world: about 50 ms of a solver process."""
    STORE_BYTES = "store_bytes"
    """Bytes that a request or a command writes into the store, about: STORE_COSTS."""
    MESSAGES = "messages"
    """Messages on a socket; a long one counts as several (``message_bucket``)."""
    STORE_CALLS = "store_calls"
    """Calls of the store for messages on sockets. A call beyond the budget waits, and its socket is not read
    meanwhile: server/client_calls.py."""
    FRAMES = "frames"
    """Frames of a WebSocket as they arrive, but for inputs on the fast path: control frames, fragments, messages."""
    SCENE_BYTES = "scene_bytes"
    """Bytes of edits of scenes, which the store keeps within a bound: documents before and after, EDIT_BYTES."""
    CHATS = "chats"
    MARKS = "marks"
    """Bookmarks and named views that are added. The store keeps them as long as the recording."""
    INPUT_COST = "input_cost"
    """Solver time of inputs that need much of it [ms]."""
    FORKS = "forks"
    """Forks, each up to FORK_TICKS ticks of a solver process and the reading of an archive."""
    FORKS_IN_PROGRESS = "forks_in_progress"
    """Held: forks that are being made."""
    UPLOAD_BYTES = "upload_bytes"
    """Bytes of recordings that are uploaded, and of those that an edit writes again."""
    UPLOADS_IN_PROGRESS = "uploads_in_progress"
    """Held: uploads that are being received and read."""
    SCENE_WORK = "scene_work"
    """Solver time of checks of scenes and of shapes [ms], by the number of their vertices."""
    SPRING_STARTS = "spring_starts"
    SPRING_READS = "spring_reads"
    NOTICES = "notices"
    """Operators' notices, which are sent to every viewer."""
    OVERVIEWS = "overviews"
    """Operators' overviews, which read every session."""
    MESHES = "meshes"
    """Mesh files that are sent; each may take MESH_S of a worker."""
    MESH_BYTES = "mesh_bytes"
    """Bytes of mesh files that are sent."""
    MESH_UPLOADS = "mesh_uploads"
    """Held: mesh files that are being sent."""
    PICTURES = "pictures"
    """Pictures of recordings that a child process draws: about a second of CPU time each. One that is kept is free."""
    RECORDING_BYTES = "recording_bytes"
    """Bytes of recordings that are sent. A byte that the server compresses or encodes as JSON counts as several."""
    DESCRIPTORS = "descriptors"
    """Held: file descriptors of clients, for HTTP and WebSocket. The server keeps the others for itself."""
    CONNECTS = "connects"
    """New connections. Each makes objects and timers before it has sent anything."""
    HTTP_CONNECTIONS = "http_connections"
    """Held: connections that speak HTTP."""
    SOCKETS = "sockets"
    """Held: WebSocket connections."""
    OFFERS = "offers"
    """Offers of data channels. Each makes sockets, and perhaps a handshake of DTLS (10 ms of another process)."""
    PEERS = "peers"
    """Held: data channels, and offers of them."""
    STREAMS = "streams"
    """Held: streams of changes over HTTP, behind a proxy too."""
    RECORDING_READS = "recording_reads"
    """Held: answers with recorded data that are being made and sent."""


REQUEST_COSTS: Mapping[Operation, float] = {
    Operation.LOGIN: 1.0,
    Operation.LIST: 4.0,
    Operation.INSPECT: 1.0,
    Operation.PAGES: 1.0,
    Operation.RECORDING: 1.0,
    Operation.SCENE: 2.0,
    Operation.LOGOUT: 1.0,
    Operation.PROFILE: 1.0,
    Operation.FIND: 4.0,
    Operation.OPEN: 4.0,
    Operation.JOIN: 2.0,
    Operation.MESH: 5.0,
    Operation.FORK: 5.0,
    Operation.FILL: 4.0,
    Operation.REMATCH: 4.0,
    Operation.SERVE: 2.0,
    Operation.UPLOAD: 4.0,
    Operation.WATCH: 2.0,
    Operation.REPLAY: 5.0,
    Operation.DISCUSS: 2.0,
    Operation.RELEASE: 2.0,
    Operation.SPRING: 2.0,
    Operation.SHAPE: 1.0,
    Operation.OVERSEE: 5.0,
    Operation.NOTIFY: 5.0,
    Operation.BAN: 4.0,
}
"""The price of a request in units of Resource.REQUESTS. A request to an unknown path, and an operation that is not
listed, costs 1."""


LIST_SOURCES_COST = 5.0
"""What ``sources`` on /live costs in units of Resource.MESSAGES: it reads every running session."""

SOURCE_COST = 2.0
"""What ``subscribe``, ``unsubscribe`` and ``sensor_info`` on /live cost in units of Resource.MESSAGES."""

LOBBY_COST = 2.0
"""What ``choose`` and ``ready`` cost in units of Resource.MESSAGES: each is sent to the whole lobby."""

RESYNC_COST = 20.0
"""What a ``resync`` costs in units of Resource.MESSAGES: it is answered with all that a new viewer gets."""

OFFER_COST = 5.0
"""What an ``offer`` costs in units of Resource.MESSAGES, beside Resource.OFFERS."""

PRESENT_COST = 5.0
"""What ``present`` and ``release`` cost in units of Resource.MESSAGES: each may be sent to a whole replay room."""

MARK_COST = 10.0
"""What a bookmark or a named view costs in units of Resource.MESSAGES, to add or to remove."""

EDIT_COST = 2.0
"""What an edit of a scene, an undo and a redo cost in units of Resource.MESSAGES: each is sent to all members."""

EDIT_BYTES = 500.0
"""What an edit or a lock writes into the store beside the documents, in units of Resource.SCENE_BYTES."""

SHARED_CHANGE_COST = 0.1
"""What one event of a stream of changes costs in units of Resource.REQUESTS, if another stream has the same."""

CHANGE_COST = 1.0
"""What one event of a stream of changes costs if it must be made for this stream."""

STORE_COSTS: Mapping[Operation, float] = {
    Operation.LOGIN: 800.0,
    Operation.FIND: 3000.0,
    Operation.OPEN: 3000.0,
    Operation.JOIN: 1500.0,
    Operation.MESH: 1500.0,
    Operation.FORK: 4000.0,
    Operation.FILL: 400.0,
    Operation.REMATCH: 3000.0,
    Operation.SERVE: 1500.0,
    Operation.UPLOAD: 600.0,
    Operation.WATCH: 300.0,
    Operation.CHAT: 200.0,
    Operation.REPLAY: 600.0,
    Operation.DISCUSS: 300.0,
    Operation.CHOOSE: 200.0,
    Operation.READY: 200.0,
}
"""What an operation writes into the store [B], without the scene, the parameters and the text that it brings."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a resource each owner may spend: ``rate`` per second on average, ``burst`` at once. If ``held``, the
    resource is held and not spent: ``burst`` is the most that is held at once. ``setting``: the name of its setting."""

    resource: Resource
    owner: Owner
    rate: float
    burst: float
    setting: str = ""
    held: bool = False


def budgets(settings: Settings) -> tuple[Budget, ...]:
    """All budgets of a server."""
    requests, logins, guesses = settings.request_rate, settings.login_rate, settings.guess_rate
    stored, reserved, meshes = settings.store_rate, settings.reservation_rate, settings.mesh_rate
    address, player = Owner.ADDRESS, Owner.PLAYER
    address_share, player_share = session_share(settings)
    address_bots, player_bots = bot_share(settings)
    opened, opened_by_player = opening_rates(settings)
    return (
        Budget(Resource.REQUESTS, address, requests, 5 * requests, "REQUEST_RATE"),
        Budget(Resource.REQUESTS, player, requests, 5 * requests, "REQUEST_RATE"),
        Budget(Resource.PROBES, address, 50.0, 500.0),
        Budget(Resource.CONNECTS, address, requests, 10 * requests, "REQUEST_RATE"),
        Budget(Resource.LOGINS, address, logins, 10 * logins, "LOGIN_RATE"),
        Budget(Resource.GUESSES, Owner.NAME, guesses, max(1.0, 20 * guesses), "GUESS_RATE"),
        Budget(Resource.GUESSES, address, logins / 10, max(1.0, 4 * logins), "LOGIN_RATE"),
        Budget(Resource.GUESTS, address, logins / 50, 40 * logins, "LOGIN_RATE"),
        Budget(Resource.REGISTRATIONS, address, logins / 500, max(1.0, 3 * logins), "LOGIN_RATE"),
        Budget(Resource.RESERVATIONS, address, reserved, 320 * reserved, "RESERVATION_RATE"),
        Budget(Resource.RESERVATIONS, player, reserved, max(1.0, 30 * reserved), "RESERVATION_RATE"),
        Budget(Resource.BOTS, address, 0.0, address_bots, "BOT_SHARE", held=True),
        Budget(Resource.BOTS, player, 0.0, player_bots, "BOT_SHARE", held=True),
        Budget(Resource.SESSIONS, address, 0.0, address_share, "ADDRESS_SESSIONS", held=True),
        Budget(Resource.SESSIONS, player, 0.0, player_share, "ADDRESS_SESSIONS", held=True),
        Budget(Resource.OPENINGS, address, *opened, "OPEN_RATE"),
        Budget(Resource.OPENINGS, player, *opened_by_player, "OPEN_RATE"),
        Budget(Resource.STORE_BYTES, address, stored, 128 * stored, "STORE_RATE"),
        Budget(Resource.STORE_BYTES, player, stored / 16, 4 * stored, "STORE_RATE"),
        Budget(Resource.STORE_BYTES, Owner.SESSION, stored / 32, stored, "STORE_RATE"),
        Budget(Resource.STORE_BYTES, Owner.PART, stored / 64, stored / 2, "STORE_RATE"),
        Budget(Resource.STORE_BYTES, Owner.SEAT, stored / 128, stored / 4, "STORE_RATE"),
        Budget(Resource.SCENE_BYTES, Owner.SEAT, stored / 2, 4 * stored, "STORE_RATE"),
        Budget(Resource.SCENE_BYTES, Owner.SESSION, 4 * stored, 16 * stored, "STORE_RATE"),
        Budget(Resource.SCENE_BYTES, address, 4 * stored, 64 * stored, "STORE_RATE"),
        Budget(
            Resource.MESSAGES, Owner.CONNECTION, settings.message_rate, settings.message_burst, "MESSAGE_RATE"
        ),
        Budget(
            Resource.MESSAGES, player, 2 * settings.message_rate, 2 * settings.message_burst, "MESSAGE_RATE"
        ),
        Budget(
            Resource.STORE_CALLS, player, 2 * settings.message_rate, 2 * settings.message_burst, "MESSAGE_RATE"
        ),
        Budget(
            Resource.STORE_CALLS, address, 16 * settings.message_rate, 16 * settings.message_burst, "MESSAGE_RATE"
        ),
        Budget(Resource.MESSAGES, Owner.SEAT, settings.message_rate, settings.message_burst, "MESSAGE_RATE"),
        Budget(
            Resource.FRAMES, Owner.CONNECTION, 2 * settings.message_rate, 2 * settings.message_burst, "MESSAGE_RATE"
        ),
        Budget(Resource.MARKS, player, 0.05, 60.0),
        Budget(Resource.MARKS, address, 0.2, 600.0),
        Budget(Resource.CHATS, Owner.SEAT, settings.chat_rate, 10 * settings.chat_rate, "CHAT_RATE"),
        Budget(
            Resource.INPUT_COST, Owner.SEAT, settings.input_cost_rate, settings.input_cost_burst, "INPUT_COST_RATE"
        ),
        Budget(Resource.FORKS, player, 0.1, 6.0),
        Budget(Resource.FORKS, address, 0.5, 20.0),
        Budget(Resource.FORKS_IN_PROGRESS, player, 0.0, 1.0, held=True),
        Budget(Resource.FORKS_IN_PROGRESS, address, 0.0, 4.0, held=True),
        Budget(
            Resource.UPLOAD_BYTES, player, settings.upload_bytes / 256, 4 * settings.upload_bytes, "UPLOAD_BYTES"
        ),
        Budget(
            Resource.UPLOAD_BYTES, address, settings.upload_bytes / 64, 16 * settings.upload_bytes, "UPLOAD_BYTES"
        ),
        Budget(Resource.UPLOADS_IN_PROGRESS, player, 0.0, 2.0, held=True),
        Budget(Resource.UPLOADS_IN_PROGRESS, address, 0.0, 4.0, held=True),
        Budget(Resource.UPLOADS_IN_PROGRESS, Owner.SERVER, 0.0, 8.0, held=True),
        Budget(Resource.MESHES, player, 0.1, 20.0),
        Budget(Resource.MESHES, address, 0.5, 100.0),
        Budget(Resource.MESH_BYTES, player, meshes / 2, 128 * meshes, "MESH_RATE"),
        Budget(Resource.MESH_BYTES, address, meshes, 256 * meshes, "MESH_RATE"),
        Budget(Resource.MESH_UPLOADS, player, 0.0, 2.0, held=True),
        Budget(Resource.MESH_UPLOADS, address, 0.0, 8.0, held=True),
        Budget(Resource.MESH_UPLOADS, Owner.SERVER, 0.0, 16.0, held=True),
        Budget(Resource.SCENE_WORK, player, 200.0, 6000.0),
        Budget(Resource.SCENE_WORK, address, 800.0, 24_000.0),
        Budget(Resource.SPRING_STARTS, player, 0.5, 5.0),
        Budget(Resource.SPRING_STARTS, address, 2.0, 20.0),
        Budget(Resource.SPRING_READS, player, 10.0, 30.0),
        Budget(Resource.SPRING_READS, address, 40.0, 120.0),
        Budget(Resource.NOTICES, player, 0.5, 5.0),
        Budget(
            Resource.RECORDING_BYTES, address, settings.recording_rate, 64 * settings.recording_rate,
            "RECORDING_RATE",
        ),
        Budget(Resource.PICTURES, address, 0.1, 12.0),
        Budget(Resource.RECORDING_READS, address, 0.0, 32, held=True),
        Budget(Resource.RECORDING_READS, Owner.SERVER, 0.0, 64, held=True),
        Budget(Resource.OVERVIEWS, player, 2.0, 20.0),
        Budget(
            Resource.DESCRIPTORS, Owner.SERVER, 0.0, settings.max_connections or math.inf, "MAX_CONNECTIONS", held=True
        ),
        Budget(
            Resource.HTTP_CONNECTIONS, address, 0.0, settings.address_connections, "ADDRESS_CONNECTIONS",
            held=True,
        ),
        Budget(Resource.SOCKETS, address, 0.0, settings.address_connections, "ADDRESS_CONNECTIONS", held=True),
        Budget(Resource.STREAMS, address, 0.0, settings.address_connections, "ADDRESS_CONNECTIONS", held=True),
        Budget(Resource.OFFERS, player, 0.1, 6.0),
        Budget(Resource.OFFERS, address, 1.0, 30.0),
        Budget(Resource.PEERS, player, 0.0, 2.0, held=True),
        Budget(Resource.PEERS, address, 0.0, max(1, settings.webrtc_peers // 2), "WEBRTC_PEERS", held=True),
        Budget(Resource.PEERS, Owner.SERVER, 0.0, settings.webrtc_peers, "WEBRTC_PEERS", held=True),
        Budget(Resource.SOCKETS, player, 0.0, settings.player_connections, "PLAYER_CONNECTIONS", held=True),
    )  # fmt: skip


def message_bucket(settings: Settings) -> tuple[TokenBucket, float]:
    """The budget of messages of one connection, and the length [B] above which a message costs more than one.

    A message of n bytes costs max(1, n / length), so that one bucket limits both messages and bytes.
    """
    return TokenBucket(settings.message_rate, settings.message_burst), message_length(settings)


def frame_bucket(settings: Settings) -> tuple[TokenBucket, float]:
    """The budget of frames of one connection, and the length [B] above which a frame costs more than one.

    A message counts here when it arrives and as a message when it is read. A chunk of the network holds thousands of
    small frames, so that they must be counted before a task reads them.
    """
    return TokenBucket(2 * settings.message_rate, 2 * settings.message_burst), message_length(settings)


def message_length(settings: Settings) -> float:
    """The length [B] above which a message costs more than one."""
    return (settings.message_bytes_rate or 4096 * settings.message_rate) / settings.message_rate


@dataclass(slots=True)
class _Account:
    """The state of one budget, by key."""

    budget: Budget
    buckets: OrderedDict[str, TokenBucket] = field(default_factory=OrderedDict)
    held: Counter[str] = field(default_factory=Counter)
    refused: OrderedDict[str, int] = field(default_factory=OrderedDict)
    refusals: int = 0

    def refuse(self, key: str) -> None:
        self.refusals += 1
        self.refused[key] = self.refused.pop(key, 0) + 1
        if len(self.refused) > KEPT:
            self.refused.popitem(last=False)


class Ledger:
    """The budgets of one server. ``count_refusal`` is called with the resource and the owner of each refusal."""

    def __init__(self, settings: Settings, count_refusal: Callable[[Resource, Owner], None]) -> None:
        self._accounts = {(budget.resource, budget.owner): _Account(budget) for budget in budgets(settings)}
        self._report_refusal = count_refusal

    def most(self, resource: Resource, owner: Owner) -> float:
        """The most that a budget holds."""
        return self._accounts[resource, owner].budget.burst

    def charge(self, resource: Resource, owner: Owner, key: str, now: float, amount: float = 1.0) -> None:
        """Charge ``amount`` to the budget of ``key`` at time ``now`` [s]. Raises RateLimited, and charges nothing, if
        the budget is too small."""
        bucket = self.bucket(resource, owner, key)
        if not bucket.take(now, amount):
            self._refuse(self._accounts[resource, owner], key)
            raise RateLimited(
                f"too many {resource.replace('_', ' ')} of this {owner}", retry_after=bucket.wait(amount)
            )

    def charge_store(
        self, now: float, amount: float, *, address: str = "", player: str = "", session: str = ""
    ) -> None:
        """Charge bytes that are written into the store to an address, a player and a session, and to the parts of both
        in the budget of the session. '' is left out. Raises RateLimited, and charges nothing."""
        owners: list[tuple[Owner, str]] = []
        if player:
            owners.append((Owner.PLAYER, player))
        if address:
            owners.append((Owner.ADDRESS, address))
        if session:
            owners += [(Owner.SEAT, f"{session} {player}")] if player else []
            owners += [(Owner.PART, f"{session} {address}")] if address else []
            owners.append((Owner.SESSION, session))
        for number, (owner, key) in enumerate(owners):
            try:
                self.charge(Resource.STORE_BYTES, owner, key, now, amount)
            except RateLimited:
                for paid, its in owners[:number]:
                    self.give_back(Resource.STORE_BYTES, paid, its, amount)
                raise

    def bucket(self, resource: Resource, owner: Owner, key: str) -> TokenBucket:
        """The bucket of ``key``, for a caller that charges it often and counts its refusals itself."""
        account = self._accounts[resource, owner]
        bucket = account.buckets.get(key)
        if bucket is None:
            bucket = account.buckets[key] = TokenBucket(account.budget.rate, account.budget.burst)
            if len(account.buckets) > KEPT:
                account.buckets.popitem(last=False)
        else:
            account.buckets.move_to_end(key)
        return bucket

    def spend(self, resource: Resource, owner: Owner, key: str, now: float, amount: float = 1.0) -> bool:
        """Charge ``amount`` as ``charge`` does. Returns False, and charges nothing, if the budget is too small."""
        if self.bucket(resource, owner, key).take(now, amount):
            return True
        self._refuse(self._accounts[resource, owner], key)
        return False

    def reserve(self, resource: Resource, owner: Owner, key: str, now: float, amount: float = 1.0) -> float:
        """Charge ``amount`` in any case. Returns how long [s] the caller must wait for it; a wait counts as a
        refusal."""
        wait_s = self.bucket(resource, owner, key).reserve(now, amount)
        if wait_s > 0:
            self._refuse(self._accounts[resource, owner], key)
        return wait_s

    def give_back(self, resource: Resource, owner: Owner, key: str, amount: float = 1.0) -> None:
        """Give back a charge, for example of a reservation whose player has connected."""
        bucket = self._accounts[resource, owner].buckets.get(key)
        if bucket is not None:
            bucket.give(amount)

    def hold(self, resource: Resource, owner: Owner, key: str, *, beyond: bool = False) -> bool:
        """Hold one more unit; False if ``key`` would hold more than its maximum. After True, release it.

        ``beyond``: hold it in any case, because it exists already.
        """
        account = self._accounts[resource, owner]
        if account.held[key] + 1 > account.budget.burst and not beyond:
            self._refuse(account, key)
            return False
        account.held[key] += 1
        return True

    def count_refusal(self, resource: Resource, owner: Owner, key: str) -> None:
        """Count a refusal that the store found, or a caller by ``held`` and ``most``."""
        self._refuse(self._accounts[resource, owner], key)

    def held(self, resource: Resource, owner: Owner, key: str) -> int:
        """How many units ``key`` holds."""
        return self._accounts[resource, owner].held[key]

    @contextmanager
    def holding(
        self, resource: Resource, owners: Iterable[tuple[Owner, str]], refusal: Callable[[Owner], RateLimited]
    ) -> Iterator[None]:
        """Hold one of a resource for each owner while the context lasts. Raises ``refusal`` of the first owner that has
        none left."""
        held: list[tuple[Owner, str]] = []
        try:
            for owner, key in owners:
                if not self.hold(resource, owner, key):
                    raise refusal(owner)
                held.append((owner, key))
            yield
        finally:
            for owner, key in held:
                self.release(resource, owner, key)

    def release(self, resource: Resource, owner: Owner, key: str) -> None:
        """Give a held unit back."""
        held = self._accounts[resource, owner].held
        held[key] -= 1
        if held[key] <= 0:
            del held[key]

    def _refuse(self, account: _Account, key: str) -> None:
        account.refuse(key)
        self._report_refusal(account.budget.resource, account.budget.owner)

    def snapshot(self) -> list[dict[str, Any]]:
        """The budgets and their use, for operators. ``keys``: those with the most refusals, then those that hold the
        most; ``left``: what they may spend at once, as of their last request."""
        return [self._show(account) for account in self._accounts.values()]

    @staticmethod
    def _show(account: _Account) -> dict[str, Any]:
        budget = account.budget
        keys = sorted(
            {*account.refused, *account.buckets, *account.held},
            key=lambda key: (-account.refused.get(key, 0), -account.held.get(key, 0), key),
        )
        return {
            "resource": budget.resource, "owner": budget.owner, "rate": budget.rate, "burst": budget.burst,
            "held": budget.held, "setting": budget.setting, "count": len(keys), "refusals": account.refusals,
            "keys": [
                {
                    "key": key, "refusals": account.refused.get(key, 0), "holds": account.held.get(key, 0),
                    "left": round(account.buckets[key].level, 3) if key in account.buckets else None,
                }
                for key in keys[:SHOWN]
            ],
        }  # fmt: skip
