"""Awards of an ended session: experience, ratings, places."""

from __future__ import annotations

import json

import pytest

from tussle.worker.awards import Place, RatedEnd, Rating, award_places, meeting_weight, pairs_of, read_ending


def rated(*places: Place) -> RatedEnd:
    return RatedEnd(places, rated=True)


def test_the_winners_rating_rises() -> None:
    """The winner's mean rises, the loser's falls, both sigmas shrink; experience is that of the mode's result."""
    first, second = award_places(rated(Place("a", 1, 45), Place("b", 2, 10)), [Rating(), Rating()])
    assert first.rating is not None and second.rating is not None
    assert first.rating.mu > 25 > second.rating.mu
    assert first.rating.sigma < 25 / 3 and second.rating.sigma < 25 / 3
    assert (first.xp, first.won, second.xp, second.won) == (45, True, 10, False)
    assert Rating().value == 1000


def test_a_tie() -> None:
    """A tie of equal players keeps their means and counts as a win for neither."""
    first, second = award_places(rated(Place("a", 1, None), Place("b", 1, None)), [Rating(), Rating()])
    assert first.rating is not None and second.rating is not None
    assert first.rating.mu == pytest.approx(second.rating.mu)
    assert not first.won and not second.won


def test_default_experience() -> None:
    """A result without experience gives 10 for finishing and 15 for each opponent with a worse place."""
    given = award_places(rated(Place("a", 1, None), Place("b", 2, None), Place("c", 3, None)), [Rating()] * 3)
    assert [award.xp for award in given] == [40, 25, 10]


def test_a_single_player_is_not_rated() -> None:
    """A session of one player gives experience, but neither a rating nor a win."""
    [award] = award_places(read_ending('{"places": {"0": 1}, "players": {"0": "a"}}'), [Rating()])
    assert (award.rating, award.won, award.xp) == (None, False, 10)


def test_places_of_a_result() -> None:
    """Seats without a player are omitted, and a malformed result is refused."""
    result = {
        "places": {"1": 1, "0": 2, "2": 3},
        "players": {"0": "a", "1": "b"},
        "scores": {"0": {"xp": 7, "place": 2}},
    }
    assert read_ending(json.dumps(result)) == rated(Place("a", 2, 7), Place("b", 1, None))
    assert read_ending("{}") == RatedEnd((), rated=False)
    for text in ("[]", '{"places": 3}', '{"places": {"x": 1}}', '{"rated": 3}', "nonsense"):
        with pytest.raises(ValueError, match="not a result"):
            read_ending(text)


def test_a_mode_that_does_not_rate_changes_no_rating() -> None:
    """Its players get experience only. Twelve sandboxes that were opened and left raised two players by 293 points."""
    ending = read_ending(
        '{"rated": false, "places": {"0": 1, "1": 1}, "players": {"0": "a", "1": "b"}, "scores": {"0": {"xp": 0}}}'
    )
    awards = award_places(ending, [Rating(), Rating()])
    assert [award.rating for award in awards] == [None, None] and awards[0].xp == 0
    assert pairs_of(ending) == []


def test_repeated_meetings_count_less() -> None:
    """Two players who let one of them win a hundred duels in a day gain less than five wins in a row give."""

    def gain(duels: int, *, whole: bool) -> int:
        winner, loser = Rating(), Rating()
        for before in range(duels):
            met = {} if whole else {("a", "b"): before}
            awards = award_places(rated(Place("a", 1, None), Place("b", 2, None)), [winner, loser], met)
            assert awards[0].rating is not None and awards[1].rating is not None
            winner, loser = awards[0].rating, awards[1].rating
        return winner.value - 1000

    assert gain(3, whole=False) == gain(3, whole=True)
    assert gain(3, whole=True) < gain(100, whole=False) < gain(5, whole=True) < gain(100, whole=True)
    assert [meeting_weight(before) for before in (0, 2, 3, 4)] == [1.0, 1.0, 0.5, 0.25]


def test_only_the_pair_that_met_counts_less() -> None:
    """In a session of three, who has met nobody before is rated whole; the two others in part."""
    places = [Place("a", 1, None), Place("b", 2, None), Place("c", 3, None)]
    fresh = award_places(rated(*places), [Rating()] * 3)
    again = award_places(rated(*places), [Rating()] * 3, {("a", "b"): 100})
    gains = [
        [award.rating.mu - 25 for award in awards if award.rating is not None] for awards in (fresh, again)
    ]
    assert gains[1][2] == gains[0][2]
    assert gains[1][0] == pytest.approx(gains[0][0] / 2)
