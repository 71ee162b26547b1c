"""The sandbox: a box of bodies that up to sixteen members drag together, in real time.

    grab -> a lease of one handle, or the queue -> move, move, ... -> release | no move for 10 s | leave
    spawn, remove: the scene is compiled again, the other bodies keep their state
    host (the lowest seat that is in): freeze, gravity, mark and undo, reset

Nobody wins. Several seats act at once. An input that the rules refuse becomes an event ``refused``; the other inputs of
the tick take effect. This mode must never let the error of one member cost another one an input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionKind, ActionSpec, check_action
from tussle.lobby.rules.scenes import Quaternion, Scene, Vector
from tussle.lobby.rules.slots import HandleLease, Slots
from tussle.server.modes.mode import (
    Action,
    CatalogueBody,
    Effect,
    Look,
    ModeEvent,
    Seat,
    Standing,
    View,
    describe_seat,
)
from tussle.server.modes.sandbox import bot as sandbox_bot
from tussle.server.modes.sandbox.scene import (
    action_kinds,
    build_scene,
    check_params,
    clamp_target,
    first_bodies,
    handles_of,
    is_free,
    reach_of,
    rebuild_cost,
    vertex_count,
)
from tussle.server.modes.sandbox.state import (
    AIM_SPEED,
    BODIES_MAX,
    DAMPING,
    DHAT,
    DRAG,
    DT,
    FIRST_BODIES,
    FORCE,
    MEMBERS_MAX,
    OUTSIDE_S,
    SOFT_BODIES,
    STIFFNESS,
    VERTICES_MAX,
    Grip,
    Placed,
    SandboxParams,
    SandboxState,
)
from tussle.server.modes.slot_mode import SlotMode, set_member
from tussle.server.physics.world_state import Control, HandleTarget

__all__ = ["Sandbox"]

HOST_KINDS = ("freeze", "gravity", "mark", "undo", "reset")


class Sandbox(SlotMode):
    """The rules, for the members and bodies of one session. Bodies have no owner."""

    name: ClassVar[str] = "sandbox"
    version: ClassVar[int] = 1
    seats: ClassVar[tuple[int, int]] = (1, MEMBERS_MAX)
    state_type: ClassVar[type[msgspec.Struct]] = SandboxState

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        self.params = self._convert_params(params, SandboxParams)
        check_params(self.params)
        if not seats or len({seat.seat for seat in seats}) < len(seats):
            raise Refused("a sandbox needs a member, and each seat once", code="bad_seats", field="seats")
        if not all(0 <= seat.seat < MEMBERS_MAX for seat in seats):
            raise Refused(f"a sandbox has {MEMBERS_MAX} seats", code="bad_seats", field="seats")
        self.members = tuple(seats)
        self.seat_count = MEMBERS_MAX
        self.catalogue = {**catalogue, **SOFT_BODIES}
        first = self.params.bodies or tuple(sorted(catalogue)[:FIRST_BODIES]) or tuple(SOFT_BODIES)
        for body in first:
            if body not in self.catalogue:
                raise Refused(f"no body is called {body!r}", code="unknown_body", field="bodies")
        if len(first) > BODIES_MAX or vertex_count(self.catalogue, first) > VERTICES_MAX:
            raise Refused("too many bodies or vertices", code="too_many_bodies", field="bodies")
        self.first = first
        self._kinds: dict[float, tuple[ActionKind, ...]] = {}

    # Set-up

    def setup(self, seed: int) -> tuple[SandboxState, list[ModeEvent]]:
        members = {seat.seat for seat in self.members}
        state = SandboxState(
            bodies=first_bodies(self.params, self.catalogue, self.first),
            members=tuple(seat in members for seat in range(MEMBERS_MAX)),
            slots=Slots(capacity=self.params.slots, lease_ticks=round(self.params.lease_s / DT)),
            gravity=self.params.gravity,
            serial=len(self.first),
        )
        payload = {
            "mode": self.name,
            "rules_version": self.version,
            "seed": seed,
            "params": msgspec.to_builtins(self.params),
            "box": self._box(),
            "catalogue": sorted(self.catalogue),
            "bodies": [{"id": body.id, "body": body.body} for body in state.bodies],
            "seats": [describe_seat(seat) for seat in self.members],
        }
        return state, [
            self.event(state, "set_up", payload),
            self.event(state, "brief", self._brief(state, None)),
        ]

    def scene(self, state: SandboxState, seed: int) -> Scene:
        return build_scene(state, self.params.side, self.catalogue)

    def owners(self, state: SandboxState) -> list[tuple[int | None, str]]:
        return [(None, placed.body) for placed in state.bodies]

    # Queries

    def standing(self, state: SandboxState) -> dict[int, Standing]:
        seats = {seat.seat for seat in self.members} | set(_present(state))
        return {seat: Standing(health=0.0, points=0.0, out=not state.members[seat]) for seat in sorted(seats)}

    def legal(self, state: SandboxState, view: View, seat: int) -> ActionSpec:
        """Return the same actions for every seat. ``apply`` refuses the host's actions to other seats."""
        cost = rebuild_cost(self.catalogue, (placed.body for placed in state.bodies))
        if cost not in self._kinds:
            self._kinds[cost] = action_kinds(self.params, self.catalogue, cost)
        return ActionSpec(seat=seat, kinds=self._kinds[cost])

    # Inputs

    def apply(
        self, state: SandboxState, view: View, seat: int, kind: str, d: Mapping[str, Any]
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        if kind == "join":
            return self._set_member(state, seat, True)
        if not state.members[seat]:
            raise Refused("that seat is not in the sandbox", code="seat_out", field="seat")
        if kind == "leave":
            return self._set_member(state, seat, False)
        d = check_action(self.legal(state, view, seat), kind, d)
        if kind in HOST_KINDS:
            if seat != _present(state)[0]:
                raise Refused(f"only the host may {kind}", code="not_host", field="kind")
            return self._host(state, kind, d)
        if kind == "grab":
            return self._grab(state, view, seat, d["body"], d["handle"])
        if kind == "move":
            slots = state.slots.renew(seat, view.tick + 1)
            cursor = clamp_target(self.params, d["target"])
            grips = tuple(
                msgspec.structs.replace(grip, cursor=cursor) if grip.seat == seat else grip
                for grip in state.grips
            )
            return msgspec.structs.replace(state, slots=slots, grips=grips), Effect(), []
        if kind == "release":
            lease = state.slots.of_seat(seat)
            state = msgspec.structs.replace(state, slots=state.slots.release(seat))
            state, events = self._drop_grips(state, [lease] if lease else [], "released")
            return state, Effect(), events
        if kind == "spawn":
            return self._spawn(state, view, seat, d["body"], d["position"])
        return self._remove(state, seat, d["body"])

    def _set_member(
        self, state: SandboxState, seat: int, present: bool
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        if present and state.members[seat]:
            raise Refused("that seat is in the sandbox already", code="seat_taken", field="seat")
        members = set_member(state.members, seat, present)
        lease = state.slots.of_seat(seat)
        state = msgspec.structs.replace(state, members=members, slots=state.slots.release(seat))
        state, events = self._drop_grips(state, [lease] if lease else [], "left")
        events.append(self.event(state, "joined" if present else "left", {"seat": seat}))
        if any(members):
            return state, Effect(), events
        result, payload = self._tie("empty")
        events.append(self.event(state, "result", payload))
        return msgspec.structs.replace(state, result=result), Effect(halt=True), events

    def _grab(
        self, state: SandboxState, view: View, seat: int, body: str, handle: str
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        index = self._index(state, body)
        try:
            view.grip(index, handle)
        except KeyError:
            raise Refused(f"{body} has no handle {handle!r}", code="unknown_handle", field="handle") from None
        slots = state.slots.grab(seat, body, handle, view.tick + 1)
        state = msgspec.structs.replace(state, slots=slots)
        lease = slots.of_seat(seat)
        if lease is None:
            waiting = {"seat": seat, "body": body, "handle": handle, "place": slots.place(seat)}
            return state, Effect(), [self.event(state, "slot_queued", waiting)]
        state, events = self._add_grips(state, view, [lease])
        return state, Effect(), events

    def _add_grips(
        self, state: SandboxState, view: View, leases: Iterable[HandleLease]
    ) -> tuple[SandboxState, list[ModeEvent]]:
        """Add grips for new leases; each one begins at the place of its handle."""
        grips, events = list(state.grips), []
        for lease in leases:
            here = view.grip(self._index(state, lease.body), lease.handle)
            grips.append(Grip(lease.seat, lease.body, lease.handle, cursor=here, aim=here))
            events.append(self.event(state, "slot_granted", msgspec.to_builtins(lease)))
        return msgspec.structs.replace(state, grips=tuple(grips)), events

    def _spawn(
        self, state: SandboxState, view: View, seat: int, body: str, position: Sequence[float]
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        ids = [placed.body for placed in state.bodies] + [body]
        if len(ids) > BODIES_MAX or vertex_count(self.catalogue, ids) > VERTICES_MAX:
            raise Refused(
                "there are too many bodies or vertices already", code="too_many_bodies", field="body"
            )
        radius = reach_of(self.catalogue[body])
        x, y, z = position
        half = self.params.side / 2
        if not (abs(x) <= half and abs(z) <= half and radius + DHAT <= y <= self.params.height):
            raise Refused("that place is not in the box", code="outside", field="position")
        if not is_free(view, np.array(position), radius, but=None):
            raise Refused("it would touch another body", code="would_touch", field="position")
        placed = Placed(id=f"{body}-{state.serial}", body=body, position=(x, y, z))
        state = msgspec.structs.replace(state, bodies=(*state.bodies, placed), serial=state.serial + 1)
        payload = {"seat": seat, "id": placed.id, "body": body, "position": [x, y, z]}
        return state, Effect(rebuild=True), [self.event(state, "spawned", payload)]

    def _remove(
        self, state: SandboxState, seat: int, body: str
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        self._index(state, body)
        if any(holder != seat for holder in state.slots.holders(body)):
            raise Refused(f"another seat holds {body}", code="body_locked", field="body")
        gone = [lease for lease in state.slots.leases if lease.body == body]
        state = msgspec.structs.replace(
            state,
            bodies=tuple(placed for placed in state.bodies if placed.id != body),
            slots=state.slots.drop_body(body),
        )
        state, events = self._drop_grips(state, gone, "removed")
        return (
            state,
            Effect(rebuild=True),
            [*events, self.event(state, "removed", {"seat": seat, "id": body})],
        )

    def _host(
        self, state: SandboxState, kind: str, d: Mapping[str, Any]
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        if kind == "freeze":
            frozen = d["state"] == "on"
            return (
                msgspec.structs.replace(state, frozen=frozen),
                Effect(),
                [self.event(state, "freeze", {"frozen": frozen})],
            )
        if kind == "gravity":
            state = msgspec.structs.replace(state, gravity=d["strength"])
            return state, Effect(rebuild=True), [self.event(state, "gravity", {"strength": d["strength"]})]
        if kind == "mark":
            return state, Effect(mark=True), [self.event(state, "mark", {})]
        gone = state.slots.leases
        slots = msgspec.structs.replace(state.slots, leases=(), queue=())
        if kind == "undo":
            state, events = self._drop_grips(msgspec.structs.replace(state, slots=slots), gone, "undo")
            return state, Effect(undo=True), [*events, self.event(state, "undo", {})]
        first = first_bodies(self.params, self.catalogue, self.first, state.serial)
        state = msgspec.structs.replace(
            state,
            bodies=first,
            slots=slots,
            gravity=self.params.gravity,
            frozen=False,
            serial=state.serial + len(first),
        )
        state, events = self._drop_grips(state, gone, "reset")
        return state, Effect(rebuild=True), [*events, self.event(state, "reset", {})]

    # Ticks

    def plan(self, state: SandboxState, view: View) -> Control | None:
        if state.frozen:
            return None
        numbers = {name: number for number, name in enumerate(view.ids)}
        targets = []
        for grip in state.grips:
            body = numbers[grip.body]
            mass = float(view.masses[body])
            targets.append(
                HandleTarget(
                    body=body,
                    handle=grip.handle,
                    target=grip.aim,
                    stiffness=STIFFNESS * mass,
                    damping=DAMPING * mass,
                    force_limit=FORCE * mass,
                )
            )
        return Control(drag=np.full(len(view.ids), DRAG), handles=tuple(targets))

    def on_tick(
        self, state: SandboxState, before: View, view: View
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        events: list[ModeEvent] = []
        effect = Effect()
        slots, ended, granted = state.slots.settle(view.tick)
        if ended or granted:
            state = msgspec.structs.replace(state, slots=slots)
            state, events = self._drop_grips(state, ended, "expired")
            state, more = self._add_grips(state, view, granted)
            events += more
        if state.grips:
            grips = tuple(_followed(grip, AIM_SPEED * view.dt) for grip in state.grips)
            state = msgspec.structs.replace(state, grips=grips)
        half = self.params.side / 2
        outside = (np.abs(view.positions[:, [0, 2]]) > half).any(axis=1)
        outside |= (view.positions[:, 1] < 0.0) | (view.positions[:, 1] > self.params.height)
        if outside.any() or any(placed.outside for placed in state.bodies):
            state, effect, more = self._return_strays(state, view, outside.tolist())
            events += more
        if view.tick % round(self.params.brief_s / DT) == 0:
            events.append(self.event(state, "brief", self._brief(state, view)))
        return state, effect, events

    def _return_strays(
        self, state: SandboxState, view: View, outside: Sequence[bool]
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        """Move a body that was out of the box for OUTSIDE_S back to its spawn place, or above it if the place is
        taken."""
        limit = round(OUTSIDE_S / DT)
        bodies: list[Placed] = []
        places: dict[int, tuple[Vector, Quaternion]] = {}
        events: list[ModeEvent] = []
        positions = view.positions.copy()
        for number, placed in enumerate(state.bodies):
            ticks = placed.outside + 1 if outside[number] else 0
            if ticks >= limit and not places:  # one per tick, so that two bodies do not get one place
                radius = float(view.radii[number])
                spot = np.array(placed.position)
                while not is_free(view, spot, radius, but=number):
                    spot[1] += radius
                positions[number] = spot
                places[number] = ((float(spot[0]), float(spot[1]), float(spot[2])), placed.rotation)
                events.append(self.event(state, "returned", {"id": placed.id, "position": spot.tolist()}))
                gone = [lease for lease in state.slots.leases if lease.body == placed.id]
                state = msgspec.structs.replace(state, slots=state.slots.drop_body(placed.id))
                state, more = self._drop_grips(state, gone, "returned")
                events += more
                ticks = 0
            bodies.append(msgspec.structs.replace(placed, outside=ticks))
        return msgspec.structs.replace(state, bodies=tuple(bodies)), Effect(place=places), events

    def undone(self, state: SandboxState, marked: SandboxState) -> SandboxState:
        """Return the marked bodies and gravity. Members and body numbers are kept; nobody holds a handle."""
        return msgspec.structs.replace(
            state, bodies=marked.bodies, gravity=marked.gravity, slots=state.slots, grips=()
        )

    @staticmethod
    def bot(
        brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
    ) -> Action:
        return sandbox_bot.decide(brief, seat, rng)

    def _drop_grips(
        self, state: SandboxState, leases: Iterable[HandleLease], cause: str
    ) -> tuple[SandboxState, list[ModeEvent]]:
        """Remove the grips of leases that have ended, with an event for each."""
        gone = {lease.seat: lease for lease in leases}
        if not gone:
            return state, []
        grips = tuple(grip for grip in state.grips if grip.seat not in gone)
        events = [
            self.event(
                state,
                "slot_freed",
                {"seat": seat, "body": lease.body, "handle": lease.handle, "cause": cause},
            )
            for seat, lease in gone.items()
        ]
        return msgspec.structs.replace(state, grips=grips), events

    # Data

    def _brief(self, state: SandboxState, view: View | None) -> dict[str, Any]:
        """The payload of ``brief``, from which bots decide: slots, members and the places of the bodies."""
        return {
            "box": self._box(),
            "bodies": [
                {
                    "id": placed.id,
                    "body": placed.body,
                    "handles": len(handles_of(self.catalogue[placed.body])) - 1,
                    "radius": reach_of(self.catalogue[placed.body]),
                    "position": list(placed.position) if view is None else view.positions[number].tolist(),
                }
                for number, placed in enumerate(state.bodies)
            ],
            "slots": [msgspec.to_builtins(lease) for lease in state.slots.leases],
            "queue": [wait.seat for wait in state.slots.queue],
            "capacity": state.slots.capacity,
            "members": _present(state),
            "frozen": state.frozen,
            "gravity": state.gravity,
        }

    def _box(self) -> dict[str, float]:
        return {"side": self.params.side, "height": self.params.height}

    @staticmethod
    def _index(state: SandboxState, body: str) -> int:
        for number, placed in enumerate(state.bodies):
            if placed.id == body:
                return number
        raise Refused(f"there is no body {body!r}", code="unknown_body", field="body")


def _present(state: SandboxState) -> list[int]:
    return [seat for seat, present in enumerate(state.members) if present]


def _followed(grip: Grip, step: float) -> Grip:
    """The grip with its aim nearer to the cursor by at most ``step`` [m]."""
    if grip.aim == grip.cursor:
        return grip
    away = math.dist(grip.aim, grip.cursor)
    if away <= step:
        return msgspec.structs.replace(grip, aim=grip.cursor)
    share = step / away
    x, y, z = (a + share * (c - a) for a, c in zip(grip.aim, grip.cursor, strict=True))
    return msgspec.structs.replace(grip, aim=(x, y, z))
