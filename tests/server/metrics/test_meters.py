"""The meters against the metrics of prometheus_client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tussle.server.metrics.meters import QuickCounter, QuickHistogram


def lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_the_exposition_equals_that_of_prometheus_client() -> None:
    """Names, labels, buckets and numbers are the same."""
    reference, quick_registry = CollectorRegistry(), CollectorRegistry()
    counter = Counter("hits", "Hits", ["kind"], registry=reference)
    plain = Counter("all", "All", registry=reference)
    waits = Histogram("waits", "Waits", buckets=(0.1, 1.0), registry=reference)
    quick, quick_plain = (
        QuickCounter("hits", "Hits", "kind", registry=quick_registry),
        QuickCounter("all", "All", registry=quick_registry),
    )
    quick_waits = QuickHistogram("waits", "Waits", buckets=(0.1, 1.0), registry=quick_registry)
    for kind in ("a", "b", "a"):
        counter.labels(kind=kind).inc()
        quick.inc(label_value=kind)
    plain.inc(3)
    quick_plain.inc(3)
    for wait in (0.05, 0.1, 0.5, 7.0):
        waits.observe(wait)
        quick_waits.observe(wait)
    assert lines(quick_registry) == lines(reference)
