"""Drives a page of the web client in Chromium like a person, for the browser tests.

Screenshots are kept in data/screenshots (SCREENSHOTS). Without Chromium or the built client the tests are skipped
with a reason; with CI set they fail.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

WEB = ROOT / "player" / "web"
SHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "data" / "screenshots"))
SCREEN = {
    "viewport": {"width": 1280, "height": 800},
    # The CPU computes every pixel: only a quarter of them, unless screenshots are taken.
    "device_scale_factor": 1.0 if "SCREENSHOTS" in os.environ else 0.5,
}
FLAGS = [
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
]
"""WebGL is computed by SwiftShader. Without a GPU, a browser that uses it for OpenGL too (--use-angle) composes
every page on the CPU by OpenGL, which takes ten times as long.
"""
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for found in map(shutil.which, BROWSERS) if found), None)
"""The headless shell comes first: it draws no window, which takes a sixth of the CPU time of a whole Chromium."""
MISSING = [
    *([] if CHROMIUM else ["CHROMIUM (apt-get install chromium-headless-shell)"]),
    *([] if (WEB / "dist" / "index.html").is_file() else ["THE BUILT CLIENT (python player/web/build.py)"]),
]
in_browser = [
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"), reason="BROWSER TESTS NOT RUN: no " + ", ".join(MISSING)
    ),
]
"""The marks of every module of browser tests."""

WAIT_MS = 60_000

UNREACHABLE = ("net::ERR_CONNECTION", "net::ERR_EMPTY_RESPONSE", "WebSocket connection to")
"""Substrings of the console errors that the browser itself logs when a server does not answer."""


BANNERS = """
window.__banners = [];
new MutationObserver(() => {
  for (const note of document.querySelectorAll(".note[data-test]")) {
    const name = note.dataset.test;
    if (window.__banners.at(-1) !== name) window.__banners.push(name);
  }
}).observe(document.body, {childList: true, subtree: true, attributes: true});
"""
"""Appends each banner that appears to ``window.__banners``. Playwright can miss a banner that is shown briefly."""


DRAWN = (
    "new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 50))"
)
"""Resolves once the stage has drawn what it had to show: it rests 20 ms between two frames, and takes the next one."""


class Person:
    """A page, the actions of a person on it, and the errors in its console.

    ``tier``: how the page draws. ``D`` needs no WebGL; ``C`` takes a whole core, because a browser without a graphics
    card draws WebGL on the CPU.
    """

    def __init__(self, browser: Any, url: str, name: str, *, tier: str = "D", **context: Any) -> None:
        self.name = name
        self.tier = tier
        self.wrong: list[str] = []
        self.outages = False
        """Whether the browser may log network errors, because the test stops servers."""
        self.context = browser.new_context(**{**SCREEN, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.url = url

    def _note(self, message: Any) -> None:
        if message.type != "error":
            return
        if not (self.outages and any(part in message.text for part in UNREACHABLE)):
            self.wrong.append(f"{message.text} ({message.location.get('url', '')})")

    def go(self, path: str = "/") -> None:
        """Open a path, which may have a fragment but no query."""
        path, mark, fragment = path.partition("#")
        self.page.goto(f"{self.url}{path}?tier={self.tier}{mark}{fragment}")

    def find_seat(self) -> None:
        self.go()
        self.page.fill("#name", self.name)
        self.page.locator("[data-test=find]:visible, .dock .now:visible").first.click()
        self.page.wait_for_selector("[data-test=ready]")

    def ready(self, *, bots: bool = False) -> None:
        """Say ready, and wait for the match. ``bots``: ask for one if no player has come: a bot that plays another one
        comes after that match only."""
        self.page.click("[data-test=ready]")
        if bots:
            self.evaluate("document.querySelector('[data-test=fill]')?.click()")
        self.page.wait_for_selector("[data-test=stage]")

    def leave(self) -> None:
        """Leave the session. A match in turns asks whether to give it up."""
        leave = self.page.locator("[data-test=leave]")
        leave.click()
        if leave.count() and leave.inner_text() == "Give up?":
            leave.click()

    @property
    def over(self) -> bool:
        return bool(self.page.locator("[data-test=over]").count())

    @property
    def can_act(self) -> bool:
        return bool(self.page.locator("[data-test=launch]:enabled").count())

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)

    def remember_banners(self) -> None:
        """Record the banners that appear from now on in ``window.__banners``."""
        self.evaluate(BANNERS)

    def until(self, script: str) -> Any:
        """Wait until the expression is true, and return its value. Playwright's own wait needs eval, which the page's
        policy forbids."""
        end = time.monotonic() + WAIT_MS / 1000
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"never came true: {script}"
            self.page.wait_for_timeout(100)
        return value

    def await_frame(self) -> None:
        """Wait until the picture shows what the page knows now."""
        self.evaluate(DRAWN)

    def resting(self) -> list[dict[str, Any]]:
        """Where the bodies are once they rest: on a busy machine the world is slower than the clock."""
        same = 0
        places: list[dict[str, Any]] = []
        for _ in range(200):
            self.page.wait_for_timeout(300)
            before, places = places, self.evaluate("window.__test.places()")
            same = same + 1 if places and places == before else 0
            if same == 3:  # one pause may be that of a server that computes something else
                return places
        raise AssertionError("the bodies do not come to rest")

    def reach(self, script: str) -> None:
        """Press Tab until the expression is true of the element ``at`` that has the focus."""
        for _ in range(120):
            found = f"(() => {{ const at = document.activeElement; return Boolean(at && ({script})); }})()"
            if self.evaluate(found):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {script}")

    def pull(self, fraction: float = 1.0) -> bool:
        """Pull back from the own body, away from an opponent, and release. Return False without a target."""
        seat = self.evaluate("window.__test.state().turnSeat")
        places = self.evaluate("window.__test.places()")
        mine = [place for place in places if place["seat"] == seat]
        foes = [place for place in places if place["seat"] != seat]
        box = self.page.locator("[data-test=stage]").bounding_box()
        if not mine or not foes or box is None:
            return False
        x, y = box["x"] + mine[0]["px"], box["y"] + mine[0]["py"]
        dx, dy = mine[0]["px"] - foes[0]["px"], mine[0]["py"] - foes[0]["py"]
        scale = 170 * fraction / max(1.0, (dx * dx + dy * dy) ** 0.5)
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dx * scale / 2, y + dy * scale / 2, steps=2)
        mouse.move(x + dx * scale, y + dy * scale, steps=2)
        mouse.up()
        return True

    def play(self, seconds: float = 240, *others: Person) -> None:
        """Act in every turn until the duel is over, by pointer and by key alternately."""
        end = time.monotonic() + seconds
        turn = 0
        while not self.over and time.monotonic() < end:
            for person in (self, *others):
                if not person.can_act:
                    continue
                turn += 1
                if not (turn % 2 and person.pull()):
                    person.page.keyboard.press("Enter")
            self.page.wait_for_timeout(150)
        assert self.over, "the duel did not end"

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def describe(self) -> str:
        """What the page shows now: its address, and its text or why it has none."""
        from playwright.sync_api import Error

        try:
            text = self.page.inner_text("body", timeout=5_000)
        except Error as error:
            text = str(error)
        return f"{self.name} at {self.page.url}:\n{text[:3000]}"

    def close(self) -> None:
        self.context.close()
        assert self.wrong == [], f"errors in the console of {self.name}:\n" + "\n".join(self.wrong)


def serious(page: Any) -> list[str]:
    """Return the violations that axe-core rates serious or critical."""
    return violations(page, ("serious", "critical"))


def violations(
    page: Any, impacts: tuple[str, ...] = ("minor", "moderate", "serious", "critical")
) -> list[str]:
    """Return the violations of these impacts that axe-core finds."""
    page.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in impacts
        for node in violation["nodes"]
    ]
