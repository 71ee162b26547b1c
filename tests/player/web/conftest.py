"""A running stack with bots, a browser, and persons in it."""

from __future__ import annotations

import contextlib
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
    """Run the tests that start servers of their own before those that need ``url``, whose bots never rest."""
    here = Path(__file__).parent
    places = [place for place, item in enumerate(items) if item.path.parent == here]
    ours = sorted((items[place] for place in places), key=needs_url)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def needs_url(item: pytest.Item) -> bool:
    return "url" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``tussle up`` with bots on a free port, or TUSSLE_URL."""
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
        "3",  # one waits for a person while the others play
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium. The synchronous API keeps a loop running: only within this module."""
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
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
