"""JSON that the store keeps, as types: what cannot be read is an error that names it.

Only programs of Tussle write it, so that damage means a store that was changed by hand, or that lost data. This module
must never read a key.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from tussle.lobby.errors import DamagedData

__all__ = ["read_stored"]

T = TypeVar("T")


def read_stored(data: bytes | str, kind: type[T], what: str) -> T:
    """``data`` as a ``kind``. ``what``: where it is, for people. Raises DamagedData."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DamagedData(f"{what} is damaged: {error}") from None
