"""The quick meters say what Prometheus' own would."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tussle.server.metrics.meters import QuickCounter, QuickHistogram


def lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_the_quick_meters_expose_what_prometheus_own_do() -> None:
    """The same names, labels, buckets and numbers."""
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    counter = Counter("hits", "Hits", ["kind"], registry=theirs)
    plain = Counter("all", "All", registry=theirs)
    waits = Histogram("waits", "Waits", buckets=(0.1, 1.0), registry=theirs)
    quick, quick_plain = (
        QuickCounter("hits", "Hits", "kind", registry=ours),
        QuickCounter("all", "All", registry=ours),
    )
    quick_waits = QuickHistogram("waits", "Waits", buckets=(0.1, 1.0), registry=ours)
    for kind in ("a", "b", "a"):
        counter.labels(kind=kind).inc()
        quick.inc(of=kind)
    plain.inc(3)
    quick_plain.inc(3)
    for wait in (0.05, 0.1, 0.5, 7.0):
        waits.observe(wait)
        quick_waits.observe(wait)
    assert lines(ours) == lines(theirs)
