"""The recording of a session: the same bytes for any holders, and no failure of it ends the session."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import pytest

from tests.server.recordings.sessions import PHYSICS, TOKEN, Holder, files_of, played, undisturbed
from tests.support.paths import ROOT
from tussle.lobby.files import Files
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.wire.frames import decode_frame
from tussle.server.recordings.frame_store import OPTIONAL, FrameStore
from tussle.server.recordings.recordings import Recordings

SESSIONS = pytest.mark.parametrize(("name", "ticks"), [("duel", 500), ("sandbox", 300), ("built", 250)])
"""A duel over several turns; a sandbox with elastic bodies and a body that is spawned, which changes the topology; a
scene with every feature, which goes back to a mark and loses a joint."""


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    return Recordings(str(tmp_path))


@SESSIONS
async def test_how_a_session_is_run_does_not_change_its_recording(
    tmp_path: Path, name: str, ticks: int
) -> None:
    """One tick per advance, many, or a mixture, as frame rates, slow machines and speeds make them: equal files."""
    groups = [
        await undisturbed(tmp_path / str(number), name, ticks, lengths)
        for number, lengths in enumerate(
            (lambda: repeat(1), lambda: repeat(64), lambda: cycle((3, 2, 7, 1, 5)))
        )
    ]
    assert len(groups[0]) > 20
    assert groups[0] == groups[1] == groups[2]


@SESSIONS
async def test_a_recording_of_three_holders_is_that_of_one(tmp_path: Path, name: str, ticks: int) -> None:
    """Each holder dies between two saves, with frames that nobody wrote; the next one goes on from the last
    checkpoint. The final group is equal to the byte to that of an undisturbed run."""
    whole = await undisturbed(tmp_path / "undisturbed", name, ticks, lambda: repeat(2))
    spec, inputs, last = played(name, ticks)
    recordings = Recordings(str(tmp_path / "disturbed"))
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(ticks // 3, cycle((2, 3)))
    checkpoint, mark = await holder.save()
    await holder.run(ticks // 3 + 31, repeat(5), 10**6)  # lost
    second = Holder(recordings, spec, inputs, 2)
    second.restore(checkpoint, mark)
    await second.run(2 * ticks // 3 + 1, cycle((4, 1)))
    checkpoint, mark = await second.save()
    await second.run(2 * ticks // 3 + 12, repeat(3), 10**6)  # lost
    await holder.run(ticks // 3 + 90, repeat(2))  # the first one was only stopped; it wakes and writes
    third = Holder(recordings, spec, inputs, 5)
    third.restore(checkpoint, mark)
    await third.run(last, repeat(4), 20)
    mark = await third.recorder.finish(last)
    assert mark is not None
    recordings.compact(TOKEN, mark)
    assert files_of(tmp_path / "disturbed" / f"{TOKEN}.zarr") == whole


async def test_a_rebuilt_world_changes_nothing(tmp_path: Path) -> None:
    """A solver process dies: ticks since the last checkpoint are computed again, in other pieces, and recorded once."""
    whole = await undisturbed(tmp_path / "undisturbed", "duel", 400, lambda: repeat(2))
    spec, inputs, last = played("duel", 400)
    recordings = Recordings(str(tmp_path / "rebuilt"))
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    checkpoint, _ = await holder.save()
    await holder.run(147, repeat(3), 10**6)
    again = Holder(recordings, spec, inputs, 1)
    again.recorder = holder.recorder
    again.simulation = type(holder.simulation).restore(spec, checkpoint)
    look = again.simulation.look()
    again.recorder.rewind(look.tick, look.topology)
    again._began(look)
    await again.run(last, cycle((5, 2)))
    mark = await again.recorder.finish(last)
    assert mark is not None
    recordings.compact(TOKEN, mark)
    assert files_of(tmp_path / "rebuilt" / f"{TOKEN}.zarr") == whole


def values(store: FrameStore, name: str) -> list[object]:
    return [value for block in store.frames(range(store.length), (name,)) for value in block.arrays[name]]


async def test_what_is_recorded(recordings: Recordings) -> None:
    """Every frame has the numbers of the world: positions, energies and gap within the declared rounding, scores as
    they are, contacts and iterations since the frame before; the attributes say what session it was."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(last, repeat(7))
    mark = await holder.recorder.finish(last)
    assert mark is not None
    store = recordings.open(TOKEN, mark)
    reference = Holder(Recordings("memory://unused"), spec, inputs, 1)
    reference.start()
    first = reference.simulation.look()
    wanted, gap, contacts, iterations = [reference.first], float("inf"), 0, 0
    numbers = []
    while reference.tick < last:
        here = reference.advance(1)
        gap, contacts = min(gap, here.min_distance), max(contacts, here.contacts)
        iterations += here.iterations
        if here.tick % 2 == 0 or here.phase != "moving":
            wanted.append(here)
            numbers.append((gap, contacts, iterations))
            gap, contacts, iterations = float("inf"), 0, 0
    assert values(store, "tick") == [here.tick for here in wanted]
    assert values(store, "time") == [here.tick * first.dt for here in wanted]
    corners = [
        np.hstack([np.ones((len(body.vertices), 1)), body.vertices])
        for body in store.topology(0).bodies
        if body.kind == "affine"
    ]
    assert store.attributes["rounding_m"] == 1e-5
    for got, here in zip(values(store, "rows"), wanted, strict=True):
        rows = decode_frame(here.frame).rows
        assert np.array_equal(np.isnan(got), np.isnan(rows))
        off = np.reshape(got - rows.astype(float), (-1, 4, 3))
        for body, weights in enumerate(corners):
            assert np.isnan(off[body]).all() or np.abs(weights @ off[body]).max() <= 1e-5
    precise = store.attributes["rounding_relative"]
    assert precise <= 2**-12
    assert np.allclose(values(store, "energy"), [here.energy for here in wanted], precise, 0)
    for place, name in enumerate(OPTIONAL):
        energies = [here.energies[place] for here in wanted]
        assert np.allclose(values(store, name), energies, precise, 0), name
    assert any(here.energies[-1] > 0 for here in wanted), "friction takes energy"
    for number, seat in enumerate(spec.seats):
        assert [row[number] for row in values(store, "health")] == [
            np.float32(here.standing[seat.seat].health) for here in wanted
        ]
    assert np.allclose(values(store, "min_distance")[1:], [one[0] for one in numbers], precise, 0)
    assert values(store, "contacts")[1:] == [one[1] for one in numbers]
    assert values(store, "iterations")[1:] == [one[2] for one in numbers]
    attributes = store.attributes
    assert (attributes["session"], attributes["mode"], attributes["physics_id"]) == (TOKEN, "duel", PHYSICS)
    assert (attributes["dt"], attributes["stride"]) == (1 / 60, 2)
    assert attributes["spec"]["seed"] == str(spec.seed) and "seats" not in attributes["spec"]
    assert [seat["name"] for seat in attributes["seats"]] == [seat.name for seat in spec.seats]
    assert not {"epoch", "at", "recovered"} & set(attributes)


async def test_events_are_recorded_with_their_ticks(recordings: Recordings) -> None:
    """The attributes have each event's tick, type and seats; the log has it whole, but for what the player may do."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    wanted = list(holder.simulation.look().events)
    while holder.tick < last:
        wanted += holder.advance(min(9, last - holder.tick)).events
    mark = await holder.recorder.finish(last)
    assert mark is not None
    recordings.compact(TOKEN, mark)
    store = recordings.open(TOKEN, None)
    events = store.attributes["events"]
    assert [(one["tick"], one["type"]) for one in events if one["tick"] > 0][-len(wanted) :] == [
        (tick, kind) for tick, kind, _ in wanted
    ]
    assert {"set_up", "turn_started", "action"} <= {one["type"] for one in events}
    assert not any(isinstance(value, list | dict) for one in events for value in one.values())


async def test_a_running_session_is_read_as_far_as_its_mark(recordings: Recordings) -> None:
    """A reader sees the frames up to the mark that the store has, and nothing that a holder wrote after it."""
    spec, inputs, _ = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    _, mark = await holder.save()
    await holder.run(200, repeat(2), 10**6)
    await holder.save()
    assert mark is not None and mark.tick == 100
    store = recordings.open(TOKEN, mark)
    assert store.length == mark.length
    assert max(values(store, "tick")) == 100  # type: ignore[type-var]
    assert [body.id for body in store.topology(0).bodies][:2] == ["body-0", "body-1"] or store.topology(
        0
    ).bodies


class SlowFiles(Files):
    """Files that can be made to wait, and to fail."""

    gate = threading.Event()
    full = False

    def write(self, path: str, data: bytes) -> None:
        self.gate.wait()
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(path, data)

    def below(self, folder: str) -> SlowFiles:
        return type(self)(f"{self.url}/{folder}")


@pytest.fixture
def slow(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowFiles]]:
    monkeypatch.setattr(SlowFiles, "gate", threading.Event())
    monkeypatch.setattr(SlowFiles, "full", False)
    SlowFiles.gate.set()
    recordings._files = SlowFiles(recordings.url)
    yield SlowFiles
    SlowFiles.gate.set()


async def test_a_file_system_that_hangs_delays_a_run_once(
    recordings: Recordings, slow: type[SlowFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save that hangs is waited for once; later checkpoints go on with the old mark, without a wait. When it ends,
    the next mark has everything."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(50, repeat(2))
    _, before = await holder.save()
    slow.gate.clear()
    waits: list[float | None] = []
    wait = asyncio.wait

    async def counted(*args: object, **options: object) -> object:
        waits.append(options.get("timeout"))  # type: ignore[arg-type]
        return await wait(*args, **{**options, "timeout": 0.01})  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "wait", counted)
        for until in (60, 70, 80):
            await holder.run(until, repeat(2), 10**6)
            holder.recorder.begin_save(holder.tick)
            assert await holder.recorder.saved(5.0) == before
    assert waits == [5.0]
    slow.gate.set()
    await holder.run(last, repeat(2), 10**6)
    mark = await holder.recorder.finish(last)
    assert mark is not None and mark.tick == last and not mark.stopped
    recordings.compact(TOKEN, mark)
    assert recordings.open(TOKEN, None).length == mark.length


async def test_a_disk_that_was_full_for_a_while_loses_nothing(
    tmp_path: Path, recordings: Recordings, slow: type[SlowFiles]
) -> None:
    """What could not be written is written later; the final group is that of an undisturbed run."""
    whole = await undisturbed(tmp_path / "undisturbed", "duel", 400, lambda: repeat(2))
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    slow.full = True
    await holder.run(250, repeat(2), 30)
    slow.full = False
    await holder.run(last, repeat(2), 30)
    mark = await holder.recorder.finish(last)
    assert mark is not None and not mark.stopped
    recordings.compact(TOKEN, mark)
    assert files_of(tmp_path / f"{TOKEN}.zarr") == whole


@pytest.mark.parametrize("beyond_the_bound", [True, False])
async def test_a_disk_that_stays_full_ends_the_recording_and_is_said(
    recordings: Recordings, slow: type[SlowFiles], monkeypatch: pytest.MonkeyPatch, beyond_the_bound: bool
) -> None:
    """Beyond the bound of what waits, or at the end of the session, it is said: once, with a reason, in the mark and
    the attributes. The frames before are read and published."""
    spec, inputs, last = played("duel", 400)
    if beyond_the_bound:
        monkeypatch.setattr("tussle.server.recordings.recorder.WAITING_BYTES", 20_000)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    _, good = await holder.save()
    slow.full = True
    await holder.run(last, repeat(2), 30)
    assert holder.stopped == (["not_written"] if beyond_the_bound else [])
    mark = await holder.recorder.finish(last)
    assert holder.stopped == ["not_written"]
    assert good is not None and mark is not None
    assert (mark.tick, mark.length, mark.stopped) == (good.tick, good.length, "not_written")
    slow.full = False
    recordings.compact(TOKEN, mark)
    store = recordings.open(TOKEN, None)
    assert store.attributes["stopped"] == {"after_tick": 100, "reason": "not_written"}
    assert store.length == good.length


async def test_a_recording_continues_after_a_disk_that_was_full_for_long(
    recordings: Recordings, slow: type[SlowFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames beyond the bound are dropped; with room on the disk the recording goes on, and the gap is named."""
    monkeypatch.setattr("tussle.server.recordings.recorder.WAITING_BYTES", 16_000)
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    slow.full = True
    await holder.run(250, repeat(2), 30)
    assert holder.stopped == ["not_written"]
    slow.full = False
    await holder.run(last, repeat(2), 20)
    mark = await holder.recorder.finish(last)
    assert mark is not None and (mark.tick, mark.stopped) == (last, "")
    store = recordings.open(TOKEN, mark)
    [gap] = store.attributes["gaps"]
    missing = range(gap["first_tick"], gap["last_tick"] + 1)
    ticks = [int(tick) for tick in values(store, "tick")]  # type: ignore[call-overload]
    assert 100 < missing[0] < missing[-1] < 300 and not set(ticks) & set(missing)
    assert {tick for tick in range(100, last) if tick % 2 == 0} - set(ticks) == {
        tick for tick in missing if tick % 2 == 0
    }


async def test_a_full_disk_stops_no_later_holder(
    recordings: Recordings, slow: type[SlowFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder whose disk was full until it died leaves no stop in the mark: the next one records on, after a gap."""
    monkeypatch.setattr("tussle.server.recordings.recorder.WAITING_BYTES", 16_000)
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    await holder.save()
    slow.full = True
    await holder.run(250, repeat(2), 30)
    checkpoint, mark = await holder.save()
    assert holder.stopped == ["not_written"] and mark is not None and mark.stopped == ""
    slow.full = False
    later = Holder(recordings, spec, inputs, 2)
    later.restore(checkpoint, mark)
    await later.run(last, repeat(2), 30)
    end = await later.recorder.finish(last)
    assert later.stopped == [] and end is not None and (end.tick, end.stopped) == (last, "")
    [gap] = recordings.open(TOKEN, end).attributes["gaps"]
    assert gap == {"first_tick": mark.tick + 1, "last_tick": 250}


async def test_a_takeover_while_the_files_are_away_goes_on_later(
    tmp_path: Path, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that cannot read its predecessor's state keeps its frames and reads it later: no byte differs."""
    whole = await undisturbed(tmp_path / "undisturbed", "duel", 400, lambda: repeat(2))
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    checkpoint, mark = await holder.save()

    def away(self: Files, path: str) -> bytes:
        raise OSError(5, "the storage does not answer")

    second = Holder(recordings, spec, inputs, 2)
    with monkeypatch.context() as patched:
        patched.setattr(Files, "read", away)
        second.restore(checkpoint, mark)
        await second.run(200, repeat(2), 20)
    assert await second.recorder.saved() == mark
    await second.run(last, repeat(2), 20)
    end = await second.recorder.finish(last)
    assert end is not None and second.stopped == []
    recordings.compact(TOKEN, end)
    assert files_of(tmp_path / f"{TOKEN}.zarr") == whole


async def test_ticks_that_no_holder_recorded_are_named(recordings: Recordings, slow: type[SlowFiles]) -> None:
    """A holder dies after a checkpoint that its recording had not reached: the attributes name the gap."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    _, mark = await holder.save()
    slow.full = True
    await holder.run(130, repeat(2), 10**6)
    checkpoint, same = await holder.save()
    assert same == mark
    slow.full = False
    second = Holder(recordings, spec, inputs, 2)
    second.restore(checkpoint, mark)
    await second.run(last, repeat(2))
    end = await second.recorder.finish(last)
    assert end is not None
    recordings.compact(TOKEN, end)
    store = recordings.open(TOKEN, None)
    assert store.attributes["gaps"] == [{"first_tick": 101, "last_tick": 130}]
    assert 110 not in values(store, "tick")
    assert 132 in values(store, "tick")


async def test_a_recording_may_begin_late(recordings: Recordings) -> None:
    """A session that was begun without a recording has one from its next holder on; the gap is named."""
    spec, inputs, last = played("sandbox", 200)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(60, repeat(2), 10**6)
    second = Holder(recordings, spec, inputs, 2)
    second.restore(holder.simulation.checkpoint(), None)
    await second.run(last, repeat(2))
    mark = await second.recorder.finish(last)
    assert mark is not None and not mark.stopped
    store = recordings.open(TOKEN, mark)
    assert store.attributes["gaps"] == [{"first_tick": 0, "last_tick": 60}]
    assert store.length == len(values(store, "tick")) > 50


async def test_another_physics_is_named(recordings: Recordings) -> None:
    """A holder with another physics goes on; the attributes say from which tick."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    checkpoint, mark = await holder.save()
    second = Holder(recordings, spec, inputs, 2)
    second.recorder = recordings.recorder(spec, 2, "physics-2")
    second.restore(checkpoint, mark)
    await second.run(last, repeat(2))
    end = await second.recorder.finish(last)
    assert end is not None
    attributes = recordings.open(TOKEN, end).attributes
    assert attributes["physics_id"] == PHYSICS
    assert attributes["physics_changes"] == [{"after_tick": 100, "physics_id": "physics-2"}]


def damaged(how: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = path.read_bytes()
        match how:
            case "missing":
                path.unlink()
            case "cut":
                path.write_bytes(data[:-1])
            case "flipped":
                path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])

    return change


@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
async def test_a_state_that_is_damaged_stops_the_recording(
    tmp_path: Path, recordings: Recordings, how: str
) -> None:
    """The next holder trusts only the state whose hash the store has; the session goes on without a recording."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    checkpoint, mark = await holder.save()
    assert mark is not None
    damaged(how)(tmp_path / f"{TOKEN}.live" / "000001" / mark.state)
    second = Holder(recordings, spec, inputs, 2)
    second.restore(checkpoint, mark)
    await second.run(last, repeat(2))
    end = await second.recorder.finish(last)
    assert end is not None and end.stopped in ("no_recording", "damaged_recording")
    assert second.stopped == [end.stopped]


async def test_a_recording_that_stopped_stays_stopped(recordings: Recordings) -> None:
    """The next holder adds nothing after a gap whose ticks are not known."""
    spec, inputs, last = played("duel", 400)
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    checkpoint, mark = await holder.save()
    assert mark is not None
    stopped = RecordingMark(1, mark.tick, mark.length, mark.state, mark.sha256, "not_written")
    second = Holder(recordings, spec, inputs, 2)
    second.restore(checkpoint, stopped)
    await second.run(last, repeat(2))
    assert await second.recorder.finish(last) == stopped
    assert second.stopped == []


FULL = """
import asyncio, resource, signal, sys
from itertools import repeat
from tests.server.recordings.sessions import *

async def main():
    spec, inputs, last = played("duel", 300)
    recordings = Recordings(sys.argv[1])
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(100, repeat(2))
    _, good = await holder.save()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    await holder.run(last, repeat(2), 20)
    mark = await holder.recorder.finish(last)
    assert (mark.tick, mark.stopped) == (good.tick, "not_written"), mark
    assert not list(Path(sys.argv[1]).rglob(".*")), "a part of a file is left"

asyncio.run(main())
"""


def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses bytes in the middle of a file: the file does not exist, and the state before still counts."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
