"""Which frames and fields of a recording a reader asks for, and which arrays an answer has.

    data=rows,energy  frames=10:20:2 | tick=a:b | time=a:b  -> select -> Selection -> parts_of -> AnswerPart, ...

Frames are counted as in Python: 10, -1, 10:20, ::2, -5:. Ticks and times are from a up to, not including, b. A field
that depends on the topology is one array for each segment. This module must never know how an answer is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tussle.lobby.errors import Refused
from tussle.server.recordings.frame_store import (
    FIELDS,
    OPTIONAL,
    PER_SEGMENT,
    Array,
    FrameReader,
    Frames,
    Segment,
    check_fields,
    part_of,
)

__all__ = ["AnswerPart", "Selection", "parts_of", "read_parts", "select"]

LONGEST = 200
"""Most characters of a range or a list of fields."""

ENERGIES = "energies"
"""In a list of fields: each kind of energy, or their sum in a recording that has no kinds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Fields, in order and each once, of some frames."""

    fields: tuple[str, ...]
    numbers: range


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """One array of an answer. name: the field, or "field.segment" where the frames have several topologies. numbers:
    its frames. segment: None for a field that does not depend on the topology."""

    name: str
    field: str
    segment: int | None
    numbers: range
    item: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return FIELDS[self.field].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.numbers), *self.item)

    @property
    def frame_bytes(self) -> int:
        """The size of one frame [B]."""
        return math.prod(self.item) * np.dtype(self.dtype).itemsize

    @property
    def size(self) -> int:
        """The size of the whole array [B]."""
        return len(self.numbers) * self.frame_bytes


def select(
    store: FrameReader, *, data: str = "", frames: str = "", tick: str = "", time: str = ""
) -> Selection:
    """The selection that these texts describe; without any, everything. Raises Refused (bad_range, bad_fields),
    ProtocolError (damaged_recording)."""
    if sum(map(bool, (frames, tick, time))) > 1:
        raise _bad("give one of frames, tick and time", "frames")
    fields = _fields(data, store.fields)
    if tick:
        return Selection(fields, _between(store, "tick", tick, _whole))
    if time:
        return Selection(fields, _between(store, "time", time, _real))
    return Selection(fields, _slice(frames, store.length))


def _fields(text: str, known: Sequence[str]) -> tuple[str, ...]:
    if len(text) > LONGEST:
        raise Refused(f"data has at most {LONGEST} characters", code="bad_fields", field="data")
    asked = [name for name in text.split(",") if name]
    if ENERGIES in asked:
        kinds = [name for name in OPTIONAL if name in known]
        at = asked.index(ENERGIES)
        asked[at : at + 1] = kinds or ["energy"]
    names = tuple(dict.fromkeys(asked))
    check_fields(names, known)
    return names or tuple(known)


def _slice(text: str, length: int) -> range:
    """A number, or start:stop:step as in Python; but a start beyond the end is refused."""
    parts = _split(text, "frames", 3)
    if len(parts) == 1 and text:
        number = _whole(text, "frames")
        if not -length <= number < length:
            raise _bad(f"there is no frame {number} of {length}", "frames")
        number %= length
        return range(number, number + 1)
    start, stop, step = ([_whole(part, "frames") if part else None for part in parts] + [None] * 3)[:3]
    if step is not None and step < 1:
        raise _bad("frames go forward: the step is at least 1", "frames")
    if start is not None and not -length <= start <= length:
        raise _bad(f"there is no frame {start} of {length}", "frames")
    return range(*slice(start, stop, step).indices(length))


def _between(store: FrameReader, field: str, text: str, number: Callable[[str, str], float]) -> range:
    """The frames whose ``field`` is in a range of values."""
    parts = _split(text, field, 2)
    if len(parts) != 2:
        raise _bad(f"{field} is a range a:b", field)
    low, high = (number(part, field) if part else None for part in parts)
    blocks = [block.arrays[field] for block in store.frames(range(store.length), (field,))]
    values = np.concatenate(blocks) if blocks else np.empty(0)
    first = 0 if low is None else int(np.searchsorted(values, low))
    end = len(values) if high is None else int(np.searchsorted(values, high))
    return range(first, max(first, end))


def _split(text: str, field: str, most: int) -> list[str]:
    parts = text.split(":")
    if len(text) > LONGEST or len(parts) > most:
        raise _bad(f"{field} is not a range", field)
    return parts


def _whole(text: str, field: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise _bad(f"{text[:40]!r} is not a whole number", field)
    return int(text)


def _real(text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _bad(f"{text[:40]!r} is not a number", field)
    return value


def _bad(message: str, field: str) -> Refused:
    return Refused(message, code="bad_range", field=field)


def parts_of(store: FrameReader, selection: Selection) -> list[AnswerPart]:
    """The arrays of a selection: field by field, segment by segment."""
    segments = store.segments
    parts: list[AnswerPart] = []
    chosen = list(_segments_of(segments, selection.numbers))
    for name in selection.fields:
        if name not in PER_SEGMENT:
            item = (store.seats,) if FIELDS[name].per == "seat" else ()
            parts.append(AnswerPart(name, name, None, selection.numbers, item))
            continue
        for number, here in chosen:
            title = name if len(chosen) == 1 else f"{name}.{number}"
            parts.append(AnswerPart(title, name, number, here, _item(name, segments[number])))
        if not chosen:
            last = segments[-1] if segments else Segment(0, 0, ())
            parts.append(
                AnswerPart(name, name, max(0, len(segments) - 1), selection.numbers[:0], _item(name, last))
            )
    return parts


def _segments_of(segments: Sequence[Segment], numbers: range) -> Iterator[tuple[int, range]]:
    for number, segment in enumerate(segments):
        here = part_of(numbers, range(segment.first, segment.first + segment.frames))
        if here:
            yield number, here


def _item(field: str, segment: Segment) -> tuple[int, ...]:
    return (segment.rows, 3) if FIELDS[field].per == "row" else (segment.moving,)


def read_parts(
    store: FrameReader, parts: Sequence[AnswerPart]
) -> Iterator[tuple[AnswerPart, Iterator[Array]]]:
    """Each part with its frames, block by block. The blocks of one part are read before the next part is asked for.
    Raises ProtocolError (damaged_recording)."""
    at = 0
    while at < len(parts):
        alike = [part for part in parts[at:] if part.field == parts[at].field]
        blocks = store.frames(_joined(alike), (alike[0].field,))
        yield from _shared_out(alike, blocks)
        at += len(alike)


def _joined(parts: Sequence[AnswerPart]) -> range:
    """The frames of consecutive parts."""
    first, last = parts[0].numbers, parts[-1].numbers
    return range(first.start, last.stop, first.step)


def _shared_out(
    parts: Sequence[AnswerPart], blocks: Iterator[Frames]
) -> Iterator[tuple[AnswerPart, Iterator[Array]]]:
    for part in parts:
        yield part, _take(part, blocks)


def _take(part: AnswerPart, blocks: Iterator[Frames]) -> Iterator[Array]:
    left = len(part.numbers)
    while left:
        block = next(blocks)
        left -= len(block.numbers)
        yield block.arrays[part.field]
