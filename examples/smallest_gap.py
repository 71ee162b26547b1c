"""Watch a session and draw its smallest gap between two bodies over time, from its frames.

    python examples/smallest_gap.py TOKEN [URL] [FRAMES]        TOKEN: as `tussle sessions` prints it

Each line of the plot is one frame: the tick, the gap, and a bar on a logarithmic scale from 0.1 mm to 1 m.
"""

import contextlib
import itertools
import math
import sys

import tussle

session_token = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8420"
count = int(sys.argv[3]) if len(sys.argv) > 3 else 60

gaps: list[float] = []
with (
    tussle.connect(url) as client,
    client.observe(session_token) as session,
    contextlib.suppress(TimeoutError),
):
    for frame in itertools.islice(session.frames(timeout_s=10.0), count):
        gap = frame.min_distance  # [m]; infinite when no two bodies are near each other
        bar = "" if math.isinf(gap) else "#" * max(1, round(12 * math.log10(max(gap, 1e-4) / 1e-4)))
        print(f"{frame.tick:6d} {'far' if math.isinf(gap) else f'{gap * 1e3:9.3f} mm':>12} {bar}")
        gaps.append(gap)

print(f"{len(gaps)} frames; the smallest gap is {min(gaps, default=math.inf) * 1e3:.3g} mm")
