"""The style sheets of the web client, read as text."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

STYLE = ROOT / "player" / "web" / "src" / "style"
OF_ONE_SCREEN = ("admin", "editor", "replay")
"""Sheets of one screen each. All sheets are in one bundle, so their rules apply on every screen."""


def selectors(sheet: str) -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", (STYLE / f"{sheet}.css").read_text(), flags=re.S)
    found = [one for one in re.findall(r"([^{}]+)\{", text) if not one.strip().startswith("@")]
    return [part.strip() for one in found for part in one.split(",")]


def test_a_class_of_one_screen_is_styled_in_one_sheet() -> None:
    """The editor's ``.num`` once stacked the numbers of the operators' table: both had used the name."""
    sheets = [path.stem for path in STYLE.glob("*.css")]
    assert set(OF_ONE_SCREEN) < set(sheets)
    for screen in OF_ONE_SCREEN:
        own = {
            match[1] for one in selectors(screen) if (match := re.fullmatch(r"\.([\w-]+)(?::[^ ]*)?", one))
        }
        assert own
        for other in sheets:
            if other != screen:
                used = {name for one in selectors(other) for name in re.findall(r"\.([a-zA-Z][\w-]*)", one)}
                assert not own & used, f"{screen}.css and {other}.css both style {sorted(own & used)}"


TEXTLESS = (".ruler", ".past", ".fill", ".area", ".hp", "input")
"""What holds no text."""


def test_no_text_is_translucent() -> None:
    """``opacity`` on an element fades the texts in it, too: those of a mark are letters. axe does not look into SVG."""
    faded = []
    for path in STYLE.glob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for chosen, rules in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
            share = re.search(r"(?<![\w-])opacity:\s*([\d.]+)", rules)
            if share and 0 < float(share[1]) < 1:
                faded += [one.strip() for one in chosen.split(",")]
    assert faded
    assert [one for one in faded if "::" not in one and not one.endswith(TEXTLESS)] == []
