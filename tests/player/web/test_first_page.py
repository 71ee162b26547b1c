"""The first page, and the first match: what a newcomer sees, and whether what is written is true."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.support.person import in_browser, serious

pytestmark = in_browser

WIDE = {"viewport": {"width": 1440, "height": 900}}
MIDDLE = {"viewport": {"width": 900, "height": 800}, "color_scheme": "dark"}
PHONE = {
    "viewport": {"width": 390, "height": 700},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}

SLOW_LINE = "window.__test.slow(400)"
"""Makes the line slow, until the answer to the next ping says that it is not: to be said again in each look."""

PREVIEW = """
new Promise((done) => {
  const [began, first, seen] = [performance.now(), window.__preview, {empty: 0, cut: 0, next: false}];
  const look = () => {
    const now = window.__preview();
    const inside = ({x, y}) => x >= 0 && y >= 0 && x <= now.width && y <= now.height;
    seen.next ||= window.__preview !== first;
    if (now.connected && !now.bodies.length) seen.empty += 1;
    if (now.connected && !now.corners.every(inside)) seen.cut += 1;
    const past = performance.now() - began;
    past < 12_000 || (past < 120_000 && !seen.next) ? requestAnimationFrame(look) : done(seen);
  };
  look();
})
"""
"""Looks at the preview in each frame for twelve seconds, and until it shows another duel: in how many frames it had no
body, or not the whole mat."""


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize("tier", ["D", "C"])
def test_the_preview_always_shows_the_bodies_and_the_whole_mat(person: Any, tier: str) -> None:
    """In every frame over twelve seconds, across the end of a watched duel and the beginning of the next."""
    mira = person("Mira", tier=tier, **WIDE)
    mira.go()
    mira.page.wait_for_selector(".feat [data-test=stage]")
    mira.until("window.__preview?.().bodies.length > 0")
    assert mira.evaluate(PREVIEW) == {"empty": 0, "cut": 0, "next": True}
    mira.shoot(f"preview-{tier}")


@pytest.mark.usefixtures("duels")
def test_the_preview_asks_for_a_rate_of_frames_that_is_served(person: Any) -> None:
    """All frames, or at most a quarter of the server's rate: a server knows nothing between."""
    mira = person("Mira", **WIDE)
    said: dict[str, dict[str, Any]] = {}

    def note(payload: str | bytes) -> None:
        message = json.loads(payload) if isinstance(payload, str) else {"t": "frame"}
        if message["t"] in ("hello", "welcome"):
            said.setdefault(message["t"], message["d"])

    def follow(socket: Any) -> None:
        if "/live" not in socket.url:
            socket.on("framesent", note)
            socket.on("framereceived", note)

    mira.page.on("websocket", follow)
    mira.go()
    mira.page.wait_for_selector(".feat [data-test=stage]")
    asked, served = said["hello"].get("frame_hz"), said["welcome"]["frame_hz"]
    assert asked is None or 4 * asked <= served


@pytest.mark.usefixtures("duels")
def test_the_preview_says_no_duel_only_where_none_runs(person: Any) -> None:
    """Before a running duel is there to be shown, the page does not say that there is none, nor that one is to come."""
    mira = person("Mira", **WIDE)
    held: list[Any] = []
    mira.page.route(re.compile(r"/api/observe$"), lambda route: held.append(route))
    mira.go()
    end = time.monotonic() + 60
    while not held and time.monotonic() < end:
        mira.page.wait_for_timeout(100)
    assert mira.page.inner_text("[data-test=no-preview]") == "Duels that run are shown here."
    mira.shoot("preview-awaited")
    for route in held:
        route.continue_()
    mira.page.wait_for_selector(".feat [data-test=stage]")


def test_the_round_trip_is_that_of_a_socket_and_silence_is_shown(person: Any) -> None:
    """The first page measures by pings, says so when the server stops answering them, and takes that back."""
    mira = person("Mira", **MIDDLE)
    pings: list[str] = []
    answer = {"on": True}

    def connect(socket: Any) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda data: (pings.append(str(data)), server.send(data))[1])
        server.on_message(lambda data: socket.send(data) if answer["on"] else None)

    mira.page.route_web_socket(re.compile(r"/live$"), connect)
    mira.go()
    mira.page.wait_for_selector("[data-test=rtt] >> text=/^\\d+ ms$/")
    assert any('"ping"' in ping for ping in pings)
    answer["on"] = False
    mira.page.wait_for_selector("[data-test=offline]")
    assert "does not answer" in mira.page.inner_text("[data-test=offline] [role=alert]")
    answer["on"] = True
    mira.page.wait_for_selector("[data-test=offline]", state="detached")


def test_a_hint_is_shown_once_and_the_practice_mat_has_no_clock(person: Any) -> None:
    """Practice against a dummy by one press: three hints, one in each of the first turns, then none; the dummy stays
    where it is."""
    mira = person("Mira", **WIDE)
    mira.go()
    mira.page.click("[data-test=practise]")
    shown = []
    before = None
    for _ in range(3):
        mira.page.wait_for_selector("[data-test=launch]:enabled")
        mira.page.wait_for_selector("[data-test=hint]")
        shown.append(mira.page.get_attribute("[data-test=hint]", "data-hint"))
        before = before or mira.evaluate("window.__test.state().brief.positions[1]")
        mira.page.fill("[aria-label=Power]", "0.05")
        mira.page.keyboard.press("Enter")
        mira.page.wait_for_selector("[data-test=hint]", state="detached")
    assert shown == ["hint.pull", "hint.soft", "hint.rim"]
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.page.locator("[data-test=hint]").count() == 0
    assert mira.page.get_attribute("[role=timer]", "aria-label") == "no turn clock"
    after = mira.evaluate("window.__test.state().brief.positions[1]")
    moved = max(abs(a - b) for a, b in zip(before, after, strict=True))
    assert moved < 0.4  # m: a lozenge balances on its tip, and may fall over
    mira.leave()


@pytest.mark.parametrize("screen", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
def test_hints_can_be_skipped_and_cover_nothing(person: Any, screen: dict[str, Any]) -> None:
    """All at once, in every width; until then they lie over no button of the page and over no body."""
    mira = person("Mira", **screen)
    mira.go()
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=hint]")
    mira.shoot(f"hint-{screen['viewport']['width']}")
    covered = mira.evaluate(
        """[...document.querySelectorAll("button, input, select")].filter((one) => {
          const a = one.getBoundingClientRect();
          const b = document.querySelector("[data-test=hint]").getBoundingClientRect();
          return !one.closest("[data-test=hint]") && a.width && a.left < b.right - 1 && a.right > b.left + 1
            && a.top < b.bottom - 1 && a.bottom > b.top + 1 && !one.closest(".aim");
        }).map((one) => one.outerHTML)"""
    )
    assert covered == []
    stage, hint = (mira.page.locator(f"[data-test={part}]").bounding_box() for part in ("stage", "hint"))
    assert hint["y"] >= stage["y"] + stage["height"] or hint["y"] + hint["height"] <= stage["y"]
    assert serious(mira.page) == []
    mira.page.click("[data-test=hint-skip]")
    mira.page.wait_for_selector("[data-test=hint]", state="detached")
    assert len(mira.evaluate("JSON.parse(localStorage.getItem('tussle.hints'))")) == 3
    mira.leave()


def test_words_are_true_in_every_mode(person: Any) -> None:
    """One seat is "1 seat"; a slow line is said to delay what it delays in that mode; a lost one announces words
    that do not count down."""
    mira = person("Mira", **MIDDLE)
    mira.go()
    mira.page.click("[role=radio]:has-text('Spring')")
    mira.page.click("[aria-label=Seats] [role=radio]:has-text('1')")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("h1:text-is('1 seat')")
    mira.leave()
    mira.page.click("[role=radio]:has-text('Sandbox')")
    mira.page.click("[data-test=play-now]")
    mira.until("window.__test && window.__test.state().status === 'running'")
    said = "document.querySelector('[data-test=slow]')?.textContent ?? ''"  # a ping may be slow, too
    text = mira.until(f"({SLOW_LINE}, (said => said.includes('400 ms') && said)({said}))")
    assert "follows your hand" in text and "clock" not in text
    mira.evaluate("window.__test.slow(null)")
    mira.evaluate(
        """window.__said = [];
        new MutationObserver(() => {
          for (const one of document.querySelectorAll(".notes [role=alert], .notes [aria-live=assertive]"))
            window.__said.push(one.textContent);
        }).observe(document.body, {childList: true, subtree: true, characterData: true});"""
    )
    mira.evaluate("window.__test.drop()")
    mira.until("window.__said.some((text) => text.startsWith('Connection lost'))")
    mira.until("window.__test.link().kind === 'live'")
    said = set(mira.evaluate("window.__said"))
    assert all(not re.search(r"\d", text) for text in said), said
    mira.leave()


def test_the_rules_are_beside_the_mode_that_is_chosen(person: Any) -> None:
    """In the tile that has the choice, also on a phone, and they change with it."""
    mira = person("Mira", **PHONE)
    mira.go()
    mira.page.wait_for_selector("[data-test=rules] >> text=Rules of the duel")
    mira.page.click("[role=radio]:has-text('Curling')")
    mira.page.wait_for_selector("[data-test=rules] >> text=Nearest to the button scores")
    assert serious(mira.page) == []


def test_a_sign_is_said_with_one_press(person: Any) -> None:
    """It is a line of the chat and is seen over the body of who said it; the buttons rest for a moment after it."""
    mira = person("Mira", **WIDE)
    mira.go()
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.page.click("[data-test=quick] [aria-label=Applaud]")
    mira.page.wait_for_selector("[data-test=stage] .bubble >> text=★")
    mira.page.wait_for_selector("[data-test=chat] >> text=★")
    mira.page.wait_for_selector("[data-test=quick] [aria-label=Applaud]:enabled")
    mira.page.select_option("[data-test=quick-line]", label="Good luck")
    mira.page.wait_for_selector("[data-test=chat] >> text=Good luck")
    mira.page.wait_for_selector(".bubble", state="detached")
    mira.leave()


def test_a_turn_is_notified_while_the_tab_is_hidden(person: Any) -> None:
    """Only with the consent of the browser, and only there: the next turn comes while another tab is in front. It is
    also notified, and in the title, where the page shows the lobbies."""
    mira = person("Mira", **WIDE)
    mira.context.grant_permissions(["notifications"])
    mira.page.add_init_script(
        """window.__alerts = [];
        window.Notification = class {
          static permission = "granted";
          static requestPermission = async () => "granted";
          constructor(title, {body}) { window.__alerts.push(`${title}: ${body}`); }
          close() {}
        };
        Object.defineProperty(document, "hidden", {get: () => window.__hidden === true});"""
    )
    mira.go()
    mira.page.click("[data-test=practise]")
    for hidden in (False, True):
        mira.page.wait_for_selector("[data-test=launch]:enabled")
        assert mira.evaluate("window.__alerts.length") == 0
        if not hidden:
            mira.page.click("[data-test=settings-button]")
            mira.page.check("[data-test=alerts]")
            mira.page.keyboard.press("Escape")
        mira.page.fill("[aria-label=Power]", "0.05")
        mira.evaluate(f"window.__hidden = {str(hidden).lower()}")
        mira.page.click("[data-test=launch]")
        mira.page.wait_for_selector("[data-test=launch]:disabled")
    mira.until("window.__alerts.length === 1")
    assert mira.evaluate("window.__alerts[0]").startswith("Your turn: ")
    # From the lobbies, too.
    mira.evaluate("window.__hidden = false")
    mira.page.click("[data-test=launch]")
    mira.page.wait_for_selector("[data-test=launch]:disabled")
    mira.evaluate("window.__hidden = true")
    mira.page.go_back()
    mira.page.wait_for_selector("[data-test=seated] >> text=It is your turn")
    mira.until("window.__alerts.length === 2")
    assert mira.page.title() == "Your turn · Tussle"
    mira.page.click("[data-test=return]")
    mira.page.wait_for_selector("[data-test=stage]")
    mira.leave()


PLACES = """
window.__places = [];
const look = () => {
  const stage = document.querySelector("[data-test=stage]");
  if (!stage) return;
  const { x, y, width, height } = stage.getBoundingClientRect();
  const place = [x, y + scrollY, width, height].join();
  if (window.__places.at(-1) !== place) window.__places.push(place);
  requestAnimationFrame(look);
};
look();
"""
"""Appends the place of the stage to ``window.__places`` whenever it changes."""


@pytest.mark.parametrize("screen", [WIDE, MIDDLE, PHONE], ids=["wide", "middle", "phone"])
@pytest.mark.parametrize("mode", ["Duel", "Sandbox"])
def test_banners_and_hints_do_not_move_the_stage(person: Any, mode: str, screen: dict[str, Any]) -> None:
    """Banners come and go, and a hint comes with each turn and goes with it: the stage stays where it is, and no banner
    lies over it or over a button."""
    mira = person("Mira", **screen)
    mira.go()
    mira.page.click(f"[role=radio]:has-text('{mode}')")
    mira.page.click("[data-test=practise]" if mode == "Duel" else "[data-test=play-now]")
    mira.until("window.__test && window.__test.state().status === 'running'")
    if mode == "Duel":
        mira.page.wait_for_selector("[data-test=hint]")
    mira.evaluate("document.fonts.ready.then(() => true)")
    mira.remember_banners()
    mira.evaluate(PLACES)
    mira.until(f"({SLOW_LINE}, window.__banners.some((name) => name === 'slow' || name === 'dilated'))")
    if mode == "Duel":
        mira.page.fill("[aria-label=Power]", "0.05")
        mira.page.keyboard.press("Enter")
        mira.page.wait_for_selector("[data-test=hint]", state="detached")
    mira.evaluate("window.__test.drop()")
    mira.page.wait_for_selector("[data-test=back]")
    mira.shoot(f"banner-{mode.lower()}-{screen['viewport']['width']}")
    covered = mira.evaluate(
        """[...document.querySelectorAll("button, input, select, [data-test=stage]")].filter((one) => {
          const a = one.getBoundingClientRect();
          return [...document.querySelectorAll(".notes .note:not(.signal)")].some((note) => {
            const b = note.getBoundingClientRect();
            return !note.contains(one) && a.width && a.left < b.right - 1 && a.right > b.left + 1
              && a.top < b.bottom - 1 && a.bottom > b.top + 1;
          });
        }).map((one) => one.outerHTML)"""
    )
    assert covered == []
    mira.page.wait_for_selector("[data-test=back]", state="detached")
    if mode == "Duel":
        mira.page.wait_for_selector("[data-test=hint]")
    assert len(mira.evaluate("window.__places")) == 1, mira.evaluate("window.__places")
    mira.leave()


MOVED = """
window.__moved = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) for (const { node } of entry.sources) {
    const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    window.__moved.push(element?.dataset?.test || element?.className || String(node));
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""Names in ``window.__moved`` what moves without a person's doing."""


@pytest.mark.parametrize("width", [390, 1440])
def test_the_buttons_stay_where_they_are_when_the_name_comes(person: Any, width: int) -> None:
    """A guest is logged in after the page is shown. Its name has its place in the bar before."""
    mira = person("Mira", viewport={"width": width, "height": 900})
    mira.context.add_init_script(MOVED)
    mira.go()
    mira.page.wait_for_selector(".bar .self .mark")
    mira.page.wait_for_timeout(500)
    assert "settings-button" not in mira.evaluate("window.__moved")
