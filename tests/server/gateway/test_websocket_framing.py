"""The WebSocket layer against RFC 6455, as bytes on a real server: framing, control frames, reserved bits and opcodes,
fragments, UTF-8 and the close handshake, in the groups of the Autobahn test suite.

A vector is what a client sends after its hello, and what the server answers. Frames are built here, not by a library.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.gateway import GATEWAY_ENVIRONMENT, address, lobby_of_one
from tests.support.stack import Stack

ENVIRONMENT = GATEWAY_ENVIRONMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = bytes.fromhex("37fa213d")
LARGEST = 8192
"""MAX_MESSAGE_BYTES."""

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)

CHOPPED = 64
"""Vectors of at most so many bytes are also sent byte by byte."""

Answer = tuple[str, object]
"""("pong", payload), ("said", at) for a JSON pong, ("error", code) for a JSON error, or ("close", code). "maybe": a
JSON pong that may be missing, as the connection was closed before the message was read."""


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    """One frame of a client; without a mask if ``mask`` is empty."""
    size = len(payload)
    masked = 0x80 if mask else 0
    length = (
        bytes([masked | size])
        if size < 126
        else bytes([masked | 126]) + size.to_bytes(2, "big")
        if size < 65536
        else bytes([masked | 127]) + size.to_bytes(8, "big")
    )
    data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length + mask + data


def say(at: int, size: int = 0) -> bytes:
    """The text of a JSON ping, which the server answers with the same ``at``; ``size``: padded to this many bytes."""
    return json.dumps({"t": "ping", "d": {"at": at}}).encode().ljust(size)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


ACT = b'{"t":"act","id":1,"d":{"kind":"brace"}}'
"""Begins as the messages of the fast path do (server/gateway/socket.py). In a lobby it is refused."""


@dataclass(frozen=True)
class Vector:
    """``answers``: in order; a close is the last one, and without one the connection still works."""

    group: int
    name: str
    sent: bytes
    answers: tuple[Answer, ...]


def closed(code: int) -> tuple[Answer, ...]:
    return (("close", code),)


def pong(payload: bytes = b"") -> Answer:
    return ("pong", payload)


def said(at: int) -> Answer:
    return ("said", at)


def maybe(at: int) -> Answer:
    return ("maybe", at)


def framing() -> Iterator[Vector]:
    for size in (0, 125, 126, 127, 128, LARGEST):
        yield Vector(1, f"text of {size} bytes", frame(TEXT, say(1, size)), (said(1),))
    for opcode, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (LARGEST + 1, 65535, 65536):
            yield Vector(1, f"{name} of {size} bytes", frame(opcode, say(1, size)), closed(1009))
    head = bytes([0x81, 0x80 | 127])
    yield Vector(1, "a length of 2^63 - 1", head + b"\x7f" + b"\xff" * 7 + MASK, closed(1009))
    yield Vector(1, "a length with the highest bit", head + b"\xff" * 8 + MASK, closed(1009))
    yield Vector(1, "two texts at once", frame(TEXT, say(1)) + frame(TEXT, say(2)), (said(1), said(2)))
    yield Vector(1, "an empty text", frame(TEXT), (("error", "bad_json"),))
    yield Vector(1, "an empty binary", frame(BINARY), (("error", "binary_message"),))
    yield Vector(1, "a mask of zeros", frame(TEXT, say(1), mask=b"\0\0\0\0"), (said(1),))
    for opcode, payload in ((TEXT, say(1)), (TEXT, ACT), (PING, b""), (CLOSE, b"\x03\xe8")):
        yield Vector(
            1,
            f"opcode {opcode} without a mask, {payload[:9]!r}",
            frame(opcode, payload, mask=b""),
            closed(1002),
        )


def control() -> Iterator[Vector]:
    for payload in (b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125):
        yield Vector(2, f"ping of {len(payload)} bytes", frame(PING, payload), (pong(payload),))
    for opcode in (PING, PONG):
        yield Vector(2, f"opcode {opcode} of 126 bytes", frame(opcode, b"\xfe" * 126), closed(1002))
        yield Vector(2, f"opcode {opcode} of 65536 bytes", frame(opcode, b"\xfe" * 65536), closed(1009))
    yield Vector(
        2, "unsolicited pongs", frame(PONG) + frame(PONG, b"none asked") + frame(PING, b"a"), (pong(b"a"),)
    )
    ten = [b"payload-%d" % i for i in range(10)]
    yield Vector(2, "ten pings", b"".join(frame(PING, one) for one in ten), tuple(map(pong, ten)))


def reserved_bits() -> Iterator[Vector]:
    for rsv in range(1, 8):
        yield Vector(3, f"text, bits {rsv}", frame(TEXT, say(1), rsv=rsv), closed(1002))
        yield Vector(3, f"ping, bits {rsv}", frame(PING, b"a", rsv=rsv), closed(1002))
    yield Vector(
        3, "after a text", frame(TEXT, say(1)) + frame(TEXT, say(2), rsv=2), (maybe(1), *closed(1002))
    )
    yield Vector(3, "an input", frame(TEXT, ACT, rsv=4), closed(1002))
    yield Vector(3, "binary", frame(BINARY, b"a", rsv=7), closed(1002))
    yield Vector(3, "close", frame(CLOSE, b"\x03\xe8", rsv=1), closed(1002))
    second = frame(CONT, say(1)[9:], rsv=1)
    yield Vector(3, "a continuation", frame(TEXT, say(1)[:9], fin=False) + second, closed(1002))


def opcodes() -> Iterator[Vector]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Vector(4, f"opcode {opcode}", frame(opcode), closed(1002))
        yield Vector(4, f"opcode {opcode} with a payload", frame(opcode, b"reserved"), closed(1002))
        two = frame(TEXT, say(1)) + frame(opcode, b"a") + frame(PING)
        yield Vector(4, f"opcode {opcode} after a text", two, (maybe(1), *closed(1002)))


def fragments() -> Iterator[Vector]:
    text = say(1)
    first, last = frame(TEXT, text[:9], fin=False), frame(CONT, text[9:])
    yield Vector(5, "a ping in two", frame(PING, b"a", fin=False) + frame(CONT, b"b"), closed(1002))
    yield Vector(5, "a pong in two", frame(PONG, b"a", fin=False) + frame(CONT, b"b"), closed(1002))
    yield Vector(5, "a close in two", frame(CLOSE, b"\x03", fin=False) + frame(CONT, b"\xe8"), closed(1002))
    yield Vector(5, "a text in two", first + last, (said(1),))
    yield Vector(5, "a ping between", first + frame(PING, b"a") + last, (pong(b"a"), said(1)))
    yield Vector(5, "a pong between", first + frame(PONG, b"a") + last, (said(1),))
    each = [
        frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=i == len(text) - 1) for i in range(len(text))
    ]
    yield Vector(5, "a byte in each fragment", b"".join(each), (said(1),))
    with_pings = b"".join(part + frame(PING, b"%d" % i) for i, part in enumerate(each[:-1])) + each[-1]
    yield Vector(
        5,
        "a ping after each fragment",
        with_pings,
        (*(pong(b"%d" % i) for i in range(len(each) - 1)), said(1)),
    )
    empty = frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, text)
    yield Vector(5, "empty fragments before", empty, (said(1),))
    yield Vector(
        5, "empty fragments only", frame(TEXT, b"", fin=False) + frame(CONT), (("error", "bad_json"),)
    )
    for fin in (True, False):
        yield Vector(5, f"a continuation of nothing, final {fin}", frame(CONT, text, fin=fin), closed(1002))
        again = frame(TEXT, say(2)) + frame(CONT, text, fin=fin)
        yield Vector(5, f"a continuation after a text, final {fin}", again, (maybe(2), *closed(1002)))
    yield Vector(5, "a text within a text", first + frame(TEXT, say(2)) + last, closed(1002))
    yield Vector(5, "an input within a text", first + frame(TEXT, ACT) + last, closed(1002))
    yield Vector(5, "a binary within a text", first + frame(BINARY, b"a") + last, closed(1002))
    yield Vector(
        5, "a text within a binary", frame(BINARY, b"a", fin=False) + frame(TEXT, text), closed(1002)
    )
    parts = b"".join(frame(CONT, b" " * 4000, fin=False) for _ in range(3))
    yield Vector(5, "fragments of more than a message", first + parts, closed(1009))
    # A server may answer with a code of its own; websockets takes the unfinished message for the fault.
    yield Vector(5, "a close between", first + close(1000), closed(1002))
    bad = first + frame(PING, b"a") + frame(3)
    yield Vector(5, "a reserved opcode between", bad, (pong(b"a"), *closed(1002)))


VALID = (
    "κόσμε", "\u0080", "\u07ff", "\u0800", "\uffff", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\U00010000",
    "\U0010ffff", "\U0001fffe",
)  # fmt: skip
INVALID = {
    "a continuation byte": "80",
    "the last continuation byte": "bf",
    "five continuation bytes": "8080808080",
    "two bytes, cut": "c3",
    "three bytes, cut": "e282",
    "four bytes, cut": "f09f98",
    "five bytes": "f888808080",
    "six bytes": "fc8480808080",
    "fe": "fe",
    "ff": "ff",
    "an overlong slash of two": "c0af",
    "an overlong slash of three": "e080af",
    "an overlong slash of four": "f08080af",
    "an overlong zero": "c080",
    "the largest overlong of two": "c1bf",
    "the largest overlong of three": "e09fbf",
    "the largest overlong of four": "f08fbfbf",
    "the first surrogate": "eda080",
    "the last surrogate": "edbfbf",
    "a pair of surrogates": "eda080edb080",
    "beyond the last character": "f4908080",
    "far beyond the last character": "f7bfbfbf",
    "text after a valid beginning": "cebae1bdb9cf83cebcceb5eda080656469746564",
}


def utf8() -> Iterator[Vector]:
    for text in VALID:
        data = json.dumps({"t": "ping", "d": {"at": 1, text: 1}}, ensure_ascii=False).encode()
        refused: tuple[Answer, ...] = (("error", "bad_message"),)
        yield Vector(6, f"valid, {text.encode().hex()}", frame(TEXT, data), refused)
        middle = data.index(text.encode()) + 1
        split = frame(TEXT, data[:middle], fin=False) + frame(PING, b"a") + frame(CONT, data[middle:])
        yield Vector(6, f"valid, {text.encode().hex()}, a character in two", split, (pong(b"a"), *refused))
    for name, digits in INVALID.items():
        data = bytes.fromhex(digits)
        yield Vector(6, f"invalid, {name}", frame(TEXT, data), closed(1007))
        two = frame(TEXT, data[:1], fin=False) + frame(CONT, data[1:])
        yield Vector(6, f"invalid, {name}, in two", two, closed(1007))
        yield Vector(
            6, f"invalid, {name}, in an input", frame(TEXT, ACT[:-2] + data + ACT[-2:]), closed(1007)
        )


def closing() -> Iterator[Vector]:
    yield Vector(7, "without a code", frame(CLOSE), closed(1005))
    yield Vector(7, "one byte", frame(CLOSE, b"\x03"), closed(1002))
    yield Vector(7, "a reason of 123 bytes", close(1000, b"*" * 123), closed(1000))
    yield Vector(7, "a reason of 124 bytes", close(1000, b"*" * 124), closed(1002))
    yield Vector(
        7, "a reason that is not UTF-8", close(1000, bytes.fromhex("cebae1bdb9eda080")), closed(1007)
    )
    yield Vector(7, "a text after it", close(1000) + frame(TEXT, say(1)), closed(1000))
    yield Vector(7, "an input after it", close(1000) + frame(TEXT, ACT), closed(1000))
    yield Vector(7, "a ping after it", close(1000) + frame(PING, b"a"), closed(1000))
    yield Vector(7, "a second close", close(1000) + close(1001), closed(1000))
    yield Vector(7, "after a text", frame(TEXT, say(1)) + close(1000), (maybe(1), *closed(1000)))
    yield Vector(7, "after a ping", frame(PING, b"a") + close(1000), (pong(b"a"), *closed(1000)))
    for code in (
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        3999,
        4000,
        4999,
    ):
        yield Vector(7, f"code {code}", close(code), closed(code))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Vector(7, f"code {code}, which nobody may send", close(code), closed(1002))


GROUPS = {
    1: framing, 2: control, 3: reserved_bits, 4: opcodes, 5: fragments, 6: utf8, 7: closing,
}  # fmt: skip
"""Number of the section of Autobahn's suite -> its vectors here."""


def sure(answers: tuple[Answer, ...]) -> list[Answer]:
    return [answer for answer in answers if answer[0] != "maybe"]


def whole(answers: tuple[Answer, ...]) -> list[Answer]:
    return [("said", at) if kind == "maybe" else (kind, at) for kind, at in answers]


class Wire:
    """A connection of a seat, as bytes."""

    def __init__(self, site: Stack, hello: dict[str, str]) -> None:
        host, port = address(site)
        self._rest = b""
        self._socket = socket.create_connection((host, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(HANDSHAKE % f"{host}:{port}".encode())
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(4096)
        self.head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        self.send(frame(TEXT, json.dumps({"t": "hello", "d": {"protocol": 1, **hello}}).encode()))
        while (message := self.message())["t"] != "welcome":
            pass
        self.resume: str = message["d"]["resume"]
        self.send(frame(TEXT, say(0)))
        assert self.answers(1) == [said(0)]  # from here on inputs take the fast path

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame of the server, which must be whole, unmasked and without reserved bits; None at the end."""
        head = self._take(2)
        if head is None:
            return None
        assert head[0] & 0xF0 == 0x80, f"not a whole frame, or reserved bits: {head[0]:x}"
        assert head[1] < 128, "a server masks nothing"
        size = head[1]
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8) or b"", "big")
        payload = self._take(size)
        assert payload is not None
        return head[0] & 15, payload

    def _take(self, count: int) -> bytes | None:
        while len(self._rest) < count:
            try:
                more = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError("the server neither answers nor closes") from None
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self._rest, "the connection ended within a frame"
                return None
            self._rest += more
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def message(self) -> dict[str, dict[str, str] | str]:
        """The next JSON message."""
        while True:
            found = self.frame()
            assert found is not None
            if found[0] == TEXT:
                return json.loads(found[1])

    def answers(self, count: int) -> list[Answer]:
        """The next answers, up to the end of the connection."""
        found: list[Answer] = []
        while len(found) < count:
            got = self.frame()
            if got is None:
                return [*found, ("end", None)]
            opcode, payload = got
            if opcode == PONG:
                found.append(("pong", payload))
            elif opcode == CLOSE:
                found.append(("close", int.from_bytes(payload[:2], "big") if payload else 1005))
            elif opcode == TEXT:
                message = json.loads(payload)
                if message["t"] == "pong":
                    found.append(("said", message["d"]["at"]))
                elif message["t"] == "error":
                    found.append(("error", message["d"]["code"]))
        return found


@pytest.mark.parametrize("group", GROUPS)
async def test_the_frames_of_a_group_have_their_answers(site: Stack, group: int) -> None:
    """Each vector gets the answers that RFC 6455 asks for, in one piece and byte by byte; then the connection is
    closed, or works."""
    wrong = []
    async with lobby_of_one(site) as (_, line, _):
        resume = line.resume
        for vector in GROUPS[group]():
            for pieces in (1, len(vector.sent)) if len(vector.sent) <= CHOPPED else (1,):
                with Wire(site, {"resume": str(resume)}) as wire:
                    resume = wire.resume
                    for i in range(pieces):
                        wire.send(vector.sent if pieces == 1 else vector.sent[i : i + 1])
                    ends = vector.answers[-1][0] == "close"
                    answers = wire.answers(len(vector.answers) + ends)
                    if not ends:
                        wire.send(frame(PING, b"still there"))
                        answers += wire.answers(1)
                    last: Answer = ("end", None) if ends else pong(b"still there")
                    if answers not in ([*sure(vector.answers), last], [*whole(vector.answers), last]):
                        wrong.append(f"{vector.name} in {pieces}: {answers}, not {[*vector.answers, last]}")
    assert not wrong, "\n".join(wrong)


async def test_the_server_takes_no_extension_and_the_right_key(site: Stack) -> None:
    """The handshake answers the key as RFC 6455 says, and agrees on no compression, so that bit 1 stays reserved."""
    async with lobby_of_one(site) as (_, line, _):
        with Wire(site, {"resume": str(line.resume)}) as wire:
            assert wire.head.startswith(b"HTTP/1.1 101 ")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in wire.head
            assert b"sec-websocket-extensions" not in wire.head.lower()


async def test_the_groups_are_large_enough() -> None:
    """No group was emptied by mistake."""
    assert {group: len(list(made())) > 7 for group, made in GROUPS.items()} == dict.fromkeys(GROUPS, True)
