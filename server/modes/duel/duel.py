"""The duel: each seat owns a body on the Octagon and launches it at the others. The last seat that is in wins.

A seat is out when its body falls off the Octagon or has no health left. Blows cost health
(server/modes/duel/damage.py); in late rounds the sides of the Octagon fall (server/modes/duel/crumbling.py). Body i of
the scene belongs to seat i; behind them are the slabs of sides that fell last. Angles in degrees: azimuth from +x
towards +z, elevation from the ground up. This mode must never draw a random number after the set-up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionKind, check_action
from tussle.lobby.rules.scenes import Scene
from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.duel import bot as duel_bot
from tussle.server.modes.duel.bouts import close_bout, fresh_places, match_result
from tussle.server.modes.duel.crumbling import crack_sides, drop_sides
from tussle.server.modes.duel.damage import DamageRules, Hit, find_hits
from tussle.server.modes.duel.mat import RIM
from tussle.server.modes.duel.moves import build_scene, find_target, push, push_energy
from tussle.server.modes.duel.outs import close_blows, find_outs, take_hits, take_out
from tussle.server.modes.duel.report import (
    ACTION_KINDS,
    first_turn,
    rank,
    recall,
    result_payload,
    set_up_payload,
    turn_ended_payload,
    turn_started_payload,
)
from tussle.server.modes.duel.state import (
    AIR_DRAG,
    BRACE_DRAG,
    FALL_S,
    HOP_ELEVATION,
    LATE_AFTER_S,
    LATE_DRAG,
    LIMIT_S,
    SETTLE_DRAG,
    DuelParams,
    DuelState,
)
from tussle.server.modes.mode import (
    Action,
    CatalogueBody,
    Effect,
    Look,
    ModeEvent,
    Seat,
    Standing,
    View,
)
from tussle.server.modes.turn_mode import REST_TICKS, TurnMode, TurnParams, count_quiet
from tussle.server.physics.world_state import Control, Floats

__all__ = ["Duel"]


class Duel(TurnMode):
    """The rules, for the seats and bodies of one session."""

    name: ClassVar[str] = "duel"
    version: ClassVar[int] = 2
    seats: ClassVar[tuple[int, int]] = (2, 6)
    state_type: ClassVar[type[msgspec.Struct]] = DuelState
    params_type: ClassVar[type[TurnParams]] = DuelParams
    action_kinds: ClassVar[tuple[ActionKind, ...]] = ACTION_KINDS
    people_params: ClassVar[Mapping[str, Any]] = {"rounds_to_win": 2}
    params: DuelParams

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        super().__init__(params, seats, catalogue)
        for seat in seats:
            if seat.body not in catalogue:
                raise Refused(f"no body is called {seat.body!r}", code="unknown_body", field="body")
        self.bodies = tuple(catalogue[seat.body] for seat in seats)
        self.rules = DamageRules()
        self.toughness = tuple(body.toughness for body in self.bodies)
        self._rolling: Floats = np.array([body.rolling for body in self.bodies])
        self._full = tuple(float(body.health) for body in self.bodies)

    # Set-up

    def setup(self, seed: int) -> tuple[DuelState, list[ModeEvent]]:
        state = DuelState(
            stage="settling",
            order=TurnOrder.of(range(self.seat_count)),
            health=self._full,
            braced=(False,) * self.seat_count,
            touching=(False,) * self.seat_count,
            damage=(0.0,) * (self.seat_count * self.seat_count),
            seed=seed,
            wins=(0,) * self.seat_count,
        )
        payload = set_up_payload(self.name, self.version, seed, self.params, self.players, self.bodies)
        return state, [self.event(state, "set_up", payload)]

    def scene(self, state: DuelState, seed: int) -> Scene:
        return build_scene(seed, self.bodies, state.fallen, state.loose)

    def owners(self, state: DuelState) -> list[tuple[int | None, str]]:
        return [*((seat.seat, seat.body) for seat in self.players), *[(None, RIM)] * state.loose]

    # Queries

    def standing(self, state: DuelState) -> dict[int, Standing]:
        n = len(state.health)
        out = {gone.seat for gone in state.outs}
        return {
            seat: Standing(
                health=state.health[seat],
                points=sum(state.damage[seat * n + other] for other in range(n) if other != seat),
                out=seat in out,
            )
            for seat in range(n)
        }

    # Inputs

    def apply(
        self, state: DuelState, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[DuelState, Effect, list[ModeEvent]]:
        self.check_turn(state, seat, kind)
        if kind == "leave":
            return self._leave(state, view, seat)
        if kind != "skip":
            d = check_action(self.legal(state, view, seat), kind, d)
        velocity, spin = push(self.bodies[seat], state.order.turn - state.first_turn, kind, d)
        energy = push_energy(view, seat, velocity, spin)
        braced = list(state.braced)
        braced[seat] = kind == "brace"
        state = msgspec.structs.replace(
            state,
            stage="moving",
            braced=tuple(braced),
            quiet=0,
            turn=msgspec.structs.replace(
                state.turn, start_tick=view.tick, skipped=kind == "skip", launch_energy=energy
            ),
        )
        events = [
            self.event(
                state,
                "action",
                {
                    "seat": seat,
                    "kind": kind,
                    "azimuth": d.get("azimuth"),
                    "elevation": HOP_ELEVATION if kind == "hop" else d.get("elevation"),
                    "power": d.get("power"),
                    "impulse_Ns": float(view.masses[seat]) * math.hypot(*velocity),
                    "energy_J": energy,
                    "target": find_target(state, view, seat, d.get("azimuth")),
                    "timed_out": kind == "skip",
                },
            )
        ]
        if kind == "skip" and self.is_last_skip(state, seat):
            state, effect, more = self._leave(state, view, seat)
            return state, effect, events + more
        if kind in ("brace", "skip"):
            return state, Effect(), events
        return state, Effect(push={seat: (velocity, spin)}), events

    def _leave(self, state: DuelState, view: View, seat: int) -> tuple[DuelState, Effect, list[ModeEvent]]:
        state, events = take_out(self, state, view, [(seat, "forfeit")], view.tick + 1)
        return state, Effect(remove=(seat,)), events

    # Ticks

    def plan(self, state: DuelState, view: View) -> Control:
        return Control(drag=self._drag(state, view.dt))

    def _drag(self, state: DuelState, dt: float) -> Floats:
        """Damping of the coming tick [1/s], shape (n,): of the seats' bodies, then of the slabs."""
        drag = np.where(state.touching, self._rolling, AIR_DRAG)
        elapsed = state.turn.ticks * dt
        if elapsed > LATE_AFTER_S:
            drag += LATE_DRAG * (elapsed - LATE_AFTER_S)
        if state.stage == "settling" and not state.loose:
            drag += SETTLE_DRAG
        elif any(state.braced):
            drag += BRACE_DRAG * np.array(state.braced)
        return np.append(drag, [AIR_DRAG] * state.loose) if state.loose else drag

    def on_tick(
        self, state: DuelState, before: View, view: View
    ) -> tuple[DuelState, Effect, list[ModeEvent]]:
        ground = view.impulses[: self.seat_count, self.seat_count :]
        touching = tuple(bool(pushed) for pushed in np.any(ground, axis=(1, 2)))
        if state.stage == "acting":  # the tick only takes out a seat that left; the world still waits
            state = msgspec.structs.replace(state, touching=touching)
            return self._after_leave(state, view)
        events: list[ModeEvent] = []
        removed: tuple[int, ...] = ()
        falling = state.stage == "settling" and state.loose > 0
        if state.stage == "moving":
            hits: list[Hit] = []
            if view.impulses[: self.seat_count, : self.seat_count].any():
                drag = self._drag(state, view.dt)
                hits = find_hits(
                    self.rules, before, view, drag, self.toughness, state.braced, state.order.current
                )
            if hits or state.blows:
                state, events = take_hits(self, state, view, hits)
        if state.stage == "moving" or falling:
            state, removed, more = find_outs(self, state, view)
            events += more
        # zero for bodies that went out in an earlier tick
        velocities, rates = view.velocities[: self.seat_count], view.rates[: self.seat_count]
        if removed:
            living = list(state.order.living_seats)
            velocities, rates = velocities[living], rates[living]
        turn = state.turn
        state = msgspec.structs.replace(
            state,
            touching=touching,
            quiet=count_quiet(state.quiet, velocities, rates),
            turn=msgspec.structs.replace(
                turn,
                ticks=turn.ticks + 1,
                iterations=turn.iterations + view.iterations,
                min_distance=min(turn.min_distance, view.min_distance),
            ),
        )
        at_rest = state.quiet >= REST_TICKS
        few = len(state.order.living_seats) < 2
        if falling and not few and state.turn.ticks < round(FALL_S / view.dt):
            return state, Effect(remove=removed), events
        if not (at_rest or few or state.turn.ticks >= round(LIMIT_S / view.dt)):
            return state, Effect(remove=removed), events
        if state.stage == "settling":
            state, effect, more = self._end_settling(state, view, falling=falling)
        else:
            state, effect, more = self._end_turn(state, view, at_rest=at_rest)
        if not effect.place:
            effect = replace(effect, remove=(*removed, *effect.remove))
        return state, effect, events + more

    def _after_leave(self, state: DuelState, view: View) -> tuple[DuelState, Effect, list[ModeEvent]]:
        if self.keeps_waiting(state):
            return state, Effect(halt=True), []
        state = msgspec.structs.replace(
            state, turn=msgspec.structs.replace(state.turn, ticks=1, start_tick=view.tick - 1)
        )
        return self._end_turn(state, view, at_rest=True)

    # Turns

    def _begin_turn(self, state: DuelState, view: View) -> tuple[DuelState, list[ModeEvent]]:
        turn = first_turn(
            state.order.current,
            view.positions[: self.seat_count],
            view.rows[: self.seat_count],
            view.energy - view.kinetic,
        )
        state = msgspec.structs.replace(state, stage="acting", quiet=0, turn=turn)
        return state, [self.event(state, "turn_started", self.brief(state, view))]

    def brief(self, state: DuelState, view: View) -> dict[str, Any]:
        actions = self.legal(state, view, state.order.current)
        return turn_started_payload(state, view, self.bodies, actions, self.deadline_s(state))

    def _end_turn(
        self, state: DuelState, view: View, *, at_rest: bool
    ) -> tuple[DuelState, Effect, list[ModeEvent]]:
        """End the turn; then begin the next turn, or let cracked sides fall first, or decide the bout."""
        state, events = close_blows(self, state, range(self.seat_count))
        events.append(self.event(state, "turn_ended", turn_ended_payload(state, view, at_rest=at_rest)))
        if len(state.order.living_seats) > 1:
            before, order = state.order, state.order.end_turn(skipped=state.turn.skipped)
            if order.round <= self.params.rounds:
                state = msgspec.structs.replace(state, order=order)
                if order.round > before.round and state.cracked:
                    state, more = drop_sides(self, state, view)
                    return state, Effect(halt=True, rebuild=True), events + more
                state, more = self._next_turn(state, view, new_round=order.round > before.round)
                return state, Effect(halt=True), events + more
        state, effect, more = self._decide(state, view)
        return state, effect, events + more

    def _end_settling(
        self, state: DuelState, view: View, *, falling: bool
    ) -> tuple[DuelState, Effect, list[ModeEvent]]:
        """Begin the first turn of a bout or, after a fall, take out the slabs and begin that of a round; or decide the
        bout."""
        if len(state.order.living_seats) < 2:
            return self._decide(state, view)
        order = state.order
        if not order.lives(order.current):  # it fell with its side, or left
            order = msgspec.structs.replace(order.end_turn(), round=order.round, turn=order.turn)
            state = msgspec.structs.replace(state, order=order)
        if falling:
            state, events = self._next_turn(state, view, new_round=True)
        else:
            state, events = self._begin_turn(state, view)
        slabs = tuple(range(self.seat_count, self.seat_count + state.loose))
        return state, Effect(remove=slabs, halt=True), events

    def _next_turn(
        self, state: DuelState, view: View, *, new_round: bool
    ) -> tuple[DuelState, list[ModeEvent]]:
        """Begin a turn. In a new round sides may crack first."""
        events: list[ModeEvent] = []
        if new_round:
            state, events = crack_sides(self, state, self.params.falls_from)
        state, more = self._begin_turn(state, view)
        return state, events + more

    def _decide(self, state: DuelState, view: View) -> tuple[DuelState, Effect, list[ModeEvent]]:
        """Begin the next bout, or give the result."""
        result, to_win = rank(state, self.bodies), self.params.rounds_to_win
        events: list[ModeEvent] = []
        if to_win > 1:
            broken = bool(state.fallen)
            state, events, decided = close_bout(self, state, result, to_win, self._full)
            if not decided:
                return state, fresh_places(state, self.bodies, rebuild=broken), events
            result = match_result(state, result)
        events.append(self.event(state, "result", result_payload(state, result, view.tick)))
        return msgspec.structs.replace(state, stage="over", result=result), Effect(halt=True), events

    def recall(self, brief: Mapping[str, Any]) -> tuple[DuelState, list[Floats | None]]:
        """The brief does not contain damage dealt, blows and outs of earlier turns. They do not affect later ticks."""
        return recall(brief, self.seat_count, self.params.rounds_to_win)

    @staticmethod
    def bot(
        brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
    ) -> Action:
        return duel_bot.decide(brief, seat, skill, look, rng)
