"""The commands of the WebSocket: what a client sends. The decoder and the TypeScript types are made from these structs.

``{"t": type, "id": n, "d": {...}}``. ``id`` counts up per seat, from 1; a command that is repeated with its id has its
effect once and gets the same acknowledgement again. lobby/wire/messages.py has the answers; docs/protocol.md is the
reference. This module must never import a socket.
"""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Any

import msgspec

from tussle.lobby.errors import ProtocolError
from tussle.lobby.network import NETWORK_LENGTH
from tussle.lobby.rules.joints import Name
from tussle.lobby.text import Credential, Line
from tussle.lobby.wire.negotiation import PROTOCOL, OfferedVersions
from tussle.lobby.wire.signalling import Candidate, Hangup, Offer, Seen

__all__ = [
    "Act",
    "Chat",
    "Choose",
    "ClientMessage",
    "EditItem",
    "EditScene",
    "Hello",
    "HelloData",
    "Leave",
    "Lock",
    "Message",
    "MessagePart",
    "Ping",
    "PingData",
    "Ready",
    "Redo",
    "Resync",
    "SceneCommand",
    "Skip",
    "Undo",
    "Unlock",
    "decode_client",
    "refused_command",
]

Id = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Finite = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Fields = Annotated[dict[Annotated[str, msgspec.Meta(max_length=32)], Any], msgspec.Meta(max_length=32)]


class MessagePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a message carries in ``d``, and parts of it. Unknown fields are refused."""


class HelloData(MessagePart, frozen=True, forbid_unknown_fields=False):
    """Either a ``ticket`` (from find, open or join) or a ``resume`` token (from an earlier welcome). ``protocols``: the
    versions that the client speaks; without it, ``protocol`` is the only one. ``codecs``: the codecs of
    frames that it decodes, best first, besides frames of kind 1. ``frame_hz``: the most frames per simulated second
    that it needs. ``without``: types of events that it does not need; ``v`` then has gaps. ``transports``: ``webrtc``
    if it may make a data channel. ``network``: a bad network for this connection only, such as 120ms 40ms 3%. Fields
    that the server does not know are ignored."""

    protocol: int | None = None
    protocols: OfferedVersions = ()
    ticket: Credential | None = None
    resume: Credential | None = None
    last_v: Count | None = None
    last_tick: Count | None = None
    codecs: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(max_length=16)
    ] = ()
    frame_hz: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    without: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(max_length=32)
    ] = ()
    transports: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(max_length=8)
    ] = ()
    network: Annotated[str, msgspec.Meta(max_length=NETWORK_LENGTH)] | None = None


class ActData(MessagePart, frozen=True):
    """An input of the mode. ``actions`` in ``turn_started`` lists the kinds and numbers that are allowed."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
    d: Annotated[
        dict[
            Annotated[str, msgspec.Meta(max_length=24)],
            Finite
            | Annotated[str, msgspec.Meta(max_length=64)]
            | bool
            | Annotated[list[Finite], msgspec.Meta(max_length=16)],
        ],
        msgspec.Meta(max_length=24),
    ] = msgspec.field(default_factory=dict)


class ChatData(MessagePart, frozen=True):
    text: Line


class ReadyData(MessagePart, frozen=True):
    ready: bool = True


class ChooseData(MessagePart, frozen=True):
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]


class PingData(MessagePart, frozen=True):
    """``at`` is returned unchanged in the pong: the client's clock, in its own units."""

    at: float = 0.0


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    """A message of either direction, with its type in ``t``."""


class Hello(Message, frozen=True, tag="hello"):
    """First message of every connection, within five seconds."""

    d: HelloData


class Act(Message, frozen=True, tag="act"):
    """An input to the world. With ``ack`` false the server answers only if it refuses the input; frames carry the id of
    the last applied input. Meant for streams of inputs, such as a drag."""

    id: Id
    d: ActData
    ack: bool = True


class Chat(Message, frozen=True, tag="chat"):
    id: Id
    d: ChatData


class Ready(Message, frozen=True, tag="ready"):
    id: Id
    d: ReadyData = ReadyData()


class Choose(Message, frozen=True, tag="choose"):
    """Choose a body while the lobby waits."""

    id: Id
    d: ChooseData


class EditItem(MessagePart, frozen=True):
    """One change of one document of the scene. ``base``: the version that it was made on, 0 for a new body. ``lock``:
    the token of the body's lock. One of ``document`` (the whole one), ``delta`` (the fields to replace; null: the
    default) and ``remove``. ``copy``: the new body begins as that one, and may have a delta."""

    body: Name
    base: Count
    lock: Count | None = None
    document: Fields | None = None
    delta: Fields | None = None
    remove: bool = False
    copy: Name | None = None


class EditData(MessagePart, frozen=True):
    """Changes that are committed together, as one version and one step of undo."""

    edits: Annotated[list[EditItem], msgspec.Meta(min_length=1, max_length=64)]


class LockData(MessagePart, frozen=True):
    body: Name


class UnlockData(MessagePart, frozen=True):
    body: Name
    lock: Count


class Lock(Message, frozen=True, tag="lock"):
    """Lock a body of the scene, or ``world``, to edit it. Acknowledged with the lock's token."""

    id: Id
    d: LockData


class Unlock(Message, frozen=True, tag="unlock"):
    """Give a lock back."""

    id: Id
    d: UnlockData


class EditScene(Message, frozen=True, tag="edit"):
    """Edit the scene while the lobby waits."""

    id: Id
    d: EditData


class Undo(Message, frozen=True, tag="undo"):
    """Undo the newest edit of the caller."""

    id: Id


class Redo(Message, frozen=True, tag="redo"):
    """Redo the edit that was undone last."""

    id: Id


class SkipData(MessagePart, frozen=True):
    step: Count


class Skip(Message, frozen=True, tag="skip"):
    """Drop a step of the caller, which the detail of ``undo_conflict`` names. No body changes."""

    id: Id
    d: SkipData


class Leave(Message, frozen=True, tag="leave"):
    """Give up the seat; the connection is closed with 4000."""

    id: Id


class Ping(Message, frozen=True, tag="ping"):
    d: PingData = PingData()


class Resync(Message, frozen=True, tag="resync"):
    """Ask for the whole session again: ``session``, the topology and the newest frame."""


SceneCommand = Lock | Unlock | EditScene | Undo | Redo | Skip

ClientMessage = (
    Hello
    | Act
    | Chat
    | Ready
    | Choose
    | Leave
    | Lock
    | Unlock
    | EditScene
    | Undo
    | Redo
    | Skip
    | Ping
    | Resync
    | Offer
    | Candidate
    | Hangup
    | Seen
)


_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


def decode_client(data: bytes | str) -> ClientMessage:
    """Parse and validate one message. Raises ProtocolError with code ``bad_json`` or ``bad_message``."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise refused_command(data, f"not a message of protocol {PROTOCOL}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("not JSON", code="bad_json") from None


class _Identified(msgspec.Struct):
    """What is read of a message that is refused."""

    id: Id


_identified = msgspec.json.Decoder(_Identified)
_FIELD = re.compile(r" - at `\$\.(?:d\.)?([a-z_]+)[^`]*`$")


def refused_command(data: bytes | str, message: str) -> ProtocolError:
    """The error for a message that has valid JSON but not the form of a command. It names the command's id, so that
    its sender gets the error as the answer, and the field, if they can be read."""
    field = _FIELD.search(message)
    error = ProtocolError(message, field=field[1] if field else None)
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        error.command = _identified.decode(data).id
    return error
