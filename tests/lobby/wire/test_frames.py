import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.frames import (
    Frame,
    Topology,
    TopologyBody,
    decode_frame,
    decode_topology,
    encode_frame,
    encode_topology,
    schema_hash,
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    active = np.array(draw(st.lists(st.booleans(), max_size=40)), dtype=np.bool_)
    count = len(active)
    row_counts = draw(st.none() | st.lists(st.integers(0, 9), min_size=count, max_size=count).map(tuple))
    total = 4 * count if row_counts is None else sum(row_counts)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Frame(
        tick=draw(st.integers(0, 2**32 - 1)),
        rows=rng.uniform(-2, 2, (total, 3)).astype(np.float32),
        active=active,
        epoch=draw(st.integers(0, 2**32 - 1)),
        min_distance=draw(st.sampled_from([math.inf, 0.0, 0.25])),
        contacts=draw(st.integers(0, 65535)),
        acks=tuple(draw(st.lists(st.integers(0, 2**32 - 1), max_size=16))),
        version=draw(st.integers(0, 65535)),
        row_counts=row_counts,
    )


def cube(**fields: object) -> TopologyBody:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.uint32)
    return TopologyBody(id="cobble-0", kind="affine", vertices=vertices, faces=faces, seat=0, body="cobble")


@given(frames())
def test_frame_round_trip(frame: Frame) -> None:
    """A frame in single precision decodes to equal values; rows of inactive bodies are NaN."""
    back = decode_frame(encode_frame(frame))
    mask = np.repeat(frame.active, 4 if frame.row_counts is None else frame.row_counts)
    np.testing.assert_array_equal(back.rows[mask], frame.rows[mask])
    assert np.isnan(back.rows[~mask]).all()
    np.testing.assert_array_equal(back.active, frame.active)
    for name in ("tick", "epoch", "min_distance", "contacts", "acks", "version", "row_counts", "keyframe"):
        assert getattr(back, name) == getattr(frame, name)


@given(frames())
def test_half_precision(frame: Frame) -> None:
    """Half precision keeps positions up to 2 m within a millimetre."""
    back = decode_frame(encode_frame(frame, half=True))
    mask = np.repeat(frame.active, 4 if frame.row_counts is None else frame.row_counts)
    assert np.abs(back.rows[mask] - frame.rows[mask]).max(initial=0.0) < 1e-3


@given(frames(), st.data())
def test_damaged_frame(frame: Frame, data: st.DataObject) -> None:
    """A cut or lengthened frame raises ProtocolError; one with a changed byte decodes or raises ProtocolError."""
    whole = encode_frame(frame, half=data.draw(st.booleans()))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ProtocolError):
        decode_frame(whole[:cut])
    with pytest.raises(ProtocolError):
        decode_frame(whole + b"\0\0\0\0")
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = decode_frame(bytes(damaged))
    except ProtocolError:
        return
    assert back.active.shape[0] <= 65535


@given(st.binary(max_size=200))
def test_noise(noise: bytes) -> None:
    """Both decoders decode random bytes or raise ProtocolError."""
    for decode in (decode_frame, decode_topology):
        try:
            decode(noise)
        except ProtocolError:
            continue


@given(st.binary(min_size=1, max_size=80), st.integers(0, 2**32 - 1))
def test_topology_noise_head(noise: bytes, length: int) -> None:
    """A topology with a random head or a wrong length raises ProtocolError."""
    data = bytes((2, 0, 0, 0)) + length.to_bytes(4, "little") + noise
    with pytest.raises(ProtocolError):
        decode_topology(data)


def test_topology_round_trip() -> None:
    """Meshes, seats and kinds are kept, with 16-bit and with 32-bit faces."""
    many = np.zeros((70000, 3), dtype=np.float32)
    wide = TopologyBody("big", "static", many, np.array([[0, 1, 69999]], dtype=np.uint32))
    back = decode_topology(encode_topology(Topology(bodies=(cube(), wide), version=7)))
    assert back.version == 7
    for was, now in zip((cube(), wide), back.bodies, strict=True):
        assert (was.id, was.kind, was.seat, was.body) == (now.id, now.kind, now.seat, now.body)
        np.testing.assert_array_equal(was.vertices, now.vertices)
        np.testing.assert_array_equal(was.faces, now.faces)


@given(st.data())
def test_damaged_topology(data: st.DataObject) -> None:
    """A cut topology raises ProtocolError; one with a changed byte decodes or raises ProtocolError."""
    whole = encode_topology(Topology(bodies=(cube(),)))
    with pytest.raises(ProtocolError):
        decode_topology(whole[: data.draw(st.integers(0, len(whole) - 1))])
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_topology(bytes(damaged))
    except ProtocolError:
        return


def test_sizes() -> None:
    """Six affine bodies cost 24 + 4 per seat + 4 + 288 bytes, or half of the numbers in half precision."""
    frame = Frame(tick=1, rows=np.zeros((24, 3)), active=np.ones(6, dtype=np.bool_), acks=(0,) * 6)
    assert len(encode_frame(frame)) == 24 + 24 + 4 + 288
    assert len(encode_frame(frame, half=True)) == 24 + 24 + 4 + 144


def test_other_schema() -> None:
    """A topology with another schema hash is refused before its arrays are read."""
    data = encode_topology(Topology(bodies=(cube(),)))
    with pytest.raises(ProtocolError) as caught:
        decode_topology(data.replace(schema_hash().encode(), b"0" * 16))
    assert caught.value.reason == "schema_mismatch"
