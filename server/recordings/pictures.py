"""Pictures of recordings, for pages that show a link to one: the moment of the last blow, as a PNG file.

    open recording -> a thread: its last blow, the frame, the camera -> Still -> child process -> PNG, kept

A child process draws (export/still_maker.py), one at a time, so that neither the event loop nor a world's process
waits. Equal requests wait for one picture. The newest PICTURES are kept in memory. This module must never know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle
from collections import OrderedDict
from typing import Any, Final

import msgspec
import numpy as np

from tussle.lobby.errors import NotFound, ProtocolError, RateLimited, Refused, SolverFailed
from tussle.lobby.launch import bare_environment, module_command
from tussle.lobby.logs import get_logger, short
from tussle.server.recordings.export.camera_pose import bounds_of, find_pose
from tussle.server.recordings.export.clip import Clip, Readable
from tussle.server.recordings.export.still_maker import Still
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.library import Library, OpenRecording

__all__ = ["SIZE", "Pictures", "make_still"]

log = get_logger("server.recordings")

SIZE: Final = (1200, 630)
"""Width and height in pixels: what pages that show links ask for."""

PICTURES = 32
WAITING = 8
"""Pictures that may wait for the child process at once. Beyond it a request is refused."""

EVENTS_BYTES = 2**23
"""Events of a longer recording are not searched for a blow: its last frame is shown [B]."""

STILL_BYTES, PICTURE_BYTES = 2**25, 2**22
DRAW_S, BUSY_S = 60.0, 3.0

ROOM = 0.85
"""What is shown around a blow [m] to each side of the bodies."""


class Pictures:
    """The pictures of one server's readers."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._drawing: dict[str, asyncio.Task[bytes]] = {}
        self._one = asyncio.Lock()

    @staticmethod
    def version(opened: OpenRecording) -> str:
        """Equal for equal pictures."""
        return hashlib.blake2b(f"{opened.session} {opened.version}".encode(), digest_size=16).hexdigest()

    def has(self, opened: OpenRecording) -> bool:
        """Whether the picture is kept, and costs nothing."""
        return self.version(opened) in self._kept

    async def last_blow(self, opened: OpenRecording) -> bytes:
        """The PNG file of a recording's last blow, or of its last frame. Raises NotFound (no_frames), Refused
        (too_large_to_draw), RateLimited, SolverFailed, and as reading raises."""
        version = self.version(opened)
        kept = self._kept.get(version)
        if kept is not None:
            self._kept.move_to_end(version)
            return kept
        drawing = self._drawing.get(version)
        if drawing is None:
            if len(self._drawing) >= WAITING:
                raise RateLimited("too many pictures are being drawn", retry_after=BUSY_S)
            drawing = asyncio.create_task(self._draw(opened), name=f"picture-{short(opened.session)}")
            self._drawing[version] = drawing
            drawing.add_done_callback(lambda done: self._drawn(version, done))
        return await asyncio.shield(drawing)

    async def close(self) -> None:
        """Cancel what is being drawn."""
        drawing = list(self._drawing.values())
        for one in drawing:
            one.cancel()
        await asyncio.gather(*drawing, return_exceptions=True)

    def _drawn(self, version: str, done: asyncio.Task[bytes]) -> None:
        self._drawing.pop(version, None)
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[version] = done.result()
        while len(self._kept) > PICTURES:
            self._kept.popitem(last=False)

    async def _draw(self, opened: OpenRecording) -> bytes:
        data = await self._library.run(_pack, opened)
        async with self._one:
            return await _run_child(data, opened.session)


async def _run_child(data: bytes, session: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *module_command("server.recordings.export.still_maker"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=bare_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DRAW_S):
            picture, errors = await process.communicate(data)
    except TimeoutError:
        raise SolverFailed("the picture was not drawn in time", code="not_drawn") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode or not picture or len(picture) > PICTURE_BYTES:
        log.error(
            "picture_failed", token=short(session), code=process.returncode, output=errors[-2000:].decode()
        )
        raise SolverFailed("the picture could not be drawn", code="not_drawn")
    return picture


def _pack(opened: OpenRecording) -> bytes:
    try:
        data = pickle.dumps(make_still(opened.store))
    except (KeyError, ValueError, IndexError) as error:
        raise ProtocolError(f"its frames: {error}", code="damaged_recording") from None
    if len(data) > STILL_BYTES:
        raise Refused("the world is too large for a picture", code="too_large_to_draw", field="token")
    return data


def make_still(store: Readable, size: tuple[int, int] = SIZE) -> Still:
    """The frame of the last blow with a camera near it, or the last frame and all of the ground. Raises NotFound
    (no_frames), ProtocolError (damaged_recording)."""
    if not store.length:
        raise NotFound("the recording has no frame yet", code="no_frames")
    blow = _last_blow(store)
    number, point = store.length - 1, None
    if blow is not None:
        ticks = np.concatenate(
            [block.arrays["tick"] for block in store.frames(range(store.length), ("tick",))]
        )
        number = _with_both(store, min(int(np.searchsorted(ticks, blow["first_tick"])), store.length - 1))
        point = np.array(blow["point"], float)
    clip = Clip(store, frames=str(number))
    [block] = clip.blocks(("active", "rows"))
    low, high, bench = bounds_of(clip)
    view = find_pose(
        clip.attributes if point is None else {}, None, _shown(point, low, high), size[0] / size[1]
    )
    return Still(
        size, view, (low, high), bench, clip.tracks(block.segment), block.arrays["rows"], block.arrays["active"]
    )  # fmt: skip


def _with_both(store: Readable, number: int) -> int:
    """The number of a blow's frame, or the one before it if the blow broke a body: the world no longer has that body
    in the frame of the blow."""
    blocks = list(store.frames(range(max(0, number - 1), number + 1), ("active",)))
    active = blocks[-1].arrays["active"]
    return number - 1 if len(active) == 2 and bool((active[0] & ~active[1]).any()) else number


def _shown(point: Array | None, low: Array, high: Array) -> tuple[Array, Array]:
    if point is None:
        return low, high
    room = np.array([ROOM, 0.0, ROOM])
    return point * [1, 0, 1] + [0, low[1], 0] - room, point * [1, 0, 1] + [0, low[1] + 0.5, 0] + room


def _last_blow(store: Readable) -> dict[str, Any] | None:
    """The last blow with a place; None without one, or if there are too many events."""
    if getattr(store, "events_bytes", 0) > EVENTS_BYTES:
        return None
    found: dict[str, Any] | None = None
    rest = b""
    for piece in store.events():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if b'"blow"' not in line:
                continue
            try:
                event = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ProtocolError(f"an event: {error}", code="damaged_recording") from None
            if event.get("type") == "blow" and _has_place(event):
                found = event
    return found


def _has_place(data: dict[str, Any]) -> bool:
    point, tick = data.get("point"), data.get("first_tick")
    return (
        isinstance(tick, int)
        and isinstance(point, list)
        and len(point) == 3
        and all(isinstance(value, int | float) and abs(value) < 1e6 for value in point)
    )
