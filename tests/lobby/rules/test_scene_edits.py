"""Documents of a scene: canonical bytes, deltas, and a scene as the sum of its documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tussle.lobby.errors import LobbyError
from tussle.lobby.rules.scene_edits import (
    assemble,
    digest,
    read_scene,
    write_body,
    write_world,
)
from tussle.lobby.rules.scenes import decode_scene

numbers = st.floats(-100, 100) | st.integers(-100, 100)
vectors = st.lists(numbers, min_size=3, max_size=3)
fields = st.fixed_dictionaries(
    {},
    optional={
        "position": vectors,
        "velocity": vectors,
        "kind": st.sampled_from(["affine", "static", "elastic"]),
        "material": st.fixed_dictionaries(
            {"density": st.floats(1, 1000)}, optional={"friction": st.floats(0, 2)}
        ),
        "rotation": st.just([1, 0, 0, 0]) | st.just([0.5, 0.5, 0.5, 0.5]),
        "rail": st.none(),
    },
)
BOX: dict[str, Any] = {
    "shape": {"kind": "box", "params": {"size": [0.2, 0.2, 0.2]}},
    "material": {"density": 400},
}


@settings(deadline=None)
@given(fields, fields)
def test_a_delta_gives_the_bytes_of_the_full_write(before: dict[str, Any], delta: dict[str, Any]) -> None:
    """Fields that are replaced one by one, or with the whole document, give the same bytes and hash."""
    first = write_body("x", None, document={**BOX, **before})
    merged = {**json.loads(first.data), **delta}
    whole = write_body("x", None, document={name: v for name, v in merged.items() if v is not None})
    changed = write_body("x", first.data, delta=delta)
    assert changed == whole
    assert changed.sha256 == digest(changed.data) == whole.sha256


@settings(deadline=None)
@given(fields)
def test_canonical_bytes_are_a_fixed_point(document: dict[str, Any]) -> None:
    """Writing what was written changes nothing, and the document means what it meant."""
    written = write_body("x", None, document={**BOX, **document})
    again = write_body("x", None, document=json.loads(written.data))
    assert again == written
    (meant,) = decode_scene(json.dumps({"bodies": [{**BOX, **document, "id": "x"}]})).bodies
    (means,) = decode_scene(b'{"bodies":[' + written.data + b"]}").bodies
    assert means == meant


def test_equal_documents_have_equal_bytes() -> None:
    """Defaults, the order of names and the form of whole numbers make no difference."""
    texts = (
        {**BOX, "position": [0, 0, 0], "id": "x", "pins": []},
        {"material": {"density": 400.0, "poisson": 0.4}, "shape": BOX["shape"]},
        {**BOX, "position": [-0.0, 0.0, 0.0], "kind": "affine"},
    )
    assert len({write_body("x", None, document=text).data for text in texts}) == 1


def test_a_scene_is_the_sum_of_its_documents() -> None:
    """Splitting a scene and assembling it gives the canonical form of the same scene."""
    text = json.dumps({"bodies": [{**BOX, "id": "b"}, {**BOX, "id": "a", "position": [1, 2, 3]}], "dt": 0.02})
    parts = read_scene(text)
    whole = assemble(parts.world.data, (body.data for body in parts.bodies))
    assert decode_scene(whole) == decode_scene(text)
    assert [body.id for body in parts.bodies] == ["b", "a"] and parts.vertices == 16
    again = read_scene(whole.decode())
    assert assemble(again.world.data, (body.data for body in again.bodies)) == whole
    assert write_world(parts.world.data, delta={"dt": None}).data == b'{"schema":"tussle-scene/1"}'


@pytest.mark.parametrize(
    "delta",
    [{"gravity": [0, -90, 0]}, {"dt": 1}, {"bodies": []}, {"name": "\x1b[31m"}, {"schema": "other/1"}],
)
def test_settings_of_the_world_have_ranges(delta: dict[str, Any]) -> None:
    """A setting out of its range, an unknown one and a hidden character are refused."""
    world = write_world(None, document={})
    with pytest.raises(LobbyError) as refused:
        write_world(world.data, delta=delta)
    assert refused.value.reason in ("bad_scene", "bad_text")


@pytest.mark.parametrize("scale", [1e-4, 0.001, 1, 2.5, 1e4])
def test_a_mesh_of_ones_own_may_have_a_scale(scale: float) -> None:
    """The factor is part of the document and changes no number of vertices."""
    mesh = {"kind": "mesh", "params": {"sha256": "a" * 64, "scale": scale}}
    written = write_body("x", None, document={**BOX, "shape": mesh}, meshes={"a" * 64: 40})
    assert written.vertices == 40
    assert json.loads(written.data)["shape"]["params"]["scale"] == scale


@pytest.mark.parametrize(
    "params", [{"scale": s} for s in (0, -1, 1e-5, 2e4, "2", True, None)] + [{"size": 2}]
)
def test_a_mesh_with_another_parameter_is_refused(params: dict[str, Any]) -> None:
    """A factor out of range, of another type, and any other name."""
    mesh = {"kind": "mesh", "params": {"sha256": "a" * 64, **params}}
    with pytest.raises(LobbyError) as caught:
        write_body("x", None, document={**BOX, "shape": mesh}, meshes={"a" * 64: 40})
    assert (caught.value.reason, caught.value.field) == ("bad_scene", "shape.params")


def test_a_bad_motion_of_pins_is_refused() -> None:
    """An edit checks it as a whole scene does."""
    motion = {"velocity": [1, 0, 0], "until": 2}
    good = BOX | {"pins": [{"vertices": [0, 1], "motion": motion}]}
    assert json.loads(write_body("a", None, document=good).data)["pins"] == good["pins"]
    for pins in ([{"vertices": [0], "motion": {"until": 0}}], [*good["pins"], {"vertices": [1]}]):
        with pytest.raises(LobbyError) as caught:
            write_body("a", None, document=BOX | {"pins": pins})
        assert caught.value.reason == "bad_scene"
