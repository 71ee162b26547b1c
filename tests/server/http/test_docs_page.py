"""The page /docs, and the two documents behind it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.support.paths import ROOT, VECTORS
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.server.http import openapi
from tussle.server.http.docs_page import DescriptionOnDemand

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_shows_both_documents(site: Stack) -> None:
    """Every call and every message is on the page, which links the documents and has no script."""
    async with Person(site.url) as ada:
        page = await ada.get("/docs")
        calls, sockets = (await ada.get("/openapi.json")).json(), (await ada.get("/asyncapi.json")).json()
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    text = page.text
    assert '<a href="openapi.json">' in text and '<a href="asyncapi.json">' in text and "<script" not in text
    for path, methods in calls["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in text
    for message in sockets["components"]["messages"].values():
        assert f"<code>{message['name']}</code>" in text
    for document in (calls, sockets):
        for name in document["components"]["schemas"]:
            assert f'id="{name}"' in text


async def test_the_files_that_documents_name_are_published(site: Stack) -> None:
    """Each file that the page links is there, as it is in the source. Other names are 404."""
    files = {
        "scene.schema.json": ROOT / "docs" / "scene.schema.json",
        **{name: VECTORS / name for name in ("frames.json", "deltas.json")},
    }
    async with Person(site.url) as ada:
        page = (await ada.get("/docs")).text
        for name, path in files.items():
            answer = await ada.get(f"/docs/{name}")
            assert answer.headers["content-type"].partition(";")[0] == "application/json"
            assert answer.content == path.read_bytes()
            assert f'<a href="./docs/{name}">' in page
        assert (await ada.get("/docs/keys.md")).status_code == 404


async def test_they_are_made_once_at_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts makes none of them, and one that serves makes them outside of its event loop."""
    made: list[threading.Thread] = []
    document = openapi.document

    def noted(*arguments: Any, **options: Any) -> dict[str, Any]:
        made.append(threading.current_thread())
        return document(*arguments, **options)

    monkeypatch.setattr(openapi, "document", noted)
    description = DescriptionOnDemand([], "1")
    assert not made
    first, second = await asyncio.gather(description.get(), description.get())
    assert first is second is await description.get()
    assert len(made) == 1 and made[0] is not threading.current_thread()
