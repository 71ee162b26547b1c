"""``tussle recordings``: the recordings at RECORDINGS_URL, or those that a server lists, as a table.

It never changes a recording; ``--rebuild`` makes the server's lists again from the files of their index.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tussle.cli.hints import hint
from tussle.cli.palette import CONTACT, FAINT, LABEL, OK, number, short_names
from tussle.cli.recorded import marks_of_sessions, mode_of_running, rebuild_lists, uploads_of
from tussle.cli.running import read_settings
from tussle.cli.sessions import read_since
from tussle.lobby.errors import LobbyError
from tussle.lobby.files import Files
from tussle.lobby.ids import is_session_token
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.settings import Settings
from tussle.lobby.text import escape_text
from tussle.lobby.uploads import Upload
from tussle.player.blocking import BlockingClient
from tussle.server.recordings.live_files import final_folder, live_folder
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploaded import UploadedFrames

__all__ = ["Recorded", "command", "recordings_table"]

STATES = {
    "final": ("■", FAINT),
    "live": ("●", OK),
    "stopped": ("◆", CONTACT),
    "unreadable": ("◆", CONTACT),
    "upload": ("▲", FAINT),
}

TRIES = 3
"""How often the newest mark of a running session is read before its files count as unreadable."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recording. state: live (its session has no final one yet; before its first checkpoint without frames),
    final, stopped (it ends before its session), upload (of a player, ``owner``) or unreadable. written: [s since
    1970]. size: [B]."""

    session: str
    mode: str
    state: str
    frames: int
    seconds: float
    written: float
    size: int
    problem: str = ""
    owner: str = ""
    title: str = ""
    players: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which recordings are shown. since: [s since 1970]."""

    mode: str | None
    player: str | None
    since: float | None
    most: int

    def suits(self, one: Recorded) -> bool:
        wanted = (self.player or "").casefold()
        names = {
            text.casefold() for name in (one.owner, *one.players) for text in (name, name.partition("#")[0])
        }
        names |= {identity.casefold() for identity in one.identities}
        return (
            (self.mode is None or one.mode == self.mode)
            and (self.player is None or wanted in names)
            and (self.since is None or one.written >= self.since)
        )


@click.command("recordings")
@click.option("--url", help="Where the recordings are (default: RECORDINGS_URL).")
@click.option("--server", help="Show the sessions that this server lists, without reading any file.")
@click.option("--mode", help="Only recordings of this mode.")
@click.option("--player", help="Only sessions where this player had a seat: a whole name or an identity.")
@click.option(
    "--since",
    metavar="TIME",
    callback=lambda _, __, text: None if text is None else read_since(text),
    help="Only what was recorded since then: 30m, 2h, 7d or a date.",
)
@click.option(
    "-n",
    "most",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many to show, the newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per recording.")
@click.option(
    "--rebuild", is_flag=True, help="Make the lists of recorded sessions again, if the store lost them."
)
def command(
    url: str | None,
    server: str | None,
    mode: str | None,
    player: str | None,
    since: float | None,
    most: int,
    as_json: bool,
    rebuild: bool,
) -> None:
    """Show the recordings at RECORDINGS_URL, or at another URL, the newest first, and those that players uploaded.

    A session that still runs, or whose final recording is not made yet, is shown up to its last checkpoint.
    """
    if url and (server or rebuild):
        raise click.UsageError("--url reads files of another place; a server and its lists have their own")
    settings, choice = read_settings(), Wanted(mode, player, since, most)
    place = server or url or settings.recordings_address
    try:
        if rebuild:
            _rebuild(settings)
        found = _from_server(server, choice) if server else _from_files(settings, url, choice)
    except (OSError, ValueError, ImportError, LobbyError) as error:
        raise click.ClickException(escape_text(f"{place}: {error}")) from None
    shown = sorted(found, key=lambda one: (-one.written, one.session))[:most]
    if as_json:
        for one in shown:
            click.echo(json.dumps(asdict(one)))
        return
    console = Console()
    console.print(
        recordings_table(shown) if shown else Text(f"No recordings in {place}.", LABEL), soft_wrap=not shown
    )
    for one in shown:
        if one.problem:
            console.print(Text(f"{one.session}: {one.problem}", FAINT))


def _rebuild(settings: Settings) -> None:
    made = asyncio.run(rebuild_lists(settings))
    if made is None:
        raise click.ClickException(f"no store answers: set REDIS_URL, or start {hint('up')}")
    click.echo(f"{made.listed} recorded sessions are listed.", err=True)
    if made.unlisted:
        click.echo(
            f"{made.unlisted} recordings are in no list: of private sessions, or made before lists.", err=True
        )
    if made.unreadable:
        click.echo(f"{made.unreadable} files of the index cannot be read.", err=True)


def _from_server(url: str, wanted: Wanted) -> list[Recorded]:
    """The sessions that a server lists, the newest first. Raises LobbyError."""
    with BlockingClient(url) as client:
        rows = client.recorded_sessions(
            mode=wanted.mode, player=wanted.player, since=wanted.since, limit=wanted.most
        )
    return [
        Recorded(
            row.session, escape_text(row.mode), "final", row.length, row.seconds, row.ended_at / 1000, 0,
            players=tuple(escape_text(seat.name) for seat in row.seats),
            identities=tuple(seat.player for seat in row.seats),
        )
        for row in rows
    ]  # fmt: skip


def _from_files(settings: Settings, url: str | None, wanted: Wanted) -> list[Recorded]:
    """Recordings in files, at most ``most`` of sessions, and all uploads. Raises OSError, ValueError, ImportError."""
    place = url or settings.recordings_address
    found = [one for one in _newest(Files(place)) if wanted.since is None or one[2] >= wanted.since]
    marks = asyncio.run(marks_of_sessions(settings, [session for session, _, _ in found]))
    shown: list[Recorded] = []
    for session, folder, written in found:
        look = partial(_look, Recordings(place), Files(place), session, folder, written)
        one = look(marks.get(session))
        if one.state == "unreadable" and folder == live_folder(session):
            one = _look_again(settings, session, one, look)
        if wanted.suits(one):
            shown.append(one)
        if len(shown) == wanted.most:
            break
    if url is None:  # the store knows the uploads of this place only
        uploads = (_uploaded(Recordings(place), one) for one in asyncio.run(uploads_of(settings)))
        shown += [one for one in uploads if wanted.suits(one)]
    return shown


def _newest(files: Files) -> list[tuple[str, str, float]]:
    """Session, folder and time of each recording, the newest first. If a session has a final recording, the files of
    its holders are ignored."""
    found: dict[str, tuple[str, float]] = {}
    for name in files.list():
        session, _, ending = name.rpartition(".")
        if is_session_token(session) and ending in ("zarr", "live"):
            final = ending == "zarr" and files.exists(f"{name}/zarr.json")
            if final or (ending == "live" and session not in found):
                found[session] = name, files.written(f"{name}/zarr.json" if final else name)
    return sorted(((session, *about) for session, about in found.items()), key=lambda one: (-one[2], one[0]))


def _look(
    recordings: Recordings,
    files: Files,
    session: str,
    folder: str,
    written: float,
    mark: RecordingMark | None,
) -> Recorded:
    size = files.size(folder)
    live = folder == live_folder(session)
    if live and mark is None:
        return Recorded(session, "", "unreadable", 0, 0.0, written, size, "the store has no mark of it")
    try:
        store = recordings.open_live(session, mark) if live and mark else recordings.open(session, None)
        ends = range(store.length)[:1], range(store.length)[-1:]
        times = [float(block.arrays["time"][0]) for one in ends for block in store.frames(one, ("time",))]
    except (LobbyError, OSError) as error:
        if live and files.exists(f"{final_folder(session)}/zarr.json"):  # finished after it was listed
            return _look(recordings, files, session, final_folder(session), written, None)
        return Recorded(session, "", "unreadable", 0, 0.0, written, size, escape_text(str(error)))
    attributes = store.attributes
    state = "stopped" if attributes.get("stopped") else "live" if live else "final"
    seconds = times[-1] - times[0] if times else 0.0
    mode = escape_text(str(attributes.get("mode", "")))
    seats = [seat for seat in attributes.get("seats") or () if isinstance(seat, dict)]
    names, identities = (
        tuple(escape_text(str(seat.get(key, ""))) for seat in seats) for key in ("name", "player")
    )
    return Recorded(
        session, mode, state, store.length, seconds, written, size, players=names, identities=identities
    )


def _look_again(
    settings: Settings, session: str, seen: Recorded, look: Callable[[RecordingMark | None], Recorded]
) -> Recorded:
    """What is true of a running session whose files could not be read: its holder commits a new mark, and removes what
    the one before named, at any time. It has no mark before its first checkpoint. seen: what to say otherwise."""
    for _ in range(TRIES):
        mark = asyncio.run(marks_of_sessions(settings, [session])).get(session)
        if mark is None:
            mode = asyncio.run(mode_of_running(settings, session))
            return replace(seen, mode=escape_text(mode), state="live", problem="") if mode else seen
        seen = look(mark)
        if seen.state != "unreadable":
            break
    return seen


def _uploaded(recordings: Recordings, upload: Upload) -> Recorded:
    seconds, problem = 0.0, ""
    try:
        store = UploadedFrames(recordings.blobs, upload.sha256)
        ends = range(store.length)[:1], range(store.length)[-1:]
        times = [float(block.arrays["time"][0]) for one in ends for block in store.frames(one, ("time",))]
        seconds = times[-1] - times[0] if times else 0.0
    except (LobbyError, OSError) as error:
        problem = escape_text(str(error))
    return Recorded(
        upload.token, escape_text(upload.mode), "unreadable" if problem else "upload", upload.length, seconds,
        upload.changed_at / 1000, upload.bytes, problem, escape_text(upload.name), escape_text(upload.title),
    )  # fmt: skip


def recordings_table(shown: Sequence[Recorded]) -> Table:
    """One row per recording."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=LABEL, expand=False)
    table.add_column("session", no_wrap=True, min_width=8)  # other commands need it whole
    for name in ("mode", "state", "who"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("frames", "seconds", "size", "written"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in shown:
        shape, colour = STATES[one.state]
        state = Text.assemble((shape, colour), " ", one.state, *([f" of {one.owner}"] if one.owner else []))
        date = datetime.fromtimestamp(one.written).strftime("%Y-%m-%d %H:%M") if one.written else ""
        size = f"{number(one.size / 1000)} kB" if one.size else ""
        who = "  ".join(short_names(one.players))
        table.add_row(
            Text(one.session, "bold"),
            one.mode,
            state,
            who,
            number(one.frames),
            number(one.seconds, 1),
            size,
            date,
        )
    return table
