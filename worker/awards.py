"""Experience and ratings of the players of an ended session.

A rating follows OpenSkill's Plackett-Luce model (Weng and Lin 2011, "A Bayesian approximation method for online
ranking"; package ``openskill``): one update per session from the places, ties included. The leaderboard shows
40 (mu - 3 sigma) + 1000. This module must never use a store or a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from openskill.models import PlackettLuce

__all__ = ["Award", "Place", "Rating", "award_places", "places_of"]

XP_FINISHED = 10
XP_OUTLASTED = 15


@dataclass(frozen=True, slots=True)
class Rating:
    """A player's rating in one mode."""

    mu: float = 25.0
    sigma: float = 25.0 / 3.0

    @property
    def value(self) -> int:
        """The number on the leaderboard."""
        return round(40.0 * (self.mu - 3.0 * self.sigma) + 1000.0)


@dataclass(frozen=True, slots=True)
class Place:
    """How a session ended for one player. Place 1 is best; tied players share a place. ``xp``: the experience that the
    mode gives, or None if it gives none."""

    player: str
    place: int
    xp: int | None


@dataclass(frozen=True, slots=True)
class Award:
    """What one player gets. ``rating``: None in a session of one player."""

    player: str
    xp: int
    won: bool
    rating: Rating | None


class _Score(msgspec.Struct, frozen=True):
    xp: int | None = None


class _Result(msgspec.Struct, frozen=True):
    places: dict[int, int] = {}
    players: dict[int, str] = {}
    scores: dict[int, _Score] = {}


def places_of(result: bytes | str) -> list[Place]:
    """Return the places of a stored result, in the order of the seats.

    ``result``: JSON with ``places`` seat -> place, ``players`` seat -> player, ``scores`` seat -> {xp}. A result
    without them has no places. Raises ValueError for JSON of another shape.
    """
    try:
        read = msgspec.json.decode(result, type=_Result, strict=False)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a result: {error}") from None
    return [
        Place(read.players[seat], place, read.scores.get(seat, _Score()).xp)
        for seat, place in sorted(read.places.items())
        if seat in read.players
    ]


def award_places(places: Sequence[Place], ratings: Sequence[Rating]) -> list[Award]:
    """Return one award per place, in the same order. ``ratings``: of the same players, before the session."""
    rated = _rate(places, ratings) if len(places) > 1 else [None] * len(places)
    best = min((place.place for place in places), default=1)
    alone_at_top = sum(place.place == best for place in places) == 1
    return [
        Award(
            place.player,
            _experience(place, places) if place.xp is None else place.xp,
            place.place == best and alone_at_top and len(places) > 1,
            rating,
        )
        for place, rating in zip(places, rated, strict=True)
    ]


def _rate(places: Sequence[Place], ratings: Sequence[Rating]) -> list[Rating | None]:
    model = PlackettLuce()
    teams = [[model.rating(mu=rating.mu, sigma=rating.sigma)] for rating in ratings]
    rated = model.rate(teams, ranks=[float(place.place) for place in places])
    return [Rating(float(team[0].mu), float(team[0].sigma)) for team in rated]


def _experience(place: Place, places: Sequence[Place]) -> int:
    return XP_FINISHED + XP_OUTLASTED * sum(other.place > place.place for other in places)
