"""The blocking client, for scripts and notebooks: the asynchronous client behind a background event loop.

    with tussle.connect("http://127.0.0.1:8420") as client:
        with client.find(mode="duel", size=2) as session:
            for event in session:
                if session.my_turn(event):
                    session.act("launch", azimuth=0.0, elevation=10.0, power=1.0)

Each client owns one thread, which runs the loop. A call hands a coroutine to the loop and waits for its result, so it
works where another event loop runs already. This module must never repeat what player/client.py does, and never leave
a thread behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tussle.lobby.bot_requests import BotsAsked
from tussle.lobby.ids import is_session_token
from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.standings import LeaderboardRow
from tussle.lobby.wire.http_answers import ForkTree, Join, Login, Me, PlayerProfile
from tussle.lobby.wire.messages import Event, ObserversData, SessionView
from tussle.player.client import FORK_S, Client
from tussle.player.connection import SessionConnection
from tussle.player.loop_thread import CLOSE_S, ClosesAtExit, LoopThread

if TYPE_CHECKING:
    from tussle.lobby.wire.frames import Frame, Topology
    from tussle.lobby.wire.replay import Bookmark, ReplayReply
    from tussle.player.blocking_recording import BlockingRecording
    from tussle.player.blocking_scene import BlockingScene

__all__ = ["BlockingClient", "BlockingReplayRoom", "BlockingSession", "connect", "recording"]

T = TypeVar("T")


def connect(
    url: str = "http://127.0.0.1:8420",
    name: str | None = None,
    secret: str | None = None,
    *,
    token: str | None = None,
    timeout_s: float = 30.0,
) -> BlockingClient:
    """Connect to a server and log in; returns the client, which is a context manager.

    Without a name the player is a guest. The first login with a name and a secret creates the account. ``token`` is a
    login token from an earlier login, used instead of a name. ``timeout_s`` bounds each call [s]. Raises AuthError for
    a wrong secret and Disconnected if the server does not answer; then nothing is left open.
    """
    client = BlockingClient(url, token=token, timeout_s=timeout_s)
    try:
        if token is None:
            client.login(name, secret)
    except BaseException:
        client.close()
        raise
    return client


def recording(
    where: str, url: str = "http://127.0.0.1:8420", *, timeout_s: float = 30.0
) -> BlockingRecording:
    """Open the recording of a session by its token, from a server, or a recording in files: a Zarr group at a path or
    fsspec URL. Needs no login. Raises NotFound (no_recording), ProtocolError, Disconnected."""
    client = BlockingClient(url, timeout_s=timeout_s)
    try:
        return client._recording(where, client.close)
    except BaseException:
        client.close()
        raise


class BlockingClient(ClosesAtExit):
    """One player at one server. Close it, or use it as a context manager; that closes its sessions too.

    Each call raises the LobbyError that the server reports, Disconnected when there is no answer, and TimeoutError
    after ``timeout_s`` seconds. Ctrl-C during a call cancels the call; the client can still be used. The methods may
    be called from several threads.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8420", *, token: str | None = None, timeout_s: float = 30.0
    ) -> None:
        self._timeout_s = timeout_s
        self._loop = LoopThread()
        self._sessions: weakref.WeakSet[BlockingSession | BlockingReplayRoom] = weakref.WeakSet()
        try:
            self._client = self._loop.run(_make(url, token, timeout_s), "the start of the client", timeout_s)
        except BaseException:
            self._loop.close()
            raise

    def close(self) -> None:
        """Close the sessions' connections, the HTTP connections and the thread. Seats are kept: see ``leave``."""
        if self._loop.closed:
            return
        try:
            for session in list(self._sessions):
                session.close()
            self._loop.run(self._client.aclose(), "the close of the client", CLOSE_S)
        except TimeoutError:
            pass  # the loop's end cancels what is left
        finally:
            self._loop.close()

    @property
    def server_url(self) -> str:
        """The server's address."""
        return self._client.server_url

    @property
    def token(self) -> str | None:
        """The login token, a secret; None before a login."""
        return self._client.token

    @property
    def me(self) -> Login | None:
        """The answer to the login; None before one."""
        return self._client.me

    # -- account -------------------------------------------------------------------------------------

    def login(
        self,
        name: str | None = None,
        secret: str | None = None,
        *,
        kind: Literal["person", "bot"] = "person",
        skill: str | None = None,
    ) -> Login:
        """Log in as another player; see ``Client.login``."""
        return self._call(self._client.login(name, secret, kind=kind, skill=skill), "the login")

    def whoami(self) -> Me:
        """The account: name, rating, and the session that the player is in."""
        return self._call(self._client.whoami(), "the account")

    # -- seats ---------------------------------------------------------------------------------------

    def find(
        self,
        *,
        mode: str = "duel",
        size: int = 2,
        body: str | None = None,
        ready: bool = True,
        bots: bool | None = None,
    ) -> BlockingSession:
        """Take a seat in the oldest open lobby of that mode and size, or open one, and connect to it. See
        ``Client.find``. Raises Conflict if the player is in a session already."""
        finding = self._client.find(mode=mode, size=size, body=body, ready=ready, bots=bots)
        return self._enter(finding, "a seat")

    def open(
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
    ) -> BlockingSession:
        """Open a lobby, take its first seat and connect to it. Only its token leads to a private lobby. See
        ``Client.open``."""
        opening = self._client.open(
            mode=mode, size=size, body=body, ready=ready, private=private, scene=scene, template=template,
            like=like, params=params, bots=bots,
        )  # fmt: skip
        return self._enter(opening, "a new lobby")

    def create(
        self,
        mode: str = "sandbox",
        *,
        size: int = 1,
        private: bool | None = None,
        scene: str | None = None,
        template: str | None = None,
        like: str | tuple[str, int] | None = None,
        params: dict[str, Any] | None = None,
    ) -> BlockingSession:
        """Open a lobby of ``size`` seats to build its scene in, and connect to it: ``session.scene`` edits,
        ``session.run()`` starts. scene: the document that it begins with; template: the name of a scene of the
        catalogue; like: another session, or ``(session, tick)`` of its recording. Raises Conflict if the player
        is in a session already."""
        creating = self._client.create(
            mode, size=size, private=private, scene=scene, template=template, like=like, params=params
        )
        return self._enter(creating, "a new lobby")

    def join(self, session: str, *, body: str | None = None, ready: bool | None = None) -> BlockingSession:
        """Take a seat in that lobby and connect to it. Raises NotFound, LobbyFull, Conflict."""
        return self._enter(self._client.join(session, body=body, ready=ready), f"a seat in {session}")

    def fork(
        self,
        session: str,
        tick: int,
        *,
        seat: int | None = None,
        ready: bool | None = None,
        private: bool | None = None,
    ) -> BlockingSession:
        """Open a lobby whose first state is that of a recorded tick, take a seat in it and connect to it. Raises what
        ``Client.fork`` raises."""
        forking = self._client.fork(session, tick, seat=seat, ready=ready, private=private)
        return self._enter(forking, f"a fork of {session}", timeout_s=FORK_S)

    def forks(self, session: str) -> ForkTree:
        """The tree of forks that a session is part of. Raises NotFound."""
        return self._call(self._client.forks(session), "a tree of forks")

    def observe(self, session: str, *, history: bool = False) -> BlockingSession:
        """Connect to a session as an observer. ``history``: begin with its first event. Raises NotFound."""
        return self._enter(self._client.observe(session), f"a place in {session}", history=history)

    def leave(self, session: str) -> None:
        """Give up the seat in that session."""
        self._call(self._client.leave(session), f"the end of the seat in {session}")

    def replay(self, session: str) -> BlockingReplayRoom:
        """Join the replay room of that session's recording. Raises Disconnected if it cannot be joined."""
        room = BlockingReplayRoom(self._loop, self._client, session, self._timeout_s)
        self._sessions.add(room)
        return room

    # -- lists ---------------------------------------------------------------------------------------

    def sessions(
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
        """The open and running sessions that match, at most ``limit``; see Client.sessions."""
        listing = self._client.sessions(
            mode=mode, status=status, search=search, player=player, since=since, until=until, limit=limit
        )
        return self._call(listing, "the list of sessions")

    def session(self, session: str) -> SessionView:
        """One session. Raises NotFound, also after its keys have expired."""
        return self._call(self._client.session(session), f"the view of {session}")

    def catalogue(self) -> dict[str, Any]:
        """The catalogue: bodies, materials, scenes and ready meshes, by id."""
        return self._call(self._client.catalogue(), "the catalogue")

    def leaderboard(self, mode: str) -> list[LeaderboardRow]:
        """The best players of a mode, best first."""
        return self._call(self._client.leaderboard(mode), f"the leaderboard of {mode}")

    def profile(self, player: str) -> PlayerProfile:
        """A player as anybody may see it: ratings and the newest matches. Raises NotFound."""
        return self._call(self._client.profile(player), f"the profile of {player}")

    def recording(self, where: str) -> BlockingRecording:
        """Open the recording of an ended or running session, or one in files, as ``tussle.recording`` does."""
        return self._recording(where, lambda: None)

    def _recording(self, where: str, close: Callable[[], None]) -> BlockingRecording:
        from tussle.player.blocking_recording import BlockingRecording
        from tussle.player.recording_client import Recording, WritableFiles

        if is_session_token(where):
            found = self._call(self._client.recording(where), f"the recording of {where}")
        else:
            found = Recording(WritableFiles(where))
        return BlockingRecording(self._run_unbounded, found, close)

    def _run_unbounded(self, coroutine: Coroutine[Any, Any, T], what: str) -> T:
        return self._loop.run(coroutine, what, None)  # each request has a limit of its own

    def upload_recording(self, path: str, *, title: str = "", listed: bool = True) -> BlockingRecording:
        """Upload a recording that no session made, and open it there; see ``Client.upload_recording``."""
        from tussle.player.blocking_recording import BlockingRecording

        uploading = self._client.upload_recording(path, title=title, listed=listed)
        return BlockingRecording(self._run_unbounded, self._run_unbounded(uploading, "the upload"))

    def remove_recording(self, recording: str) -> None:
        """Remove an uploaded recording of this player; see ``Client.remove_recording``."""
        self._call(self._client.remove_recording(recording), "the removal of a recording")

    def recordings(self, *, player: str | None = None) -> list[dict[str, Any]]:
        """The uploaded recordings that their owners list, the last changed first; see ``Client.recordings``."""
        return self._call(self._client.recordings(player=player), "the list of recordings")

    def recorded_sessions(self, **choice: Any) -> list[RecordedSession]:
        """Public sessions that are over and have a recording; see ``Client.recorded_sessions``."""
        return self._call(self._client.recorded_sessions(**choice), "the list of recordings")

    def healthy(self) -> bool:
        """Whether the server answers and accepts players."""
        return self._call(self._client.healthy(), "the server's health")

    # -- internals -----------------------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, T], what: str) -> T:
        return self._loop.run(coroutine, what, self._timeout_s)

    def _enter(
        self,
        joining: Coroutine[Any, Any, Join],
        what: str,
        *,
        history: bool = False,
        timeout_s: float | None = None,
    ) -> BlockingSession:
        join = self._loop.run(joining, what, timeout_s or self._timeout_s)
        session = BlockingSession(self._loop, self._client, join, self._timeout_s, history=history)
        self._sessions.add(session)
        return session


class BlockingSession(ClosesAtExit):
    """A connected session. ``BlockingClient`` makes it. Iterate it for the session's events, each once, in order.

    Close it, or use it as a context manager. Closing keeps the seat: ``leave`` gives it up. The connection
    reconnects by itself; a call waits during a reconnection.
    """

    def __init__(
        self, loop: LoopThread, client: Client, join: Join, timeout_s: float, *, history: bool
    ) -> None:
        self._loop = loop
        self._client = client
        self._scene: BlockingScene | None = None
        self._timeout_s = timeout_s
        self._connection, self._held, self._closing = loop.run(
            _hold_open(client, join, history), f"the connection to {join.session}", timeout_s
        )

    def close(self) -> None:
        """Close the connection; the seat is kept. Closing twice is allowed."""
        if self._loop.closed:
            return
        with contextlib.suppress(TimeoutError):
            self._loop.run(_release(self._held, self._closing), "the close of the connection", CLOSE_S)

    # -- state ---------------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """The session's token: other players join with it."""
        return self._connection.session

    @property
    def seat(self) -> int | None:
        """This player's seat; None for an observer."""
        return self._connection.seat

    @property
    def connected(self) -> bool:
        """Whether the connection is open now."""
        return self._connection.connected

    @property
    def closed(self) -> bool:
        """Whether the connection is over and does not come back."""
        return self._connection.closed

    @property
    def view(self) -> SessionView | None:
        """The session as of the last whole view; later events are not applied to it."""
        return self._connection.view

    @property
    def observers(self) -> ObserversData:
        """How many observers there are, and the first of their names."""
        return self._connection.observers

    @property
    def frame(self) -> Frame | None:
        """The newest frame: positions of all vertices at a tick. None before the first."""
        return self._on_loop(lambda: self._connection.frame)

    @property
    def topology(self) -> Topology | None:
        """The meshes that the frames move. None before they have arrived."""
        return self._on_loop(lambda: self._connection.topology)

    def my_turn(self, event: Event) -> Mapping[str, Any] | None:
        """What this seat may act on, if ``event`` says that it may act now; else None."""
        return self._connection.my_turn(event)

    # -- the scene -----------------------------------------------------------------------------------

    @property
    def scene(self) -> BlockingScene:
        """The scene: read it at any time, edit it while the lobby waits. See BlockingScene."""
        if self._scene is None:
            from tussle.player.blocking_scene import BlockingScene

            scene = self._client.scene(self._connection)

            def run(coroutine: Coroutine[Any, Any, T], what: str) -> T:
                return self._loop.run(coroutine, self._naming(what), None)  # each call has a limit of its own

            self._scene = BlockingScene(run, scene)
        return self._scene

    def lock(self, *bodies: str) -> contextlib.AbstractContextManager[None]:
        """Lock bodies of the scene for several edits: ``with session.lock("body-3"): ...``. They are released
        afterwards, also after an exception. Raises Conflict (body_locked) with the name of the holder."""
        return self.scene.lock(*bodies)

    def run(self, timeout_s: float | None = None) -> BlockingSession:
        """Declare this seat ready, and wait until the session runs: at once if all seats are taken and the others are
        ready. Returns the session. Raises TimeoutError, and Disconnected if the session ends before."""
        self.ready()
        self.wait_for("running", timeout_s=self._timeout_s if timeout_s is None else timeout_s)
        return self

    # -- events and frames ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event]:
        """The events, without a timeout. Ends with the session; raises Disconnected when the client gives up."""
        return self.events()

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """The events. Raises TimeoutError if one takes longer than ``timeout_s``; a new iterator continues."""
        while (event := self.next_event(timeout_s)) is not None:
            yield event

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when the session has ended. Raises TimeoutError and Disconnected."""
        return self._loop.run(self._connection.next_event(), self._naming("the next event"), timeout_s)

    def wait_for(self, *types: str, timeout_s: float | None = None) -> Event:
        """Skip events until one of a type in ``types``, and return it.

        Raises TimeoutError after ``timeout_s`` in all, and Disconnected if the session ends first.
        """
        names = " or ".join(types)
        return self._loop.run(self._connection.wait_for(*types), self._naming(names), timeout_s)

    def frames(self, timeout_s: float | None = None) -> Iterator[Frame]:
        """Frames as they arrive, always the newest: a slow reader skips. Ends with the connection."""
        frame: Frame | None = None
        while (frame := self._next_frame(frame, timeout_s)) is not None:
            yield frame

    def _next_frame(self, after: Frame | None, timeout_s: float | None) -> Frame | None:
        return self._loop.run(self._connection.next_frame(after), self._naming("the next frame"), timeout_s)

    # -- commands ------------------------------------------------------------------------------------

    def act(self, kind: str, /, **numbers: Any) -> int | None:
        """Act in the world; returns the first tick that the input acts in.

        Raises NotYourTurn, Refused (its ``field`` names the number) and other errors of the server. After Disconnected
        or TimeoutError the action may have happened.
        """
        return self._call(self._connection.act(kind, **numbers), f"the answer to {kind}")

    def chat(self, text: str) -> None:
        """Say something to all members."""
        self._call(self._connection.chat(text), "the answer to chat")

    def ready(self, ready: bool = True) -> None:
        """Declare whether this seat is ready; the session starts when all are."""
        self._call(self._connection.ready(ready), "the answer to ready")

    def choose(self, body: str) -> None:
        """Choose a body while the lobby waits."""
        self._call(self._connection.choose(body), "the answer to choose")

    def fill(self, count: int | None = None, *, skill: str | None = None) -> BotsAsked:
        """Ask for bots in this lobby, as its host: at most ``count``, 0 for no more; without it one for every free
        seat. skill: dummy, random, novice, fair, good, sharp, planner or taught. Raises what ``Client.fill`` raises."""
        return self._call(self._client.fill(self.token, count, skill=skill), "bots")

    def leave(self) -> None:
        """Give up the seat; the connection closes and does not come back."""
        self._call(self._connection.leave(), "the answer to leave")

    def ping(self) -> float:
        """The round-trip time to the server [s]."""
        return self._call(self._connection.ping(), "the answer to a ping")

    # -- internals -----------------------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, T], what: str) -> T:
        return self._loop.run(coroutine, self._naming(what), self._timeout_s)

    def _naming(self, what: str) -> str:
        return f"{what} in session {self._connection.session}"

    def _on_loop(self, read: Callable[[], T]) -> T:
        async def call() -> T:
            return read()

        return self._call(call(), "the state")


class BlockingReplayRoom(ClosesAtExit):
    """One member of a replay room. ``BlockingClient`` makes it. Iterate it for the room's messages.

    ``state`` has the presented frame, the members, bookmarks and views. Close it, or use it as a context manager.
    """

    def __init__(self, loop: LoopThread, client: Client, session: str, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self.state = client.replay(session)
        """The connection behind it; read its attributes only."""
        self._call(self.state.__aenter__(), "the welcome")

    def close(self) -> None:
        """Leave the room. Closing twice is allowed."""
        if self._loop.closed:
            return
        with contextlib.suppress(TimeoutError):
            self._loop.run(self.state.__aexit__(None, None, None), "the close of the room", CLOSE_S)

    def __iter__(self) -> Iterator[ReplayReply]:
        """The messages, without a timeout. Raises Disconnected when the client gives up."""
        while True:
            yield self.next_message()

    def next_message(self, timeout_s: float | None = None) -> ReplayReply:
        """Return the next message; of the scrubs that wait, only the newest. Raises TimeoutError and Disconnected."""
        return self._loop.run(self.state.next_message(), "the next message of the room", timeout_s)

    def present(self) -> int:
        """Become the presenter, until ``release``; see ``ReplayRoomConnection.present``."""
        return self._call(self.state.present(), "the presenter's token")

    def release(self) -> None:
        """Give the presenter's token back."""
        self._call(self.state.release(), "the release")

    def scrub(self, frame: int, *, playing: bool = False, speed: float = 1.0) -> None:
        """Show a frame to all members. Raises Conflict without the presenter's token."""
        self._call(self.state.scrub(frame, playing=playing, speed=speed), "a scrub")

    def bookmark(self, name: str, frame: int | None = None) -> Bookmark:
        """Keep a bookmark; see ``ReplayRoomConnection.bookmark``."""
        return self._call(self.state.bookmark(name, frame), "the bookmark")

    def chat(self, text: str) -> None:
        """Send a line of chat to all members of the room."""
        self._call(self.state.chat(text), "the answer to chat")

    def _call(self, coroutine: Coroutine[Any, Any, T], what: str) -> T:
        return self._loop.run(coroutine, f"{what} in the replay room", self._timeout_s)


async def _make(url: str, token: str | None, timeout_s: float) -> Client:
    return Client(url, token=token, timeout_s=timeout_s)


async def _hold_open(
    client: Client, join: Join, history: bool
) -> tuple[SessionConnection, asyncio.Task[None], asyncio.Event]:
    """Open a connection in a new task: the task that enters a task group must also leave it."""
    connection = client.connect(join, history=history)
    opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    closing = asyncio.Event()

    async def hold() -> None:
        try:
            async with connection:
                opened.set_result(None)
                await closing.wait()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)

    task = asyncio.create_task(hold(), name="blocking-session")
    try:
        await opened
    except BaseException:
        task.cancel()
        raise
    return connection, task, closing


async def _release(task: asyncio.Task[None], closing: asyncio.Event) -> None:
    closing.set()
    await task
