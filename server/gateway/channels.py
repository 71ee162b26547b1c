"""The data channels of connections: offers, candidates, the switch of a viewer's frames, and the way back.

    offer -> budgets -> server/rtc/ -> answer -> open: frames over the channel -> closed, hangup: over the WebSocket
      '- refused with a code: frames stay on the WebSocket

Control messages, events and the topology always use the WebSocket. A connection has one offer or channel at a time; it
is closed with the WebSocket. This module must never delay a message of the connection.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from tussle.lobby.errors import Conflict, LobbyError, RateLimited, Refused
from tussle.lobby.logs import get_logger
from tussle.lobby.settings import Settings
from tussle.lobby.wire.signalling import (
    AnswerData,
    AnswerMessage,
    Candidate,
    ChannelData,
    ChannelMessage,
    Hangup,
    Offer,
    WebRtcData,
)
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.channel_group import ChannelGroup
from tussle.server.gateway.sender import Sender
from tussle.server.rtc.data_channels import DataChannels
from tussle.server.rtc.ice_servers import ice_servers
from tussle.server.rtc.sdp import CANDIDATES, read_candidate, read_offer

__all__ = ["TRANSPORT", "Channels"]

log = get_logger("server.channels")

TRANSPORT = "webrtc"
"""The name of the transport in ``hello``."""


@dataclass(slots=True)
class _Shares:
    """The budgets that a channel holds."""

    ledger: Ledger
    owners: list[tuple[Owner, str]] = field(default_factory=list)

    def hold(self, owners: Sequence[tuple[Owner, str]]) -> None:
        """Raises RateLimited, and holds nothing, if one of the owners has none left."""
        for owner, key in owners:
            if not self.ledger.hold(Resource.PEERS, owner, key):
                self.release()
                raise RateLimited(f"too many data channels of this {owner}", code="too_many_peers")
            self.owners.append((owner, key))

    def release(self) -> None:
        for owner, key in self.owners:
            self.ledger.release(Resource.PEERS, owner, key)
        self.owners.clear()


class _Channel:
    """The data channel of one connection. Implements ``ChannelOwner`` of server/rtc/data_channels.py."""

    def __init__(self, channels: Channels, sender: Sender, group: ChannelGroup, held: _Shares) -> None:
        self._channels = channels
        self._sender = sender
        self._group = group
        self._held = held
        self.number = 0
        self.candidates = 0
        self.open = False

    def on_answer(self, sdp: str) -> None:
        self._sender.reply(AnswerMessage(AnswerData(sdp)))

    def on_refused(self, code: str, message: str) -> None:
        self.forget()
        self._sender.refuse(None, Refused(message, code=code, field="offer"))

    def on_open(self) -> None:
        self.open = True
        self._group.add(self._sender, self.number)
        self._sender.use_channel(True)
        self._sender.reply(ChannelMessage(ChannelData("open")))
        log.debug("channel_opened", number=self.number)

    def on_closed(self, reason: str) -> None:
        self.forget()
        self._sender.reply(ChannelMessage(ChannelData("closed", reason)))
        log.debug("channel_closed", number=self.number, reason=reason)

    def forget(self) -> None:
        """Send frames over the WebSocket from now on, beginning with the newest."""
        self._channels.discard(self._sender)
        self._held.release()
        if self.open:
            self.open = False
            self._group.discard(self._sender)
            self._sender.use_channel(False)


class Channels:
    """The data channels of all connections of one server. ``peers``: None if WEBRTC is off; ``missing``: it is on, and
    the extra is not installed."""

    def __init__(
        self, settings: Settings, ledger: Ledger, peers: DataChannels | None, *, missing: bool = False
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._peers = peers
        self._missing = missing
        self._open: dict[Sender, _Channel] = {}

    def welcome(self, player: str, transports: Sequence[str]) -> WebRtcData | msgspec.UnsetType:
        """What a welcome says about data channels, to a client that asks for them."""
        if self._peers is None or TRANSPORT not in transports:
            return msgspec.UNSET
        return WebRtcData(ice_servers(self._settings, player, time.time()))

    def handle(self, sender: Sender, audience: Audience, message: Offer | Candidate | Hangup) -> None:
        """Handle one message. An error goes to the sender."""
        try:
            match message:
                case Offer():
                    self._offer(sender, audience, message.d.sdp)
                case Candidate():
                    self._add_candidate(sender, message.d.candidate)
                case Hangup():
                    self._hang_up(sender)
        except LobbyError as error:
            error.field = error.field or "offer"
            sender.refuse(None, error)

    def _offer(self, sender: Sender, audience: Audience, sdp: str) -> None:
        peers = self._peers
        if peers is None:
            reason = (
                "lacks the extra: pip install 'tussle[webrtc]'" if self._missing else "has them off (WEBRTC)"
            )
            raise Conflict(f"this server offers no data channels: it {reason}", code="webrtc_off")
        if sender in self._open:
            raise Conflict("this connection has an offer or a data channel", code="offer_pending")
        now, player, address = time.monotonic(), sender.who.player, sender.socket.address or ""
        self._ledger.charge(Resource.OFFERS, Owner.PLAYER, player, now)
        self._ledger.charge(Resource.OFFERS, Owner.ADDRESS, address, now)
        read_offer(sdp)
        held = _Shares(self._ledger)
        held.hold([(Owner.PLAYER, player), (Owner.ADDRESS, address), (Owner.SERVER, "")])
        if audience.channels is None:
            audience.channels = ChannelGroup(audience.token, peers.send)
        channel = _Channel(self, sender, audience.channels, held)
        self._open[sender] = channel
        channel.number = peers.open(
            channel, sdp, sender.socket.client, network=sender.network, way=f"seat {sender.who.seat}"
        )

    def _add_candidate(self, sender: Sender, candidate: str) -> None:
        channel = self._open.get(sender)
        if channel is None or self._peers is None:
            raise Conflict("there is no offer that this candidate belongs to", code="no_offer")
        read_candidate(candidate)
        channel.candidates += 1
        if channel.candidates > CANDIDATES:
            raise Refused(f"an offer has at most {CANDIDATES} candidates", code="bad_candidate")
        self._peers.add_candidate(channel.number, candidate)

    def _hang_up(self, sender: Sender) -> None:
        if self.leave(sender):
            sender.reply(ChannelMessage(ChannelData("closed", "hangup")))

    def leave(self, sender: Sender) -> bool:
        """Close the channel or offer of a connection. Returns False if it has none."""
        channel = self._open.get(sender)
        if channel is None or self._peers is None:
            return False
        self._peers.close(channel.number)
        channel.forget()
        return True

    def discard(self, sender: Sender) -> None:
        self._open.pop(sender, None)
