import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.errors import Conflict
from tussle.lobby.rules.turns import TurnOrder

SEATS = st.integers(1, 6).map(lambda count: tuple(range(count)))


def test_round_counts_passes() -> None:
    """Every living seat acts once a round, in order; the round increases when the order begins again."""
    turns = TurnOrder.of((2, 0, 1))
    seen = []
    for _ in range(6):
        seen.append((turns.round, turns.current, turns.turn))
        turns = turns.end_turn()
    assert seen == [(1, 2, 0), (1, 0, 1), (1, 1, 2), (2, 2, 3), (2, 0, 4), (2, 1, 5)]


def test_eliminated_seat_is_passed_over() -> None:
    """A seat that is out gets no turn, whether it was out before or after its turn of the round."""
    turns = TurnOrder.of((0, 1, 2)).eliminate(1)
    assert [turns.current, turns.end_turn().current] == [0, 2]
    assert turns.end_turn().end_turn().round == 2
    assert turns.eliminate(1) == turns


def test_actor_out_in_own_turn() -> None:
    """A seat that is eliminated in its own turn stays current until the turn ends; then the next living seat acts."""
    turns = TurnOrder.of((0, 1)).eliminate(0)
    assert turns.current == 0
    assert turns.end_turn().current == 1
    assert turns.end_turn().end_turn().round == 2


def test_skips_in_a_row() -> None:
    """Skips are counted in a row: an action of the seat sets its count to zero, turns of other seats do not."""
    turns = TurnOrder.of((0, 1)).end_turn(skipped=True).end_turn().end_turn(skipped=True)
    assert turns.skips_of(0) == 2
    assert turns.skips_of(1) == 0
    assert turns.end_turn().end_turn().skips_of(0) == 0


def test_reorder() -> None:
    """A new order of the same seats begins with its first living seat; lives, skips, turn and round are kept."""
    turns = TurnOrder.of((0, 1, 2)).end_turn(skipped=True).end_turn().eliminate(2)
    again = turns.reorder((2, 1, 0))
    assert (again.current, again.turn, again.round, again.skips_of(0)) == (1, 2, 1, 1)
    assert again.end_turn().current == 0
    with pytest.raises(ValueError, match="same seats"):
        turns.reorder((0, 1))


def test_nobody_left() -> None:
    """With no living seat there is no next turn."""
    turns = TurnOrder.of((0,)).eliminate(0)
    with pytest.raises(Conflict):
        turns.end_turn()


@pytest.mark.parametrize("seats", [(), (1, 1)])
def test_bad_order(seats: tuple[int, ...]) -> None:
    """An order has at least one seat and no seat twice."""
    with pytest.raises(ValueError, match="order"):
        TurnOrder.of(seats)


@given(SEATS, st.lists(st.tuples(st.sampled_from(["end", "skip", "out"]), st.integers(0, 5)), max_size=60))
def test_once_per_round(seats: tuple[int, ...], steps: list[tuple[str, int]]) -> None:
    """For any sequence of ends, skips and eliminations no seat acts twice in a round, and every living seat acts."""
    turns = TurnOrder.of(seats)
    acted: dict[int, list[int]] = {1: [turns.current]}
    lived_all_round = set(turns.living_seats)
    for what, seat in steps:
        if what == "out":
            if seat in seats and len(turns.living_seats) > 1:
                turns = turns.eliminate(seat)
                lived_all_round.discard(seat)
            continue
        before = turns.round
        turns = turns.end_turn(skipped=what == "skip")
        assert turns.lives(turns.current)
        if turns.round != before:
            assert turns.round == before + 1
            assert lived_all_round <= set(acted[before])
            lived_all_round = set(turns.living_seats)
        acted.setdefault(turns.round, []).append(turns.current)
    for who in acted.values():
        assert len(set(who)) == len(who)
