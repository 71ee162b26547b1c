"""A client's WebSocket that reconnects: from the first connection to the close after which none follows.

    run():  renew the ticket -> open -> hello -> receive ... close -> back-off -> again

After a close it follows the table of close codes in docs/protocol.md. What arrives goes through the Transcript to the
callbacks of the owner, ``player/connection.py``. This module must never know a command or keep an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urljoin

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from tussle.lobby.addresses import is_own_machine
from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import CloseCode, LobbyError, ProtocolError
from tussle.player.known_servers import KnownServers
from tussle.player.transcript import (
    Disconnected,
    Next,
    Outcome,
    ServersChanged,
    Transcript,
    Welcomed,
    sentence_of_close,
)

__all__ = [
    "PING_S",
    "PONG_S",
    "ReconnectingSocket",
    "Renew",
]

Renew = Callable[[Sequence[str]], Awaitable[tuple[str, str]]]
"""Gets another ticket for the same seat, and the WebSocket address that accepts it, from one of the servers with these
WebSocket addresses. Raises LobbyError."""

STABLE_S = 3.0
"""A connection that lasted this long resets the back-off [s]. Without this limit a server that sends a welcome and
closes at once would be called ten times a second."""

PING_S = 2.0
PONG_S = 4.0
"""A ping is sent every PING_S; a server that has not answered one within PONG_S is gone: the client connects again, to
another server if need be [s]."""


class ReconnectingSocket:
    """The sockets of one session, one after the other. ``run`` serves them; ``flush`` sends what the transcript has.

    ``on_outcome`` gets each outcome of the transcript, ``on_binary`` each binary message, ``on_cut`` is called after
    each close. None of them may wait.
    """

    def __init__(
        self,
        ws_url: str,
        transcript: Transcript,
        *,
        on_outcome: Callable[[Outcome], None],
        on_binary: Callable[[bytes], None],
        on_cut: Callable[[], None],
        servers: Sequence[str],
        renew: Renew | None,
        give_up_s: float,
        open_timeout_s: float,
        answer_timeout_s: float,
        rng: random.Random,
    ) -> None:
        self._at = KnownServers(ws_url, servers, rng)
        self._transcript = transcript
        self._on_outcome = on_outcome
        self._on_binary = on_binary
        self._on_cut = on_cut
        self._renew = renew
        self._ticket_spent = False
        self._renewed = False
        self._give_up_s = give_up_s
        self._open_timeout_s = open_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._backoff = Backoff(rng)
        self._socket: ClientConnection | None = None
        self._sending = asyncio.Lock()

    @property
    def url(self) -> str:
        """The address of the present or the next socket."""
        return self._at.url

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses that the seat is known to have."""
        return self._at.all

    async def run(self) -> Disconnected | None:
        """Stay connected. Returns None after the session's end or after leaving, else why the client gave up."""
        down_since = time.monotonic()
        while True:
            at_least_s, opened_at = 0.0, time.monotonic()
            code, reason = await self._serve()
            welcomed = self._transcript.live
            if welcomed:
                down_since = time.monotonic()
                if down_since - opened_at > STABLE_S:
                    self._backoff.reset()
            following = self._transcript.closed(code)
            self._on_cut()
            match following:
                case Next.STOP:
                    return None
                case Next.GIVE_UP if code == CloseCode.RESUME_REFUSED and self._may_renew():
                    pass  # the ticket has expired: get another
                case Next.GIVE_UP:
                    return Disconnected(sentence_of_close(code, reason), close=code)
                case Next.MOVE if reason.startswith(("ws://", "wss://", "/")):
                    self._at.url = urljoin(self.url, reason)
                    # A redirect before the welcome does not use the ticket.
                    self._ticket_spent = self._ticket_spent and welcomed
                case Next.BACK_OFF:
                    at_least_s = 1.0
                case _:
                    pass
            delay_s = self._backoff.next_s(at_least_s=at_least_s)
            if time.monotonic() + delay_s - down_since > self._give_up_s:
                tried = f"gave up after {self._give_up_s:g} s without a connection"
                return Disconnected(f"{tried}: {sentence_of_close(code, reason)}", close=code)
            await asyncio.sleep(delay_s)

    async def flush(self) -> None:
        """Send what the transcript has to send. Without a socket nothing is sent: ``run`` sends it after it has
        connected again."""
        socket = self._socket
        if socket is None:
            return
        # One sender at a time: commands must arrive in the order of their ids. ``run`` detects a closed socket and
        # repeats the pending commands on the next one.
        async with self._sending:
            for data in self._transcript.data_to_send():
                with contextlib.suppress(ConnectionClosed):
                    async with asyncio.timeout(self._answer_timeout_s):
                        await socket.send(data, text=True)

    async def _serve(self) -> tuple[int, str]:
        """Run one connection from open to close; returns its close code and reason."""
        try:
            await self._renew_ticket()
        except Disconnected as error:
            return CloseCode.ERROR, error.message
        except LobbyError as error:
            return CloseCode.RESUME_REFUSED, error.message
        try:
            socket = await open_socket(
                self.url,
                open_timeout=self._open_timeout_s,
                close_timeout=2,
                ping_interval=PING_S,
                ping_timeout=PONG_S,
                compression=None,
                max_size=2**24,
                proxy=None if is_own_machine(self.url) else True,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            unreachable = f"{self.url} cannot be reached ({str(error) or type(error).__name__})"
            self._at.try_elsewhere()
            return CloseCode.ERROR, unreachable
        except InvalidURI as error:
            return CloseCode.BAD_MESSAGE, str(error)
        async with socket:
            self._socket = socket
            try:
                self._transcript.opened()
                self._ticket_spent = True
                await self.flush()
                while True:
                    # Only the welcome has a timeout: later the WebSocket's pings detect a dead connection.
                    async with asyncio.timeout(None if self._transcript.live else self._answer_timeout_s):
                        data = await socket.recv()
                    if isinstance(data, bytes):
                        self._on_binary(data)
                        continue
                    for outcome in self._transcript.receive(data):
                        match outcome:
                            case Welcomed(welcome):
                                self._renewed = False
                                self._at.learn(welcome.servers)
                            case ServersChanged(servers):
                                self._at.learn(servers)
                        self._on_outcome(outcome)
                    await self.flush()
            except ConnectionClosed as closed:
                received = closed.rcvd
                return (received.code, received.reason) if received else (1006, "the connection was lost")
            except TimeoutError:
                return CloseCode.ERROR, "no welcome message"
            except ProtocolError as error:
                await socket.close(CloseCode.BAD_MESSAGE, error.message[:100])
                return CloseCode.ERROR, error.message
            finally:
                self._socket = None

    async def _renew_ticket(self) -> None:
        """Get a new ticket if the old one is used and there is no resume token (observers, or before a welcome)."""
        if self._ticket_spent and self._transcript.resume is None and self._renew is not None:
            try:
                self._transcript.ticket, self._at.url = await self._renew(self._at.all)
            except Disconnected:
                raise
            except LobbyError:
                self._renewed = True
                raise
            self._ticket_spent, self._renewed = False, True

    def _may_renew(self) -> bool:
        """Whether a refused ticket may be replaced: once between two welcomes."""
        return self._renew is not None and self._transcript.resume is None and not self._renewed
