"""What is drawn has its place: nothing is cut off, overlaps something else, or moves while a page is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.player.web.test_lobby import PHONE, open_lobby
from tests.support.person import Person, in_browser
from tests.support.practice import can_act, hit_until, practise

pytestmark = in_browser

MISFITS = """(() => {
  const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().width > 0;
  const controls = [...document.querySelectorAll("#main button, #main input, #main select, #main .field, #main .tag")]
    .filter((one) => shown(one) && !one.closest(".stage") && getComputedStyle(one).opacity !== "0");
  const cross = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const over = controls.flatMap((one, i) => controls.slice(i + 1)
    .filter((other) => !one.contains(other) && !other.contains(one)
      && cross(one.getBoundingClientRect(), other.getBoundingClientRect()))
    .map((other) => `${one.outerHTML.slice(0, 90)} over ${other.outerHTML.slice(0, 90)}`));
  const cut = [...document.querySelectorAll("#main .seg")]
    .filter((one) => shown(one) && one.scrollWidth > one.clientWidth)
    .map((one) => `${one.ariaLabel} is cut off`);
  return [...over, ...cut];
})()"""
"""The controls that overlap, and the rows of choices that are wider than their place."""

SKILL_ROWS = """new Set([...document.querySelectorAll("[aria-label='How bots play'] button")]
  .map((one) => one.getBoundingClientRect().top)).size"""

STAGES = """
window.__stages = [];
const see = () => {
  const stage = document.querySelector("[data-test=stage][role=application]");
  if (stage) {
    const { y, height } = stage.getBoundingClientRect();
    if (height && window.__stages.at(-1) !== `${y}, ${height}`) window.__stages.push(`${y}, ${height}`);
  }
  requestAnimationFrame(see);
};
see();
"""
"""Appends the place and height of the stage of a session to ``window.__stages`` whenever they change."""

WITHIN = """(() => {
  const [stage, label] = ["[data-test=stage]", ".pin.spent"]
    .map((one) => document.querySelector(one)?.getBoundingClientRect());
  return Boolean(label) && label.left >= stage.left && label.right <= stage.right
    && label.top >= stage.top && label.bottom <= stage.bottom;
})()"""
"""Whether all of the label of the body that is out is in the stage."""

UPRIGHT = {"width": 820, "height": 1180}

OVER_STAGE = """[...document.querySelectorAll("[data-test=stage] button")]
  .filter((one) => one.checkVisibility()).map((one) => one.ariaLabel)"""
"""The buttons that lie over the stage."""


def test_the_fonts_of_the_page_are_preloaded(person: Any) -> None:
    """They come with the scripts, so that no text is drawn in another font first and moves then."""
    mira = person("Mira")
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    mira.evaluate("document.fonts.ready.then(() => true)")
    fonts = mira.evaluate(
        "performance.getEntriesByType('resource').filter(({name}) => name.endsWith('.woff2'))"
        ".map(({name, initiatorType}) => [name.split('/').pop().split('-')[0], initiatorType])"
    )
    assert sorted(fonts) == [["anybody", "link"], ["instrument", "link"], ["martian", "link"]]


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_controls_do_not_overlap(person: Any, width: int) -> None:
    """On the first page, a player's page and the playground."""
    mira = person("Mira", viewport={"width": width, "height": 900})
    mira.go()
    mira.page.wait_for_selector("[data-test=sessions] [aria-label=Ended] li")
    mira.evaluate("document.fonts.ready.then(() => true)")
    assert mira.evaluate(MISFITS) == []
    assert mira.evaluate(SKILL_ROWS) == 1
    rows = mira.evaluate("fetch('/api/leaderboard/duel').then((answer) => answer.json())")["rows"]
    mira.go(f"/#/p/{rows[0]['player']}")
    mira.page.wait_for_selector("[data-test=recordings] [data-session]")
    assert mira.evaluate(MISFITS) == []
    mira.go("/playground")
    mira.page.wait_for_selector("[data-test=ground-begin]")
    assert mira.evaluate(MISFITS) == []


def test_a_curling_sheet_is_laid_out_once(person: Any) -> None:
    """On a tablet held upright the stage has its height from the beginning, and the sheet is upright."""
    mira = person("Mira", viewport=UPRIGHT)
    mira.go()
    mira.page.click("[role=radio]:has-text('Curling')")
    mira.evaluate(STAGES)
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.page.wait_for_selector("[data-test=hint]")
    assert len(mira.evaluate("window.__stages")) == 1, mira.evaluate("window.__stages")
    near, far = mira.evaluate("[window.__test.screen(0, 0, 0), window.__test.screen(5, 0, 0)]")
    assert abs(near["x"] - far["x"]) < 1
    mira.leave()


def test_the_buttons_of_a_stage_are_beside_a_curling_sheet(person: Any) -> None:
    """On a wide screen they are below it."""
    mira = person("Mira", viewport={"width": 1440, "height": 900})
    practise(mira, mode="curling", turn_s=60)
    stage = mira.page.locator("[data-test=stage]").bounding_box()
    buttons = mira.page.locator(".stage .corner").bounding_box()
    near = mira.evaluate("window.__test.screen(0, 0, 1)")  # the sheet is 2 m wide
    assert buttons["y"] > stage["y"] + near["y"]
    mira.leave()


IN_SIGHT = """(() => {
  const [clock, players, mat, aim] = [".clock", "[data-test=players]", "[data-test=stage]", "[data-test=aim]"]
    .map((one) => document.querySelector(one).getBoundingClientRect());
  const hint = document.querySelector("[data-test=hint]")?.getBoundingClientRect();
  return {
    above: clock.top >= 0 && players.top >= clock.bottom && mat.top >= (hint ?? players).bottom,
    below: mat.bottom <= aim.top && aim.bottom <= innerHeight + 1,
    tall: mat.height >= 140,
  };
})()"""
"""Whether the clock, the players, the mat and the controls of a turn are in sight, one below the other."""


@pytest.mark.parametrize(("mode", "size"), [("Duel", 4), ("Duel", 6), ("Curling", 4)])
def test_the_mat_is_in_sight_with_all_players_on_a_phone(person: Any, mode: str, size: int) -> None:
    """Several rows of players and a hint leave room for it on the screen, above the controls of the turn."""
    mira = person("Mira", viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    mira.go()
    mira.page.click(f"[role=radio]:has-text('{mode}')")
    mira.page.click(f"[aria-label=Seats] >> text={size}")
    mira.page.click("[data-test=play-now]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.page.wait_for_selector("[data-test=hint]")
    assert "Enter" not in mira.page.inner_text("[data-test=hint]")  # nothing has keys there
    seen = {"above": True, "below": True, "tall": True}
    for height in (700, 820):
        mira.page.set_viewport_size({"width": 390, "height": height})
        assert mira.evaluate(IN_SIGHT) == seen
    mira.page.click("[data-test=hint-skip]")
    mira.page.wait_for_selector("[data-test=hint]", state="detached")
    assert mira.evaluate(IN_SIGHT) == seen
    mira.shoot(f"phone-{mode.lower()}-{size}")
    mira.leave()


def fall(person: Any) -> None:
    """Pull to the right, turn by turn, until the own body has gone over the left rim."""
    for _ in range(6):
        if not can_act(person):
            return
        turn = person.evaluate("window.__test.state().turn")
        mine = person.evaluate("window.__test.places().find((one) => one.seat === window.__test.seat())")
        box = person.page.locator("[data-test=stage]").bounding_box()
        x, y = box["x"] + mine["px"], box["y"] + mine["py"]
        person.page.mouse.move(x, y)
        person.page.mouse.down()
        person.page.mouse.move(x + 60, y, steps=2)
        person.page.mouse.move(x + 240, y + 1, steps=2)
        person.page.mouse.up()
        person.until(f"(({{phase, turn}}) => phase === 'over' || turn > {turn})(window.__test.state())")


def test_the_label_of_a_body_that_fell_is_inside_of_the_stage(person: Any) -> None:
    """The mat has the whole width there. The body goes over its left rim, and its label is at that rim."""
    mira = person("Mira", viewport=UPRIGHT)
    practise(mira, turn_s=60)
    fall(mira)
    mira.page.wait_for_selector("[data-test=over]")
    mira.until(WITHIN)
    mira.shoot("fallen-label")


def look_beside(person: Person, shot: str) -> None:
    """Check that the camera's buttons are over the stage on a screen, and beside it on a phone."""
    page, screen = person.page, person.page.viewport_size
    person.until("document.querySelectorAll('[data-test=stage] canvas').length > 0")
    assert "Default camera" in person.evaluate(OVER_STAGE)
    page.set_viewport_size(PHONE["viewport"])
    person.until(f"{OVER_STAGE}.length === 0")
    page.click("[aria-label='Default camera']")
    assert person.evaluate(MISFITS) == []
    assert person.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    person.shoot(shot)
    page.set_viewport_size(screen)


def test_no_button_covers_the_scene_on_a_phone(person: Any) -> None:
    """The editor and the sandbox have their buttons of the camera beside the stage there."""
    mira, otto = person("Mira"), person("Otto")
    otto.go(f"/#/s/{open_lobby(mira, 'Sandbox')}")
    mira.page.wait_for_selector("[data-test=check]")
    look_beside(mira, "phone-editor-buttons")
    otto.page.fill("[data-test=door] input", otto.name)
    otto.page.click("[data-test=join]")
    for one in (mira, otto):
        one.page.click("[data-test=ready]")
    mira.page.wait_for_selector("[data-test=palette]")
    look_beside(mira, "phone-sandbox-buttons")


SLOWLY = """
new MutationObserver(() => window.__slowly ||= Boolean(document.querySelector(".stage.slowly")))
  .observe(document.body, { subtree: true, attributes: true, attributeFilter: ["class"] });
"""
"""Sets ``window.__slowly`` once the last blow is shown again."""


def test_a_blow_of_an_earlier_turn_is_not_shown_again(person: Any) -> None:
    """A blow, and the body that was in it goes over the rim turns later, by itself. The blow did not end the match: the
    result comes without it, and the label of the body is at the rim."""
    mira = person("Mira", viewport=UPRIGHT)
    blown = "window.__test.state().seats.some(({health, full}) => health < full)"
    for _ in range(4):  # a body may fall by the first blow, and meet the other one on its way over the rim
        practise(mira, turn_s=60, rounds=30, falls_from=1000)
        mira.evaluate(SLOWLY)
        hit = hit_until(mira, blown) and can_act(mira)
        fall(mira)
        mira.page.wait_for_selector("[data-test=over]")
        alone = hit and mira.evaluate("window.__test.state().ending === null")
        if alone:
            break
    assert alone
    assert not mira.evaluate("window.__slowly")
    mira.until(WITHIN)


CORNERED = """
window.__cornered = 0;
const stage = document.querySelector("[data-test=stage]");
const look = () => {
  const corner = stage.getBoundingClientRect();
  for (const pin of stage.querySelectorAll(".pin")) {
    const box = pin.getBoundingClientRect();
    const at = box.left < corner.left + 2 && box.top < corner.top + 2;
    if (at && getComputedStyle(pin).visibility !== "hidden") window.__cornered++;
  }
};
new MutationObserver(look).observe(stage, { subtree: true, childList: true });
"""
"""Counts in ``window.__cornered`` the labels that are shown in the corner of the stage when they are made."""


def test_labels_stay_at_their_bodies_when_the_health_changes(person: Any) -> None:
    """The number of a blow changes how a body is shown. Its label is not made again for that, in the corner of the
    stage, until the next picture places it."""
    mira = person("Mira")
    practise(mira, turn_s=60, rounds=30, falls_from=1000)
    mira.evaluate(CORNERED)
    assert hit_until(mira, "window.__test.state().seats.some(({health, full}) => health < full)")
    assert can_act(mira)
    assert mira.evaluate("window.__cornered") == 0


OFF = """new Promise((done) => {
  window.__test.flash(20);
  const [label, off] = [[...document.querySelectorAll(".impulse")].at(-1), []];
  new MutationObserver(() => {
    const [, x] = /translate\\(([-0-9.]+)px/.exec(label.style.transform);
    off.push(Math.abs(Number(x) - window.__test.screen(0, 0.2, 0).x));
    if (off.length === 5) done(off);
  }).observe(label, { attributes: true, attributeFilter: ["style"] });
  new MutationObserver(() => label.isConnected || done(off)).observe(label.parentElement, { childList: true });
  document.querySelector("[aria-label='Default camera']").click();
})"""
"""How far the number of a blow is beside its place while the camera glides back [px], in the first five pictures, or in
those that a slow machine draws before it is gone."""


def test_the_number_of_a_blow_stays_at_its_place_while_the_camera_moves(person: Any) -> None:
    """It is placed by the camera of the picture in which it is seen, not by that of the one before."""
    mira = person("Mira", tier="C", viewport={"width": 800, "height": 640})
    practise(mira, turn_s=60)
    box = mira.page.locator("[data-test=stage]").bounding_box()
    mira.page.mouse.move(box["x"] + 20, box["y"] + 60)
    mira.page.mouse.down()
    mira.page.mouse.move(box["x"] + 220, box["y"] + 60, steps=3)
    mira.page.mouse.up()
    mira.await_frame()
    assert max(mira.evaluate(OFF)) < 1
