"""Measures the JavaScript time of a frame with many bodies: the web client's stage in Chromium, at a server's rate.

    python -m bench.web                       50 bodies, as a machine without a graphics card draws them
    python -m bench.web --tier A --seconds 60 with shadows and the full finish

Reports per frame all JavaScript (blending, matrices, renderer, overlay) and the part before the renderer. The time of
the graphics card or the software renderer is not included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

from playwright.sync_api import sync_playwright

from tests.support.person import CHROMIUM, FLAGS, WEB
from tussle.lobby.store.embedded import free_port


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bodies", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--tier", choices=("A", "B", "C"), default="C")
    asked = parser.parse_args()
    port = free_port()
    vite = subprocess.Popen(
        [
            str(WEB / "node_modules" / ".bin" / "vite"),
            "--port",
            str(port),
            "--strictPort",
            "--host",
            "127.0.0.1",
        ],
        cwd=WEB,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/measure/", timeout=5).close()
                break
            if time.monotonic() > deadline or vite.poll() is not None:
                raise SystemExit("vite did not start: run `npm ci` in player/web")
            time.sleep(0.2)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS
            )
            page = chromium.new_page(viewport={"width": 1280, "height": 720})
            query = f"bodies={asked.bodies}&seconds={asked.seconds}&tier={asked.tier}"
            page.goto(f"http://127.0.0.1:{port}/measure/?{query}")
            ceiling_ms = 1000 * (asked.seconds + 120)
            found = page.wait_for_function("() => window.__measured", timeout=ceiling_ms).json_value()
            chromium.close()
        sys.stdout.write(
            f"{found['bodies']} bodies, tier {found['tier']}, {found['frames']} frames: a frame's JavaScript takes"
            f" {found['p50']:.2f} ms (p95 {found['p95']:.2f}), of it before the renderer"
            f" {found['own50']:.2f} ms (p95 {found['own95']:.2f})\n"
        )
    finally:
        vite.terminate()
        vite.wait(10)


if __name__ == "__main__":
    main()
