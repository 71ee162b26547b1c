"""The HTTP call that lists recordings: those that players uploaded, and those of sessions.

    GET /api/recordings                  uploads that their owners list, the last changed first
    GET /api/recordings?kind=sessions    recorded public sessions, the last ended first, in pages

Both read the store only, a bounded number of rows for each call; what the client has is not sent again. This module
must never read a file of a recording.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import Refused
from tussle.lobby.ids import is_session_token
from tussle.lobby.recorded_sessions import MOST_ROWS, RecordingChoice
from tussle.lobby.roles import Operation
from tussle.server.costs import Owner, Resource
from tussle.server.http.backend import Backend
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.requests import Requests, address_owner, query_text
from tussle.server.http.tagged_bodies import TaggedBodies
from tussle.server.recordings.library import describe_upload

__all__ = ["RecordingLists"]

TIME_DIGITS = 15

SEARCH_COST = 10.0
"""What a list costs more than any list if many rows may be read for a page, in units of Resource.REQUESTS."""


class RecordingLists:
    """The call that lists recordings."""

    def __init__(self, backend: Backend, requests: Requests) -> None:
        self._backend = backend
        self._requests = requests
        self._bodies = TaggedBodies()

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                path="/api/recordings", operation=Operation.LIST, public=self.show,
                summary="Uploaded recordings, the last changed first, or recorded sessions, the last ended first",
                errors=(422,),
                query={
                    "kind": "uploads (default) or sessions", "player": "only those of this player",
                    "before": "uploads: changed before this time [ms since 1970]",
                    "mode": "sessions: only of this mode", "search": "sessions: a part of a name, token or mode",
                    "since": "sessions: ended at this time or later [ms since 1970]",
                    "until": "sessions: ended at this time or earlier [ms since 1970]",
                    "limit": f"sessions: most rows, 1 to {MOST_ROWS}",
                    "cursor": "sessions: the `next` of the page before",
                },
            )
        ]  # fmt: skip

    async def show(self, request: Request) -> Response:
        kind = query_text(request, "kind", 16) or "uploads"
        if kind == "uploads":
            return await self._show_uploads(request)
        if kind != "sessions":
            raise Refused("kind is uploads or sessions", code="bad_query", field="kind")
        choice = _choice(request)
        if choice.searches:
            self._charge(request)
        rows, following = await self._backend.recording_index.page(choice)
        return self._bodies.respond(request, {"recordings": rows, "next": following})

    async def _show_uploads(self, request: Request) -> Response:
        before, player = _time(request, "before"), query_text(request, "player")
        if player:
            self._charge(request)
        found = await self._backend.uploads.listed(player=player, before=before)
        return self._bodies.respond(request, {"recordings": [describe_upload(upload) for upload in found]})

    def _charge(self, request: Request) -> None:
        self._requests.charge(Resource.REQUESTS, Owner.ADDRESS, address_owner(request), SEARCH_COST)


def _choice(request: Request) -> RecordingChoice:
    """Raises Refused for a bad time, limit or cursor."""
    limit = query_text(request, "limit", 3) or str(MOST_ROWS)
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_ROWS):
        raise Refused(f"limit is a number from 1 to {MOST_ROWS}", code="bad_page", field="limit")
    cursor = query_text(request, "cursor")
    at, _, session = cursor.partition(".")
    if cursor and not (_is_time(at) and is_session_token(session)):
        raise Refused("not a cursor of a list", code="bad_page", field="cursor")
    return RecordingChoice(
        query_text(request, "mode"),
        query_text(request, "player"),
        query_text(request, "search"),
        _time(request, "since"),
        _time(request, "until"),
        int(limit),
        (int(at), session) if cursor else None,
    )


def _time(request: Request, name: str) -> int:
    """A time in milliseconds since 1970; 0 if there is none."""
    text = query_text(request, name)
    if text and not _is_time(text):
        raise Refused(f"{name} is a time in milliseconds since 1970", code="bad_page", field=name)
    return int(text or 0)


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= TIME_DIGITS
