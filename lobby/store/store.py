"""The store: Redis >= 7, Valkey or Dragonfly, behind five methods. The only module that imports redis.

    call    one command                    batch   several commands in one round trip (atomic: MULTI)
    run     one Lua script by its name     now_ms  the store's clock
    wakeups hints from channels (lobby/store/wakeups.py)

Replies are plain Python: str, int, None and lists of them; bytes only where a caller asks for them. A failure of the
connection or the store raises StoreError; a refusal of a script raises the error that REFUSALS has for its code. A call
that timed out may have taken effect: every script can be repeated safely. This module must never spell a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import weakref
from collections.abc import Sequence
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import (
    ClusterError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from tussle.lobby.errors import (
    AuthError,
    Conflict,
    Fenced,
    Forbidden,
    LobbyError,
    LobbyFull,
    NotFound,
    RateLimited,
    Refused,
    ScriptError,
    StoreError,
)
from tussle.lobby.store.call_lanes import CallLanes
from tussle.lobby.store.keys import Keys
from tussle.lobby.store.scripting import load_scripts
from tussle.lobby.store.store_address import Sentinels, hide_password, parse_sentinels, with_node

__all__ = ["REFUSALS", "SCHEMA", "Store", "StoreConnection"]

SCHEMA = 1
"""Version of the stored layout, kept in ``meta``. A change of it needs a migration."""

LEAST_VERSION = 7

ASK_CLUSTER_S = 1.0
"""Timeout of a call to one node of a cluster."""

Reply = Any
Argument = str | bytes | int

REFUSALS: dict[str, type[LobbyError]] = {
    "bad_joint": Conflict,
    "banned": Forbidden,
    "body_locked": Conflict,
    "ended": Conflict,
    "fenced": Fenced,
    "fixed_body": Conflict,
    "frame_locked": Conflict,
    "in_session": Conflict,
    "journal_differs": Fenced,
    "left": Conflict,
    "lobby_full": LobbyFull,
    "lock_required": Conflict,
    "mesh_store_full": StoreError,
    "meshes_busy": RateLimited,
    "name_taken": AuthError,
    "no_bot_wanted": Conflict,
    "no_bots": Conflict,
    "no_recording": NotFound,
    "no_such_body": NotFound,
    "no_such_mark": NotFound,
    "not_allowed": Forbidden,
    "not_author": Forbidden,
    "not_editable": Conflict,
    "not_found": NotFound,
    "not_guest": Conflict,
    "not_host": Refused,
    "not_member": Conflict,
    "not_open": Conflict,
    "not_own_recording": Forbidden,
    "not_presenter": Conflict,
    "not_running": Conflict,
    "not_starting": Conflict,
    "nothing_to_undo": Conflict,
    "presenter_taken": Conflict,
    "recording_exists": Refused,
    "recordings_full": Conflict,
    "resume_refused": AuthError,
    "scene_empty": Conflict,
    "scene_too_large": Conflict,
    "server_id_taken": Fenced,
    "stale_lock": Conflict,
    "stale_version": Conflict,
    "ticket_refused": AuthError,
    "token_taken": Conflict,
    "too_many_bans": Conflict,
    "too_many_bodies": Conflict,
    "too_many_marks": Conflict,
    "too_many_recordings": Conflict,
    "too_many_vertices": Conflict,
    "unknown_player": AuthError,
}
"""Code with which a script refuses a call -> the error that the caller gets."""


class StoreConnection:
    """A connection outside of the pool, for one owner: for subscriptions and blocking reads."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def send(self, *command: Argument) -> None:
        """Send a command without waiting for its reply. Raises StoreError."""
        try:
            await self._connection.send_command(*command, check_health=False)
        except (RedisError, OSError) as error:
            raise StoreError(f"the store is unreachable: {error}") from error

    async def receive(self, timeout_s: float) -> Reply:
        """The next reply; None if there is none within ``timeout_s``. Raises StoreError."""
        try:
            reply = await self._connection.read_response(timeout=timeout_s, disconnect_on_error=False)
        except (RedisError, OSError) as error:
            raise StoreError(f"the store is unreachable: {error}") from error
        return _plain(reply)

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


DRIVER = DriverInfo()
"""What connections tell the store about redis-py. Made once: without it each connection would read the version from the
metadata of the installed package, which takes longer than to connect."""


class _Pool(BlockingConnectionPool):
    """A pool that hands out no connection after ``disconnect``: nobody would close it."""

    ended = False

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect."""
        try:
            await super().ensure_connection(connection)
        except AttributeError:
            if not self.ended:  # redis uses a connection that disconnect() has closed
                raise
        if self.ended:
            await connection.disconnect(nowait=True)
            raise RedisError("the connections were closed")

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close every connection; one that is being made is closed by ``ensure_connection``."""
        self.ended = True
        await super().disconnect(inuse_connections)


class Store:
    """One realm of one store, for one event loop. Create it with ``await Store.connect(url, realm)``.

    ``connections``: most connections of the process's own calls; those of its lease and its clients are beside them
    (lobby/store/call_lanes.py)."""

    def __init__(self, url: str, realm: str, *, timeout_s: float = 5.0, connections: int = 32) -> None:
        self.keys = Keys(realm)
        self._sentinels = parse_sentinels(url)
        self._renewed_at = -math.inf
        self._links: weakref.WeakSet[StoreConnection] = weakref.WeakSet()
        self.url = url if self._sentinels is None else self._sentinels.template
        self._timeout_s = timeout_s
        self.lanes = CallLanes(connections)
        self._scripts = load_scripts()
        self._cluster: set[str] = set()
        self._locating: asyncio.Task[None] | None = None
        self._pool = self._make_pool(self.url)

    def _make_pool(self, url: str) -> _Pool:
        try:
            return _Pool.from_url(
                url,
                max_connections=self.lanes.connections,
                timeout=None,
                protocol=2,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                client_name="tussle",
                driver_info=DRIVER,
            )
        except ValueError as error:
            shown = hide_password(url)
            raise StoreError(f"not an address of a store: {shown}: {error}", code="bad_address") from None

    @classmethod
    async def connect(
        cls,
        url: str,
        realm: str,
        *,
        timeout_s: float = 5.0,
        connections: int = 32,
        check_schema: bool = True,
    ) -> Self:
        """Connect, and check the version and, unless ``check_schema`` is False (for a migration), the schema.

        Raises StoreError with code ``store_unavailable``, ``store_full``, ``store_too_old`` or ``schema_mismatch``;
        no connection is left open then.
        """
        store = cls(url, realm, timeout_s=timeout_s, connections=connections)
        try:
            if store._sentinels is not None:
                await store._relocate()
                if store.url == store._sentinels.template:
                    raise StoreError(
                        f"no sentinel names a primary that answers for {store._sentinels.service!r}"
                    )
            await store._check_version()
            if check_schema:
                await store._check_schema()
        except BaseException:
            await store.close()
            raise
        return store

    async def _check_version(self) -> None:
        info = str(await self.call("INFO", "server"))
        if "cluster_enabled:1" in str(await self.call("INFO", "cluster")):
            self._cluster = {self.url}
            await self._locate()
        version = re.search(r"^redis_version:(\d+)\.(\S+)", info, re.MULTILINE)
        if version is None or int(version[1]) < LEAST_VERSION:
            found = f"{version[1]}.{version[2]}" if version else "unknown"
            raise StoreError(
                f"the store has version {found}; Redis 7, Valkey or newer is needed", code="store_too_old"
            )

    async def _check_schema(self) -> None:
        await self.call("HSETNX", self.keys.meta, "schema", SCHEMA)
        schema = int(await self.call("HGET", self.keys.meta, "schema"))
        if schema != SCHEMA:
            advice = "this Tussle is too old for it" if schema > SCHEMA else "`tussle migrate` upgrades it"
            raise StoreError(f"the store has schema {schema}, not {SCHEMA}: {advice}", code="schema_mismatch")

    async def check_channels(self) -> None:
        """Raises StoreError ``no_channels`` if the user of the store may not use the realm's channels: no hint would
        arrive then, and every script that sends one would fail."""
        link = await self.link()
        try:
            for command in (("SUBSCRIBE", self.keys.lifecycle), ("UNSUBSCRIBE", self.keys.lifecycle)):
                await link.send(*command)
                await link.receive(self._timeout_s)
            await self.call("PUBLISH", self.keys.lifecycle, "")
        except StoreError as error:
            if isinstance(error.__cause__, NoPermissionError):
                raise StoreError(
                    "the user of the store may not use the channels of this realm; give it the right"
                    f" &{self.keys.prefix}* (ACL SETUSER)",
                    code="no_channels",
                ) from None
            raise
        finally:
            await link.close()

    async def close(self) -> None:
        """Close every connection. Calls that are under way fail."""
        if self._locating is not None:
            self._locating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._locating
        await self._pool.disconnect()

    # Redis Cluster: the hash tag puts a realm on one node. The node may change.

    async def _locate(self) -> None:
        """Ask any node which node has the realm, and use that node from now on. If no node answers, nothing changes,
        and the next failed call asks again."""
        if self._sentinels is not None:
            await self._ask_sentinels(self._sentinels)
            return
        slot = await self._ask_cluster(("CLUSTER", "KEYSLOT", self.keys.prefix))
        slots = await self._ask_cluster(("CLUSTER", "SLOTS"))
        if slot is None or slots is None:
            return
        found = ""
        for first, last, *nodes in slots:
            addresses = [with_node(self.url, node[0].decode(), int(node[1])) for node in nodes]
            self._cluster |= set(addresses)
            if first <= slot <= last:
                found = addresses[0]
        if found and found != self.url:
            await self._use(found)

    async def _use(self, url: str) -> None:
        """Use the node at that address from now on, with new connections: those to the former primary stay open, and
        would be refused or get no hint any more."""
        before, self._pool, self.url = self._pool, self._make_pool(url), url
        for link in list(self._links):
            await link.close()
        await before.disconnect()

    async def _ask_sentinels(self, sentinels: Sentinels) -> None:
        """Use the primary that a sentinel names. The first node that answers as a primary counts."""
        for sentinel in sentinels.urls:
            named = await self._ask([sentinel], ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.service))
            if not named:
                continue
            url = with_node(sentinels.template, named[0].decode(), int(named[1]))
            role = await self._ask([url], ("ROLE",))
            if role and role[0] == b"master":
                if url != self.url:
                    await self._use(url)
                return

    async def _ask_cluster(self, command: Sequence[Argument]) -> Reply:
        """The reply of the first node of the cluster that answers; None if none does."""
        return await self._ask([self.url, *sorted(self._cluster - {self.url})], command)

    async def _ask(self, urls: Sequence[str], command: Sequence[Argument]) -> Reply:
        """The reply of the first of some nodes that answers; None if none does."""
        for url in urls:
            pool = self._make_pool(url)
            try:
                async with asyncio.timeout(ASK_CLUSTER_S):
                    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
                    await connection.send_command(*command)
                    reply = await _read(connection)
                if not isinstance(reply, ResponseError):
                    return reply
            except (TimeoutError, RedisError, OSError):
                continue
            finally:
                await pool.disconnect()
        return None

    async def _relocate(self) -> None:
        """Locate the realm's node. Calls that fail at the same time share one search."""
        if self._locating is None or self._locating.done():
            self._locating = asyncio.create_task(self._locate(), name="store-locate")
        await asyncio.shield(self._locating)

    async def now_ms(self) -> int:
        """The store's clock [ms]."""
        seconds, microseconds = await self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def call(self, *command: Argument, raw: bool = False) -> Reply:
        """Run one command. With ``raw`` the reply has bytes instead of str. Raises StoreError."""
        reply = (await self._exchange([command]))[0]
        return _checked(reply if raw else _plain(reply))

    async def batch(self, commands: Sequence[Sequence[Argument]], *, atomic: bool = False) -> list[Reply]:
        """Run several commands in one round trip; ``atomic``: in one transaction. Raises StoreError."""
        if not commands:
            return []
        if not atomic:
            return [_checked(_plain(reply)) for reply in await self._exchange(commands)]
        replies = await self._exchange([("MULTI",), *commands, ("EXEC",)])
        for reply in replies:
            _checked(reply)
        return [_checked(_plain(reply)) for reply in replies[-1]]

    async def run(self, script_name: str, keys: Sequence[str], args: Sequence[Argument]) -> list[Any]:
        """Run a script and return its reply, which begins with "OK" or another word of its header.

        Raises the error of REFUSALS if the script refuses; nothing has changed then. Raises StoreError if the store
        did not answer; the script may have run. Raises ScriptError if the script failed; what it wrote before it
        failed is kept.
        """
        script = self._scripts[script_name]
        tail = (len(keys), *keys, *args)
        reply = (await self._exchange([("EVALSHA", script.sha, *tail)]))[0]
        if isinstance(reply, NoScriptError):
            reply = (await self._exchange([("EVAL", script.text, *tail)]))[0]
        answer = _checked(_plain(reply))
        if not isinstance(answer, list) or not answer:
            raise ScriptError(f"script {script_name} answered {answer!r}")
        if answer[0] == "ERR":
            kind = REFUSALS.get(answer[1])
            if kind is None:
                raise ScriptError(f"script {script_name} refused with an unknown code {answer[1]!r}")
            raise kind(answer[2], code=answer[1])
        return answer

    async def chain(
        self,
        script_name: str,
        calls: Sequence[tuple[Sequence[str], Sequence[Argument]]],
        *then: Sequence[Argument],
    ) -> tuple[list[Any], list[Reply]]:
        """Run a script several times, then other commands, in one round trip.

        Returns the replies of the script and the replies of the commands. If the store refuses one of them, its place
        in the list has the exception, so that the other replies are not lost. Raises StoreError as ``run``.
        """
        script = self._scripts[script_name]
        tails = [(len(keys), *keys, *args) for keys, args in calls]
        commands = [*(("EVALSHA", script.sha, *tail) for tail in tails), *then]
        replies = await self._exchange(commands)
        for i, tail in enumerate(tails):
            if isinstance(replies[i], NoScriptError):
                replies[i] = (await self._exchange([("EVAL", script.text, *tail)]))[0]
        plain = [
            StoreError(f"the store refused: {reply}") if isinstance(reply, RedisError) else _plain(reply)
            for reply in replies
        ]
        return plain[: len(tails)], plain[len(tails) :]

    async def link(self) -> StoreConnection:
        """Open a connection outside of the pool. The caller closes it. Raises StoreError."""
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # redis may swallow a cancellation while it connects
                raise asyncio.CancelledError
        except BaseException as error:
            await connection.disconnect(nowait=True)
            if isinstance(error, (RedisError, OSError, TimeoutError)):
                raise StoreError(f"the store is unreachable: {error}") from error
            raise
        made = StoreConnection(connection)
        self._links.add(made)
        return made

    async def _exchange(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Send commands and read one reply for each. A reply that is an error is returned, not raised. On a cluster the
        commands go to the node that has the realm, with sentinels to the primary that they name. Raises StoreError if
        that node fails; the caller may retry."""
        if not self._cluster and self._sentinels is None:
            replies = await self._exchange_here(commands)
            if _demoted(replies):
                await self._renew()
            return replies
        try:
            replies = await self._exchange_here(commands)
        except StoreError:
            await self._relocate()
            raise
        if _demoted(replies):
            await self._relocate()
            await self._renew()
        if any(isinstance(reply, MovedError) for reply in replies):
            await self._relocate()
            replies = await self._exchange_here(commands)
        return replies

    async def _renew(self) -> None:
        """Drop every connection, at most every RENEW_S: the node is no primary now, and the name of the store's host
        may lead to another one."""
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at >= RENEW_S:
            self._renewed_at = now
            await self._use(self.url)

    async def _exchange_here(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        await self.lanes.pace()
        leave = None
        try:
            async with asyncio.timeout(self._timeout_s):
                leave = await self.lanes.enter()
                pool = self._pool  # self._pool may be replaced by another node's while this call waits
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]
                whole = False
                try:
                    await connection.send_packed_command(
                        connection.pack_commands(commands), check_health=False
                    )
                    replies = [await _read(connection) for _ in commands]
                    whole = True
                except AttributeError as error:
                    if pool.ended:  # redis uses a connection that disconnect() has closed
                        raise RedisError("the connections were closed") from error
                    raise
                finally:
                    if not whole:  # a reply may still be on its way: never reuse this socket
                        await connection.disconnect(nowait=True)
                    await pool.release(connection)
                if task is not None and task.cancelling() > cancelled:
                    raise asyncio.CancelledError  # redis swallows it while it connects
                return replies
        except TimeoutError as error:
            raise StoreError(f"the store did not answer within {self._timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            raise StoreError(f"the store is unreachable: {error}") from error
        finally:
            if leave is not None:
                leave()


def _demoted(replies: Sequence[Reply]) -> bool:
    """Whether the node refuses because it is not, or not yet, a primary."""
    return any(
        isinstance(reply, (ReadOnlyError, MasterDownError))
        or (isinstance(reply, RedisError) and DEMOTED.search(str(reply)) is not None)
        for reply in replies
    )


async def _read(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


SCRIPT_FAULT = re.compile(r"user_script|running script|compiling script|from Lua script|script:")
NOT_NOW = re.compile(
    r"\b(ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|MOVED|NOREPLICAS|OOM|READONLY|TRYAGAIN|UNKILLABLE)\b"
    r"|[Oo]ut of memory"
)
"""Errors of a temporary state of the store, also inside of a script. The call may be repeated."""


DEMOTED = re.compile(r"\b(READONLY|MASTERDOWN)\b")
"""Of an error inside of a script. A node that loads closes the connection of each call that it refuses."""

RENEW_S = 0.25

OUT_OF_MEMORY = re.compile(r"\bOOM\b|[Oo]ut of memory")
FULL_RETRY_S = 5.0


def _checked(reply: Reply) -> Reply:
    """Return a reply that is not an error. Raises ScriptError for a fault of a script, else StoreError."""
    if isinstance(reply, RedisError):
        text = str(reply)
        if isinstance(reply, OutOfMemoryError) or OUT_OF_MEMORY.search(text):
            raise StoreError(
                "the store is out of memory", code="store_full", retry_after=FULL_RETRY_S
            ) from reply
        lasting = not isinstance(reply, (ClusterError, OutOfMemoryError, ReadOnlyError, TryAgainError))
        if lasting and SCRIPT_FAULT.search(text) and not NOT_NOW.search(text):
            raise ScriptError(f"a script failed: {text}") from reply
        raise StoreError(f"the store refused: {reply}") from reply
    return reply


def _plain(reply: Reply) -> Reply:
    """The reply with str instead of bytes, also in nested lists."""
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "replace")
    if isinstance(reply, list):
        return [_plain(part) for part in reply]
    return reply
