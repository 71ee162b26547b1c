"""The files that Python generates for the web client are current."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.support import bodies
from tests.support.paths import ROOT
from tests.vectors import frames as vectors
from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.frames import decode_frame, decode_topology

WEB = ROOT / "player" / "web"


def test_message_types_are_current() -> None:
    """messages.ts and replaymessages.ts match lobby/wire/; else: python player/web/generate.py."""
    done = subprocess.run([sys.executable, str(WEB / "generate.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python player/web/generate.py"


def test_vectors_are_current() -> None:
    """frames.json is what the encoder makes today; else: python -m tests.vectors.frames."""
    assert vectors.TARGET.read_text() == vectors.build(), "run: python -m tests.vectors.frames"


def test_portraits_are_current() -> None:
    """src/generated/bodies.json holds the catalogue's meshes; else: python -m tests.support.bodies."""
    assert bodies.TARGET.read_text() == bodies.build(), "run: python -m tests.support.bodies"


def test_python_decodes_the_vectors() -> None:
    """The decoder of lobby/wire/frames.py reads every vector as it is described."""
    document = json.loads(vectors.TARGET.read_text())
    for case in document["frames"]:
        frame = decode_frame(base64.b64decode(case["data"]))
        assert (frame.tick, frame.epoch, frame.version) == (case["tick"], case["epoch"], case["version"]), (
            case["name"]
        )
        assert frame.active.tolist() == case["active"]
        assert list(frame.acks) == case["acks"]
        assert np.array_equal(frame.rows[~np.isnan(frame.rows)], case["sent"])
    for case in document["topologies"]:
        topology = decode_topology(base64.b64decode(case["data"]))
        assert [body.id for body in topology.bodies] == [body["id"] for body in case["bodies"]]


@pytest.mark.parametrize(
    "case", json.loads(vectors.TARGET.read_text())["broken"], ids=lambda case: case["name"]
)
def test_python_refuses_the_broken_vectors(case: dict[str, str]) -> None:
    """The decoder refuses each broken vector."""
    with pytest.raises(ProtocolError):
        decode_frame(base64.b64decode(case["data"]))


def test_lock_names_no_registry() -> None:
    """package-lock.json names no registry address: it installs from any mirror."""
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text()
