"""The packed @tussle/client in a browser: its example page watches a session, with frames over WebRTC, and over the
WebSocket again when the channel is cut."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_package import install, needs_node
from tests.support.one_store import store_url as store_url
from tests.support.person import WAIT_MS, in_browser
from tests.support.stranger import Line, Person
from tests.support.web_servers import Servers, channel_process

pytestmark = [*in_browser, needs_node]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def page_url(tmp_path: Path) -> Iterator[str]:
    """The address of the unpacked package, on an origin of its own."""
    handler = functools.partial(Quiet, directory=str(install(tmp_path)))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="pages")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def servers(store_url: str, page_url: str) -> Iterator[Servers]:
    running = Servers(store_url, WEBRTC="on", ALLOWED_ORIGINS=page_url)
    try:
        yield running
    finally:
        running.close()


SPY = """
window.__ways = [];
const Peer = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Peer {
  createDataChannel(...how) {
    const channel = super.createDataChannel(...how);
    channel.addEventListener("message", (event) => event.data.byteLength > 1 && window.__ways.push("channel"));
    return channel;
  }
};
const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
  constructor(url) {
    super(url);
    this.addEventListener("message", (event) => {
      if (event.data instanceof ArrayBuffer && new Uint8Array(event.data)[0] !== 2) window.__ways.push("socket");
    });
  }
};
"""
"""Notes by which way each frame comes."""


async def begin(url: str, leave: contextlib.AsyncExitStack) -> None:
    """A session whose body moves all the time, until ``leave`` is closed."""
    ada = await leave.enter_async_context(Person(url))
    await ada.login()
    seat = await ada.ask("/api/open", mode="spring-damper", size=1, ready=True, params={"cycles": 100_000})
    line = await leave.enter_async_context(Line.to(seat["ws_url"]))
    await line.hello(ticket=seat["ticket"])
    await line.until("running")


def test_the_example_page_watches_a_session(browser: Any, servers: Servers, page_url: str) -> None:
    """Bodies are drawn from frames of the channel; after all its packets stop, from frames of the WebSocket."""
    server = servers.do(servers.stack.server())
    leave = contextlib.AsyncExitStack()
    servers.do(begin(server.url, leave))
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.add_init_script(SPY)
    page.goto(f"{page_url}/example.html?server={server.url}")
    page.wait_for_function("document.getElementById('state').textContent.startsWith('Watching')")
    page.wait_for_function("window.__ways.includes('channel')")
    drawn = "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 480, 480).data.some((x) => x > 0)"
    page.wait_for_function(drawn)
    stopped = channel_process(server.pid)
    os.kill(stopped, signal.SIGSTOP)
    try:
        page.evaluate("window.__ways = []")
        page.wait_for_function("window.__ways.includes('socket')")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert wrong == []
    context.close()
    servers.do(leave.aclose())
