"""Limits of request bodies: size, nesting, and arrival in pieces."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.http import http_client
from tests.support.stack import Stack
from tests.support.stranger import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")


def nested(depth: int) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for _ in range(depth):
        params = {"a": [params]}
    return params


@pytest.mark.parametrize("params", [nested(150), nested(4), {"a": "x" * 5000}, {"a": [0] * 3000}])
async def test_large_params_of_a_lobby_are_refused(site: Stack, params: dict[str, Any]) -> None:
    """Deep or long ``params`` are refused, and no lobby is opened."""
    async with Person(site.url) as ada, http_client() as http:
        await ada.login()
        answer = await ada.post("/api/open", {"params": params})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_params")
        assert answer.json()["field"] == "params"
        assert "not parameters of" not in answer.json()["detail"], "refused before the mode reads them"
        assert (await http.get(f"{site.url}/api/sessions")).status_code == 200
        assert "session" in await ada.ask("/api/open", params={"turn_s": 30}, private=True)


@pytest.mark.parametrize("size", [70_000, 300_000, 1_000_000])
async def test_a_long_body_in_one_piece_with_its_head_is_answered(site: Stack, size: int) -> None:
    """A body up to the limit, sent together with its head, is answered, and the connection stays open."""
    parts = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=4 * size)
    body = json.dumps({"name": "x" * size}).encode()
    head = f"POST /api/login HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    try:
        async with asyncio.timeout(30.0):
            for _ in range(3):
                writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 422")), answer
                length = re.search(rb"content-length: (\d+)", answer.lower())
                assert length is not None
                await reader.readexactly(int(length[1]))
    finally:
        writer.close()
