"""Hand-made WebSocket frames against the library's."""

import pytest
from websockets.frames import Frame, Opcode

from tussle.server.fanout.framing import binary_frame, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_frames_are_those_of_websockets(size: int) -> None:
    """For every length class of RFC 6455 the bytes equal those of the library."""
    payload = b"a" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)
