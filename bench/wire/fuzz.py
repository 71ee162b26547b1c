"""``python -m bench.wire.fuzz [--inputs 1000000] [--seed 1]``: damaged bytes for the decoders of binary messages.

    good messages of tests/vectors -> bytes changed, cut, added, joined, or random behind a good head -> four decoders
        -> shown | of another chain | refused with ProtocolError; anything else ends the run with the input

Reports what came of the inputs, and the longest time of one. In TypeScript the same is
``FUZZ_INPUTS=1000000 npx vitest run test/fuzz.test.ts`` in player/web. Both run with 10,000 inputs among the tests.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from bench.machine import loaded_machine
from tests.vectors import deltas as vectors
from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.deltas import DeltaDecoder
from tussle.lobby.wire.frames import (
    Frame,
    Topology,
    decode_frame,
    decode_topology,
    encode_frame,
    encode_topology,
)
from tussle.lobby.wire.lossy_deltas import KEPT_REFERENCES, LossyDecoder

__all__ = ["main", "run"]

INTERESTING = (0, 1, 2, 3, 4, 5, 6, 7, 31, 32, 127, 128, 254, 255)


def damaged(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Bytes like ``data``: each call makes one to four changes."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(8):
            case 0 | 1 if at < len(changed):
                changed[at] = chance.choice(INTERESTING)
            case 2 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 3:
                del changed[at:]
            case 4:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 5:
                changed += chance.randbytes(chance.randrange(1, 64))
            case 6:
                changed[at:] = other[at:]
            case 7:
                changed[min(at, 24) :] = chance.randbytes(chance.randrange(80))
    return bytes(changed)


def check(shown: Frame | Topology) -> None:
    """What is shown must be drawable."""
    if isinstance(shown, Topology):
        for body in shown.bodies:
            assert np.isfinite(body.vertices).all()
        return
    counts = 4 if shown.row_counts is None else np.array(shown.row_counts)
    assert np.isfinite(shown.rows[np.repeat(shown.active, counts)]).all()
    assert shown.min_distance >= 0.0


class _Target:
    """A decoder, good messages, and what to do before an input so that some of them are in order."""

    def __init__(
        self,
        good: list[bytes],
        decode: Callable[[bytes], Frame | Topology | None],
        prepare: Callable[[bytes, random.Random], bytes] = lambda data, _: data,
    ) -> None:
        self.good, self.decode, self.prepare = good, decode, prepare


def targets() -> dict[str, _Target]:
    """All decoders."""
    document = json.loads(vectors.TARGET.read_text())
    chain = [base64.b64decode(case["data"]) for case in document["frames"]]
    channel = [base64.b64decode(case["data"]) for case in document["channel"]]
    frames = list(vectors.scripted())
    delta, lossy = DeltaDecoder(compiled=True), LossyDecoder(compiled=True)
    delta.set_topology(vectors.scene())
    lossy.set_topology(vectors.scene())

    def in_chain(data: bytes, chance: random.Random) -> bytes:
        if delta.waiting:
            delta.decode(chain[0])
        if len(data) < 2 or chance.random() < 0.1:
            return data
        number = (delta._number + 1) % 32 if data[0] == 3 else 0
        return data[:1] + bytes([chain[0][1] & 224 | number]) + data[2:]

    def with_reference(data: bytes, chance: random.Random) -> bytes:
        if not lossy._references:
            lossy.decode(channel[0])
        assert len(lossy._references) <= KEPT_REFERENCES
        if len(data) < 2 or data[0] != 5 or chance.random() < 0.1:
            return data
        return data[:1] + bytes([chance.choice(list(lossy._references))]) + data[2:]

    return {
        "whole frames": _Target([encode_frame(frame) for frame in frames], decode_frame),
        "topologies": _Target([encode_topology(vectors.scene())], decode_topology),
        "chains": _Target(chain, delta.decode, in_chain),
        "data channels": _Target(channel, lossy.decode, with_reference),
    }


def run(inputs: int, seed: int) -> dict[str, Counter[str]]:
    """Decode that many inputs; returns the outcomes of each decoder. Raises AssertionError, with the input."""
    chance, outcomes = random.Random(seed), {}
    for name, target in targets().items():
        counts: Counter[str] = Counter()
        slowest = 0.0
        for _ in range(inputs // 4):
            data = target.prepare(
                damaged(chance.choice(target.good), chance.choice(target.good), chance), chance
            )
            began = time.thread_time()
            try:
                shown = target.decode(data)
                counts["shown" if shown is not None else "ignored"] += 1
                if shown is not None:
                    check(shown)
            except ProtocolError:
                counts["refused"] += 1
            except BaseException as error:
                raise AssertionError(f"{name}: {data.hex()}") from error
            slowest = max(slowest, time.thread_time() - began)
        counts["slowest [us]"] = round(1e6 * slowest)
        outcomes[name] = counts
    return outcomes


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.thread_time()
    for name, counts in run(options.inputs, options.seed).items():
        sys.stdout.write(f"{name}: " + ", ".join(f"{what} {count}" for what, count in counts.items()) + "\n")
    sys.stdout.write(
        f"{options.inputs} inputs, {time.thread_time() - began:.0f} s of CPU, {loaded_machine()}\n"
    )


if __name__ == "__main__":
    main()
