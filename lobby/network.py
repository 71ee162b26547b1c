"""A bad network on demand: what a line does to the bytes that are sent over it, sans-I/O and the same for one seed.

    "120ms 40ms 3%" -> parse_network -> Network -> NetworkLine(network, "to client")
    NetworkLine.send(now, size) -> when the message arrives | None: it is lost

A reliable line is what TCP makes of a network: everything arrives, in order, and a lost packet arrives later by its
retransmissions, with everything behind it. An unreliable line loses and reorders packets. server/gateway/slow_line.py
puts lines into WebSocket connections. This module must never read a clock or use an unseeded random number.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, fields

__all__ = ["NETWORK_LENGTH", "Network", "NetworkLine", "parse_network"]

NETWORK_LENGTH = 96
"""Longest text of a network."""

PACKET_BYTES = 1200
"""Bytes of a message that are lost together."""

RETRY_S = 0.2
"""Least time until TCP sends a lost packet again, twice as long each time (RFC 6298 has 1 s, Linux 0.2 s)."""

RETRIES = 6
"""Most times that one packet is lost."""

OVERTAKEN_S = 0.02
"""A packet that others overtake is late by this much."""

_TIME, _SHARE = r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(ms|s)", r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%"


@dataclass(frozen=True, slots=True)
class Network:
    """Both directions of a line. Times in seconds; latency and jitter are those of a round trip, half of them each way.

    loss, reorder: shares of packets. rate: bytes per second each way, 0: any. stall_s: how long nothing gets through,
    once in each ``stall_every_s``; 0: never.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    rate: float = 0.0
    stall_s: float = 0.0
    stall_every_s: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        words = [f"{1000 * self.latency_s:g}ms", f"{1000 * self.jitter_s:g}ms", f"{100 * self.loss:g}%"]
        if self.reorder:
            words.append(f"reorder={100 * self.reorder:g}%")
        if self.rate:
            words.append(f"rate={self.rate / 125:g}kbit")
        if self.stall_s:
            words.append(f"stall={1000 * self.stall_s:g}ms/{self.stall_every_s:g}s")
        if self.seed:
            words.append(f"seed={self.seed}")
        return " ".join(words)


_WORDS = {
    "reorder": re.compile(_SHARE),
    "rate": re.compile(r"([0-9]{1,6})(kbit|mbit)"),
    "stall": re.compile(f"{_TIME}/{_TIME}"),
    "seed": re.compile(r"([0-9]{1,9})"),
}
_PLAIN = (("latency_s", re.compile(_TIME)), ("jitter_s", re.compile(_TIME)), ("loss", re.compile(_SHARE)))
_MOST = Network(4.0, 4.0, 0.5, 0.5, 0.0, 10.0, 600.0)


def parse_network(text: str) -> Network:
    """Read "120ms 40ms 3% reorder=2% rate=512kbit stall=2s/30s seed=7": latency, jitter and loss in this order, each of
    which may be left out, and words in any order. Raises ValueError with a sentence for a text that is none."""
    if len(text) > NETWORK_LENGTH:
        raise ValueError(f"a network has at most {NETWORK_LENGTH} characters")
    found: dict[str, float] = {}
    plain = list(_PLAIN)
    for word in text.lower().split():
        name, equals, value = word.partition("=")
        if not equals:
            while plain and not plain[0][1].fullmatch(word):
                plain.pop(0)
            if not plain:
                raise ValueError(f"{word[:24]!r}: latency, jitter and loss are like 120ms 40ms 3%")
            name, pattern = plain.pop(0)
            match = pattern.fullmatch(word)
            assert match is not None
            found[name] = _seconds(*match.groups()) if name != "loss" else float(match[1]) / 100
            continue
        match = _WORDS[name].fullmatch(value) if name in _WORDS else None
        if match is None:
            raise ValueError(f"{word[:24]!r}: words are like reorder=2% rate=512kbit stall=2s/30s seed=7")
        if name == "reorder":
            found["reorder"] = float(match[1]) / 100
        elif name == "rate":
            found["rate"] = float(match[1]) * (125.0 if match[2] == "kbit" else 125_000.0)
        elif name == "stall":
            found["stall_s"], found["stall_every_s"] = (
                _seconds(*match.groups()[:2]),
                _seconds(*match.groups()[2:]),
            )
        else:
            found["seed"] = int(match[1])
    for item in fields(Network):
        most = getattr(_MOST, item.name)
        if most and found.get(item.name, 0) > most:
            raise ValueError(f"{item.name} is at most {most:g}")
    if "rate" in found and found["rate"] < 1000.0:
        raise ValueError("rate is at least 8kbit")
    network = Network(**found)  # type: ignore[arg-type]
    if network.jitter_s > network.latency_s:
        raise ValueError("jitter is at most the latency")
    if network.stall_s and network.stall_every_s < 2 * network.stall_s:
        raise ValueError("a stall comes at most every two stalls")
    return network


def _seconds(number: str, unit: str) -> float:
    return float(number) / (1000.0 if unit == "ms" else 1.0)


class NetworkLine:
    """One direction of a network. ``way``: a name; two lines with the same seed and way behave the same."""

    def __init__(self, network: Network, way: str, *, reliable: bool = True) -> None:
        self.network = network
        self._reliable = reliable
        self._chance = random.Random(f"{network.seed} {way}")
        self._sent_at = float("-inf")
        self._arrived_at = float("-inf")
        self._begun: float | None = None
        self._stall_at = self._chance.uniform(0.2, 1.0) * max(0.0, network.stall_every_s - network.stall_s)

    def send(self, now: float, size: int) -> float | None:
        """When a message of ``size`` bytes that is sent at ``now`` [s] arrives; None if it is lost. Times never go
        back on a reliable line."""
        network, chance = self.network, self._chance
        if self._begun is None:
            self._begun = now
        sent = self._after_stall(max(now, self._sent_at))
        if network.rate:
            sent += size / network.rate
        self._sent_at = sent
        arrives = sent + (network.latency_s + network.jitter_s * chance.uniform(-1.0, 1.0)) / 2
        if network.reorder and chance.random() < network.reorder:
            arrives += OVERTAKEN_S + network.jitter_s / 2
        late = 0.0
        for _ in range(0, max(size, 1), PACKET_BYTES):
            losses = 0
            while losses < RETRIES and chance.random() < network.loss:
                losses += 1
            if losses and not self._reliable:
                return None
            late = max(late, (2**losses - 1) * max(RETRY_S, 1.5 * network.latency_s) if losses else 0.0)
        arrives = self._after_stall(arrives + late)
        if self._reliable:
            arrives = self._arrived_at = max(arrives, self._arrived_at)
        return arrives

    @property
    def sent_at(self) -> float:
        """When everything that was sent so far has left the sender [s]: later only for the rate and for stalls."""
        return self._sent_at

    def _after_stall(self, at: float) -> float:
        """``at``, or the end of the stall in which it is."""
        network = self.network
        if not network.stall_s or self._begun is None:
            return at
        into = (at - self._begun - self._stall_at) % network.stall_every_s
        if at - self._begun >= self._stall_at and into < network.stall_s:
            return at + network.stall_s - into
        return at
