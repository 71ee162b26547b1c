"""Which call a solver process gets next, without a process or a clock."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.server.solver.fair_queue import CREDIT_S, FairQueue


def test_a_light_session_waits_for_one_call_only() -> None:
    """Three sessions of long calls wait. A session that wakes is next, each time it wakes."""
    queue: FairQueue[str] = FairQueue()
    heavy = ("one", "two", "three")
    for name in heavy:
        queue.put(name, name, 0.03)
    for _ in range(6):  # from now on none of them is new
        running = queue.take()
        queue.charge(running, 0.032)
        queue.put(running, running, 0.03)
    for _ in range(50):
        running = queue.take()
        queue.put("light", "light", 0.001)
        queue.charge(running, 0.032)
        queue.put(running, running, 0.03)
        assert queue.take() == "light"
        queue.charge("light", 0.001)


def test_sessions_that_begin_do_not_starve_those_that_run() -> None:
    """Fifty sessions begin at any time, each a new one, with calls of 60 ms. A session of calls of 1 ms, which always
    wants more, waits for one of them only, and has at least half of the time; each session begins, in order."""
    queue: FairQueue[str] = FairQueue()
    names = (f"new {number}" for number in range(1000))
    for _ in range(50):
        name = next(names)
        queue.put(name, name, 0.05, place="beginning")
    queue.put("running", "running", 0.001)
    used, between, begun = {"running": 0.0, "new": 0.0}, 0, []
    while used["running"] + used["new"] < 20.0:
        call = queue.take()
        if call == "running":
            queue.put("running", "running", 0.001)
            queue.charge("running", 0.001)
            used["running"] += 0.001
            between = 0
        else:
            begun.append(call)
            name = next(names)
            queue.put(name, name, 0.05, place="beginning")
            queue.charge(call, 0.06)
            used["new"] += 0.06
            between += 1
            assert between <= 1
    assert used["running"] >= 10.0 - 0.1 and used["new"] >= 10.0 - 0.1
    assert begun == [f"new {number}" for number in range(len(begun))]


def test_calls_with_a_place_are_taken_one_after_the_other() -> None:
    """The second session begins when the first one has, and its next call follows."""
    queue: FairQueue[str] = FairQueue()
    queue.put("one", "build one", 0.05, place="beginning")
    queue.put("two", "build two", 0.05, place="beginning")
    queue.put("two", "drop two", 0.0)
    assert queue.take() == "build one"
    assert queue.first() is None and len(queue) == 2
    queue.charge("one", 0.06)
    assert queue.take() == "build two"
    queue.charge("two", 0.06)
    assert queue.take() == "drop two"


def test_sessions_that_always_want_more_get_equal_time() -> None:
    """Calls of 1, 4 and 20 ms: after two seconds each session has used a third, to within the longest call."""
    cost = {"a": 0.001, "b": 0.004, "c": 0.02}
    queue: FairQueue[str] = FairQueue()
    used: Counter[str] = Counter()
    for name in cost:
        queue.put(name, name, cost[name])
    while sum(used.values()) < 2.0:
        name = queue.take()
        used[name] += cost[name]  # type: ignore[assignment]
        queue.charge(name, cost[name])
        queue.put(name, name, cost[name])
    assert max(used.values()) - min(used.values()) <= 2 * max(cost.values()) + CREDIT_S


def test_an_idle_session_saves_up_no_more_than_the_credit() -> None:
    """A session that was idle for a hundred calls of another one uses its credit, and then gets every second call."""
    queue: FairQueue[str] = FairQueue()
    queue.put("busy", "busy", 0.01)
    for _ in range(100):
        queue.charge(queue.take(), 0.01)
        queue.put("busy", "busy", 0.01)
    queue.put("idle", "idle", 0.01)
    order = []
    for _ in range(20):
        order.append(name := queue.take())
        queue.charge(name, 0.01)
        queue.put(name, name, 0.01)
    first = round(CREDIT_S / 0.01)
    assert set(order[:first]) == {"idle"}
    assert abs(Counter(order[first + 1 :])["idle"] - (20 - first) / 2) <= 1


def test_the_calls_of_a_session_keep_their_order() -> None:
    """Its second call is not taken before its first one is charged, even when the process could take more."""
    queue: FairQueue[int] = FairQueue()
    for number in range(3):
        queue.put("one", number, 0.001)
    assert queue.take() == 0
    assert queue.first() is None
    with pytest.raises(IndexError):
        queue.take()
    queue.charge("one", 0.001)
    assert (queue.take(), len(queue)) == (1, 1)
    assert queue.drain() == [2]
    assert (len(queue), queue.first()) == (0, None)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0.0, 0.1), st.sampled_from(["", "x", "y"])), max_size=60
    )
)
def test_every_call_is_taken_once(calls: list[tuple[str, float, str]]) -> None:
    """Calls in any number and of any length, with a shared place or not: each is taken exactly once, and those of a
    session in order."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for number, (name, seconds, place) in enumerate(calls):
        queue.put(name, (name, number), seconds, place=place)
    taken = []
    while queue.first() is not None:
        name, number = queue.take()
        taken.append((name, number))
        queue.charge(name, calls[number][1])
    assert sorted(number for _, number in taken) == list(range(len(calls)))
    for name in "abcd":
        numbers = [number for session, number in taken if session == name]
        assert numbers == sorted(numbers)
