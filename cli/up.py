"""``tussle up``: the whole of Tussle on this machine, from one terminal.

    store -> catalogue -> server, bots -> first session -> worker, meshes, velocity, position
    Ctrl-C: bots, server, worker, store

The store and the server are essential: without them everything stops. Any other child that is given up is reported, and
the sessions go on without it. Slow imports happen after the children were started.
This module must never hold state that the children need.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tussle.cli.guard import alive
from tussle.cli.qr import matrix_of, terminal_text
from tussle.cli.running import Running, announced, read_settings
from tussle.cli.supervisor import LOG_BYTES, ChildDied, RestartPolicy, Supervisor, rotate
from tussle.lobby.addresses import WILDCARDS, host_port, local_host, local_url
from tussle.lobby.cpu_baseline import below_baseline
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.launch import child_environment, module_command
from tussle.lobby.settings import BOT_SKILLS, Settings
from tussle.lobby.store.embedded import EmbeddedStore, free_port
from tussle.lobby.store.keys import Keys
from tussle.lobby.store.store_address import hide_password
from tussle.lobby.wire.delta_compiled import has_machine_code
from tussle.server.solver.packages import missing_packages

if TYPE_CHECKING:
    from tussle.lobby.wire.messages import SessionView

__all__ = ["command"]

READY_S = 600.0
"""A server that must compile its kernels first may take this long."""
FIRST_WAIT_S, WAIT_SAID_S = 5.0, 15.0
"""When the wait for the server is mentioned first, and how often again."""
FIRST_SESSION_S = 2.0
"""The workers start after this time at the latest, when the bots have begun no session."""
WAITING = "  Waiting for the server."
FIRST_START = f"{WAITING} The first start compiles the physics kernels: about half a minute."

SENTENCE_COLUMNS = 80 - len("  14:27:20  2vnw7nr5  ")
"""What a line of 80 columns has left behind the time and the session's token."""

STORE_POLL_S = 0.5

SIDES = {
    "bots": ("bots --matches 0 --serve", "nobody fills seats, and no bots play"),
    "worker": ("worker", "ended sessions are not rated, and their keys stay in the store"),
    "meshes": ("worker meshes", "mesh files that are sent are not checked"),
    "velocity": ("worker velocity", "a spring-damper has no velocity solver"),
    "position": ("worker position", "a spring-damper has no position solver"),
}
"""The children that are not essential: what starts each in another terminal, and what happens without it."""


class Stopped(Exception):
    """Raised to end ``tussle up`` without a failure: by a signal, or after enough sessions."""


@click.command("up")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of HTTP and WebSocket; default PORT; 0: a free one."
)
@click.option("--bots", type=click.IntRange(0, 1000), help="Bots that play; default BOTS.")
@click.option(
    "--matches", type=click.IntRange(1), help="End after that many finished sessions; default: never."
)
@click.option(
    "--size", type=click.IntRange(2, 64), default=2, show_default=True, help="Seats of the bots' duels."
)
@click.option("--skill", type=click.Choice(BOT_SKILLS), help="Skill of the bots; default BOT_SKILL.")
@click.option("--open", "browse", is_flag=True, help="Open the address in a browser.")
@click.option(
    "--lan", is_flag=True, help="Listen on the network, and show the address as a QR code for phones."
)
@click.option("--network", help="A bad network for all players, such as '120ms 40ms 3%'; default NETWORK.")
@click.pass_obj
def command(
    called: str | None,
    port: int | None,
    bots: int | None,
    matches: int | None,
    size: int,
    skill: str | None,
    browse: bool,
    lan: bool,
    network: str | None,
) -> None:
    """Start everything: store, server, worker, bots. Ctrl-C stops everything."""
    settings = read_settings(
        port=port, bots=bots, bot_skill=skill, host="0.0.0.0" if lan else None, network=network
    )
    missing = missing_packages()
    if missing:
        raise click.ClickException(missing)
    if below := below_baseline():
        click.echo(_faint(f"  {below[0].upper()}{below[1:]}."))
    up = Up(settings, called=called or "tussle", size=size, matches=matches or 0, browse=browse)
    sys.exit(asyncio.run(up.run()))


def waiting_words() -> str:
    """What is said of a server that is not ready soon: whether it must compile first."""
    return WAITING if has_machine_code() else FIRST_START


class Up:
    """One run of ``tussle up``."""

    def __init__(self, settings: Settings, *, called: str, size: int, matches: int, browse: bool) -> None:
        self.settings = settings
        self.called = called
        self.size = size
        self.matches = matches
        self.browse = browse
        self.began = time.monotonic()
        self.finished = 0
        self.turns = 0
        self.given_up: list[str] = []
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """The exit code. Nothing that was started is left when it returns."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        failure: BaseException | None = None
        try:
            port = free_port_or(self.settings.host, self.settings.port)
            self.settings.data_dir.mkdir(parents=True, exist_ok=True)
            async with (
                self._store() as (url, store),
                Supervisor(self.settings.data_dir / "logs") as supervisor,
            ):
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._stopped())
                        group.create_task(self._live(supervisor, url, store, port))
                except* Stopped:
                    pass
                self._say_stopping(supervisor)
        except* (LobbyError, OSError, ChildDied) as failures:
            failure = _first(failures)
        if failure is not None:
            return self._fail(failure)
        self._summary()
        return 0

    # -- life ------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[tuple[str, EmbeddedStore | None]]:
        if self.settings.redis_url:
            yield self.settings.redis_url, None
            return
        async with EmbeddedStore(self.settings) as store:
            yield store.url, store

    async def _stopped(self) -> None:
        await self._stopping.wait()
        raise Stopped

    async def _live(
        self, supervisor: Supervisor, redis_url: str, store: EmbeddedStore | None, port: int
    ) -> None:
        server_url = local_url(self.settings.host, port)
        environ = child_environment() | {
            "REDIS_URL": redis_url,
            "HOST": self.settings.host,
            "PORT": str(port),
            "SERVER_URL": server_url,
            "DATA_DIR": str(self.settings.data_dir.resolve()),
            "NETWORK": self.settings.network,
            "PYTHONUNBUFFERED": "1",
        }
        running = Running(os.getpid(), server_url, redis_url, self.settings.realm)
        with announced(self.settings.data_dir, running):
            # A store that already has a catalogue is updated after the server's start, which saves a second.
            bodies = Keys(self.settings.realm).catalogue("bodies")
            seeded = store is not None and _count(store, "HLEN", bodies) > 0
            if not seeded:
                await self._seed(redis_url)
            await supervisor.start("server", module_command("server"), environ=environ, grace_s=15.0)
            async with asyncio.TaskGroup() as group:
                group.create_task(supervisor.watch(self._report_death))
                if store is not None:
                    group.create_task(self._keep_store(store))
                if self.settings.bots:  # they wait for the server; what takes time is their own start
                    await supervisor.start(
                        "bots", self._bots(), environ=environ, essential=bool(self.matches)
                    )
                await self._until_ready(local_host(self.settings.host), port)
                self._banner(server_url, redis_url, store, supervisor.log_dir)
                await self._first_session(store)
                worker = module_command("worker")
                await supervisor.start("worker", worker, environ=environ, stop_last=True, essential=False)
                await supervisor.start("meshes", [*worker, "meshes"], environ=environ, essential=False)
                for solver in ("velocity", "position"):  # what the spring-damper's button starts
                    await supervisor.start(
                        solver, [*worker, solver], environ={**environ, "SPRING_IDLE_S": "0"}, essential=False
                    )
                if seeded:
                    await self._seed(redis_url)
                await self._print_finished_sessions(redis_url)

    def _bots(self) -> list[str]:
        return module_command(
            "player", "--count", str(self.settings.bots), "--matches", "0",
            "--size", str(self.size), "--skill", self.settings.bot_skill, "--think", str(self.settings.bot_think_s),
            "--patience", str(READY_S), "--serve",
        )  # fmt: skip

    async def _seed(self, redis_url: str) -> None:
        from tussle import build_db
        from tussle.lobby.store.store import Store

        store = await Store.connect(redis_url, self.settings.realm)
        try:
            await build_db.seed(store, build_db.catalogue_path(self.settings))
        finally:
            await store.close()

    async def _until_ready(self, host: str, port: int) -> None:
        deadline = time.monotonic() + READY_S
        said_s = 0.0
        while not await _answers(host, port):
            waited_s = time.monotonic() - self.began
            if waited_s > said_s + (WAIT_SAID_S if said_s else FIRST_WAIT_S):
                click.echo(_faint(f"  {waited_s:.0f} s" if said_s else waiting_words()))
                said_s = waited_s
            if time.monotonic() > deadline:
                raise StoreError(f"the server was not ready within {READY_S:g} s", code="not_ready")
            await asyncio.sleep(0.03)

    async def _first_session(self, store: EmbeddedStore | None) -> None:
        """Wait until the bots' first session runs, or FIRST_SESSION_S. It needs no worker, and the start of the workers
        takes as much CPU time as a solver's."""
        if store is None or self.settings.bots < 2:
            return
        deadline = time.monotonic() + FIRST_SESSION_S
        running = Keys(self.settings.realm).running
        while time.monotonic() < deadline and not _count(store, "ZCARD", running):  # noqa: ASYNC110
            await asyncio.sleep(0.03)

    async def _keep_store(self, store: EmbeddedStore) -> None:
        """Start the store again on the same data and port when it dies. Raises StoreError when it dies too often."""
        policy = RestartPolicy()
        while True:
            path = store.folder / "store.log"
            while store.pid is not None and alive(store.pid):
                await asyncio.to_thread(rotate, path, LOG_BYTES)
                await asyncio.sleep(STORE_POLL_S)
            delay_s = policy.died(time.monotonic())
            log = _short(path)
            if delay_s is None:
                raise StoreError(f"the store ended unexpectedly, {policy.deaths} times; see {log}")
            self._report(f"the store ended unexpectedly; restarting it in {delay_s:g} s. Its log: {log}")
            await asyncio.sleep(delay_s)
            await store.restart_async()

    async def _print_finished_sessions(self, redis_url: str) -> None:
        from tussle.cli.finished import finished_sessions
        from tussle.lobby.store.store import Store

        store = await Store.connect(redis_url, self.settings.realm)
        try:
            async with contextlib.aclosing(finished_sessions(store)) as finished:
                async for view in finished:
                    self._print_finished(view)
                    if self.matches and self.finished >= self.matches:
                        raise Stopped
        finally:
            await store.close()

    # -- words -----------------------------------------------------------------------------------

    def _banner(self, server_url: str, redis_url: str, store: EmbeddedStore | None, logs: Path) -> None:
        settings, called = self.settings, self.called
        port = redis_url.rpartition(":")[2].partition("/")[0]
        client = f"redis-cli -p {port}" if store is not None else f"redis-cli -u {hide_password(redis_url)}"
        look = f"{client} --scan --pattern '{Keys(settings.realm).session('*')}'"
        if not shutil.which("redis-cli"):
            look = f"{called} redis SCAN 0"
        kind = (
            f"{store.binary.kind} {store.binary.version}" if store is not None else hide_password(redis_url)
        )
        bots = f", {settings.bots} bots ({settings.bot_skill})" if settings.bots else ""
        phone = [url] if (url := _network_url(settings.host, server_url)) else []
        rows = [
            ("Play", click.style(server_url, bold=True)),
            *(("Phone", click.style(url, bold=True)) for url in phone),
            ("Watch", f"{called} watch      {_faint('the newest duel, in another terminal')}"),
            ("Look", look),
            *([("", _faint(f"or {called} redis"))] if shutil.which("redis-cli") else []),
            ("Runs", f"store ({kind}), server, workers{bots}"),
            ("Logs", _short(logs)),
        ]
        click.echo()
        name, took = (
            click.style("TUSSLE", bold=True, fg=(255, 201, 74)),
            f"{time.monotonic() - self.began:.1f} s",
        )
        click.echo(f"  {name}  up in {took}; Ctrl-C stops everything")
        for label, text in rows:
            click.echo(f"  {_faint(f'{label:<6}')} {text}")
        click.echo()
        if phone and sys.stdout.isatty():
            for line in terminal_text(matrix_of(phone[0])).splitlines():
                click.echo("  " + click.style(line, fg=(0, 0, 0), bg=(255, 255, 255)))
            click.echo()
        if self.browse:
            click.launch(server_url)

    def _print_finished(self, view: SessionView) -> None:
        from tussle.cli.finished import length, sentence
        from tussle.lobby.text import escape_text

        at = _faint(time.strftime("%H:%M:%S"))
        if view.status == "failed":
            click.echo(f"  {at}  {view.session}  {_coral(escape_text(f'failed: {view.reason}'))}")
        elif view.result is not None:
            self.finished += 1
            self.turns += length(view)[1]
            click.echo(f"  {at}  {view.session}  {sentence(view, SENTENCE_COLUMNS)}")

    def _report_death(self, death: ChildDied, delay_s: float | None) -> None:
        log = _short(death.child.log_path)
        if delay_s is not None:
            self._report(f"{death}; restarting it in {delay_s:g} s. Its log: {log}")
            return
        name = death.child.name
        command, effect = SIDES[name]
        self.given_up.append(name)
        self._report(f"{death}, and is not started again. FROM NOW ON {effect.upper()}.")
        self._show_log(death)
        click.echo(f"  The server and the store run on. When the cause is gone: {self.called} {command}")

    def _show_log(self, death: ChildDied) -> None:
        for line in death.last_lines:
            click.echo(f"  | {line[:400]}", err=True)
        click.echo(f"  Its whole log: {_short(death.child.log_path)}", err=True)

    def _report(self, problem: str) -> None:
        click.echo(f"  {_faint(time.strftime('%H:%M:%S'))}  {_coral(problem)}")

    def _say_stopping(self, supervisor: Supervisor) -> None:
        if sys.stdout.isatty():
            click.echo("\r  Stopping ...", nl=False)

    def _summary(self) -> None:
        if sys.stdout.isatty():
            click.echo("\r\x1b[K", nl=False)
        took = time.monotonic() - self.began
        from tussle.cli.palette import counted

        done = f"{counted(self.finished, 'session')} finished, {counted(self.turns, 'turn')}, {took:.1f} s"
        without = f", and the end was without {', '.join(self.given_up)}" if self.given_up else ""
        click.echo(f"tussle: {done}; everything is stopped{without}")

    def _fail(self, failure: BaseException) -> int:
        if sys.stdout.isatty():
            click.echo("\r\x1b[K", nl=False)
        click.echo(_coral(f"tussle: {failure}"), err=True)
        if isinstance(failure, ChildDied):
            self._show_log(failure)
        return 1


def free_port_or(host: str, port: int) -> int:
    """The port if it is free, a free one for 0. Raises OSError with one clear sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port or free_port(host)))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = (
                    f"another Tussle? Stop it, or choose another: --port {port + 1 if port < 65535 else 8421}"
                )
                raise OSError(f"port {port} is in use; {advice}") from None
            raise OSError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
        return int(probe.getsockname()[1])


def _network_url(host: str, server_url: str) -> str:
    """The address at which other machines of the network reach a server that listens on every address; '' if it does
    not, or without a network. Connecting a UDP socket sends nothing: it only chooses the own address."""
    if host not in WILDCARDS:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # documentation's network (RFC 5737)
        return f"http://{host_port(probe.getsockname()[0], int(server_url.rpartition(':')[2]))}"
    return ""


def _count(store: EmbeddedStore, command: str, key: str) -> int:
    """The answer of a command that counts a key's entries; 0 without one. Speaks RESP directly: importing the client
    library takes longer than this."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(_address(store.url), timeout=1.0) as connection,
    ):
        parts = (command.encode(), key.encode())
        connection.sendall(b"*2\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        if found := re.match(rb":(\d+)", connection.recv(64)):
            return int(found[1])
    return 0


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("redis://").rpartition(":")
    return host, int(port)


async def _answers(host: str, port: int) -> bool:
    """Whether /healthz says 200."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _faint(text: str) -> str:
    return click.style(text, fg=(143, 163, 156))


def _coral(text: str) -> str:
    return click.style(text, fg=(255, 129, 104))


def _first(error: BaseException) -> BaseException:
    """The first cause in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)
