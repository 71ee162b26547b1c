"""The settings and the list of keys, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.person import in_browser, serious

pytestmark = in_browser

SCREENS = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "middle": {"viewport": {"width": 900, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("screen", SCREENS)
def test_settings_act_at_once_and_stay(person: Any, screen: str) -> None:
    """Theme, motion, units and keys: seen on the page, kept over a reload, free of faults that axe knows, in the window
    as a whole. Escape gives the focus back."""
    mira = person("Mira", **SCREENS[screen])
    mira.go()
    mira.page.click("[data-test=settings-button]")
    mira.page.wait_for_selector("[data-test=settings]")
    box = mira.page.locator("[data-test=settings]").bounding_box()
    assert box is not None
    assert box["x"] >= 0 and box["x"] + box["width"] <= mira.page.viewport_size["width"]
    assert box["y"] + box["height"] <= mira.page.viewport_size["height"]
    assert serious(mira.page) == []
    mira.shoot(f"settings-{screen}")
    for name, value in (("Theme", "Dark"), ("Motion", "Less"), ("Units", "ft/s, lb, lbf·s")):
        mira.page.click(f"[data-test=settings] [aria-label={name}] [role=radio]:has-text('{value}')")
    mira.page.uncheck("[data-test=letter-keys]")
    mira.page.keyboard.press("Escape")
    mira.page.wait_for_selector("[data-test=settings]", state="detached")
    mira.until("document.activeElement.dataset.test === 'settings-button'")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=settings-button]")
    root = "document.documentElement.dataset"
    assert mira.evaluate(f"[{root}.theme, {root}.motion, {root}.keys].join()") == "dark,less,off"
    mira.page.keyboard.press("?")
    mira.page.keyboard.press("/")
    assert mira.page.locator("[data-test=keys]").count() == 0
    assert mira.evaluate("document.activeElement.type") != "search"
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=aim] >> text=ft/s", state="attached")
    mira.page.click("[data-test=leave]")


def test_the_quality_that_is_chosen_is_drawn(person: Any) -> None:
    """From above in two dimensions, then with half the pixels, while the match goes on."""
    mira = person("Mira")
    mira.page.goto(mira.url)  # no tier in the address
    mira.page.wait_for_selector("[data-test=practise]")
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    for tier in ("H", "D"):
        mira.page.click("[data-test=settings-button]")
        mira.page.select_option("[data-test=quality]", tier)
        mira.until(f"window.__test.tier() === '{tier}'")
        mira.page.keyboard.press("Escape")
        mira.until("window.__test.places().length === 2")
    mira.page.click("[data-test=launch]")  # the focus is on the button of the settings again
    mira.until("window.__test.state().log.some((row) => row.parts[0].text.includes('launched'))")
    mira.page.click("[data-test=leave]")


def test_a_question_mark_lists_the_keys_of_the_screen(person: Any) -> None:
    """On the first page, in a match, and not while somebody writes."""
    mira = person("Mira")
    mira.go()
    mira.page.wait_for_selector("[data-test=practise]")
    mira.page.keyboard.press("?")
    mira.page.wait_for_selector("[data-test=keys] >> text=search the sessions")
    assert serious(mira.page) == []
    mira.page.keyboard.press("?")
    mira.page.wait_for_selector("[data-test=keys]", state="detached")
    mira.page.focus("#name")
    mira.page.keyboard.press("?")
    assert mira.page.input_value("#name") == "?"
    assert mira.page.locator("[data-test=keys]").count() == 0
    mira.page.fill("#name", "Mira")
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.page.keyboard.press("?")
    mira.page.wait_for_selector("[data-test=keys] >> text=bearing")
    mira.page.keyboard.press("Escape")
    mira.page.click("[data-test=leave]")
