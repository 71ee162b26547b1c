"""The entries of the setting OPERATORS: names that are reserved for operators, with the hashes of their secrets.

    OPERATORS=ada:argon2id.v=19.m=65536_t=3_p=4.SALT.DIGEST,bob:argon2id...

The hash is argon2's, in which ``.`` replaces ``$`` and ``_`` replaces ``,``: shells and compose files expand ``$``, and
the comma separates entries. Pure: this module must never read a setting or hash a secret.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["format_entry", "parse_entries"]

HASH = re.compile(
    r"argon2id\.v=\d{1,4}\.m=\d{1,8}_t=\d{1,4}_p=\d{1,4}\.[A-Za-z0-9+/]{8,128}\.[A-Za-z0-9+/]{16,512}"
)


def format_entry(name: str, hashed: str) -> str:
    """The entry for a name and an argon2 hash."""
    return f"{name}:{hashed.removeprefix('$').replace('$', '.').replace(',', '_')}"


def parse_entries(text: str) -> dict[str, str]:
    """Case-folded name -> argon2 hash. Raises ValueError with a sentence that says what to do."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, hashed = entry.rpartition(":")
        if not colon:
            name = entry
            raise ValueError(
                f"{name[:24]!r} has no hash, and a name alone gives no rights: run `tussle operator add NAME`,"
                " or put what `tussle operator hash NAME` prints here"
            )
        if not HASH.fullmatch(hashed) or "#" in name:
            raise ValueError(f"the entry of {name[:24]!r} is not what `tussle operator hash NAME` prints")
        folded = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
        if folded in found or not folded:
            raise ValueError(f"{name[:24]!r} is there twice or is empty")
        found[folded] = "$" + hashed.replace(".", "$").replace("_", ",")
    return found
