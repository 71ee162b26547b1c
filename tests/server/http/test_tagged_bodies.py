"""Answers with a tag: what is compressed again, and what is kept."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from starlette.requests import Request

from tussle.server.http import tagged_bodies
from tussle.server.http.tagged_bodies import TaggedBodies


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": raw})


def test_equal_answers_are_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred clients that ask for a large answer cost one compression; those that accept none cost none. A small one
    is never compressed."""
    calls: list[int] = []
    real = gzip.compress

    def count(data: bytes, *args: Any, **options: Any) -> bytes:
        calls.append(len(data))
        return real(data, *args, **options)

    monkeypatch.setattr(tagged_bodies.gzip, "compress", count)
    bodies, large = TaggedBodies(), {"rows": ["cobble"] * 1000}
    assert bodies.respond(request(), large).headers.get("content-encoding") is None and not calls
    for _ in range(100):
        assert bodies.respond(request(accept_encoding="gzip"), large).headers["content-encoding"] == "gzip"
    assert len(calls) == 1
    assert "content-encoding" not in bodies.respond(request(accept_encoding="gzip"), {"rows": []}).headers


def test_what_is_kept_is_bounded() -> None:
    """A thousand answers that differ leave at most KEPT_BYTES; an answer above that is given, and replaced."""
    bodies = TaggedBodies()
    for number in range(1000):
        answer = bodies.respond(request(), {"number": number, "text": "x" * 10_000})
        assert answer.status_code == 200
    assert sum(len(body.content) for body in bodies._kept.values()) <= tagged_bodies.KEPT_BYTES
    huge = {"text": "x" * (tagged_bodies.KEPT_BYTES + 1)}
    assert bodies.respond(request(), huge).status_code == 200
    bodies.respond(request(), {"number": 1})
    assert len(bodies._kept) == 1


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip;q=0", False),
        ("br, GZIP; q=0.5", True),
        ("gzip ; q=0.000", False),
        ("x-gzip-not", False),
        ("", False),
    ],
)
def test_a_coding_of_quality_zero_is_refused(accepted: str, packed: bool) -> None:
    """Accept-Encoding is read as a list of codings with their quality."""
    answer = TaggedBodies().respond(request(accept_encoding=accepted), {"rows": ["cobble"] * 1000})
    assert ("content-encoding" in answer.headers) == packed


def test_a_tag_is_compared_weakly() -> None:
    """A client has the content if it names the tag with or without ``W/``, or ``*``; not if it has another one."""
    bodies, value = TaggedBodies(), {"rows": [1]}
    tag = bodies.respond(request(), value).headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        assert bodies.respond(request(if_none_match=known), value).status_code == 304, known
    for other in ("", '"x"', '"*"', f'{tag[:-1]}0"'):
        assert bodies.respond(request(if_none_match=other), value).status_code == 200, other
