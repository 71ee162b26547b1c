"""The arithmetic of delta frames: prediction, adaptive probabilities and the range coder. lobby/wire/deltas.py has the
layout, docs/protocol.md describes it.

    code_frame -> code_body -> code_number -> code_bit -> bytes

One program encodes and decodes: ``code_bit`` either writes the bit that it is given or returns the one that it reads,
so that both sides have the same state after each bit. Integers are below 2**53. Floats are float64, and only + - * /
and comparisons are used on them, each rounded once, so that the numbers are the same in every language.

The functions are plain Python that numba can compile: lobby/wire/delta_compiled.py does that for the encoder. A decoder
runs them as they are, on lists. This module must never import anything, and never call a function whose last bit
differs between machines.
"""

from __future__ import annotations

from typing import Any, TypeVar

Function = TypeVar("Function")

COMPILER: Any = globals().get("COMPILER")
"""Compiles a function; None: the functions stay as they are."""


def jit(function: Function) -> Function:
    """The function, compiled if there is a compiler."""
    if COMPILER is None:
        return function
    compiled: Function = COMPILER(function)
    return compiled


SLOTS = 66
"""Contexts of one number: 0 zero, 1 sign, 2 to 17 length, 18 to 33 first bit after the leading one, 34 to 65 next."""

BY_SIZE, BY_LAST, BY_SPEED = 64, 64 + 99 * SLOTS, 64 + 243 * SLOTS
BY_SIZES, BY_NEIGHBOUR, NUMBERS = 64 + 387 * SLOTS, 64 + 451 * SLOTS, 64 + 475 * SLOTS
CONTEXTS = NUMBERS + 6 * SLOTS
"""Contexts of a chain: 64 for single bits, three families for poses, two for vertices, six for other numbers."""

RATES, LIMIT = 2 * CONTEXTS, 60
MODEL_SIZE = RATES + LIMIT + 1

FLOATS, INTS = 28, 23
"""Numbers of the state of one body. Floats: 0 position, 3 velocity, 6 acceleration, 9 rotation (w, x, y, z), 13 spin,
16 its change, 19 ticks between the last two poses, 20 errors of the two predictions of each coordinate, 26 of the
rotation. Integers: 0 active, 1 moving, 2 mean sizes of the residuals, 8 last sizes, 14 last signs, 20 and 21 errors of
the two predictions of the vertices, 22 whether it changed its shape."""

DEAD = 0.5
"""Residuals of at most this many steps are sent as zero, and so it is the greatest error in steps. Measured with
bench.wire on one duel: 22.9 bits a body and frame with 0.5 at the same greatest error, 25.6 with 0.8, 27.4 with 1."""

FURTHEST = 1e6
"""Largest coordinate [m]."""

# The fields of the coder S: 0 whether it encodes, 1 low end or code, 2 range, 3 place in the bytes, 4 their end,
# 5 whether a number is out of range.


@jit
def divide(S: Any, buf: Any, bound: int, bit: int) -> int:
    """Code one bit: the range below ``bound`` is a zero."""
    if S[0] == 1:
        if bit == 0:
            S[2] = bound
        else:
            S[1] += bound
            S[2] -= bound
        if S[1] >= 4294967296:
            S[1] -= 4294967296
            at = S[3] - 1
            while buf[at] == 255:
                buf[at] = 0
                at -= 1
            buf[at] += 1
        while S[2] < 16777216:
            buf[S[3]] = S[1] >> 24
            S[3] += 1
            S[1] = (S[1] & 16777215) << 8
            S[2] <<= 8
        return bit
    if S[1] < bound:
        bit = 0
        S[2] = bound
    else:
        bit = 1
        S[1] -= bound
        S[2] -= bound
    while S[2] < 16777216:
        following = 0
        if S[3] < S[4]:
            following = buf[S[3]]
        S[3] += 1
        S[1] = S[1] * 256 + following
        S[2] <<= 8
    return bit


@jit
def learn(M: Any, context: int, bit: int) -> None:
    """Move the probability of a zero towards what came: fast at first, by a 61st in the end."""
    at = 2 * context
    p, n = M[at], M[at + 1]
    rate = M[RATES + n]
    if bit == 0:
        p += ((65536 - p) * rate) >> 16
        if p > 65488:
            p = 65488
    else:
        p -= (p * rate) >> 16
        if p < 48:
            p = 48
    M[at] = p
    if n < LIMIT:
        M[at + 1] = n + 1


@jit
def code_bit(S: Any, buf: Any, M: Any, a: int, b: int, c: int, bit: int) -> int:
    """Code one bit with the mean probability of three contexts, which then learn it. b, c: -1 for a bit with one."""
    p = M[2 * a]
    if b >= 0:
        p = (2 * p + M[2 * b] + M[2 * c]) >> 2
    bit = divide(S, buf, (S[2] >> 16) * p, bit)
    learn(M, a, bit)
    if b >= 0:
        learn(M, b, bit)
        learn(M, c, bit)
    return bit


@jit
def code_even(S: Any, buf: Any, bit: int) -> int:
    """Code a bit that is 0 or 1 with equal probability."""
    return divide(S, buf, S[2] >> 1, bit)


@jit
def code_number(S: Any, buf: Any, M: Any, a: int, b: int, c: int, value: int) -> int:
    """Code a signed integer below 2**31: zero or not, sign, length, then the bits after the leading one. a, b, c: first
    contexts of three sets; b, c: -1 for one set."""
    two = b >= 0
    if code_bit(S, buf, M, a, b, c, 0 if value == 0 else 1) == 0:
        return 0
    negative = code_bit(S, buf, M, a + 1, b + 1 if two else -1, c + 1, 1 if value < 0 else 0)
    size = value if value >= 0 else -value
    length = 0
    if S[0] == 1:
        while size >> (length + 1) > 0:
            length += 1
    at = 0
    while True:
        slot = 2 + (at if at < 15 else 15)
        if code_bit(S, buf, M, a + slot, b + slot if two else -1, c + slot, 1 if at < length else 0) == 0:
            break
        at += 1
        if at > 30:
            S[5] = 1
            return 0
    top = at if at < 15 else 15
    found = 1
    for place in range(at - 1, -1, -1):
        bit = (size >> place) & 1
        if place == at - 1:
            slot = 18 + top
            bit = code_bit(S, buf, M, a + slot, b + slot if two else -1, c + slot, bit)
        elif place == at - 2:
            slot = 34 + 2 * top + (found & 1)
            bit = code_bit(S, buf, M, a + slot, b + slot if two else -1, c + slot, bit)
        else:
            bit = code_even(S, buf, bit)
        found = 2 * found + bit
    return -found if negative == 1 else found


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
def length_of(number: int, most: int) -> int:
    """The length of a number in bits, at most ``most``."""
    length = 0
    while number > 0 and length < most:
        number >>= 1
        length += 1
    return length


@jit
def halvings(size: float, most: int) -> int:
    """How often a number must be halved to be below 1, at most ``most``."""
    count = 0
    while size >= 1.0 and count < most:
        size *= 0.5
        count += 1
    return count


@jit
def code_coordinate(
    S: Any, buf: Any, M: Any, J: Any, at: int, k: int, sets: int, kind: int, value: int
) -> int:
    """Code residual ``k`` (0 to 2 of the place, 3 to 5 of the rotation) of the body at ``at``. sets: earlier residuals
    of this pose and of others: 3 * busy bodies + size, and 9 * whether the second prediction was used. kind: its first
    context of BY_SPEED."""
    family = 2 if k > 2 else (1 if k == 1 else 0)
    size, busy, second = sets % 3, (sets // 3) % 3, sets // 9
    a = BY_SIZE + ((family * 11 + length_of(J[at + 2 + k], 10)) * 3 + size) * SLOTS
    b = BY_LAST + (((family * 8 + J[at + 8 + k]) * 3 + busy) * 2 + second) * SLOTS
    value = code_number(S, buf, M, a, b, kind, value)
    found = value if value >= 0 else -value
    if found > 4095:
        found = 4095
    J[at + 2 + k] = (J[at + 2 + k] + 16 * found) >> 1
    J[at + 8 + k] = length_of(found, 7)
    J[at + 14 + k] = 0 if value == 0 else (1 if value > 0 else 2)
    return value


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
def code_body(
    S: Any,
    buf: Any,
    M: Any,
    F: Any,
    J: Any,
    o: int,
    at: int,
    gap: int,
    step: float,
    turn: float,
    busy: int,
    pose: int,
) -> int:
    """Code the pose of a body that moves. F[pose]: its true place and rotation, when encoding. Returns 1 if a residual
    was large. F has 16 spare numbers after ``pose``."""
    new, turned_to, sigma = pose + 7, pose + 10, pose + 14
    before = F[o + 19]
    mean = (before + gap) * 0.5
    size, large = 0, 0
    for k in range(3):
        straight = F[o + k] + F[o + 3 + k] * gap
        curved = F[o + k] + (F[o + 3 + k] + F[o + 6 + k] * mean) * gap
        second = 1 if F[o + 20 + 2 * k + 1] < F[o + 20 + 2 * k] else 0
        predicted = curved if second == 1 else straight
        speed = F[o + 3 + k] * gap / step
        kind = (
            BY_SPEED + ((k * 3 + J[at + 14 + k]) * 8 + halvings(speed if speed >= 0.0 else -speed, 7)) * SLOTS
        )
        value = 0
        if S[0] == 1:
            value = quantised((F[pose + k] - predicted) / step)
        value = code_coordinate(S, buf, M, J, at, k, size + 3 * busy + 9 * second, kind, value)
        found = value if value >= 0 else -value
        if found > 0 and size == 0:
            size = 1
        if found >= 4:
            size, large = 2, 1
        reached = predicted + value * step
        if not (-FURTHEST < reached < FURTHEST):
            S[5] = 1
            return 0
        F[new + k] = reached
        off = reached - straight
        F[o + 20 + 2 * k] = F[o + 20 + 2 * k] * 0.7 + (off if off >= 0.0 else -off)
        off = reached - curved
        F[o + 20 + 2 * k + 1] = F[o + 20 + 2 * k + 1] * 0.7 + (off if off >= 0.0 else -off)
        velocity = (reached - F[o + k]) / gap
        F[o + 6 + k] = (velocity - F[o + 3 + k]) / mean
        F[o + 3 + k] = velocity
        F[o + k] = reached
    second = 1 if F[o + 27] < F[o + 26] else 0
    for k in range(4):
        F[turned_to + k] = F[o + 9 + k]
    x, y, z = F[o + 13], F[o + 14], F[o + 15]
    if second == 1:
        x, y, z = x + F[o + 16], y + F[o + 17], z + F[o + 18]
    turn_by(F, turned_to, x * gap, y * gap, z * gap)
    if S[0] == 1:
        difference(F, pose + 3, turned_to, sigma)
    for k in range(3):
        spin = F[o + 13 + k] * gap / turn
        kind = (
            BY_SPEED
            + (((3 + k) * 3 + J[at + 17 + k]) * 8 + halvings(spin if spin >= 0.0 else -spin, 7)) * SLOTS
        )
        value = 0
        if S[0] == 1:
            value = quantised(F[sigma + k] / turn)
        value = code_coordinate(S, buf, M, J, at, 3 + k, size + 3 * busy + 9 * second, kind, value)
        found = value if value >= 0 else -value
        if found > 0 and size == 0:
            size = 1
        if found >= 4:
            size, large = 2, 1
        F[sigma + k] = value * turn
    turn_by(F, turned_to, F[sigma], F[sigma + 1], F[sigma + 2])
    difference(F, turned_to, o + 9, sigma)
    held, changed = 0.0, 0.0
    for k in range(3):
        spin = F[sigma + k] / gap
        off = spin - F[o + 13 + k]
        held += off if off >= 0.0 else -off
        off -= F[o + 16 + k]
        changed += off if off >= 0.0 else -off
        F[o + 16 + k] = spin - F[o + 13 + k]
        F[o + 13 + k] = spin
    F[o + 26] = F[o + 26] * 0.7 + held
    F[o + 27] = F[o + 27] * 0.7 + changed
    for k in range(4):
        F[o + 9 + k] = F[turned_to + k]
    F[o + 19] = gap
    return large


@jit
def rest(F: Any, J: Any, o: int, at: int) -> None:
    """The body keeps its pose."""
    for k in range(3, 9):
        F[o + k] = 0.0
    for k in range(13, 19):
        F[o + k] = 0.0
    for k in range(20, 28):
        F[o + k] *= 0.5
    for k in range(6):
        J[at + 2 + k] >>= 1
        J[at + 8 + k] = 0
    J[at + 1] = 0


@jit
def forget(F: Any, J: Any, o: int, at: int, size: int) -> None:
    """Forget how the body moved: its place is new."""
    rest(F, J, o, at)
    F[o + 19] = 1.0
    for k in range(20, 28):
        F[o + k] = 0.0
    for k in range(6):
        J[at + 2 + k] = size
        J[at + 14 + k] = 0


@jit
def code_vertices(
    S: Any,
    buf: Any,
    M: Any,
    F: Any,
    J: Any,
    U: Any,
    V: Any,
    o: int,
    at: int,
    first: int,
    count: int,
    step: float,
) -> None:
    """Code what the vertices of an elastic body differ from its pose, in its own axes. U: 3 integers a coordinate:
    displacement, its last change, mean size of the residuals. V: 6 floats a vertex: its rest place, and its true place
    when encoding."""
    w, x, y, z = F[o + 9], F[o + 10], F[o + 11], F[o + 12]
    second = 1 if J[at + 21] < J[at + 20] else 0
    lately = 32
    held, carried = 0, 0
    near0, near1, near2 = 0, 0, 0
    value, found, near = 0, 0, 0
    local = 0.0
    ex, ey, ez = 0.0, 0.0, 0.0
    for vertex in range(first, first + count):
        if S[0] == 1:
            dx = V[6 * vertex + 3] - F[o]
            dy = V[6 * vertex + 4] - F[o + 1]
            dz = V[6 * vertex + 5] - F[o + 2]
            ex = (1.0 - 2.0 * (y * y + z * z)) * dx + 2.0 * (x * y + w * z) * dy + 2.0 * (x * z - w * y) * dz
            ey = 2.0 * (x * y - w * z) * dx + (1.0 - 2.0 * (x * x + z * z)) * dy + 2.0 * (y * z + w * x) * dz
            ez = 2.0 * (x * z + w * y) * dx + 2.0 * (y * z - w * x) * dy + (1.0 - 2.0 * (x * x + y * y)) * dz
        for k in range(3):
            u = 3 * (3 * vertex + k)
            predicted = U[u] + (U[u + 1] if second == 1 else 0)
            value = 0
            if S[0] == 1:
                local = ex if k == 0 else (ey if k == 1 else ez)
                value = quantised((local - V[6 * vertex + k]) / step - predicted)
            near = near0 if k == 0 else (near1 if k == 1 else near2)
            a = BY_SIZES + (8 * length_of(U[u + 2], 7) + length_of(lately, 7)) * SLOTS
            b = BY_NEIGHBOUR + ((k * 4 + near) * 2 + second) * SLOTS
            value = code_number(S, buf, M, a, b, a, value)
            found = value if value >= 0 else -value
            if found > 4095:
                found = 4095
            near = found if found < 3 else 3
            if k == 0:
                near0 = near
            elif k == 1:
                near1 = near
            else:
                near2 = near
            lately = (3 * lately + 16 * found) >> 2
            U[u + 2] = (U[u + 2] + 16 * found) >> 1
            reached = predicted + value
            if reached > 1000000000 or reached < -1000000000:
                S[5] = 1
                return
            change = reached - U[u]
            held += min(4095, change if change >= 0 else -change)
            change -= U[u + 1]
            carried += min(4095, change if change >= 0 else -change)
            U[u + 1] = reached - U[u]
            U[u] = reached
    J[at + 20] = (J[at + 20] >> 1) + held
    J[at + 21] = (J[at + 21] >> 1) + carried


@jit
def hold_vertices(U: Any, first: int, count: int) -> None:
    """The vertices keep their places in the axes of the body."""
    for u in range(9 * first, 9 * (first + count), 3):
        U[u + 1] = 0
        U[u + 2] >>= 1


@jit
def code_frame(
    S: Any,
    buf: Any,
    M: Any,
    G: Any,
    F: Any,
    J: Any,
    U: Any,
    V: Any,
    B: Any,
    T: Any,
    step: float,
    turn: float,
    spare: int,
) -> None:
    """Code a frame, and take the state from the frame before to this one.

    G: tick, ticks since the frame before, level of the smallest distance, contacts, whether all rested, then the acks.
    F, J: FLOATS and INTS numbers a body. B: first vertex and number of vertices of each body (0: affine). T: what is
    encoded: for each body whether it is active, whether it rests, whether its shape rests; then tick, level, contacts,
    acks. F[spare]: 32 spare numbers, then seven of the true pose of each body. steps: of a place [m], of a rotation."""
    bodies = len(B) // 2
    seats = len(G) - 5
    encoding = S[0] == 1
    meta = 3 * bodies
    value = 0
    if encoding:
        value = T[meta] - G[0] - G[1]
    gap = G[1] + code_number(S, buf, M, NUMBERS, -1, -1, value)
    if S[5] == 1 or gap < 1 or gap > 16777216 or G[0] + gap > 4294967295:
        S[5] = 1
        return
    G[0] += gap
    G[1] = gap
    changed = 0
    if encoding:
        for seat in range(seats):
            if T[meta + 3 + seat] != G[5 + seat]:
                changed = 1
    if code_bit(S, buf, M, 0, -1, -1, changed) == 1:
        for seat in range(seats):
            if encoding:
                value = T[meta + 3 + seat] - G[5 + seat]
            G[5 + seat] += code_number(S, buf, M, NUMBERS + SLOTS, -1, -1, value)
            if G[5 + seat] < 0 or G[5 + seat] > 4294967295:
                S[5] = 1
    if encoding:
        changed = 1 if T[meta + 1] != G[2] or T[meta + 2] != G[3] else 0
    if code_bit(S, buf, M, 1, -1, -1, changed) == 1:
        if encoding:
            value = T[meta + 1] - G[2]
        G[2] += code_number(S, buf, M, NUMBERS + 2 * SLOTS, -1, -1, value)
        if encoding:
            value = T[meta + 2] - G[3]
        G[3] += code_number(S, buf, M, NUMBERS + 3 * SLOTS, -1, -1, value)
        if G[2] < 0 or G[2] > 255 or G[3] < 0 or G[3] > 65535:
            S[5] = 1
    if S[5] == 1:
        return
    still = 1
    if encoding:
        for body in range(bodies):
            if T[3 * body] != J[INTS * body] or (T[3 * body] == 1 and T[3 * body + 1] == 0):
                still = 0
    G[4] = code_bit(S, buf, M, 2 + G[4], -1, -1, still)
    busy = 0
    for body in range(bodies):
        o, at = FLOATS * body, INTS * body
        first, count = B[2 * body], B[2 * body + 1]
        came = 0
        if G[4] == 0:
            came = code_bit(S, buf, M, 4 + J[at], -1, -1, 1 if encoding and T[3 * body] != J[at] else 0)
        if came == 1:
            J[at] = 1 - J[at]
            forget(F, J, o, at, 65520)
        moving = 0
        if G[4] == 0 and J[at] == 1:
            moving = 1
            if came == 0:
                moving = code_bit(
                    S, buf, M, 8 + 3 * J[at + 1] + (busy if busy < 2 else 2), -1, -1,
                    1 if encoding and T[3 * body + 1] == 0 else 0,
                )  # fmt: skip
        if moving == 0:
            rest(F, J, o, at)
            if count > 0:
                hold_vertices(U, first, count)
            continue
        pose = spare
        if encoding:
            for k in range(7):
                F[pose + k] = F[spare + 32 + 7 * body + k]
        large = code_body(S, buf, M, F, J, o, at, gap, step, turn, busy if busy < 2 else 2, pose)
        if S[5] == 1:
            return
        busy += large
        if came == 1:
            forget(F, J, o, at, 64)
        J[at + 1] = 1
        if count > 0:
            J[at + 22] = code_bit(
                S, buf, M, 16 + J[at + 22], -1, -1, 1 if encoding and T[3 * body + 2] == 0 else 0
            )
            if J[at + 22] == 1:
                code_vertices(S, buf, M, F, J, U, V, o, at, first, count, step)
                if S[5] == 1:
                    return
            else:
                hold_vertices(U, first, count)


@jit
def end_of(S: Any, buf: Any) -> int:
    """Write the last bytes of a payload; return its length. Zeros at the end are not sent."""
    for zeros in range(24, -8, -8):
        mask = (1 << zeros) - 1
        value = (S[1] + mask) & ~mask
        if value - S[1] < S[2]:
            break
    if value >= 4294967296:
        value -= 4294967296
        at = S[3] - 1
        while buf[at] == 255:
            buf[at] = 0
            at -= 1
        buf[at] += 1
    for shift in range(24, -8, -8):
        buf[S[3]] = (value >> shift) & 255
        S[3] += 1
    length: int = S[3]
    while length > 0 and buf[length - 1] == 0:
        length -= 1
    return length
