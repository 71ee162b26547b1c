"""Recordings of whole sessions, whose holders are killed: the bytes of an undisturbed run, read by zarr and xarray."""

from __future__ import annotations

import asyncio
import secrets
from itertools import repeat
from pathlib import Path

import numpy as np
import xarray
import zarr

from tests.server.recordings.sessions import Holder, files_of
from tests.support.stack import Stack, until
from tests.support.witness import Witness, running, store_of, verified
from tests.whole.test_deaths import FLOWING, Opponents, holder_of
from tussle.lobby.recording_marks import RecordingMarks
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.recordings.recordings import Recordings
from tussle.server.simulation.identity import physics_id


async def undisturbed(stack: Stack, session: str, folder: Path) -> dict[str, bytes]:
    """The files that the session has when one holder runs the archived inputs, without a server."""
    record = await asyncio.to_thread(load_record, Archive(str(stack.data_dir / "archive")), session)
    recordings = Recordings(str(folder))
    holder = Holder(recordings, record.spec, record.inputs, 1)
    holder.recorder = recordings.recorder(record.spec, 1, physics_id())
    holder.start()
    await holder.run(record.last_tick, repeat(8), 300)
    mark = await holder.recorder.finish(record.last_tick)
    assert mark is not None and not mark.stopped
    recordings.compact(session, mark)
    return files_of(folder / f"{session}.zarr")


async def test_two_killed_holders_change_no_byte(whole_store: str, tmp_path: Path) -> None:
    """kill -9 of the holder, and of the next one. While the session runs its recording is read as far as its mark;
    after the end zarr and xarray read the final group, which is to the byte that of an undisturbed run."""
    async with Stack.up(whole_store, f"whole-{secrets.token_hex(4)}", **FLOWING) as stack:
        await stack.more_servers(3)
        await stack.worker()
        bots = await Opponents.of(stack, think_s=1.0)  # turns are left when the second holder has died
        session = (await running(stack.url))[0]["session"]
        recordings = Recordings(str(stack.data_dir / "recordings"))
        epoch = 1
        for _ in range(2):
            view = (await running(stack.url))[0]
            holder, other = holder_of(stack, view)
            async with Witness.of(other.url, session) as witness:
                await witness.until("turn_ended")
                await holder.kill()
                recovered = await witness.until("recovered")
                assert recovered.d["exact"] and recovered.epoch > epoch
                epoch = recovered.epoch
            async with store_of(stack) as store:
                mark = await RecordingMarks(store).load(session)
            assert mark is not None and not mark.final
            live = recordings.open(session, mark)
            assert live.length == mark.length > 0
        await bots.played(90.0)
        await verified(stack, session)
        folder = stack.data_dir / "recordings" / f"{session}.zarr"
        await until(lambda: (folder / "zarr.json").exists(), "the final recording")
        group = zarr.open_group(str(folder), mode="r")
        assert np.asarray(group["tick"]).shape == xarray.open_zarr(folder, consolidated=False)["time"].shape
        assert "gaps" not in group.attrs
        assert files_of(folder) == await undisturbed(stack, session, tmp_path)
