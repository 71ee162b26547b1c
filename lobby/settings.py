"""Every setting, read once from the environment, checked at start and passed in. ``.env.example`` lists them all.

Nothing else of Tussle reads the environment, except the registry of the modes (lobby/environment.py). A bad value stops
the process with one line that names it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tussle.lobby.environment import BadSetting, read_variable, split_list
from tussle.lobby.network import parse_network
from tussle.lobby.operator_entries import parse_entries

__all__ = ["BOT_SKILLS", "TURN_FORM", "Settings", "example", "port_range"]

TURN_FORM = re.compile(r"turns?:([^?:\s]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?")

BOT_SKILLS = ("dummy", "random", "novice", "fair", "good", "sharp", "planner", "taught")


def setting(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    among: tuple[str, ...] = (),
) -> Any:
    """A field of Settings. low, high: bounds of a number; among: the texts that are valid."""
    return field(default=default, metadata={"meaning": meaning, "low": low, "high": high, "among": among})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Field ``lobby_timeout_s`` is the environment variable ``LOBBY_TIMEOUT_S``. Units are in the names."""

    # the store
    redis_url: str = setting(
        "",
        "address of the store: redis://, rediss://, unix:// or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE; empty: an"
        " embedded one is started",
    )
    realm: str = setting("main", "namespace in the store: every key begins with {REALM}:")
    store_fsync: str = setting(
        "everysec",
        "how often the embedded store syncs its file to disk; always: its crash loses nothing",
        among=("everysec", "always"),
    )
    store_port: int = setting(0, "port of the embedded store; 0: a free one", low=0, high=65535)
    data_dir: Path = setting(Path("data"), "folder of the embedded store, the archive and other local data")

    archive_url: str = setting("", "where sessions are archived: any fsspec URL; empty: DATA_DIR/archive")
    archive_days: float = setting(
        30.0, "days that the archive keeps a session after its last write; 0: for ever", low=0
    )

    recordings_url: str = setting(
        "", "where sessions are recorded, any fsspec URL; empty: DATA_DIR/recordings"
    )
    recordings_days: float = setting(
        30.0, "days that a recording is kept after its last write; 0: for ever", low=0
    )
    recordings_listed: int = setting(
        20_000,
        "most recordings of sessions that are listed, the newest; others are found by their token",
        low=1,
    )

    upload_bytes: int = setting(268_435_456, "largest recording that is uploaded [B]", low=65_536)
    upload_player_bytes: int = setting(
        1_073_741_824, "size of all uploaded recordings of one player [B]", low=65_536
    )
    upload_total_bytes: int = setting(
        17_179_869_184, "size of all uploaded recordings [B]; guests together have half of it", low=65_536
    )

    fork_ticks: int = setting(
        3600, "most ticks that are simulated again for one fork, from the nearest checkpoint", low=1
    )

    # uploaded meshes
    mesh_bytes: int = setting(33_554_432, "largest mesh file that a client may send", low=1024)
    mesh_store_bytes: int = setting(4_294_967_296, "most bytes of all stored meshes together", low=1024)
    mesh_rate: float = setting(
        1_048_576.0,
        "bytes per second of mesh files that one address may send; 256 times that at once, half of it for a player",
        low=1024,
    )
    mesh_days: float = setting(
        30.0,
        "days that a mesh is kept after its last use, unless a scene or an archive uses it; 0: for ever",
        low=0,
    )
    mesh_s: float = setting(60.0, "longest time that `worker meshes` may take for one mesh", low=1)
    mesh_memory_mb: int = setting(
        2048, "most memory [MiB] that the process which makes a mesh may use", low=256
    )

    # the server
    host: str = setting("127.0.0.1", "address that the server listens on")
    playground: str = setting(
        "auto",
        "whether the workbench for modes, /playground, is served; auto: while HOST is a loopback address",
        among=("auto", "on", "off"),
    )
    port: int = setting(8420, "port of HTTP and WebSocket; 0: a free one", low=0, high=65535)
    public_url: str = setting(
        "",
        "address at which clients reach this server: http://..., or a path on their proxy's host, in which"
        " {hostname} is replaced by this machine's host name; empty: the address that the client's request used",
    )
    trusted_proxies: str = setting(
        "",
        "addresses, networks and host names of proxies whose X-Forwarded-For, -Proto, -Host and -Prefix are trusted,"
        " comma separated; names are resolved at the start",
    )
    server_id: str = setting("", "name of this server in the store; empty: a random one")
    solvers: int = setting(0, "solver processes; 0: one per core", low=0, high=256)
    heavy_solvers: int = setting(
        -1,
        "most additional solver processes, of low priority, for sessions with long ticks; -1: one per core",
        low=-1,
        high=256,
    )
    internal_url: str = setting(
        "", "address at which other servers reach this one, http://...; empty: from HOST and PORT"
    )
    solver_timeout_s: float = setting(
        10.0, "a solver process that does not answer for this long is killed", low=0.5
    )
    claim_other_s: float = setting(
        10.0,
        "time after which a session is claimed by a server with another physics_id, if none has the same",
        low=0,
    )
    lease_ms: int = setting(
        1500,
        "lifetime of a server's lease in the store; it is renewed three times per lifetime",
        low=300,
        high=60_000,
    )
    max_sessions: int = setting(200, "most sessions that one server holds at once", low=1)
    grace_s: float = setting(10.0, "most time that a shutdown takes after SIGTERM", low=0)
    modes: str = setting(
        "", "Python files, or folders of them, with modes of your own, comma separated (docs/tutorial)"
    )

    # lobbies and seats
    lobby_timeout_s: float = setting(
        180.0, "a lobby that has not started after this time ends as timed_out", low=0.1
    )
    scene_idle_s: float = setting(
        600.0, "a lobby whose scene is edited waits this long after the last edit, if that is longer", low=1
    )
    ticket_ttl_s: float = setting(
        15.0, "time for which a seat is reserved for a client that has not connected yet", low=1
    )
    reconnect_grace_s: float = setting(
        15.0,
        "time for which a waiting lobby keeps the seat of a client that lost its connection, and by which one turn of a"
        " person who lost it is longer",
        low=0,
    )
    alone_s: float = setting(
        5.0,
        "time after which bots fill a public lobby of a mode with turns in which one person waits alone, if a bot"
        " process is running; 0: never",
        low=0,
    )
    rematch_hold_s: float = setting(
        60.0,
        "time for which the lobby of a rematch holds the seats of the people of the match before",
        low=1,
        high=600,
    )
    login_ttl_s: int = setting(604_800, "lifetime of a login token; each use renews it", low=60)
    max_seats: int = setting(16, "most seats of a lobby", low=1, high=64)

    # the run
    turn_s: float = setting(20.0, "deadline of a person's turn", low=0.1, high=3600)
    bot_turn_s: float = setting(2.0, "deadline of a bot's turn", low=0.1, high=3600)
    sim_speed: float = setting(
        1.0, "simulated seconds per second; 0: as fast as the solver can", low=0, high=100
    )
    idle_s: float = setting(60.0, "a run without any connection is paused after this time; 0: never", low=0)
    unattended_s: float = setting(
        600.0, "a run without any connection ends as unattended after this time; 0: never", low=0
    )
    frame_hz: float = setting(30.0, "frames per simulated second sent to each viewer", low=1, high=240)
    frame_precision: str = setting("single", "precision of the numbers in a frame", among=("single", "half"))
    frame_error_mm: float = setting(
        0.1,
        "greatest error of a place in a delta frame, along each axis [mm]; of a turn about each, 0.5 degrees per mm",
        low=0.001,
        high=10,
    )
    network: str = setting(
        "",
        "bad network on demand between sessions and their clients: latency and jitter of a round trip, loss and"
        " more words, such as 120ms 40ms 3% rate=512kbit stall=2s/30s; empty: none",
    )
    checkpoint_s: float = setting(1.0, "longest time between two checkpoints while a world moves", low=0.05)
    prove: bool = setting(True, "check every checkpoint for intersections, with ipctk")

    # limits of the gateway
    max_message_bytes: int = setting(8192, "largest message from a client", low=256)
    message_rate: float = setting(60.0, "messages per second that a seat may send on average", low=1)
    message_burst: int = setting(120, "messages that a seat may send at once", low=1)
    message_bytes_rate: float = setting(
        0.0, "bytes per second that a seat may send on average; 0: 4096 x MESSAGE_RATE", low=0
    )
    chat_rate: float = setting(5.0, "lines of chat per second of one seat; ten times that at once", low=0.1)
    max_body_bytes: int = setting(1_048_576, "largest body of an HTTP request", low=1024)
    request_rate: float = setting(
        200.0, "HTTP requests per second of one address, and of one player; five times that at once", low=1
    )
    login_rate: float = setting(50.0, "logins per second of one address; ten times that at once", low=0.1)
    guess_rate: float = setting(
        0.5,
        "logins per second with a secret for one name, on all servers; twenty times that, and at least one, at once",
        low=0.01,
    )
    bot_share: int = setting(
        8,
        "most bots that fill seats at once for one player, on all servers; eight times that for one address, such as a"
        " classroom's;"
        " 0: none",
        low=0,
    )
    reservation_rate: float = setting(
        0.2,
        "seats per second that one address may reserve for players who do not connect; 320 times that at once, 30"
        " times for one player",
        low=0.01,
    )
    open_rate: float = setting(
        2.0,
        "lobbies per second that players of one address may open, on all servers; sixty times that at once; a quarter"
        " of both for one player",
        low=0.01,
    )
    store_rate: float = setting(
        262_144.0,
        "bytes per second that the requests of one address may write into the store; 128 times that at once, a"
        " sixteenth for one player, a thirty-second for one session",
        low=1024,
    )
    recording_rate: float = setting(
        33_554_432.0,
        "bytes per second of recordings that one address may read; 64 times that at once",
        low=65_536,
    )
    address_sessions: int = setting(
        0,
        "most lobbies and sessions that players of one address have opened and that are not over, on all servers; half"
        " of that for one player; 0: half of MAX_SESSIONS",
        low=0,
    )
    address_connections: int = setting(2000, "most connections that one address has at once", low=1)
    input_cost_rate: float = setting(
        100.0, "solver time [ms] per second that the costly inputs of one seat may take on average", low=1
    )
    input_cost_burst: float = setting(
        1500.0, "solver time [ms] that the costly inputs of one seat may take at once", low=1
    )
    player_connections: int = setting(16, "most sockets that one player has at once", low=1)
    allowed_hosts: str = setting(
        "",
        "names by which clients reach this server, comma separated; *: any. Addresses, names without a dot and the"
        " hosts of PUBLIC_URL, INTERNAL_URL and ALLOWED_ORIGINS are always accepted",
    )
    max_connections: int = setting(
        0,
        "most connections at once; 0: as many as the limit of open files allows, less those of the server itself",
        low=0,
    )
    allowed_origins: str = setting(
        "", "other origins whose web pages may use this server, comma separated; *: any"
    )

    # frames over WebRTC
    webrtc: bool = setting(
        False, "offer clients frames over a WebRTC data channel; needs the extra tussle[webrtc]"
    )
    webrtc_peers: int = setting(
        32,
        "most data channels of one server at once; each needs about 1 % of a core at 30 frames per second",
        low=1,
    )
    webrtc_ports: str = setting(
        "", "first and last UDP port of the data channels, such as 40000-40063; empty: any free port"
    )
    webrtc_address: str = setting(
        "",
        "IP addresses at which clients reach these ports, comma separated, if they are not those of this machine:"
        " behind NAT, in a container",
    )
    stun_url: str = setting("", "STUN server, stun:HOST:PORT; not needed on a LAN or with a public address")
    turn_urls: str = setting(
        "",
        "TURN servers for clients that UDP does not reach, comma separated, such as turn:HOST:PORT?transport=tcp",
    )
    turn_secret: str = setting(
        "", "secret that the TURN servers share with this server; clients never get it"
    )
    turn_ttl_s: int = setting(3600, "lifetime of a client's TURN credentials", low=60, high=604_800)

    # after the end
    expiry_s: int = setting(600, "lifetime of a session's keys after its end", low=1)
    abandon_s: float = setting(300.0, "a run that no server claims for this long ends as failed", low=0)
    sweep_s: float = setting(15.0, "interval of the worker's sweep", low=0.05)
    claim_idle_s: float = setting(
        5.0, "time after which another worker claims a lifecycle entry that is not acknowledged", low=0.05
    )

    # the spring-damper: m x'' + 2 m omega zeta x' + k x = 0
    spring_m: float = setting(1.0, "mass [kg]", low=1e-9)
    spring_k: float = setting(1.0, "stiffness [N/m]", low=0)
    spring_zeta: float = setting(0.01, "damping ratio", low=0)
    spring_h: float = setting(0.1, "time step [s]", low=1e-9)
    spring_cycles: int = setting(1000, "steps of one run", low=1)
    spring_idle_s: float = setting(0.0, "a stream solver that is idle for this long ends; 0: never", low=0)
    spring_kept: int = setting(1_000_000, "entries that each of the two streams keeps, about", low=1000)

    # telemetry and other sources of readings
    telemetry_hz: float = setting(
        10.0, "batches of readings per second and session; 0: none", low=0, high=1000
    )
    telemetry_kept: int = setting(36_000, "batches that a session's or source's stream keeps, about", low=100)
    source: str = setting("host", "what `worker source` reads: host, mock, csv:PATH, log:PATH")
    source_name: str = setting("", "name of the source of `worker source`; empty: from SOURCE")
    source_hz: float = setting(1.0, "batches per second that `worker source` publishes", low=0.01, high=1000)
    operators: str = setting(
        "",
        "names reserved for operators, each with a hash, comma separated: what `tussle operator hash NAME`"
        " prints; `tussle operator add NAME` needs no entry",
    )

    lifecycle_kept: int = setting(
        100_000, "lifecycle entries that are kept for a consumer group that does not read, about", low=1000
    )

    # the bridge to the older wire form
    bridge_channel: str = setting("simulation_updates", "channel that `worker bridge` publishes on")

    # storage
    storage_url: str = setting(
        "",
        "where `worker storage` writes: a folder, or influx+http://host:8086/database; empty: DATA_DIR/lake",
    )
    storage_flush_s: float = setting(
        0.5, "interval at which `worker storage` writes; it bounds the lag", low=0.01
    )
    storage_lease_s: float = setting(
        3.0, "time without a renewal after which another storage worker takes over", low=0.5
    )

    # bots, catalogue, logs
    bots: int = setting(4, "bots that `tussle up` starts", low=0, high=1000)
    bot_skill: str = setting("good", "skill of a bot", among=BOT_SKILLS)
    bot_policy: str = setting("", "MODULE:FUNCTION that decides for bots instead of a skill; empty: none")
    bot_think_s: float = setting(
        0.4, "time that a bot waits before it acts, so that people can follow the play", low=0
    )
    bot_secret: str = setting(
        "",
        "secret that a bot process must send to fill seats; empty: none is needed",
    )
    server_url: str = setting("http://127.0.0.1:8420", "address of the server for bots and commands")
    operator_token: str = setting(
        "", "login token of an operator, for `tussle admin`; empty: it asks for name and secret"
    )
    catalogue: str = setting("", "file or folder that build_db.py reads; empty: the catalogue of the package")
    log_level: str = setting(
        "info", "lowest level that is logged", among=("debug", "info", "warning", "error")
    )
    log_publish: bool = setting(False, "publish logs on the store's channels {REALM}:logs:<logger> too")
    log_format: str = setting(
        "auto", "json, pretty, or auto: pretty on a terminal", among=("auto", "json", "pretty")
    )

    @property
    def archive_address(self) -> str:
        """The URL or folder of the archive."""
        return self.archive_url or str((self.data_dir / "archive").resolve())

    @property
    def recordings_address(self) -> str:
        """The URL or folder of the recordings."""
        return self.recordings_url or str((self.data_dir / "recordings").resolve())

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, /, **overrides: Any) -> Self:
        """Settings from ``environ`` (default: the process's), then ``overrides``. Raises BadSetting."""
        values: dict[str, Any] = {}
        for item in fields(cls):
            if text := read_variable(item.name, environ):
                values[item.name] = _parse(item.name, str(item.type), text)
        values.update({name: value for name, value in overrides.items() if value is not None})
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        for item in fields(self):
            value, meta = getattr(self, item.name), item.metadata
            if meta["among"] and value not in meta["among"]:
                raise BadSetting(f"{item.name.upper()}={value}: must be one of {', '.join(meta['among'])}")
            if meta["low"] is not None and value < meta["low"]:
                raise BadSetting(f"{item.name.upper()}={value}: must be at least {meta['low']:g}")
            if meta["high"] is not None and value > meta["high"]:
                raise BadSetting(f"{item.name.upper()}={value}: must be at most {meta['high']:g}")
        for name, path_too in (("public_url", True), ("internal_url", False), ("server_url", False)):
            url = getattr(self, name)
            if url and not (path_too and url.startswith("/")) and not _is_http(url):
                form = "http://HOST:PORT, https://..." + (", or a path such as /game" if path_too else "")
                raise BadSetting(f"{name.upper()}={url}: must be {form}")
        self._check_webrtc()
        if not self.realm or any(character in "{}: " for character in self.realm):
            raise BadSetting(f"REALM={self.realm}: letters, digits and dashes, not empty")
        try:
            parse_network(self.network)
        except ValueError as error:
            raise BadSetting(f"NETWORK: {error}") from None
        try:
            parse_entries(self.operators)
        except ValueError as error:
            raise BadSetting(f"OPERATORS: {error}") from None

    def _check_webrtc(self) -> None:
        first, last = port_range(self.webrtc_ports)
        if self.webrtc_ports and not 1024 <= first <= last <= 65_535:
            raise BadSetting(f"WEBRTC_PORTS={self.webrtc_ports}: must be FIRST-LAST, from 1024 to 65535")
        for address in split_list(self.webrtc_address):
            try:
                ip_address(address)
            except ValueError:
                raise BadSetting(f"WEBRTC_ADDRESS={address}: must be an IP address") from None
        if self.stun_url and not re.fullmatch(r"stun:[^?:\s]+(:[0-9]{1,5})?", self.stun_url):
            raise BadSetting(f"STUN_URL={self.stun_url}: must be stun:HOST or stun:HOST:PORT")
        for url in split_list(self.turn_urls):
            if not TURN_FORM.fullmatch(url):
                raise BadSetting(
                    f"TURN_URLS={url}: must be turn:HOST:PORT or turns:HOST:PORT, ?transport=udp or tcp"
                )
        if self.turn_urls and not self.turn_secret:
            raise BadSetting("TURN_SECRET: must be set with TURN_URLS")


def port_range(text: str) -> tuple[int, int]:
    """The first and the last port of ``FIRST-LAST``; (0, 0) for another text."""
    first, _, last = text.partition("-")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else (0, 0)


def _is_http(url: str) -> bool:
    """Whether a URL is http or https with a host, and a port that is a number."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _parse(name: str, kind: str, text: str) -> Any:
    try:
        match kind:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return {
                    "1": True,
                    "true": True,
                    "yes": True,
                    "on": True,
                    "0": False,
                    "false": False,
                    "no": False,
                    "off": False,
                }[text.lower()]
            case "Path":
                return Path(text)
            case _:
                return text
    except (ValueError, KeyError):
        raise BadSetting(f"{name.upper()}={text}: not a value of type {kind}") from None


def example() -> str:
    """The text of ``.env.example``: every setting with its meaning, its range and its default.

    ``python -m tussle.lobby.settings > .env.example`` writes the file.
    """
    lines = ["# Every setting of Tussle with its default. An empty value means the default.", ""]
    for item in fields(Settings):
        lines += [
            f"# {item.metadata['meaning']}{_range(item.metadata)}",
            f"{item.name.upper()}={_show(item.default)}",
        ]
    return "\n".join(lines) + "\n"


def _range(meta: Mapping[str, Any]) -> str:
    if meta["among"]:
        return f" [{' | '.join(meta['among'])}]"
    low, high = meta["low"], meta["high"]
    if low is None and high is None:
        return ""
    return f" [{'' if low is None else f'{low:g}'} .. {'' if high is None else f'{high:g}'}]"


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write(example())
