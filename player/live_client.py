"""The client of live readings: batches as they are published, each once, across reconnections.

    async with Client("http://127.0.0.1:8420") as client:
        me = await client.login()
        async for message in follow(client.server_url, me.token, ["host", "k7qm2xpv"]):
            match message:
                case Batches():      # message.d.source, .batches, and .gap if some are lost
                case SensorInfoReply():     # message.d.sensors: what the source measures
                case SourceAdded() | SourceGone(): ...

After a lost connection it reconnects with back-off and requests what it missed. This module must never yield a batch
twice, and never hide a gap.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterable

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tussle.lobby.addresses import is_own_machine, socket_address
from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import CloseCode
from tussle.lobby.wire.live import (
    Batches,
    Failure,
    ListSources,
    LiveHello,
    LiveHelloData,
    LiveReply,
    LiveWelcome,
    ReadInfo,
    SensorInfoReply,
    SourceAdded,
    SourceData,
    Sources,
    Subscribe,
    Subscribed,
    SubscribeData,
)
from tussle.lobby.wire.negotiation import PROTOCOL, PROTOCOLS
from tussle.lobby.wire.sensors import SensorInfo
from tussle.player.transcript import Disconnected

__all__ = ["follow", "list_sources"]

OPEN_S = 10.0
FINAL = frozenset({CloseCode.RESUME_REFUSED, CloseCode.BAD_MESSAGE, CloseCode.VERSION_MISMATCH})
"""Close codes after which it does not reconnect."""

LISTED = 2
"""The id of the request for the sources that there are."""

_decoder = msgspec.json.Decoder(LiveReply)
_encoder = msgspec.json.Encoder()


async def follow(
    server_url: str,
    token: str,
    sources: Iterable[str] = (),
    *,
    everything: bool = False,
    give_up_s: float = 60.0,
    rng: random.Random | None = None,
) -> AsyncGenerator[LiveReply, None]:
    """Yield the messages of live mode from now on: descriptions of sensors, batches in order of n, added and removed
    sources, errors.

    ``everything``: also follow each source that there is, from now on, and each that is added, from its beginning.
    Raises Disconnected when the login is refused, or after ``give_up_s`` without a connection. Close the iterator (or
    leave its task) to disconnect.
    """
    backoff = Backoff(rng or random.Random())
    newest: dict[str, int | None] = dict.fromkeys(sources)
    listed = False
    down_since = time.monotonic()
    while True:
        code, reason = 1006, ""
        try:
            async with _open(server_url) as socket:
                await _ask(socket, LiveHello(LiveHelloData(token, PROTOCOL, PROTOCOLS)))
                for source, after in newest.items():
                    await _begin(socket, source, after)
                if everything:
                    await _ask(socket, ListSources(LISTED))
                async for data in socket:
                    message = _decoder.decode(data)
                    match message:
                        case LiveWelcome():
                            backoff.reset()
                        case Subscribed():  # a batch that is missing after this one is requested again
                            if newest.get(message.d.source) is None:
                                newest[message.d.source] = message.d.n
                        case Batches():
                            newest[message.d.source] = message.d.batches[-1].n
                        case SourceAdded() if everything and message.d.source not in newest:
                            newest[message.d.source] = 0
                            await _begin(socket, message.d.source, 0)
                        case Sources() if message.id == LISTED:
                            for source in set(message.d.sources) - set(newest):
                                newest[source] = (
                                    0 if listed else None
                                )  # it may have begun while this was away
                                await _begin(socket, source, newest[source])
                            listed = True
                            continue
                        case Failure() if message.id == 0:
                            raise Disconnected(message.d.message)
                    yield message
                    down_since = time.monotonic()
                code, reason = socket.close_code or 1006, socket.close_reason or ""
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                code, reason = closed.rcvd.code, closed.rcvd.reason
        except (OSError, TimeoutError, InvalidHandshake) as error:
            reason = str(error) or type(error).__name__
        if code in FINAL:
            raise Disconnected(f"live mode was refused: {reason}", close=code)
        delay_s = backoff.next_s(at_least_s=1.0 if code == CloseCode.RATE_LIMITED else 0.0)
        if time.monotonic() + delay_s - down_since > give_up_s:
            raise Disconnected(f"gave up after {give_up_s:g} s without a connection: {reason}", close=code)
        await asyncio.sleep(delay_s)


async def list_sources(server_url: str, token: str) -> list[SensorInfo]:
    """The sources that can be followed and their sensors: the named sources, then the running sessions.

    A session without readings has no sensors yet. Raises Disconnected.
    """
    found: dict[int, SensorInfo] = {}
    names: tuple[str, ...] | None = None
    try:
        async with asyncio.timeout(OPEN_S), _open(server_url) as socket:
            await _ask(socket, LiveHello(LiveHelloData(token, PROTOCOL, PROTOCOLS)))
            await _ask(socket, ListSources(1))
            while names is None or len(found) < len(names):
                match message := _decoder.decode(await socket.recv()):
                    case Sources():
                        names = message.d.sources
                        for number, source in enumerate(names):
                            await _ask(socket, ReadInfo(SourceData(source), number))
                    case SensorInfoReply():
                        found[message.id] = message.d
                    case Failure() if names is not None:
                        found[message.id] = SensorInfo(names[message.id], "session", 0.0, ())
    except ConnectionClosed as closed:
        reason = closed.rcvd.reason if closed.rcvd is not None else "the connection was lost"
        raise Disconnected(f"live mode was refused: {reason}") from None
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise Disconnected(f"no answer from {server_url} ({str(error) or type(error).__name__})") from None
    return [msgspec.structs.replace(found[number], source=source) for number, source in enumerate(names)]


def _open(server_url: str) -> open_socket:
    return open_socket(
        socket_address(server_url, "/live"),
        open_timeout=OPEN_S,
        close_timeout=2,
        compression=None,
        proxy=None if is_own_machine(server_url) else True,
    )


async def _begin(socket: ClientConnection, source: str, after: int | None) -> None:
    """Request the sensors of a source, and subscribe to its batches."""
    await _ask(socket, ReadInfo(SourceData(source), 1))
    await _ask(socket, Subscribe(SubscribeData(source, after), 1))


async def _ask(socket: ClientConnection, message: LiveHello | ListSources | ReadInfo | Subscribe) -> None:
    async with asyncio.timeout(OPEN_S):
        await socket.send(_encoder.encode(message), text=True)
