"""Servers end, die and restart during a duel: the page shows the banner, keeps the seat, misses no event, goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.person import Person, in_browser
from tests.support.stack import Process
from tests.support.web_servers import Servers
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore

pytestmark = in_browser

SLOW_TO_ACT = {
    "LEASE_MS": "900",
    "TURN_S": "60",
    "BOT_TURN_S": "10",
    "CHECKPOINT_S": "0.3",
    "LOBBY_TIMEOUT_S": "180",
}

RESTORED = "window.__test.state().log.some((row) => row.parts[0].text.startsWith('Restored'))"


@pytest.fixture(scope="module")
def store_url(valkey: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store for all tests of this module."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("restart")), binary=valkey) as store:
        yield store.url


@pytest.fixture
def servers(store_url: str) -> Iterator[Servers]:
    running = Servers(store_url, **SLOW_TO_ACT)
    try:
        yield running
    finally:
        running.close()


def begin(browser: Any, servers: Servers, first: Process) -> tuple[Person, Process]:
    """A person in a duel with a bot, which the first server holds; and the bot."""
    mira, bot = servers.duel(browser, first)
    mira.remember_banners()
    return mira, bot


def finish(servers: Servers, mira: Person, bot: Process, name: str) -> None:
    """Check after an outage: both banners were shown, every event came once, the duel is played to its end."""
    mira.until("window.__banners.includes('lost') && window.__banners.includes('back')")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.shoot(name)
    mira.play(120)
    mira.until("window.__test.state().status === 'ended'")
    assert mira.evaluate("window.__test.heard()") == {
        "events": mira.evaluate("window.__test.state().v"),
        "missed": 0,
    }
    mira.close()
    assert servers.do(bot.wait(60.0)) == 0, bot.output


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_another_server_takes_over(browser: Any, servers: Servers, end: str) -> None:
    """The page's own server drains, or is killed: the page goes on at the other one, with the same seat."""
    first, second = servers.do(servers.stack.more_servers(2))
    mira, bot = begin(browser, servers, first)
    seat = mira.evaluate("window.__test.state().seats.find((one) => one.name.startsWith('Mira')).seat")
    if end == "SIGTERM":
        assert servers.do(first.end()) == 0
    else:
        servers.do(first.kill())
    mira.until("window.__test.link().kind === 'live'")
    mira.until(RESTORED)
    assert mira.evaluate("window.__test.link().url").startswith(second.url.replace("http", "ws"))
    assert mira.evaluate("window.__test.seat()") == seat
    finish(servers, mira, bot, f"after-{end.lower()}")


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_the_same_server_comes_back(browser: Any, servers: Servers, end: str) -> None:
    """The only server ends or is killed, and is started again at its address: session and seat were kept."""
    (first,) = servers.do(servers.stack.more_servers(1))
    mira, bot = begin(browser, servers, first)
    first.send(getattr(signal, end))
    servers.do(first.wait(60.0))
    mira.page.wait_for_selector("[data-test=lost]")
    mira.shoot(f"lost-{end.lower()}")
    servers.do(servers.stack.again(first))
    mira.until("window.__test.link().kind === 'live'")
    finish(servers, mira, bot, f"again-{end.lower()}")


def test_a_seat_is_taken_up_elsewhere_when_its_server_is_dead(browser: Any, servers: Servers) -> None:
    """The lobby's own server is killed before the guest's first welcome: the ticket opens the seat at the other one."""
    first, second = servers.do(servers.stack.more_servers(2))
    ada, kei = Person(browser, first.url, "Ada"), Person(browser, second.url, "Kei")
    ada.outages = kei.outages = True
    ada.find_seat()
    token = "".join(ada.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    servers.do(first.kill())
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=seats] >> text=Kei, you")
    ada.page.wait_for_selector("[data-test=seats] >> text=Kei")
    ada.page.click("[data-test=ready]")
    kei.ready()
    ada.page.wait_for_selector("[data-test=stage]")
    ada.play(120, kei)
    kei.page.wait_for_selector("[data-test=over]")
    for one in (ada, kei):
        one.close()
