"""A recorded console as an SVG without web fonts, for the pictures of README.md."""

from __future__ import annotations

import re

from rich.console import Console
from rich.terminal_theme import TerminalTheme

__all__ = ["svg_of"]

_ANSI = [
    (12, 20, 19), (255, 129, 104), (86, 207, 159), (255, 201, 74), (142, 197, 255), (164, 135, 255), (142, 214, 255),
    (180, 197, 191),
]  # fmt: skip
THEME = TerminalTheme((12, 20, 19), (234, 242, 239), _ANSI, _ANSI)
"""The dark background and the text colour."""


def svg_of(console: Console, title: str) -> str:
    """The recording as one SVG document. Raises AssertionError for a console that does not record."""
    document = console.export_svg(title=title, theme=THEME)
    document = re.sub(r"@font-face\s*{.*?}", "", document, flags=re.DOTALL)
    document = document.replace(
        "Fira Code, monospace", "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
    )
    return "\n".join(line.rstrip() for line in document.splitlines() if line.strip()) + "\n"
