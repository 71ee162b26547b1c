"""How long a browser takes to show the first picture of a replay, from the address to the drawn frame.

Chromium without a graphics card, on the cores of the server; each time with an empty cache.
"""

from __future__ import annotations

import statistics

from playwright.sync_api import sync_playwright

from bench.session.__main__ import Row
from tests.support.person import CHROMIUM, FLAGS

__all__ = ["first_picture_rows"]

TIMES = 5

LIMIT_MS = 30_000
"""A page that has not drawn by then ends the measurement; it may be that the web client is not built."""

WATCH = """
window.__shown = null;
const look = () => {
  if (window.__replay && window.__replay.drawn()) requestAnimationFrame(() => (window.__shown = performance.now()));
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Notes when the first picture is drawn, in ms since the navigation began."""

SHOWN = """limit => new Promise((found, failed) => {
  setTimeout(() => failed(new Error("no picture was drawn")), limit);
  const look = () => window.__shown === null ? requestAnimationFrame(look) : found(window.__shown);
  look();
})"""
"""Waits for it. The page's security policy allows no ``eval``, which Playwright's own waiting uses."""


def first_picture_rows(url: str, token: str) -> list[Row]:
    """Rows of the table of results: with a flat stage, and with one in three dimensions."""
    return [
        ("first picture of a replay, flat", *_first_picture(url, token, "D")),
        ("first picture of a replay, WebGL on the CPU", *_first_picture(url, token, "C")),
    ]


def _first_picture(url: str, token: str, tier: str) -> tuple[str, str]:
    times: list[float] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
        for _ in range(TIMES):
            context = chromium.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            page.add_init_script(WATCH)
            page.goto(f"{url}/r/{token}?tier={tier}")
            times.append(page.evaluate(SHOWN, LIMIT_MS))
            context.close()
        chromium.close()
    middle, best = statistics.median(times), min(times)
    return (
        f"{middle:.0f} ms (fastest {best:.0f})",
        f"Chromium, empty cache, median of {TIMES}; target < 1000 ms",
    )
