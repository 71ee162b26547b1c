"""The arithmetic of delta frames: what is predicted, and which numbers are sent. lobby/wire/deltas.py has the layout,
docs/protocol.md describes it.

    code_frame -> code_pose of delta_pose.py, code_vertices -> code_number of delta_coder.py

Each function encodes and decodes, as those of delta_coder.py do. Floats are float64, and only + - * / and comparisons
are used on them, each rounded once, so that the numbers are the same in every language.

lobby/wire/delta_compiled.py runs this file in the namespace of the compiled coder. This module must never call a
function whose last bit differs between machines.
"""

from __future__ import annotations

from typing import Any

if "COMPILER" not in globals():
    from tussle.lobby.wire.delta_coder import (
        BY_NEIGHBOUR,
        BY_SIZES,
        NUMBERS,
        SLOTS,
        code_bit,
        code_number,
        jit,
    )
    from tussle.lobby.wire.delta_pose import (
        FLOATS,
        INTS,
        SPARE,
        code_pose,
        forget,
        length_of,
        quantised,
        rest,
        speed_of,
    )


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
    second = 1 if J[at + 15] < J[at + 14] else 0
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
    J[at + 14] = (J[at + 14] >> 1) + held
    J[at + 15] = (J[at + 15] >> 1) + carried


@jit
def hold_vertices(U: Any, first: int, count: int) -> None:
    """The vertices keep their places in the axes of the body."""
    for u in range(9 * first, 9 * (first + count), 3):
        U[u + 1] = 0
        U[u + 2] >>= 1


@jit
def code_more(S: Any, buf: Any, M: Any, more: int) -> int:
    """Code whether another frame follows in the same payload."""
    return code_bit(S, buf, M, 24, -1, -1, more)


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
    acks. F[spare]: SPARE numbers, then seven of the true pose of each body. steps: of a place [m], of a rotation."""
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
                fast = 1 + speed_of(F, o, gap, step, turn) if J[at + 1] == 1 else 0
                moving = code_bit(
                    S, buf, M, 8 + 3 * fast + (busy if busy < 2 else 2), -1, -1,
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
                F[pose + k] = F[spare + SPARE + 7 * body + k]
        large = code_pose(S, buf, M, F, J, o, at, gap, step, turn, pose)
        if S[5] == 1:
            return
        busy += large
        if came == 1:
            forget(F, J, o, at, 64)
        J[at + 1] = 1
        if count > 0:
            J[at + 16] = code_bit(
                S, buf, M, 20 + J[at + 16], -1, -1, 1 if encoding and T[3 * body + 2] == 0 else 0
            )
            if J[at + 16] == 1:
                code_vertices(S, buf, M, F, J, U, V, o, at, first, count, step)
                if S[5] == 1:
                    return
            else:
                hold_vertices(U, first, count)
