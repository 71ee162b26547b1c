"""Where a person with a seat comes to: Back, Forward, reload, another link, a second tab, a seat that is lost; and what
each change of the screen does. On a phone of 390 x 700."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.support.person import WAIT_MS, in_browser, serious
from tests.support.practice import practise

pytestmark = in_browser

PHONE = {"viewport": {"width": 390, "height": 700}, "has_touch": True}

TOP = """(() => {
  const heading = document.querySelector("#main h1");
  return Boolean(heading) && document.activeElement === heading && document.scrollingElement.scrollTop === 0
    && document.getElementById("main").scrollTop === 0
    && document.querySelector("[data-test=arrival]").textContent !== "";
})()"""
"""Whether the screen is at its top, its heading has the focus, and a screen reader was given its words."""


def arrived(person: Any, at: str) -> None:
    """The screen of that selector has come, from its top."""
    person.page.wait_for_selector(at)
    person.until(TOP)


def ended(url: str, token: str) -> bool:
    """Whether a session is over, or its keys have expired: soon after its end, if it was never played."""
    try:
        with urllib.request.urlopen(f"{url}/api/sessions/{token}") as answer:
            return bool(json.load(answer)["status"] == "ended")
    except urllib.error.HTTPError as error:
        return error.code == 404


def connection(url: str, token: str) -> int | None:
    """The v of a lobby whose only seat is connected: each break of a connection is an event. None if it is not."""
    with urllib.request.urlopen(f"{url}/api/sessions/{token}") as answer:
        view = json.load(answer)
    return int(view["v"]) if view["seats"][0]["connected"] else None


def wait_in_a_lobby(person: Any) -> str:
    """Open a lobby by code only; its token."""
    person.page.check("text=New lobbies by code only")
    person.page.locator("[data-test=open]").evaluate("button => button.click()")
    arrived(person, "[data-test=ready]")
    return "".join(person.page.inner_text("[data-test=code]").split()).lower()


def test_a_seat_is_one_press_away_on_every_screen(person: Any) -> None:
    """Back from a waiting room shows the lobbies with the way back, and the room keeps the seat; so do the link of
    another session and a recording. Forward and reload lead to the seat. Give up ends it, and it is gone for the others
    too. Each change of the screen begins at its top with the focus on its heading."""
    mira, kei = person("Mira", **PHONE), person("Kei")
    kei.go()
    kei.page.wait_for_selector("[data-session]")
    other = kei.page.locator("[data-session]").first.get_attribute("data-session")
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    token = wait_in_a_lobby(mira)
    mira.page.go_back()
    arrived(mira, "[data-test=seated] >> text=Your seat in the waiting room is kept")
    assert serious(mira.page) == []
    mira.page.go_forward()
    arrived(mira, "[data-test=ready]")
    mira.page.go_back()
    mira.page.click("[data-test=return]")
    arrived(mira, "[data-test=ready]")
    mira.go(f"/#/s/{other}")
    arrived(mira, "[data-test=door]")
    mira.until("document.title === `${document.querySelector('#main h1').textContent} · Tussle`")
    mira.page.wait_for_selector("[data-test=seated]")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=seated] >> text=You have a seat in another session")
    mira.page.click("[data-test=return]")
    arrived(mira, "[data-test=ready]")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=ready]")
    assert token in mira.page.url
    mira.page.go_back()
    mira.page.click("[data-test=give-up]")
    mira.until("!document.querySelector('[data-test=seated]')")
    end = time.monotonic() + WAIT_MS / 1000
    while not ended(mira.url, token):  # the page does not wait for the answer
        assert time.monotonic() < end, "the session goes on"
        mira.page.wait_for_timeout(100)
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=door]")
    assert mira.page.locator("[data-test=seated]").count() == 0


def test_a_seat_stays_connected_while_another_session_is_watched(person: Any) -> None:
    """The server sees no break, and one press leads back to the same connection. Back in the browser does too."""
    mira, kei = person("Mira", **PHONE), person("Kei")
    kei.go()
    kei.page.wait_for_selector("[data-session]")
    other = wait_in_a_lobby(kei)
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    token = wait_in_a_lobby(mira)
    before = connection(mira.url, token)
    assert before is not None
    for way in ("return", "back"):
        mira.go(f"/#/s/{other}")
        mira.page.click("[data-test=door] >> text=Watch")
        arrived(mira, "text=You are watching.")
        mira.page.wait_for_selector("[data-test=seated] >> text=Your seat in the waiting room is kept")
        assert serious(mira.page) == []
        if way == "return":
            mira.page.click("[data-test=return]")
        else:
            mira.page.go_back()
        arrived(mira, "[data-test=ready]")
        assert connection(mira.url, token) == before
    mira.page.click("[data-test=leave]")
    kei.page.click("[data-test=leave]")


def test_a_turn_is_seen_from_elsewhere_and_played_on_a_phone(person: Any) -> None:
    """In a duel the lobbies say whose turn it is not; back at the seat the clock, the turn and the mat are on a phone's
    screen at once. A second tab takes the seat, and the first says so and can take it back. The result begins at its
    top."""
    mira = person("Mira", **PHONE)
    mira.find_seat()
    mira.ready(bots=True)
    arrived(mira, "[data-test=stage]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.page.go_back()
    mira.page.wait_for_selector("[data-test=seated]")
    mira.page.click("[data-test=return]")
    arrived(mira, "[data-test=stage]")
    for part in ("[data-test=turn]", ".clock", "[data-test=stage]"):
        box = mira.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 700, part
    second = mira.context.new_page()
    second.goto(f"{mira.url}/?tier=D")
    second.wait_for_selector("[data-test=stage]")
    arrived(mira, "[data-test=stopped] >> text=Playing in another window")
    second.close()
    mira.page.click("text=Play here")
    arrived(mira, "[data-test=stage]")
    mira.leave()
    arrived(mira, "[data-test=find]:visible, .dock .now:visible")


def test_a_window_that_is_left_for_the_lobbies_leaves_the_seat_to_the_other_one(person: Any) -> None:
    """The first window of two has no connection to the match, does not say that it is one's turn, and shows the
    lobbies. The second one plays on. One press in the first takes the seat back."""
    mira = person("Mira", **PHONE)
    practise(mira)
    assert mira.page.title() == "Your turn · Tussle"
    second = mira.context.new_page()
    second.goto(f"{mira.url}/?tier=D")
    second.wait_for_selector("[data-test=launch]:enabled")
    arrived(mira, "[data-test=stopped]")
    mira.until("!document.title.includes('Your turn')")
    assert mira.page.locator("[data-test=leave]").count() == 0  # it would give up that seat
    mira.page.click("[data-test=to-lobbies]")
    arrived(mira, ".dock")
    second.tap("[data-test=launch]")
    second.wait_for_selector("[data-test=log] >> text=launched Cobble")
    mira.page.click("[data-test=return]")
    arrived(mira, "[data-test=stage]")
    second.wait_for_selector("[data-test=stopped]")
    second.close()
    mira.leave()


def test_a_lost_seat_is_said(person: Any) -> None:
    """Who comes back after the seat was given up reads that it is gone, or that the session is over."""
    mira = person("Mira")
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    token = wait_in_a_lobby(mira)
    mira.evaluate(
        "fetch('/api/leave', {method: 'POST', headers: {'content-type': 'application/json', authorization: "
        f"'Bearer ' + JSON.parse(localStorage['tussle.me']).token}}, body: JSON.stringify({{session: '{token}'}})}})"
    )
    mira.page.wait_for_selector("text=The lobby is empty")
    mira.evaluate(f"localStorage['tussle.seat'] = JSON.stringify('{token}')")
    mira.go("/#/")
    mira.page.reload()
    mira.page.wait_for_selector("text=Your session is over.")


def test_leaving_a_match_is_asked_for(person: Any) -> None:
    """To leave a match of turns is to lose it: one press asks, and the second leaves. A press elsewhere takes the
    question back."""
    mira = person("Mira", **PHONE)
    token = practise(mira)
    leave = mira.page.locator("[data-test=leave]")
    leave.click()
    assert leave.inner_text() == "Give up?"
    assert serious(mira.page) == []
    mira.page.locator("[data-test=stage]").focus()
    assert leave.inner_text() == "Leave"
    assert not ended(mira.url, token)
    leave.click()
    leave.click()
    mira.page.wait_for_selector(".dock")
    mira.until(
        f"fetch('/api/sessions/{token}').then((answer) => answer.json()).then((view) => view.status === 'ended')"
    )
