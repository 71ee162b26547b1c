"""Text of clients: its largest lengths, the characters that are refused, and how foreign text is shown.

    request, message -> decoders (Meta(max_length)) -> check_text -> store
    store, log, file -> escape_text -> terminal, log line, CSV

A length is checked before anything else is done with a text: normalisation, hashing and searching cost more than its
length. This module must never change a text that is stored.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

import msgspec

from tussle.lobby.errors import Refused

__all__ = [
    "MESSAGE_LENGTH",
    "Credential",
    "Key",
    "Label",
    "Line",
    "SessionToken",
    "check_text",
    "clip",
    "escape_text",
    "escape_values",
]

Key = Annotated[str, msgspec.Meta(max_length=48)]
"""The name of a mode, a body, a player's id or a field."""

Label = Annotated[str, msgspec.Meta(max_length=96)]
"""The name of a person or a run, before it is normalised (lobby/accounts.py)."""

SessionToken = Annotated[str, msgspec.Meta(max_length=48)]

MESSAGE_LENGTH = 400
"""Characters of an error's message that are sent: it may repeat what the client sent."""

Credential = Annotated[str, msgspec.Meta(max_length=128)]
"""A login token, a ticket or a resume token. Ours have 43 to 66 characters."""

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
"""One line of chat, or a notice."""

Shape = TypeVar("Shape")

HIDDEN = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff"
"""Controls (C0, DEL, C1), line and paragraph separators, bidirectional embeddings, overrides and isolates (UAX 9),
deprecated format characters, byte order marks, interlinear annotations, surrogates and noncharacters."""

_HIDDEN = re.compile(f"[{HIDDEN}]")


def check_text(text: str, *, field: str) -> str:
    """``text`` itself. Raises Refused (bad_text) if it has a character that a terminal or a log would not show."""
    found = _HIDDEN.search(text)
    if found is not None:
        raise Refused(
            f"{field} has the control character U+{ord(found[0]):04X}", code="bad_text", field=field
        )
    return text


def escape_text(text: str) -> str:
    """``text`` with every character that ``check_text`` refuses as an escape such as \\x1b: safe on a terminal."""
    return _HIDDEN.sub(_escape, text)


def escape_values(value: Shape) -> Shape:
    """A copy of a Struct, dict, list or text in which every text went through ``escape_text``."""
    if isinstance(value, str):
        return escape_text(value)  # type: ignore[return-value]
    if isinstance(value, msgspec.Struct):
        return msgspec.convert(escape_values(msgspec.to_builtins(value)), type(value))
    if isinstance(value, dict):
        return {escape_values(key): escape_values(inner) for key, inner in value.items()}  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return type(value)(escape_values(inner) for inner in value)
    return value


def clip(text: str, length: int) -> str:
    """At most ``length`` characters of ``text``, and how many were left out."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text) - length} more characters)"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
