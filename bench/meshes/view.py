"""From a mesh file in the hand to its body in the view: the editor in Chromium, a real server and worker.

A page of the editor is open. The file is chosen as a person does it; the end is the picture that has the body in it:
uploaded, made by the worker, added to the scene, its mesh read by the page and drawn.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.support.person import CHROMIUM, FLAGS

__all__ = ["time_to_view"]

CEILING_MS = 180_000

SHOWN = """
() => {
  const shown = window.__edit && window.__edit.places().some((one) => one.id === "bench");
  return shown && new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))));
}
"""
"""True once the body is in the picture of a frame that was drawn."""


def time_to_view(url: str, data: bytes, ending: str, tier: str) -> dict[str, float]:
    """The times [s] from the choice of the file: ``sent``, ``added`` to the scene, and ``shown`` in the view."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / f"bench{ending}"
        file.write_bytes(data)
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
        try:
            page = chromium.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
            page.set_default_timeout(CEILING_MS)
            return _measure(page, url, file, tier)
        finally:
            chromium.close()


def _measure(page: Page, url: str, file: Path, tier: str) -> dict[str, float]:
    page.goto(f"{url}/?tier={tier}")
    page.fill("#name", "Bench")
    page.click("[role=radio]:has-text('Sandbox')")
    page.click("[data-test=open]")
    page.click("[role=radio]:has-text('Mesh')")
    page.wait_for_function("() => window.__edit && window.__edit.scene().loaded && window.__edit.shapes()")
    began = time.monotonic()
    page.set_input_files("[aria-label='Mesh file']", file)
    times = {}
    for name, expression in (
        (
            "sent",
            "() => /queued|checking|ready/.test(document.querySelector('[data-test=uploads]').textContent)",
        ),
        ("added", "() => window.__edit.bodies().some((one) => one.id === 'bench')"),
        ("shown", SHOWN),
    ):
        page.wait_for_function(expression)
        times[name] = time.monotonic() - began
    return times
