"""The settings and the list of keys, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.person import in_browser, serious
from tests.support.practice import practise

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


SUSPENDED = """
window.__tones = 0;
window.AudioContext = class extends AudioContext {
  constructor() { super(); this.suspend(); }
  createOscillator() { window.__tones++; return super.createOscillator(); }
};
"""
"""Makes each context for sounds suspended, as a browser does before somebody has pressed something on the page."""


def test_sound_that_was_on_before_is_heard_after_the_first_press(person: Any) -> None:
    """The page is loaded with the sound on, and nobody sets it again: the turn after one's launch is heard."""
    mira = person("Mira")
    mira.page.add_init_script(SUSPENDED)
    mira.go()
    mira.until("Boolean(localStorage['tussle.me'])")
    mira.evaluate("localStorage['tussle.volume'] = '0.6'")
    practise(mira, turn_s=60)
    mira.page.fill("[aria-label=Power]", "0.1")
    mira.page.click("[data-test=launch]")
    mira.until("window.__tones > 0")
    mira.leave()


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


@pytest.mark.parametrize("screen", SCREENS)
def test_keys_are_changed_and_act_as_they_are_set(person: Any, screen: str) -> None:
    """In the settings each key can be changed. One that is taken is refused and named, Tab and Escape are left alone.
    The new keys act, are in the list of keys and in the hints, and stay over a reload, until they are reset."""
    mira = person("Mira", **SCREENS[screen])
    mira.go()
    mira.page.fill("#name", "Mira")
    press = mira.page.keyboard.press
    mira.page.click("[data-test=settings-button]")
    mira.page.click("[data-test=settings] [data-test=change-keys]")
    panel = "[data-test=key-settings]"

    def change(act: str, key: str) -> str:
        """Set a key, and return what the panel says."""
        mira.page.click(f"{panel} [data-act={act}] .btn")
        press(key)
        return str(mira.page.inner_text("[data-test=key-said]"))

    assert (
        change("wire", "m")
        == "M is taken by “sound on and off”. Choose another key, or change that one first."
    )
    assert change("wire", "F6") == "F6 cannot be set: browsers and every page use it."
    assert change("wire", "Escape") == ""
    assert mira.page.inner_text(f"{panel} [data-act=wire] .btn") == "W"
    assert change("wire", "q") == "wireframe: Q."
    assert change("launch", "k") == "launch: K."
    assert change("left", "j") == "bearing to the left: J."
    assert change("search", "z") == "search the sessions: Z."
    assert serious(mira.page) == []
    mira.shoot(f"keys-{screen}")
    press("Escape")
    mira.page.wait_for_selector(panel, state="detached")
    mira.until("document.activeElement.dataset.test === 'settings-button'")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=practise]")
    press("/")
    assert mira.evaluate("document.activeElement.type") != "search"
    press("z")
    mira.until("document.activeElement.type === 'search'")
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    hint = "it flies the other way." if screen == "phone" else "Or aim with J → ↑ ↓, and press K."
    mira.page.wait_for_selector(f"[data-test=hint] >> text={hint}")
    press("?")
    mira.page.wait_for_selector("[data-test=keys] >> text=bearing")
    shown = mira.page.inner_text("[data-test=keys]")
    assert "J →" in shown and "Q" in shown and "1 … 9" in shown
    press("Escape")
    bearing = "document.querySelector('[data-test=bearing]').textContent"
    before = mira.evaluate(bearing)
    press("ArrowLeft")
    assert mira.evaluate(bearing) == before
    press("j")
    mira.until(f"{bearing} !== '{before}'")
    press("q")
    mira.page.wait_for_selector("[aria-label=Wireframe][aria-pressed=true][title='Wireframe, Q']")
    press("Enter")
    assert mira.page.locator("[data-test=launch]:enabled").count() == 1
    press("k")
    mira.until("window.__test.state().log.some((row) => row.parts[0].text.includes('launched'))")
    mira.page.click("[data-test=settings-button]")
    mira.page.click("[data-test=settings] [data-test=change-keys]")
    mira.page.click("[data-test=reset-keys]")
    assert mira.page.inner_text(f"{panel} [data-act=launch] .btn") == "Enter"
    press("Escape")
    mira.page.click("[data-test=leave]")
