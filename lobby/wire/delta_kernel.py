"""The arithmetic of delta frames: what is predicted, and which numbers are sent. lobby/wire/deltas.py has the layout,
docs/protocol.md describes it.

    code_frame -> code_body, code_vertices -> code_number of delta_coder.py

Each function encodes and decodes, as those of delta_coder.py do. Floats are float64, and only + - * / and comparisons
are used on them, each rounded once, so that the numbers are the same in every language.

lobby/wire/delta_compiled.py runs this file in the namespace of the compiled coder. This module must never call a
function whose last bit differs between machines.
"""

from __future__ import annotations

from typing import Any

if "COMPILER" not in globals():
    from tussle.lobby.wire.delta_coder import (
        BY_LAST,
        BY_NEIGHBOUR,
        BY_SIZE,
        BY_SIZES,
        BY_SPEED,
        NUMBERS,
        SLOTS,
        code_bit,
        code_number,
        jit,
    )

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
