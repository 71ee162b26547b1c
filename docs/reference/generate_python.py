"""``python docs/reference/generate_python.py``: write docs/reference/python.md from the names of ``tussle.__all__``.

tests/test_api.py checks that the page is current.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import tussle  # noqa: E402

HEAD = """# The Python package

`import tussle` offers these names; each is loaded when it is first used. Everything else in the package may change
between versions. [examples/](../../examples/README.md) has programs. Written by docs/reference/generate_python.py from
the docstrings.
"""

GROUPS = (
    ("The blocking client", ("connect", "BlockingClient", "BlockingSession", "BlockingReplayRoom")),
    ("Scenes", ("BlockingScene", "SceneBody", "SessionScene", "SceneListing", "SceneReport", "SceneConflict")),
    ("Recordings", ("recording", "BlockingRecording", "RecordedFrames", "RecordedBody", "Recording")),
    ("Sweeps", ("sweep", "SweepResult", "record_run")),
    ("The asynchronous client", ("Client", "SessionConnection", "ReplayRoomConnection", "follow", "list_sources")),
    (
        "What the calls return",
        ("Login", "Me", "PlayerProfile", "ModeStanding", "PastMatch", "Join", "Fork", "ForkTree", "Forked",
         "LeaderboardRow", "Event", "SessionView", "SeatView", "ObserversData", "NoticeData", "Frame", "Topology",
         "CloseCode"),
    ),
)  # fmt: skip


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD]
    grouped: set[str] = set()
    for title, names in GROUPS:
        parts.append(f"## {title}\n")
        parts += [_entry(name) for name in names]
        grouped.update(names)
    parts.append("## The errors\n")
    parts.append("Each has `message`, `reason` (a stable code) and `field` (the offending field, or None).\n")
    parts.append("| error | base | meaning |\n|---|---|---|")
    rows = [_error(name) for name in tussle.__all__ if name not in grouped]
    return "\n".join([*parts, *rows]) + "\n"


def _entry(name: str) -> str:
    value = getattr(tussle, name)
    if not inspect.isclass(value):
        return f"### `{name}`\n\n```python\n{name}{_signature(value)}\n```\n\n{_prose(value)}\n"
    lines = [f"### `{name}`\n"]
    if fields := getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None):
        hints = value.__annotations__
        lines += [
            "```python",
            *(f"{field}: {hints[field].replace(chr(39), chr(34))}" for field in fields if field in hints),
            "```\n",
        ]
    elif value.__init__ is not object.__init__ and name in ("Client", "BlockingClient"):
        lines += [f"```python\n{name}{_signature(value.__init__)}\n```\n"]
    if prose := _prose(value):
        lines.append(prose + "\n")
    for member, raw in vars(value).items():
        if member.startswith("_") or fields or name == "CloseCode":
            continue
        if isinstance(raw, property):
            lines.append(f"- **`{member}`**: {_line(raw)}")
        elif inspect.isfunction(raw):
            kind = "async " if inspect.iscoroutinefunction(raw) else ""
            lines.append(f"- **`{kind}{member}{_signature(raw)}`**: {_line(raw)}")
    return "\n".join(lines) + "\n"


def _error(name: str) -> str:
    value = getattr(tussle, name)
    return f"| `{name}` | `{value.__base__.__name__}` | {_line(value)} |"


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    kept = [
        item.replace(annotation=_Text(item.annotation))
        for item in signature.parameters.values()
        if item.name != "self"
    ]
    return str(signature.replace(parameters=kept, return_annotation=_Text(signature.return_annotation)))


class _Text(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _prose(value: Any) -> str:
    written = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    return inspect.cleandoc(str(written or "")).replace("``", "`")


def _line(value: Any) -> str:
    return " ".join(_prose(value).split())


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "python.md").write_text(page())
