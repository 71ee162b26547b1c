"""The holder's end of a relay: inputs from the members of another server, frames and notices to them.

server/gateway/relay_messages.py has the picture. This module must never block the session: frames are skipped while the
relay has more than BACKLOG_BYTES unsent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tussle.lobby.errors import LobbyError
from tussle.lobby.logs import get_logger
from tussle.server.fanout.audience import Audience
from tussle.server.gateway.relay_messages import decode_relay, encode_relay
from tussle.server.sessions.core import Superseded
from tussle.server.sessions.holder import Holder
from tussle.server.solver.delta_streams import CHAINS, FAST_KEY, SLOW_KEY, Deltas

__all__ = ["serve_relay"]

log = get_logger("server.relay")

BACKLOG_BYTES = 4 * 2**20
"""Unsent bytes on a relay above which frames are skipped."""


class RelaySink:
    """Sends what the audience of one session gets to another server."""

    def __init__(self, token: str, write: Callable[[bytes], None], backlog: Callable[[], int]) -> None:
        self.token = token
        self._write = write
        self._backlog = backlog
        self._asked = False
        self.gone = False
        self.wanted = 0

    def want(self, wanted: int) -> None:
        """Send these streams of delta frames with the frames, and a keyframe next if it says so."""
        self._asked = True
        self.wanted = wanted & CHAINS

    def send_frame(self, frame: bytes, deltas: Sequence[Deltas]) -> bool:
        """Send a frame; False if it was skipped because too much is unsent: the chain of delta frames then breaks, and
        the other server asks for a keyframe."""
        if self._backlog() > BACKLOG_BYTES:
            return False
        if not self._asked:
            self._write(encode_relay("frame", self.token, frame))
            return True
        chains = [(fast, slow) for fast, slow, _ in deltas] if self.wanted else []
        if chains:
            self.wanted &= ~(FAST_KEY | SLOW_KEY)
        self._write(encode_relay("frame", self.token, frame, chains))
        return True

    def send_topology(self, topology: bytes) -> None:
        self._write(encode_relay("topology", self.token, topology))

    def send_notice(self, state: str, reason: str, turn_ends_at: int) -> None:
        self._write(encode_relay("notice", self.token, state, reason, turn_ends_at))

    def send_pace(self, dilation: float) -> None:
        self._write(encode_relay("pace", self.token, dilation))

    def send_gone(self) -> None:
        """Send that this server does not hold the session, once. The other server watches it again, at its holder."""
        if not self.gone:
            self.gone = True
            self._write(encode_relay("gone", self.token))


async def serve_relay(
    socket: ServerConnection,
    write: Callable[[bytes], None],
    backlog: Callable[[], int],
    holder: Holder,
    watch: Callable[[str], Awaitable[Audience | None]],
    unwatched: Callable[[str], None],
) -> None:
    """Handle one relay until the other server closes it.

    write, backlog: send a message; the number of unsent bytes. watch: the audience of a session that this server holds,
    otherwise None. unwatched: called for a session that the relay no longer watches.
    """
    sinks: dict[str, tuple[Audience, RelaySink]] = {}

    def answer(number: int, result: int | Superseded | LobbyError | None) -> None:
        """Send the result of an input. None sends nothing: the other server sends the input to the next holder."""
        if isinstance(result, int):
            write(encode_relay("taken", number, result))
        elif isinstance(result, Superseded):
            write(encode_relay("superseded", number, result.tick))
        elif result is not None:
            write(
                encode_relay(
                    "refused", number, result.reason, result.message, result.field, result.retry_after
                )
            )

    def submit(
        number: int, token: str, seat: int, command: int, kind: str, d: dict[str, Any], again: bool
    ) -> None:
        _, sink = sinks.get(token, (None, None))
        if sink is None or sink.gone:
            return  # the other server has been sent "gone": it sends this input again, behind older ones
        run = holder.runs.get(token)
        if run is None:  # not restored yet, or held elsewhere: the other server asks the store again
            sink.send_gone()
            return
        try:
            run.accept_input(seat, command, kind, d, time.monotonic(), partial(answer, number), again)
        except LobbyError as error:
            answer(number, error)

    try:
        async for data in socket:
            match decode_relay(data):
                case ["watch", str(token)]:
                    if token in sinks:  # a second sink would send every frame twice
                        before, old = sinks.pop(token)
                        before.sinks.discard(old)
                    sink = RelaySink(token, write, backlog)
                    watched = await watch(token)
                    if watched is None:
                        sink.send_gone()
                    else:
                        sinks[token] = watched, sink
                        watched.add_sink(sink)
                case ["want", str(token), int(wanted)] if token in sinks:
                    sinks[token][1].want(wanted)
                case ["want", str(), int()]:
                    pass  # it has been sent "gone"
                case ["unwatch", str(token)] if token in sinks:
                    watched, sink = sinks.pop(token)
                    watched.sinks.discard(sink)
                    unwatched(token)
                case [
                    "act" | "act_again" as word,
                    int(number),
                    str(token),
                    int(seat),
                    int(command),
                    str(kind),
                    dict(d),
                ]:
                    submit(number, token, seat, command, kind, d, word == "act_again")
                case unknown:
                    log.warning("relay_message_unknown", word=str(unknown[:1]))
    except (ConnectionClosed, msgspec.MsgspecError):
        log.info("relay_closed")
    finally:
        for token, (watched, sink) in sinks.items():
            watched.sinks.discard(sink)
            unwatched(token)
