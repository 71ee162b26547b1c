"""Offers and answers of a data channel, and ICE candidates, as text (RFC 8866, RFC 8841, RFC 8839). Sans-I/O.

    offer (text of a client) -> read_offer -> PeerOffer
    candidate (text of a client) -> read_candidate -> Remote candidate, or None for one that is not used
    fingerprint, ICE parameters, local candidates -> write_answer -> answer (text)

Only what a data channel needs is read: an offer with media, or with more than one section, is refused. So no text of a
client reaches a parser of media descriptions. This module must never resolve a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from tussle.lobby.errors import Refused

__all__ = [
    "CANDIDATES",
    "LocalCandidate",
    "PeerOffer",
    "RemoteCandidate",
    "read_candidate",
    "read_offer",
    "write_answer",
]

CANDIDATES = 16
"""Most candidates of one offer, in its text and in messages after it."""

MEDIA = re.compile(r"m=application [0-9]{1,5} (?:UDP|TCP)/DTLS/SCTP webrtc-datachannel")
UFRAG = re.compile(r"a=ice-ufrag:([A-Za-z0-9+/]{4,256})")
PASSWORD = re.compile(r"a=ice-pwd:([A-Za-z0-9+/]{22,256})")
FINGERPRINT = re.compile(
    r"a=fingerprint:(sha-256|sha-384|sha-512) ((?:[0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2})"
)
SETUP = re.compile(r"a=setup:(actpass|passive)")
MID = re.compile(r"a=mid:([A-Za-z0-9_-]{1,32})")
SCTP_PORT = re.compile(r"a=sctp-port:([0-9]{1,5})")
MAX_MESSAGE = re.compile(r"a=max-message-size:([0-9]{1,10})")
CANDIDATE = re.compile(
    r"candidate:([A-Za-z0-9+/]{1,32}) 1 [Uu][Dd][Pp] ([0-9]{1,10}) (\S{1,128}) ([0-9]{1,5})"
    r" typ (host|srflx|prflx|relay)(?: .*)?"
)

DEFAULT_MAX_MESSAGE = 65_536
"""The largest message [B] of a client that states none (RFC 8841, section 6)."""


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """Where the client may be reached. ``host``: an address, or the name of an mDNS candidate."""

    foundation: str
    priority: int
    host: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class LocalCandidate:
    """An address at which the server may be reached."""

    foundation: str
    priority: int
    host: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class PeerOffer:
    """What an offer says of the client. ``max_message``: largest SCTP message that it takes [B]; 0: any."""

    mid: str
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    sctp_port: int
    max_message: int
    candidates: tuple[RemoteCandidate, ...]


def read_offer(text: str) -> PeerOffer:
    """Read an offer of one data channel. Raises Refused with code ``bad_offer``."""
    lines = text.splitlines()
    media = [line for line in lines if line.startswith("m=")]
    if len(media) != 1 or not MEDIA.fullmatch(media[0]):
        raise Refused("an offer has one section, of a data channel", code="bad_offer", field="offer")
    found = [line[2:] for line in lines if line.startswith("a=candidate:")]
    if len(found) > CANDIDATES:
        raise Refused(f"an offer has at most {CANDIDATES} candidates", code="bad_offer", field="offer")
    fingerprints = tuple((match[1], match[2]) for line in lines if (match := FINGERPRINT.fullmatch(line)))
    if not 1 <= len(fingerprints) <= 3:
        raise Refused("an offer has a fingerprint of SHA-256", code="bad_offer", field="offer")
    _find(SETUP, lines)
    port = int(_find(SCTP_PORT, lines))
    if not 0 < port < 65_536:
        raise Refused("the port of SCTP is no port", code="bad_offer", field="offer")
    return PeerOffer(
        _find(MID, lines),
        _find(UFRAG, lines),
        _find(PASSWORD, lines),
        fingerprints,
        port,
        int(
            next((match[1] for line in lines if (match := MAX_MESSAGE.fullmatch(line))), DEFAULT_MAX_MESSAGE)
        ),
        tuple(candidate for line in found if (candidate := read_candidate(line)) is not None),
    )


def _find(form: re.Pattern[str], lines: Iterable[str]) -> str:
    for line in lines:
        if match := form.fullmatch(line):
            return match[1]
    name = form.pattern.partition(":")[0].removeprefix("a=")
    raise Refused(f"the offer lacks a valid line a={name}", code="bad_offer", field="offer")


def read_candidate(text: str) -> RemoteCandidate | None:
    """Read a candidate; None for one that is not used: of TCP, or of another component.

    Raises Refused with code ``bad_candidate`` for text that is no candidate.
    """
    text = text.removeprefix("a=")
    match = CANDIDATE.fullmatch(text)
    if match is None:
        if re.fullmatch(r"candidate:\S{1,32} [0-9]{1,5} (?:[Tt][Cc][Pp]|[Uu][Dd][Pp]) .*", text):
            return None
        raise Refused("not a candidate", code="bad_candidate", field="candidate")
    foundation, priority, host, port, kind = match.groups()
    if not 0 < int(port) < 65_536 or not (host.endswith(".local") or _is_address(host)):
        raise Refused("the candidate has no address", code="bad_candidate", field="candidate")
    return RemoteCandidate(foundation, min(int(priority), 2**31 - 1), host, int(port), kind)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def write_answer(
    offer: PeerOffer,
    *,
    ufrag: str,
    password: str,
    fingerprint: tuple[str, str],
    sctp_port: int,
    candidates: Iterable[LocalCandidate],
) -> str:
    """The answer to an offer: the server is the DTLS client, has all of its candidates, and takes no messages."""
    lines = [
        "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0",
        f"a=group:BUNDLE {offer.mid}",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{offer.mid}",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{password}",
        f"a=fingerprint:{fingerprint[0]} {fingerprint[1]}",
        "a=setup:active",
        f"a=sctp-port:{sctp_port}",
        "a=max-message-size:1024",
        *(
            f"a=candidate:{one.foundation} 1 udp {one.priority} {one.host} {one.port} typ {one.kind}"
            + (" raddr 0.0.0.0 rport 9" if one.kind == "srflx" else "")
            for one in candidates
        ),
        "a=end-of-candidates",
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"
