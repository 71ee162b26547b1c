"""Late rounds and damage in a real browser: the mat's sides crack, are announced and fall, and a hit body shows it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.person import in_browser, violations
from tests.support.practice import brace, hit_until, practise

pytestmark = in_browser

SCREENS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 700}, "has_touch": True, "color_scheme": "dark"},
}

COLOUR = """((shown, where) => {
  const canvas = document.querySelector("[data-test=stage] canvas.flat");
  const ratio = canvas.width / canvas.getBoundingClientRect().width;
  const [px, py] = [where?.x, where?.y];
  const {px: x, py: y} = where ? {px, py} : shown.places().find((one) => one.seat === 1);
  const half = Math.ceil(3 * ratio);
  const { data } = canvas.getContext("2d").getImageData(x * ratio - half, y * ratio - half, 2 * half, 2 * half);
  const rows = Array.from({length: data.length / 4}, (_, i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
  return Math.max(...rows);
})"""
"""How bright the middle of the opponent's body is, beside its cracks, or of a place [px], from 0 to 765."""

BODY = f"{COLOUR}(window.__test)"


def watched(person: Any, token: str) -> None:
    """Leave the session and open its recording, from the live side of it on."""
    person.leave()
    person.go(f"/r/{token}")
    person.until("Boolean(window.__replay && window.__replay.drawn())")


def seen(person: Any, key: str, script: str) -> Any:
    """What a script sees of the recording after Home, at its first moment, or End."""
    person.page.keyboard.press(key)
    there = "frame === 0" if key == "Home" else "time === window.__replay.end()"
    person.until(f"window.__replay.place().{there} && window.__replay.drawn()")
    person.await_frame()
    return person.evaluate(script)


@pytest.mark.parametrize("screen", SCREENS)
def test_sides_of_the_mat_crack_and_fall(person: Any, screen: str) -> None:
    """A round before they fall the page says so, in words and on the mat; then they are gone, and others crack. The
    clock, the turn and the mat stay on a phone's screen. The recording has the cracks as they were, too."""
    mira = person("Mira", **SCREENS[screen])
    token = practise(mira, falls_from=3, rounds=9)
    warning = "[data-test=rim-warning]"
    assert not mira.page.is_visible(warning)
    brace(mira)
    mira.page.wait_for_selector(f"{warning} >> text=The dark sides fall before round 3")
    assert mira.evaluate("window.__test.state().log.some((row) => /rim cracks/.test(row.parts[0].text))")
    for part in ("[data-test=turn]", ".clock", "[data-test=stage]"):
        box = mira.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= mira.page.viewport_size["height"], part
    mira.shoot(f"rim-cracked-{screen}")
    assert violations(mira.page) == []
    cracked = mira.evaluate("window.__test.state().brief.cracked")
    brace(mira)
    sides = mira.evaluate("window.__test.state().brief.sides")
    assert [round(sides[side], 3) for side in cracked] == [1.25, 1.25]
    mira.page.wait_for_selector(f"{warning} >> text=before round 4")
    mira.shoot(f"rim-fell-{screen}")
    angle = mira.evaluate("window.__test.state().brief.cracked[0]") * math.pi / 4
    watched(mira, token)
    rim = f"{COLOUR}(null, window.__replay.screen({1.45 * math.cos(angle)}, 0, {1.45 * math.sin(angle)}))"
    whole, broken = seen(mira, "Home", rim), seen(mira, "End", rim)
    mira.shoot(f"replay-cracked-{screen}")
    assert broken < 0.8 * whole
    assert [seen(mira, "Home", rim), seen(mira, "End", rim)] == [whole, broken]


def test_a_body_that_was_hit_is_darker(person: Any) -> None:
    """Blow by blow, the body of the opponent loses its brightness with its health. So it does in the recording: it is
    whole again at the first moment, and dark at the last one. The card of the bot is marked."""
    mira = person("Mira")
    hit = (
        "window.__test.state().seats[1].health < 0.85 * window.__test.state().seats[1].full"
        " && !window.__test.state().seats[1].out"  # what falls is still drawn for a moment
    )
    for _ in range(4):  # one of the two may fall off the mat before, or by that blow
        token = practise(mira, rounds=30, falls_from=1000)
        marks = mira.page.locator("[data-test=players] .isbot")
        assert marks.all_inner_texts() == ["bot"]
        assert marks.locator("xpath=ancestor::li").get_attribute("data-seat") == "1"
        whole = mira.evaluate(BODY)
        if hit_until(mira, hit):
            break
    assert mira.evaluate(hit)
    mira.until(f"{BODY} < {0.95 * whole}")
    mira.shoot("damage")
    watched(mira, token)
    recorded = f"{COLOUR}(window.__replay)"
    whole, late = seen(mira, "Home", recorded), seen(mira, "End", recorded)
    mira.shoot("replay-damage")
    assert late < 0.95 * whole
    assert [seen(mira, "Home", recorded), seen(mira, "End", recorded)] == [whole, late]
