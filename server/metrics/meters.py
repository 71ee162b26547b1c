"""Counters, gauges and histograms for the hot path.

The metrics of prometheus_client take a lock for each change; these are plain numbers that are read at a scrape. They
must never be changed from another thread than the event loop's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

__all__ = ["QuickCounter", "QuickGauge", "QuickHistogram"]


class QuickCounter(Collector):
    """A counter; with ``label``, one count per value of that label."""

    def __init__(self, name: str, text: str, label: str = "", *, registry: CollectorRegistry) -> None:
        self._name, self._text, self._label = name, text, label
        self.counts: dict[str, float] = {} if label else {"": 0.0}
        registry.register(self)

    def inc(self, amount: float = 1.0, label_value: str = "") -> None:
        counts = self.counts
        counts[label_value] = counts.get(label_value, 0.0) + amount

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=[self._label] if self._label else None)
        for value, count in list(self.counts.items()):
            family.add_metric([value] if self._label else [], count)
        yield family


class QuickGauge(Collector):
    """A gauge; assign ``value``."""

    def __init__(self, name: str, text: str, *, registry: CollectorRegistry) -> None:
        self._name, self._text = name, text
        self.value = 0.0
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self._name, self._text, value=self.value)


class QuickHistogram(Collector):
    """A histogram; ``buckets`` are the ascending upper bounds."""

    def __init__(
        self, name: str, text: str, *, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._text = name, text
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, amount: float) -> None:
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text)
        buckets, total = [], 0
        for bound, count in zip(
            (*(str(float(bound)) for bound in self._bounds), "+Inf"), self._counts, strict=True
        ):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric([], buckets, self._sum)
        yield family
