"""Names that are drawn by chance: session tokens, player ids, secrets. Nothing else makes identifiers.

A session token is a public address that people type: 8 characters without look-alikes. Tickets, login and resume
tokens are secrets: 256 bits, and the store sees only their SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import secrets

__all__ = [
    "is_session_token",
    "new_player_id",
    "new_secret",
    "new_server_id",
    "new_session_token",
    "secret_hash",
]

ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0 o 1 l i u
TOKEN = re.compile(rf"^[{ALPHABET}]{{8}}$")


def _draw(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_session_token() -> str:
    """30^8 = 6.6e11 addresses."""
    return _draw(8)


def is_session_token(text: str) -> bool:
    return TOKEN.match(text) is not None


def new_player_id() -> str:
    return "p" + _draw(11)


def new_server_id() -> str:
    return "s" + _draw(7)


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What is stored of a secret. A plain hash is enough for 256 random bits; people's secrets go through argon2."""
    return hashlib.sha256(secret.encode()).hexdigest()
