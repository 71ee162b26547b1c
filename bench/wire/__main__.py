"""``python -m bench.wire [--save]``: what frames cost on the wire, delta frames beside whole ones.

Sessions are simulated as they were recorded, with the same bots: the golden duel and sandbox (tests/golden), two other
duels, an end of curling, a sandbox of 24 bodies of which 8 are elastic, and a sandbox that nobody touches. Each frame
that a viewer gets at 30 Hz is encoded twice: whole, and as a delta frame with the default greatest error of 0.1 mm.

    bits        for each body that moved by more than 0.01 mm, and frame: what the range coder spends on the bodies
                (-log2 of the probability of each bit, those that say which bodies move included), and all of it with
                ticks, distance, contacts, input ids, header and rounding to bytes. Keyframes do not count. Only
                where all bodies are rigid
    bytes       a second, with the header of the WebSocket frame (2 or 4 bytes); over a data channel, of a line without
                losses and 130 ms of round trip, without the bytes of its packets
    times       CPU time of one frame, median; decoded by plain Python, and by machine code

Targets: 20 bits in duels, 8 in curling, 100 B/s idle, 16 kB/s with elastic bodies, 60 us to encode a duel.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.machine import loaded_machine
from tests.golden.record import CATALOGUE, GOLDEN, SEED
from tussle.lobby.wire import delta_coder as coder
from tussle.lobby.wire import delta_kernel as kernel
from tussle.lobby.wire.delta_layout import KEYFRAME_PAYLOAD, LOSSY_KEYFRAME, PAYLOAD, is_keyframe
from tussle.lobby.wire.deltas import DeltaDecoder, DeltaEncoder
from tussle.lobby.wire.frames import Frame, Topology, decode_frame, decode_topology
from tussle.lobby.wire.lossy_deltas import LossyEncoder
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.recordings.schedule import ticks_to_record
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

__all__ = ["main"]

FRAME_HZ = 30.0
MOVED_M = 1e-5
KEEP_FRAMES, ACK_FRAMES = 8, 4
FIRST_BODY_BIT = 4
"""The single bits before this one belong to no body (docs/protocol.md)."""

Play = Callable[[SessionSpec, Advance, dict[str, Any]], tuple[list[Input], int] | None]


def _seats(count: int) -> tuple[Seat, ...]:
    return tuple(Seat(seat, f"p{seat}", f"n{seat}", "bot", "good") for seat in range(count))


def _duel_of(seed: int, *bodies: str) -> SessionSpec:
    skills = ("good", "sharp", "fair", "novice")
    seats = tuple(
        Seat(seat, f"p{seat}", f"n{seat}", "bot", skills[seat], body) for seat, body in enumerate(bodies)
    )
    return SessionSpec("d", "duel", seats, {body: CATALOGUE[body] for body in bodies}, seed)


def _curling(spec: SessionSpec, here: Advance, brief: dict[str, Any]) -> tuple[list[Input], int] | None:
    if here.phase == "over":
        return None
    if here.phase != "acting" or here.seat is None:
        return [], 60
    chance = stream(spec.seed, here.turn, here.seat)
    action = get_mode("curling").bot(brief, here.seat, "good", None, chance)
    return [Input(here.seat, action.kind, here.turn + 1, action.d)], 60


def _dragged(ticks: int) -> Play:
    def play(spec: SessionSpec, here: Advance, brief: dict[str, Any]) -> tuple[list[Input], int] | None:
        if here.tick >= ticks:
            return None
        inputs = []
        if any(kind == "brief" for _, kind, _ in here.events):
            for seat in spec.seats:
                chance = stream(spec.seed, here.tick, seat.seat)
                action = get_mode("sandbox").bot(brief, seat.seat, "", None, chance)
                if action.kind:
                    inputs.append(Input(seat.seat, action.kind, here.tick + 1, action.d))
        return inputs, 1

    return play


def _untouched(_spec: SessionSpec, here: Advance, _brief: dict[str, Any]) -> tuple[list[Input], int] | None:
    return ([], 1) if here.tick < 900 else None


MANY = ("jelly",) * 8 + tuple(sorted(CATALOGUE))[:16]
SESSIONS: dict[str, tuple[SessionSpec, Play]] = {
    "duel, 4 bodies": GOLDEN["duel"],
    "duel, 4 other bodies": (_duel_of(77, "burr", "cobble", "marl", "crux"), GOLDEN["duel"][1]),
    "duel, 2 bodies": (_duel_of(5, "caltrop", "halo"), GOLDEN["duel"][1]),
    "curling, 8 stones": (SessionSpec("c", "curling", _seats(2), CATALOGUE, SEED, {"ends": 1}), _curling),
    "sandbox, 3 rigid and 1 elastic": GOLDEN["sandbox"],
    "sandbox, 16 rigid and 8 elastic": (
        SessionSpec(
            "e", "sandbox", _seats(4), CATALOGUE, SEED, {"bodies": list(MANY), "brief_s": 0.3, "side": 8.0}
        ),
        _dragged(600),
    ),
    "sandbox, 6 rigid, idle": (SessionSpec("i", "sandbox", _seats(2), CATALOGUE, SEED), _untouched),
}


def _play(spec: SessionSpec, play: Play) -> tuple[float, list[Frame], list[int], dict[int, Topology]]:
    """Seconds per tick, the frames, the bytes of each as a whole one, and the topologies by frame."""
    simulation, here = Simulation.start(spec)
    stride = max(1, round(1 / (here.dt * FRAME_HZ)))
    frames, sizes, topologies = [], [], {}
    brief: dict[str, Any] = {}
    while True:
        if here.topology is not None:
            topologies[len(frames)] = decode_topology(here.topology)
        frames.append(decode_frame(here.frame))
        sizes.append(len(here.frame))
        for _, kind, d in here.events:
            if kind in ("turn_started", "brief"):
                brief = d
        following = play(spec, here, brief)
        if following is None:
            return here.dt, frames, sizes, topologies
        here = simulation.advance(following[0], ticks_to_record(here.tick, stride))


@dataclass
class Cost:
    """What one session costs. sizes: of the frames that are sent; later: bytes of those that are no keyframes."""

    sizes: list[int]
    encode_s: list[float]
    decode_s: list[float]
    later: int


def _encode(
    dt: float, frames: Sequence[Frame], topologies: dict[int, Topology], *, decoder: DeltaDecoder
) -> Cost:
    encoder, cost = DeltaEncoder(), Cost([], [], [], 0)
    for number, frame in enumerate(frames):
        if number in topologies:
            encoder.set_topology(topologies[number])
            decoder.set_topology(topologies[number])
        began = time.thread_time()
        data = encoder.encode(frame, alive_ticks=round(1 / dt))
        cost.encode_s.append(time.thread_time() - began)
        if data is None:
            continue
        cost.sizes.append(len(data))
        if not is_keyframe(data):
            cost.later += len(data)
        began = time.thread_time()
        decoder.decode(data)
        cost.decode_s.append(time.thread_time() - began)
    return cost


@contextmanager
def _counted_bits() -> Iterator[dict[bool, float]]:
    """The bits that decoders in plain Python read from now on, by whether they are those of a body."""
    bits, of_body = {False: 0.0, True: 0.0}, False
    divide, code_bit, code_number = coder.divide, kernel.code_bit, kernel.code_number

    def counted_divide(S: Any, buf: Any, bound: int, bit: int) -> int:
        size = S[2]
        bit = divide(S, buf, bound, bit)
        bits[of_body] -= math.log2((size - bound if bit else bound) / size)
        return bit

    def counted_bit(S: Any, buf: Any, M: Any, a: int, b: int, c: int, bit: int) -> int:
        nonlocal of_body
        of_body = a >= FIRST_BODY_BIT
        return code_bit(S, buf, M, a, b, c, bit)

    def counted_number(S: Any, buf: Any, M: Any, a: int, b: int, c: int, value: int) -> int:
        nonlocal of_body
        of_body = a < coder.NUMBERS
        return code_number(S, buf, M, a, b, c, value)

    changed: Any = kernel
    coder.divide, changed.code_bit, changed.code_number = counted_divide, counted_bit, counted_number
    try:
        yield bits
    finally:
        coder.divide, changed.code_bit, changed.code_number = divide, code_bit, code_number


def _information(dt: float, frames: Sequence[Frame], topologies: dict[int, Topology]) -> float:
    """What the range coder spends on the bodies in all frames but keyframes [bits]."""
    encoder, decoder, spent = DeltaEncoder(), DeltaDecoder(), 0.0
    with _counted_bits() as bits:
        for number, frame in enumerate(frames):
            if number in topologies:
                encoder.set_topology(topologies[number])
                decoder.set_topology(topologies[number])
            data = encoder.encode(frame, alive_ticks=round(1 / dt))
            if data is None:
                continue
            before = bits[True]
            decoder.decode(data)
            spent += 0.0 if is_keyframe(data) else bits[True] - before
    return spent


def _over_a_channel(dt: float, frames: Sequence[Frame], topologies: dict[int, Topology]) -> int:
    """Bytes of the same frames for a data channel, without those of its packets. References are made every KEEP_FRAMES,
    and acknowledged ACK_FRAMES later."""
    encoder, sizes, reference, kept = LossyEncoder(), 0, 0, 0
    for number, frame in enumerate(frames):
        if number in topologies:
            encoder.set_topology(topologies[number])
            reference = 0
        if number % KEEP_FRAMES == ACK_FRAMES:
            reference = kept
        keep = number % KEEP_FRAMES == 0
        data = encoder.encode(frame, reference=reference, keep=keep, alive_ticks=round(1 / dt))
        if data is not None:
            sizes += len(data)
            key = data[0] == LOSSY_KEYFRAME
            kept = data[1] if key else data[2] or kept
            reference = kept if key else reference
    return sizes


def _moved(frames: Sequence[Frame]) -> int:
    """How often a body moved from one frame to the next; where sides of a mat fall, their slabs come and go."""
    rows = [frame.rows.reshape(-1, 4, 3).astype(np.float64) for frame in frames]
    steps = (np.abs(new - old) for old, new in pairwise(rows) if old.shape == new.shape)
    return sum(int((np.nan_to_num(step).max(axis=(1, 2)) > MOVED_M).sum()) for step in steps)


def _all_in(sizes: Sequence[int]) -> int:
    return sum(size + (2 if size < 126 else 4) for size in sizes)


def _row(name: str) -> str:
    dt, frames, whole, topologies = _play(*SESSIONS[name])
    seconds = (frames[-1].tick - frames[0].tick) * dt
    _encode(dt, frames[:9], topologies, decoder=DeltaDecoder(compiled=True))  # loads the machine code
    plain = _encode(dt, frames, topologies, decoder=DeltaDecoder())
    fast = _encode(dt, frames, topologies, decoder=DeltaDecoder(compiled=True))
    bits = "-"
    if all(frame.row_counts is None for frame in frames):
        moved = _moved(frames)
        bits = f"{_information(dt, frames, topologies) / moved:.1f} / {8 * plain.later / moved:.1f}"
    return (
        f"| {name} | {np.mean(whole):.0f} / {np.mean(plain.sizes):.1f} | {bits} | "
        f"{_all_in(whole) / seconds:.0f} / {_all_in(plain.sizes) / seconds:.0f} / "
        f"{_over_a_channel(dt, frames, topologies) / seconds:.0f} | "
        f"{len(whole)} / {len(plain.sizes)} | {1e6 * median(fast.encode_s):.0f} | "
        f"{1e6 * median(plain.decode_s):.0f} / {1e6 * median(fast.decode_s):.0f} |"
    )


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write bench/wire/results.md")
    options = parser.parse_args()
    lines = [
        "# Frames on the wire: whole and delta frames",
        "",
        f"`python -m bench.wire`, {loaded_machine()}. Keyframes have {KEYFRAME_PAYLOAD} bytes of header, others "
        f"{PAYLOAD}. What was tried: predictors.md.",
        "",
        "| session | bytes a frame: whole / delta | bits a moving body and frame: of bodies / all | "
        "bytes a second: whole / delta / over a channel | frames sent | encode [us] | decode [us]: Python / compiled |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in SESSIONS:
        lines.append(_row(name))
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    if options.save:
        (Path(__file__).parent / "results.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
