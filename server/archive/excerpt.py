"""What a fork needs of an archive: the checkpoint at or before a tick, the inputs up to it, the hash of its state.

    read_excerpt (server) -> child process: files -> record.py -> cut -> msgpack -> Excerpt | a coded error

An archive may be long, and its file system slow: it is read by a child process of low priority, with limits of time and
bytes. If anything up to the tick is damaged or missing, the fork is refused. This module must never write.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

import msgspec

from tussle.lobby.error_codes import error_of
from tussle.lobby.errors import LobbyError, NotFound, ProtocolError, Refused, ServerFault
from tussle.lobby.launch import child_environment, module_command
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import Record, load_record
from tussle.server.simulation.simulation import Input, SessionSpec

__all__ = ["Excerpt", "cut_excerpt", "read_excerpt", "require_archived"]

READ_S = 30.0
"""Time in which an archive must be read [s]."""

ARCHIVE_BYTES = 128 * 2**20
"""Largest archive that is read for a fork [B]."""

EXCERPT_BYTES = 16 * 2**20
"""Largest excerpt [B]."""

NICE = 5


class Excerpt(msgspec.Struct, frozen=True):
    """The part of an archive that a fork needs: from a checkpoint to a tick. checkpoint: (tick, exact state). inputs:
    (tick, input) after it. digest: the recorded hash of the state at ``tick``, b"" if there is none, as for a first
    state. physics: ids of the physics that recorded these ticks. digest_kept: the recorded hash of the checkpoint, or
    b"". private: whether the session is; None if no manifest says it."""

    spec: SessionSpec
    tick: int
    checkpoint: tuple[int, bytes]
    inputs: list[tuple[int, Input]]
    digest: bytes
    digest_kept: bytes
    physics: list[str]
    private: bool | None = None


class _Answer(msgspec.Struct, frozen=True):
    excerpt: Excerpt | None = None
    code: str = ""
    message: str = ""
    field: str | None = None


def cut_excerpt(record: Record, tick: int) -> Excerpt:
    """The excerpt of a record. Raises NotFound (tick_not_recorded), ProtocolError (damaged_archive)."""
    grave = [
        finding
        for finding in record.findings
        if finding.grave and (finding.tick is None or finding.tick <= tick)
    ]
    if grave:
        raise ProtocolError("; ".join(map(str, grave[:3])), code="damaged_archive")
    newest = max(record.hashes, default=record.first_tick)
    kept = [at for at in record.checkpoints if at <= tick]
    if not record.checkpoints:
        raise NotFound("the archive has no state of this session yet", code="tick_not_recorded", field="tick")
    if tick > newest or not kept:
        raise NotFound(
            f"tick {tick} is not recorded: the archive has {min(record.checkpoints)} to {newest}",
            code="tick_not_recorded",
            field="tick",
        )
    begin = max(kept)
    state = record.checkpoints[begin][-1]
    places = {state.file} | {file for first, last, file, _ in record.places if first <= tick and last > begin}
    epochs = {int(file.partition(".")[0].partition("-")[0]) for file in places}
    private = [manifest.private for manifest in record.manifests if manifest.private is not msgspec.UNSET]
    return Excerpt(
        record.spec,
        tick,
        (begin, state.data),
        [(at, given) for at in sorted(record.inputs) if begin < at <= tick for given in record.inputs[at]],
        record.hashes.get(tick, b""),
        record.hashes.get(begin, b""),
        sorted({manifest.physics_id for manifest in record.manifests if manifest.epoch in epochs}),
        any(private) if private else None,
    )


async def require_archived(url: str, session: str) -> None:
    """Raises NotFound (not_archived) if the archive has no file of a session: then no process need be started to read
    it. An error of the file system is left to ``read_excerpt``."""
    with suppress(OSError):
        if not await asyncio.to_thread(Archive(url).files, session):
            raise NotFound(f"the archive has no session {session}", code="not_archived")


async def read_excerpt(url: str, session: str, tick: int) -> Excerpt:
    """Read it in a child process. Raises as ``cut_excerpt``, NotFound (not_archived), Refused (too_large_to_fork,
    too_slow_to_fork), ServerFault."""
    process = await asyncio.create_subprocess_exec(
        *module_command("server.archive.excerpt", session, str(tick)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        env={**child_environment(), "ARCHIVE_URL": url},  # no argument: it may have a password
        limit=2**20,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READ_S):
            data = await process.stdout.read(EXCERPT_BYTES + 1)
            while more := await process.stdout.read(EXCERPT_BYTES + 1 - len(data)):
                data += more
            if len(data) > EXCERPT_BYTES:
                raise Refused("the state is too large to fork", code="too_large_to_fork", field="tick")
            await process.wait()
    except TimeoutError:
        raise Refused("the archive cannot be read in time", code="too_slow_to_fork", field="tick") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        answer = msgspec.msgpack.decode(data, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServerFault(f"the reader of the archive failed: {error}") from None
    if answer.excerpt is None:
        raise error_of(answer.code, answer.message, field=answer.field)
    return answer.excerpt


def read(url: str, session: str, tick: int) -> Excerpt:
    """What the child process does. Raises as ``read_excerpt``, OSError."""
    archive = Archive(url)
    size = archive.size(session)
    if size > ARCHIVE_BYTES:
        message = f"the archive has {size} bytes, a fork reads at most {ARCHIVE_BYTES}"
        raise Refused(message, code="too_large_to_fork", field="tick")
    return cut_excerpt(load_record(archive, session), tick)


def main() -> None:
    url, (session, tick) = os.environ["ARCHIVE_URL"], sys.argv[1:]
    os.nice(NICE)
    try:
        answer = _Answer(read(url, session, int(tick)))
    except LobbyError as error:
        answer = _Answer(None, error.reason, error.message, error.field)
    except OSError as error:
        answer = _Answer(None, "damaged_archive", f"the archive cannot be read: {error}")
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main()
