"""The bridge to the older wire format (BSON, zlib, base64), which keeps every bit."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack
from tussle.lobby.store.store import Store
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody
from tussle.worker.bridge import decode_update, encode_update, mesh_arrays, world_points

DTYPES = st.sampled_from(
    ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f8", ">i4"]
).map(np.dtype)


@given(
    array=DTYPES.flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )
)
def test_an_array_survives_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    """Arrays of every numeric dtype and shape keep their bits, with NaN payloads and signed zeros."""
    about, arrays = decode_update(encode_update({"tick": 7, "session": "k7qm2xpv"}, {"a": array}))
    back = arrays["a"]
    assert about == {"tick": 7, "session": "k7qm2xpv"}
    assert (back.dtype, back.shape) == (array.dtype.newbyteorder("="), array.shape)
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("message", [b"", b"!!!", b"aGVsbG8=", b"eJwDAAAAAAE="])
def test_a_malformed_message_is_refused(message: bytes) -> None:
    """A message of another format raises ValueError."""
    with pytest.raises(ValueError, match="not an update"):
        decode_update(message)


def test_an_array_of_objects_is_refused() -> None:
    """An array of objects is refused, because only plain numbers have a portable layout."""
    with pytest.raises(ValueError, match="plain numbers"):
        encode_update({}, {"a": np.array(["text"])})


def test_points_follow_their_bodies() -> None:
    """Points follow the frame: static ones rest, affine ones are transformed, elastic ones copied; NaN if out."""
    cube = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2]], np.uint32)
    bodies = (
        TopologyBody("ground", "static", cube * 10, faces),
        TopologyBody("a", "affine", cube, faces, seat=0),
        TopologyBody("b", "elastic", cube, faces),
        TopologyBody("c", "affine", cube, faces),
    )
    centre, turn = [5.0, 6.0, 7.0], [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    soft = [[9, 9, 9], [8, 8, 8], [7, 7, 7]]
    rows = np.array([centre, *turn, *soft, *[[np.nan] * 3] * 4], np.float32)
    frame = Frame(tick=3, rows=rows, active=np.array([True, True, False]), row_counts=(4, 3, 4))
    points = world_points(Topology(bodies), frame)
    assert points[:3].tolist() == (cube * 10).tolist()
    assert points[3:6].tolist() == [[5, 6, 7], [5, 7, 7], [4, 6, 7]]
    assert points[6:9].tolist() == soft
    assert np.isnan(points[9:]).all()
    mesh = mesh_arrays(Topology(bodies))
    assert mesh["faces"].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert mesh["points"].shape == points.shape


async def test_a_session_is_bridged(store_url: str, realm: str, store: Store) -> None:
    """A subscriber of the old channel gets the mesh first, then updates with plausible points."""
    async with Stack.up(store_url, realm, BRIDGE_CHANNEL=f"{realm}-updates") as stack:
        server = await stack.server()
        link = await store.link()
        await link.send("SUBSCRIBE", f"{realm}-updates")
        bridge = await stack.worker("bridge", SERVER_URL=server.url)
        bots = await stack.bots(2, 1)
        kinds: list[str] = []
        shapes = set()
        async with asyncio.timeout(90):
            while kinds.count("update") < 10:
                reply = await link.receive(1.0)
                if reply and reply[0] == "message":
                    about, arrays = decode_update(reply[2].encode())
                    kinds.append(about["type"])
                    shapes.add(arrays["points"].shape)
                    assert arrays["points"].dtype == np.float32
        assert await bots.wait(90) == 0
        assert await bridge.end() == 0
        await link.close()
        assert kinds[0] == "mesh" and len(shapes) == 1
        assert "bytes_each" in bridge.output
