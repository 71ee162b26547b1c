"""The load benchmark drives a real gateway and whole servers. No speed is asserted."""

from __future__ import annotations

from bench.load import __main__ as load
from bench.load import whole as load_whole
from tests.support.one_store import store_url as store_url


async def test_the_gateway_is_driven() -> None:
    """Every client gets frames with its inputs, and no connection is lost."""
    seen = await load.measure("tussle", sessions=2, seats=2, input_hz=20.0, seconds=1.0)
    assert seen.frames_per_s > 0
    assert seen.inputs_per_s > 0
    assert seen.p99_ms >= seen.p50_ms > 0
    assert seen.cpu_us >= seen.kernel_us >= 0
    assert seen.lost == 0


async def test_whole_servers_are_driven(store_url: str) -> None:
    """Players play duels, and observers get frames."""
    rung = await load_whole.climb(store_url, duels=2, observers=1, seconds=6.0)
    assert rung.connections == 6
    assert rung.latencies.latencies
    assert rung.frames_per_s > 0
    assert rung.lost == 0
