"""The seats of an environment over live sessions: guests that log in, sessions that are left, and their pictures.

This module must never know a space or a mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tussle.lobby.errors import LobbyError
from tussle.lobby.wire.frames import Frame, Topology
from tussle.player.blocking import BlockingClient, BlockingSession
from tussle.player.transcript import Disconnected

__all__ = ["leave_seats", "log_in_guests", "look_at"]


def log_in_guests(
    url: str, count: int, names: tuple[str, ...], kind: Literal["person", "bot"], timeout_s: float
) -> list[BlockingClient]:
    """Log in ``count`` guests; without a name the server gives one. Raises Disconnected if no server answers, and the
    server's errors; then no client is left open."""
    clients: list[BlockingClient] = []
    try:
        for number in range(count):
            client = BlockingClient(url, timeout_s=timeout_s)
            clients.append(client)
            client.login(names[number] if number < len(names) else None, kind=kind)
    except BaseException:
        for client in clients:
            client.close()
        raise
    return clients


def leave_seats(sessions: Iterable[BlockingSession]) -> None:
    """Give up the seats in these sessions, and close them."""
    for session in sessions:
        try:
            if not session.closed:
                session.leave()
        except (LobbyError, TimeoutError):
            pass  # the session is over, or the server gone: it expires the seat
        session.close()


def look_at(session: BlockingSession, timeout_s: float) -> tuple[Topology, Frame]:
    """The newest frame of a session, and the meshes that it moves. Waits for the first one. Raises TimeoutError, and
    Disconnected if the session is over before it."""
    frame = session.frame
    frames = session.frames(timeout_s)
    while True:
        topology = session.topology
        if frame is not None and topology is not None and topology.version == frame.version:
            return topology, frame
        frame = next(frames, None)
        if frame is None:
            raise Disconnected("the connection ended before the first frame")
