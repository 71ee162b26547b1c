"""How one body moves: the predictions of its pose, and the residuals that are sent. docs/protocol.md describes it.

    code_pose -> code_turn, code_place: four predictions each -> code_residual -> code_in_four of delta_coder.py

Each function encodes and decodes, as those of delta_coder.py do. Floats are float64, and only + - * / and comparisons
are used on them, each rounded once, so that the numbers are the same in every language.

lobby/wire/delta_compiled.py runs this file in the namespace of the compiled coder. This module must never call a
function whose last bit differs between machines.
"""

from __future__ import annotations

from typing import Any

if "COMPILER" not in globals():
    from tussle.lobby.wire.delta_coder import (
        BY_GAP,
        BY_SIZE,
        BY_SPEED,
        BY_SUM,
        SLOTS,
        code_in_four,
        jit,
    )

FLOATS, INTS = 45, 17
"""Numbers of the state of one body. Floats: 0 position, 3 velocity, 6 acceleration, 9 rotation (w, x, y, z), 13 spin,
16 its change, 19 ticks between the last two poses, 20 scores of the four predictions of each coordinate, 32 of those of
the rotation, 44 how fast it slows down when it slides. Integers: 0 active, 1 moving, 2 mean sizes of the residuals, 8
last signs, 14 and 15 errors of the two predictions of the vertices, 16 whether it changed its shape."""

SPARE = 64
"""Spare floats of a chain, for one body."""

DEAD = 0.5
"""Residuals of at most this many steps are sent as zero, and so it is the greatest error in steps."""

FURTHEST = 1e6
"""Largest coordinate [m]."""

KEPT = 0.8
"""What a score keeps from one pose to the next."""


@jit
def length_of(number: int, most: int) -> int:
    """The length of a number in bits, at most ``most``."""
    length = 0
    while number > 0 and length < most:
        number >>= 1
        length += 1
    return length


@jit
def quantised(steps: float) -> int:
    """The whole number of steps that is sent for a residual."""
    size = steps if steps >= 0.0 else -steps
    if size <= DEAD:
        return 0
    if size > 2147483000.0:
        return 2147483647
    whole = int(size + 0.5)
    return whole if steps >= 0.0 else -whole


@jit
def halvings(size: float, most: int) -> int:
    """How often a number must be halved to be below 1, at most ``most``."""
    count = 0
    while size >= 1.0 and count < most:
        size *= 0.5
        count += 1
    return count


@jit
def size_of(number: float) -> float:
    """The absolute value."""
    return number if number >= 0.0 else -number


@jit
def penalty(error: float) -> float:
    """What an error of that many steps adds to a score: about 1 + log2(1 + error)."""
    error += 1.0
    count = 0.0
    while error >= 2.0 and count < 24.0:
        error *= 0.5
        count += 1.0
    return count + error


@jit
def distance_of(x: float, z: float) -> float:
    """The length of (x, z) within a millionth."""
    a, b = size_of(x), size_of(z)
    most, least = (a, b) if a > b else (b, a)
    if most == 0.0:
        return 0.0
    square = x * x + z * z
    length = most + 0.4 * least
    length = (length + square / length) * 0.5
    return (length + square / length) * 0.5


@jit
def turned(F: Any, o: int, w: float, x: float, y: float, z: float) -> None:
    """Turn the rotation at F[o] by a quaternion: (w, x, y, z) * F."""
    a, b, c, d = F[o], F[o + 1], F[o + 2], F[o + 3]
    F[o] = w * a - x * b - y * c - z * d
    F[o + 1] = w * b + x * a + y * d - z * c
    F[o + 2] = w * c - x * d + y * a + z * b
    F[o + 3] = w * d + x * c - y * b + z * a


@jit
def turn_by(F: Any, o: int, x: float, y: float, z: float) -> None:
    """Turn the rotation at F[o] by modified Rodrigues parameters: the axis times the tangent of a quarter angle."""
    s = x * x + y * y + z * z
    k = 1.0 / (1.0 + s)
    turned(F, o, (1.0 - s) * k, 2.0 * x * k, 2.0 * y * k, 2.0 * z * k)


@jit
def difference(F: Any, to: int, o: int, out: int) -> None:
    """Write the modified Rodrigues parameters of the turn from the rotation at F[o] to the one at F[to]."""
    a, b, c, d = F[o], F[o + 1], F[o + 2], F[o + 3]
    e, f, g, h = F[to], F[to + 1], F[to + 2], F[to + 3]
    w = e * a + f * b + g * c + h * d
    x = f * a - e * b - g * d + h * c
    y = g * a - e * c - h * b + f * d
    z = h * a - e * d - f * c + g * b
    if w < 0.0:
        w, x, y, z = -w, -x, -y, -z
    k = 1.0 / (1.0 + w)
    F[out] = x * k
    F[out + 1] = y * k
    F[out + 2] = z * k


@jit
def code_residual(
    S: Any,
    buf: Any,
    M: Any,
    J: Any,
    at: int,
    k: int,
    size: int,
    total: int,
    speed: float,
    apart: float,
    value: int,
) -> int:
    """Code residual ``k`` (0 to 2 of the place, 3 to 5 of the rotation) of the body at ``at``. size: 0, 1 or 2, of the
    residuals of this pose so far; total: their sum. speed: in steps a frame. apart: the second best prediction less the
    one that is used, in steps."""
    family = 2 if k > 2 else (1 if k == 1 else 0)
    length = length_of(J[at + 2 + k], 12)
    group = at + 2 if k < 3 else at + 5
    whole = length_of(J[group] + J[group + 1] + J[group + 2], 11)
    whole = 0 if whole < 4 else (1 if whole < 6 else whole - 4)
    gap = size_of(apart)
    near = 0 if gap < 0.25 else (1 if gap < 0.75 else (2 if gap < 1.5 else (3 if gap < 4.0 else 4)))
    near = 4 - near if apart < 0.0 else 4 + near
    rough = 0 if length < 4 else (1 if length < 6 else (2 if length < 8 else 3))
    value = code_in_four(
        S,
        buf,
        M,
        BY_SIZE + ((family * 13 + length) * 3 + size) * SLOTS,
        BY_SPEED + ((k * 3 + J[at + 8 + k]) * 8 + halvings(size_of(speed), 7)) * SLOTS,
        BY_GAP + ((family * 9 + near) * 4 + rough) * SLOTS,
        BY_SUM + ((family * 8 + whole) * 8 + length_of(total, 7)) * SLOTS,
        length,
        value,
    )
    found = value if value >= 0 else -value
    if found > 4095:
        found = 4095
    J[at + 2 + k] = (J[at + 2 + k] + 16 * found) >> 1
    J[at + 8 + k] = 0 if value == 0 else (1 if value > 0 else 2)
    return value


@jit
def fading(F: Any, o: int) -> float:
    """What is left of the spin after a pose, if it goes on fading as it did before: 0 to 1. A body that turns on the
    ground in contact loses a share of its spin, not an amount."""
    now, before = 0.0, 0.0
    for k in range(3):
        last = F[o + 13 + k] - F[o + 16 + k]
        now += F[o + 13 + k] * last
        before += last * last
    if now >= before:
        return 1.0
    if now <= 0.0:
        return 0.0
    return now / before


@jit
def two_best(F: Any, k: int, scores: int) -> int:
    """The best of the four predictions of coordinate ``k``, and the second best, as 4 best + second. F[scores]: four
    scores of each coordinate, of which those of x and z are added. Of equal ones the first is better."""
    best, second = 0, 0
    low, next_low = 0.0, 0.0
    for j in range(4):
        score = F[scores + 4 + j] if k == 1 else F[scores + j] + F[scores + 8 + j]
        if j == 0 or score < low:
            second, next_low = best, low
            best, low = j, score
        elif j == 1 or score < next_low:
            second, next_low = j, score
    return 4 * best + second


@jit
def score_predictions(F: Any, reached: int, scores: int, step: float, pose: int) -> None:
    """Add the errors of the four predictions of each coordinate, at F[pose + 14], to their scores. F[reached]: what
    came."""
    for k in range(3):
        for j in range(4):
            error = size_of(F[reached + k] - F[pose + 14 + 4 * k + j]) / step
            F[scores + 4 * k + j] = F[scores + 4 * k + j] * KEPT + penalty(error)


@jit
def code_turn(
    S: Any, buf: Any, M: Any, F: Any, J: Any, o: int, at: int, gap: int, turn: float, pose: int
) -> int:
    """Code the rotation of a body: F[pose + 10] is then its new one, F[pose + 30] how much it turned. Four predictions
    for each axis: the spin; with its change; fading; no turn. Returns 3 times the sum of the residuals, and their size.
    """
    left = fading(F, o)
    for k in range(3):
        to = pose + 14 + 4 * k
        F[to] = F[o + 13 + k] * gap
        F[to + 1] = (F[o + 13 + k] + F[o + 16 + k]) * gap
        F[to + 2] = F[o + 13 + k] * left * gap
        F[to + 3] = 0.0
        chosen = two_best(F, k, o + 32)
        F[pose + 26 + k] = F[to + chosen // 4]
        F[pose + 30 + k] = F[to + chosen % 4] - F[pose + 26 + k]
    for k in range(4):
        F[pose + 10 + k] = F[o + 9 + k]
    turn_by(F, pose + 10, F[pose + 26], F[pose + 27], F[pose + 28])
    if S[0] == 1:
        difference(F, pose + 3, pose + 10, pose + 33)
    size, total = 0, 0
    for k in range(3):
        value = 0
        if S[0] == 1:
            value = quantised(F[pose + 33 + k] / turn)
        value = code_residual(
            S, buf, M, J, at, 3 + k, size, total, F[o + 13 + k] * gap / turn, F[pose + 30 + k] / turn, value
        )
        found = value if value >= 0 else -value
        if found > 4095:
            found = 4095
        size = 2 if found >= 4 else (1 if found > 0 and size == 0 else size)
        total += found
        F[pose + 33 + k] = value * turn
    turn_by(F, pose + 10, F[pose + 33], F[pose + 34], F[pose + 35])
    difference(F, pose + 10, o + 9, pose + 30)
    score_predictions(F, pose + 30, o + 32, turn, pose)
    return 3 * total + size


@jit
def predict_place(F: Any, o: int, gap: int, mean: float, pose: int) -> None:
    """Write the four predictions of the place into F[pose + 14 + 4 k + j]: straight on; with the acceleration; sliding
    to a stop; straight on while it rolls on its new rotation. F[pose + 30]: how much it turned."""
    way = distance_of(F[o + 3], F[o + 5]) * gap
    slower = F[o + 44] * gap * mean
    left = 0.0
    if way > slower:
        left = 1.0 - slower / way
    height = F[o + 1]
    for k in range(3):
        to = pose + 14 + 4 * k
        F[to] = F[o + k] + F[o + 3 + k] * gap
        F[to + 1] = F[o + k] + (F[o + 3 + k] + F[o + 6 + k] * mean) * gap
        F[to + 2] = F[o + k]
        F[to + 3] = F[to]
    F[pose + 16] = F[o] + F[o + 3] * gap * left
    F[pose + 24] = F[o + 2] + F[o + 5] * gap * left
    F[pose + 17] = F[pose + 14] - 4.0 * (F[pose + 32] - F[o + 15] * gap) * height
    F[pose + 25] = F[pose + 22] + 4.0 * (F[pose + 30] - F[o + 13] * gap) * height


@jit
def slow_down(F: Any, o: int, gap: int, mean: float, step: float, pose: int) -> None:
    """Learn how fast the body slows down, from a pose in which it slid on in the same direction."""
    x, z = (F[pose + 7] - F[o]) / gap, (F[pose + 9] - F[o + 2]) / gap
    before, after = distance_of(F[o + 3], F[o + 5]), distance_of(x, z)
    if before * gap > 10.0 * step and after * gap > 3.0 * step:
        slower = (before - after) / mean
        across = size_of(F[o + 3] * z - F[o + 5] * x)
        if across < 0.1 * (before * after) and 3.0 * step < slower * gap * gap < 60.0 * step:
            F[o + 44] = slower if F[o + 44] == 0.0 else F[o + 44] * 0.7 + slower * 0.3


@jit
def code_place(
    S: Any,
    buf: Any,
    M: Any,
    F: Any,
    J: Any,
    o: int,
    at: int,
    gap: int,
    mean: float,
    step: float,
    sizes: int,
    pose: int,
) -> int:
    """Code the place of a body: F[pose + 7] is then its new one. sizes: what ``code_turn`` returned. Returns the size
    of all residuals."""
    predict_place(F, o, gap, mean, pose)
    size, total = sizes % 3, sizes // 3
    first = 2 if size_of(F[o + 5]) > size_of(F[o + 3]) else 0
    jump = 0.0
    for n in range(3):
        k = first if n == 0 else (2 - first if n == 1 else 1)
        chosen = two_best(F, k, o + 20)
        predicted = F[pose + 14 + 4 * k + chosen // 4]
        if n == 1 and size_of(F[o + 3 + first]) * gap > 3.0 * step and size_of(jump) > 1.5 * step:
            predicted += jump * F[o + 3 + k] / F[o + 3 + first]
        value = 0
        if S[0] == 1:
            value = quantised((F[pose + k] - predicted) / step)
        apart = (F[pose + 14 + 4 * k + chosen % 4] - predicted) / step
        value = code_residual(S, buf, M, J, at, k, size, total, F[o + 3 + k] * gap / step, apart, value)
        found = value if value >= 0 else -value
        if found > 4095:
            found = 4095
        size = 2 if found >= 4 else (1 if found > 0 and size == 0 else size)
        total += found
        reached = predicted + value * step
        if not (-FURTHEST < reached < FURTHEST):
            S[5] = 1
            return 0
        jump = reached - predicted
        F[pose + 7 + k] = reached
    return size


@jit
def code_pose(
    S: Any, buf: Any, M: Any, F: Any, J: Any, o: int, at: int, gap: int, step: float, turn: float, pose: int
) -> int:
    """Code the pose of a body that moves. F[pose]: its true place and rotation, when encoding; the spare numbers after
    them are used. Returns 1 if a residual was large."""
    mean = (F[o + 19] + gap) * 0.5
    sizes = code_turn(S, buf, M, F, J, o, at, gap, turn, pose)
    size = code_place(S, buf, M, F, J, o, at, gap, mean, step, sizes, pose)
    if S[5] == 1:
        return 0
    slow_down(F, o, gap, mean, step, pose)
    score_predictions(F, pose + 7, o + 20, step, pose)
    for k in range(3):
        reached = F[pose + 7 + k]
        velocity = (reached - F[o + k]) / gap
        F[o + 6 + k] = (velocity - F[o + 3 + k]) / mean
        F[o + 3 + k] = velocity
        F[o + k] = reached
        spin = F[pose + 30 + k] / gap
        F[o + 16 + k] = spin - F[o + 13 + k]
        F[o + 13 + k] = spin
    for k in range(4):
        F[o + 9 + k] = F[pose + 10 + k]
    F[o + 19] = gap
    return 1 if size == 2 else 0


@jit
def speed_of(F: Any, o: int, gap: int, step: float, turn: float) -> int:
    """How fast a body moved: 0 less than 2 steps a frame, 1 less than 6, 2 more."""
    place = size_of(F[o + 3]) + size_of(F[o + 4]) + size_of(F[o + 5])
    spin = size_of(F[o + 13]) + size_of(F[o + 14]) + size_of(F[o + 15])
    speed = place * gap / step + spin * gap / turn
    return 0 if speed < 2.0 else (1 if speed < 6.0 else 2)


@jit
def rest(F: Any, J: Any, o: int, at: int) -> None:
    """The body keeps its pose."""
    for k in range(3, 9):
        F[o + k] = 0.0
    for k in range(13, 19):
        F[o + k] = 0.0
    for k in range(20, 44):
        F[o + k] *= 0.5
    for k in range(6):
        J[at + 2 + k] >>= 1
    J[at + 1] = 0


@jit
def forget(F: Any, J: Any, o: int, at: int, size: int) -> None:
    """Forget how the body moved: its place is new."""
    rest(F, J, o, at)
    F[o + 19] = 1.0
    for k in range(20, 44):
        F[o + k] = 0.0
    for k in range(6):
        J[at + 2 + k] = size
        J[at + 8 + k] = 0
