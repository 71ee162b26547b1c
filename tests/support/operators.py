"""An operator of tests, by an entry of OPERATORS: log in as ``boss`` with SECRET."""

from __future__ import annotations

from argon2 import PasswordHasher

from tussle.lobby.operator_entries import format_entry

__all__ = ["ENTRY", "SECRET"]

SECRET = "a secret of mine"

ENTRY = format_entry("boss", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET))
"""The value of OPERATORS. Its hash is a cheap one."""
