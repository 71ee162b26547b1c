"""The spring-damper as a session: one mass on a spring, one step of the scheme of lobby/rules/spring.py per tick.

    set_up -> steps, steps, ... -> run_ended -> result        trigger: begin a new run, at any time and place

The numbers are those of the two stream solvers (worker/spring/solvers.py), bit for bit. The events give each step
beside the closed form of the scheme, for a plot. The world shows the mass; it has no contact. This mode must never
change a number of the scheme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec, check_action
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.lobby.rules.spring import Spring, SpringState
from tussle.server.modes.mode import (
    CatalogueBody,
    Effect,
    ModeEvent,
    Result,
    Seat,
    Standing,
    View,
    describe_seat,
)
from tussle.server.modes.slot_mode import SlotMode, set_member
from tussle.server.physics.world_state import Control

__all__ = ["SpringDamper", "SpringDamperState", "SpringParams"]

SEATS_MAX = 16
SHOWN_M = 2.5
"""The mass is shown within this distance of the middle; larger swings are scaled down, in the view only."""

HEIGHT_M = 0.6
EDGE_M = 0.4
START_MAX = 1e6


class SpringParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``m``: mass [kg]. ``k``: stiffness [N/m]. ``zeta``: damping ratio. ``h``: time step [s]. ``cycles``: steps of a
    run. ``x`` [m], ``v`` [m/s]: the start of the first run. ``report``: steps per ``steps`` event. Numbers with
    which the scheme does not oscillate are refused too."""

    m: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 1.0
    k: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 1.0
    zeta: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.01
    h: Annotated[float, msgspec.Meta(ge=1e-4, le=0.1)] = 0.1
    cycles: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    x: Annotated[float, msgspec.Meta(ge=-START_MAX, le=START_MAX)] = 0.0
    v: Annotated[float, msgspec.Meta(ge=-START_MAX, le=START_MAX)] = 1.0
    report: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class SpringDamperState(msgspec.Struct, frozen=True):
    """All that varies. x0, v0: the start of this run. rows: steps that no ``steps`` event has given yet."""

    x0: float
    v0: float
    x: float
    v: float
    members: tuple[bool, ...]
    t: float = 0.0
    n: int = 0
    run: int = 1
    rows: tuple[tuple[int, float, float, float], ...] = ()
    result: Result | None = None


class SpringDamper(SlotMode):
    """The rules, for one mass and its members."""

    name: ClassVar[str] = "spring-damper"
    version: ClassVar[int] = 1
    seats: ClassVar[tuple[int, int]] = (1, SEATS_MAX)
    state_type: ClassVar[type[msgspec.Struct]] = SpringDamperState
    params_type: ClassVar[type[SpringParams]] = SpringParams

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        self.params = p = self._convert_params(params, self.params_type)
        self.spring = Spring(m=p.m, k=p.k, zeta=p.zeta, h=p.h, cycles=p.cycles)
        try:
            self.spring.closed_form(1.0, 0.0, 1)
        except ValueError as error:
            raise Refused(str(error), code="bad_params", field="params") from None
        if not seats or not all(0 <= seat.seat < SEATS_MAX for seat in seats):
            raise Refused(f"a spring-damper has 1 to {SEATS_MAX} seats", code="bad_seats", field="seats")
        self.members = tuple(seats)
        self.seat_count = SEATS_MAX
        reach = ActionField(low=-START_MAX, high=START_MAX, unit="m", default=0.0)
        speed = ActionField(low=-START_MAX, high=START_MAX, unit="m/s", default=1.0)
        self._kinds = (
            ActionKind("trigger", {"x": reach, "v": speed}, "Begin a new run at that position and velocity."),
        )

    # Set-up

    def setup(self, seed: int) -> tuple[SpringDamperState, list[ModeEvent]]:
        p = self.params
        seated = {seat.seat for seat in self.members}
        state = SpringDamperState(
            x0=p.x, v0=p.v, x=p.x, v=p.v, members=tuple(seat in seated for seat in range(SEATS_MAX))
        )
        payload = {
            "mode": self.name,
            "rules_version": self.version,
            "seed": seed,
            "params": msgspec.to_builtins(p),
            "d": self.spring.d,
            "omega": self.spring.omega,
            "seats": [describe_seat(seat) for seat in self.members],
        }
        return state, [self.event(state, "set_up", payload), self._triggered(state, None)]

    def scene(self, state: SpringDamperState, seed: int) -> Scene:
        size = [EDGE_M, EDGE_M, EDGE_M]
        mass = Body(
            id="mass",
            kind="affine",
            shape=Recipe(kind="box", params={"size": size}),
            material=Material(density=self.params.m / EDGE_M**3),
            position=(0.0, HEIGHT_M, 0.0),
        )
        floor = Body(
            id="floor",
            kind="static",
            shape=Recipe(kind="slab", params={"size": [2 * SHOWN_M + 1, 0.2, 1.5]}),
            material=Material(density=1000.0),
        )
        return Scene(bodies=(mass, floor), name=self.name, gravity=(0.0, 0.0, 0.0), dt=self.params.h)

    def owners(self, state: SpringDamperState) -> list[tuple[int | None, str]]:
        return [(None, "mass")]

    # Queries

    def clock(self, state: SpringDamperState) -> tuple[int, int]:
        return state.run, 0

    def standing(self, state: SpringDamperState) -> dict[int, Standing]:
        return {
            seat.seat: Standing(health=0.0, points=0.0, out=not state.members[seat.seat])
            for seat in self.members
        }

    def legal(self, state: SpringDamperState, view: View, seat: int) -> ActionSpec:
        return ActionSpec(seat=seat, kinds=self._kinds)

    # Inputs and ticks

    def apply(
        self, state: SpringDamperState, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[SpringDamperState, Effect, list[ModeEvent]]:
        if kind in ("join", "leave"):
            members = set_member(state.members, seat, kind == "join")
            state = msgspec.structs.replace(state, members=members)
            events = [self.event(state, "joined" if kind == "join" else "left", {"seat": seat})]
            if any(members):
                return state, Effect(), events
            state, ended = self._end(state, "empty")
            return state, Effect(), [*events, *ended]
        if not state.members[seat]:
            raise Refused("that seat is not in the session", code="seat_out", field="seat")
        d = check_action(self.legal(state, view, seat), kind, d)
        state, events = self._report_steps(state)
        state = msgspec.structs.replace(
            state, x0=d["x"], v0=d["v"], x=d["x"], v=d["v"], t=0.0, n=0, run=state.run + 1
        )
        return state, Effect(place=self._place(state)), [*events, self._triggered(state, seat)]

    def plan(self, state: SpringDamperState, view: View) -> Control | None:
        return None

    def on_tick(
        self, state: SpringDamperState, before: View, view: View
    ) -> tuple[SpringDamperState, Effect, list[ModeEvent]]:
        half = self.spring.step_velocity(SpringState(x=state.x, v=state.v, t=state.t, n=state.n))
        assert half is not None, "a session is over when its cycles are"
        after = self.spring.step_position(half)
        assert after is not None
        row = (after.n, after.t, after.x, after.v)
        state = msgspec.structs.replace(
            state, x=after.x, v=after.v, t=after.t, n=after.n, rows=(*state.rows, row)
        )
        events: list[ModeEvent] = []
        if len(state.rows) >= self.params.report or state.n >= self.spring.cycles:
            state, events = self._report_steps(state)
        if state.n >= self.spring.cycles:
            state, ended = self._end(state, "done")
            events += ended
        return state, Effect(place=self._place(state)), events

    def _report_steps(self, state: SpringDamperState) -> tuple[SpringDamperState, list[ModeEvent]]:
        """Empty the rows into a ``steps`` event, beside the closed form."""
        if not state.rows:
            return state, []
        n, t, x, v = (list(column) for column in zip(*state.rows, strict=True))
        closed = [self.spring.closed_form(state.x0, state.v0, i)[0] for i, _, _, _ in state.rows]
        steps = {"run": state.run, "n": n, "t": t, "x": x, "v": v, "closed": closed}
        return msgspec.structs.replace(state, rows=()), [self.event(state, "steps", steps)]

    def _end(self, state: SpringDamperState, cause: str) -> tuple[SpringDamperState, list[ModeEvent]]:
        state, events = self._report_steps(state)
        closed = self.spring.closed_form(state.x0, state.v0, state.n)[0]
        last = {"run": state.run, "n": state.n, "t": state.t, "x": state.x, "v": state.v, "closed": closed}
        events.append(self.event(state, "run_ended", {**last, "error": abs(state.x - closed)}))
        result, payload = self._tie(cause)
        return msgspec.structs.replace(state, result=result), [*events, self.event(state, "result", payload)]

    def _place(self, state: SpringDamperState) -> dict[int, Any]:
        """The place at which the mass is shown."""
        swing = math.hypot(state.x0, state.v0 / self.spring.omega)
        scale = 1.0 if swing <= SHOWN_M else SHOWN_M / swing
        x = min(max(state.x * scale, -SHOWN_M), SHOWN_M)
        return {0: ((x, HEIGHT_M, 0.0), (1.0, 0.0, 0.0, 0.0))}

    def _triggered(self, state: SpringDamperState, seat: int | None) -> ModeEvent:
        payload = {"run": state.run, "seat": seat, "x": state.x0, "v": state.v0}
        return self.event(state, "triggered", payload)
