"""Awards of an ended session: experience, ratings, places."""

from __future__ import annotations

import json

import pytest

from tussle.worker.awards import Place, Rating, award_places, places_of


def test_the_winners_rating_rises() -> None:
    """The winner's mean rises, the loser's falls, both sigmas shrink; experience is that of the mode's result."""
    first, second = award_places([Place("a", 1, 45), Place("b", 2, 10)], [Rating(), Rating()])
    assert first.rating is not None and second.rating is not None
    assert first.rating.mu > 25 > second.rating.mu
    assert first.rating.sigma < 25 / 3 and second.rating.sigma < 25 / 3
    assert (first.xp, first.won, second.xp, second.won) == (45, True, 10, False)
    assert Rating().value == 1000


def test_a_tie() -> None:
    """A tie of equal players keeps their means and counts as a win for neither."""
    first, second = award_places([Place("a", 1, None), Place("b", 1, None)], [Rating(), Rating()])
    assert first.rating is not None and second.rating is not None
    assert first.rating.mu == pytest.approx(second.rating.mu)
    assert not first.won and not second.won


def test_default_experience() -> None:
    """A result without experience gives 10 for finishing and 15 for each opponent with a worse place."""
    given = award_places([Place("a", 1, None), Place("b", 2, None), Place("c", 3, None)], [Rating()] * 3)
    assert [award.xp for award in given] == [40, 25, 10]


def test_a_single_player_is_not_rated() -> None:
    """A session of one player gives experience, but neither a rating nor a win."""
    [award] = award_places([Place("a", 1, None)], [Rating()])
    assert (award.rating, award.won, award.xp) == (None, False, 10)


def test_places_of_a_result() -> None:
    """Seats without a player are omitted, and a malformed result is refused."""
    result = {
        "places": {"1": 1, "0": 2, "2": 3},
        "players": {"0": "a", "1": "b"},
        "scores": {"0": {"xp": 7, "place": 2}},
    }
    assert places_of(json.dumps(result)) == [Place("a", 2, 7), Place("b", 1, None)]
    assert places_of("{}") == []
    for text in ("[]", '{"places": 3}', '{"places": {"x": 1}}', "nonsense"):
        with pytest.raises(ValueError, match="not a result"):
            places_of(text)
