"""``python docs/reference/generate.py``: write the pages of docs/reference from the tables in the source.

    settings.md <- lobby/settings.py      errors.md <- lobby/error_codes.py, lobby/errors.py
    commands.md <- the commands of cli/

tests/test_reference.py fails while a page differs from its table.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from tussle.cli.main import COMMANDS, main  # noqa: E402
from tussle.lobby.error_codes import CODES  # noqa: E402
from tussle.lobby.errors import CloseCode  # noqa: E402
from tussle.lobby.settings import Settings  # noqa: E402

SETTINGS_HEAD = """# Settings

Every setting of Tussle is an environment variable; `.env` in the project's folder is read too. A value that cannot be
used stops the process with one line that names it. Written by docs/reference/generate.py from lobby/settings.py.

| variable | default | allowed | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page of all settings."""
    rows = []
    for item in fields(Settings):
        meta = item.metadata
        low, high = meta["low"], meta["high"]
        allowed = ", ".join(meta["among"])
        if low is not None or high is not None:
            allowed = f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}".strip()
            allowed = allowed.removesuffix(" to") + (" or more" if high is None else "")
        default = "" if item.default == "" else f"`{item.default}`"
        rows.append(
            f"| `{item.name.upper()}` | {default} | {allowed} | {meta['meaning'].replace('|', chr(92) + '|')} |"
        )
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


ERRORS_HEAD = """# Error codes

An error has a `code` for programs and a sentence for people. Over HTTP it is a problem document with the status below.
Over a socket it is an `error` message; the close code is used where the error ends the connection. An HTTP error
without a code of this table has `http_<status>`. Written by docs/reference/generate.py from lobby/error_codes.py.
"""


def errors_page() -> str:
    """Return the page of all error codes and close codes."""
    lines = [ERRORS_HEAD]
    for title, sent in (("Sent to clients", True), ("In logs and on the command line only", False)):
        lines += [f"## {title}", "", "| code | status | close code | meaning |", "|---|---|---|---|"]
        for entry in sorted(CODES.values(), key=lambda entry: entry.code):
            if entry.sent is sent:
                status = ", ".join(dict.fromkeys(str(kind.status) for kind in entry.kinds))
                close = ", ".join(dict.fromkeys(str(int(kind.close_code)) for kind in entry.kinds))
                lines.append(f"| `{entry.code}` | {status} | {close} | {entry.meaning} |")
        lines.append("")
    lines += ["## Close codes", "", "What a client does on each: [protocol.md](../protocol.md).", ""]
    lines += ["| code | name |", "|---|---|"]
    lines += [f"| {int(code)} | {code.name.lower()} |" for code in CloseCode]
    return "\n".join(lines) + "\n"


COMMANDS_HEAD = """# Commands

`tussle COMMAND --help` prints the same; so does `./run COMMAND --help` in a clone, where nothing is installed yet.
Written by docs/reference/generate.py from the commands of cli/.
"""

ENVIRONMENT = {"COLUMNS": "100", "REDIS_URL": "redis://localhost"}


def _help(words: list[str], level: str) -> list[str]:
    """The sections of a command and of its subcommands."""
    arguments = sys.argv
    try:  # some commands run another program, which reads these
        shown = CliRunner().invoke(
            main, [*words, "--help"], env=ENVIRONMENT, prog_name="tussle", terminal_width=100
        )
    finally:
        sys.argv = arguments
    lines = [f"{level} {' '.join(['tussle', *words])}", "", "```text", shown.output.rstrip(), "```", ""]
    found: click.Command | None = main
    for word in words:
        found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
    if isinstance(found, click.Group):
        for name in found.list_commands(click.Context(found)):
            lines += _help([*words, name], "###")
    return lines


def commands_page() -> str:
    """Return the page with the help of all commands."""
    lines = [COMMANDS_HEAD]
    for name in COMMANDS:
        lines += _help([name], "##")
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"settings.md": settings_page, "errors.md": errors_page, "commands.md": commands_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / "docs" / "reference" / name).write_text(page())
