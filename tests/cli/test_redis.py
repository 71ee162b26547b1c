"""``tussle redis`` prints what redis-cli prints."""

from __future__ import annotations

from typing import Any

import pytest

from tussle.cli.redis import bare_reply, format_reply, split_line


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (None, "(nil)"),
        (7, "(integer) 7"),
        (b"OK", "OK"),
        (b"running", '"running"'),
        (b'say "hi"\n', '"say \\"hi\\"\\n"'),
        (b"\xff\x00", '"\\xff\\x00"'),
        ([], "(empty array)"),
        ([b"a", 2, None], '1) "a"\n2) (integer) 2\n3) (nil)'),
        ([b"0", [b"k1", b"k2"]], '1) "0"\n2) 1) "k1"\n   2) "k2"'),
        ([[b"1-0", [b"t", b"chat"]]], '1) 1) "1-0"\n   2) 1) "t"\n      2) "chat"'),
        (b"# Server\r\nredis_version:7.0.15\r\n", "# Server\nredis_version:7.0.15"),
    ],
)
def test_replies_look_as_in_redis_cli(reply: Any, text: str) -> None:
    assert format_reply(reply) == text


@pytest.mark.parametrize(
    ("reply", "bare"),
    [
        (None, b""),
        (7, b"7"),
        (b"running", b"running"),
        (b"\xff\x00", b"\xff\x00"),
        ([b"a", 2, None], b"a\n2\n"),
        ([b"0", [b"k1", b"k2"]], b"0\nk1\nk2"),
    ],
)
def test_replies_into_a_pipe_are_unformatted(reply: Any, bare: bytes) -> None:
    assert bare_reply(reply) == bare


def test_ten_entries_are_aligned() -> None:
    lines = format_reply([b"x"] * 10).splitlines()
    assert lines[0] == ' 1) "x"' and lines[9] == '10) "x"'


def test_words_are_split_as_in_a_shell() -> None:
    assert split_line("HGETALL '{main}:session:k7qm2xpv'") == ["HGETALL", "{main}:session:k7qm2xpv"]
    with pytest.raises(ValueError, match="quotation"):
        split_line("GET 'open")
