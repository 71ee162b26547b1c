"""The screen of ``tussle watch``, drawn without a session."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tussle.cli.picture import Picture
from tussle.cli.watch import Screen


@pytest.mark.parametrize("width", [60, 84, 120])
def test_the_last_line_begins_with_what_needs_attention(width: int) -> None:
    """A narrow terminal cuts the end of the line. The hint is left out where it would be cut."""
    screen = Screen(Picture())
    screen.picture.least_gap_mm = 0.57
    screen.rtt_s, screen.announcement = 0.0013, "Restart at noon"
    console = Console(width=width, height=24, color_system=None, file=io.StringIO())
    with console.capture() as captured:
        console.print(screen)
    *_, last = [line.rstrip() for line in captured.get().splitlines() if line.strip()]
    assert last.startswith("Operator: Restart at noon   gap ")
    assert last.endswith("Ctrl-C ends") == (width > 100)
    assert "Ctrl" not in last.removesuffix("Ctrl-C ends")
