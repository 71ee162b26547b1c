"""Every mode to its end by keyboard alone, in a real browser. The way from the first page to a duel is in
test_browser.py."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.player.web.test_fit import MISFITS
from tests.support.paths import ROOT
from tests.support.person import Person, in_browser, serious
from tests.support.practice import practise
from tests.support.web_servers import Servers
from tests.test_tutorial import write as write_tutorial_file
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore

pytestmark = in_browser

OVER = "window.__test.state().phase === 'over'"


def choose_mode(person: Person, mode: str) -> None:
    """From the first page: the mode, in the row of choices."""
    person.go()
    person.page.wait_for_selector(f"[aria-label=Mode] [role=radio]:has-text('{mode}')")
    person.reach("at.closest('[aria-label=Mode]') && at.ariaChecked === 'true'")
    for _ in range(8):
        if person.evaluate("document.activeElement.textContent") == mode:
            return
        person.page.keyboard.press("ArrowRight")
    raise AssertionError(f"the mode {mode} is not offered")


def press_until_over(person: Person, *, seconds: float = 240.0) -> None:
    """Act in each turn until the match is over: aim with power, and launch."""
    end = time.monotonic() + seconds
    while not person.evaluate(OVER):
        assert time.monotonic() < end, "the match did not end"
        if person.can_act:
            person.page.keyboard.press("ArrowUp")
            person.page.keyboard.press("Enter")
        person.page.wait_for_timeout(150)
    person.page.wait_for_selector("[data-test=over] [data-test=places]")


CROSSING = """[...document.querySelectorAll("#main .tile, #main .stage")].map((one) => one.getBoundingClientRect())
  .filter((a, i, all) => all.some((b, j) => j < i && a.width && b.width
    && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)).length"""
"""How many panels lie over another one."""


def leave(person: Person) -> None:
    """Back to the first page, by the button at the top. In a match in turns it asks whether to give up."""
    person.reach("at.dataset.test === 'leave'")
    person.page.keyboard.press("Enter")
    if person.evaluate("document.activeElement.innerText") == "Give up?":
        person.page.keyboard.press("Enter")
    person.page.wait_for_selector("[data-test=find]")


@pytest.mark.parametrize(
    ("mode", "params"), [("duel", {"rounds": 4}), ("curling", {"stones": 2, "ends": 1, "turn_s": 60})]
)
def test_a_match_is_played_to_its_end(person: Any, mode: str, params: dict[str, float]) -> None:
    """Each turn by keys; at the end a rematch is asked for, and left, by keys too. The stones of a last end stay."""
    mira = person("Mira")
    practise(mira, mode=mode, skill="novice", **params)
    mira.reach("at.dataset.test === 'stage'")
    press_until_over(mira)
    mira.until("window.__test.places().length > 0")
    assert mira.evaluate(CROSSING) == 0
    mira.shoot(f"keyboard-{mode}")
    mira.reach("at.dataset.test === 'rematch'")
    mira.page.keyboard.press("Enter")
    mira.page.wait_for_selector("[data-test=ready], [data-test=launch]")
    leave(mira)


def test_a_body_in_the_sandbox_is_put_held_moved_and_taken_away(person: Any) -> None:
    """Alone in a sandbox: a body by its digit, held from the list, moved by arrows, let go; pause; taken away; left."""
    mira = person("Mira")
    choose_mode(mira, "Sandbox")
    press = mira.page.keyboard.press
    mira.reach("at.dataset.test === 'play-now'")
    press("Enter")
    mira.page.wait_for_selector("[data-test=palette]")
    mira.until("Boolean(window.__test) && window.__test.places().length > 0")
    count = "window.__test.state().box.bodies.length"
    before = mira.evaluate(count)
    press("1")
    mira.until(f"{count} === {before + 1}")
    body = mira.evaluate("window.__test.state().box.bodies.at(-1).id")
    mira.reach(f"at.closest('[data-handle=\"{body}\"]')")
    press("Enter")
    mira.reach("at.dataset.test === 'hold'")
    press("Enter")
    mira.until("window.__test.state().box.leases.some((one) => one.seat === window.__test.seat())")
    place = f"window.__test.places().find((one) => one.id === '{body}')"
    height = mira.evaluate(f"{place}.y")
    for _ in range(12):
        press("PageUp")
    mira.until(f"{place}.y > {height} + 0.3")
    x = mira.evaluate(f"{place}.x")
    for _ in range(8):
        press("ArrowRight")
    mira.until(f"{place}.x > {x} + 0.2")
    mira.shoot("keyboard-sandbox")
    mira.page.wait_for_timeout(2500)  # longer than a lease without a message lasts
    assert mira.evaluate("window.__test.state().box.leases.length") == 1
    press("Escape")
    mira.until("window.__test.state().box.leases.length === 0")
    mira.reach("at.dataset.test === 'stage'")
    press("Space")
    mira.until("window.__test.state().box.frozen")
    mira.reach("at.dataset.test === 'take-away'")
    press("Enter")
    mira.until(f"{count} === {before}")
    leave(mira)


def test_a_spring_damper_runs_to_its_end(person: Any) -> None:
    """Alone: its number of steps is typed, the run is started and ends; then a second one with other numbers."""
    mira = person("Mira")
    choose_mode(mira, "Spring")
    press = mira.page.keyboard.press
    mira.reach("at.dataset.test === 'play-now'")
    press("Enter")
    mira.page.wait_for_selector("[data-test=plot]")
    mira.reach("at.dataset.test === 'trigger'")
    press("Enter")
    mira.page.wait_for_selector("[data-test=streams]:has-text('step 1000 of 1000')")
    mira.until("window.__test.state().spring.run >= 2 && window.__test.state().spring.n >= 20")
    token = mira.evaluate("window.__test.state().session")
    mira.reach("at.dataset.test === 'rig-m'")
    press("ControlOrMeta+a")
    mira.page.keyboard.type("2")
    press("Enter")
    mira.reach("at.dataset.test === 'new-rig'")
    press("Enter")
    mira.until(f"window.__test.state().session !== '{token}' && window.__test.state().spring.n >= 5")
    assert mira.evaluate("window.__test.state().spring.scheme.m") == 2
    leave(mira)


@pytest.fixture(scope="module")
def store_url(valkey: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store for the server with a mode of its own."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("keyboard")), binary=valkey) as store:
        yield store.url


@pytest.fixture(scope="module")
def own_modes(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A server with two modes of a user's own: an example, and that of the tutorial."""
    putt = write_tutorial_file("putt.py", tmp_path_factory.mktemp("modes"))
    running = Servers(store_url, MODES=f"{ROOT / 'examples' / 'fragile_duel.py'},{putt}", ALONE_S="0")
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def own_address(own_modes: Servers) -> Iterator[str]:
    """The address of that server, with bots that play on demand."""
    server = own_modes.do(own_modes.stack.server())
    bots = own_modes.do(own_modes.stack.bots(0, 0, "--serve", SERVER_URL=server.url))
    yield server.url
    own_modes.do(bots.kill())


def test_a_mode_of_ones_own_is_played_to_its_end(browser: Any, own_address: str) -> None:
    """From the first page, where it is in the row of modes with a form for its parameters, against a bot to the
    result."""
    mira = Person(browser, own_address, "Mira")
    choose_mode(mira, "Fragile")
    mira.page.wait_for_selector("[data-test=params]")
    assert mira.evaluate(MISFITS) == []  # the row of modes is as wide as its place, however many there are
    mira.reach("at.closest('[data-test=params]')")
    mira.page.keyboard.press("Enter")
    mira.reach("at.dataset.test === 'param-rounds'")
    mira.page.keyboard.press("ControlOrMeta+a")
    mira.page.keyboard.type("1001")
    mira.page.wait_for_selector(".num.bad [data-test=param-rounds]")
    mira.page.keyboard.press("ControlOrMeta+a")
    mira.page.keyboard.type("4")
    mira.page.keyboard.press("Enter")
    mira.shoot("own-mode-params")
    assert serious(mira.page) == []
    mira.reach("at.dataset.test === 'play-now'")
    mira.page.keyboard.press("Enter")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.evaluate("window.__test.state().params") == {"rounds": 4}
    mira.reach("at.dataset.test === 'stage'")
    press_until_over(mira)
    mira.shoot("keyboard-own-mode")
    leave(mira)
    mira.close()


def test_the_mode_of_the_tutorial_is_played_to_its_end(browser: Any, own_address: str) -> None:
    """Its only kind of action is one that no other mode has. None is refused, and nobody has health."""
    mira = Person(browser, own_address, "Mira")
    choose_mode(mira, "Putt")
    mira.reach("at.dataset.test === 'play-now'")
    mira.page.keyboard.press("Enter")
    mira.page.wait_for_selector("[data-test=launch]:enabled >> text=Flick")
    assert mira.page.locator("[role=meter]").count() == 0
    mira.reach("at.dataset.test === 'stage'")
    press_until_over(mira)
    assert mira.evaluate("window.__test.state().seats.every((seat) => seat.cause === '')")
    assert re.search(r"\bwins?$", mira.page.inner_text("[data-test=over] h1, [data-test=over] h2"))
    heads = mira.page.locator("[data-test=places] thead th").all_inner_texts()
    assert [head for head in heads if head.strip()] == ["Place and player", "Rating"]  # it counts no damage
    mira.shoot("keyboard-tutorial-mode")
    leave(mira)
    mira.close()
