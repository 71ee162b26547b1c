"""Observations as tables: each field has a name, a shape, bounds and a meaning with its unit.

An observation is a dict of float32 arrays, or the same arrays flattened and joined in the order of the table. Values
outside of their bounds are clipped, so that every observation is in its space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

__all__ = ["ArrayField", "ObservationForm", "ObservationTable", "unit_box"]

ObservationForm = Literal["array", "dict"]
Values = npt.NDArray[np.float32]


class ArrayField(NamedTuple):
    """One field of an observation."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    meaning: str


class ObservationTable:
    """The fields of an observation, and its space in one form."""

    def __init__(self, fields: Sequence[ArrayField], form: ObservationForm) -> None:
        if form not in ("array", "dict"):
            raise ValueError(f"an observation is an 'array' or a 'dict', not {form!r}")
        self.fields = tuple(fields)
        self.form = form
        self.size = sum(int(np.prod(field.shape)) for field in fields)

    def space(self) -> spaces.Space[Any]:
        """A new space of these observations."""
        if self.form == "dict":
            return spaces.Dict(
                {
                    field.name: spaces.Box(field.low, field.high, field.shape, np.float32)
                    for field in self.fields
                }
            )
        sizes = [int(np.prod(field.shape)) for field in self.fields]
        low = np.repeat([field.low for field in self.fields], sizes).astype(np.float32)
        high = np.repeat([field.high for field in self.fields], sizes).astype(np.float32)
        return spaces.Box(low, high, dtype=np.float32)

    def pack(self, values: Mapping[str, npt.ArrayLike]) -> Any:
        """The observation of these values."""
        parts: dict[str, Values] = {
            field.name: np.clip(np.asarray(values[field.name], np.float32), field.low, field.high).reshape(
                field.shape
            )
            for field in self.fields
        }
        if self.form == "dict":
            return parts
        return np.concatenate([part.ravel() for part in parts.values()])

    def index(self) -> dict[str, slice]:
        """Where each field is in the array form."""
        places, start = {}, 0
        for field in self.fields:
            stop = start + int(np.prod(field.shape))
            places[field.name] = slice(start, stop)
            start = stop
        return places


def unit_box(size: int) -> spaces.Box:
    """Actions: ``size`` numbers from -1 to 1."""
    return spaces.Box(-1.0, 1.0, (size,), np.float32)
