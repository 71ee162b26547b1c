"""Measures the bytes that a lobby page receives while bots duel: ``tussle up`` as ``./run`` starts it, and Chromium.

    python -m bench.web.received --seconds 180

Counted by the browser (Chrome DevTools Protocol): of requests what came over the network, heads and compression
included; of sockets the payload of each message and its frame's header. The page is open for a while before the count,
so that its files and first lists are not in it. The pointer moves now and then: without a person the preview watches no
other duel after a minute, and the page receives less. Results: bench/web/lists.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from bench.machine import loaded_machine
from tests.support.paths import ROOT
from tests.support.person import CHROMIUM, FLAGS, Person

PROGRAM = (sys.executable, "-P", "-c", "from tussle.cli.main import main; main()")
START_S = 400.0
MOVES_S = 20.0
LONG, LONGER = 126, 1 << 16
"""Payload lengths from which the header of a WebSocket frame has two and eight bytes more (RFC 6455, 5.2)."""


class Received:
    """The bytes of one page since ``clear``, by their source."""

    def __init__(self, page: Any) -> None:
        self.bytes: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self._sources: dict[str, str] = {}
        self._counted: Counter[str] = Counter()
        network = page.context.new_cdp_session(page)
        network.on("Network.requestWillBeSent", lambda d: self._name(d["requestId"], d["request"]["url"]))
        network.on("Network.webSocketCreated", lambda d: self._name(d["requestId"], d["url"]))
        network.on("Network.responseReceived", lambda d: self._answered(d["requestId"], d["response"]))
        network.on("Network.dataReceived", lambda d: self._came(d["requestId"], d["encodedDataLength"]))
        network.on("Network.loadingFinished", lambda d: self._ended(d["requestId"], d["encodedDataLength"]))
        network.on("Network.webSocketFrameReceived", lambda d: self._heard(d["requestId"], d["response"]))
        network.send("Network.enable")

    def clear(self) -> None:
        self.bytes.clear()
        self.messages.clear()

    def _name(self, request: str, url: str) -> None:
        self._sources[request] = urlsplit(url).path

    def _answered(self, request: str, response: dict[str, Any]) -> None:
        self._came(request, int(response["encodedDataLength"]))

    def _came(self, request: str, size: int) -> None:
        self._counted[request] += size
        self.bytes[self._sources.get(request, "?")] += size

    def _ended(self, request: str, size: float) -> None:
        """Correct the sum of the parts of a request by the browser's own."""
        self._came(request, int(size) - self._counted[request])

    def _heard(self, request: str, frame: dict[str, Any]) -> None:
        payload = frame["payloadData"]
        if frame["opcode"] == 1:
            size, kind = len(payload.encode()), json.loads(payload)["t"]
        else:
            size, kind = len(payload) * 3 // 4 - payload[-2:].count("="), "frames"
        size += 2 + (2 if size >= LONG else 0) + (6 if size >= LONGER else 0)
        source = f"{self._sources.get(request, '?')} {'frames' if kind == 'frames' else 'text'}"
        self.bytes[source] += size
        self.messages[f"{source} {kind}"] += size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument(
        "--settle", type=float, default=60.0, help="how long the page is open before the count"
    )
    parser.add_argument("--bots", type=int, default=4)
    asked = parser.parse_args()
    sys.stdout.write(f"{loaded_machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        up = start(Path(folder), asked.bots)
        try:
            measure(address(up, Path(folder)), asked.settle, asked.seconds)
        finally:
            up.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                up.wait(30)
            if up.poll() is None:
                os.killpg(up.pid, signal.SIGKILL)
                up.wait()


def start(folder: Path, bots: int) -> subprocess.Popen[bytes]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("REDIS_URL", "PORT", "PUBLIC_URL", "REALM")
    }
    with (folder / "up.log").open("wb") as log:
        return subprocess.Popen(
            [*PROGRAM, "up", "--port", "0", "--bots", str(bots)],
            cwd=ROOT,
            env=environment | {"DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def address(up: subprocess.Popen[bytes], folder: Path) -> str:
    """Where the started Tussle answers."""
    deadline = time.monotonic() + START_S
    while up.poll() is None and time.monotonic() < deadline:
        text = (folder / "up.log").read_text(errors="replace")
        found = re.search(r"Play\s+(http://\S+)", text)
        if found:
            with suppress(OSError):
                urllib.request.urlopen(f"{found[1]}/healthz", timeout=5).close()
                return found[1]
        time.sleep(0.2)
    raise SystemExit(f"tussle up did not come up:\n{(folder / 'up.log').read_text(errors='replace')[-3000:]}")


def measure(url: str, settle_s: float, seconds: float) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
        mira = Person(chromium, url, "Mira", viewport={"width": 1440, "height": 900})
        received = Received(mira.page)
        mira.go()
        mira.page.wait_for_selector(".feat [data-test=stage]", timeout=1000 * START_S)
        stay(mira, settle_s)
        received.clear()
        began = time.monotonic()
        stay(mira, seconds)
        minutes = (time.monotonic() - began) / 60
        chromium.close()
    for title, counted in (("received", received.bytes), ("messages of sockets", received.messages)):
        sys.stdout.write(f"{title}, kB a minute: {sum(counted.values()) / minutes / 1000:.1f}\n")
        for source, size in counted.most_common():
            sys.stdout.write(f"  {source:<44} {size / minutes / 1000:7.2f}\n")


def stay(person: Person, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        person.page.mouse.move(700 + 10 * (int(left) % 2), 20)
        person.page.wait_for_timeout(1000 * min(MOVES_S, left))


if __name__ == "__main__":
    main()
