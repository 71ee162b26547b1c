"""The sandbox in the browser: what its host may do, bodies from the catalogue, wires, and a finger on a phone."""

from __future__ import annotations

import re
from typing import Any

from tests.player.web.test_lobby import PHONE, open_lobby
from tests.support.person import in_browser, serious

pytestmark = in_browser

BOX = "window.__test.state().box"


def enter(host: Any, *guests: Any) -> None:
    """All in one sandbox that runs."""
    token = open_lobby(host, "Sandbox")
    for guest in guests:
        guest.go(f"/#/s/{token}")
        guest.page.fill("[data-test=door] input", guest.name)
        guest.page.click("[data-test=join]")
        guest.page.wait_for_selector("[data-test=ready]")
    for one in (host, *guests):
        one.page.click("[data-test=ready]")
    for one in (host, *guests):
        one.page.wait_for_selector("[data-test=palette]")
        one.until("Boolean(window.__test) && window.__test.places().length > 0")


def test_the_host_rules_the_box_and_everyone_fills_it(person: Any) -> None:
    """Spawn by press and by key, wires, pause, gravity, remember, undo, take away, reset: seen by the other page, which
    has no host's buttons."""
    mira, kei = person("Mira"), person("Kei")
    enter(mira, kei)
    first = kei.evaluate(f"{BOX}.bodies.length")
    kei.page.click("[data-test=palette] button:has-text('Jelly')")
    mira.until(f"{BOX}.bodies.some((one) => one.body === 'jelly')")
    mira.page.locator("[data-test=stage]").focus()
    mira.page.keyboard.press("1")
    kei.until(f"{BOX}.bodies.length === {first + 2}")
    assert kei.page.locator("[data-test=freeze], [data-test=reset], [aria-label=Gravity]").count() == 0
    mira.page.click("button:has-text('Wireframe')")
    assert mira.page.get_attribute("button:has-text('Wireframe')", "aria-pressed") == "true"
    mira.page.click("[data-test=freeze]")
    kei.until(f"{BOX}.frozen")
    mira.page.click("button:has-text('Remember')")
    mira.page.wait_for_selector("button:has-text('Undo'):enabled")
    mira.page.click("[data-test=freeze]")
    kei.until(f"!{BOX}.frozen")
    slider = mira.page.locator("[aria-label=Gravity] input")
    slider.focus()
    slider.press("Home")
    kei.until(f"{BOX}.gravity === 0")
    mira.page.locator("[data-test=handles] button").first.press("Enter")
    mira.page.click("button:has-text('Take away')")
    kei.until(f"{BOX}.bodies.length === {first + 1}")
    mira.page.click("button:has-text('Undo')")
    kei.until(f"{BOX}.bodies.length === {first + 2}")
    assert serious(mira.page) == []
    mira.shoot("sandbox-host")
    mira.page.click("[data-test=reset]")
    kei.until(f"{BOX}.bodies.length === {first}")
    log = kei.page.inner_text("[data-test=log]")
    for said in (
        "put Jelly",
        "The world is paused",
        "The state is remembered",
        "Gravity is 0.0",
        "Everything is back",
    ):
        assert said in log
    for one in (mira, kei):
        one.leave()


LATE = """
const send = WebSocket.prototype.send;
window.__late = null;
WebSocket.prototype.send = function (data) {
  if (window.__late && String(data).includes('"grab"')) window.__late.push(() => send.call(this, data));
  else send.call(this, data);
};
window.__deliver = () => {
  const late = window.__late;
  window.__late = null;
  for (const act of late) act();
};
"""
"""Makes a slow line: while ``__late`` is a list, each grab waits until ``__deliver``."""


def test_a_late_refusal_leaves_what_is_held_by_then(person: Any) -> None:
    """A body was taken away before the grab of it came to the server. The refusal comes when the hand has let go of
    that one and holds another, which it goes on to move."""
    mira, kei = person("Mira"), person("Kei")
    kei.page.add_init_script(LATE)
    enter(mira, kei)
    first, second = (place["id"] for place in kei.resting()[:2])
    kei.evaluate("window.__late = []")
    kei.page.click(f"[data-handle={first}] button")
    kei.page.click("[data-test=hold]")
    kei.page.keyboard.press("Escape")
    mira.page.click(f"[data-handle={first}] button")
    mira.page.click("[data-test=take-away]")
    kei.until(f"!window.__test.places().some((one) => one.id === '{first}')")
    kei.page.click(f"[data-handle={second}] button")
    kei.page.click("[data-test=hold]")
    kei.evaluate("window.__deliver()")
    kei.page.wait_for_selector("[role=alert]:has-text('is not yours to hold')")
    height = f"window.__test.places().find((one) => one.id === '{second}').y"
    before = kei.evaluate(height)
    kei.page.locator("[data-test=stage]").focus()
    for _ in range(10):
        kei.page.keyboard.press("PageUp")
    mira.until(f"{height} > {before} + 0.2")
    kei.page.keyboard.press("Escape")
    for one in (mira, kei):
        one.leave()


FEWEST = """
window.__fewest = Infinity;
const look = () => {
  window.__fewest = Math.min(window.__fewest, window.__test.places().length);
  requestAnimationFrame(look);
};
look();
"""
"""From now on, keeps the smallest number of bodies that was drawn at once in ``window.__fewest``."""


def test_bodies_are_drawn_without_a_break_while_others_come(person: Any) -> None:
    """A topology is sent before its first frame. Until then the bodies of the one before stay."""
    mira, kei = person("Mira"), person("Kei")
    enter(mira, kei)
    first = mira.evaluate("window.__test.places().length")
    mira.evaluate(FEWEST)
    for number in range(1, 5):
        mira.page.click("[data-test=palette] button:has-text('Jelly')")
        mira.until(f"window.__test.places().length === {first + number}")
    assert mira.evaluate("window.__fewest") == first
    for one in (mira, kei):
        one.leave()


def test_a_finger_drags_a_body_on_a_phone(person: Any) -> None:
    """A long press takes a body, the other page sees who holds it and how it moves; nothing overflows sideways."""
    mira, kei = person("Mira"), person("Kei", **PHONE, color_scheme="light")
    enter(mira, kei)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert kei.evaluate(overflow) <= 0
    assert serious(kei.page) == []
    kei.page.locator("[data-test=stage]").scroll_into_view_if_needed()
    place = kei.resting()[0]
    box = kei.page.locator("[data-test=stage]").bounding_box()
    x, y = box["x"] + place["px"], box["y"] + place["py"]
    finger = kei.context.new_cdp_session(kei.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        finger.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in points]},
        )

    touch("touchStart", (x, y))
    mira.until(f"{BOX}.leases.some((one) => one.body === '{place['id']}')")
    for step in range(1, 9):
        touch("touchMove", (x + 3 * step, y - 9 * step))
        kei.page.wait_for_timeout(80)
    where = f"window.__test.places().find((one) => one.id === '{place['id']}')"
    mira.until(f"Math.hypot({where}.x - {place['x']}, {where}.y - {place['y']}) > 0.15")
    kei.shoot("phone-sandbox")
    mira.shoot("sandbox-held-elsewhere")
    touch("touchEnd")
    mira.until(f"{BOX}.leases.length === 0")
    for one in (mira, kei):
        one.leave()


def test_what_is_said_of_a_bad_line_is_true_of_a_sandbox(person: Any) -> None:
    """Of others only where there are some, and of their play only if the server is there."""
    mira, kei = person("Mira"), person("Kei")
    cut = {"on": False}
    sockets: list[Any] = []

    def connect(socket: Any) -> None:
        if cut["on"]:
            socket.close()
        else:
            sockets.append(socket)
            socket.connect_to_server()

    def said(slow: str, lost: str) -> None:
        mira.evaluate("window.__test.slow(400)")
        mira.page.wait_for_selector(f"[data-test=slow] >> text={slow}")
        cut["on"] = True
        sockets[-1].close()
        mira.page.wait_for_selector(f"[data-test=lost] >> text=/{lost} *Trying again/")
        cut["on"] = False
        mira.page.wait_for_selector("[data-test=lost]", state="detached")

    mira.page.route_web_socket(re.compile(r"/ws$"), connect)
    mira.go()
    mira.page.click("[role=radio]:has-text('Sandbox')")
    mira.page.click("[data-test=play-now]")
    mira.page.wait_for_selector("[data-test=palette]")
    mira.until("Boolean(window.__test) && window.__test.places().length > 0")
    said("What you hold follows your hand later.", "What you hold is let go.")
    mira.leave()
    mira.page.wait_for_selector("[data-test=find]")
    enter(mira, kei)
    said("the others see it later too.", "The others play on, unless the server itself is down.")
