"""``python docs/reference/generate.py``: write the pages of docs/reference from the tables in the source.

    settings.md <- lobby/settings.py      errors.md <- lobby/error_codes.py, lobby/errors.py
    commands.md <- the commands of cli/     modes.md <- the modes of server/modes

tests/test_reference.py fails while a page differs from its table.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402
import msgspec  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from msgspec import inspect  # noqa: E402

from tussle.build_db import parse_catalogue  # noqa: E402
from tussle.cli.main import COMMANDS, main  # noqa: E402
from tussle.lobby.error_codes import CODES  # noqa: E402
from tussle.lobby.errors import CloseCode  # noqa: E402
from tussle.lobby.rules.actions import ActionField  # noqa: E402
from tussle.lobby.settings import Settings  # noqa: E402
from tussle.server.modes.mode import CatalogueBody, Mode, Seat  # noqa: E402
from tussle.server.modes.registry import all_modes  # noqa: E402
from tussle.server.modes.turn_mode import TurnMode  # noqa: E402

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

`tussle up --help` prints the same for one command; so does `./run up --help` in a clone before anything is installed.
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


MODES_HEAD = """# Modes

What a client may ask of each mode: the `params` of `POST /api/open`, the inputs (`act`), and the codes with which it
refuses them. Params that a mode does not know or take are refused at the door (422 `bad_params`). The events of each
mode: [events.md](../events.md). Written by docs/reference/generate.py from the modes.

A field of an input is a number within its range, a choice, a vector of three numbers, or a name (an id). One with a
default may be left out; every other one is needed, and none may be added. Of the inputs of a kind that is `latest` only
the newest one of a seat and tick takes effect. `cost`: solver time that an input takes beside the tick [ms], in the
first world; each seat has a budget (`too_costly`).
"""

OF_ALL = ("seat_out", "not_running", "left", "too_many_inputs", "too_costly")
OF_TURNS = ("not_your_turn", "world_moving", "already_acted")
"""Codes of every mode, and of every mode in turns, apart from those of its own modules."""


def modes_page() -> str:
    """Return the page of all modes: seats, params, inputs and refusals."""
    source = (ROOT / "catalogue" / "catalogue.json").read_bytes()
    entries = parse_catalogue(source, "catalogue.json")["bodies"].values()
    bodies = {body.id: body for body in (msgspec.json.decode(entry, type=CatalogueBody) for entry in entries)}
    lines = [MODES_HEAD]
    for name, mode in all_modes().items():
        seats = [Seat(seat=0, player="", name="", kind="person", body=min(bodies))]
        made = mode({}, [msgspec.structs.replace(seats[0], seat=n) for n in range(mode.seats[0])], bodies)
        state, _ = made.setup(0)
        kinds = getattr(made, "action_kinds", None) or made.legal(state, cast(Any, None), 0).kinds
        low, high = mode.seats
        meaning = " ".join((type(made.params).__doc__ or "").replace("``", "`").split())  # type: ignore[attr-defined]
        lines += [
            f"## {name}",
            "",
            f"{low} to {high} seats. {meaning}",
            "",
            "| param | default | allowed |",
            "|---|---|---|",
        ]
        for info in inspect.type_info(type(made.params)).fields:  # type: ignore[attr-defined]
            lines.append(f"| `{info.encode_name}` | `{json.dumps(info.default)}` | {_allowed(info.type)} |")
        lines += ["", "| input | fields | |", "|---|---|---|"]
        for kind in kinds:
            shown = ", ".join(_argument(field, name, bodies) for name, field in kind.fields.items())
            notes = [kind.note.rstrip("."), "latest" * kind.latest, f"cost {kind.cost:.0f}" * bool(kind.cost)]
            lines.append(f"| `{kind.kind}` | {shown} | {'; '.join(note for note in notes if note)} |")
        lines += ["", f"Refusals: {', '.join(f'`{code}`' for code in _refusals(mode))}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _allowed(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.VarTupleType):
        return f"a list: {_allowed(kind.item_type)}"
    words = {inspect.IntType: "an integer", inspect.FloatType: "a number", inspect.StrType: "a text"}[
        type(kind)
    ]
    low, high, above, below = (getattr(kind, name, None) for name in ("ge", "le", "gt", "lt"))
    if above is not None:
        return f"{words} above {above:g}" + ("" if high is None else f" up to {high:.15g}")
    if low is None:
        return words
    if below is not None:
        return f"{words} from {low:.15g}, below {below:.15g}"
    return f"{words} from {low:.15g}" + ("" if high is None else f" to {high:.15g}")


def _argument(field: ActionField, name: str, bodies: Iterable[str]) -> str:
    """One field of an input."""
    kind = {"number": f"{field.low:g} to {field.high:g}" if field.low is not None else "", "name": "a name"}
    choices = "a body of the catalogue" if set(field.choices) >= set(bodies) else " or ".join(field.choices)
    kind |= {
        "choice": choices,
        "vector": f"3 numbers from {field.low:g} to {field.high:g}" if field.low else "",
    }
    default = "" if field.default is None else f", default {field.default:g}"
    return f"`{name}` ({kind[field.type]}{f' {field.unit}' if field.unit else ''}{default})"


def _refusals(mode: type[Mode]) -> list[str]:
    """The codes in the modules of a mode, and of what its inputs are checked with."""
    folder = ROOT.joinpath(*mode.__module__.split(".")[1:]).parent
    texts = [path.read_text() for path in folder.glob("*.py")]
    rules = {"actions"} | {
        name for text in texts for name in re.findall(r"rules\.(actions|slots) import", text)
    }
    texts += [(ROOT / "lobby" / "rules" / f"{name}.py").read_text() for name in rules]
    found = {code for text in texts for code in re.findall(r'code="(\w+)"', text)}
    turns = OF_TURNS if issubclass(mode, TurnMode) else ()
    return sorted((found | set(OF_ALL) | set(turns)) & set(CODES))


PAGES = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "modes.md": modes_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / "docs" / "reference" / name).write_text(page())
