"""The sandbox: a box of bodies that up to sixteen members drag together, in real time.

    grab -> a lease of one handle, or the queue -> move, move, ... -> release | no move for 10 s | leave
    spawn, remove: the scene is compiled again, the other bodies keep their state
    with a scene that its members made while they waited: exactly that world (server/modes/sandbox/authored.py)
    host (the lowest seat that is in): freeze, gravity, mark and undo, reset

Nobody wins. Several seats act at once. An input that the rules refuse becomes an event ``refused``; the other inputs of
the tick take effect. This mode must never let the error of one member cost another one an input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionKind, ActionSpec, check_action
from tussle.lobby.rules.joints import joined_bodies
from tussle.lobby.rules.scene_limits import BODIES_MAX as SCENE_BODIES
from tussle.lobby.rules.scene_limits import VERTICES_MAX as SCENE_VERTICES
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
from tussle.server.modes.sandbox.authored import Authored, Box, compose, read_scene
from tussle.server.modes.sandbox.scene import (
    action_kinds,
    build_scene,
    clamp_target,
    first_bodies,
    handles_of,
    is_free,
    reach_of,
    rebuild_cost,
    scene_body,
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
from tussle.server.physics.world_state import Control, Floats, HandleTarget

__all__ = ["Sandbox"]

HOST_KINDS = ("freeze", "gravity", "mark", "undo", "reset")


class Sandbox(SlotMode):
    """The rules, for the members and bodies of one session. Bodies have no owner."""

    name: ClassVar[str] = "sandbox"
    version: ClassVar[int] = 1
    seats: ClassVar[tuple[int, int]] = (1, MEMBERS_MAX)
    state_type: ClassVar[type[msgspec.Struct]] = SandboxState
    params_type: ClassVar[type[SandboxParams]] = SandboxParams
    editable_scene: ClassVar[bool] = True

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        self.params = self._convert_params(params, self.params_type)
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
        self.made: Authored | None = None
        self.box = Box(self.params.side, self.params.height)
        self.dt = DT
        self._kinds: dict[float, tuple[ActionKind, ...]] = {}

    @classmethod
    def authored(
        cls,
        params: Mapping[str, Any],
        seats: Sequence[Seat],
        catalogue: Mapping[str, CatalogueBody],
        document: str,
    ) -> Self:
        mode = cls(params, seats, catalogue)
        mode.made = read_scene(document, mode.params.side, mode.params.height)
        mode.box, mode.dt = mode.made.box, mode.made.scene.dt
        return mode

    # Set-up

    def setup(self, seed: int) -> tuple[SandboxState, list[ModeEvent]]:
        members = {seat.seat for seat in self.members}
        made = self.made
        bodies = first_bodies(self.params, self.catalogue, self.first) if made is None else made.placed()
        state = SandboxState(
            bodies=bodies,
            members=tuple(seat in members for seat in range(MEMBERS_MAX)),
            slots=Slots(capacity=self.params.slots, lease_ticks=round(self.params.lease_s / self.dt)),
            gravity=self.params.gravity if made is None else made.gravity,
            serial=len(bodies),
            behind=msgspec.UNSET if made is None else 0,
            marked=msgspec.UNSET if made is None else 0,
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
        if made is not None:
            payload["scene"] = {"name": made.scene.name, "sha256": made.sha256}
        return state, [
            self.event(state, "set_up", payload),
            self.event(state, "brief", self._brief(state, None)),
        ]

    def scene(self, state: SandboxState, seed: int) -> Scene:
        made = self.made
        if made is None:
            return build_scene(state, self.params.side, self.catalogue)
        bodies = tuple(
            scene_body(placed, self.catalogue) if placed.body else made.bodies[placed.id].body
            for placed in state.bodies
        )
        return compose(made, bodies, state.gravity)

    def owners(self, state: SandboxState) -> list[tuple[int | None, str]]:
        return [(None, placed.body) for placed in state.bodies]

    # Queries

    def standing(self, state: SandboxState) -> dict[int, Standing]:
        seats = {seat.seat for seat in self.members} | set(_present(state))
        return {seat: Standing(health=0.0, points=0.0, out=not state.members[seat]) for seat in sorted(seats)}

    def legal(self, state: SandboxState, view: View, seat: int) -> ActionSpec:
        """Return the same actions for every seat. ``apply`` refuses the host's actions to other seats."""
        cost = rebuild_cost(*self._size(state))
        if cost not in self._kinds:
            self._kinds[cost] = action_kinds(self.box, self.catalogue, cost)
        return ActionSpec(seat=seat, kinds=self._kinds[cost])

    def _size(self, state: SandboxState) -> tuple[int, int]:
        """The number of bodies, and of their vertices. Those of an authored scene count as it was made."""
        brought = [placed.body for placed in state.bodies if placed.body]
        made = self.made
        bodies, vertices = (0, 0) if made is None else (len(made.scene.bodies), made.vertices)
        return bodies + len(brought), vertices + vertex_count(self.catalogue, brought)

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
            return self._host(state, view, kind, d)
        if kind == "grab":
            return self._grab(state, view, seat, d["body"], d["handle"])
        if kind == "move":
            slots = state.slots.renew(seat, view.tick + 1)
            cursor = clamp_target(self.box, d["target"])
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
        bodies, vertices = self._size(state)
        more = vertex_count(self.catalogue, [body])
        if bodies >= self._limits[0] or vertices + more > self._limits[1]:
            raise Refused(
                "there are too many bodies or vertices already", code="too_many_bodies", field="body"
            )
        radius = reach_of(self.catalogue[body])
        x, y, z = position
        half, made = self.box.side / 2, self.made
        low = radius + DHAT if made is None else self.box.bottom
        if not (abs(x) <= half and abs(z) <= half and low <= y <= self.box.height):
            raise Refused("that place is not in the box", code="outside", field="position")
        here = np.array(position)
        free = is_free(view, here, radius)
        if not free or not (made is None or made.is_clear(here, radius + 2.0 * made.scene.dhat)):
            raise Refused("it would touch another body", code="would_touch", field="position")
        serial = state.serial
        while made is not None and f"{body}-{serial}" in made.bodies:
            serial += 1
        placed = Placed(id=f"{body}-{serial}", body=body, position=(x, y, z))
        state = msgspec.structs.replace(state, bodies=(*state.bodies, placed), serial=serial + 1)
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
        self, state: SandboxState, view: View, kind: str, d: Mapping[str, Any]
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
        if self.made is not None and kind in ("mark", "undo"):
            state = msgspec.structs.replace(state, marked=view.tick)
        if kind == "mark":
            return state, Effect(mark=True), [self.event(state, "mark", {})]
        gone = state.slots.leases
        slots = msgspec.structs.replace(state.slots, leases=(), queue=())
        if kind == "undo":
            state, events = self._drop_grips(msgspec.structs.replace(state, slots=slots), gone, "undo")
            return state, Effect(undo=True), [*events, self.event(state, "undo", {})]
        if self.made is not None:
            return self._begin_again(state, view, self.made, slots)
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

    def _begin_again(
        self, state: SandboxState, view: View, made: Authored, slots: Slots
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        """Go back to the start of an authored scene: its bodies keep their names, and its rails begin their course."""
        gone = state.slots.leases
        state = msgspec.structs.replace(
            state, bodies=made.placed(), slots=slots, gravity=made.gravity, frozen=False, behind=view.tick
        )
        state, events = self._drop_grips(state, gone, "reset")
        return state, Effect(restart=True), [*events, self.event(state, "reset", {})]

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
        if self.made is None:
            return Control(drag=np.full(len(view.ids), DRAG), handles=tuple(targets))
        return Control(handles=tuple(targets), rail_delay=state.behind or 0)

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
        if self.made is not None and state.frozen:
            state = msgspec.structs.replace(state, behind=(state.behind or 0) + 1)
        if self.made is not None and view.broken != before.broken:
            events += [
                self.event(state, "joint_broken", {"id": joint.id, "a": joint.a, "b": joint.b})
                for joint in self.made.scene.joints
                if joint.id in view.broken and joint.id not in before.broken
            ]
        half, (low, high) = self.box.side / 2, (self.box.bottom, self.box.height)
        outside = (np.abs(view.positions[:, [0, 2]]) > half).any(axis=1)
        outside |= (view.positions[:, 1] < low) | (view.positions[:, 1] > high)
        if outside.any() or any(placed.outside for placed in state.bodies):
            state, effect, more = self._return_strays(state, view, outside.tolist())
            events += more
        if view.tick % max(1, round(self.params.brief_s / self.dt)) == 0:
            events.append(self.event(state, "brief", self._brief(state, view)))
        return state, effect, events

    def _return_strays(
        self, state: SandboxState, view: View, outside: Sequence[bool]
    ) -> tuple[SandboxState, Effect, list[ModeEvent]]:
        """Move a body that was out of the box for OUTSIDE_S back to its spawn place, or above it if the place is
        taken. Bodies that joints connect with it return too."""
        limit = round(OUTSIDE_S / self.dt)
        bodies: list[Placed] = []
        places: dict[int, tuple[Vector, Quaternion]] = {}
        events: list[ModeEvent] = []
        positions = view.positions.copy()
        for number, placed in enumerate(state.bodies):
            moves = self.made is None or bool(placed.body) or not self.made.bodies[placed.id].prescribed
            ticks = placed.outside + 1 if outside[number] and moves else 0
            if ticks >= limit and not places:  # one per tick, so that two bodies do not get one place
                joined = self._joined(state, number)
                spots = np.array([state.bodies[one].position for one in joined])
                radii = view.radii[joined]

                def free(spots: Floats = spots, radii: Floats = radii, joined: list[int] = joined) -> bool:
                    return all(
                        is_free(view, spot, float(radius), but=joined)
                        for spot, radius in zip(spots, radii, strict=True)
                    )

                if self.made is not None and not free():
                    spots[:, 1] = self.box.height + (spots[:, 1] - spots[:, 1].min())  # above every obstacle
                while not free():
                    spots[:, 1] += radii.min()
                positions[joined] = spots
                for one, (x, y, z) in zip(joined, spots.tolist(), strict=True):
                    places[one] = ((x, y, z), state.bodies[one].rotation)
                spot = spots[joined.index(number)]
                events.append(self.event(state, "returned", {"id": placed.id, "position": spot.tolist()}))
                gone = [lease for lease in state.slots.leases if lease.body == placed.id]
                state = msgspec.structs.replace(state, slots=state.slots.drop_body(placed.id))
                state, more = self._drop_grips(state, gone, "returned")
                events += more
                ticks = 0
            bodies.append(msgspec.structs.replace(placed, outside=ticks))
        return msgspec.structs.replace(state, bodies=tuple(bodies)), Effect(place=places), events

    def _joined(self, state: SandboxState, number: int) -> list[int]:
        """Return the numbers of the bodies that joints connect with a body, itself among them, in order."""
        placed = state.bodies[number]
        if self.made is None or placed.body:
            return [number]
        names = joined_bodies(self.made.scene.joints, placed.id)
        return [n for n, one in enumerate(state.bodies) if n == number or (not one.body and one.id in names)]

    def undone(self, state: SandboxState, marked: SandboxState) -> SandboxState:
        """Return the marked bodies and gravity. Members and body numbers are kept; nobody holds a handle. Rails go back
        to where they were, too."""
        if self.made is not None:
            ticks = (state.marked or 0) - (marked.marked or 0)
            state = msgspec.structs.replace(state, behind=(marked.behind or 0) + ticks)
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
                    **self._shape(placed),
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

    def _shape(self, placed: Placed) -> dict[str, Any]:
        """The number of handles "v0", "v1", ... of a body, and a radius that contains it [m]."""
        if placed.body or self.made is None:
            entry = self.catalogue[placed.body]
            return {"handles": len(handles_of(entry)) - 1, "radius": reach_of(entry)}
        made = self.made.bodies[placed.id]
        return {"handles": made.grips, "radius": made.radius}

    def _box(self) -> dict[str, float]:
        box = {"side": self.box.side, "height": self.box.height}
        return box if self.made is None else {**box, "bottom": self.box.bottom}

    @property
    def _limits(self) -> tuple[int, int]:
        """Most bodies, and most vertices."""
        return (BODIES_MAX, VERTICES_MAX) if self.made is None else (SCENE_BODIES, SCENE_VERTICES)

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
