"""Long strings: every string of a request or message is bounded before anything is done with it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import tussle.server.http
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby import names
from tussle.lobby.errors import Refused
from tussle.lobby.names import clean_name
from tussle.lobby.wire.client_messages import ClientMessage
from tussle.lobby.wire.live import LiveMessage
from tussle.lobby.wire.replay import ReplayMessage
from tussle.server.http.requests import StrictRequest
from tussle.server.recordings.uploading import SentFrames

ANY = {"OpenRequest.params", "EditItem.document", "EditItem.delta", "ShapeRequest.params"}
"""Fields of any type. Seating bounds their encoded length and depth (``PARAMS_BYTES``, ``PARAMS_DEPTH``); documents
of a scene and parameters of a shape are decoded by their own types, within the bounds of a message and a document."""

MARKS = "a" + "\u0301" * 20_000 + "\u0316" * 20_000
"""A name whose normal form (NFKC) takes twelve seconds."""


def unbounded(kind: msgspec.inspect.Type, name: str) -> Iterator[str]:
    """The places in a type where a string, list or dict has no largest length."""
    inspect = msgspec.inspect
    match kind:
        case inspect.Metadata():
            yield from unbounded(kind.type, name)
        case inspect.StructType():
            for field in kind.fields:
                yield from unbounded(field.type, f"{kind.cls.__name__}.{field.name}")
        case inspect.UnionType():
            for part in kind.types:
                yield from unbounded(part, name)
        case inspect.StrType() | inspect.BytesType() | inspect.ByteArrayType():
            if kind.max_length is None:
                yield name
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            if kind.max_length is None:
                yield name
            yield from unbounded(kind.item_type, f"{name}[]")
        case inspect.DictType():
            if kind.max_length is None:
                yield name
            yield from unbounded(kind.key_type, f"{name} (key)")
            yield from unbounded(kind.value_type, f"{name}{{}}")
        case inspect.TupleType():
            for number, part in enumerate(kind.item_types):
                yield from unbounded(part, f"{name}[{number}]")
        case inspect.AnyType() | inspect.RawType():
            if name.removesuffix("{}") not in ANY:
                yield f"{name}: any"


def request_types() -> list[type]:
    """Every body that the HTTP API decodes."""
    for module in pkgutil.iter_modules(tussle.server.http.__path__):
        importlib.import_module(f"tussle.server.http.{module.name}")
    found, waiting = [], [StrictRequest]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return found


def test_every_field_of_a_request_or_message_has_a_largest_length() -> None:
    """A string, list or dict without a bound in any decoder of the server fails this test."""
    kinds: list[Any] = [*request_types(), ClientMessage, LiveMessage, ReplayMessage, SentFrames]
    assert len(kinds) > 7
    places = {
        place for kind in msgspec.inspect.multi_type_info(kinds) for place in unbounded(kind, "message")
    }
    assert not places, sorted(places)


def test_the_walk_finds_what_has_no_bound() -> None:
    """The test above would find a string in a list in a struct."""

    class Loose(msgspec.Struct):
        names: list[str]

    (kind,) = msgspec.inspect.multi_type_info([Loose])
    assert set(unbounded(kind, "message")) == {"Loose.names", "Loose.names[]"}


def test_a_name_of_combining_marks_is_refused_before_it_is_normalised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """clean_name refuses a long name by its length alone."""

    class Untouched:
        @staticmethod
        def normalize(*_: str) -> str:
            raise AssertionError("normalised")

    monkeypatch.setattr(names, "unicodedata", Untouched)
    with pytest.raises(Refused) as refusal:
        clean_name(MARKS)
    assert refusal.value.reason == "bad_name"


@pytest.mark.asyncio(loop_scope="module")
async def test_long_strings_are_refused_with_codes(site: Stack) -> None:
    """Names, secrets, tokens, bodies, search text, paths and queries that are too long get 4xx with a short detail."""
    async with Person(site.url) as ada:
        long = "x" * 100_000
        for body in (
            {"name": MARKS},
            {"name": "ada", "secret": long},
            {"kind": long},
            {"skill": long},
            {long: 1},
        ):
            answer = await ada.post("/api/login", body)
            assert 400 <= answer.status_code < 500 and len(answer.content) < 2000, answer.text[:300]
        await ada.login()
        for path, body in (
            ("/api/find", {"mode": long}),
            ("/api/find", {"body": long}),
            ("/api/open", {"params": {long: 1}}),
            ("/api/join", {"session": long}),
            ("/api/observe", {"session": long}),
            ("/api/leave", {"session": long}),
            ("/api/springs", {"name": long}),
        ):
            answer = await ada.post(path, body)
            assert 400 <= answer.status_code < 500 and len(answer.content) < 2000, (path, answer.text[:300])
        for path, status in (
            ("/api/sessions?search=" + "y" * 1000, 422),
            ("/api/sessions?status=" + "y" * 1000, 422),
            ("/api/sessions/" + "y" * 1000, 404),
            ("/api/leaderboard/" + "y" * 1000, 422),
            ("/api/springs/" + "y" * 1000, 422),
            ("/" + "y" * 4000, 414),
            ("/api/sessions?search=" + "y" * 9000, 414),
        ):
            answer = await ada.get(path)
            assert answer.status_code == status and len(answer.content) < 2000, (path[:40], answer.text[:300])
        ada.token = "x" * 5000
        assert (await ada.get("/api/me")).status_code == 401
