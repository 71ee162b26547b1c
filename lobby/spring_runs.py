"""Runs of the spring-damper on its two stream solvers (docs/streams.md): begin a run, read its steps.

    begin -> XADD positions (the trigger)     `worker velocity` <-> `worker position`     read -> their steps

A run can begin before the solvers start: its trigger stays on the stream. This module must never compute a step.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.rules.spring import Spring, SpringRun, SpringState, decode_state
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["SpringRuns", "spring_of"]

START_MAX = 1e6
"""Largest absolute value of a start position [m] and velocity [m/s]."""

READ_COUNT = 500
"""Entries of the stream that one ``read`` takes, those of other runs included."""

_ENTRY = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")


def spring_of(settings: Settings) -> Spring:
    """The spring that the stream solvers compute."""
    return Spring(
        m=settings.spring_m, k=settings.spring_k, zeta=settings.spring_zeta, h=settings.spring_h,
        cycles=settings.spring_cycles,
    )  # fmt: skip


class SpringRuns:
    """The runs of one realm."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._kept = settings.spring_kept

    @property
    def stream(self) -> str:
        """The stream that runs begin on."""
        return self._store.keys.positions

    async def begin(self, name: str, x: float, v: float) -> str:
        """Begin a run at x [m], v [m/s]. Returns its id for ``read``. Raises Refused; then nothing is written."""
        if not (1 <= len(name) <= 64 and name.isprintable()):
            raise Refused("a name has 1 to 64 characters", code="bad_name", field="name")
        for field, value in (("x", x), ("v", v)):
            if not (math.isfinite(value) and abs(value) <= START_MAX):
                raise Refused(f"{field} must be within {START_MAX:g}", code="bad_start", field=field)
        start = msgspec.json.encode({"x": x, "v": v, "t": 0.0}).decode()
        return str(
            await self._store.call(
                "XADD", self._store.keys.positions, "MAXLEN", "~", self._kept, "*",
                "name", name, "in", start, "out", start,
            )
        )  # fmt: skip

    async def read(self, run: str, after: str = "") -> SpringRun:
        """The steps after the entry ``after`` ('': from the beginning), at most READ_COUNT.

        Raises Refused for a malformed id; NotFound for an unknown run or one whose trigger was trimmed.
        """
        for field, text in (("run", run), ("after", after)):
            if text and not _is_entry(text):
                raise Refused(f"{field} must be the id of an entry", code="bad_run", field=field)
        keys = self._store.keys
        trigger, rows, parameters = await self._store.batch(
            [
                ("XRANGE", keys.positions, run, run),
                ("XRANGE", keys.positions, f"({after or run}", "+", "COUNT", READ_COUNT),
                ("HMGET", keys.spring_run(run), "spring", "positions"),
            ],
            atomic=True,
        )
        try:
            fields = _fields(trigger[0])
            name, start = fields["name"], decode_state(fields["out"])
        except (IndexError, KeyError, ValueError):
            raise NotFound(f"there is no run {run}", code="no_such_run", field="run") from None
        spring = None if parameters[0] is None else msgspec.json.decode(parameters[0], type=Spring)
        steps = [step for row in rows if (step := _step(row, run)) is not None]
        closed = [_closed(spring, start, step.n) for step in steps]
        done = spring is not None and int(parameters[1] or 0) >= spring.cycles
        return SpringRun(
            run=run,
            name=name,
            x0=start.x,
            v0=start.v,
            after=rows[-1][0] if rows else after or run,
            cycles=None if spring is None else spring.cycles,
            n=tuple(step.n for step in steps),
            t=tuple(step.t for step in steps),
            x=tuple(step.x for step in steps),
            v=tuple(step.v for step in steps),
            closed_x=tuple(x for x, _ in closed),
            closed_v=tuple(v for _, v in closed),
            done=done and len(rows) < READ_COUNT,
            waits_for=() if done or rows else await self._absent(),
        )

    async def _absent(self) -> tuple[str, ...]:
        """The solvers that are not running."""
        keys = self._store.keys
        solvers = ("velocity", "position")
        up = await self._store.batch([("EXISTS", keys.spring_solver(solver)) for solver in solvers])
        return tuple(solver for solver, runs in zip(solvers, up, strict=True) if not runs)


def _is_entry(text: str) -> bool:
    match = _ENTRY.fullmatch(text)
    return match is not None and all(int(part) < 2**64 for part in match.groups())


def _fields(row: Any) -> dict[str, str]:
    return dict(zip(row[1][::2], row[1][1::2], strict=True))


def _step(row: Any, run: str) -> SpringState | None:
    """The step in an entry; None for an entry of another run or a malformed one."""
    try:
        state = decode_state(_fields(row)["out"])
    except (KeyError, ValueError):
        return None
    return state if state.run == run else None


def _closed(spring: Spring | None, start: SpringState, n: int) -> tuple[float | None, float | None]:
    if spring is None:
        return None, None
    try:
        return spring.closed_form(start.x, start.v, n)
    except ValueError:  # these parameters do not oscillate
        return None, None
