"""``python -m bench.web.line [--network "120ms 40ms 3%"] [--seconds 20] [--save]``: the picture on a bad line.

A server with WebRTC and that network for everybody, a sandbox of two bodies, and two members: a page in headless
Chromium, and a client on a perfect line that drags one body on a circle at constant speed. Measured in the page, at
every animation frame:

    others' motion   how long the dragged body is drawn at one place, though it moves all the time; and the same of
                     standstills over at least two animation frames, which are not the browser's own
    own drag         after the pointer moved by 30 px: until the held body is drawn a tenth, and half, of the way
    frames           how the page gets them, and the time between two animation frames

Targets: an own drag is drawn within 50 ms, and no standstill is longer than 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from bench.machine import loaded_machine
from tests.support.person import CHROMIUM, FLAGS, Person
from tests.support.stranger import Line
from tests.support.stranger import Person as Stranger
from tests.support.web_servers import Servers
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore

__all__ = ["main"]

BODIES = ("cobble", "marl")
MOVES_HZ = 30.0
ROUND_S = 4.0
RADIUS_M = 0.5
HEIGHT_M = 0.6
MOVED_M = 5e-4
"""A body that moved by less than this between two animation frames is still: it moves 13 mm in 1/60 s."""

DRAGS = 12
DRAG_PX = 30

RECORD = """
window.__drawn = [];
window.__pointer = [];
addEventListener("pointermove", (event) => window.__pointer.push(event.timeStamp), true);
const look = () => {
  const at = {};
  for (const one of window.__test.places()) at[one.id] = [one.x, one.y, one.z];
  window.__drawn.push([performance.now(), at]);
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


class Dragger:
    """The other member: opens the sandbox, and drags its first body on a circle until it is cancelled."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._person = Stranger(url)
        self.session = ""
        self.body = ""

    async def open(self) -> str:
        """Returns the session."""
        await self._person.__aenter__()
        await self._person.login()
        self._seat = await self._person.ask(
            "/api/open",
            mode="sandbox",
            size=2,
            ready=True,
            private=True,
            params={"bodies": list(BODIES), "side": 6.0},
        )
        self._open = Line.to(self._seat["ws_url"])
        self._line = await self._open.__aenter__()
        await self._line.hello(ticket=self._seat["ticket"], network="")
        self.session = self._seat["session"]
        return self.session

    async def grab(self) -> str:
        """Once the sandbox runs. Returns the body."""
        brief = await self._line.until("brief")
        self.body = brief["d"]["bodies"][0]["id"]
        await self._line.act("grab", body=self.body, handle="centre")
        return self.body

    async def drag(self) -> None:
        """Until it is cancelled."""
        self._id = 1000
        began = time.monotonic()
        while True:
            angle = 2 * math.pi * (time.monotonic() - began) / ROUND_S
            target = [RADIUS_M * math.cos(angle) - 1.0, HEIGHT_M, RADIUS_M * math.sin(angle)]
            self._id += 1
            await self._line.send(
                json.dumps(
                    {"t": "act", "id": self._id, "ack": False, "d": {"kind": "move", "d": {"target": target}}}
                )
            )
            await asyncio.sleep(1 / MOVES_HZ)

    async def close(self) -> None:
        """Leave."""
        await self._open.__aexit__(None, None, None)
        await self._person.__aexit__(None, None, None)


def standstills(drawn: Sequence[Any], body: str) -> list[tuple[float, int]]:
    """How long the body was drawn at one place, each time [ms], and over how many animation frames."""
    found, since, frames = [], drawn[0][0], 0
    for (_, before), (at, after) in itertools.pairwise(drawn):
        frames += 1
        if math.dist(before[body], after[body]) > MOVED_M:
            found.append((at - since, frames))
            since, frames = at, 0
    return [*found, (drawn[-1][0] - since, frames)]


def delays(drawn: Sequence[Any], moved: Sequence[float], body: str) -> list[tuple[float, float]]:
    """For each move of the pointer: when the body is drawn a tenth and half of its way [ms]."""
    found = []
    for began in moved:
        before = [at for at in drawn if at[0] <= began]
        after = [at for at in drawn if began < at[0] <= began + 400.0]
        if not before or not after:
            continue
        start, end = before[-1][1][body], after[-1][1][body]
        way = math.dist(start, end)
        reached = [
            next(
                (at - began for at, places in after if math.dist(start, places[body]) >= share * way),
                math.inf,
            )
            for share in (0.1, 0.5)
        ]
        if way > 0.01:
            found.append((reached[0], reached[1]))
    return found


def measure(page: Person, dragger: Dragger, seconds: float) -> dict[str, Any]:
    """Watch the other's drag, then drag."""
    page.page.wait_for_timeout(3000)
    page.evaluate("window.__drawn.length = 0")
    page.page.wait_for_timeout(1000 * seconds)
    drawn = page.evaluate("window.__drawn")
    own = next(one for one in page.evaluate("window.__test.places()") if one["id"] != dragger.body)
    box = page.page.locator("[data-test=stage]").bounding_box()
    x, y = box["x"] + own["px"], box["y"] + own["py"]
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.until(f"window.__test.state().box.leases.some((one) => one.body === '{own['id']}')")
    page.page.mouse.move(x, y - 40)
    page.page.wait_for_timeout(1500)
    page.evaluate("window.__drawn.length = window.__pointer.length = 0")
    for turn in range(DRAGS):
        page.page.mouse.move(x + (DRAG_PX if turn % 2 == 0 else 0), y - 40)
        page.page.wait_for_timeout(700)
    dragged, moved = page.evaluate("window.__drawn"), page.evaluate("window.__pointer")
    page.page.mouse.up()
    return {
        "still": standstills(drawn, dragger.body),
        "drags": delays(dragged, moved, own["id"]),
        "intervals": [b[0] - a[0] for a, b in itertools.pairwise(drawn)],
        "frames": page.evaluate("window.__test.framesBy()"),
        "way": page.evaluate("window.__test.way()"),
        "rtt": page.evaluate("window.__test.rtt()"),
    }


def at_share(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def report(network: str, found: dict[str, Any]) -> list[str]:
    """The lines of the table."""
    first, half = zip(*found["drags"], strict=True)
    still, intervals = [one for one, _ in found["still"]], found["intervals"]
    longer = [one for one, frames in found["still"] if frames > 1] or [0.0]
    return [
        "# The picture on a bad line",
        "",
        f"`python -m bench.web.line`, {loaded_machine()}; network {network}, frames by {found['way']}: "
        f"{found['frames']['channel']} over the channel, {found['frames']['socket']} over the WebSocket, the last one "
        f"of {found['frames']['bytes']} B. Round trip {found['rtt']:.0f} ms.",
        "",
        "| | median [ms] | 99 % [ms] | longest [ms] | target [ms] |",
        "|---|---|---|---|---|",
        f"| time between two animation frames | {median(intervals):.0f} | {at_share(intervals, 0.99):.0f} | "
        f"{max(intervals):.0f} | |",
        f"| another's motion: drawn at one place | {median(still):.0f} | {at_share(still, 0.99):.0f} | "
        f"{max(still):.0f} | 100 |",
        f"| of these, over more than one animation frame: {len(longer)} of {len(still)} | {median(longer):.0f} | "
        f"{at_share(longer, 0.99):.0f} | {max(longer):.0f} | 100 |",
        f"| own drag: a tenth of the way is drawn | {median(first):.0f} | {at_share(first, 0.99):.0f} | "
        f"{max(first):.0f} | 50 |",
        f"| own drag: half of the way is drawn | {median(half):.0f} | {at_share(half, 0.99):.0f} | {max(half):.0f} | |",
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="120ms 40ms 3%")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--save", action="store_true", help="write the table beside this file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStore(Settings(data_dir=Path(folder))) as store,
        sync_playwright() as playwright,
    ):
        servers = Servers(store.url, WEBRTC="on", NETWORK=options.network, LOBBY_TIMEOUT_S="180")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
        try:
            dragger = Dragger(servers.do(servers.stack.server()).url)
            page = Person(chromium, dragger.url, "Mira")
            page.go(f"/#/s/{servers.do(dragger.open())}")
            page.page.fill("[data-test=door] input", page.name)
            page.page.click("[data-test=join]")
            page.page.click("[data-test=ready]")
            page.until("Boolean(window.__test) && window.__test.places().length > 0")
            servers.do(dragger.grab())
            dragging = servers.start(dragger.drag())
            page.until("window.__test.way() === 'channel'")
            page.evaluate(RECORD)
            lines = report(options.network, measure(page, dragger, options.seconds))
            dragging.cancel()
            servers.do(dragger.close())
        finally:
            chromium.close()
            servers.close()
    sys.stdout.write("\n".join([*lines, ""]))
    if options.save:
        (Path(__file__).parent / "line.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
