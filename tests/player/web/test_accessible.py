"""Every screen in both themes as axe-core sees it: no violation of any impact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.person import Person, in_browser, violations
from tests.support.practice import brace, practise

pytestmark = in_browser


@pytest.fixture(scope="module")
def mira(browser: Any, url: str) -> Iterator[Person]:
    """One page for all screens of this module."""
    made = Person(browser, url, "Mira")
    yield made
    made.close()


def check(mira: Person, screen: str) -> None:
    """Compare the present screen with axe-core's rules, light and dark."""
    found = {}
    for theme in ("light", "dark"):
        mira.page.emulate_media(color_scheme=theme)
        mira.until(f"document.documentElement.dataset.theme === '{theme}'")
        found[theme] = violations(mira.page)
        mira.shoot(f"axe-{screen}-{theme}")
    assert found == {"light": [], "dark": []}


def leave(mira: Person) -> None:
    mira.leave()
    mira.page.wait_for_selector("[data-test=find]")


def choose(mira: Person, mode: str) -> None:
    mira.page.click(f"[aria-label=Mode] [role=radio]:has-text('{mode}')")


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize("opened", ["", "settings", "keys"])
def test_the_first_page(mira: Person, opened: str) -> None:
    """Alone, and with each of its panels."""
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    if opened:
        mira.page.click("[data-test=settings-button]") if opened == "settings" else mira.page.keyboard.press(
            "?"
        )
        mira.page.wait_for_selector(f"[data-test={opened}]")
    check(mira, f"lobby-{opened}")


@pytest.mark.parametrize(
    ("mode", "there"),
    [
        ("Duel", "[data-test=bodies]"),
        ("Curling", "[data-test=ready]"),
        ("Sandbox", "[data-test=ready]"),
        ("Spring", "[data-test=ready]"),
    ],
)
def test_the_waiting_room(mira: Person, mode: str, there: str) -> None:
    """Of each mode; the sandbox has its editor there."""
    mira.go()
    choose(mira, mode)
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector(there)
    check(mira, f"waiting-{mode}")
    leave(mira)


@pytest.mark.parametrize("mode", ["Duel", "Curling"])
def test_a_match(mira: Person, mode: str) -> None:
    """In one's own turn with a hint; then over the recording of it."""
    mira.go()
    mira.evaluate("localStorage.removeItem('tussle.hints')")
    mira.go()
    choose(mira, mode)
    mira.page.click("[data-test=practise]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    check(mira, f"match-{mode}")
    mira.page.click("[data-test=rewind]")
    mira.until("Boolean(window.__replay && window.__replay.drawn())")
    check(mira, f"replay-{mode}")
    mira.page.go_back()
    mira.page.wait_for_selector("[data-test=leave], [data-test=find]")
    if mira.page.locator("[data-test=leave]").count():
        leave(mira)


def test_the_result_of_a_match(mira: Person) -> None:
    """A duel that is decided on health after one round, with what the numbers mean."""
    practise(mira, rounds=1)
    brace(mira)
    mira.page.wait_for_selector("[data-test=over] [data-test=places]")
    mira.page.click("text=What the numbers mean")
    check(mira, "result")
    leave(mira)


def test_a_player_that_is_out(mira: Person) -> None:
    """A duel that is played until a body is off the mat or broken. It is struck out in the list of players."""
    practise(mira)
    mira.play(200)
    mira.page.wait_for_selector("[data-test=over]")
    check(mira, "out")
    leave(mira)


def test_the_forms_of_the_editor(mira: Person) -> None:
    """A body with all its properties open, and each form of the tools."""
    mira.go()
    choose(mira, "Sandbox")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=ready]")
    mira.until("Boolean(window.__edit) && window.__edit.scene().loaded && window.__edit.shapes()")
    mira.page.locator("[data-body]").first.click()
    mira.page.wait_for_selector("[data-test=inspector] details.sect")
    mira.evaluate("document.querySelectorAll('details.sect').forEach((part) => { part.open = true; })")
    for form in ("array", "new", "save"):
        mira.page.click(f"[data-test={form}]")
        check(mira, f"editor-{form}")
    leave(mira)


@pytest.mark.parametrize("mode", ["Sandbox", "Spring"])
def test_what_one_does_alone(mira: Person, mode: str) -> None:
    """A sandbox and a spring that run."""
    mira.go()
    choose(mira, mode)
    mira.page.click("[data-test=play-now]")
    mira.page.wait_for_selector("[data-test=stage]")
    mira.page.wait_for_selector("[data-test=leave]")
    check(mira, mode)
    leave(mira)


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize("width", [1280, 900, 390])
def test_the_page_of_a_player(mira: Person, width: int) -> None:
    """Of a bot with matches, on three widths."""
    mira.go()
    rows = mira.evaluate("fetch('/api/leaderboard/duel').then((answer) => answer.json())")["rows"]
    mira.page.set_viewport_size({"width": width, "height": 800})
    mira.go(f"/#/p/{rows[0]['player']}")
    mira.page.wait_for_selector("[data-test=rating-curve]")
    mira.page.wait_for_selector("[data-test=recordings] [data-session]")
    check(mira, f"player-{width}")
    assert mira.evaluate("document.documentElement.scrollWidth <= innerWidth")
    mira.page.set_viewport_size({"width": 1280, "height": 800})


def test_a_player_that_nobody_knows(mira: Person) -> None:
    """The page of a player that does not exist."""
    mira.go("/#/p/p22222222222")
    mira.page.wait_for_selector("[data-test=no-profile] >> text=No such player")
    check(mira, "no-player")
    mira.wrong.clear()  # the browser itself notes every answer that is an error


def test_a_code_that_leads_nowhere(mira: Person) -> None:
    """The door of a session that does not exist. It asks once: no later session gets that code."""
    asked: list[str] = []

    def note(request: Any) -> None:
        if request.url.endswith("/api/sessions/zzzzzzzz"):
            asked.append(request.method)

    mira.page.on("request", note)
    mira.go("/#/s/zzzzzzzz")
    mira.page.wait_for_selector("[data-test=door] >> text=No session")
    check(mira, "door")
    mira.page.wait_for_timeout(3500)  # two looks at a session that is there
    mira.page.remove_listener("request", note)
    assert asked == ["GET"]
    mira.wrong.clear()  # the browser itself notes every answer that is an error
