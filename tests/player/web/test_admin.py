"""The operators' page: only an operator gets in, sees what runs, and orders over all servers."""

from __future__ import annotations

import os
import secrets
from typing import Any

import pytest

from tests.support.operators import SECRET
from tests.support.person import in_browser, serious

pytestmark = [
    *in_browser,
    pytest.mark.skipif(bool(os.environ.get("TUSSLE_URL")), reason="the operator of TUSSLE_URL is not known"),
]

VIEWS = (
    {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    {"viewport": {"width": 1024, "height": 768}, "color_scheme": "light"},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"},
)


def log_in(boss: Any, secret: str = SECRET) -> None:
    boss.page.fill("#operator", "boss")
    boss.page.fill("#secret", secret)
    boss.page.keyboard.press("Enter")


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize("view", VIEWS, ids=["wide", "middle", "phone"])
def test_the_page_shows_what_runs(person: Any, view: dict[str, Any]) -> None:
    """Another secret is refused beside its field. The sessions of the bots, the server, its solvers and its players are
    there; nothing is wider than the page, and axe finds nothing serious."""
    boss = person("boss", **view)
    boss.go("/admin")
    log_in(boss, "a guess of theirs")
    boss.page.wait_for_selector("[data-test=refused] >> text=not the secret")
    boss.wrong.clear()  # the browser itself notes every answer that is an error
    log_in(boss)
    boss.page.wait_for_selector("[data-test=sessions] [data-session]")
    boss.page.wait_for_selector("[data-test=players] [data-player]")
    boss.page.wait_for_selector("[data-test=servers] >> text=solver 0")
    boss.page.locator("[data-test=members]").first.click()
    boss.page.wait_for_selector("tr.member")
    assert boss.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious(boss.page) == []
    boss.shoot(f"admin-{view['viewport']['width']}")
    boss.page.reload()
    boss.page.wait_for_selector("[data-test=sessions] [data-session]")
    boss.page.click("[data-test=logout]")
    boss.page.wait_for_selector("[data-test=door]")


def test_a_notice_and_a_ban_reach_a_member(person: Any) -> None:
    """A notice shows in the lobby of the member whom it is for. After a ban, asked for twice, its seat is free and its
    page gets nowhere; once the ban is lifted it plays again."""
    name = f"Ada{secrets.token_hex(3)}"
    ada, boss = person(name), person("boss")
    ada.go()
    ada.page.fill("#name", name)
    ada.page.check("text=New lobbies by code only")
    ada.page.click("[data-test=open]")
    token = "".join(ada.page.inner_text("[data-test=code]").split()).lower()
    boss.go("/admin")
    log_in(boss)
    boss.page.fill("[data-test=notice]", "The server restarts at noon.")
    boss.page.fill("[aria-label='Only for the session with this code']", token.upper())
    boss.page.click("button:has-text('Send')")
    ada.page.wait_for_selector("[data-test=announcement] >> text=The server restarts at noon.")
    ada.shoot("announcement")
    row = boss.page.locator(f"[data-player]:has-text('{name}')")
    row.locator("button:has-text('Ban')").click()
    row.locator("button:has-text('Really ban?')").click()
    boss.page.wait_for_selector(f"[data-test=bans] >> text={name}")
    ada.wrong.clear()
    boss.page.wait_for_selector(f"[data-session='{token}']", state="detached")
    ada.go("/")
    ada.page.wait_for_selector("[data-test=find]")
    ada.page.click("[data-test=find]")
    ada.page.wait_for_selector(".note.bad >> text=banned")
    ada.shoot("banned")
    boss.page.click(f"[aria-label^='Lift the ban of {name}']")
    boss.page.wait_for_selector("[data-test=bans] >> text=Nobody is banned.")
    ada.page.click("[data-test=find]")
    ada.page.wait_for_selector("[data-test=ready]")
    ada.leave()
    assert [text for text in ada.wrong if "403" not in text] == []
    ada.wrong.clear()
