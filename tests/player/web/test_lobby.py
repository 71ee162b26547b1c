"""The lobby and those who gather in it: names and secrets, the list and its search, the queue, codes and links,
presence and chat."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pytest

from tests.support.person import in_browser, serious

pytestmark = in_browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def open_lobby(host: Any, mode: str = "Duel", *, hidden: bool = True) -> str:
    """A new lobby of that mode; its token."""
    host.go()
    host.page.fill("#name", host.name)
    host.page.click(f"[role=radio]:has-text('{mode}')")
    if hidden:
        host.page.check("text=New lobbies by code only")
    host.page.click("[data-test=open]")
    return "".join(host.page.inner_text("[data-test=code]").split()).lower()


def test_a_guest_keeps_its_name_with_a_secret(person: Any) -> None:
    """First a guest, then a name of one's own; elsewhere the wrong secret is refused beside its field and the right one
    lets its owner in, also after a reload."""
    name = f"Ada {secrets.token_hex(3)}"
    ada, elsewhere = person("Ada"), person("Ada", **PHONE, color_scheme="dark")
    ada.go()
    ada.page.wait_for_selector("text=No account needed")
    ada.until("Boolean(localStorage['tussle.me'])")  # the page is shown before the guest is logged in
    guest = ada.evaluate("JSON.parse(localStorage.getItem('tussle.me')).player")
    ada.page.fill("#name", name)
    ada.page.click("text=Keep this name with a secret")
    ada.page.fill("[type=password]", "a secret of hers")
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_selector("text=This name is yours")
    assert ada.evaluate("JSON.parse(localStorage.getItem('tussle.me')).player") == guest
    elsewhere.go()
    elsewhere.page.fill("#name", name)
    elsewhere.page.click("text=Keep this name with a secret")
    elsewhere.page.fill("[type=password]", "a guess of his")
    elsewhere.page.click("button:has-text('It’s mine')")
    elsewhere.page.wait_for_selector("[data-test=refused]")
    elsewhere.shoot("login-refused")
    assert serious(elsewhere.page) == []
    assert [text for text in elsewhere.wrong if "401" not in text] == []
    elsewhere.wrong.clear()  # the browser itself notes every answer that is an error
    elsewhere.page.fill("[type=password]", "a secret of hers")
    elsewhere.page.click("button:has-text('It’s mine')")
    elsewhere.page.wait_for_selector("text=This name is yours")
    elsewhere.page.reload()
    elsewhere.page.wait_for_selector("text=This name is yours")
    assert elsewhere.evaluate("JSON.parse(localStorage.getItem('tussle.me')).player") == guest
    assert elsewhere.page.input_value("#name") == name


def test_logging_out_deletes_the_login(person: Any) -> None:
    """After "Log out" the page is nobody's, and the server refuses the token that it had."""
    name = f"Uma {secrets.token_hex(3)}"
    uma = person("Uma")
    uma.go()
    uma.page.fill("#name", name)
    uma.page.click("text=Keep this name with a secret")
    uma.page.fill("[type=password]", "a secret of hers")
    uma.page.keyboard.press("Enter")
    uma.page.wait_for_selector("text=This name is yours")
    token = uma.evaluate("JSON.parse(localStorage.getItem('tussle.me')).token")
    uma.page.click("[data-test=logout]")
    uma.page.wait_for_selector("text=You are logged out")
    uma.page.wait_for_selector("text=No account needed")
    assert "token" not in (uma.evaluate("localStorage.getItem('tussle.me')") or "")
    asked = (
        f"fetch('/api/me', {{headers: {{authorization: 'Bearer {token}'}}}}).then(answer => answer.status)"
    )
    assert uma.evaluate(asked) == 401
    uma.wrong.clear()  # the browser itself notes every answer that is an error


def test_the_list_shows_who_waits_and_is_searched(person: Any) -> None:
    """An open lobby is in the list and the queue of another page, is found by its host's name and by nothing else, and
    one joins it from there."""
    name = f"Otto{secrets.token_hex(3)}"
    otto, kei = person(name), person("Kei")
    token = open_lobby(otto, "Curling", hidden=False)
    kei.go()
    kei.page.fill("#name", "Kei")
    kei.page.fill("[type=search]", name[:8])
    row = f"[data-test=sessions] [data-session='{token}']"
    kei.page.wait_for_selector(row)
    kei.page.wait_for_selector(f"[aria-label=Queue] >> text={name}’s curling")
    kei.until("document.querySelectorAll('[data-test=sessions] [data-session]').length === 1")
    assert kei.page.inner_text(f"{row} .tag") == "1 seat free"  # places are those of the whole list
    assert re.fullmatch(r"(\d+:)?\d+:\d\d", kei.page.inner_text(f"{row} [data-test=age]"))
    kei.shoot("lobby-search")
    kei.page.fill("[type=search]", f"nobody{name}")
    kei.page.wait_for_selector(f"text=No session called “nobody{name}”")
    kei.page.click("text=Clear search")
    kei.page.select_option("[data-test=list-mode]", "duel")
    kei.page.wait_for_selector(row, state="detached")
    kei.page.select_option("[data-test=list-mode]", "curling")
    kei.page.select_option("[data-test=list-days]", "1")
    kei.page.wait_for_selector(row)
    kei.page.click("[data-test=list-mine]")
    kei.page.wait_for_selector(row, state="detached")  # Kei has no seat in it
    kei.page.click("text=Show all sessions")
    kei.page.wait_for_selector(f"{row} .tag >> text=/^#\\d+ · 1 seat free$/")
    assert "of those that wait" in str(kei.page.get_attribute(f"{row} [data-test=age]", "title"))
    kei.page.fill("[type=search]", token)
    kei.page.click(f"{row} button:has-text('Join')")
    kei.page.wait_for_selector("[data-test=ready]")
    otto.page.wait_for_selector("[data-test=seats] >> text=Kei")
    for one in (kei, otto):
        one.leave()


@pytest.mark.usefixtures("duels")
def test_the_leaderboard_is_of_the_mode_and_names_those_who_played(person: Any) -> None:
    """Bots have played duels to the end: they are on the board of duels, marked as bots. A name leads to the page of
    that player: rating, matches, and recordings to watch again. Back leads to the lobby."""
    mira = person("Mira")
    mira.go()
    mira.page.wait_for_selector("[aria-label=Leaderboard] li", timeout=120_000)
    rows = mira.page.locator("[aria-label=Leaderboard] li").all_inner_texts()
    assert all(re.search(r"\d", row) for row in rows)
    assert mira.page.is_visible("[aria-label=Leaderboard] >> text=few sessions so far")
    names = "[...document.querySelectorAll('[aria-label=Leaderboard] .name')]"
    mira.until(f"{names}.some((one) => /bot$/.test(one.innerText))")
    name = mira.page.locator("[aria-label=Leaderboard] li .name a").first
    who = name.inner_text()
    name.click()
    mira.page.wait_for_selector(f"[data-test=profile] h1 >> text={who}")
    assert mira.evaluate("document.activeElement.tagName") == "H1"
    assert mira.page.locator("[data-test=matches] li").count() > 0
    mira.page.wait_for_selector("[data-test=rating-curve] .curve")
    mira.page.wait_for_selector("[data-test=favourite]")
    listed = "[data-test=recordings] [data-session]"
    mira.page.wait_for_selector(f"{listed} >> text={who}")
    mira.until(f"[...document.querySelectorAll('{listed}')].every((row) => row.innerText.includes('{who}'))")
    mira.page.go_back()
    mira.page.wait_for_selector("[aria-label=Leaderboard]")
    mira.page.go_forward()
    mira.page.locator(f"{listed} [data-test=watch-again]").first.click()
    mira.until("Boolean(window.__replay && window.__replay.drawn())")


def test_a_link_leads_in_and_everyone_sees_who_is_there(person: Any, browser: Any) -> None:
    """The copied link opens the door; who joins, who watches, who is away and what is said is seen by all, in the lobby
    and in the session; a search for a stranger's code says that there is none."""
    ada, kei, lena = person("Ada"), person("Kei"), person("Lena", **PHONE)
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    token = open_lobby(ada)
    ada.page.click("button:has-text('Copy link')")
    ada.page.wait_for_selector("button:has-text('Copied')")
    link = ada.evaluate("navigator.clipboard.readText()")
    assert link == f"{ada.url}/#/s/{token}"
    kei.page.goto(link)
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=ready]")
    lena.go()
    lena.page.fill("#name", "Lena")
    lena.page.fill("#code", token.upper())
    lena.page.keyboard.press("Tab")
    lena.page.click("button:has-text('Join')")
    for one in (ada, kei, lena):
        one.page.wait_for_selector("[data-test=watching] >> text=Lena")
    lena.page.wait_for_selector("text=You are watching.")
    for one, text in ((kei, "I took the jack."), (ada, "Fine, I go second.")):
        one.page.fill("[aria-label='Message everyone']", text)
        one.page.keyboard.press("Enter")
    for one in (ada, kei, lena):
        one.page.wait_for_selector("[data-test=chat] >> text=I took the jack.")
        one.page.wait_for_selector("[data-test=chat] >> text=Fine, I go second.")
    ada.shoot("waiting-watched")
    lena.shoot("phone-waiting-watching")
    kei.page.click("[data-test=ready]")
    ada.page.wait_for_selector("[data-test=seats] >> text=Ready")
    ada.page.click("[data-test=ready]")
    for one in (ada, kei, lena):
        one.page.wait_for_selector("[data-test=stage]")
        one.page.wait_for_selector("[data-test=watching] >> text=Lena")
    ada.page.fill("[aria-label='Message everyone']", "Good luck, all")
    ada.page.keyboard.press("Enter")
    for one in (kei, lena):
        one.page.wait_for_selector("[data-test=chat] >> text=Good luck, all")
    lena.leave()
    for one in (ada, kei):
        one.page.wait_for_selector("[data-test=watching]", state="detached")
    kei.page.close()
    ada.page.wait_for_selector("[data-test=players] >> text=away")
    ada.shoot("duel-away")
    ada.leave()


def test_a_first_visit_is_in_a_match_with_bots_by_one_press(person: Any) -> None:
    """In a size that nobody else plays: bots that were asked for take every other seat, and the session runs."""
    mira = person("Mira")
    mira.go()
    mira.page.click("[aria-label=Seats] [role=radio]:has-text('4')")
    mira.page.click("[data-test=play-now]")
    mira.until("window.__test && window.__test.state().status === 'running'")
    mira.until("window.__test.state().seats.map((seat) => seat.kind).join() === 'person,bot,bot,bot'")
    assert mira.evaluate("window.__test.state().log.some((row) => row.parts[0].text === '3 bots are coming')")


STAYS = """new Promise((done) => {
  const seen = new Set();
  const above = new Set();
  const rows = new Set();
  const list = document.querySelector("[data-test=sessions]");
  const rowsOf = (name) => Math.max(1, list.querySelectorAll(`[aria-label="${name}"] li[data-session]`).length);
  const began = performance.now();
  const look = () => {
    const count = rowsOf("Waiting for players") + rowsOf("Running");
    above.add(count);
    const ended = list.querySelector("[aria-label=Ended]");
    seen.add(`${count} ${Math.round(list.getBoundingClientRect().y + ended.offsetTop)}`);
    rows.add(ended.querySelector("li").dataset.session);
    if (rows.size < 3 && performance.now() - began < 240000) requestAnimationFrame(look);
    else done([seen.size, above.size, rows.size]);
  };
  look();
})"""
"""How many places the group of ended matches had, for how many numbers of rows above it (at least one for each group),
and how many matches were its first, until two more have ended."""


@pytest.mark.usefixtures("duels")
def test_lists_keep_their_place_while_matches_begin_and_end(person: Any) -> None:
    """The groups above the ended matches keep a row each when they are empty."""
    mira = person("Mira", viewport={"width": 1440, "height": 900})
    mira.go()
    mira.page.wait_for_selector("[data-test=sessions] [aria-label=Ended] li")
    mira.evaluate("document.fonts.ready.then(() => true)")
    places, counts, ended = mira.evaluate(STAYS)
    assert ended == 3
    assert places == counts


MOVES = """new PerformanceObserver((shifts) => {
  window.__moved ??= [];
  for (const { sources } of shifts.getEntries())
    for (const { node, previousRect: from, currentRect: to } of sources)
      if (node?.matches?.("[data-test=sessions] *") && from.height && to.height && Math.abs(from.y - to.y) > 10)
        window.__moved.push(node.outerHTML.slice(0, 80));
}).observe({ type: "layout-shift" })"""
"""Record the elements of the list that the browser sees jump up or down in ``window.__moved``."""

TOKENS = """[...document.querySelectorAll("[data-test=sessions] [data-session]")]
  .map((row) => row.dataset.session).join()"""
FIRST_ENDED = "document.querySelector('[data-test=sessions] [aria-label=Ended] li').dataset.session"


@pytest.mark.usefixtures("duels")
def test_rows_glide_and_stay_under_the_pointer(person: Any) -> None:
    """A match that ends moves to the ended ones by a transform, which is no layout shift. While the pointer is over the
    list, its rows stay, also when its stream begins again, and a line counts those that came; after that the list is
    the newest one."""
    mira = person("Mira", viewport={"width": 1440, "height": 900})
    mira.go()
    mira.page.wait_for_selector("[data-test=sessions] [aria-label=Ended] li")
    mira.evaluate("document.fonts.ready.then(() => true)")
    mira.evaluate(MOVES)
    mira.until(f"{FIRST_ENDED} !== '{mira.evaluate(FIRST_ENDED)}'")
    mira.page.hover("[data-test=sessions] [aria-label=Ended] li")
    held = mira.evaluate(TOKENS)
    with mira.page.expect_response("**/api/sessions/changes?*"):
        mira.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    mira.page.wait_for_selector("[data-test=later]", timeout=120_000)
    assert mira.evaluate(TOKENS) == held
    mira.shoot("lobby-held")
    mira.page.mouse.move(700, 5)
    mira.page.wait_for_selector("[data-test=later]", state="detached")
    assert mira.evaluate(TOKENS) != held
    assert mira.evaluate("window.__moved ?? []") == []
