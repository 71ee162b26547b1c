"""A running stack with bots, a browser, and persons in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.operators import ENTRY
from tests.support.person import CHROMIUM, FLAGS, ROOT, SHOTS, Person

START_S = 400.0  # a cold start compiles the kernels


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that start servers of their own first, then those that need ``url``, and last those that need
    ``duels``, whose bots never rest."""
    here = Path(__file__).parent
    places = [place for place, item in enumerate(items) if item.path.parent == here]
    ours = sorted((items[place] for place in places), key=running)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def running(item: pytest.Item) -> int:
    """How many of ``url`` and ``duels`` a test needs."""
    return sum(name in getattr(item, "fixturenames", ()) for name in ("url", "duels"))


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``tussle up`` on a free port, or TUSSLE_URL. One bot waits in a lobby for a person, and others
    come where they are asked for: no two bots play each other."""
    if os.environ.get("TUSSLE_URL"):
        yield os.environ["TUSSLE_URL"]
        return
    folder = tmp_path_factory.mktemp("web")
    log = folder / "up.log"
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("REDIS_URL", "PORT", "PUBLIC_URL", "REALM")
    }
    environment |= {
        "DATA_DIR": str(folder),
        "OPERATORS": ENTRY,
        "LOBBY_TIMEOUT_S": "180",
        "ALONE_S": "0",
        "BOT_THINK_S": "0.2",
        "TURN_S": "60",  # screens are checked during a turn
        "PYTHONUNBUFFERED": "1",
    }
    command = [
        sys.executable,
        "-c",
        "from tussle.cli.main import main; main()",
        "up",
        "--port",
        "0",
        "--bots",
        "1",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_S
        address = ""
        while not address:
            found = re.search(r"Play\s+(http://\S+)", log.read_text(errors="replace"))
            if found:
                address = found[1]
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
            elif process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"tussle up did not come up:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="package")
def duels(url: str) -> Iterator[None]:
    """Two more bots: from now on a duel runs all the time, and one has ended and is recorded and rated. They take a
    third of what Tussle and a page of its lobby compute, so only tests that need duels have them."""
    if os.environ.get("TUSSLE_URL"):
        yield
        return
    since = int(time.time() * 1000)
    bots = [sys.executable, "-P", "-m", "tussle.player", "--count", "2", "--matches", "0", "--think", "0.2"]
    process = subprocess.Popen([*bots, "--server", url], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        recorded = f"{url}/api/recordings?kind=sessions&mode=duel&limit=1&since={since}"
        while not (get(recorded)["recordings"] and get(f"{url}/api/leaderboard/duel")["rows"]):
            assert process.poll() is None and time.monotonic() < deadline, "the bots play no duel"
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Any]:
    """The driver of the browsers, a process of Node. The synchronous API keeps a loop running, so no test of this
    folder may be asynchronous; asyncio works in other threads only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    """One Chromium for all tests of a file: one that crashes fails no others."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS)
    yield chromium
    chromium.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def person(browser: Any, url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes persons. At the end a console error of any of them fails the test; a test that failed prints the pages."""
    made: list[Person] = []

    def make(name: str, **context: Any) -> Person:
        made.append(Person(browser, url, name, **context))
        return made[-1]

    yield make
    if request.node.stash.get(FAILED, False):
        sys.stdout.writelines(f"{one.describe()}\n\n" for one in made)
    for one in made:
        one.close()
