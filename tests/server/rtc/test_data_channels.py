"""The process of the data channels, as the gateway sees it: a real one, with offers of a real client."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.rtc import offer_text
from tests.support.stack import children, until
from tussle.lobby.settings import Settings
from tussle.server.rtc.data_channels import DataChannels
from tussle.server.rtc.ice_servers import configuration_of
from tussle.server.rtc.rtc_process import use_ports


class Owner:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.ended: list[str] = []

    def on_answer(self, sdp: str) -> None:
        self.answers.append(sdp)

    def on_refused(self, code: str, message: str) -> None:
        self.ended.append(code)

    def on_open(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.ended.append(reason)


@contextlib.asynccontextmanager
async def kept(channels: DataChannels) -> AsyncIterator[int]:
    """Run the process. Yields its id."""
    before = set(children(os.getpid()))
    keeping = asyncio.create_task(channels.keep())
    try:
        started = await until(lambda: set(children(os.getpid())) - before, "the process", 60)
        yield started.pop()
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


def udp_sockets(pid: int) -> int:
    """How many UDP sockets a process has open."""
    inodes = {
        line.split()[9]
        for name in ("udp", "udp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    }
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found += link.readlink().name.removeprefix("socket:[").removesuffix("]") in inodes
    return found


async def test_an_offer_before_the_process_runs_is_answered() -> None:
    """Also one with a candidate; one that is closed before that gets no answer, and leaves no socket."""
    channels = DataChannels(configuration_of(Settings(host="127.0.0.1")), lambda *_: None)
    early, left, late = Owner(), Owner(), Owner()
    offer = await offer_text()
    number = channels.open(early, offer, "127.0.0.1")
    channels.add_candidate(number, "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host")
    channels.close(channels.open(left, offer, "127.0.0.1"))
    async with kept(channels) as pid:
        await until(lambda: early.answers, "the answer", 60)
        late_number = channels.open(late, offer, "127.0.0.1")
        await until(lambda: late.answers, "the answer", 60)
        assert udp_sockets(pid) == 2
        channels.close(number)
        channels.close(late_number)
        channels.close(channels.open(left, offer, "127.0.0.1"))
        await until(lambda: udp_sockets(pid) == 0, "closed sockets", 60)
    assert (len(early.answers), len(late.answers), left.answers) == (1, 1, [])
    assert early.ended == left.ended == late.ended == []


async def test_a_process_that_cannot_be_started_closes_early_offers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of them is kept for the next process."""

    async def none(*_: object, **__: object) -> None:
        raise OSError(11, "no process")

    channels = DataChannels(configuration_of(Settings(host="127.0.0.1")), lambda *_: None)
    owner = Owner()
    channels.open(owner, await offer_text(), "127.0.0.1")
    monkeypatch.setattr(asyncio, "create_subprocess_exec", none)
    keeping = asyncio.create_task(channels.keep())
    await until(lambda: owner.ended, "the end of the offer")
    keeping.cancel()
    await asyncio.wait([keeping])
    assert owner.ended == ["process_lost"]
    assert channels._early == [] and len(channels) == 0


@pytest.mark.parametrize(("failure", "tried"), [(errno.EADDRINUSE, 3), (errno.EMFILE, 1)])
async def test_only_a_port_that_is_taken_is_a_reason_to_try_another(failure: int, tried: int) -> None:
    """Without a free descriptor the first port fails, with its own error."""
    ports: list[int] = []

    async def refuse(_: object, local_addr: tuple[str, int]) -> None:
        ports.append(local_addr[1])
        raise OSError(failure, os.strerror(failure))

    loop = cast(asyncio.AbstractEventLoop, SimpleNamespace(create_datagram_endpoint=refuse))
    use_ports(loop, 5000, 5002)
    with pytest.raises(OSError, match="no free UDP port" if tried == 3 else "Too many open files"):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    assert len(set(ports)) == tried
