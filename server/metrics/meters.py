"""Counters, gauges and histograms for the hot path: Prometheus' own take a lock per change, these are plain numbers.

Only the event loop's thread may change them; a scrape reads them when it comes.
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
    """A counter, by one label if ``label`` is given."""

    def __init__(self, name: str, text: str, label: str = "", *, registry: CollectorRegistry) -> None:
        self._name, self._text, self._label = name, text, label
        self.counts: dict[str, float] = {} if label else {"": 0.0}
        registry.register(self)

    def inc(self, amount: float = 1.0, of: str = "") -> None:
        counts = self.counts
        counts[of] = counts.get(of, 0.0) + amount

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=[self._label] if self._label else None)
        for of, count in list(self.counts.items()):
            family.add_metric([of] if self._label else [], count)
        yield family


class QuickGauge(Collector):
    """A gauge: set ``value``."""

    def __init__(self, name: str, text: str, *, registry: CollectorRegistry) -> None:
        self._name, self._text = name, text
        self.value = 0.0
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self._name, self._text, value=self.value)


class QuickHistogram(Collector):
    """A histogram with upper bounds ``buckets``, ascending."""

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
