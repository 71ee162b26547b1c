"""``build_db.py pull`` reads the catalogue from a folder or an address, atomically."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.conftest import World
from tussle import build_db
from tussle.build_db import SHIPPED, seed
from tussle.lobby.errors import Refused


class Pages(BaseHTTPRequestHandler):
    """Serves the pages that a test has set."""

    pages: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        body = self.pages.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
    Pages.pages.clear()


async def test_a_catalogue_is_pulled_from_an_address(world: World, site: str) -> None:
    """The content equals that of the file; a second pull reports only the change."""
    catalogue = json.loads(SHIPPED.read_text())
    Pages.pages["/catalogue.json"] = SHIPPED.read_bytes()
    await seed(world.store, SHIPPED)
    assert (await seed(world.store, f"{site}/catalogue.json")).changes == []
    catalogue["bodies"][0]["health"] = 1
    Pages.pages["/catalogue.json"] = json.dumps(catalogue).encode()
    summary = await seed(world.store, f"{site}/catalogue.json")
    assert [tuple(change) for change in summary.changes] == [
        ("bodies", "changed", catalogue["bodies"][0]["id"])
    ]


@pytest.mark.parametrize("page", [None, b"{", b"{}", b"[" * 100_000])
async def test_a_broken_page_changes_nothing(world: World, site: str, page: bytes | None) -> None:
    """Missing or broken content is refused, and the old catalogue stays."""
    await seed(world.store, SHIPPED)
    if page is not None:
        Pages.pages["/catalogue.json"] = page
    with pytest.raises(Refused, match=r"catalogue\.json"):
        await seed(world.store, f"{site}/catalogue.json")
    assert (await seed(world.store, SHIPPED)).changes == []


async def test_a_page_that_is_too_large_is_refused(
    world: World, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of a download is bounded."""
    monkeypatch.setattr(build_db, "PULL_BYTES", 1000)
    Pages.pages["/catalogue.json"] = SHIPPED.read_bytes()
    with pytest.raises(Refused, match="bytes"):
        await seed(world.store, f"{site}/catalogue.json")


def test_the_command_pulls(
    store_url: str,
    realm: str,
    site: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``python build_db.py pull PATH`` and ``pull URL`` work; an error exits with 2 and one line."""
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    (tmp_path / "catalogue.json").write_bytes(SHIPPED.read_bytes())
    Pages.pages["/c.json"] = SHIPPED.read_bytes()
    assert build_db.main(["pull", str(tmp_path)]) == 0
    assert build_db.main(["pull", f"{site}/c.json"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert build_db.main(["pull", f"{site}/none.json"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
