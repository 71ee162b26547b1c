"""The generated pages of docs/reference are current."""

from __future__ import annotations

import runpy

from tests.support.paths import ROOT


def test_the_page_of_settings_is_current() -> None:
    """The page equals its generated text. If it does not: python docs/reference/generate.py"""
    made = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))
    assert made["page"]() == (ROOT / "docs" / "reference" / "settings.md").read_text()
