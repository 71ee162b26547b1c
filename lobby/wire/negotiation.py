"""The versions of the protocol, and the choice between those that a client offers.

A hello has ``protocol``, one version, or ``protocols``, all versions that the client speaks, or both. A server that
does not know ``protocols`` reads ``protocol``. The codecs and transports that a hello offers are features: the welcome
names those that the server uses. This module must never decode a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from tussle.lobby.errors import ProtocolError, VersionMismatch

__all__ = ["PROTOCOL", "PROTOCOLS", "OfferedVersions", "choose_protocol"]

PROTOCOL = 1
"""Incremented when older clients cannot work with the server. A mismatch closes the connection with 4012."""

PROTOCOLS: tuple[int, ...] = (PROTOCOL,)
"""The versions that this server speaks."""

OfferedVersions = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)], ...], msgspec.Meta(max_length=16)
]


def choose_protocol(
    protocol: int | None, protocols: Sequence[int] = (), *, known: Sequence[int] = PROTOCOLS
) -> int:
    """The newest version that both sides speak. ``protocols`` is what counts if the hello has it.

    Raises VersionMismatch, with the versions of this server, and ProtocolError for a hello without a version.
    """
    offered = protocols or (() if protocol is None else (protocol,))
    if not offered:
        raise ProtocolError(
            "hello needs the versions of the protocol that the client speaks", field="protocol"
        )
    both = set(offered) & set(known)
    if not both:
        spoken = ", ".join(str(version) for version in known)
        raise VersionMismatch(f"this server speaks protocol {spoken}")
    return max(both)
