"""Frames through a TURN server: coturn checks the credentials of the welcome, and relays between client and server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    "TURN_URLS": f"turn:127.0.0.1:{PORT}?transport=udp",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A TURN server on loopback, which shares a secret with ours and knows no user."""
    folder = tmp_path_factory.mktemp("turn")
    command = [
        "turnserver", "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={PORT}",
        "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=tussle.test", "--no-cli", "--no-tls",
        "--no-dtls", "--allow-loopback-peers", f"--pidfile={folder / 'pid'}", "--log-file=stdout",
        f"--userdb={folder / 'db'}",
    ]  # fmt: skip
    with Path(folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def test_frames_come_through_a_relay_with_short_lived_credentials(site: Stack) -> None:
    """A client that can use nothing but TURN takes the credentials of its welcome; a turn is shown over the channel.
    The welcome has a user name with an expiry, and not the secret."""
    async with duel(site.url) as game, Person(site.url) as eve:
        await eve.login()
        place = await eve.ask("/api/observe", session=game.session)
        async with Line.to(place["ws_url"]) as line:
            welcome = await line.hello(ticket=place["ticket"], transports=["webrtc"])
            servers = welcome["webrtc"]["ice_servers"]
            assert SECRET not in str(welcome)
            assert servers[0]["username"].endswith(f":{eve.player}")
            async with ChannelClient.open(line, servers=servers, relay=True) as client:
                assert "typ host" not in client.peer.localDescription.sdp
                acting, _, _ = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                await client.more_frames(5)
