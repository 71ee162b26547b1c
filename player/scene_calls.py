"""The calls of a scene over HTTP, for player/scene_client.py: documents that are read once per version, files.

This module must never edit a scene.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tussle.player.http_transport import HttpTransport

__all__ = ["SceneHttp"]

DOCUMENTS_KEPT = 600
"""Documents of a scene that are kept with their ETags."""

PIECE_BYTES = 2**18
"""What is read of a file at once [B]."""


class SceneHttp:
    """The calls of a scene over HTTP. A document that has not changed is not sent again."""

    def __init__(self, http: HttpTransport) -> None:
        self._http = http
        self._known: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    async def read(self, path: str) -> bytes:
        tag, known = self._known.get(path, ("", b""))
        found = await self._http.get_tagged(path, tag)
        if found is None:
            return known
        self._known[path] = found
        self._known.move_to_end(path)
        if len(self._known) > DOCUMENTS_KEPT:
            self._known.popitem(last=False)
        return found[1]

    async def order(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._http.post(path, dict[str, Any], body)

    async def send_file(self, path: str, query: dict[str, str], file: Path) -> bytes:
        size = (await asyncio.to_thread(file.stat)).st_size
        return await self._http.send("PUT", path, query, file_pieces(file), size)

    async def catalogue(self) -> dict[str, Any]:
        return await self._http.get("/api/catalogue", dict[str, Any])


async def file_pieces(file: Path) -> AsyncIterator[bytes]:
    """The bytes of a file."""
    with await asyncio.to_thread(file.open, "rb") as opened:
        while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
            yield piece
