"""The slot policy: which seat holds which handle, until which tick, and which seats wait. Pure, immutable, no clock.

    grab --> a slot is free and the handle too --> lease until tick + lease_ticks --> renew on every move
        `-> all slots taken -------------------> queue, first come first served     `-> release, leave, expire

A lease is the right of one seat to one handle of one body; one seat has at most one. Time is the
tick, so a replay and a restored session grant and expire leases at the same ticks. This module must
never know a body's shape or a socket.
"""

from __future__ import annotations

import msgspec

from tussle.lobby.errors import Refused

__all__ = ["HandleLease", "Slots", "Wait"]


class HandleLease(msgspec.Struct, frozen=True):
    """One seat's right to one handle, up to and including tick ``until``."""

    seat: int
    body: str
    handle: str
    until: int


class Wait(msgspec.Struct, frozen=True):
    """One seat in the queue, and the handle that it wants."""

    seat: int
    body: str
    handle: str


class Slots(msgspec.Struct, frozen=True):
    """All leases in the order they were granted, and the queue. ``capacity``: most leases at once."""

    capacity: int
    lease_ticks: int
    leases: tuple[HandleLease, ...] = ()
    queue: tuple[Wait, ...] = ()

    def of_seat(self, seat: int) -> HandleLease | None:
        """The seat's lease."""
        return next((lease for lease in self.leases if lease.seat == seat), None)

    def of_handle(self, body: str, handle: str) -> HandleLease | None:
        """The lease of a handle."""
        return next((lease for lease in self.leases if (lease.body, lease.handle) == (body, handle)), None)

    def holders(self, body: str) -> tuple[int, ...]:
        """The seats that hold any handle of a body."""
        return tuple(lease.seat for lease in self.leases if lease.body == body)

    def place(self, seat: int) -> int | None:
        """The seat's place in the queue, from 1; None if it does not wait."""
        return next((place for place, wait in enumerate(self.queue, 1) if wait.seat == seat), None)

    def grab(self, seat: int, body: str, handle: str, tick: int) -> Slots:
        """Grant a lease if a slot is free, else append the seat to the queue. A seat that already waits keeps its
        place and waits for the new handle.

        Raises Refused ``slot_held`` if the seat has a lease, ``handle_taken`` if another seat holds the handle; the
        slots are unchanged.
        """
        if self.of_seat(seat) is not None:
            raise Refused("you hold a handle already: release it first", code="slot_held", field="handle")
        if self.of_handle(body, handle) is not None:
            raise Refused("somebody holds that handle", code="handle_taken", field="handle")
        wish = Wait(seat, body, handle)
        if self.place(seat) is not None:
            queue = tuple(wish if wait.seat == seat else wait for wait in self.queue)
            return msgspec.structs.replace(self, queue=queue)
        if len(self.leases) >= self.capacity or self.queue:
            return msgspec.structs.replace(self, queue=(*self.queue, wish))
        return self._granted(wish, tick)

    def renew(self, seat: int, tick: int) -> Slots:
        """Restart the seat's lease at ``tick``. Raises Refused (no_slot) for a seat without one."""
        if self.of_seat(seat) is None:
            raise Refused("you hold no handle", code="no_slot", field="seat")
        leases = tuple(
            msgspec.structs.replace(lease, until=tick + self.lease_ticks) if lease.seat == seat else lease
            for lease in self.leases
        )
        return msgspec.structs.replace(self, leases=leases)

    def release(self, seat: int) -> Slots:
        """Remove the seat's lease and its place in the queue, if it has them."""
        return msgspec.structs.replace(
            self,
            leases=tuple(lease for lease in self.leases if lease.seat != seat),
            queue=tuple(wait for wait in self.queue if wait.seat != seat),
        )

    def drop_body(self, body: str) -> Slots:
        """Remove the leases of a body and the queue entries for it."""
        return msgspec.structs.replace(
            self,
            leases=tuple(lease for lease in self.leases if lease.body != body),
            queue=tuple(wait for wait in self.queue if wait.body != body),
        )

    def settle(self, tick: int) -> tuple[Slots, tuple[HandleLease, ...], tuple[HandleLease, ...]]:
        """End expired leases and serve the queue, at the end of a tick.

        Returns (slots, leases that ended, leases granted from the queue).

        The queue is served in order; a seat whose handle is taken keeps its place and is tried again later.
        """
        ended = tuple(lease for lease in self.leases if lease.until < tick)
        if not ended and not (self.queue and len(self.leases) < self.capacity):
            return self, (), ()
        slots = msgspec.structs.replace(
            self, leases=tuple(lease for lease in self.leases if lease.until >= tick)
        )
        granted = []
        for wait in self.queue:
            if len(slots.leases) >= slots.capacity:
                break
            if slots.of_handle(wait.body, wait.handle) is None:
                slots = slots._granted(wait, tick)
                granted.append(slots.leases[-1])
        return slots, ended, tuple(granted)

    def _granted(self, wish: Wait, tick: int) -> Slots:
        lease = HandleLease(wish.seat, wish.body, wish.handle, tick + self.lease_ticks)
        return msgspec.structs.replace(
            self,
            leases=(*self.leases, lease),
            queue=tuple(wait for wait in self.queue if wait.seat != wish.seat),
        )
