"""What only an encoder of delta frames does: from the rows of a frame to true poses, and to which bodies rest.

    rows -> measure -> F, V, T -> code_frame of delta_kernel.py

Nothing that a decoder must repeat depends on its rounding. lobby/wire/delta_compiled.py runs this file in the namespace
of the compiled kernel. It must never change a number of the simulation: frames are views.
"""

from __future__ import annotations

from typing import Any

if "COMPILER" not in globals():
    from tussle.lobby.wire.delta_coder import jit
    from tussle.lobby.wire.delta_pose import DEAD, FLOATS, INTS, SPARE, difference

STILL = 0.05
"""A body that moved by more steps than this and is more than half a step off does not rest."""


@jit
def nearest_rotation(A: Any, F: Any, pose: int) -> float:
    """Write the rotation nearest to the matrix A as a quaternion; returns how far A is from it, at most 1 for a body
    that is turned inside out, whose rotation is left as it was."""
    norm = 0.0
    for i in range(9):
        norm += A[i] * A[i]
    if not norm > 0.0:
        return 1.0
    scale = (3.0 / norm) ** 0.5
    for i in range(9):
        A[9 + i] = A[i] * scale
    for _ in range(12):
        a, b, c, d, e, f, g, h, i_ = A[9], A[10], A[11], A[12], A[13], A[14], A[15], A[16], A[17]
        co0, co1, co2 = e * i_ - f * h, f * g - d * i_, d * h - e * g
        det = a * co0 + b * co1 + c * co2
        if not det > 1e-9:
            return 1.0
        k = 1.0 / det
        change = 0.0
        inverse = (
            co0, co1, co2, c * h - b * i_, a * i_ - c * g, b * g - a * h, b * f - c * e, c * d - a * f, a * e - b * d,
        )  # fmt: skip
        for j in range(9):
            new = 0.5 * (A[9 + j] + inverse[j] * k)
            change = max(change, abs(new - A[9 + j]))
            A[9 + j] = new
        if change < 1e-12:
            break
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = A[9], A[10], A[11], A[12], A[13], A[14], A[15], A[16], A[17]
    trace = m00 + m11 + m22
    if trace > 0.0:
        s = 2.0 * (trace + 1.0) ** 0.5
        w, x, y, z = 0.25 * s, (m21 - m12) / s, (m02 - m20) / s, (m10 - m01) / s
    elif m00 > m11 and m00 > m22:
        s = 2.0 * max(1.0 + m00 - m11 - m22, 1e-12) ** 0.5
        w, x, y, z = (m21 - m12) / s, 0.25 * s, (m01 + m10) / s, (m02 + m20) / s
    elif m11 > m22:
        s = 2.0 * max(1.0 + m11 - m00 - m22, 1e-12) ** 0.5
        w, x, y, z = (m02 - m20) / s, (m01 + m10) / s, 0.25 * s, (m12 + m21) / s
    else:
        s = 2.0 * max(1.0 + m22 - m00 - m11, 1e-12) ** 0.5
        w, x, y, z = (m10 - m01) / s, (m02 + m20) / s, (m12 + m21) / s, 0.25 * s
    F[pose + 3], F[pose + 4], F[pose + 5], F[pose + 6] = w, x, y, z
    off = 0.0
    for j in range(9):
        off = max(off, abs(A[j] - A[9 + j]))
    return off


@jit
def measure(
    rows: Any,
    F: Any,
    J: Any,
    U: Any,
    V: Any,
    B: Any,
    T: Any,
    A: Any,
    W: Any,
    step: float,
    turn: float,
    spare: int,
) -> float:
    """Write the true poses after F[spare + SPARE], the true places of vertices into V, and into T which bodies rest.
    rows: flat, of all bodies. T[3 b] has whether body b is active. W: the true poses of the frame before. Returns the
    greatest stretch of an affine body."""
    worst = 0.0
    at_row = 0
    for body in range(len(B) // 2):
        o, at, pose = FLOATS * body, INTS * body, spare + SPARE + 7 * body
        first, count = B[2 * body], B[2 * body + 1]
        row = at_row
        at_row += 3 * (count if count > 0 else 4)
        T[3 * body + 1], T[3 * body + 2] = 0, 0
        if T[3 * body] == 0:
            continue
        for k in range(4):
            F[pose + 3 + k] = F[o + 9 + k]
        if count == 0:
            for k in range(3):
                F[pose + k] = rows[row + k]
                for axis in range(3):
                    A[3 * k + axis] = rows[row + 3 + 3 * axis + k]
            worst = max(worst, nearest_rotation(A, F, pose))
        else:
            for i in range(9):
                A[i] = 0.0
            for k in range(6):
                A[18 + k] = 0.0
            for vertex in range(count):
                for k in range(3):
                    V[6 * (first + vertex) + 3 + k] = rows[row + 3 * vertex + k]
                    A[18 + k] += rows[row + 3 * vertex + k]
                    A[21 + k] += V[6 * (first + vertex) + k]
            for k in range(6):
                A[18 + k] /= count
            for vertex in range(first, first + count):
                for k in range(3):
                    for axis in range(3):
                        A[3 * k + axis] += (V[6 * vertex + 3 + k] - A[18 + k]) * (
                            V[6 * vertex + axis] - A[21 + axis]
                        )
            nearest_rotation(A, F, pose)
            for k in range(3):
                F[pose + k] = 0.0
            w, x, y, z = F[pose + 3], F[pose + 4], F[pose + 5], F[pose + 6]
            a, b, c = A[21], A[22], A[23]
            F[pose] = A[18] - (
                (1 - 2 * (y * y + z * z)) * a + 2 * (x * y - w * z) * b + 2 * (x * z + w * y) * c
            )
            F[pose + 1] = A[19] - (
                2 * (x * y + w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z - w * x) * c
            )
            F[pose + 2] = A[20] - (
                2 * (x * z - w * y) * a + 2 * (y * z + w * x) * b + (1 - 2 * (x * x + y * y)) * c
            )
        difference(F, pose + 3, o + 9, spare)
        for k in range(7):
            F[spare + 10 + k] = W[7 * body + k]
            W[7 * body + k] = F[pose + k]
        difference(F, pose + 3, spare + 13, spare + 3)
        rests = J[at] == 1
        for k in range(3):
            off, change = abs(F[pose + k] - F[o + k]) / step, abs(F[pose + k] - F[spare + 10 + k]) / step
            if off > DEAD or (off > 0.5 and change > STILL):
                rests = False
            off, change = abs(F[spare + k]) / turn, abs(F[spare + 3 + k]) / turn
            if off > DEAD or (off > 0.5 and change > STILL):
                rests = False
        shape = True
        # A body that rests is shown in the pose that was sent.
        axes, centre = (o + 9, o) if rests else (pose + 3, pose)
        w, x, y, z = F[axes], F[axes + 1], F[axes + 2], F[axes + 3]
        for vertex in range(first, first + count):
            dx = V[6 * vertex + 3] - F[centre]
            dy = V[6 * vertex + 4] - F[centre + 1]
            dz = V[6 * vertex + 5] - F[centre + 2]
            ex = (1 - 2 * (y * y + z * z)) * dx + 2 * (x * y + w * z) * dy + 2 * (x * z - w * y) * dz
            ey = 2 * (x * y - w * z) * dx + (1 - 2 * (x * x + z * z)) * dy + 2 * (y * z + w * x) * dz
            ez = 2 * (x * z + w * y) * dx + 2 * (y * z - w * x) * dy + (1 - 2 * (x * x + y * y)) * dz
            u = 9 * vertex
            if (
                abs(ex - V[6 * vertex] - U[u] * step) > DEAD * step
                or abs(ey - V[6 * vertex + 1] - U[u + 3] * step) > DEAD * step
                or abs(ez - V[6 * vertex + 2] - U[u + 6] * step) > DEAD * step
            ):
                shape = False
                break
        T[3 * body + 1] = 1 if rests and shape else 0
        T[3 * body + 2] = 1 if shape else 0
    return worst
