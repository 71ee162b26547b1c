"""Statistics that several benchmarks print, computed one way in all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, linear between samples. NaN without values."""
    return float(np.percentile(values, share * 100)) if len(values) else float("nan")
