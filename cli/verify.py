"""``tussle verify T``: re-simulate an archived session, compare every tick's hash and check contact.

Reads the archive only. Needs no store and no server.
"""

from __future__ import annotations

import json
import sys
import time

import click

from tussle.cli.running import read_settings
from tussle.lobby.errors import LobbyError
from tussle.server.archive.archive import Archive
from tussle.server.archive.verify import Verdict, load_record, verify

__all__ = ["command"]

EXPECTED = "note      with another physics_id a difference is expected: verify on a machine with the same one"


@click.command("verify")
@click.argument("session")
@click.option("--archive", "url", default=None, help="Where the archive is (default: ARCHIVE_URL).")
@click.option("--no-check", "--no-proof", "no_check", is_flag=True, help="Compare hashes only.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one line of JSON.")
def command(session: str, url: str | None, no_check: bool, as_json: bool) -> None:
    """Simulate SESSION again from its archive and compare every tick.

    Exit code 0: every recorded hash is reproduced and every contact check holds. 1: not so; the first divergent tick is
    named. 2: there is no such record.
    """
    settings = read_settings()
    archive = Archive(url or settings.archive_address)
    began = time.monotonic()
    try:
        record = load_record(archive, session)
        with click.progressbar(
            length=max(1, record.last_tick),
            label=f"verifying {session}",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:
            verdict = verify(
                record, check_contact=not no_check, progress=lambda tick, _: bar.update(tick - bar.pos)
            )
    except LobbyError as error:
        click.echo(f"tussle: {error.message}", err=True)
        sys.exit(2)
    seconds = time.monotonic() - began
    click.echo(json.dumps(_document(verdict)) if as_json else _sentences(verdict, seconds))
    sys.exit(0 if verdict.holds else 1)


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "session": verdict.session,
        "holds": verdict.holds,
        "ticks": verdict.ticks,
        "compared": verdict.compared,
        "unrecorded": verdict.unrecorded,
        "diverged": verdict.diverged,
        "conflict": verdict.conflict,
        "proofs": verdict.proofs,
        "broken": verdict.broken,
        "smallest_gap_m": verdict.smallest_gap,
        "ended": verdict.ended,
        "halted": verdict.halted,
        "final_hash": verdict.final_hash,
        "differing": sorted(verdict.differing),
        "differences": verdict.differences,
    }


def _sentences(verdict: Verdict, seconds: float) -> str:
    lines = [
        f"session   {verdict.session}, {'ended' if verdict.ended else 'not ended'} at tick {verdict.ticks}",
        f"hashes    {verdict.compared} ticks compared, {verdict.unrecorded} without a record"
        + (f"; FIRST DIVERGENT TICK {verdict.diverged}" if verdict.diverged is not None else ", all equal")
        + (f"; two holders disagree at tick {verdict.conflict}" if verdict.conflict is not None else ""),
        f"contact   {verdict.proofs} contact checks"
        + (f"; BROKEN at {verdict.broken[:5]}" if verdict.broken else ", no intersection, no inversion")
        + f"; smallest gap {verdict.smallest_gap * 1000:.4f} mm",
        *([f"halted    {verdict.halted}"] if verdict.halted else []),
        *(f"note      {line}" for line in verdict.differences),
        *([EXPECTED] if verdict.differences and not verdict.holds else []),
        f"verdict   {'holds' if verdict.holds else 'DOES NOT HOLD'} ({seconds:.1f} s)",
    ]
    return "\n".join(lines)
