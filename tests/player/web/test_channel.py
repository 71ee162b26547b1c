"""Frames over a WebRTC data channel in a real browser: used, cut in mid-play, and switched off by the person."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.one_store import store_url as store_url
from tests.support.person import Person, in_browser
from tests.support.web_servers import Servers, channel_process

pytestmark = in_browser

RESTED = "window.__test.state().log.filter((row) => row.parts[0].text === 'All bodies are at rest').length"
"""How often the session has come to rest."""

SETTINGS = {"WEBRTC": "on", "TURN_S": "60", "BOT_TURN_S": "10", "LOBBY_TIMEOUT_S": "180"}


@pytest.fixture
def servers(store_url: str) -> Iterator[Servers]:
    running = Servers(store_url, **SETTINGS)
    try:
        yield running
    finally:
        running.close()


def frames_by(person: Person) -> dict[str, int]:
    """How many frames came over the WebSocket, and over the channel."""
    return dict(person.evaluate("window.__test.framesBy()"))


def test_frames_come_over_the_channel_until_it_is_cut(browser: Any, servers: Servers) -> None:
    """A page makes a channel by itself, with mDNS candidates, and a turn is shown over it: it acknowledges frames, and
    gets differences of less than half of a whole frame. In the next one all packets stop without a word: the page says
    that frames come over the WebSocket, and the duel goes on."""
    server = servers.do(servers.stack.server())
    mira = Person(browser, server.url, "Mira")
    mira.find_seat()
    bot = servers.do(servers.stack.bots(1, 1, "--think", "0.2", SERVER_URL=server.url))
    mira.ready()
    mira.until("window.__test?.way() === 'channel'")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    before, rested = frames_by(mira), mira.evaluate(RESTED)
    mira.page.click("[data-test=launch]")
    mira.until(f"window.__test.framesBy().channel > {before['channel'] + 10}")
    mira.until("window.__test.framesBy().bytes < 60")
    # Whenever the session rests, one frame comes over the socket too: the channel may have lost the last one. That of
    # the rest before the turn may come after the turn began.
    frames, rests = mira.evaluate(f"[window.__test.framesBy().socket, {RESTED}]")
    assert frames - before["socket"] <= rests - rested + 1
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.remember_banners()
    stopped = channel_process(server.pid)
    os.kill(stopped, signal.SIGSTOP)
    try:
        mira.until("window.__test.way() === 'socket' && window.__banners.includes('channel-lost')")
        cut = frames_by(mira)
        mira.page.click("[data-test=launch]")
        mira.until(f"window.__test.framesBy().socket > {cut['socket'] + 10}")
        mira.page.click("[data-test=line]")
        mira.page.wait_for_selector("[data-way=socket]:visible")
        mira.page.uncheck("[data-test=want-channel]")
        assert mira.evaluate("localStorage.getItem('tussle.webrtc')") == "false"
    finally:
        os.kill(stopped, signal.SIGCONT)
    mira.close()
    servers.do(bot.kill())
