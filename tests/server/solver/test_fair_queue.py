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


def test_the_sessions_of_an_owner_share_what_one_session_gets() -> None:
    """A hundred light sessions of one owner and one of another always want more: each owner has half of the time, and
    the single session waits for one call at most once the owner of the many has used its credit. The many have equal
    shares of theirs."""
    queue: FairQueue[str] = FairQueue()
    many = [f"many {number}" for number in range(100)]
    for name in many:
        queue.put(name, name, 0.005, owner="192.0.2.1")
    queue.put("single", "single", 0.005, owner="192.0.2.2")
    used: Counter[str] = Counter()
    between = 0
    for number in range(4000):
        name = queue.take()
        queue.charge(name, 0.005)
        queue.put(name, name, 0.005, owner="192.0.2.2" if name == "single" else "192.0.2.1")
        used[name] += 1
        between = 0 if name == "single" else between + 1
        assert between <= 1 or number < 20
    assert abs(used["single"] - 2000) <= 20
    assert max(used[name] for name in many) - min(used[name] for name in many) <= 1


def test_an_idle_owner_has_one_credit_for_all_its_sessions() -> None:
    """Fifty sessions of an owner that was idle wake together: they use one credit before the session that was busy, not
    one each. It does not help that their sessions are forgotten and others come."""
    queue: FairQueue[str] = FairQueue()
    queue.put("busy", "busy", 0.005, owner="b")
    for _ in range(100):
        queue.charge(queue.take(), 0.005)
        queue.put("busy", "busy", 0.005, owner="b")
    used: Counter[str] = Counter()
    for number in range(50):
        queue.put(f"new {number}", f"new {number}", 0.005, owner="a")
    for _ in range(50):
        name = queue.take()
        used[name[:4]] += 1
        queue.charge(name, 0.005)
        if name == "busy":
            queue.put("busy", "busy", 0.005, owner="b")
        else:
            queue.forget(name)
    assert used["busy"] >= (50 - CREDIT_S / 0.005) / 2 - 1


def test_an_owner_that_begins_many_sessions_lets_others_begin() -> None:
    """Fifty sessions of one owner wait to begin. A session of another owner is the next one that begins."""
    queue: FairQueue[str] = FairQueue()
    for number in range(50):
        queue.put(f"many {number}", f"many {number}", 0.05, owner="a", place="beginning")
    queue.charge(queue.take(), 0.06)
    queue.charge(queue.take(), 0.06)
    queue.put("other", "other", 0.05, owner="b", place="beginning")
    assert queue.take() == "other"


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
        st.tuples(
            st.sampled_from("abcd"),
            st.floats(0.0, 0.1),
            st.sampled_from(["", "x", "y"]),
            st.sampled_from(["", "o"]),
        ),
        max_size=60,
    )
)
def test_every_call_is_taken_once(calls: list[tuple[str, float, str, str]]) -> None:
    """Calls in any number and of any length, with a shared place or owner or not: each is taken exactly once, and those
    of a session in order."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for number, (name, seconds, place, owner) in enumerate(calls):
        queue.put(name, (name, number), seconds, place=place, owner=owner)
    taken = []
    while queue.first() is not None:
        name, number = queue.take()
        taken.append((name, number))
        queue.charge(name, calls[number][1])
    assert sorted(number for _, number in taken) == list(range(len(calls)))
    for name in "abcd":
        numbers = [number for session, number in taken if session == name]
        assert numbers == sorted(numbers)
