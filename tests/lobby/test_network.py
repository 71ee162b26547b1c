"""A bad network on demand: its text, and what its lines do to messages."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.network import RETRY_S, Network, NetworkLine, parse_network


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("", Network()),
        ("120ms 40ms 3%", Network(0.12, 0.04, 0.03)),
        ("1.5s", Network(1.5)),
        ("3%", Network(loss=0.03)),
        ("200MS 1%", Network(0.2, loss=0.01)),
        (
            "seed=7 120ms reorder=2% rate=512kbit stall=2s/30s",
            Network(0.12, reorder=0.02, rate=64_000, stall_s=2, stall_every_s=30, seed=7),
        ),
        ("rate=2mbit", Network(rate=250_000)),
    ],
)
def test_a_network_is_read_and_written(text: str, network: Network) -> None:
    """Latency, jitter and loss in this order, each of which may be missing, and words in any order."""
    assert parse_network(text) == network
    assert parse_network(str(network)) == network


@pytest.mark.parametrize(
    "text",
    ["fast", "3% 120ms", "120", "120ms 40ms 3% 1%", "rate=1kbit", "rate=9", "60%", "9s", "10ms 20ms", "stall=2s/3s",
     "lag=3", "seed=-1", "1e3ms", "nan%", "1ms " * 40, "=", "rate=", "\u0661\u0662ms"],
)  # fmt: skip
def test_a_text_that_is_no_network_is_refused(text: str) -> None:
    """It is a ValueError with a sentence."""
    with pytest.raises(ValueError, match=" "):
        parse_network(text)


@given(st.text(max_size=99))
def test_any_text_is_a_network_or_refused(text: str) -> None:
    """Nothing else is raised."""
    try:
        parse_network(text)
    except ValueError:
        return


def arrivals(
    network: Network, *, reliable: bool = True, way: str = "to", count: int = 2000
) -> list[float | None]:
    """How late each of ``count`` messages of 100 bytes is, one each 10 ms [s]."""
    line = NetworkLine(network, way, reliable=reliable)
    found = [line.send(n / 100, 100) for n in range(count)]
    return [None if at is None else at - n / 100 for n, at in enumerate(found)]


def test_a_seed_gives_the_same_line_again() -> None:
    """Two lines of one seed and way do the same; another seed or way does not."""
    network = Network(0.12, 0.04, 0.03, 0.02)
    assert arrivals(network) == arrivals(network)
    assert arrivals(network) != arrivals(network, way="from")
    assert arrivals(network) != arrivals(Network(0.12, 0.04, 0.03, 0.02, seed=1))


def test_a_reliable_line_delivers_all_in_order_and_loss_makes_it_late() -> None:
    """Half of latency and jitter each way; what was lost comes at least RETRY_S later, with all that is behind it."""
    late = [at for at in arrivals(Network(0.12, 0.04, 0.03)) if at is not None]
    assert len(late) == 2000
    times = [n / 100 + at for n, at in enumerate(late)]
    assert times == sorted(times)
    assert min(late) >= 0.04
    assert sorted(late)[1000] < 0.12
    assert max(late) > 0.06 + RETRY_S
    assert max(arrivals(Network(0.12, 0.04)), key=lambda at: at or 0) <= 0.08 + 1e-9


def test_an_unreliable_line_loses_and_reorders() -> None:
    """About the share that was asked for is lost, and messages overtake each other."""
    found = arrivals(Network(0.1, 0.0, 0.1, 0.1), reliable=False)
    lost = found.count(None)
    assert 120 < lost < 280
    times = [n / 100 + at for n, at in enumerate(found) if at is not None]
    assert times != sorted(times)


def test_a_rate_makes_messages_wait_for_each_other() -> None:
    """8 kB at 8 kB/s have left after one second, and arrive then."""
    line = NetworkLine(Network(rate=8000), "to")
    arrived = [line.send(0.0, 1000) for _ in range(8)]
    assert arrived == pytest.approx([(n + 1) / 8 for n in range(8)])
    assert line.sent_at == pytest.approx(1.0)


def test_nothing_gets_through_in_a_stall() -> None:
    """In each period there are two seconds in which nothing is sent and nothing arrives."""
    network = Network(0.1, stall_s=2, stall_every_s=10)
    late = [at for at in arrivals(network, count=3000) if at is not None]
    times = [n / 100 + at for n, at in enumerate(late)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert sum(gap > 1.9 for gap in gaps) in (2, 3)
    assert max(gaps) < 2.1


def test_random_networks_keep_their_promises() -> None:
    """On reliable lines of any network times never go back and nothing is early."""
    chance = random.Random(2)
    for _ in range(200):
        network = Network(
            chance.uniform(0.1, 1), 0.1, chance.random() / 2, chance.random() / 2, chance.choice((0, 4000.0)),
            chance.choice((0, 1.0)), 3.0, chance.randrange(99),
        )  # fmt: skip
        line, now, before = NetworkLine(network, "to"), 0.0, 0.0
        for _ in range(60):
            now += chance.random() / 10
            at = line.send(now, chance.randrange(5000))
            assert at is not None
            assert at >= before
            assert at >= now
            before = at
