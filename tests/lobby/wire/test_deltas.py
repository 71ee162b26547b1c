from __future__ import annotations

import base64
import json
import math
import random
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.delta_reference import ReferenceDecoder, Refused
from tests.support.paths import ROOT
from tests.vectors import deltas as vectors
from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire import delta_coder
from tussle.lobby.wire.delta_layout import CODEC, FIRST_CHANCES, is_keyframe
from tussle.lobby.wire.deltas import DeltaDecoder, DeltaEncoder
from tussle.lobby.wire.frames import Frame, Topology, decode_topology, encode_frame, schema_hash

pytestmark = pytest.mark.timeout(600)  # a cold start compiles the encoder

ERROR_M = 1e-4
DOCUMENT = json.loads(vectors.TARGET.read_text())
FRAMES = list(vectors.scripted())


def pair(*, odd: bool = False, compiled: bool = False) -> tuple[DeltaEncoder, DeltaDecoder]:
    encoder, decoder = DeltaEncoder(odd=odd), DeltaDecoder(compiled=compiled)
    encoder.set_topology(vectors.scene())
    decoder.set_topology(vectors.scene())
    return encoder, decoder


def sent(frame: Frame, encoder: DeltaEncoder, *, key: bool = False) -> bytes:
    data = encoder.encode(frame, key=key)
    assert data is not None
    return data


def check_close(shown: Frame | None, frame: Frame) -> None:
    assert shown is not None
    assert (shown.tick, shown.epoch, shown.acks) == (frame.tick, frame.epoch, frame.acks)
    np.testing.assert_array_equal(shown.active, frame.active)
    mask = np.repeat(frame.active, frame.row_counts)
    assert np.isnan(shown.rows[~mask]).all()
    # What docs/protocol.md promises: of each coordinate of a place; of a rotation; of a vertex, along the body's axes.
    off = shown.rows - frame.rows
    for row in (0, 4):
        if mask[row]:
            assert np.abs(off[row]).max() <= 1.01 * ERROR_M
            turn = np.linalg.norm(off[row + 1 : row + 4]) / math.sqrt(2)
            assert turn <= 1.01 * math.sqrt(3) * math.radians(0.05)
    assert np.linalg.norm(off[8:], axis=1).max() <= 1.01 * math.sqrt(3) * ERROR_M


def test_vectors_are_current() -> None:
    """deltas.json is what the encoder makes today; else: python -m tests.vectors.deltas. A changed payload needs
    another ``revision`` in lobby/wire/delta_layout.py."""
    assert vectors.TARGET.read_text() == vectors.build()
    assert DOCUMENT["codec"] == CODEC


@pytest.mark.parametrize("compiled", [False, True])
def test_the_vectors_are_decoded(compiled: bool) -> None:
    """Plain Python and machine code decode every frame to what the vectors say."""
    decoder = DeltaDecoder(compiled=compiled)
    decoder.set_topology(decode_topology(base64.b64decode(DOCUMENT["topology"])))
    for case in DOCUMENT["frames"]:
        shown = decoder.decode(base64.b64decode(case["data"]))
        assert shown is not None
        assert (shown.tick, shown.epoch, shown.version) == (case["tick"], case["epoch"], case["version"])
        assert (shown.keyframe, shown.contacts, list(shown.acks)) == (
            case["keyframe"],
            case["contacts"],
            case["acks"],
        )
        rows = [math.nan if value is None else value for value in case["rows"]]
        np.testing.assert_allclose(shown.rows.ravel(), rows, atol=1e-6)


@pytest.mark.parametrize("case", DOCUMENT["broken"], ids=lambda case: case["name"])
def test_the_broken_vectors_are_refused(case: dict[str, str]) -> None:
    """Bytes that no encoder sends are a ProtocolError, and the decoder then waits for a keyframe."""
    _, decoder = pair()
    for good in DOCUMENT["frames"][: int(case["after"])]:
        decoder.decode(base64.b64decode(good["data"]))
    with pytest.raises(ProtocolError):
        decoder.decode(base64.b64decode(case["data"]))
    assert decoder.decode(base64.b64decode(DOCUMENT["frames"][0]["data"])) is not None


def test_a_chain_shows_every_frame_within_its_error() -> None:
    """Flight, turn, bounce, removal and return, a gap of ticks and an elastic body are shown within the greatest
    error."""
    encoder, decoder = pair()
    for frame in FRAMES:
        check_close(decoder.decode(sent(frame, encoder)), frame)


def test_deltas_are_a_tenth_of_the_frames() -> None:
    """The whole chain takes less than a tenth of the bytes of whole frames."""
    encoder, _ = pair()
    assert 10 * sum(len(sent(frame, encoder)) for frame in FRAMES) < sum(
        len(encode_frame(one)) for one in FRAMES
    )


def test_the_error_is_a_setting() -> None:
    """With a tenth of the error, places are ten times as exact."""
    encoder, decoder = DeltaEncoder(error_m=1e-5, error_deg=0.005), DeltaDecoder()
    encoder.set_topology(vectors.scene())
    decoder.set_topology(vectors.scene())
    for frame in FRAMES:
        shown = decoder.decode(sent(frame, encoder))
        assert shown is not None
        assert np.abs(shown.rows[0] - frame.rows[0]).max() <= 1.01e-5


def test_a_world_at_rest_sends_one_frame_a_second() -> None:
    """Frames that show nothing new are not sent, until the last one is ``alive_ticks`` old. A new input id is sent."""
    encoder, decoder = pair()
    for frame in FRAMES:
        decoder.decode(sent(frame, encoder))
    last = FRAMES[-1]
    quiet = [replace(last, tick=last.tick + 2 * n) for n in range(1, 91)]
    kept = [data for frame in quiet if (data := encoder.encode(frame, alive_ticks=60)) is not None]
    assert len(kept) == 3
    assert max(map(len, kept)) <= 8
    shown = [decoder.decode(data) for data in kept]
    assert [one.tick - last.tick for one in shown if one] == [60, 120, 180]
    acted = replace(quiet[-1], tick=quiet[-1].tick + 2, acks=(7, 2**30 + 1))
    assert encoder.encode(acted, alive_ticks=60) is not None


@pytest.mark.parametrize("source", ["vectors", "a longer chain"])
def test_a_decoder_written_from_the_document_shows_the_same(source: str) -> None:
    """tests/support/delta_reference.py has nothing but docs/protocol.md: its frames equal ours, number by number."""
    encoder, decoder = pair()
    frames = (
        [base64.b64decode(case["data"]) for case in DOCUMENT["frames"]]
        if source == "vectors"
        else [sent(frame, encoder, key=frame.tick % 71 == 0) for frame in vectors.scripted(150)]
    )
    reference = ReferenceDecoder(base64.b64decode(DOCUMENT["topology"]))
    for data in frames:
        ours, theirs = decoder.decode(data), reference.decode(data)
        assert ours is not None
        assert theirs is not None
        assert (theirs.tick, theirs.epoch, theirs.version, theirs.keyframe, theirs.contacts, tuple(theirs.ids)) == (
            ours.tick, ours.epoch, ours.version, ours.keyframe, ours.contacts, ours.acks
        )  # fmt: skip
        assert theirs.distance == pytest.approx(ours.min_distance, rel=1e-12)
        assert theirs.present == ours.active.tolist()
        counts = ours.row_counts or ()
        rows = np.concatenate(
            [
                np.full((n, 3), np.nan) if body is None else body
                for n, body in zip(counts, theirs.rows, strict=True)
            ]
        )
        np.testing.assert_array_max_ulp(
            rows.astype(np.float32)[~np.isnan(rows)], ours.rows[~np.isnan(rows)], 1
        )
        np.testing.assert_array_equal(np.isnan(rows), np.isnan(ours.rows))


@pytest.mark.parametrize("case", DOCUMENT["broken"], ids=lambda case: str(case["name"]))
def test_a_decoder_written_from_the_document_refuses_the_same(case: dict[str, Any]) -> None:
    """What the document says to refuse is refused."""
    reference = ReferenceDecoder(base64.b64decode(DOCUMENT["topology"]))
    for frame in DOCUMENT["frames"][: case["after"]]:
        assert reference.decode(base64.b64decode(frame["data"])) is not None
    with pytest.raises(Refused):
        reference.decode(base64.b64decode(case["data"]))


def test_the_example_in_the_document_is_what_both_decoders_read() -> None:
    """Bytes, numbers and poses of docs/protocol.md, as its text has them."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    example = [
        line
        for line in text.splitlines()
        if line.split(" ")[0] in ("frame", "reads", "shows", "place", "turns")
    ]
    example = example[next(i for i, line in enumerate(example) if line.startswith("frame 04")) :]
    head = {
        "schema": schema_hash(),
        "bodies": [{"id": "a", "kind": "affine", "vertices": 0, "faces": 0, "seat": 0}],
    }
    packed = json.dumps(head).encode()
    topology = struct.pack("<BBHI", 2, 0, 3, len(packed)) + packed.ljust((len(packed) + 3) // 4 * 4, b"\0")
    reference, decoder = ReferenceDecoder(topology), DeltaDecoder()
    decoder.set_topology(decode_topology(topology))
    read: list[str] = []
    frames = 0
    for kind, _, rest in (line.partition(" ") for line in example):
        if kind == "frame":
            assert read == []
            shown, ours = reference.decode(bytes.fromhex(rest)), decoder.decode(bytes.fromhex(rest))
            assert shown is not None
            assert ours is not None
            read = [f"{name}={value}" for name, value in reference.numbers]
            body = reference.bodies[0]
            frames += 1
        elif kind == "reads":
            count = len(rest.split())
            assert rest.split() == read[:count]
            read = read[count:]
        elif kind == "shows":
            assert (
                rest == f"tick {ours.tick} id {ours.acks[0]} level {reference.level} contacts {ours.contacts}"
            )
        elif kind == "place":
            assert [float(number) for number in rest.split()] == body.P
            np.testing.assert_array_equal(np.float32(body.P), ours.rows[0])
        else:
            assert [float(number) for number in rest.split()] == body.Q
    assert frames == 3


def test_a_seat_that_is_taken_begins_a_chain() -> None:
    """The number of seats is fixed in a chain: a frame with another one is a keyframe."""
    encoder, decoder = pair()
    decoder.decode(sent(FRAMES[0], encoder))
    joined = replace(FRAMES[1], acks=(*FRAMES[1].acks, 0, 5))
    data = sent(joined, encoder)
    assert is_keyframe(data)
    check_close(decoder.decode(data), joined)


def test_a_missing_frame_stops_the_chain_until_a_keyframe() -> None:
    """After a gap, frames of the chain show nothing; the next keyframe does."""
    encoder, decoder = pair()
    decoder.decode(sent(FRAMES[0], encoder))
    sent(FRAMES[1], encoder)
    assert decoder.decode(sent(FRAMES[2], encoder)) is None
    assert decoder.waiting
    assert decoder.decode(sent(FRAMES[3], encoder)) is None
    check_close(decoder.decode(sent(FRAMES[4], encoder, key=True)), FRAMES[4])
    check_close(decoder.decode(sent(FRAMES[5], encoder)), FRAMES[5])


def test_late_frames_of_an_older_chain_change_nothing() -> None:
    """On a channel that reorders, a late frame of the chain before the keyframe is ignored."""
    encoder, decoder = pair()
    late = [sent(frame, encoder) for frame in FRAMES[:3]]
    decoder.decode(sent(FRAMES[3], encoder, key=True))
    assert [decoder.decode(data) for data in late[1:]] == [None, None]
    check_close(decoder.decode(sent(FRAMES[4], encoder)), FRAMES[4])


def test_what_begins_a_chain() -> None:
    """The first frame, another epoch, another topology, an older tick and a request begin a new chain."""
    encoder, _ = pair()
    data = [sent(FRAMES[0], encoder), sent(FRAMES[1], encoder)]
    data.append(sent(replace(FRAMES[2], epoch=6), encoder))
    data.append(sent(replace(FRAMES[1], epoch=6), encoder))
    encoder.set_topology(replace(vectors.scene(), version=4))
    data.append(sent(replace(FRAMES[3], epoch=6, version=4), encoder))
    data.append(sent(replace(FRAMES[4], epoch=6, version=4), encoder, key=True))
    assert [is_keyframe(one) for one in data] == [True, False, True, True, True, True]
    assert len({one[1] >> 5 for one in data[-4:]}) == 4  # four numbers in turn


def test_two_encoders_never_share_a_chain() -> None:
    """The numbers of the chains of an odd and an even encoder differ, also after they have gone round."""
    even, _ = pair()
    odd, _ = pair(odd=True)
    numbers = [[sent(FRAMES[0], one, key=True)[1] >> 5 for _ in range(10)] for one in (even, odd)]
    assert not set(numbers[0]) & set(numbers[1])


def test_a_body_that_is_not_rigid_is_refused() -> None:
    """An affine body that is stretched is not sent as rigid; the next frame is a keyframe."""
    encoder, _ = pair()
    sent(FRAMES[0], encoder)
    rows = FRAMES[1].rows.copy()
    rows[1] *= 1.1
    with pytest.raises(ValueError, match="not rigid"):
        encoder.encode(replace(FRAMES[1], rows=rows))
    assert is_keyframe(sent(FRAMES[2], encoder))


def test_frames_of_another_topology_wait() -> None:
    """Without the topology of its version a keyframe shows nothing, and nothing is allocated for it."""
    encoder, _ = pair()
    decoder = DeltaDecoder()
    key = sent(FRAMES[0], encoder)
    assert decoder.decode(key) is None
    decoder.set_topology(Topology(version=2))
    assert decoder.decode(key) is None


def test_any_bytes_give_a_frame_or_an_error() -> None:
    """Damaged frames, in the middle of a chain and at its start, are shown, ignored or refused: 2,000 of them. The
    state stays finite."""
    rng = random.Random(4)
    good = [base64.b64decode(case["data"]) for case in DOCUMENT["frames"]]
    _, decoder = pair(compiled=True)
    shown = 0
    for _ in range(2_000):
        if decoder.waiting:
            decoder.decode(good[0])
        at = rng.randrange(len(good))
        data = bytearray(good[at])
        data[1] = good[0][1]
        if rng.random() < 0.9 and data[0] == 3:
            data[1] += (decoder._number + 1) % 32
        for _ in range(rng.randrange(4)):
            data[rng.randrange(2, len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data += rng.randbytes(rng.randrange(1, 40))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            frame = decoder.decode(bytes(data))
        except ProtocolError:
            continue
        if frame is not None:
            shown += 1
            assert np.isfinite(frame.rows[np.repeat(frame.active, frame.row_counts)]).all()
    assert shown > 100


def test_the_codec_is_named_by_its_layout() -> None:
    """The name that clients offer changes with the layout: it is made from the fields, not written by hand."""
    assert CODEC.startswith("delta-")
    assert (
        2 * delta_coder.CONTEXTS + delta_coder.LIMIT + 1 + 10 * len(FIRST_CHANCES) == delta_coder.MODEL_SIZE
    )
