"""What a verification says of an archive: kind, file, part, tick, what.

docs/reference/archive.md explains the kinds to people. This module must never read anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Findings", "Kind"]

Kind = Literal[
    "damaged", "cut", "missing", "repeated", "misplaced", "foreign", "unchained", "differs", "halted", "contact",
    "not_whole", "unfinished", "old", "unknown",
]  # fmt: skip

NAMED = 8
"""Findings of one kind in one file that are named one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an archive or worth a note. ``grave``: it does not verify because of this.

    damaged: bytes differ from their hash or cannot be decoded. cut: the end of a file is missing. missing: a file, part
    or tick is not there. repeated, misplaced: a part is there twice or at another place. foreign: of another session or
    epoch. unchained: a part does not follow the one before it. differs: re-simulated, or recorded twice, it is another.
    halted: the simulation could not go on. contact: a contact check failed. not_whole: the holder dropped records.
    unfinished: there is no end. old: what a file of an older schema cannot prove. unknown: not a file of an archive.
    """

    kind: Kind
    what: str
    file: str = ""
    part: int | None = None
    tick: int | None = None
    grave: bool = True

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        place += [f"part {self.part}"] if self.part is not None else []
        place += [f"tick {self.tick}"] if self.tick is not None else []
        return f"{self.kind}: {', '.join(place)}{': ' if place else ''}{self.what}"


class Findings:
    """Findings in the order in which they were made, with a bound."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._counts: Counter[tuple[Kind, str]] = Counter()

    def add(self, finding: Finding) -> None:
        self._counts[finding.kind, finding.file] += 1
        if self._counts[finding.kind, finding.file] <= NAMED:
            self._found.append(finding)

    def names(self, file: str) -> bool:
        """Whether something was found in a file."""
        return any(name == file for _, name in self._counts)

    def all(self) -> tuple[Finding, ...]:
        """All of them, with the number of those that are not named."""
        more = [
            Finding(kind, f"{count - NAMED} more like these", file)
            for (kind, file), count in self._counts.items()
            if count > NAMED
        ]
        return (*self._found, *more)
