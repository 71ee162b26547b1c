"""The web client in a real browser against real processes: played by pointer, keys and touch, watched, cut off, checked
for accessibility. Screenshots are kept in data/screenshots (SCREENSHOTS).

Needs Debian's chromium and the built client; without them it is skipped, loudly, unless CI is set.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / "player" / "web"
SHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "data" / "screenshots"))
FLAGS = [
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = [
    *([] if CHROMIUM else ["CHROMIUM (apt-get install chromium)"]),
    *([] if (WEB / "dist" / "index.html").is_file() else ["THE BUILT CLIENT (python player/web/build.py)"]),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"), reason="BROWSER TESTS NOT RUN: no " + ", ".join(MISSING)
    ),
]
LAUNCHED = "window.__test.state().log.some((row) => row.parts[0].text.startsWith('Mira launched'))"
START_S = 400.0  # a cold start compiles the kernels
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``tussle up`` with bots that play, on a port of its own; or what runs already at TUSSLE_URL."""
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
        "LOBBY_TIMEOUT_S": "180",
        "BOT_THINK_S": "0.2",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from cli.main import main; main()", "up", "--port", "0", "--bots", "4"]
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


class Person:
    """A page with somebody before it, and all that went wrong on it."""

    def __init__(self, browser: Any, url: str, name: str, **context: Any) -> None:
        self.name = name
        self.wrong: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.url = url

    def go(self, path: str = "/") -> None:
        self.page.goto(self.url + path)

    def find_seat(self) -> None:
        self.go()
        self.page.fill("#name", self.name)
        self.page.locator("[data-test=find]:visible, .dock .now:visible").first.click()
        self.page.wait_for_selector("[data-test=ready]")

    def ready(self) -> None:
        self.page.click("[data-test=ready]")
        self.page.wait_for_selector("[data-test=stage]")

    @property
    def over(self) -> bool:
        return bool(self.page.locator("[data-test=over]").count())

    @property
    def can_act(self) -> bool:
        return bool(self.page.locator("[data-test=launch]:enabled").count())

    def look(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, script: str) -> None:
        """Wait for it. (The page's policy forbids what Playwright's own waiting does: eval.)"""
        end = time.monotonic() + WAIT_MS / 1000
        while not self.look(script):
            assert time.monotonic() < end, f"never came true: {script}"
            self.page.wait_for_timeout(100)

    def pull(self, fraction: float = 1.0) -> bool:
        """Pull back from one's own body, away from the nearest foe, and let go."""
        seat = self.look("window.__test.state().turnSeat")
        places = self.look("window.__test.places()")
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
        """Act in every turn, by pointer and by key in turn, until the duel is over."""
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

    def close(self) -> None:
        self.context.close()
        assert self.wrong == [], f"errors in the console of {self.name}"


@pytest.fixture
def person(browser: Any, url: str) -> Iterator[Any]:
    """Makes people; at the end none of them may have an error in the console."""
    made: list[Person] = []

    def make(name: str, **context: Any) -> Person:
        made.append(Person(browser, url, name, **context))
        return made[-1]

    yield make
    for one in made:
        one.close()


def serious(page: Any) -> list[str]:
    """What axe-core calls serious or critical."""
    page.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def test_a_person_plays_a_bot_to_the_end(person: Any) -> None:
    """Find a seat, choose a body, get ready, play by pulling and by keys, and read who won."""
    mira = person("Mira")
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    mira.page.wait_for_timeout(1500)
    mira.shoot("lobby")
    mira.find_seat()
    mira.page.locator("[data-test=bodies] label", has_text="Cobble").click()
    mira.page.wait_for_selector("text=Ready as Cobble")
    mira.page.wait_for_timeout(2500)
    mira.shoot("waiting")
    mira.ready()
    mira.play()
    mira.shoot("over")
    rows = mira.page.locator("[data-test=log] li").all_inner_texts()
    assert any("Mira launched Cobble" in row for row in rows)
    assert any("N·s" in row for row in rows)
    assert re.match(r"\d+ ms", mira.page.inner_text("[data-test=rtt]"))


def test_two_people_play_each_other(person: Any) -> None:
    """One opens a lobby by code, the other follows the link; they talk, get ready, play; both see the same end."""
    ada, kei, lena = person("Ada"), person("Kei"), person("Lena")
    ada.go()
    ada.page.fill("#name", "Ada")
    ada.page.check("text=New lobbies by code only")
    ada.page.click("[data-test=open]")
    token = "".join(ada.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=ready]")
    kei.page.fill("[aria-label='Message everyone']", "I took the jack. Sorry in advance.")
    kei.page.keyboard.press("Enter")
    ada.page.wait_for_selector("[data-test=chat] >> text=Sorry in advance")
    ada.page.click("[data-test=ready]")
    lena.go(f"/#/s/{token}")
    lena.page.click("[data-test=door] button:has-text('Watch')")
    kei.ready()
    for one in (ada, lena):
        one.page.wait_for_selector("[data-test=stage]")
    ada.play(280, kei)
    kei.page.wait_for_selector("[data-test=over]")
    lena.page.wait_for_selector("[data-test=over]")
    ends = [one.look("JSON.stringify(window.__test.state().result.places)") for one in (ada, kei, lena)]
    assert ends[0] == ends[1] == ends[2]
    assert lena.page.locator("[data-test=launch]").count() == 0
    assert "Sorry in advance" in ada.page.inner_text("[data-test=chat]")


def test_a_lost_connection_comes_back_to_the_seat(person: Any) -> None:
    """The line is cut in a duel: the banner shows, the seat is taken back, no event is missed or told twice."""
    mira = person("Mira")
    mira.find_seat()
    mira.ready()
    mira.until("window.__test && window.__test.state().phase === 'acting'")
    for _ in range(2):
        mira.look("window.__test.drop()")
        mira.page.wait_for_selector("[data-test=lost]")
        mira.page.wait_for_selector("[data-test=back]")
    mira.shoot("back")
    mira.play()
    versions = mira.look("window.__test.state().log.map((row) => row.v)")
    assert versions == sorted(set(versions))
    mira.until("window.__test.state().status === 'ended'")


def test_a_reload_keeps_the_seat(person: Any) -> None:
    """The page is loaded anew in a waiting lobby: the same seat, the same chat."""
    mira = person("Mira")
    mira.go()
    mira.page.fill("#name", "Mira")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=ready]")
    mira.page.fill("[aria-label='Message everyone']", "still here")
    mira.page.keyboard.press("Enter")
    mira.page.wait_for_selector("[data-test=chat] >> text=still here")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=ready]")
    mira.page.wait_for_selector("[data-test=chat] >> text=still here")
    assert "Mira, you" in mira.page.inner_text("[data-test=seats]")
    mira.page.click("[data-test=leave]")
    mira.page.wait_for_selector("[data-test=find]")


def test_keyboard_only(person: Any) -> None:
    """From the first Tab to the first launch without a pointer, without WebGL, with reduced motion."""
    mira = person("Mira", reduced_motion="reduce", color_scheme="light")
    mira.go("/?tier=D")
    press = mira.page.keyboard.press
    mira.page.wait_for_selector("[data-test=find]")

    def reach(script: str) -> None:
        for _ in range(60):
            if mira.look(
                f"(() => {{ const at = document.activeElement; return Boolean(at && ({script})); }})()"
            ):
                return
            press("Tab")
        raise AssertionError(f"Tab does not lead to {script}")

    reach("at.id === 'name'")
    mira.page.keyboard.type("Mira")
    reach("at.dataset.test === 'find'")
    press("Enter")
    mira.page.wait_for_selector("[data-test=bodies] input")
    reach("at.name === 'body'")
    press("ArrowRight")
    reach("at.dataset.test === 'ready'")
    press("Space")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    before = mira.page.inner_text("[data-test=bearing]")
    reach("at.dataset.test === 'stage'")
    press("ArrowRight")
    press("ArrowUp")
    mira.page.wait_for_timeout(300)
    assert mira.page.inner_text("[data-test=bearing]") != before
    assert mira.look("window.__test.tier()") == "D"
    mira.shoot("keyboard")
    press("Enter")
    mira.until("window.__test.state().log.some((row) => row.parts[0].text.startsWith('Mira launched'))")
    mira.page.click("[data-test=leave]")


def test_a_phone(person: Any) -> None:
    """390 px and a finger: nothing overflows sideways, the dock finds a seat, Launch can be tapped."""
    mira = person(
        "Mira", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="light"
    )
    mira.find_seat()
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert mira.look(overflow) <= 0
    mira.shoot("phone-waiting")
    mira.ready()
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.look(overflow) <= 0
    mira.page.wait_for_timeout(500)
    mira.shoot("phone-duel")
    mira.page.locator("[data-test=launch]").scroll_into_view_if_needed()
    mira.page.tap("[data-test=launch]")
    mira.until("window.__test.state().log.some((row) => row.parts[0].text.startsWith('Mira launched'))")
    mira.page.click("[data-test=leave]")
    mira.page.wait_for_selector(".dock")
    assert mira.look(overflow) <= 0
    mira.shoot("phone-lobby")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(person: Any, scheme: str) -> None:
    """Lobby, waiting lobby and duel, in both themes."""
    mira = person("Mira", color_scheme=scheme)
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    assert serious(mira.page) == []
    mira.find_seat()
    assert serious(mira.page) == []
    mira.ready()
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.shoot(f"duel-{scheme}")
    assert serious(mira.page) == []
    mira.page.click("[data-test=leave]")


def test_one_drags_a_body_and_another_sees_it_move(person: Any) -> None:
    """In a sandbox: a body follows the hand, the other page sees who holds it and the same motion."""
    mira, kei = person("Mira"), person("Kei")
    mira.go("/?tier=C")
    mira.page.fill("#name", "Mira")
    mira.page.click("text=Sandbox")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    token = "".join(mira.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/?tier=C#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=ready]")
    mira.page.click("[data-test=ready]")
    kei.page.click("[data-test=ready]")
    for one in (mira, kei):
        one.page.wait_for_selector("[data-test=palette]")
        one.until("Boolean(window.__test) && window.__test.places().length > 0")
    mira.page.wait_for_timeout(2000)
    place = mira.look("window.__test.places()")[0]
    box = mira.page.locator("[data-test=stage]").bounding_box()
    x, y = box["x"] + place["px"], box["y"] + place["py"]
    mouse = mira.page.mouse
    mouse.move(x, y)
    mouse.down()
    mira.until("window.__test.state().box.leases.length > 0")
    for step in range(1, 11):
        mouse.move(x - 8 * step, y - 12 * step)
        mira.page.wait_for_timeout(80)
    kei.until("window.__test.state().box.leases.length > 0")
    where = f"window.__test.places().find((one) => one.id === '{place['id']}')"
    for one in (mira, kei):
        one.until(f"Math.hypot({where}.x - {place['x']}, {where}.y - {place['y']}) > 0.15")
    mira.shoot("sandbox")
    kei.shoot("sandbox-other")
    mouse.up()
    mira.until("window.__test.state().box.leases.length === 0")
    mira.page.click("[data-test=freeze]")
    kei.until("window.__test.state().box.frozen")
    kei.page.click("[data-test=leave]")
    mira.page.click("[data-test=leave]")


def test_a_button_begins_a_run_of_the_spring_damper(person: Any) -> None:
    """B3, B7: opened from the lobby, begun by the button, plotted live on top of its closed form: the session's own run,
    and that of the two solver processes over streams."""
    ada = person("Ada")
    ada.go("/?tier=C")
    ada.page.fill("#name", "Ada")
    ada.page.click("text=Spring")
    ada.page.check("text=New lobbies by code only")
    ada.page.click("[data-test=open]")
    ada.page.click("[data-test=ready]")
    ada.page.wait_for_selector("[data-test=plot]")
    ada.page.click("[data-test=trigger]")
    ada.until(
        "Boolean(window.__test) && window.__test.state().spring.run >= 2 && window.__test.state().spring.n >= 20"
    )
    assert ada.look("window.__test.state().spring.error") < 1e-9
    ada.page.wait_for_selector("[data-test=streams]:has-text('step 1000 of 1000')")
    assert float(ada.page.inner_text("[data-test=streams-error]").removesuffix(" m")) < 1e-9
    for path, least in (("steps", 20), ("closed", 1000), ("streamed", 1000)):
        drawn = ada.page.get_attribute(f"[data-test={path}]", "d")
        assert drawn.startswith("M0.0 ") and drawn.count("L") >= least
    ada.shoot("spring-damper")
    ada.page.click("[data-test=leave]")
