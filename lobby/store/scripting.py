"""The Lua scripts as the store runs them: each with its parts written out.

    scripts/name.lua  --@include part       -> scripts/parts/part.lua, once
                      --@include lifecycle  -> constants and transitions, generated from lobby/lifecycle.py

A script never spells a status itself. This module must never contact the store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Self

from tussle.lobby.lifecycle import (
    ENDED,
    HELD,
    LIVE,
    SETTING_UP,
    WAITING,
    LifecycleEvent,
    ReplayRoomEvent,
    ReplayRoomStatus,
    Status,
    advance,
)

__all__ = ["Script", "load_scripts"]

INCLUDE = re.compile(r"^--@include (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script with its parts written out, and the digest that the store knows it by."""

    name: str
    text: str
    sha: str

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def load_scripts() -> dict[str, Script]:
    """Every script of lobby/store/scripts by its name."""
    folder = Path(__file__).with_name("scripts")
    return {path.stem: Script.of(path.stem, _expand(path)) for path in sorted(folder.glob("*.lua"))}


def _expand(path: Path) -> str:
    """The text of a script. The generated part comes first and defines only the names that the script uses."""
    parts: set[str] = set()

    def expand(text: str) -> str:
        def part(match: re.Match[str]) -> str:
            name = match[1]
            if name in parts:
                return ""
            parts.add(name)
            return "" if name == "lifecycle" else expand((path.parent / "parts" / f"{name}.lua").read_text())

        return INCLUDE.sub(part, text)

    text = expand(path.read_text())
    return _lifecycle(text) + text if "lifecycle" in parts else text


def _lifecycle(text: str) -> str:
    """The definitions of the lifecycle that ``text`` uses."""
    words = set(re.findall(r"\w+", re.sub(r"--[^\n]*", "", text)))
    chunks = [
        chunk
        for name, chunk in _definitions().items()
        if name in words or (name == "TRANSITIONS" and "status_after" in words)
    ]
    return "-- Generated from lobby/lifecycle.py.\n" + "".join(chunks)


@cache
def _definitions() -> dict[str, str]:
    sets = {
        "WAITING": WAITING,
        "SETTING_UP": SETTING_UP,
        "HELD": HELD,
        "LIVE": LIVE,
        "ENDED": ENDED,
    }
    enums: dict[str, type[StrEnum]] = {
        "STATUS": Status,
        "EVENT": LifecycleEvent,
        "REPLAY_ROOM": ReplayRoomStatus,
        "REPLAY_ROOM_EVENT": ReplayRoomEvent,
    }
    rows = {
        source: _pairs((event, after) for event in LifecycleEvent if (after := advance(source, event)))
        for source in Status
    }
    table = ",\n    ".join(f"{source} = {{{row}}}" for source, row in rows.items() if row)
    return {
        **{
            name: f"local {name} = {{{_pairs((one.name, one.value) for one in words)}}}\n"
            for name, words in enums.items()
        },
        **{
            name: f"local {name} = {{{', '.join(f'{status} = true' for status in Status if status in members)}}}\n"
            for name, members in sets.items()
        },
        "TRANSITIONS": f"local TRANSITIONS = {{\n    {table}\n}}\n",
        "status_after": (
            "-- The status after an event; nil if the event is illegal in this status.\n"
            "local function status_after(status, event)\n"
            "    local row = TRANSITIONS[status]\n"
            "    return row and row[event]\n"
            "end\n"
        ),
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in pairs)
