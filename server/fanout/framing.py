"""WebSocket frames as bytes, encoded once and written to every viewer.

    server to client, unmasked, unfragmented (RFC 6455, section 5.2):
    | 0x80 + opcode | length: 7 bits, or 126 + u16, or 127 + u64 (big endian) | payload |

Compression is off, so every connection can be sent the same bytes. tests/server/fanout/test_framing.py compares them
with those of the websockets library. This module must never be used for frames of a client, which are masked.
"""

from __future__ import annotations

import struct

__all__ = ["binary_frame", "text_frame"]

_SHORT, _MIDDLE, _LONG = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return _SHORT.pack(0x80 | opcode, length) + payload
    if length < 65536:
        return _MIDDLE.pack(0x80 | opcode, 126, length) + payload
    return _LONG.pack(0x80 | opcode, 127, length) + payload


def text_frame(payload: bytes) -> bytes:
    """A whole text message; ``payload`` must be UTF-8."""
    return _frame(1, payload)


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message."""
    return _frame(2, payload)
