"""Products of tiles of 12 x 12 numbers, for the factorisation (server/physics/fronts.py).

Tiles are stored by column, in one array of float64 after the other; a row of twelve unknowns by n columns is 12 n
numbers in a row. The kernels are written as vectors of four numbers, in the instructions of LLVM: which of a loop's
products a compiler would keep in registers differs between its versions and costs a factor of three. Every product is
rounded once together with its sum, in one fixed order (fma), so the bits do not depend on the machine.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from tussle.server.physics.jit import fma, inner

__all__ = ["TILE", "TILE_SIZE", "factor_tile", "solve_tile", "subtract_product"]

TILE = 12
"""Unknowns along a side of a tile: an affine body, or four nodes."""
TILE_SIZE = TILE * TILE
PIVOT_MIN = 1e-60
"""The square of the smallest pivot that counts as positive: its inverse does not overflow."""
PIVOT_FIXED = 1e60
"""What takes the place of one that does not: its unknown hardly moves, so the solution stays bounded."""
LANES = 4
QUARTER = ir.VectorType(ir.DoubleType(), LANES)


def _pointer(context, builder, kind, array, index):
    """Return the address of an element of a flat array of float64."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


def _load(builder, address, offset):
    """Load four numbers that begin ``offset`` numbers after an address."""
    at = builder.gep(address, [ir.Constant(ir.IntType(64), offset)])
    return builder.load(builder.bitcast(at, QUARTER.as_pointer()), align=8)


def _store(builder, value, address, offset):
    """Store four numbers."""
    at = builder.gep(address, [ir.Constant(ir.IntType(64), offset)])
    builder.store(value, builder.bitcast(at, QUARTER.as_pointer()), align=8)


def _spread(builder, address, offset):
    """Load one number into all four places."""
    number = builder.load(builder.gep(address, [ir.Constant(ir.IntType(64), offset)]), align=8)
    lone = builder.insert_element(ir.Constant(QUARTER, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(lone, ir.Constant(QUARTER, ir.Undefined), places)


def _add_product(builder, a, b, c):
    """Return a * b + c of four numbers each, rounded once."""
    kind = ir.FunctionType(QUARTER, [QUARTER] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v4f64"), [a, b, c])


def _is_flat(kind: Any) -> bool:
    return (
        isinstance(kind, types.Array)
        and kind.ndim == 1
        and kind.layout == "C"
        and kind.dtype == types.float64
    )


@intrinsic
def _subtract_product(typing, left, left_at, right, right_at, count, out, out_at):
    if not (_is_flat(left) and _is_flat(right) and _is_flat(out)):
        return None

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        a = _pointer(context, builder, kinds[0], arguments[0], arguments[1])
        b = _pointer(context, builder, kinds[2], arguments[2], arguments[3])
        c = _pointer(context, builder, kinds[5], arguments[5], arguments[6])
        third = TILE // LANES
        sums = [[cgutils.alloca_once(builder, QUARTER) for _ in range(third)] for _ in range(LANES)]
        for j in range(LANES):
            for i in range(third):
                builder.store(_load(builder, c, TILE * j + LANES * i), sums[j][i])
        with cgutils.for_range(builder, arguments[4], intp=arguments[4].type) as loop:
            step = builder.mul(loop.index, ir.Constant(arguments[4].type, TILE))
            column, row = builder.gep(a, [step]), builder.gep(b, [step])
            values = [builder.fneg(_load(builder, column, LANES * i)) for i in range(third)]
            for j in range(LANES):
                factor = _spread(builder, row, j)
                for i in range(third):
                    total = builder.load(sums[j][i])
                    builder.store(_add_product(builder, values[i], factor, total), sums[j][i])
        for j in range(LANES):
            for i in range(third):
                _store(builder, builder.load(sums[j][i]), c, TILE * j + LANES * i)
        return context.get_dummy_value()

    return types.void(left, types.intp, right, types.intp, types.intp, out, types.intp), codegen


@intrinsic
def _solve_tile(typing, factor, factor_at, pivots, out, out_at):
    if not (_is_flat(factor) and _is_flat(pivots) and _is_flat(out)):
        return None

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        a = _pointer(context, builder, kinds[0], arguments[0], arguments[1])
        p = _pointer(context, builder, kinds[2], arguments[2], ir.Constant(ir.IntType(64), 0))
        c = _pointer(context, builder, kinds[3], arguments[3], arguments[4])
        for i in range(TILE // LANES):
            columns = [_load(builder, c, TILE * j + LANES * i) for j in range(TILE)]
            for j in range(TILE):
                columns[j] = builder.fmul(columns[j], _spread(builder, p, j))
                _store(builder, columns[j], c, TILE * j + LANES * i)
                value = builder.fneg(columns[j])
                for k in range(j + 1, TILE):
                    columns[k] = _add_product(builder, value, _spread(builder, a, TILE * j + k), columns[k])
        return context.get_dummy_value()

    return types.void(factor, types.intp, pivots, out, types.intp), codegen


subtract_columns = cast("Callable[..., None]", _subtract_product)
solve_columns = cast("Callable[..., None]", _solve_tile)


@inner
def subtract_product(left, left_at, right, right_at, count, out, out_at):
    """Subtract a product of two rows of tiles, L R^T, from a tile: out -= sum_k left[:, k] right[:, k]^T, k < count."""
    for quarter in range(0, 12, 4):
        subtract_columns(left, left_at, right, right_at + quarter, count, out, out_at + 12 * quarter)


@inner
def solve_tile(factor, factor_at, pivots, out, out_at):
    """Overwrite a tile with X, where X L^T is the tile; L: a lower tile. pivots (12,): inverses of its diagonal."""
    solve_columns(factor, factor_at, pivots, out, out_at)


@inner
def factor_tile(data, at, pivots):
    """Factorise a symmetric tile in place (lower Cholesky) and write the inverses of the pivots. Returns whether it is
    positive definite.

    A pivot that is not positive, or that rounding made negative, becomes PIVOT_FIXED squared.
    """
    positive = True
    for j in range(TILE):
        column = at + TILE * j
        pivot = PIVOT_FIXED
        if data[column + j] > PIVOT_MIN:
            pivot = math.sqrt(data[column + j])
        else:
            positive = False
        inverse = 1.0 / pivot
        pivots[j] = inverse
        data[column + j] = pivot
        for i in range(j + 1, TILE):
            data[column + i] *= inverse
        for k in range(j + 1, TILE):
            scale = data[column + k]
            for i in range(k, TILE):
                data[at + TILE * k + i] = fma(-data[column + i], scale, data[at + TILE * k + i])
    return positive
