"""``python docs/reference/generate.py`` writes docs/reference/settings.md from Settings; a test compares the two."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tussle.lobby.settings import Settings  # noqa: E402

HEAD = """# Settings

Every setting of Tussle is an environment variable; `.env` in the project's folder is read too. A value that cannot be
used stops the process with one line that names it. Written by docs/reference/generate.py from lobby/settings.py.

| variable | default | allowed | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
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
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "settings.md").write_text(page())
