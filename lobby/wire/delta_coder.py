"""The range coder of delta frames, with adaptive probabilities: bits and whole numbers to bytes, and back.

    code_number -> code_bit -> bytes          end_of: the last bytes of a payload

One program encodes and decodes: ``code_bit`` either writes the bit that it is given or returns the one that it reads,
so that both sides have the same state after each bit. Integers are below 2**53.

The functions are plain Python that numba can compile: lobby/wire/delta_compiled.py does that for the encoder. A decoder
runs them as they are, on lists. This module must never import anything.
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

BY_SIZE, BY_SPEED, BY_GAP = 64, 64 + 117 * SLOTS, 64 + 261 * SLOTS
BY_SUM, BY_SIZES = 64 + 369 * SLOTS, 64 + 561 * SLOTS
BY_NEIGHBOUR, NUMBERS = 64 + 625 * SLOTS, 64 + 649 * SLOTS
CONTEXTS = NUMBERS + 6 * SLOTS
"""Contexts of a chain: 64 for single bits, four families for poses, two for vertices, six for other numbers."""

RATES, LIMIT = 2 * CONTEXTS, 60
FIRSTS = RATES + LIMIT + 1
MODEL_SIZE = FIRSTS + 130
"""The model M: of each context the probability of a zero in 65536ths and a count; the rates at which they learn; ten
first probabilities for each of 13 lengths of a mean residual (delta_layout.py)."""

# The fields of the coder S: 0 whether it encodes, 1 low end or code, 2 range, 3 place in the bytes, 4 their end,
# 5 whether a number is out of range, 6 whether the model must not change.


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
    if S[6] == 1:
        return bit
    learn(M, a, bit)
    if b >= 0:
        learn(M, b, bit)
        learn(M, c, bit)
    return bit


@jit
def chance(M: Any, context: int, first: int) -> int:
    """The probability of a zero; ``first`` for a context that has learnt nothing."""
    if M[2 * context + 1] == 0:
        return first
    p: int = M[2 * context]
    return p


@jit
def learn_from(M: Any, context: int, first: int, bit: int) -> None:
    """``learn``, from ``first`` on."""
    if M[2 * context + 1] == 0:
        M[2 * context] = first
        M[2 * context + 1] = 1
    learn(M, context, bit)


@jit
def code_bit_in_four(S: Any, buf: Any, M: Any, a: int, b: int, c: int, d: int, first: int, bit: int) -> int:
    """Code one bit with the mean probability of four contexts, which then learn it."""
    p = (chance(M, a, first) + chance(M, b, first) + chance(M, c, first) + chance(M, d, first)) >> 2
    bit = divide(S, buf, (S[2] >> 16) * p, bit)
    if S[6] == 0:
        learn_from(M, a, first, bit)
        learn_from(M, b, first, bit)
        learn_from(M, c, first, bit)
        learn_from(M, d, first, bit)
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
def code_in_four(S: Any, buf: Any, M: Any, a: int, b: int, c: int, d: int, row: int, value: int) -> int:
    """``code_number`` with four sets, a to d, and the first probabilities of a row."""
    first = FIRSTS + 10 * row
    if code_bit_in_four(S, buf, M, a, b, c, d, M[first], 0 if value == 0 else 1) == 0:
        return 0
    negative = code_bit_in_four(S, buf, M, a + 1, b + 1, c + 1, d + 1, 32768, 1 if value < 0 else 0)
    size = value if value >= 0 else -value
    length = 0
    if S[0] == 1:
        while size >> (length + 1) > 0:
            length += 1
    at = 0
    while True:
        slot = 2 + (at if at < 15 else 15)
        p = M[first + 1 + (at if at < 8 else 8)]
        bit = 1 if at < length else 0
        if code_bit_in_four(S, buf, M, a + slot, b + slot, c + slot, d + slot, p, bit) == 0:
            break
        at += 1
        if at > 30:
            S[5] = 1
            return 0
    top = at if at < 15 else 15
    found = 1
    for place in range(at - 1, -1, -1):
        bit = (size >> place) & 1
        if place >= at - 2:
            slot = 18 + top if place == at - 1 else 34 + 2 * top + (found & 1)
            bit = code_bit_in_four(S, buf, M, a + slot, b + slot, c + slot, d + slot, 32768, bit)
        else:
            bit = code_even(S, buf, bit)
        found = 2 * found + bit
    return -found if negative == 1 else found


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
