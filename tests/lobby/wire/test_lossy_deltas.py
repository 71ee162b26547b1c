"""Delta frames of a data channel: loss, order, references, and bytes that no encoder sends."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.support.delta_reference import LossyReference
from tests.vectors import deltas as vectors
from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.delta_layout import LOSSY, LOSSY_KEYFRAME
from tussle.lobby.wire.frames import Frame, encode_frame
from tussle.lobby.wire.lossy_deltas import KEPT_REFERENCES, LossyDecoder, LossyEncoder

pytestmark = pytest.mark.timeout(600)  # a cold start compiles the encoder

FRAMES = list(vectors.scripted())


def pair(*, compiled: bool = False) -> tuple[LossyEncoder, LossyDecoder]:
    encoder, decoder = LossyEncoder(), LossyDecoder(compiled=compiled)
    encoder.set_topology(vectors.scene())
    decoder.set_topology(vectors.scene())
    return encoder, decoder


def check_close(shown: Frame | None, frame: Frame) -> None:
    assert shown is not None
    assert (shown.tick, shown.epoch, shown.acks) == (frame.tick, frame.epoch, frame.acks)
    np.testing.assert_array_equal(shown.active, frame.active)
    for row in (0, 4):
        if frame.active[row // 4]:
            assert np.abs(shown.rows[row] - frame.rows[row]).max() <= 1.01e-4
    assert np.abs(shown.rows[8:] - frame.rows[8:]).max() < 4e-4


@pytest.mark.parametrize("loss", [0.0, 0.03, 0.3])
def test_every_frame_that_arrives_is_shown(loss: float) -> None:
    """Over a line that loses and reorders, with acknowledgements that take four frames, every frame whose reference has
    arrived is shown within the greatest error. It takes less than a third of the bytes of whole frames."""
    chance = random.Random(7)
    encoder, decoder = pair(compiled=True)
    reference, size, shown = 0, 0, 0
    flying: list[tuple[float, bytes, Frame]] = []
    acknowledged: list[tuple[int, int]] = []
    frames = [replace(frame, tick=100 + 2 * n) for n, frame in enumerate(FRAMES[:30] * 20)]
    for n, frame in enumerate(frames):
        reference = next((number for at, number in reversed(acknowledged) if at <= n), 0)
        data = encoder.encode(frame, reference=reference, keep=n % 8 == 0)
        assert data is not None
        size += len(data)
        if chance.random() >= loss:
            flying.append((n + chance.uniform(2.0, 5.0), data, frame))
        for one in sorted(one for one in flying if one[0] <= n):
            flying.remove(one)
            got = decoder.decode(one[1])
            if got is not None:
                check_close(got, one[2])
                shown += 1
            if decoder.kept:
                acknowledged.append((n + 2, decoder.kept))
    assert shown > (1 - loss) * 0.9 * len(frames)
    assert 3 * size < sum(len(encode_frame(frame)) for frame in frames)


def test_frames_that_are_not_kept_can_be_left_out() -> None:
    """What is shown does not depend on the frames between a reference and a frame, nor on their order."""
    encoder, decoder = pair()
    data = [
        encoder.encode(frame, reference=0 if n == 0 else first(encoder), keep=n == 0)
        for n, frame in enumerate(FRAMES[:20])
    ]
    _, other = pair()
    for one in (data[0], data[19]):
        last = other.decode(one or b"")
    for one in (data[0], *data[:0:-1], data[7], data[19]):
        shown = decoder.decode(one or b"")
    assert shown is not None
    assert last is not None
    np.testing.assert_array_equal(shown.rows, last.rows)


def first(encoder: LossyEncoder) -> int:
    """The number of the only reference so far."""
    return next(iter(encoder._references))


def test_a_frame_without_its_reference_shows_nothing() -> None:
    """A decoder that missed the reference, or got another topology since, waits for a keyframe."""
    encoder, decoder = pair()
    key = encoder.encode(FRAMES[0], reference=0)
    following = encoder.encode(FRAMES[1], reference=first(encoder), keep=True)
    assert key is not None
    assert following is not None
    assert (key[0], following[0]) == (LOSSY_KEYFRAME, LOSSY)
    assert decoder.decode(following) is None
    assert decoder.kept == 0
    check_close(decoder.decode(key), FRAMES[0])
    assert decoder.kept == key[1]
    check_close(decoder.decode(following), FRAMES[1])
    assert decoder.kept == following[2]
    decoder.set_topology(vectors.scene())
    assert decoder.decode(following) is None


def test_the_encoder_begins_again_without_the_reference() -> None:
    """A reference that it does not have, another epoch, topology or number of seats give a keyframe, and ``key``."""
    encoder, _ = pair()
    kinds = []

    def note(frame: Frame, **asked: bool) -> None:
        data = encoder.encode(frame, reference=max(encoder._references, default=0), **asked)
        assert data is not None
        kinds.append(data[0])

    note(FRAMES[0])
    note(FRAMES[1])
    note(FRAMES[2], key=True)
    note(replace(FRAMES[3], epoch=6))
    note(replace(FRAMES[4], epoch=6, acks=(1, 2, 3)))
    encoder.set_topology(vectors.scene())
    note(replace(FRAMES[5], epoch=6))
    assert kinds == [6, 5, 6, 6, 6, 6]
    data = encoder.encode(replace(FRAMES[6], epoch=6), reference=99)
    assert data is not None
    assert data[0] == LOSSY_KEYFRAME


def test_a_world_at_rest_is_sent_until_it_has_surely_arrived() -> None:
    """Frames that show nothing new end after a few, since each may be lost; then one in ``alive_ticks``."""
    encoder, _ = pair()
    for n, frame in enumerate(FRAMES):
        encoder.encode(frame, reference=0 if n == 0 else max(encoder._references), keep=n == len(FRAMES) - 1)
    last = FRAMES[-1]
    sent = [
        encoder.encode(
            replace(last, tick=last.tick + 2 * n), reference=max(encoder._references), alive_ticks=60
        )
        for n in range(1, 91)
    ]
    kept = [n for n, data in enumerate(sent) if data]
    assert kept[:3] == [0, 1, 2]
    assert len(kept) == 3 + 2


def test_references_are_bounded() -> None:
    """Keyframes that nobody acknowledges do not fill the memory of either side."""
    encoder, decoder = pair(compiled=True)
    for frame in FRAMES[:20]:
        decoder.decode(encoder.encode(frame, reference=0, key=True) or b"")
    assert len(encoder._references) == len(decoder._references) == KEPT_REFERENCES


def test_a_decoder_written_from_the_document_shows_the_same() -> None:
    """tests/support/delta_reference.py shows and acknowledges what ours does."""
    document = json.loads(vectors.TARGET.read_text())
    reference = LossyReference(base64.b64decode(document["topology"]))
    for case in document["channel"]:
        shown = reference.decode(base64.b64decode(case["data"]))
        assert (None if shown is None else shown.tick, reference.kept) == (case["tick"], case["kept"])
        if shown is not None:
            rows = [value for row in (r for body in shown.rows for r in (body or [])) for value in row]
            ours = [value for value in case["rows"] if value is not None]
            np.testing.assert_allclose(rows, ours, atol=1e-6)


def test_damaged_bytes_change_nothing() -> None:
    """Bytes that no encoder sends are a ProtocolError, and the frame is decoded afterwards as if they had not come."""
    encoder, decoder = pair()
    key = encoder.encode(FRAMES[0], reference=0) or b""
    following = encoder.encode(FRAMES[1], reference=key[1], keep=True) or b""
    decoder.decode(key)
    for bad in (
        b"\5\1", b"\7" + following[1:], b"\6\0" + key[2:], following + bytes(2), following + b"\1" * 9,
        following[:3] + b"\xff\xff\xff\xff",
    ):  # fmt: skip
        with pytest.raises(ProtocolError):
            decoder.decode(bad)
        assert decoder.kept == 0
    check_close(decoder.decode(following), FRAMES[1])
