"""``tussle verify T``: re-simulate an archived session, compare every tick's hash and check contact.

Reads the archive only. Needs no store and no server. What is wrong is named: file, part, tick, what.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from typing import NoReturn

import click

from tussle.cli.palette import counted
from tussle.cli.running import read_settings
from tussle.lobby.errors import LobbyError
from tussle.lobby.text import escape_text
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import read_record
from tussle.server.archive.verify import Verdict, verify
from tussle.server.physics.stored_meshes import use_meshes

__all__ = ["command"]

EXPECTED = "note      with another physics_id a difference is expected: verify on a machine with the same one"

HOLDS, DOES_NOT_HOLD, NO_RECORD, UNFINISHED = 0, 1, 2, 3


@click.command("verify")
@click.argument("session")
@click.option("--archive", "url", default=None, help="Where the archive is (default: ARCHIVE_URL).")
@click.option("--no-check", "--no-proof", "no_check", is_flag=True, help="Compare hashes only.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one line of JSON.")
def command(session: str, url: str | None, no_check: bool, as_json: bool) -> None:
    """Simulate SESSION again from its archive and compare every tick.

    Everything that is missing, damaged, changed or foreign is named: file, part, tick, what.

    Exit code 0: the record goes to the session's end, nothing in it is missing or changed, every recorded hash and
    checkpoint is reproduced and every contact check holds. 1: not so; the findings are listed. 2: there is no such
    record, or the archive cannot be read. 3: all that is recorded is in order, but the session has no end: it runs, or
    its last server died.
    """
    settings = read_settings()
    began = time.monotonic()
    try:
        use_meshes(url or settings.archive_address)
        reading = read_record(Archive(url or settings.archive_address), session)
    except LobbyError as error:
        _leave(error.message)
    except Exception as error:  # noqa: BLE001 file systems raise many kinds of errors for what they cannot read
        _leave(f"the archive cannot be read: {str(error) or type(error).__name__}")
    record = reading.record
    if record is None:
        verdict = Verdict(session, findings=list(reading.findings))
    else:
        with click.progressbar(
            length=max(1, record.last_tick),
            label=f"verifying {click.unstyle(session)}",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:
            verdict = verify(
                record, check_contact=not no_check, progress=lambda tick, _: bar.update(tick - bar.pos)
            )
    seconds = time.monotonic() - began
    click.echo(json.dumps(_document(verdict)) if as_json else _sentences(verdict, seconds))
    sys.exit(HOLDS if verdict.holds else UNFINISHED if verdict.sound else DOES_NOT_HOLD)


def _leave(message: str) -> NoReturn:
    click.echo(f"tussle: {escape_text(message)}", err=True)
    sys.exit(NO_RECORD)


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "session": verdict.session,
        "holds": verdict.holds,
        "sound": verdict.sound,
        "ticks": verdict.ticks,
        "compared": verdict.compared,
        "unrecorded": verdict.unrecorded,
        "diverged": verdict.diverged,
        "conflict": verdict.conflict,
        "checkpoints": verdict.checkpoints,
        "proofs": verdict.proofs,
        "segments": verdict.segments,
        "broken": verdict.broken,
        "smallest_gap_m": verdict.smallest_gap if math.isfinite(verdict.smallest_gap) else None,
        "ended": verdict.ended,
        "whole": verdict.whole,
        "halted": verdict.halted,
        "final_hash": verdict.final_hash,
        "seal": verdict.seal,
        "findings": [dataclasses.asdict(finding) for finding in verdict.findings],
        "differing": sorted(verdict.differing),
        "differences": verdict.differences,
    }


def _sentences(verdict: Verdict, seconds: float) -> str:
    gap = verdict.smallest_gap * 1000
    result = (
        "holds" if verdict.holds else "holds so far, WITHOUT AN END" if verdict.sound else "DOES NOT HOLD"
    )
    lines = [
        f"session   {verdict.session}, {'ended' if verdict.ended else 'not ended'} at tick {verdict.ticks}",
        f"hashes    {counted(verdict.compared, 'tick')} compared, {verdict.unrecorded} without a record"
        + (f"; FIRST DIVERGENT TICK {verdict.diverged}" if verdict.diverged is not None else ", all equal")
        + (f"; two holders disagree at tick {verdict.conflict}" if verdict.conflict is not None else ""),
        f"states    {counted(verdict.checkpoints, 'checkpoint')} compared byte by byte",
        f"contact   {counted(verdict.proofs, 'contact check')}, {counted(verdict.segments, 'segment')} of paths"
        + (f"; BROKEN at {verdict.broken[:5]}" if verdict.broken else ", no intersection, no inversion")
        + f"; smallest gap {gap:.4f} mm",
        *([f"halted    {verdict.halted}"] if verdict.halted else []),
        *(f"{'finding' if found.grave else 'note':<9} {found}" for found in verdict.findings),
        *(f"note      {line}" for line in verdict.differences),
        *([EXPECTED] if verdict.differences and not verdict.sound else []),
        *([f"seal      {verdict.seal}"] if verdict.seal else []),
        f"verdict   {result} ({seconds:.1f} s)",
    ]
    return "\n".join(map(escape_text, lines))
