"""The sensors of running sessions, published on their telemetry streams (lobby/wire/sensors.py).

    Run -> record (adds to a window in memory) ...  every 1 / TELEMETRY_HZ: publish -> telemetry.lua (fenced)

``record`` only adds numbers. A batch that the store did not accept is counted and dropped. A session that ran no tick
since the last batch publishes nothing. This module must never be awaited by a run.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import msgspec

from tussle.lobby.errors import ClientError, Fenced, ServerFault
from tussle.lobby.logs import get_logger, short
from tussle.lobby.runs import Fence
from tussle.lobby.store.store import Store
from tussle.lobby.wire.numbers import as_sent
from tussle.lobby.wire.sensors import Reading, Sensor, SensorInfo, now_utc
from tussle.server.metrics.loads import SessionLoads
from tussle.server.simulation.simulation import Advance

__all__ = ["SENSORS", "Readings"]

log = get_logger("server.readings")

SENSORS = (
    Sensor("tick", "1", "newest tick"),
    Sensor("energy", "J", "kinetic + gravity + elastic, at the newest tick"),
    Sensor("contacts", "1", "most contacts of any tick since the last batch"),
    Sensor("min_distance", "m", "least distance since the last batch; null: nothing was near"),
    Sensor("iterations", "1", "solver iterations per tick, mean"),
    Sensor("step_time", "s", "solver time per tick, mean"),
    Sensor("tick_rate", "1/s", "ticks per second of real time"),
    Sensor("input_rate", "1/s", "admitted inputs per second of real time"),
    Sensor("frame_bytes", "B", "size of the newest frame"),
    Sensor("score", "1", "points", per_seat=True),
    Sensor("health", "1", "health", per_seat=True),
)


@dataclass(slots=True)
class _Window:
    """Sums over one session since its last batch."""

    fence: Fence
    since: float
    newest: Advance
    ticks: int = 0
    iterations: int = 0
    contacts: int = 0
    inputs: int = 0
    min_distance: float = math.inf
    seconds: float = 0.0

    def readings(self, now: float) -> dict[str, Reading]:
        newest, spent = self.newest, max(now - self.since, 1e-9)
        standings = [newest.standing[seat] for seat in sorted(newest.standing)]
        near = math.isfinite(self.min_distance)
        return {
            "tick": float(newest.tick),
            "energy": newest.energy,
            "contacts": float(self.contacts),
            "min_distance": self.min_distance if near else None,
            "iterations": self.iterations / self.ticks,
            "step_time": self.seconds / self.ticks,
            "tick_rate": self.ticks / spent,
            "input_rate": self.inputs / spent,
            "frame_bytes": float(len(newest.frame)),
            "score": [standing.points for standing in standings],
            "health": [standing.health for standing in standings],
        }


class Readings:
    """The sensors of all sessions of one server. The server runs ``keep`` as a task."""

    def __init__(self) -> None:
        self.published = 0
        self.dropped = 0
        self.loads = SessionLoads()
        self.most_kept: int | None = None
        """A limit of the batches that a stream keeps, while the store is almost full."""
        self._windows: dict[str, _Window] = {}
        self._since: dict[str, float] = {}

    def record(self, fence: Fence, advance: Advance, seconds: float, inputs: int) -> None:
        """Add one advance to its session's window. The run calls it after every advance. Never fails or blocks.

        seconds: solver time of the advance; inputs: number of inputs that it applied.
        """
        if not advance.ticks_run:
            return
        now = asyncio.get_running_loop().time()
        self.loads.record(
            fence.session,
            ticks=advance.ticks_run,
            seconds=seconds,
            simulated_s=advance.ticks_run * advance.dt,
            moving=advance.phase == "moving",
            now=now,
        )
        window = self._windows.get(fence.session)
        if window is None or window.fence != fence:
            window = _Window(
                fence, self._since.get(fence.session, now - advance.ticks_run * advance.dt), advance
            )
            self._windows[fence.session] = window
        window.newest = advance
        window.ticks += advance.ticks_run
        window.iterations += advance.iterations
        window.contacts = max(window.contacts, advance.contacts)
        window.min_distance = min(window.min_distance, advance.min_distance)
        window.seconds += seconds
        window.inputs += inputs

    async def keep(self, store: Store, *, hz: float, kept: int) -> None:
        """Publish every session's window ``hz`` times a second, until cancelled; hz 0 publishes nothing.

        kept: number of batches that the stream keeps.
        """
        if hz <= 0:
            return
        info = SensorInfo(source="", kind="session", period_s=1 / hz, sensors=SENSORS)
        while True:
            await asyncio.sleep(1 / hz)
            windows, self._windows = self._windows, {}
            now = asyncio.get_running_loop().time()
            self._since = dict.fromkeys(windows, now)
            if windows:
                await asyncio.gather(
                    *(self._publish(store, window, now, kept, info) for window in windows.values())
                )

    async def _publish(self, store: Store, window: _Window, now: float, kept: int, info: SensorInfo) -> None:
        fence, keys = window.fence, store.keys
        stream = keys.telemetry(fence.session)
        kept = kept if self.most_kept is None else min(kept, self.most_kept)
        about = msgspec.structs.replace(info, source=fence.session, since=now_utc())
        try:
            await store.run(
                "telemetry",
                [keys.session(fence.session), stream],
                [
                    fence.server, fence.nonce, fence.epoch, keys.live(stream), kept, now_utc(),
                    msgspec.json.encode(as_sent(window.readings(now))), msgspec.json.encode(about),
                ],
            )  # fmt: skip
        except (Fenced, ClientError):
            self.dropped += 1  # the session has just ended or has another holder
        except ServerFault as error:
            self.dropped += 1
            log.debug("readings_dropped", token=short(fence.session), error=error.message)
        else:
            self.published += 1
