"""Every error code, with the classes that have it and one sentence for authors of clients.

docs/reference/errors.md is generated from this table. tests/lobby/test_error_codes.py compares it with the source: a
code that is raised and not listed fails, and a code that is listed and never raised fails. A client makes the error
that a server reported from the same table. This module must never import anything but lobby/errors.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tussle.lobby.errors import (
    AddressTooLong,
    AuthError,
    ClientError,
    Conflict,
    DamagedData,
    Diverged,
    Fenced,
    Forbidden,
    LobbyError,
    LobbyFull,
    Moved,
    NotFound,
    NotYourTurn,
    ProtocolError,
    RateLimited,
    Refused,
    ScriptError,
    ServerFault,
    SolverFailed,
    StoreError,
    UnknownHost,
    VersionMismatch,
)

__all__ = ["CODES", "ErrorCode", "error_of"]


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """``kinds``: the classes that are raised with the code; they give the HTTP status and the close code.

    ``sent``: whether a client can receive it. The others appear in logs and on the command line.
    """

    code: str
    kinds: tuple[type[LobbyError], ...]
    meaning: str
    sent: bool = True


def _client(code: str, kind: type[LobbyError] | tuple[type[LobbyError], ...], meaning: str) -> ErrorCode:
    return ErrorCode(code, kind if isinstance(kind, tuple) else (kind,), meaning)


def _internal(code: str, kind: type[LobbyError] | tuple[type[LobbyError], ...], meaning: str) -> ErrorCode:
    return ErrorCode(code, kind if isinstance(kind, tuple) else (kind,), meaning, sent=False)


_TABLE = (
    # bytes and fields
    _client("bad_json", ProtocolError, "The message or body is not JSON."),
    _client("bad_message", ProtocolError, "The message has a wrong type, field or value."),
    _client("bad_request", (ClientError, ProtocolError), "The body has a wrong field or value, or was cut off."),
    _client("binary_message", ProtocolError, "A client sends text messages only."),
    _client("hello_expected", ProtocolError, "The first message of a connection must be hello."),
    _client("bad_network", ProtocolError, "The network in hello is not like 120ms 40ms 3%; the message says why."),
    _client("hello_again", ProtocolError, "A connection sends hello only once."),
    _client("version_mismatch", VersionMismatch, "The server has another protocol version; update the client."),
    _client("address_too_long", AddressTooLong, "The path or query of the request is too long."),
    _client("too_large", ProtocolError, "The body is larger than MAX_BODY_BYTES, or a mesh file than MESH_BYTES."),
    _client("too_slow", ProtocolError, "The body did not arrive in time."),
    _client("too_many", ProtocolError, "The connection subscribes to too many sources."),
    # identity and rights
    _client("login_required", AuthError, "Send a login token: Authorization: Bearer TOKEN."),
    _client("unauthorized", AuthError, "The login token is not valid; log in again."),
    _client("name_taken", AuthError, "The name belongs to another player, or the secret is wrong."),
    _client("ticket_refused", AuthError, "The ticket was used, has expired or belongs to another player."),
    _client("resume_refused", AuthError, "The resume token is not valid; join again for a new ticket."),
    _client("unknown_player", AuthError, "The player of this login no longer exists; log in again."),
    _client("not_allowed", Forbidden, "The caller's role does not have the right for this operation."),
    _client("banned", Forbidden, "An operator has banned the player, or the address for some time."),
    _client("not_an_address", Refused, "The text is no IP address that can be banned."),
    _client("too_many_bans", Conflict, "No more addresses can be banned."),
    _client("origin_refused", Forbidden, "Pages of this origin may not use this server."),
    _client("unknown_host", UnknownHost, "The server does not know the host name of the request: see ALLOWED_HOSTS."),
    _client("observer", Conflict, "The connection has no seat; observers cannot send commands."),
    _client("server_full", RateLimited, "Every server has MAX_SESSIONS sessions; try again later."),
    _client("address_sessions", RateLimited, "Players of this address have opened ADDRESS_SESSIONS sessions."),
    _client("player_sessions", RateLimited, "The player has opened too many sessions that go on; join one of them."),
    _client("address_openings", RateLimited, "Players of this address open lobbies faster than OPEN_RATE."),
    _client("player_openings", RateLimited, "The player opens lobbies faster than OPEN_RATE; join one, or wait."),
    _client("rate_limited", RateLimited, "Too many requests or messages; send fewer."),
    # missing objects
    _client("not_found", NotFound, "The session or player does not exist."),
    _client("no_such_session", NotFound, "There is no session with this token."),
    _client("no_such_server", NotFound, "There is no live server with this id."),
    _client("no_such_run", NotFound, "There is no spring-damper run with this id, or it has expired."),
    _client("no_such_source", NotFound, "There is no source of readings with this name."),
    _client("no_readings_yet", NotFound, "The session has not measured anything yet; ask later."),
    _client("no_frames", NotFound, "The recording has no frame yet that could be drawn."),
    _client("not_archived", NotFound, "The archive does not have this session."),
    _client("damaged_archive", ProtocolError, "A part of the session's archive is missing, damaged or changed."),
    # lobbies and seats
    _client("conflict", Conflict, "The state does not allow this now."),
    _client("lobby_full", LobbyFull, "The lobby has no free seat."),
    _client("in_session", Conflict, "The player has a seat in another session; leave it first."),
    _client("ended", Conflict, "The session has ended."),
    _client("left", Conflict, "The player has left this session and cannot return."),
    _client("seats_held", Conflict, "The free seats of a rematch are held for others; retry_after says how long."),
    _client("not_over", Conflict, "The session is not over, or was never played: it has no rematch."),
    _client("rematch_played", Conflict, "The rematch of the session is over; ask for the rematch of that one."),
    _client("too_large_to_draw", Refused, "The world is too large for a picture of its recording."),
    _client("not_drawn", SolverFailed, "The picture of the recording could not be drawn, or not in time."),
    _client("no_rematch", Conflict, "The mode has no rematch."),
    _client("crowded", Conflict, "Too many players are looking for a lobby at once; try again."),
    _client("not_member", (Conflict, NotFound), "The player has no seat in this session."),
    _client("not_open", Conflict, "The lobby is no longer waiting; its seats cannot change."),
    _client("no_bots", Conflict, "No bot process is running that could fill the seats; start `tussle bots --serve`."),
    _client("no_bot_wanted", Conflict, "The lobby wants no bot now: it is full, over, or another bot was faster."),
    _client("not_guest", Conflict, "Only a guest can take a name."),
    _client("not_running", Conflict, "The session is not running."),
    _client("gap", Conflict, "The missed events are no longer kept; read the whole view of the session."),
    _client("moved", Moved, "Another server holds the session; the message is its address."),
    _client("stale_id", Conflict, "The command id is not newer than the last one."),
    _client("refused", Refused, "The mode's rules forbid the action."),
    _client("bad_name", Refused, "The name has a wrong length or a character that is not allowed."),
    _client("bad_text", Refused, "The text has a control character or one that changes the direction of text."),
    _client("bad_query", Refused, "A parameter of the query is too long."),
    _client("bad_secret", Refused, "The secret has a wrong length."),
    _client("bad_notice", Refused, "A notice is empty, too long or has characters that are not printable."),
    _client("bad_size", Refused, "The mode does not take this number of seats."),
    _client("bad_page", Refused, "The limit or cursor of a list is not valid."),
    _client("bad_status", Refused, "There is no such session status."),
    _client("bad_params", Refused, "A parameter of the mode is unknown or out of range."),
    _client("bad_seats", Refused, "The mode cannot be set up with these seats."),
    _client("unknown_mode", Refused, "There is no such mode."),
    _client("unknown_body", (Conflict, Refused), "The catalogue has no such body, or the mode does not allow it."),
    _client("bad_start", Refused, "The x or v of a spring-damper run is not finite or too large."),
    _client("bad_run", Refused, "The name or position of the spring-damper run is not valid."),
    # recordings
    _client("no_recording", NotFound, "There is no recording of this name."),
    _client("recording_exists", Refused, "There is a recording of this name already."),
    _client("not_a_recording", ProtocolError, "The files are not a recording, or of another layout."),
    _client("damaged_recording", ProtocolError, "A part of the recording is missing, cut off or another one."),
    _client("bad_range", Refused, "The frames, or the segment, are not in the recording."),
    _client("bad_fields", Refused, "The recording does not have this field."),
    _client("bad_format", Refused, "There is no such format, or it cannot have these arrays."),
    _client("too_many_frames", Refused, "The frames are more than one answer may have; ask for fewer."),
    _client("recordings_unreachable", StoreError, "The files of the recordings cannot be read now; try again."),
    _client("no_such_body", (NotFound, Refused), "The scene, or the recording, does not have this body."),
    _client("bad_frames", Refused, "The frames lack a field, have a wrong shape, or a number that is no state."),
    _client("read_only", Refused, "The recording cannot be changed."),
    _client("too_many_segments", Refused, "The topology changes too often for one recording."),
    _client("not_own_recording", Forbidden, "The recording belongs to another player."),
    _client("bad_hash", (ProtocolError, Refused), "The SHA-256 of the body is not the one that the request states."),
    _client("reserved_attribute", Refused, "A recording makes the attribute of this name itself."),
    _client("bad_upload", ProtocolError, "The upload is not what the call takes; the message says why."),
    _client("upload_too_large", (ProtocolError, Refused), "The upload, or what is in it, is larger than it may be."),
    _client("uploads_busy", RateLimited, "Too many uploads are in progress; try again."),
    _client("too_many_recordings", Conflict, "The player cannot have more uploaded recordings, or more bytes of them."),
    _client("recordings_full", Conflict, "The server has no room for more uploaded recordings."),
    _client("stale_version", Conflict, "What the edit changes has a newer version; detail may have it."),
    _client("lock_required", Conflict, "Lock the body or frame first; the change must have the token of the lock."),
    _client("stale_lock", Conflict, "The lock has expired or has another token; lock the body or frame again."),
    _client("frame_locked", Conflict, "The frame of the recording is locked by another caller."),
    # replay rooms
    _client("not_presenter", Conflict, "Only the presenter moves a replay room; ask for its token first."),
    _client("presenter_taken", Conflict, "Somebody else presents; its token is free 5 s after the last scrub."),
    _client("not_author", Forbidden, "Only the author of a bookmark or view, or an operator, may change it."),
    _client("no_such_mark", NotFound, "The replay room has no bookmark of this id, or no view of this name."),
    _client("too_many_marks", Conflict, "The recording has as many bookmarks or views as it may have."),
    # forks
    _client("bad_seat", Refused, "The session has no such seat."),
    _client("tick_not_recorded", NotFound, "The archive does not have this tick; the message says which it has."),
    _client("too_far", Refused, "The nearest checkpoint is too many ticks before; the message names it."),
    _client("too_large_to_fork", Refused, "The archive, or the state, is larger than a fork may be."),
    _client("too_slow_to_fork", Refused, "To simulate up to this tick takes too long; fork nearer to a checkpoint."),
    _client("too_large_to_repair", Refused, "The archive is too large to re-simulate what a recording lacks."),
    _client("other_physics", Refused, "Another physics recorded the session; it cannot be computed again here."),
    _client("session_over", Conflict, "The session is over at this tick; fork an earlier one."),
    _client("no_fork", Refused, "The mode cannot be forked at this state."),
    _client("bots_busy", RateLimited, "As many bots fill seats for this address or player as may; try again later."),
    _client("forks_busy", RateLimited, "The server makes as many forks as it may; try again."),
    _client("fixed_body", Conflict, "The bodies of a fork cannot be changed."),
    # sweeps
    _client("bad_sweep", Refused, "The sweep, its folder or the run is not valid; the message says why."),
    _client("no_cluster", Refused, "The cluster does not answer, or its package is not installed."),
    _client("no_pyarrow", Refused, "Tables are Parquet files, which need tussle[storage]."),
    # actions
    _client("not_your_turn", (NotYourTurn, Refused), "It is the turn of another seat."),
    _client("already_acted", Conflict, "The seat has already acted in this turn."),
    _client("world_moving", Conflict, "The world is still moving; wait for turn_started."),
    _client("too_many_inputs", Conflict, "Too many inputs wait for this tick; send fewer."),
    _client("too_costly", RateLimited, "The inputs of this seat need too much solver time; try again later."),
    _client("nobody_left", Conflict, "No seat is left that could act."),
    _client("over", (Refused, Conflict), "The session is over."),
    _client("seat_out", Refused, "The seat is out and cannot act."),
    _client("wrong_phase", Refused, "The mode's phase does not allow this action."),
    _client("unknown_kind", Refused, "There is no such kind of action."),
    _client("unknown_field", Refused, "The action has a field that its kind does not have."),
    _client("missing_field", Refused, "The action lacks a field."),
    _client("bad_type", Refused, "A field of the action has a wrong type."),
    _client("out_of_range", Refused, "A field of the action is out of its range."),
    _client("bad_action", Refused, "The mode does not support this kind of action (undo)."),
    _client("body_locked", (Refused, Conflict), "Another seat holds the body, or has locked it."),
    _client("handle_taken", Refused, "Another seat holds the handle."),
    _client("slot_held", Refused, "The seat holds a handle already; release it first."),
    _client("no_slot", Refused, "The seat does not hold a handle."),
    _client("unknown_handle", Refused, "The body does not have this handle."),
    _client("outside", Refused, "The position is outside of the box."),
    _client("would_touch", Refused, "A body at this position would touch another one."),
    _client("too_many_bodies", (Refused, Conflict), "The world or scene would have too many bodies or vertices."),
    _client("seat_taken", Refused, "The seat is in the sandbox already."),
    _client("not_host", Refused, "Only the host may do this."),
    # scenes and meshes
    _client("not_editable", Conflict, "The scene cannot be edited: the session runs, or its mode has none to edit."),
    _client("nothing_to_undo", Conflict, "There is no step to undo or redo."),
    _client("undo_conflict", Conflict, "The step cannot be undone: a body was changed since, or it is too old."),
    _client("bad_edit", Refused, "The list of edits names a body twice, or an edit is not exactly one change."),
    _client("document_too_large", Refused, "The document of a body is too large."),
    _client("scene_too_large", Conflict, "The scene would have too many bytes."),
    _client("bad_joint", Conflict, "A joint or pair names a body that the scene would not have."),
    _client("scene_empty", Conflict, "A scene has at least one body."),
    _client("unknown_template", Refused, "The catalogue has no template of this name."),
    _client("bad_scene", Refused, "The scene is not valid; the field names the part."),
    _client("no_scene", Refused, "The mode sets up its own scene; its members cannot make one."),
    _client("too_many_vertices", (Refused, Conflict), "The scene, or one shape, has too many vertices."),
    _client("bad_catalogue", Refused, "The catalogue of a session cannot be read."),
    _client("bad_mesh", Refused, "The mesh file cannot be used."),
    _client("bad_mesh_name", Refused, "The name of a mesh file does not end in .stl, .obj, .ply, .vtk, .msh or .glb."),
    _client("unknown_mesh", (NotFound, Refused), "There is no mesh with this hash, or it is not ready."),
    _client("meshes_busy", RateLimited, "Too many meshes wait to be made, or are being sent; try again."),
    _client("mesh_store_full", StoreError, "There is no room for more meshes (MESH_STORE_BYTES); try later."),
    _client("meshes_unreachable", StoreError, "The files of the meshes cannot be reached now; try again."),
    _client("bad_material", Refused, "The material is not valid."),
    _client("no_tetrahedra", Refused, "The mesh has no tetrahedra."),
    # data channels
    _client("webrtc_off", Conflict, "The server does not offer data channels (WEBRTC), or lacks the extra for them."),
    _client("bad_offer", Refused, "The offer is not one of a single data channel; the message says what is wrong."),
    _client("bad_candidate", Refused, "The text is not an ICE candidate, or the offer has too many of them."),
    _client("offer_pending", Conflict, "The connection has an offer or a data channel; hang up first."),
    _client("no_offer", Conflict, "The connection has no offer that the candidate could belong to."),
    _client("too_many_peers", RateLimited, "There are as many data channels as there may be; frames come anyway."),
    # faults of the server
    _client("server_error", ServerFault, "An error of the server; its log has the trace."),
    _client("store_unavailable", StoreError, "The store does not answer; try again."),
    _client("store_full", StoreError, "The store is almost full: no new logins, lobbies or seats; try later."),
    _client("damaged_data", DamagedData, "What the store keeps of the session cannot be read; the log names it."),
    _client("script_error", ScriptError, "A script of the store failed; an error of the server."),
    _client("solver_failed", SolverFailed, "The solver could not step the world."),
    _client("solver_lost", SolverFailed, "The solver process died; the session is restored."),
    _client("diverged", (Diverged, Refused), "A replay does not give the recorded states."),
    _client("fenced", Fenced, "Another server holds the session now; send the command again."),
    _client("token_taken", Conflict, "A new random token was in use; try again."),
    _client("unheld", StoreError, "No live server holds the session yet; send the command again."),
    _client("unreachable", StoreError, "The holder cannot be reached; send the command again."),
    # never sent
    _internal("waiting", Conflict, "A relay asked for a session that has not begun."),
    _internal("ours", Conflict, "A relay asked for a session that this server holds."),
    _internal("not_starting", Conflict, "A holder began a session that is not starting."),
    _internal("journal_differs", Fenced, "The journal has other inputs under these ids; another holder wrote them."),
    _internal("server_id_taken", Fenced, "Another live server has this SERVER_ID."),
    _internal("bad_checkpoint", (Diverged, ProtocolError), "A checkpoint is damaged or of another layout."),
    _internal("schema_mismatch", (ProtocolError, StoreError), "The stored layout or a frame has another schema."),
    _internal("store_too_old", StoreError, "The store's version is too old."),
    _internal("no_store", StoreError, "No store is configured, and none can be started."),
    _internal("folder_in_use", StoreError, "Another process uses the embedded store's folder."),
    _internal("store_kind_missing", StoreError, "The store that wrote the embedded store's data is not installed."),
    _internal("port_in_use", StoreError, "The embedded store's port is in use."),
    _internal("bad_address", StoreError, "REDIS_URL is not an address of a store."),
    _internal("no_channels", StoreError, "The user of the store may not use the channels of the realm."),
    _internal("bad_spec", Refused, "A fork has no first state, or another session has one; a fault of the server."),
    _internal("bad_control", Refused, "A control of the solver is not valid; a fault of the mode."),
    _internal("bad_brief", Refused, "A turn_started payload cannot be read, or the mode has no look-ahead; for bots."),
)  # fmt: skip

CODES: dict[str, ErrorCode] = {entry.code: entry for entry in _TABLE}

_BY_STATUS: dict[int, type[LobbyError]] = {
    kind.status: kind
    for kind in (
        ClientError,
        AuthError,
        Forbidden,
        NotFound,
        Conflict,
        Refused,
        RateLimited,
        ServerFault,
        StoreError,
    )
}
"""HTTP status -> the most general class with it."""


def error_of(
    code: str,
    message: str,
    *,
    field: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
) -> LobbyError:
    """The exception for an error that a server reported with this code and, over HTTP, this ``status``.

    If several classes carry the code, the status decides; without one it is the first. An unknown code is classed by
    the status; without one it is a ClientError, since the server closes the connection for its own faults.
    """
    if code in CODES:
        kinds = CODES[code].kinds
        kind = next((kind for kind in kinds if kind.status == status), kinds[0])
    else:
        kind = _BY_STATUS.get(status or 0) or (ServerFault if (status or 0) >= 500 else ClientError)
    return kind(message, code=code, field=field, retry_after=retry_after)
