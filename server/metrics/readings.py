"""What a session measures of itself, on its telemetry stream: a source like any other (lobby/wire/sensors.py).

    Run -> watch (adds to a window in memory) ...  every 1 / TELEMETRY_HZ: publish -> telemetry.lua (fenced)

It watches and never stands in the way: ``watch`` only adds numbers, a batch that the store did not take is counted and
dropped, and a world that stands publishes nothing, since old readings are not news. This module must never be awaited
by a run.
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
from tussle.lobby.wire.sensors import Reading, Sensor, SensorInfo, now_utc
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
    """What one session did since its last batch."""

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
        standing = [newest.standing[seat] for seat in sorted(newest.standing)]
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
            "score": [one.points for one in standing],
            "health": [one.health for one in standing],
        }


class Readings:
    """The sensors of all sessions of one server. ``keep`` runs as a task of the server's."""

    def __init__(self) -> None:
        self.published = 0
        self.dropped = 0
        self._windows: dict[str, _Window] = {}
        self._since: dict[str, float] = {}

    def watch(self, fence: Fence, advance: Advance, seconds: float, inputs: int) -> None:
        """Note what an advance did; from the run, after every one. Never fails, never waits."""
        if not advance.ticks_run:
            return
        now = asyncio.get_running_loop().time()
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
        """Publish every session's window at that rate, until cancelled. hz 0: never."""
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
        about = msgspec.structs.replace(info, source=fence.session, since=now_utc())
        try:
            await store.run(
                "telemetry",
                [keys.session(fence.session), stream],
                [
                    fence.server, fence.nonce, fence.epoch, keys.live(stream), kept, now_utc(),
                    msgspec.json.encode(window.readings(now)), msgspec.json.encode(about),
                ],
            )  # fmt: skip
        except (Fenced, ClientError):
            self.dropped += 1  # it has just ended, or is not ours any more
        except ServerFault as error:
            self.dropped += 1
            log.debug("readings_dropped", token=short(fence.session), error=error.message)
        else:
            self.published += 1
