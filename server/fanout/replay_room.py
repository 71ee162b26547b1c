"""The members of one replay room on this server, and the state that was sent to them.

    channel of the room -> apply -+- scrub: newer than the last one? -> the newest, at most every SCRUB_S -> show
                                  '- everything else, in order -> hear

A message is framed once for all members. Scrubs are not reliable: a slow member gets only the newest one. Other
messages are reliable: a member that cannot keep up is closed with TOO_SLOW. The room must never wait for a member.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from tussle.lobby.replay_rooms import ReplayRoomState
from tussle.lobby.wire.replay import (
    PresenceData,
    PresenceNow,
    Presenter,
    PresenterData,
    RecordingData,
    RecordingGrew,
    ReplayChatLine,
    ReplayReply,
    Scrubbed,
    decode_reply,
    encode_replay,
)
from tussle.server.fanout.framing import text_frame

__all__ = ["ReplayMember", "ReplayRoom", "framed"]

SCRUB_S = 1 / 30
"""Smallest mean time between two scrubs that a room sends, however many the presenter sends."""

SLACK_S = SCRUB_S / 2
"""How much earlier a scrub may be sent, so that jitter does not delay those of a presenter at 30 Hz."""


class ReplayMember(Protocol):
    """The sending side of one connection to a room."""

    def hear(self, framed: bytes, n: int = 0) -> None:
        """Send, or close with TOO_SLOW if too much is unsent. ``n``: number of a line of chat. Never blocks."""

    def show(self, framed: bytes) -> None:
        """Send a scrub now, or once the socket can take it, unless a newer one has come. Never blocks."""


class ReplayRoom:
    """One room on this server. ``length`` and ``live``: of its recording."""

    def __init__(self, token: str, length: int, live: bool) -> None:
        self.token = token
        self.length = length
        self.live = live
        self.members: set[ReplayMember] = set()
        self.presenter: PresenterData = PresenterData(None, 0)
        self._newest = (0, 0)
        self._scrub: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._present: PresenceData | None = None

    @property
    def grant(self) -> int:
        """Number of the newest grant; scrubs of older ones are dropped."""
        return self.presenter.grant

    def apply(self, payload: str) -> None:
        """Pass a message of the room's channel on to the members here."""
        data = payload.encode()
        message = decode_reply(data)
        match message:
            case Scrubbed():
                newest = message.d.grant, message.d.n
                if message.d.grant >= self.grant and newest > self._newest:
                    self._newest = newest
                    self._scrub = text_frame(data)
                    self._send_soon()
            case Presenter():
                self.set_presenter(message.d)
            case ReplayChatLine():
                self._tell(text_frame(data), message.d.n)
            case _:
                self._tell(text_frame(data))

    def set_presenter(self, presenter: PresenterData) -> None:
        """Send the members who presents, unless a newer grant is known."""
        if presenter.grant >= self.grant and presenter != self.presenter:
            self._send_scrub()
            self.presenter = presenter
            self._tell(framed(Presenter(presenter)))

    def set_progress(self, length: int, live: bool) -> None:
        """Send the members how far the recording goes, if that is new."""
        if (length, live) != (self.length, self.live):
            self.length, self.live = length, live
            self._tell(framed(RecordingGrew(RecordingData(length, live))))

    def set_present(self, present: PresenceData) -> None:
        """Send the members the list of members, if it is new."""
        if present != self._present:
            self._present = present
            self._tell(framed(PresenceNow(present)))

    def meet(self, state: ReplayRoomState) -> None:
        """Update this room from a state of the store, where that is newer."""
        self._newest = max(self._newest, (state.grant, state.n))
        if state.grant > self.grant:
            player, connection = state.presenter or (None, None)
            self.presenter = PresenterData(player, state.grant, connection)

    def reset(self, state: ReplayRoomState) -> None:
        """Replace this room's state by that of the store, although it may be older: the store lost its newest writes.
        The caller sends every member a new welcome."""
        self._newest = 0, 0
        self._scrub = None
        self.presenter = PresenterData(None, 0)
        self.meet(state)

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self, frame: bytes, n: int = 0) -> None:
        for member in list(self.members):
            member.hear(frame, n)

    def _send_soon(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = self._due - SLACK_S - loop.time()
        if wait_s <= 0:
            self._send_scrub()
        elif self._timer is None:
            self._timer = loop.call_later(wait_s, self._send_scrub)

    def _send_scrub(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._scrub is None:
            return
        self._due = max(self._due, asyncio.get_running_loop().time()) + SCRUB_S
        scrub, self._scrub = self._scrub, None
        for member in list(self.members):
            member.show(scrub)


def framed(message: ReplayReply) -> bytes:
    """A message as a whole WebSocket frame."""
    return text_frame(encode_replay(message))
