"""The Python client: everything that a browser can do, over the same HTTP and WebSocket.

    async with Client("http://127.0.0.1:8420") as client:
        await client.login("ada", "her secret")
        join = await client.find(mode="duel", size=2)
        async with client.connect(join) as connection:
            async for event in connection:
                ...

Every call raises the LobbyError that the server reports, or Disconnected when there is no answer. This module must
never depend on the rules of a mode, and never print.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import msgspec

from tussle.lobby.addresses import http_address, socket_address
from tussle.lobby.bot_requests import BotsAsked
from tussle.lobby.errors import LobbyError
from tussle.lobby.ids import new_session_token
from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.rules.spring import SpringRun
from tussle.lobby.standings import LeaderboardRow
from tussle.lobby.wire.http_answers import Fork, ForkTree, Join, Login, Me, PlayerProfile
from tussle.lobby.wire.messages import SessionView
from tussle.player.connection import SessionConnection
from tussle.player.http_transport import HttpTransport
from tussle.player.listings import LeaderboardPage, RecordedPage, SessionPage, query, read_pages
from tussle.player.replay_client import ReplayRoomConnection
from tussle.player.transcript import Disconnected

if TYPE_CHECKING:
    import httpx

    from tussle.player.recording_client import Recording
    from tussle.player.scene_client import SessionScene

__all__ = ["FORK_S", "Client"]

FORK_S = 90.0
"""Time that a fork may take [s]: it may wait for other forks, reads an archive, and simulates."""

Seat = TypeVar("Seat", bound=Join)


class Client:
    """One player at one server. Close it with ``aclose``, or use it as an async context manager.

    ``timeout_s`` bounds each call [s]. ``token``: a login token from an earlier login, instead of ``login``. ``rng``
    decides the delays of reconnections; ``transport`` replaces the network in tests.
    """

    def __init__(
        self,
        server_url: str = "http://127.0.0.1:8420",
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        rng: random.Random | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server_url = server_url.rstrip("/")
        self.me: Login | None = None
        self._rng = rng or random.Random()
        self._http = HttpTransport(self.server_url, token=token, timeout_s=timeout_s, transport=transport)

    @property
    def token(self) -> str | None:
        """The login token, a secret; None before a login."""
        return self._http.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._http.token = token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the HTTP connections. Seats are kept."""
        await self._http.aclose()

    # -- account -------------------------------------------------------------------------------

    async def login(
        self,
        name: str | None = None,
        secret: str | None = None,
        *,
        kind: Literal["person", "bot"] = "person",
        skill: str | None = None,
    ) -> Login:
        """Log in; later calls are made as this player.

        With a name and a secret: the first login creates the account. With a name only, or with nothing: a guest.
        ``skill`` records how a bot plays. Raises AuthError if the name belongs to an account with another secret.
        """
        body = {"name": name, "secret": secret, "kind": kind, "skill": skill}
        login = await self._http.post("/api/login", Login, body)
        self.me, self.token = login, login.token
        return login

    async def logout(self) -> None:
        """Delete the login token. Seats and open connections stay. Raises AuthError without a valid login."""
        await self._http.request("POST", "/api/logout")
        self.me, self.token = None, None

    async def whoami(self) -> Me:
        """The account that is logged in. Raises AuthError without a valid login."""
        return await self._http.get("/api/me", Me)

    # -- seats ---------------------------------------------------------------------------------

    async def find(
        self,
        *,
        mode: str = "duel",
        size: int = 2,
        body: str | None = None,
        ready: bool = True,
        bots: bool | None = None,
    ) -> Join:
        """Take a seat in the oldest open lobby of that mode and size, or open one. bots: False: no bots fill a new
        lobby if nobody else comes within ALONE_S.

        Raises Conflict if the player is in a session already.
        """
        asked = {"mode": mode, "size": size, "body": body, "ready": ready, "bots": bots}
        return await self._seat("/api/find", Join, asked)

    async def open(
        self,
        *,
        mode: str = "duel",
        size: int = 2,
        body: str | None = None,
        ready: bool | None = None,
        private: bool | None = None,
        scene: str | None = None,
        template: str | None = None,
        like: str | tuple[str, int] | None = None,
        params: dict[str, Any] | None = None,
        bots: bool | None = None,
    ) -> Join:
        """Open a lobby and take its first seat. Only its token leads to a private lobby. scene: the document that a
        sandbox begins with; template: the name of a scene of the catalogue instead; like: another session instead,
        whose scene it begins with, or ``(session, tick)``: with the bodies where its recording has them at that tick.
        bots: False: no bots fill a public lobby if nobody else comes within ALONE_S.

        Raises Refused (bad_scene, unknown_template), NotFound (no such session, tick_not_recorded), Conflict.
        """
        body_of = {"mode": mode, "size": size, "body": body, "ready": ready, "private": private}
        more = {"scene": scene, "template": template, "like": _likeness(like), "params": params, "bots": bots}
        return await self._seat("/api/open", Join, {**body_of, **more})

    async def create(
        self,
        mode: str = "sandbox",
        *,
        size: int = 1,
        private: bool | None = None,
        scene: str | None = None,
        template: str | None = None,
        like: str | tuple[str, int] | None = None,
        params: dict[str, Any] | None = None,
    ) -> Join:
        """Open a lobby of ``size`` seats that waits until everybody is ready, to build its scene first; see ``open``
        and ``scene``."""
        return await self.open(
            mode=mode, size=size, ready=False, private=private, scene=scene, template=template, like=like,
            params=params,
        )  # fmt: skip

    def scene(self, connection: SessionConnection) -> SessionScene:
        """The scene of a session, to read and, while its lobby waits, to edit."""
        from tussle.player.scene_calls import SceneHttp
        from tussle.player.scene_client import SessionScene

        return SessionScene(SceneHttp(self._http), connection)

    async def join(self, session: str, *, body: str | None = None, ready: bool | None = None) -> Join:
        """Take a seat in that lobby. Raises NotFound, LobbyFull, Conflict."""
        return await self._seat("/api/join", Join, {"session": session, "body": body, "ready": ready})

    async def fill(self, session: str, count: int | None = None, *, skill: str | None = None) -> BotsAsked:
        """Ask for bots in a lobby, as its host: at most ``count``, 0 for no more; without it one for every free seat.
        They are ready, and each gives its seat to a person who comes before the start.

        Raises NotFound, LobbyFull, Refused (not_host), Conflict (not_open, no_bots: no bot process runs),
        RateLimited (bots_busy).
        """
        return await self._http.post(
            f"/api/sessions/{session}/bots", BotsAsked, {"count": count, "skill": skill}
        )

    async def fork(
        self,
        session: str,
        tick: int,
        *,
        seat: int | None = None,
        ready: bool | None = None,
        private: bool | None = None,
    ) -> Fork:
        """Open a lobby whose first state is that of a recorded tick of a session, and take a seat in it: ``seat``, else
        the player's own in that session, else the first one.

        Raises NotFound (no such session, tick_not_recorded), Conflict (in_session, session_over), Refused,
        RateLimited, ProtocolError (damaged_archive).
        """
        body = {"tick": tick, "seat": seat, "ready": ready, "private": private}
        return await self._seat(f"/api/sessions/{session}/fork", Fork, body, timeout_s=FORK_S)

    async def forks(self, session: str) -> ForkTree:
        """The tree of forks that a session is part of. Raises NotFound."""
        return await self._http.get(f"/api/sessions/{session}/forks", ForkTree)

    async def observe(self, session: str) -> Join:
        """Become an observer of that session. Raises NotFound."""
        return await self._seat("/api/observe", Join, {"session": session})

    async def leave(self, session: str) -> None:
        """Give up the seat in that session."""
        await self._http.request("POST", "/api/leave", {"session": session})

    def connect(
        self, join: Join, *, give_up_s: float = 60.0, history: bool = False, network: str | None = None
    ) -> SessionConnection:
        """The connection for a join; enter it with ``async with``. It reconnects by itself, and gives up after
        ``give_up_s`` seconds without a connection. ``history``: begin with every event since the first, instead of the
        whole view. ``network``: a bad network for it only, such as "120ms 40ms 3%" (docs/protocol.md)."""

        async def renew(servers: Sequence[str]) -> tuple[str, str]:
            path = "/api/observe" if join.role == "observer" else "/api/join"
            for address in ("", *map(http_address, servers)):
                try:
                    again = await self._seat(path, Join, {"session": join.session}, server=address)
                except Disconnected as error:
                    unreachable = error
                else:
                    return again.ticket, again.ws_url
            raise unreachable

        return SessionConnection(
            join.ws_url,
            ticket=join.ticket,
            servers=join.servers,
            renew=renew,
            history=history,
            give_up_s=give_up_s,
            rng=self._rng,
            network=network,
        )

    def replay(self, session: str, *, give_up_s: float = 60.0) -> ReplayRoomConnection:
        """Return a connection to the replay room of that session's recording; enter it with ``async with``. It
        reconnects by itself, and gives up after ``give_up_s`` seconds without a connection."""
        return ReplayRoomConnection(
            self.server_url, self.token or "", session, give_up_s=give_up_s, rng=self._rng
        )

    # -- lists ---------------------------------------------------------------------------------

    async def sessions(
        self,
        *,
        mode: str | None = None,
        status: str | None = None,
        search: str | None = None,
        player: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int | None = None,
    ) -> list[SessionView]:
        """The open and running sessions that match, at most ``limit``. ``search``: a part of a token or a player's
        name. ``player``: identity or whole name of somebody who has a seat. ``since``, ``until``: when it was opened,
        began or ended, whichever is last [s since 1970]."""
        asked = query(mode=mode, status=status, search=search, player=player, since=since, until=until)
        return await read_pages(functools.partial(self._http.get, "/api/sessions", SessionPage), asked, limit)

    async def session(self, session: str) -> SessionView:
        """One session. Raises NotFound, also after its keys have expired."""
        return await self._http.get(f"/api/sessions/{session}", SessionView)

    async def catalogue(self) -> dict[str, Any]:
        """The catalogue: bodies, materials, scenes and ready meshes, by id."""
        return await self._http.get("/api/catalogue", dict[str, Any])

    async def leaderboard(self, mode: str) -> list[LeaderboardRow]:
        """The best players of a mode, best first."""
        return (await self._http.get(f"/api/leaderboard/{mode}", LeaderboardPage)).rows

    async def profile(self, player: str) -> PlayerProfile:
        """A player as anybody may see it: ratings by mode and the newest matches, at most 100. ``player``: the
        identity, as in ``Me``, ``SeatView`` and ``LeaderboardRow``. Raises NotFound."""
        return await self._http.get(f"/api/players/{player}", PlayerProfile)

    # -- recordings ----------------------------------------------------------------------------

    async def recording(self, session: str) -> Recording:
        """Open the recording of an ended or running session. Raises NotFound (no_recording)."""
        from tussle.player.recording_client import Recording
        from tussle.player.upload_client import UploadSource

        return await Recording(UploadSource(self._http.fetch, session, self._http.send)).open()

    async def upload_recording(self, path: str, *, title: str = "", listed: bool = True) -> Recording:
        """Upload a recording that no session made, such as one by ``tussle simulate`` or ``Recording.derive``, and open
        it there. path: of the Zarr group, a path or fsspec URL, or of a ZIP archive of one. title: in lists.
        listed: whether lists show it; otherwise only a client that knows its token can read it.

        Raises AuthError without a login, Conflict (too_many_recordings, recordings_full), ProtocolError (bad_upload,
        upload_too_large, damaged_recording), Refused (bad_frames, read_only), RateLimited.
        """
        from tussle.player.upload_client import upload

        token = new_session_token()
        await upload(self._http.send, token, path, title=title, listed=listed)
        return await self.recording(token)

    async def remove_recording(self, recording: str) -> None:
        """Remove an uploaded recording of this player. Raises NotFound (no_recording), Forbidden
        (not_own_recording)."""
        await self._http.request("DELETE", f"/api/recordings/{recording}")

    async def recordings(self, *, player: str | None = None) -> list[dict[str, Any]]:
        """The uploaded recordings that are listed, the last changed first: ``recording`` (its token), ``title``,
        ``name`` of the owner, ``length`` in frames, ``bytes``. player: only those of this player."""
        return (
            await self._http.get("/api/recordings", dict[str, list[dict[str, Any]]], query(player=player))
        )["recordings"]

    async def recorded_sessions(
        self,
        *,
        mode: str | None = None,
        player: str | None = None,
        search: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[RecordedSession]:
        """Public sessions that are over and have a recording, also after their keys have expired, the last ended first.
        player: identity or whole name of somebody who had a seat. since, until: when it ended [s since 1970]."""
        asked = query(kind="sessions", mode=mode, player=player, search=search, since=since, until=until)
        return await read_pages(
            functools.partial(self._http.get, "/api/recordings", RecordedPage), asked, limit
        )

    # -- spring-damper -------------------------------------------------------------------------

    async def begin_spring(self, name: str, *, x: float = 0.0, v: float = 1.0) -> str:
        """Begin a run at x [m], v [m/s]; returns its id. It waits until the two stream solvers are running."""
        return (await self._http.post("/api/springs", dict[str, str], {"name": name, "x": x, "v": v}))["run"]

    async def look_at_spring(self, run: str, after: str = "") -> SpringRun:
        """The steps of a run after the entry ``after``, beside the closed form. Raises NotFound."""
        return await self._http.get(f"/api/springs/{run}", SpringRun, {"after": after})

    # -- operators -----------------------------------------------------------------------------

    async def overview(self) -> dict[str, Any]:
        """Sessions, servers, solvers, players, bans and limits of all servers. Raises Forbidden for other players."""
        return await self._http.get("/api/admin/overview", dict[str, Any])

    async def order(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One of the operators' calls of docs/protocol.md. Raises Forbidden for other players."""
        return await self._http.post(path, dict[str, Any], body)

    async def healthy(self) -> bool:
        """Whether the server answers and accepts players."""
        try:
            await self._http.request("GET", "/healthz")
        except LobbyError:
            return False
        return True

    # -- internals -----------------------------------------------------------------------------

    async def _seat(
        self, path: str, kind: type[Seat], body: dict[str, Any], server: str = "", **more: Any
    ) -> Seat:
        """A seat in a session, from ``server``, else the client's own."""
        join = await self._http.post(server + path, kind, body, **more)
        own = socket_address(server or self.server_url)
        return msgspec.structs.replace(join, ws_url=own) if join.here else join


def _likeness(like: str | tuple[str, int] | None) -> dict[str, Any] | None:
    """The session, and its tick if there is one, that a scene begins with."""
    if like is None or isinstance(like, str):
        return None if like is None else {"session": like}
    session, tick = like
    return {"session": session, "tick": tick}
