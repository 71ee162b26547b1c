"""QR codes of short texts, for terminals: byte mode, error correction L, versions 1 to 5 (ISO/IEC 18004). Pure.

    text -> bits -> codewords + Reed-Solomon remainder -> modules in zigzag order -> the mask with the least penalty

A matrix is a list of rows of bools; True is a dark module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["matrix_of", "terminal_text"]

Matrix = list[list[bool]]

VERSIONS = ((19, 7), (34, 10), (55, 15), (80, 20), (108, 26))
"""Data codewords and correction codewords of versions 1 to 5 with level L, which have one block."""

QUIET = 2
"""Width of the light border [modules] in a terminal. The standard asks for 4; readers need about 2."""

MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda y, x: (y + x) % 2 == 0,
    lambda y, x: y % 2 == 0,
    lambda y, x: x % 3 == 0,
    lambda y, x: (y + x) % 3 == 0,
    lambda y, x: (y // 2 + x // 3) % 2 == 0,
    lambda y, x: y * x % 2 + y * x % 3 == 0,
    lambda y, x: (y * x % 2 + y * x % 3) % 2 == 0,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2 == 0,
)

_LIKE_FINDER = (
    (True, False, True, True, True, False, True, False, False, False, False),
    (False, False, False, False, True, False, True, True, True, False, True),
)


def matrix_of(text: str, mask: int | None = None) -> Matrix:
    """The modules of a code with that text. ``mask``: 0 to 7, or None for the one with the least penalty. Raises
    ValueError if the text has more than 106 bytes."""
    data = text.encode()
    version = next((i for i, (room, _) in enumerate(VERSIONS) if len(data) + 2 <= room), None)
    if version is None:
        raise ValueError(f"{len(data)} bytes do not fit into a QR code of version {len(VERSIONS)}")
    words = _codewords(data, *VERSIONS[version])
    masks = range(len(MASKS)) if mask is None else (mask,)
    return min((_draw(version + 1, words, number) for number in masks), key=_penalty)


def terminal_text(matrix: Matrix) -> str:
    """The code as lines of half blocks, for dark text on a light ground."""
    width = len(matrix) + 2 * QUIET
    light = [False] * width
    rows = [*[light] * QUIET, *([False] * QUIET + row + [False] * QUIET for row in matrix), *[light] * QUIET]
    rows += [light] * (len(rows) % 2)
    blocks = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}
    return "\n".join(
        "".join(blocks[upper, lower] for upper, lower in zip(rows[y], rows[y + 1], strict=True))
        for y in range(0, len(rows), 2)
    )


def _codewords(data: bytes, room: int, correction: int) -> bytes:
    """The codewords of byte mode, padded to ``room``, and their remainder."""
    bits = f"0100{len(data):08b}" + "".join(f"{byte:08b}" for byte in data) + "0000"
    bits = bits[: 8 * room] + "0" * (-len(bits) % 8)
    words = bytearray(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    words += bytes((0xEC, 0x11) * room)[: room - len(words)]
    return bytes(words) + _remainder(bytes(words), correction)


def _times(a: int, b: int) -> int:
    """The product in GF(256) with the polynomial x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = (a << 1) ^ (0x11D if a & 0x80 else 0), b >> 1
    return product


def _remainder(words: bytes, count: int) -> bytes:
    """The remainder of the words, as a polynomial, divided by the product of (x - 2^i), i < count."""
    divisor, root = [1], 1
    for _ in range(count):
        shifted = [*divisor, 0]
        divisor = [a ^ _times(b, root) for a, b in zip(shifted, [0, *divisor], strict=True)]
        root = _times(root, 2)
    rest = [*words, *[0] * count]
    for at in range(len(words)):
        factor = rest[at]
        for place, coefficient in enumerate(divisor):
            rest[at + place] ^= _times(factor, coefficient)
    return bytes(rest[len(words) :])


def _draw(version: int, words: bytes, mask: int) -> Matrix:
    size = 17 + 4 * version
    matrix: Matrix = [[False] * size for _ in range(size)]
    fixed: Matrix = [[False] * size for _ in range(size)]

    def put(y: int, x: int, dark: bool) -> None:
        if 0 <= y < size and 0 <= x < size:
            matrix[y][x], fixed[y][x] = dark, True

    for at in range(size):  # timing
        put(6, at, at % 2 == 0)
        put(at, 6, at % 2 == 0)
    for cy, cx in ((3, 3), (3, size - 4), (size - 4, 3)):  # finders with their separators
        for dy in range(-4, 5):
            for dx in range(-4, 5):
                put(cy + dy, cx + dx, max(abs(dy), abs(dx)) not in (2, 4))
    if version > 1:  # alignment
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                put(size - 7 + dy, size - 7 + dx, max(abs(dy), abs(dx)) != 1)
    for at, dark in enumerate(_format_bits(mask)):  # the format, twice
        put(*((at, 8) if at < 6 else (at + 1, 8) if at < 8 else (8, 7) if at == 8 else (8, 14 - at)), dark)
        put(*((8, size - 1 - at) if at < 8 else (size - 15 + at, 8)), dark)
    put(size - 8, 8, True)
    bits = (bool(word >> shift & 1) for word in words for shift in range(7, -1, -1))
    for y, x in _zigzag(size):
        if not fixed[y][x]:
            matrix[y][x] = next(bits, False) ^ MASKS[mask](y, x)
    return matrix


def _format_bits(mask: int) -> list[bool]:
    """Level L and the mask with their BCH remainder, least significant bit first."""
    data = 0b01 << 3 | mask
    rest = data << 10
    for shift in range(4, -1, -1):
        if rest >> (shift + 10) & 1:
            rest ^= 0b10100110111 << shift
    bits = (data << 10 | rest) ^ 0b101010000010010
    return [bool(bits >> at & 1) for at in range(15)]


def _zigzag(size: int) -> Iterator[tuple[int, int]]:
    """The modules in the order of the data: pairs of columns from the right, upwards and downwards in turn."""
    upwards = True
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        for y in range(size - 1, -1, -1) if upwards else range(size):
            yield y, right
            yield y, right - 1
        upwards = not upwards


def _penalty(matrix: Matrix) -> int:
    """The penalty of ISO/IEC 18004: runs, blocks of 2 x 2, parts that look like a finder, and the share of dark."""
    size = len(matrix)
    total = 0
    for lines in (matrix, [list(column) for column in zip(*matrix, strict=True)]):
        for line in lines:
            run = 1
            for before, now in zip(line, [*line[1:], None], strict=True):
                if now == before:
                    run += 1
                else:
                    total += run - 2 if run >= 5 else 0
                    run = 1
            total += 40 * sum(tuple(line[at : at + 11]) in _LIKE_FINDER for at in range(size - 10))
    for y in range(size - 1):
        for x in range(size - 1):
            total += 3 * (matrix[y][x] == matrix[y][x + 1] == matrix[y + 1][x] == matrix[y + 1][x + 1])
    dark = sum(map(sum, matrix))
    return total + 10 * (abs(20 * dark - 10 * size * size) // (size * size))
