"""What an ended session is worth to its players: experience and ratings. Pure: no store, no clock.

Rating is OpenSkill with the Plackett-Luce model (Weng and Lin 2011; package ``openskill``), one update per session
from the places, ties included; the leaderboard shows 40 (mu - 3 sigma) + 1000 (game.md, section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from openskill.models import PlackettLuce

__all__ = ["Award", "Place", "Rating", "awards", "places_of"]

XP_FINISHED = 10
XP_OUTLASTED = 15


@dataclass(frozen=True, slots=True)
class Rating:
    """A player's rating in one mode."""

    mu: float = 25.0
    sigma: float = 25.0 / 3.0

    @property
    def value(self) -> int:
        """What the leaderboard shows."""
        return round(40.0 * (self.mu - 3.0 * self.sigma) + 1000.0)


@dataclass(frozen=True, slots=True)
class Place:
    """How a session ended for one player; place 1 is best, ties share. ``xp``: as the mode says, or None."""

    player: str
    place: int
    xp: int | None


@dataclass(frozen=True, slots=True)
class Award:
    """``rating`` is None where nobody was there to be compared with."""

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
    """The places of a stored result: ``places`` seat -> place, ``players`` seat -> player, ``scores`` seat -> {xp}.

    Empty for a result without them. Raises ValueError for one of another shape.
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


def awards(places: Sequence[Place], ratings: Sequence[Rating]) -> list[Award]:
    """One award per place, in the same order."""
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
