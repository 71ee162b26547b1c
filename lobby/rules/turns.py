"""The turn policy: whose turn it is, the round, skipped turns, eliminated seats. Pure, immutable, without a clock.

    order   0 . 1 . 2 . 3        turn: counts all turns from 0
                ^                 round: counts passes over the order from 1; a living seat acts once in each
                position          skips: turns skipped in a row, per seat

Deadlines are the server's: it arms one on each ``turn_started`` event and admits a ``skip`` when it passes.
This module must never know a body, a socket or a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tussle.lobby.errors import Conflict

__all__ = ["SKIPS_TO_LEAVE", "TurnOrder"]

SKIPS_TO_LEAVE = 3
"""Turns skipped in a row after which a seat counts as gone."""


class TurnOrder(msgspec.Struct, frozen=True):
    """Seats in acting order. ``living`` and ``skips`` run parallel to ``order``.

    A seat that is eliminated in its own turn stays ``current`` until ``end_turn``.
    """

    order: tuple[int, ...]
    living: tuple[bool, ...]
    skips: tuple[int, ...]
    position: int = 0
    round: int = 1
    turn: int = 0

    @classmethod
    def of(cls, seats: Iterable[int]) -> TurnOrder:
        """The opening order: the first seat's turn of round 1. Raises ValueError for no seats or a repeated
        seat."""
        order = tuple(seats)
        if not order or len(set(order)) != len(order):
            raise ValueError(f"not an order of distinct seats: {order}")
        return cls(order=order, living=(True,) * len(order), skips=(0,) * len(order))

    @property
    def current(self) -> int:
        """The seat whose turn it is."""
        return self.order[self.position]

    @property
    def living_seats(self) -> tuple[int, ...]:
        return tuple(seat for seat, lives in zip(self.order, self.living, strict=True) if lives)

    def lives(self, seat: int) -> bool:
        return self.living[self._index(seat)]

    def skips_of(self, seat: int) -> int:
        return self.skips[self._index(seat)]

    def end_turn(self, *, skipped: bool = False) -> TurnOrder:
        """The order after the current seat's turn. Raises Conflict if no seat is left; the order is unchanged."""
        count = len(self.order)
        skips = list(self.skips)
        skips[self.position] = skips[self.position] + 1 if skipped else 0
        for step in range(1, count + 1):
            position = (self.position + step) % count
            if self.living[position]:
                wrapped = self.position + step >= count
                return msgspec.structs.replace(
                    self,
                    position=position,
                    round=self.round + wrapped,
                    turn=self.turn + 1,
                    skips=tuple(skips),
                )
        raise Conflict("no seat is left to act", code="nobody_left")

    def reorder(self, order: Iterable[int]) -> TurnOrder:
        """The same seats, turn and round in another order, from its first living seat.

        Raises ValueError for other seats, and Conflict if no seat is left.
        """
        seats = tuple(order)
        if sorted(seats) != sorted(self.order):
            raise ValueError(f"not an order of the same seats: {seats}")
        living = tuple(self.lives(seat) for seat in seats)
        if not any(living):
            raise Conflict("no seat is left to act", code="nobody_left")
        return msgspec.structs.replace(
            self,
            order=seats,
            living=living,
            skips=tuple(self.skips_of(seat) for seat in seats),
            position=living.index(True),
        )

    def eliminate(self, seat: int) -> TurnOrder:
        """The order without a seat; eliminating it twice changes nothing. Raises KeyError for an unknown
        seat."""
        index = self._index(seat)
        living = (*self.living[:index], False, *self.living[index + 1 :])
        return msgspec.structs.replace(self, living=living)

    def _index(self, seat: int) -> int:
        try:
            return self.order.index(seat)
        except ValueError:
            raise KeyError(seat) from None
