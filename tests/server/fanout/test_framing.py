"""Our WebSocket frames against those of the websockets library."""

import pytest
from websockets.frames import Frame, Opcode

from tussle.server.fanout.framing import binary_frame, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_frames_equal_those_of_websockets(size: int) -> None:
    """The bytes are equal for every length class of RFC 6455."""
    payload = b"a" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)
