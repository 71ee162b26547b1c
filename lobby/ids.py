"""Random identifiers: session tokens, player ids, server ids, secrets. Nothing else makes identifiers.

A session token is a public address that people type: 8 characters without look-alikes. Tickets, login tokens and
resume tokens are secrets of 256 bits. The store keeps only their SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import secrets

__all__ = [
    "format_ticket",
    "is_player_id",
    "is_session_token",
    "new_player_id",
    "new_secret",
    "new_server_id",
    "new_session_token",
    "parse_ticket",
    "secret_hash",
]

ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0 o 1 l i u
TOKEN = re.compile(rf"[{ALPHABET}]{{8}}")
PLAYER = re.compile(rf"p[{ALPHABET}]{{11}}")


def _draw(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_session_token() -> str:
    """One of 30^8 = 6.6e11 tokens."""
    return _draw(8)


def is_session_token(text: str) -> bool:
    """Whether a text has the form of a session token."""
    return TOKEN.fullmatch(text) is not None


def new_player_id() -> str:
    """One of 30^11 ids."""
    return "p" + _draw(11)


def is_player_id(text: str) -> bool:
    """Whether a text has the form of a player id."""
    return PLAYER.fullmatch(text) is not None


def new_server_id() -> str:
    """One of 30^7 ids."""
    return "s" + _draw(7)


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """The stored form of a secret. A plain hash is enough for 256 random bits; secrets of people go through argon2."""
    return hashlib.sha256(secret.encode()).hexdigest()


def format_ticket(session: str, player: str, secret: str) -> str:
    """The text of a ticket. A resume token has the same form."""
    return f"{session}.{player}.{secret}"


def parse_ticket(text: str) -> tuple[str, str, str] | None:
    """Session, player and secret of a ticket or resume token; None for any other text."""
    parts = text.split(".")
    if len(parts) != 3 or not is_session_token(parts[0]) or not all(parts):
        return None
    return parts[0], parts[1], parts[2]
