"""The picture of a recording, and the page that shows a link to one with it: Open Graph tags in the client's page.

    GET /api/recordings/T/picture.png -> Pictures (a child process draws), kept
    GET /r/T                          -> index.html with the title, the players and the address of the picture

A private session has a picture for those who know its token; its page names nobody. Without the store the page comes
without tags. This module must never draw.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tussle.lobby.errors import LobbyError, NotFound
from tussle.lobby.ids import is_session_token
from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.roles import Operation
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.content_headers import has_content
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, address_owner
from tussle.server.http.rights import Rights
from tussle.server.http.static import DIST, answer_file
from tussle.server.limits import PROXIED, request_address
from tussle.server.recordings.pictures import SIZE

__all__ = ["PictureRoutes", "share_routes", "tags_of"]

FIXED, CHANGING = "public, max-age=86400", "no-cache"

NAMES_SHOWN = 4


class PictureRoutes:
    """The call for the picture of a recording."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                path="/api/recordings/{token}/picture.png", operation=Operation.RECORDING, public=self.show,
                summary="The last blow of a recording as a picture of 1200 x 630 pixels", errors=(400, 404, 422),
            )
        ]  # fmt: skip

    async def show(self, request: Request) -> Response:
        pictures, owner = self._backend.pictures, address_owner(request)
        opened = await self._backend.library.open(request.path_params["token"])
        fixed = not opened.live and opened.upload is None
        headers = {
            "etag": f'"{pictures.version(opened)}"',
            "cache-control": FIXED if fixed else CHANGING,
            "x-content-type-options": "nosniff",
        }
        if has_content(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        if not pictures.has(opened):
            self._requests.charge(Resource.PICTURES, Owner.ADDRESS, owner, 1.0)
        picture = await pictures.last_blow(opened)
        most = self._backend.ledger.most(Resource.RECORDING_BYTES, Owner.ADDRESS)
        self._requests.charge(Resource.RECORDING_BYTES, Owner.ADDRESS, owner, min(len(picture), most))
        return Response(picture, media_type="image/png", headers=headers)


def share_routes(backend: Backend, rights: Rights, dist: Path = DIST) -> list[BaseRoute]:
    """The page of a recording, which must come before the other files."""

    async def show(request: Request) -> Response:
        token = request.path_params["token"]
        tags = b""
        if is_session_token(token):
            try:
                tags = tags_of(token, await _row_of(backend, token), _site(backend, request)).encode()
            except LobbyError:  # the page works without them, and says itself what is missing
                tags = b""
        return await run_in_threadpool(answer_file, dist, request, f"r/{token}", tags)

    return [rights.public_route("/r/{token}", Operation.PAGES, show, methods=["GET", "HEAD"])]


def tags_of(token: str, row: RecordedSession | None, site: str) -> str:
    """The tags for pages that show links (https://ogp.me). row: None: nothing is said of the session."""
    title = "A match of Tussle"
    text = "Watch it again: every body, every blow, from any side."
    if row is not None:
        names = [_short(seat.name) for seat in row.seats]
        winner = next((_short(seat.name) for seat in row.seats if seat.seat == row.winner), None)
        title = (
            f"{winner} beat {_listed([name for name in names if name != winner])}"
            if winner
            else _listed(names)
        )
        title = f"{title or winner or 'Nobody'}: a {row.mode} on Tussle"
        text = f"{row.seconds:.0f} s of simulated time. {text}"
    width, height = SIZE
    tags = {
        "og:type": "website", "og:site_name": "Tussle", "og:title": title, "og:description": text,
        "og:url": f"{site}/r/{token}", "og:image": f"{site}/api/recordings/{token}/picture.png",
        "og:image:width": str(width), "og:image:height": str(height),
        "og:image:alt": "The bodies on the mat at the last blow", "twitter:card": "summary_large_image",
    }  # fmt: skip
    return "".join(
        f'<meta property="{name}" content="{html.escape(value)}" />' for name, value in tags.items()
    )


async def _row_of(backend: Backend, token: str) -> RecordedSession | None:
    """The row of a recorded session or, before it is listed, of one that is over. None for a private one."""
    row = await backend.recording_index.row(token)
    if row is not None:
        return row
    try:
        view, private = await backend.views.view_and_privacy(token)
    except NotFound:
        return None
    dt = await backend.views.dt_of(token)
    return None if private else RecordedSession.of(view, length=0, dt=dt)


def _site(backend: Backend, request: Request) -> str:
    """The address of this server as the client of the request knows it, without a final slash."""
    own = backend.address().url
    came = request_address(request.headers.get, proxied=bool(request.scope.get(PROXIED)))
    return came.of_server(own, own, follows=backend.follows_requests).rstrip("/")


def _short(name: str) -> str:
    return name.partition("#")[0]


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence has them, at most NAMES_SHOWN."""
    if len(names) > NAMES_SHOWN:
        return f"{', '.join(names[: NAMES_SHOWN - 1])} and {len(names) - NAMES_SHOWN + 1} others"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
