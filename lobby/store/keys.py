"""The names of all keys and channels in the store. docs/keys.md describes what each key holds.

Every name begins with the realm's hash tag, so that a Redis Cluster keeps all keys of a realm on one node and a script
may use several of them. No other module may spell a key.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Keys"]


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one realm. ``{main}:session:k7qm2xpv`` and so on."""

    realm: str = "main"

    @property
    def prefix(self) -> str:
        """The prefix of every key of the realm: its hash tag and a colon."""
        return f"{{{self.realm}}}:"

    def _key(self, name: str) -> str:
        return self.prefix + name

    # players
    def player(self, player: str) -> str:
        """hash: name kind secret_hash session xp played won guest skill created_at operator banned_until, and
        mu.<mode> sigma.<mode> rating.<mode> played.<mode>"""
        return self._key(f"player:{player}")

    def matches(self, player: str) -> str:
        """list: JSON of each ended session of a player, the newest first; lives as long as the player"""
        return self._key(f"player:{player}:matches")

    @property
    def players_by_name(self) -> str:
        """hash: name_key of a name (lobby/names.py) -> player id"""
        return self._key("players:by-name")

    def guest_name(self, words: str) -> str:
        """string + TTL: player id of the guest that has these two words as its name; words: name_key of the name"""
        return self._key(f"guest-name:{words}")

    @property
    def operators(self) -> str:
        """set: players whose hash has operator = 1"""
        return self._key("operators")

    @property
    def banned(self) -> str:
        """zset: player id -> end of its ban [ms]; the hash's banned_until decides"""
        return self._key("banned")

    @property
    def banned_addresses(self) -> str:
        """zset: address -> end of its ban [ms]"""
        return self._key("banned-addresses")

    def guesses(self, name_hash: str) -> str:
        """string + PX: when all guesses of the secret of a name are allowed again [ms]"""
        return self._key(f"guesses:{name_hash}")

    def login(self, token_hash: str) -> str:
        """string + TTL: player id"""
        return self._key(f"login:{token_hash}")

    def ticket(self, ticket_hash: str) -> str:
        """string + TTL, taken by GETDEL: JSON {session, player, seat, role}"""
        return self._key(f"ticket:{ticket_hash}")

    # catalogue and standings
    def catalogue(self, kind: str) -> str:
        """hash: id -> JSON; kind is bodies, materials or scenes"""
        return self._key(f"catalogue:{kind}")

    def leaderboard(self, mode: str) -> str:
        """zset: player id -> value"""
        return self._key(f"leaderboard:{mode}")

    def meetings(self, mode: str, day: int) -> str:
        """hash + TTL: "P Q" -> rated sessions in which these players met on that day (since 1970, UTC)"""
        return self._key(f"meetings:{mode}:{day}")

    @property
    def meta(self) -> str:
        """hash: schema"""
        return self._key("meta")

    # indexes
    def open_lobbies(self, mode: str, size: int) -> str:
        """zset: session token -> opened_at [ms], plus 2^42 if none of its members is connected"""
        return self._key(f"lobbies:open:{mode}:{size}")

    def yielding_lobbies(self, mode: str, size: int) -> str:
        """zset: token of each full public lobby in which a bot fills a seat -> when it was indexed [ms]; `find` gives a
        person that seat"""
        return self._key(f"lobbies:yielding:{mode}:{size}")

    @property
    def bot_requests(self) -> str:
        """zset: token of each open lobby that wants bots -> when its request expires [ms]"""
        return self._key("bots:requests")

    @property
    def bot_shares(self) -> str:
        """hash: session -> "count at address player"; bots that fill its seats or are wanted, the client's address,
        and its player"""
        return self._key("bots:shares")

    @property
    def bot_owners(self) -> str:
        """zset: "address A T" and "player P T" of each session T of bots:shares -> 0"""
        return self._key("bots:owners")

    @property
    def bot_processes(self) -> str:
        """zset: player id of each process that serves these requests -> when it last looked at them [ms]"""
        return self._key("bots:processes")

    @property
    def lobbies(self) -> str:
        """zset: session token -> opened_at [ms]; every lobby that is open, filled or starting"""
        return self._key("sessions:waiting")

    @property
    def session_shares(self) -> str:
        """zset: "address A T" and "player P T" of each session T that waits or runs -> 0; who opened it"""
        return self._key("sessions:shares")

    def address_openings(self, address: str) -> str:
        """string + PX: when all lobbies that an address may open at once are allowed again [ms]"""
        return self._key(f"openings:address:{address}")

    def player_openings(self, player: str) -> str:
        """string + PX: the same for a player"""
        return self._key(f"openings:player:{player}")

    @property
    def running(self) -> str:
        """zset: session token -> started_at [ms]"""
        return self._key("sessions:running")

    @property
    def ended(self) -> str:
        """zset: session token -> ended_at [ms]"""
        return self._key("sessions:ended")

    @property
    def deadlines(self) -> str:
        """zset: "lobby:T", "bots:T" or "seat:T:P" -> due [ms]; the timers of lobbies and of seats in them"""
        return self._key("deadlines")

    def scene(self, digest: str) -> str:
        """hash: data, and a field for each session that uses it; digest: SHA-256 of the scene"""
        return self._key(f"scene:{digest}")

    # one session
    def session(self, token: str) -> str:
        return self._key(f"session:{token}")

    def session_players(self, token: str) -> str:
        return self._key(f"session:{token}:players")

    def seats(self, token: str) -> str:
        return self._key(f"session:{token}:seats")

    def awaited(self, token: str) -> str:
        """set: members that are not connected or not ready; the session starts when it is empty"""
        return self._key(f"session:{token}:awaited")

    def session_player(self, token: str, player: str) -> str:
        return self._key(f"session:{token}:player:{player}")

    def order(self, token: str) -> str:
        return self._key(f"session:{token}:order")

    def events(self, token: str) -> str:
        return self._key(f"session:{token}:events")

    def journal(self, token: str) -> str:
        return self._key(f"session:{token}:journal")

    def checkpoint(self, token: str) -> str:
        return self._key(f"session:{token}:checkpoint")

    def fork(self, token: str) -> str:
        """hash: spec state; the first state of a fork, until it runs"""
        return self._key(f"session:{token}:fork")

    def scene_edits(self, token: str) -> str:
        """hash: version order bytes vertices locks log_bytes; the scene that is edited while its lobby waits"""
        return self._key(f"session:{token}:scene")

    def scene_bodies(self, token: str) -> str:
        """zset: body -> its place in the order of the scene"""
        return self._key(f"session:{token}:scene:bodies")

    def scene_document(self, token: str, body: str) -> str:
        """hash: version made sha256 doc vertices; body "world": the settings of the world"""
        return self._key(f"session:{token}:scene:body:{body}")

    def scene_log(self, token: str) -> str:
        """stream: at player seat name command kind of removed size edits, id version-0; every commit"""
        return self._key(f"session:{token}:scene:log")

    def scene_undo(self, token: str) -> str:
        """hash: undo:P and redo:P -> versions, the newest last"""
        return self._key(f"session:{token}:scene:undo")

    def scene_removed(self, token: str) -> str:
        """hash: body that was removed -> version that removed it"""
        return self._key(f"session:{token}:scene:removed")

    def scene_lock(self, token: str, body: str) -> str:
        """string + PX: "token seat player connection name" of who edits a document"""
        return self._key(f"session:{token}:lock:{body}")

    def of_scene(self, token: str, documents: list[str]) -> list[str]:
        """Every key of an edited scene with these documents, but for the locks, which expire by themselves."""
        return [
            self.scene_edits(token),
            self.scene_bodies(token),
            self.scene_log(token),
            self.scene_undo(token),
            self.scene_removed(token),
            *(self.scene_document(token, body) for body in documents),
        ]

    def for_running(self, token: str) -> list[str]:
        """What is deleted when a session runs: the first state of a fork, and how its scene was edited."""
        return [self.fork(token), self.scene_log(token), self.scene_undo(token), self.scene_removed(token)]

    def recording(self, token: str) -> str:
        """hash: epoch tick length state sha256 stopped final; see lobby/recording_marks.py"""
        return self._key(f"session:{token}:recording")

    def recording_repair(self, token: str) -> str:
        """string + PX: the worker that makes the final recording of a session whose recording lacks ticks"""
        return self._key(f"session:{token}:recording:repair")

    def telemetry(self, token: str) -> str:
        return self._key(f"session:{token}:telemetry")

    def observers(self, token: str) -> str:
        """zset + PX: "player name" of each observer, with a tab and "bot" after a bot's -> time when the entry expires
        [ms]"""
        return self._key(f"session:{token}:observers")

    def wake(self, token: str) -> str:
        """channel: v of the newest event, a hint to read the events; "observers", a hint to read the observers; or a
        message about the scene or a lock as the members receive it"""
        return self._key(f"session:{token}:wake")

    def of_session(self, token: str, players: list[str], documents: list[str]) -> list[str]:
        """Every key that a session of these players may have, with these documents of its scene; all of them get an
        expiry after its end."""
        return [
            self.session(token),
            self.session_players(token),
            self.seats(token),
            self.awaited(token),
            self.order(token),
            self.events(token),
            self.journal(token),
            self.checkpoint(token),
            self.recording(token),
            self.fork(token),
            self.telemetry(token),
            *(self.session_player(token, player) for player in players),
            *self.of_scene(token, documents),
        ]

    def for_scripts(self, token: str, mode: str, size: int) -> list[str]:
        """KEYS 1 to 12 of every script on a whole session, in the order of scripts/parts/session.lua."""
        return [
            self.session(token),
            self.session_players(token),
            self.seats(token),
            self.awaited(token),
            self.order(token),
            self.events(token),
            self.lobbies,
            self.open_lobbies(mode, size),
            self.running,
            self.ended,
            self.deadlines,
            self.lifecycle,
        ]

    # the replay room over the recording of a session
    def replay(self, token: str) -> str:
        """hash + PX: status opened_at ended_at grants n grant frame playing speed chat"""
        return self._key(f"replay:{token}")

    def replay_presenter(self, token: str) -> str:
        """string + PX, set only if absent: JSON {player, connection, grant}; the presenter's token"""
        return self._key(f"replay:{token}:presenter")

    def replay_members(self, token: str) -> str:
        """zset + PX: "player name" of each member -> time when the entry expires [ms]"""
        return self._key(f"replay:{token}:members")

    def replay_chat(self, token: str) -> str:
        """stream + PX: player name text at, id n-0"""
        return self._key(f"replay:{token}:chat")

    def replay_bookmarks(self, token: str) -> str:
        """hash: id -> JSON of a bookmark; kept as long as the recording"""
        return self._key(f"replay:{token}:bookmarks")

    def replay_views(self, token: str) -> str:
        """hash: name -> JSON of a named view; kept as long as the recording"""
        return self._key(f"replay:{token}:views")

    def replay_channel(self, token: str) -> str:
        """channel: the messages of a room as its members receive them; or "presence", a hint to read the members"""
        return self._key(f"replay:{token}:channel")

    @property
    def replays(self) -> str:
        """zset: T of each replay room that has keys -> time when it was opened [ms]"""
        return self._key("replays")

    def of_replay(self, token: str) -> list[str]:
        """The keys of a replay room that expire after its end: the room, presenter, members and chat."""
        return [
            self.replay(token),
            self.replay_presenter(token),
            self.replay_members(token),
            self.replay_chat(token),
        ]

    # uploaded recordings
    def upload(self, token: str) -> str:
        """hash: player name title mode listed version sha256 bytes length made_at changed_at locks"""
        return self._key(f"upload:{token}")

    def upload_lock(self, token: str, tick: int) -> str:
        """string + PX: token of the lock of a frame"""
        return self._key(f"upload:{token}:lock:{tick}")

    @property
    def uploads(self) -> str:
        """zset: token of each upload -> its last change [ms]"""
        return self._key("uploads")

    @property
    def upload_use(self) -> str:
        """hash: bytes; "P bytes" and "P count" of each player with uploads"""
        return self._key("uploads:use")

    # recorded sessions
    @property
    def recorded(self) -> str:
        """zset: token of each recorded session that is listed -> its end [ms]"""
        return self._key("recordings")

    @property
    def recorded_rows(self) -> str:
        """hash: token -> JSON of its row; see lobby/recording_index.py"""
        return self._key("recordings:rows")

    def recorded_in(self, mode: str) -> str:
        """zset: the recorded sessions of a mode, as in ``recorded``"""
        return self._key(f"recordings:mode:{mode}")

    def recorded_of(self, player: str) -> str:
        """zset: the recorded sessions of a player, by identity or by name, as in ``recorded``"""
        return self._key(f"recordings:player:{player}")

    # forks and the archive
    def forks(self, token: str) -> str:
        """zset + TTL: JSON of each fork in the tree of a session -> when it was made [ms]"""
        return self._key(f"forks:{token}")

    def fork_root(self, token: str) -> str:
        """string + TTL: the session that the tree of a fork begins with"""
        return self._key(f"fork:{token}:root")

    def archive_pin(self, token: str) -> str:
        """string + PX: exists while the archive of a session is read for a fork, and must not be removed"""
        return self._key(f"archive:{token}:pin")

    # uploaded meshes
    def mesh(self, digest: str) -> str:
        """hash: state percent ... of an upload, or of the ready mesh that was made of one (lobby/mesh_store.py)"""
        return self._key(f"mesh:{digest}")

    @property
    def meshes(self) -> str:
        """zset: SHA-256 of each upload and ready mesh -> last use [ms]"""
        return self._key("meshes")

    @property
    def mesh_jobs(self) -> str:
        """stream: mesh; the uploads that wait to be made, removed when they are done"""
        return self._key("meshes:jobs")

    @property
    def mesh_use(self) -> str:
        """hash: bytes of all stored meshes, and jobs.P, how many uploads of P wait"""
        return self._key("meshes:use")

    # servers and the lifecycle
    def server(self, server: str) -> str:
        """hash + PX, the server's lease: nonce url physics_id sessions max_sessions started_at, and held:T for each
        session that it holds, waiting lobbies too; ended ones are removed when max_sessions are there"""
        return self._key(f"server:{server}")

    @property
    def servers(self) -> str:
        """zset: "server id:nonce" -> last renewal of that boot [ms]"""
        return self._key("servers")

    @property
    def lifecycle(self) -> str:
        """stream: session event mode at ...; the channel of the same name carries "T event" as a hint"""
        return self._key("lifecycle")

    @property
    def orders(self) -> str:
        """stream: kind target text by; operators' orders, which every server reads"""
        return self._key("orders")

    def server_report(self, server: str) -> str:
        """string + PX: JSON, what a server reports of itself for operators"""
        return self._key(f"server:{server}:report")

    @property
    def logs(self) -> str:
        """channel prefix of the log transport"""
        return self._key("logs")

    # the data streams (docs/streams.md)
    @property
    def positions(self) -> str:
        """stream: name in out; the position solver's steps, and the triggers that begin a run"""
        return self._key("positions")

    @property
    def velocities(self) -> str:
        """stream: name in out; the velocity solver's steps"""
        return self._key("velocities")

    def spring_run(self, run: str) -> str:
        """hash + TTL: name spring velocities positions; a run's parameters and its newest n on each stream"""
        return self._key(f"spring:{run}")

    def spring_solver(self, solver: str) -> str:
        """string + PX: exists while a solver of this name runs"""
        return self._key(f"spring:up:{solver}")

    @property
    def storage(self) -> str:
        """hash: state sink stored backlog lost at; the state of the storage worker"""
        return self._key("storage")

    @property
    def storage_lease(self) -> str:
        """string + PX: the storage worker that writes; the others wait for this lease"""
        return self._key("storage:lease")

    def stored(self, sink: str) -> str:
        """hash: stream -> "id count"; how far each stream is stored, for a sink that does not record it"""
        return self._key(f"storage:{sink}")

    @property
    def sources(self) -> str:
        """hash: source -> sensor_info (JSON); the channel of the same name names a source that is new or changed"""
        return self._key("sources")

    def source(self, name: str) -> str:
        """stream: n timestamp readings; of a source that is not a session"""
        return self._key(f"source:{name}")

    def live(self, stream: str) -> str:
        """channel: hint that a telemetry stream has grown"""
        return f"{stream}:live"
