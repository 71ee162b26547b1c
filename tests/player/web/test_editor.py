"""The editor of a sandbox's scene in the browser: two build it together, conflict, undo, and run it."""

from __future__ import annotations

from typing import Any

from tests.player.web.test_lobby import PHONE
from tests.support.person import in_browser, serious

pytestmark = in_browser

READY = "Boolean(window.__edit) && window.__edit.scene().loaded && window.__edit.shapes()"
SAVED = "window.__edit.scene().busy === 0"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def body(name: str) -> str:
    """The expression for a body as the page shows it; undefined if it is not there."""
    return f"window.__edit.bodies().find((one) => one.id === '{name}')"


def choose(person: Any, name: str) -> None:
    person.page.click(f"[data-body={name}]")


def type_number(person: Any, field: str, text: str) -> None:
    person.page.fill(f"[data-test={field}]", text)
    person.page.keyboard.press("Enter")
    person.until(SAVED)


def checked(person: Any, expression: str) -> None:
    """Wait for a check of the present scene of which the expression is true."""
    person.until(
        "window.__edit.checked() && window.__edit.checked().version === window.__edit.scene().version"
        f" && ((check) => {expression})(window.__edit.checked())"
    )


def test_two_build_a_scene_conflict_undo_and_run_it(person: Any) -> None:
    """One adds a body, names a material, makes an array; the other sees it, cannot change what is held, and builds on
    from a phone by keys. Undo is refused where another was first. Overlaps are named and keep the scene from running;
    undo takes them back. A file of the scene is saved and opened. Then it runs with the bodies that were built, and a
    new scene begins with it."""
    mira = person("Mira", color_scheme="dark")
    kei = person("Kei", **PHONE, color_scheme="light")
    mira.go("/?tier=D")
    mira.page.fill("#name", mira.name)
    mira.page.click("[role=radio]:has-text('Sandbox')")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=inspector]")
    token = mira.page.url.split("/s/")[1]
    mira.until(READY)
    kei.go(f"/?tier=D#/s/{token}")
    kei.page.fill("[data-test=door] input", kei.name)
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=inspector]")
    kei.until(READY)
    first = kei.evaluate("window.__edit.bodies().length")

    # Add, and say what it is made of.
    mira.page.click("[data-test=add-box]")
    mira.until(f"{body('box')} && {SAVED}")
    mira.page.click("[data-test=material-steel]")
    kei.until(f"{body('box')} && {body('box')}.material.density === 7800")
    checked(mira, "check.ok")

    # What Mira holds is hers: Kei's page says so.
    choose(kei, "box")
    kei.page.wait_for_selector("[data-test=held]:has-text('Mira holds')")
    assert kei.page.is_disabled("[data-test=position-x]")
    choose(mira, "floor")
    kei.page.wait_for_selector("[data-test=held]", state="detached")
    before = kei.evaluate(f"{body('box')}.position")
    kei.page.locator("[data-test=stage]").focus()
    for _ in range(3):
        kei.page.keyboard.press("ArrowRight")
    kei.until(f"{SAVED} && {body('box')}.position[0] > {before[0] + 0.14}")
    mira.until(f"{body('box')}.position[0] > {before[0] + 0.14}")

    # While Kei holds the box Mira cannot undo; later her change of it is older than Kei's: nothing is undone.
    mira.page.click("[data-test=undo]")
    mira.page.wait_for_selector("text=Somebody else holds a body of that change")
    kei.page.keyboard.press("Escape")
    mira.until("window.__edit.scene().locks.every((one) => one[0] !== 'box' || one[1] === null)")
    version = mira.evaluate("window.__edit.scene().version")
    mira.page.click("[data-test=undo]")
    mira.page.wait_for_selector("text=Undo would take that away too")
    assert mira.evaluate("window.__edit.scene().version") == version
    # Kei undoes and does it again, by keys.
    kei.page.keyboard.press("Control+z")
    mira.until(f"Math.abs({body('box')}.position[0] - {before[0]}) < 1e-6")
    kei.page.keyboard.press("Control+Shift+Z")
    mira.until(f"{body('box')}.position[0] > {before[0] + 0.14}")

    # Copies of an array are apart; a copy that is typed into another body is named, and undone.
    choose(mira, "box")
    mira.page.click("[data-test=array]")
    mira.page.fill("[data-test=array-count]", "3")
    mira.page.keyboard.press("Tab")
    mira.page.click("[data-test=array-make]")
    kei.until(f"{body('box-3')} && window.__edit.bodies().length === {first + 3}")
    checked(mira, "check.ok && check.smallest_gap > 0.01")
    there = mira.evaluate(f"{body('box-2')}.position")
    choose(mira, "box-3")
    type_number(mira, "position-x", str(there[0] + 0.1))
    checked(mira, "!check.ok && check.overlaps.length === 1")
    mira.page.wait_for_selector("[data-test=check] >> text=overlap")
    assert mira.page.is_disabled("[data-test=ready]")
    mira.shoot("editor-overlap")
    mira.page.keyboard.press("Control+z")
    checked(mira, "check.ok")

    # On a screen and on a phone, dark and light, axe finds nothing serious; nothing is wider than the page.
    for one in (mira, kei):
        assert serious(one.page) == []
        one.shoot(f"editor-{one.name.lower()}")
    for width in (820, 390, 1280):
        mira.page.set_viewport_size({"width": width, "height": 800})
        assert mira.evaluate(WIDE) <= 0
    assert kei.evaluate(WIDE) <= 0

    # A file of the scene comes back as one step.
    with mira.page.expect_download() as saving:
        mira.page.click("[data-test=save]")
    scene = saving.value.path().read_bytes()
    choose(mira, "box-3")
    mira.page.click("[data-test=remove]")
    kei.until(f"!{body('box-3')}")
    mira.page.set_input_files(
        "[data-test=open-file]", {"name": "scene.json", "mimeType": "application/json", "buffer": scene}
    )
    kei.until(f"Boolean({body('box-3')})")

    for one in (mira, kei):
        one.page.click("[data-test=ready]")
    for one in (mira, kei):
        one.page.wait_for_selector("[data-test=palette]")
        one.until("Boolean(window.__test) && window.__test.places().length > 0")
    ids = mira.evaluate("window.__test.state().box.bodies.map((one) => one.id)")
    assert {"box", "box-2", "box-3"} <= set(ids)
    mira.until("window.__test.tick() > 5")
    mira.shoot("editor-run")

    # The scene of the session is where the next one begins.
    mira.page.click("[data-test=new-from]")
    mira.page.wait_for_selector("[data-test=inspector]")
    mira.until(f"{READY} && {body('box-3')}")
    assert token not in mira.page.url
    for one in (mira, kei):
        one.page.click("[data-test=leave]")
