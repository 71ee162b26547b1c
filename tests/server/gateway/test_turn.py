"""Frames through a TURN server: coturn checks the credentials of the welcome, and relays between client and server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.rtc import ChannelClient
from tests.support.stack import Stack
from tests.support.stranger import Line, Person, duel
from tussle.lobby.store.embedded import free_port

SECRET = "a-secret-of-both-servers"

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        shutil.which("turnserver") is None and not os.environ.get("CI"),
        reason="!! NO COTURN: frames through TURN were NOT tested (apt-get install coturn)",
    ),
]

PORT = free_port()
ENVIRONMENT = {
    "SIM_SPEED": "1", "TURN_S": "60", "WEBRTC": "on", "TURN_SECRET": SECRET,
    "TURN_URLS": f"turn:127.0.0.1:{PORT}?transport=udp,turn:127.0.0.1:{PORT}?transport=tcp",
}  # fmt: skip


def documented_configuration() -> str:
    """The turnserver.conf of docs/howto/webrtc.md, with our secret."""
    page = (ROOT / "docs" / "howto" / "webrtc.md").read_text()
    (text,) = re.findall(r"```\n# /etc/turnserver.conf of coturn\n(.*?)```", page, re.DOTALL)
    assert "A-LONG-RANDOM-SECRET" in text and "denied-peer-ip" in text
    return text.replace("A-LONG-RANDOM-SECRET", SECRET)


@pytest.fixture(scope="module", autouse=True)
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A TURN server on loopback with the documented configuration: it shares a secret with ours and knows no user."""
    folder = tmp_path_factory.mktemp("turn")
    (folder / "turnserver.conf").write_text(documented_configuration())
    command = [
        "turnserver", "-c", str(folder / "turnserver.conf"), "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
        f"--listening-port={PORT}", "--no-tls", "--no-dtls", "--allow-loopback-peers",
        f"--pidfile={folder / 'pid'}", "--log-file=stdout", f"--userdb={folder / 'db'}",
    ]  # fmt: skip
    with Path(folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_frames_come_through_a_relay_with_short_lived_credentials(site: Stack, transport: str) -> None:
    """A client that can use nothing but TURN, in a network that may block UDP, takes the credentials of its welcome; a
    turn is shown over the channel. The welcome has a user name with an expiry, and not the secret."""
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            welcome = await line.hello(ticket=place["ticket"], transports=["webrtc"])
            servers = welcome["webrtc"]["ice_servers"]
            assert SECRET not in str(welcome)
            assert servers[0]["username"].endswith(f":{eve.player}")
            servers[0]["urls"] = [url for url in servers[0]["urls"] if url.endswith(f"={transport}")]
            async with ChannelClient.open(line, servers=servers, relay=True) as client:
                assert "typ host" not in client.peer.localDescription.sdp
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await client.more_frames(5)
