"""QR codes for terminals, read back module by module."""

from __future__ import annotations

import hashlib

import pytest

from tussle.cli.qr import MASKS, VERSIONS, _draw, _times, _zigzag, matrix_of, terminal_text

URL = "http://192.168.1.20:8420"


@pytest.mark.parametrize("length", [1, 17, 18, 32, 33, 53, 54, 78, 79, 106])
def test_a_code_reads_back_as_its_text(length: int) -> None:
    """The modules in their order have the mode, the length and the bytes, and the codewords are a multiple of the
    generator: all their syndromes are zero."""
    text = (URL * 5)[:length]
    for mask in range(8):
        matrix = matrix_of(text, mask)
        version = (len(matrix) - 17) // 4
        zeros, ones = (_draw(version, fill * 200, mask) for fill in (b"\x00", b"\xff"))
        bits = "".join(
            str(int(matrix[y][x] ^ MASKS[mask](y, x)))
            for y, x in _zigzag(len(matrix))
            if zeros[y][x] != ones[y][x]
        )
        words = [int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8)]
        assert bits[:4] == "0100"
        assert int(bits[4:12], 2) == length
        assert bytes(int(bits[12 + at : 20 + at], 2) for at in range(0, 8 * length, 8)) == text.encode()
        root = 1
        for _ in range(VERSIONS[version - 1][1]):
            syndrome = 0
            for word in words:
                syndrome = _times(syndrome, root) ^ word
            assert syndrome == 0
            root = _times(root, 2)


def test_a_code_is_the_one_that_readers_were_tried_on() -> None:
    """Fixed parts, format and mask of one code, which was compared with another program's."""
    shown = terminal_text(matrix_of(URL, 3))
    assert (
        hashlib.sha256(shown.encode()).hexdigest()
        == "90edae4bb7f3fd199e609b6dcf0fb23f906da605da99e7302dda7ad3e1d671e5"
    )
    assert {len(line) for line in shown.splitlines()} == {29}


def test_a_text_that_is_too_long_is_refused() -> None:
    """Nothing is cut off."""
    with pytest.raises(ValueError, match="107 bytes"):
        matrix_of("x" * 107)
