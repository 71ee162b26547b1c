"""Makes ready meshes of what people send: one job at a time, in a child process with limits.

    stream of jobs -> take -> child: python -m tussle.server.simulation.mesh_maker -> file -> finish -> next job
                       |         '-- a line for each step -> progress, and the job stays this worker's
                       '-- a worker that dies leaves its job to another one after CLAIM_IDLE_S, at most three times

The child is started by its module name. It computes what ``tussle simulate`` computes; a file of unknown origin is read
only where memory and time are limited. This module must never read such a file itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import StoreError
from tussle.lobby.files import READ_BYTES
from tussle.lobby.ids import new_secret
from tussle.lobby.launch import bare_environment, module_command
from tussle.lobby.logs import get_logger
from tussle.lobby.mesh_files import READY, UPLOAD, MeshFiles, is_mesh_hash
from tussle.lobby.mesh_store import GROUP, Made, Meshes
from tussle.lobby.rules.mesh_faults import MeshFault
from tussle.lobby.settings import Settings
from tussle.lobby.store.consumer_group import ConsumerGroup, Entry
from tussle.lobby.store.store import Store
from tussle.worker.stopping import wait_for_stop

__all__ = ["MeshJobs"]

log = get_logger("worker.meshes")

BLOCK_S = 0.5
"""Longest wait of a read, and so the longest time that a stop takes between two jobs."""

RETRY_BASE_S, RETRY_CAP_S = 0.05, 2.0

LINE_BYTES = 4096

MEMORY_WORDS = ("bad_alloc", "MemoryError", "Cannot allocate")
"""What a library prints that ends the process because the memory is used up."""


class _Refusal(msgspec.Struct, frozen=True):
    reason: str
    message: str
    place: tuple[float, float, float] | None = None


class _Line(msgspec.Struct, frozen=True):
    """One line of the child."""

    percent: int | None = None
    made: Made | None = None
    refused: _Refusal | None = None


@dataclass(slots=True)
class _Job:
    """A job that is being done. lost: another worker has it."""

    entry: Entry
    sha256: str
    attempt: int
    folder: Path
    percent: int = 0
    lost: bool = False


class MeshJobs:
    """One worker of the group. ``run`` returns soon after ``stop``; a job that is being done waits for another one."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.done = 0
        self._settings = settings
        self._store = store
        self._meshes = Meshes(store)
        self._files = MeshFiles(settings.archive_address, store.keys.realm)
        self._folder = settings.data_dir / "meshing"
        self._group = ConsumerGroup(
            store,
            store.keys.mesh_jobs,
            GROUP,
            f"m-{new_secret()[:8]}",
            claim_idle_s=settings.claim_idle_s,
            block_s=BLOCK_S,
            count=1,
        )
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Do jobs until ``stop``, then leave the group. Waits for a store that is unreachable."""
        log.info("meshes_started")
        self._folder.mkdir(parents=True, exist_ok=True)
        backoff = Backoff(random.Random(), base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        ensured = False
        while not self._stopping.is_set():
            try:
                if not ensured:
                    await self._group.ensure()
                    ensured = True
                for entry in await self._read():
                    await self._handle(entry)
                backoff.reset()
            except (StoreError, OSError) as error:  # a job that is not finished is claimed again
                log.warning("meshes_waiting", error=str(error))
                await wait_for_stop(self._stopping, backoff.next_s())
        with contextlib.suppress(StoreError):
            await self._group.leave()

    async def _read(self) -> list[Entry]:
        if self._group.claim_due():
            claimed = await self._group.claim()
            if claimed:
                return claimed
            await self._group.remove_dead_consumers()
        return await self._group.read()

    async def _handle(self, entry: Entry) -> None:
        sha256 = entry.fields.get("mesh", "")
        attempt, form = await self._meshes.take(entry)
        if not attempt:
            if is_mesh_hash(sha256):
                await asyncio.to_thread(self._files.delete, sha256, UPLOAD)
            else:
                log.warning("entry_refused", entry=entry.id)
            return
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._folder) as name:
            job = _Job(entry, sha256, attempt, Path(name))
            source = job.folder / f"mesh{form}"
            try:
                # The server has checked the size when it was sent; MESH_BYTES may be smaller by now.
                most = max(READ_BYTES, self._settings.mesh_bytes)
                await asyncio.to_thread(self._files.fetch, sha256, UPLOAD, source, most)
            except FileNotFoundError:
                line = _Line(refused=_Refusal(MeshFault.GAVE_UP, "the file that was sent is gone"))
            else:
                found = await self._make(job, source)
                if found is None:
                    return
                line = found
            await self._finish(job, line)

    async def _make(self, job: _Job, source: Path) -> _Line | None:
        """Run the child. Returns its last line; None if the job is left to another attempt."""
        settings = self._settings
        target, errors = job.folder / "ready", job.folder / "errors"
        with errors.open("wb") as noise:
            child = await asyncio.create_subprocess_exec(
                *module_command(
                    "server.simulation.mesh_maker", str(source), str(target), str(settings.mesh_memory_mb),
                    str(int(settings.mesh_s) + 1),
                ),
                stdin=DEVNULL, stdout=PIPE, stderr=noise, limit=LINE_BYTES, cwd=job.folder,
                env={**bare_environment(), **_ONE_THREAD, "TMPDIR": str(job.folder)},
                start_new_session=True,
            )  # fmt: skip
        keeping = asyncio.create_task(self._keep(job, child), name="mesh-keep")
        line: _Line | None = None
        try:
            async with asyncio.timeout(settings.mesh_s):
                line = await _last_line(child, job)
                await child.wait()
        except TimeoutError:
            line = _Line(refused=_Refusal(MeshFault.TOO_SLOW, f"it took longer than {settings.mesh_s:g} s"))
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if job.lost:
            return None
        if line is not None and (line.made or line.refused):
            return line
        return None if self._stopping.is_set() else self._judge(job, child, errors)

    def _judge(self, job: _Job, child: Process, errors: Path) -> _Line | None:
        """Why the child died without a last line: too much time or memory, or a fault that is tried again."""
        text = errors.read_text(errors="replace")[-2000:]
        if child.returncode == -signal.SIGXCPU:
            return _Line(
                refused=_Refusal(MeshFault.TOO_SLOW, f"it took longer than {self._settings.mesh_s:g} s")
            )
        if any(word in text for word in MEMORY_WORDS):
            return _Line(refused=_Refusal(MeshFault.TOO_LARGE, "making it needs too much memory"))
        log.error(
            "mesh_maker_died", mesh=job.sha256[:12], attempt=job.attempt, code=child.returncode, output=text
        )
        return None

    async def _keep(self, job: _Job, child: Process) -> None:
        """Show the progress, and keep the job from other workers, until cancelled. Ends the child when the job is
        another worker's, or this one stops."""
        shown = -1
        while True:
            try:
                if job.percent != shown:
                    shown = job.percent
                    job.lost = not await self._meshes.progress(job.sha256, job.attempt, shown)
                if job.lost or self._stopping.is_set():
                    with contextlib.suppress(ProcessLookupError):
                        child.kill()
                    return
                await self._group.keep(job.entry)
            except StoreError as error:
                log.warning("meshes_waiting", error=error.message)
            await wait_for_stop(self._stopping, min(0.25, self._settings.claim_idle_s / 4))

    async def _finish(self, job: _Job, line: _Line) -> None:
        if line.made is not None:
            await asyncio.to_thread(self._files.put, job.folder / "ready", line.made.sha256, READY)
            ended = await self._meshes.finish(job.entry, job.attempt, line.made)
        else:
            assert line.refused is not None
            refused = line.refused
            ended = await self._meshes.refuse(
                job.entry, job.attempt, refused.reason, refused.message, refused.place
            )
        if not ended:
            return
        self.done += 1
        await asyncio.to_thread(self._files.delete, job.sha256, UPLOAD)
        log.info(
            "mesh_made" if line.made else "mesh_refused",
            mesh=job.sha256[:12],
            attempt=job.attempt,
            reason=line.refused.reason if line.refused else "",
        )


_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_decode: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)


async def _last_line(child: Process, job: _Job) -> _Line | None:
    """Read the child's lines until its end; return the last one. Lines that are not of its protocol are ignored."""
    assert child.stdout is not None
    last: _Line | None = None
    while True:
        try:
            text: Any = await child.stdout.readline()
        except ValueError:  # too long
            continue
        if not text:
            return last
        try:
            last = _decode.decode(text)
        except msgspec.MsgspecError:
            continue
        if last.percent is not None:
            job.percent = last.percent
