"""Experience and ratings of the players of an ended session.

A rating follows OpenSkill's Plackett-Luce model (Weng and Lin 2011, "A Bayesian approximation method for online
ranking"; package ``openskill``): one update per session from the places, ties included. The leaderboard shows
40 (mu - 3 sigma) + 1000. Sessions of players who have met often on the same day count less: see ``meeting_weight``.
docs/explanation/ratings.md says why. This module must never use a store or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import msgspec
from openskill.models import PlackettLuce

__all__ = [
    "Award",
    "Place",
    "RatedEnd",
    "Rating",
    "award_places",
    "meeting_weight",
    "pairs_of",
    "read_ending",
]

XP_FINISHED = 10
XP_OUTLASTED = 15

WHOLE_MEETINGS = 3
"""Rated sessions of two players in one day that count whole."""


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
class RatedEnd:
    """How a session ended. ``rated``: whether its mode changes ratings."""

    places: tuple[Place, ...]
    rated: bool


@dataclass(frozen=True, slots=True)
class Award:
    """What one player gets. ``rating``: None if the session changes none."""

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
    rated: bool = True


def read_ending(result: bytes | str) -> RatedEnd:
    """Return the ending of a stored result, with places in the order of the seats.

    ``result``: JSON with ``places`` seat -> place, ``players`` seat -> player, ``scores`` seat -> {xp}, ``rated``. A
    result without them has no places. A session of one player is not rated. Raises ValueError for JSON of another
    shape.
    """
    try:
        read = msgspec.json.decode(result, type=_Result, strict=False)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a result: {error}") from None
    places = tuple(
        Place(read.players[seat], place, read.scores.get(seat, _Score()).xp)
        for seat, place in sorted(read.places.items())
        if seat in read.players
    )
    return RatedEnd(places, read.rated and len(places) > 1)


def pairs_of(ending: RatedEnd) -> list[tuple[str, str]]:
    """Return the pairs of players who met in a rated session, each in one order."""
    players = sorted(place.player for place in ending.places) if ending.rated else []
    return list(combinations(players, 2))


def meeting_weight(before: int) -> float:
    """Return how much a meeting of two players counts, after ``before`` others on the same day: the first
    WHOLE_MEETINGS count whole, each one after that half of the one before it."""
    return float(0.5 ** max(0, before - WHOLE_MEETINGS + 1))


def award_places(
    ending: RatedEnd, ratings: Sequence[Rating], met: Mapping[tuple[str, str], int] | None = None
) -> list[Award]:
    """Return one award per place, in the same order. ``ratings``: of the same players, before the session. ``met``: how
    often the pairs of ``pairs_of`` had met before on this day; a pair that is not there never did."""
    places = ending.places
    rated = _rate(places, ratings, met or {}) if ending.rated else [None] * len(places)
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


def _rate(
    places: Sequence[Place], ratings: Sequence[Rating], met: Mapping[tuple[str, str], int]
) -> list[Rating | None]:
    """The new ratings. A player's change is scaled by the mean weight of its meetings."""
    model = PlackettLuce()
    teams = [[model.rating(mu=rating.mu, sigma=rating.sigma)] for rating in ratings]
    rated = model.rate(teams, ranks=[float(place.place) for place in places])
    weights: dict[str, list[float]] = {place.player: [] for place in places}
    for pair in combinations(sorted(weights), 2):
        for player in pair:
            weights[player].append(meeting_weight(met.get(pair, 0)))
    changed: list[Rating | None] = []
    for place, old, [new] in zip(places, ratings, rated, strict=True):
        weight = fmean(weights[place.player])
        changed.append(
            Rating(
                old.mu + weight * (float(new.mu) - old.mu),
                old.sigma + weight * (float(new.sigma) - old.sigma),
            )
        )
    return changed


def _experience(place: Place, places: Sequence[Place]) -> int:
    return XP_FINISHED + XP_OUTLASTED * sum(other.place > place.place for other in places)
