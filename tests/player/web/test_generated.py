"""The files that Python generates for the web client are current."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from tests.support import bodies
from tests.support.paths import ROOT
from tests.vectors import frames as vectors
from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.http import asyncapi, openapi
from tussle.server.http.api import described_endpoints

WEB = ROOT / "player" / "web"


def test_message_types_are_current() -> None:
    """messages.ts and replaymessages.ts match lobby/wire/; else: python player/web/generate.py."""
    done = subprocess.run([sys.executable, str(WEB / "generate.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python player/web/generate.py"


def interfaces(name: str) -> dict[str, dict[str, str]]:
    """Of a generated file: interface -> field, with ``?`` if it may be absent -> type."""
    text = (WEB / "src" / name).read_text()
    blocks = re.findall(r"^export interface (\w+) \{\n(.*?)^\}", text, re.M | re.S)
    return {title: dict(re.findall(r"^  (\w+\??): (.*);$", body, re.M)) for title, body in blocks}


def takes_null(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "null" or any(takes_null(one) for one in schema.get("anyOf", ()))


def test_the_types_have_the_fields_of_the_documents() -> None:
    """Every type of what a session, a replay room and HTTP calls send has the fields that the documents say, those that
    may be absent or null are so in both, and no type is missing or alone."""
    spec = importlib.util.spec_from_file_location("tussle_web_generate", WEB / "generate.py")
    assert spec and spec.loader
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    sockets = asyncapi.document(version="")
    calls = openapi.document(described_endpoints(MagicMock(), MagicMock()), version="")
    of_session = [
        message["payload"]
        for title, message in sockets["components"]["messages"].items()
        if title.startswith("session.")
    ]
    named = generator.reached(sockets, generator._refs(of_session))
    of_calls = [
        name for name in generator.reached(calls, generator._refs(calls["paths"])) if name != "Problem"
    ]
    for document, names, files in (
        (sockets, named, ("wire/messages.ts", "generated/eventdata.ts")),
        (calls, of_calls, ("wire/answers.ts", "wire/requests.ts", "wire/messages.ts")),
    ):
        types = {title: fields for file in files for title, fields in interfaces(file).items()}
        assert set(names) <= set(types)
        assert len(names) > 60
        for name in names:
            schema = document["components"]["schemas"][name]
            properties, required = schema.get("properties", {}), schema.get("required", ())
            assert {f"{field}{'' if field in required else '?'}" for field in properties} == set(
                types[name]
            ), name
            for field, text in types[name].items():
                assert takes_null(properties[field.rstrip("?")]) == ("null" in text.split(" | ")), (
                    name,
                    field,
                )
    alone = set(interfaces("wire/messages.ts")) | set(interfaces("generated/eventdata.ts"))
    assert alone - set(named) == {"EventData"}


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
