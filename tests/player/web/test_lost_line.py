"""A line that fails without a word, in a real browser: the page says so in true words, and comes back by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.one_store import store_url as store_url
from tests.support.person import Person, in_browser
from tests.support.web_servers import Servers

pytestmark = in_browser

SETTINGS = {"TURN_S": "60", "BOT_TURN_S": "10", "LOBBY_TIMEOUT_S": "180"}

NOTES = """
window.__notes = [];
window.__beats = 0;
setInterval(() => (window.__beats += 1), 250);
const look = () => {
  const note = document.querySelector(".note[data-test]");
  const seen = note ? [note.dataset.test, note.querySelector("b")?.textContent ?? ""] : ["", ""];
  const last = window.__notes.at(-1);
  if (!last || last[0] !== seen[0] || last[1] !== seen[1]) window.__notes.push([...seen, window.__beats]);
};
new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
look();
"""
"""Appends name, first words and time of the banner to ``window.__notes`` whenever it changes. The time is counted in
quarters of a second in which the page ran: the page looks at its connection as often."""

GIVEN_UP = 28
"""A silent connection is given up after this time [s / 4]."""


@pytest.fixture
def servers(store_url: str) -> Iterator[Servers]:
    running = Servers(store_url, **SETTINGS)
    try:
        yield running
    finally:
        running.close()


def shown(person: Person, name: str, since: int) -> tuple[int, set[str]]:
    """Wait for a banner. Returns how long after ``since`` it was shown [s / 4], and what was said of the line
    until then. The session itself may be paused for a moment, after its server stopped."""
    notes = person.until(f"window.__notes.some(([shown]) => shown === '{name}') && window.__notes")
    at = next(at for shown, _, at in notes if shown == name)
    return at - since, {text for shown, text, _ in notes if shown in ("quiet", "lost")}


def test_a_silent_server_and_a_lost_network_are_shown_as_what_they_are(
    browser: Any, servers: Servers
) -> None:
    """The server stops without closing anything: the page says that it does not answer, long before it gives the
    connection up, and takes that back when it answers. With the network of the machine gone too, it says this instead,
    and comes back to its seat when the network does. No event is missed."""
    server = servers.do(servers.stack.server())
    mira, bot = servers.duel(browser, server)
    mira.evaluate(NOTES)
    try:
        server.send(signal.SIGSTOP)
        took, words = shown(mira, "quiet", mira.evaluate("window.__beats"))
        assert took < GIVEN_UP - 12
        assert words == {"The server does not answer."}
        server.send(signal.SIGCONT)
        mira.until("window.__notes.at(-1)[0] === ''")
        assert mira.evaluate("window.__test.link().kind") == "live"

        mira.evaluate("window.__notes.length = 0")
        mira.context.set_offline(True)  # before, so that no other words are shown meanwhile
        server.send(signal.SIGSTOP)
        took, words = shown(mira, "lost", mira.evaluate("window.__beats"))
        assert took < GIVEN_UP - 8
        assert words == {"This device has no network."}
    finally:
        server.send(signal.SIGCONT)
    mira.context.set_offline(False)
    mira.until("window.__notes.some(([shown]) => shown === 'back')")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.evaluate("window.__test.heard().missed") == 0
    mira.close()
    servers.do(bot.kill())


def test_a_page_that_was_hidden_asks_at_once(browser: Any, servers: Servers) -> None:
    """A page that was frozen in the background, as phones do, shows no loss when it comes back to a server that is
    there: it asks first. While it slept the server died and came back: it finds its seat."""
    server = servers.do(servers.stack.server())
    mira, bot = servers.duel(browser, server)
    mira.evaluate(NOTES)
    mira.evaluate(
        "window.__seen = []; document.onvisibilitychange = () => __seen.push(document.visibilityState)"
    )
    devtools = mira.context.new_cdp_session(mira.page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    servers.do(server.kill())
    again = servers.do(servers.stack.again(server))
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    mira.until("window.__seen.includes('visible')")
    mira.until("window.__notes.some(([shown]) => shown === 'back')")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.evaluate("window.__test.heard().missed") == 0
    assert again.running
    mira.close()
    servers.do(bot.kill())


def test_an_answer_that_comes_in_a_later_turn_leaves_that_turn_alone(browser: Any, servers: Servers) -> None:
    """The line is lost right after a launch, and is back in the next turn of the same person. The answer to the launch
    comes after that turn has begun: the turn has no action yet, so its button is there to be pressed."""
    server = servers.do(servers.stack.server())
    mira, bot = servers.duel(browser, server)
    mira.page.fill("[aria-label=Power]", "0.05")
    first, seat, token = mira.evaluate(
        "(({round, turnSeat, session}) => [round, turnSeat, session])(window.__test.state())"
    )
    mira.evaluate("document.querySelector('[data-test=launch]').click(), window.__test.drop()")
    mira.context.set_offline(True)
    deadline = time.monotonic() + 60.0
    while True:
        brief = httpx.get(f"{server.url}/api/sessions/{token}").json()["brief"]
        if brief["round"] > first and brief["seat"] == seat:
            break
        assert time.monotonic() < deadline, brief
        time.sleep(0.2)
    mira.context.set_offline(False)
    mira.until(f"window.__test.link().kind === 'live' && window.__test.state().round > {first}")
    mira.evaluate("new Promise((done) => setTimeout(done, 1500))")
    assert mira.evaluate("document.querySelector('[data-test=launch]').innerText") == "Launch"
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.close()
    servers.do(bot.kill())
