"""Curling: the seats slide stones down a sheet in turns. The stones nearest to the button score.

    settling -> acting -> moving -> acting -> ... -> end scored -> ... -> over

An end is over when each seat has thrown all of its stones. Stone k of seat i is body i * stones + k. It is out of the
world until it is thrown, and after it is lost. Angles in degrees. The sheet runs along +x from the launch line. This
mode must never draw a random number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from tussle.lobby.rules.actions import ActionField, ActionKind, check_action
from tussle.lobby.rules.scenes import Body, Material, Quaternion, Recipe, Scene, Vector
from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.curling import bot as curling_bot
from tussle.server.modes.curling.state import (
    DHAT,
    FRICTION,
    GUARDED,
    HOUSE,
    LATE_AFTER_S,
    LATE_DRAG,
    LAUNCH,
    LIMIT_S,
    OFF_BELOW_Y,
    RINGS,
    SHEET,
    SHEET_CENTRE,
    SHORT_OF,
    SPEED,
    STONE,
    CurlingParams,
    CurlingState,
    Lying,
    score_end,
)
from tussle.server.modes.duel.damage import DamageRules, find_hits
from tussle.server.modes.mode import (
    Action,
    CatalogueBody,
    Effect,
    Look,
    ModeEvent,
    Result,
    Score,
    Seat,
    Standing,
    View,
    describe_seat,
)
from tussle.server.modes.turn_mode import REST_TICKS, TurnMode, TurnParams, base_xp, count_quiet, find_winner
from tussle.server.physics.world_state import Control, Floats

__all__ = ["Curling"]

Placing = dict[int, tuple[Vector, Quaternion]]

_UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
_KINDS = (
    ActionKind(
        "launch",
        {
            "azimuth": ActionField(low=-10.0, high=10.0, unit="degree"),
            "power": ActionField(low=0.0, high=1.0),
            "spin": ActionField(low=-6.0, high=6.0, unit="rad/s", default=0.0),
        },
        "Slide your stone down the sheet.",
    ),
)


class Curling(TurnMode):
    """The rules, for the seats of one session."""

    name: ClassVar[str] = "curling"
    version: ClassVar[int] = 1
    seats: ClassVar[tuple[int, int]] = (2, 4)
    state_type: ClassVar[type[msgspec.Struct]] = CurlingState
    params_type: ClassVar[type[TurnParams]] = CurlingParams
    action_kinds: ClassVar[tuple[ActionKind, ...]] = _KINDS
    params: CurlingParams

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        super().__init__(params, seats, catalogue)
        self.stone_count = self.seat_count * self.params.stones

    # Set-up

    def setup(self, seed: int) -> tuple[CurlingState, list[ModeEvent]]:
        state = CurlingState(
            stage="settling",
            order=TurnOrder.of(range(self.seat_count)),
            points=(0,) * self.seat_count,
            on_sheet=(False,) * self.stone_count,
        )
        payload = {
            "mode": self.name,
            "rules_version": self.version,
            "seed": seed,
            "params": msgspec.to_builtins(self.params),
            "sheet": {"size": list(SHEET), "centre": SHEET_CENTRE},
            "house": {"x": HOUSE, "rings": list(RINGS)},
            "seats": [describe_seat(seat) for seat in self.players],
        }
        return state, [self.event(state, "set_up", payload)]

    def scene(self, state: CurlingState, seed: int) -> Scene:
        """Return the sheet with all stones on it; the first tick removes them."""
        stones = tuple(
            Body(
                id=f"stone-{number // self.params.stones}-{number % self.params.stones}",
                shape=Recipe(kind=STONE.kind, params=STONE.params),
                material=Material(density=STONE.density, stiffness=STONE.stiffness, friction=FRICTION),
                position=(0.8 + 0.65 * (number // 3), LAUNCH[1], 0.62 * (number % 3 - 1)),
            )
            for number in range(self.stone_count)
        )
        sheet = Body(
            id="sheet",
            kind="static",
            shape=Recipe(kind="slab", params={"size": list(SHEET)}),
            material=Material(density=1000.0, friction=FRICTION),
            position=(SHEET_CENTRE, 0.0, 0.0),
        )
        return Scene(
            bodies=(*stones, sheet),
            name="sheet",
            dhat=DHAT,
            contact_mass=STONE.mass,
            friction_speed=0.05,
            tolerance=0.02,
        )

    def owners(self, state: CurlingState) -> list[tuple[int | None, str]]:
        return [(self._owner(stone), STONE.id) for stone in range(self.stone_count)]

    def _owner(self, stone: int) -> int:
        return stone // self.params.stones

    # Queries

    def standing(self, state: CurlingState) -> dict[int, Standing]:
        return {
            seat: Standing(health=0.0, points=float(points), out=not state.order.lives(seat))
            for seat, points in enumerate(state.points)
        }

    def _stone(self, state: CurlingState) -> int:
        """The stone of the present turn."""
        return state.order.current * self.params.stones + state.order.round - state.first_round

    # Inputs

    def apply(
        self, state: CurlingState, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[CurlingState, Effect, list[ModeEvent]]:
        self.check_turn(state, seat, kind)
        if kind == "leave":
            return self._leave(state, seat)
        stone = self._stone(state)
        if kind == "skip":
            events = [
                self.event(state, "action", {"seat": seat, "kind": kind, "stone": stone, "timed_out": True})
            ]
            state = self._lost(msgspec.structs.replace(state, stage="moving", skipped=True), [stone])
            if self.is_last_skip(state, seat):
                state, _, more = self._leave(state, seat)
                events += more
            return state, Effect(remove=(stone,)), events
        d = check_action(self.legal(state, view, seat), kind, d)
        azimuth, speed = math.radians(d["azimuth"]), SPEED * d["power"]
        push = (speed * math.cos(azimuth), 0.0, speed * math.sin(azimuth)), (0.0, d["spin"], 0.0)
        payload = {"seat": seat, "kind": kind, "stone": stone, "timed_out": False, **d}
        state = msgspec.structs.replace(state, stage="moving")
        return state, Effect(push={stone: push}), [self.event(state, "action", payload)]

    def _leave(self, state: CurlingState, seat: int) -> tuple[CurlingState, Effect, list[ModeEvent]]:
        """Take a seat out. Its thrown stones stay where they are; a stone that waits to be thrown is removed."""
        place = len(state.order.living_seats)
        out = self.event(state, "out", {"seat": seat, "cause": "forfeit", "place": place})
        thrown = state.stage == "moving" or seat != state.order.current
        remove = () if thrown else (self._stone(state),)
        state = msgspec.structs.replace(
            self._lost(state, remove), order=state.order.eliminate(seat), left=(*state.left, seat)
        )
        return state, Effect(remove=remove), [out]

    @staticmethod
    def _lost(state: CurlingState, stones: Sequence[int]) -> CurlingState:
        on_sheet = tuple(on and stone not in stones for stone, on in enumerate(state.on_sheet))
        return msgspec.structs.replace(state, on_sheet=on_sheet)

    # Ticks

    def plan(self, state: CurlingState, view: View) -> Control:
        return Control(drag=self._drag(state, view.dt))

    def _drag(self, state: CurlingState, dt: float) -> Floats:
        late = max(0.0, state.ticks * dt - LATE_AFTER_S)
        return np.full(self.stone_count, LATE_DRAG * late)

    def on_tick(
        self, state: CurlingState, before: View, view: View
    ) -> tuple[CurlingState, Effect, list[ModeEvent]]:
        if state.stage == "settling":
            state, stone, events = self._begin_turn(state, view, ())
            others = tuple(other for other in range(self.stone_count) if other != stone)
            return state, Effect(remove=others, place={stone: (LAUNCH, _UPRIGHT)}, halt=True), events
        if state.stage == "acting":  # the tick only takes out a seat that left; the world still waits
            if self.keeps_waiting(state):
                return state, Effect(halt=True), []
            return self._end_turn(state, view, [], [])
        state, events = self._find_blows(state, before, view)
        off = [
            stone for stone, on in enumerate(state.on_sheet) if on and view.positions[stone, 1] < OFF_BELOW_Y
        ]
        if off:
            actor = state.order.current
            driven = tuple(stone for stone in off if self._owner(stone) != actor)
            state = msgspec.structs.replace(self._lost(state, off), driven_off=state.driven_off + driven)
            events += [self.event(state, "stone_lost", {"stone": stone, "cause": "off"}) for stone in off]
        on = [stone for stone, present in enumerate(state.on_sheet) if present]
        state = msgspec.structs.replace(
            state, ticks=state.ticks + 1, quiet=count_quiet(state.quiet, view.velocities[on], view.rates[on])
        )
        if state.quiet < REST_TICKS and state.ticks < round(LIMIT_S / view.dt):
            return state, Effect(remove=tuple(off)), events
        return self._end_turn(state, view, off, events)

    def _find_blows(
        self, state: CurlingState, before: View, view: View
    ) -> tuple[CurlingState, list[ModeEvent]]:
        """Return an event for each blow that begins in this tick. Blows do no damage."""
        if not view.impulses[: self.stone_count, : self.stone_count].any():
            return (msgspec.structs.replace(state, struck=()), []) if state.struck else (state, [])
        none = (False,) * self.stone_count
        toughness = (1.0,) * self.stone_count
        drag = self._drag(state, view.dt)
        hits = find_hits(DamageRules(), before, view, drag, toughness, none, None)
        events = [
            self.event(
                state,
                "blow",
                {
                    "a": hit.a,
                    "b": hit.b,
                    "impulse_Ns": hit.credited,
                    "v_rel_before": hit.speed,
                    "point": list(hit.point),
                },
            )
            for hit in hits
            if (hit.a, hit.b) not in state.struck
        ]
        return msgspec.structs.replace(state, struck=tuple((hit.a, hit.b) for hit in hits)), events

    # Turns and ends

    def _lying(self, state: CurlingState, view: View) -> tuple[Lying, ...]:
        """The places of the stones on the sheet. The yaw is that of the image of the local x axis."""
        return tuple(
            Lying(
                stone,
                (
                    float(view.positions[stone, 0]),
                    float(view.positions[stone, 1]),
                    float(view.positions[stone, 2]),
                ),
                math.atan2(-view.rows[stone, 0, 2], view.rows[stone, 0, 0]),
            )
            for stone, on in enumerate(state.on_sheet)
            if on
        )

    def _begin_turn(
        self, state: CurlingState, view: View, lying: tuple[Lying, ...]
    ) -> tuple[CurlingState, int, list[ModeEvent]]:
        """Begin a turn with the next stone; return its number too."""
        stone = self._stone(state)
        state = msgspec.structs.replace(
            state,
            stage="acting",
            on_sheet=tuple(on or number == stone for number, on in enumerate(state.on_sheet)),
            lying=lying,
            ticks=0,
            quiet=0,
            skipped=False,
            driven_off=(),
            struck=(),
        )
        return state, stone, [self.event(state, "turn_started", self.brief(state, view))]

    def brief(self, state: CurlingState, view: View) -> dict[str, Any]:
        actions = self.legal(state, view, state.order.current)
        return {
            "seat": state.order.current,
            "deadline_s": self.deadline_s(state),
            "actions": msgspec.json.decode(msgspec.json.encode(actions)),
            "end": len(state.ends) + 1,
            "stone": self._stone(state),
            "stones": [
                {"stone": one.stone, "seat": self._owner(one.stone), "position": list(one.position)}
                for one in state.lying
            ],
            "points": list(state.points),
            "alive": [state.order.lives(seat) for seat in range(self.seat_count)],
            "house": {"x": HOUSE, "rings": list(RINGS)},
            "rules": {"speed": SPEED, "friction": FRICTION, "gravity": 9.81, "guarded": self._guarded(state)},
        }

    def _guarded(self, state: CurlingState) -> bool:
        """Whether this throw is one of the first GUARDED of its end, which must not drive a stone of another seat
        off."""
        rounds = state.order.round - state.first_round
        return rounds * len(state.order.order) + state.order.position < GUARDED

    def _end_turn(
        self, state: CurlingState, view: View, off: Sequence[int], events: list[ModeEvent]
    ) -> tuple[CurlingState, Effect, list[ModeEvent]]:
        """End the turn: undo a throw that the guard rule forbids, remove short stones, and score the end if it is over.
        Then begin the next turn, or give the result."""
        undone = bool(state.driven_off) and self._guarded(state)
        place: Placing = {}
        if undone:
            place = {one.stone: (one.position, _yawed(one.yaw)) for one in state.lying}
            state = msgspec.structs.replace(
                state, on_sheet=tuple(stone in place for stone in range(self.stone_count))
            )
        else:
            short = [
                stone for stone, on in enumerate(state.on_sheet) if on and view.positions[stone, 0] < SHORT_OF
            ]
            events = events + [
                self.event(state, "stone_lost", {"stone": one, "cause": "short"}) for one in short
            ]
            state = self._lost(state, short)
        ended = {
            "seat": state.order.current,
            "ticks": state.ticks,
            "undone": undone,
            "on_sheet": [stone for stone, on in enumerate(state.on_sheet) if on],
            "discarded_energy_J": view.kinetic,
        }
        events = [*events, self.event(state, "turn_ended", ended)]
        lying = state.lying if undone else self._lying(state, view)
        over = len(state.order.living_seats) < 2
        if not over:
            order = state.order.end_turn(skipped=state.skipped)
            if order.round - state.first_round >= self.params.stones:
                state, order, scored = self._score(state, lying, order)
                events.append(scored)
                lying, place = (), {}
                over = self._decided(state)
            if not over:
                state = msgspec.structs.replace(state, order=order)
                state, stone, more = self._begin_turn(state, view, lying)
                place[stone] = LAUNCH, _UPRIGHT
                events += more
        if over:
            result = self._rank(state)
            state = msgspec.structs.replace(state, stage="over", result=result)
            events.append(self.event(state, "result", self._result_payload(state, result, view.tick)))
        remove = tuple(stone for stone, on in enumerate(state.on_sheet) if not on)
        return state, Effect(remove=remove, place=place, halt=True), events

    def _score(
        self, state: CurlingState, lying: Sequence[Lying], order: TurnOrder
    ) -> tuple[CurlingState, TurnOrder, ModeEvent]:
        """Score the end and clear the sheet. The seat that scored begins the next end, so that another seat has the
        last stone."""
        end = score_end([(self._owner(one.stone), one.position[0], one.position[2]) for one in lying])
        points = list(state.points)
        seats = list(order.order)
        if end.seat is not None:
            points[end.seat] += end.points
            first = seats.index(end.seat)
            seats = seats[first:] + seats[:first]
        payload = {"end": len(state.ends) + 1, "seat": end.seat, "points": end.points, "total": points}
        event = self.event(state, "end_scored", payload)
        state = msgspec.structs.replace(
            state,
            points=tuple(points),
            ends=(*state.ends, end),
            on_sheet=(False,) * self.stone_count,
            first_round=order.round,
        )
        return state, order.reorder(seats), event

    def _decided(self, state: CurlingState) -> bool:
        """Whether the result is decided: after the last end, or after one extra end if the best seats were equal."""
        played = len(state.ends)
        best = max(state.points[seat] for seat in state.order.living_seats)
        equal = sum(state.points[seat] == best for seat in state.order.living_seats) > 1
        return played > self.params.ends or (played == self.params.ends and not equal)

    def _rank(self, state: CurlingState) -> Result:
        """The result: places by points. Seats that left come last; the first to leave is the last."""
        living = state.order.living_seats
        places = {
            seat: 1 + sum(state.points[other] > state.points[seat] for other in living) for seat in living
        }
        for number, seat in enumerate(state.left):
            places[seat] = self.seat_count - number
        scores = {}
        for seat in range(self.seat_count):
            xp = 0 if seat in state.left else base_xp(places, seat) + 5 * state.points[seat]
            scores[seat] = Score(place=places[seat], points=float(state.points[seat]), xp=xp)
        return Result(
            places=dict(sorted(places.items())),
            winner=find_winner(places),
            cause="points" if len(living) > 1 else "last_standing",
            scores=scores,
        )

    def _result_payload(self, state: CurlingState, result: Result, tick: int) -> dict[str, Any]:
        return {
            "places": [result.places[seat] for seat in range(self.seat_count)],
            "winner": result.winner,
            "cause": result.cause,
            "points": list(state.points),
            "ends": [[end.seat, end.points] for end in state.ends],
            "turns": state.order.turn + 1,
            "ticks": tick,
            "xp": [result.scores[seat].xp for seat in range(self.seat_count)],
        }

    @staticmethod
    def bot(
        brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
    ) -> Action:
        return curling_bot.decide(brief, seat, skill, rng)


def _yawed(yaw: float) -> Quaternion:
    return math.cos(yaw / 2.0), 0.0, math.sin(yaw / 2.0), 0.0
