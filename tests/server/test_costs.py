"""The budgets of addresses, players and names, and the prices of requests."""

from __future__ import annotations

from collections import Counter

import pytest

from tussle.lobby.errors import RateLimited
from tussle.lobby.roles import Operation
from tussle.lobby.settings import Settings
from tussle.server import costs
from tussle.server.costs import REQUEST_COSTS, Ledger, Owner, Resource, budgets, message_bucket

SETTINGS = Settings(request_rate=2.0, address_connections=2)


def make_ledger(settings: Settings = SETTINGS) -> tuple[Ledger, Counter[tuple[Resource, Owner]]]:
    refusals: Counter[tuple[Resource, Owner]] = Counter()

    def count(resource: Resource, owner: Owner) -> None:
        refusals[resource, owner] += 1

    return Ledger(settings, count), refusals


def test_each_owner_has_its_budget() -> None:
    """An address that has spent its budget does not affect another one, and is accepted again later."""
    ledger, refusals = make_ledger()
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0, 10.0)
    with pytest.raises(RateLimited) as refusal:
        ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0, 3.0)
    assert refusal.value.retry_after == pytest.approx(1.5)
    assert refusals == {(Resource.REQUESTS, Owner.ADDRESS): 1}
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "b", 0.0)
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 1.5, 3.0)


def test_a_refused_charge_costs_nothing() -> None:
    """After a refusal, a smaller amount that is still there can be charged."""
    ledger, _ = make_ledger()
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0, 8.0)
    with pytest.raises(RateLimited):
        ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0, 3.0)
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0, 2.0)


def test_the_number_of_remembered_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond KEPT keys the least recently used one is forgotten and has a full budget again."""
    monkeypatch.setattr(costs, "KEPT", 3)
    ledger, _ = make_ledger()
    for key in "abcd":
        ledger.charge(Resource.REQUESTS, Owner.ADDRESS, key, 0.0, 10.0)
    with pytest.raises(RateLimited):
        ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "d", 0.0)
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "a", 0.0)


def test_what_is_released_can_be_held_again() -> None:
    """At most the limit is held at once; an owner that holds nothing uses no memory."""
    ledger, refusals = make_ledger()
    held = [ledger.hold(Resource.SOCKETS, Owner.ADDRESS, "a") for _ in range(3)]
    assert held == [True, True, False]
    assert refusals == {(Resource.SOCKETS, Owner.ADDRESS): 1}
    ledger.release(Resource.SOCKETS, Owner.ADDRESS, "a")
    assert ledger.hold(Resource.SOCKETS, Owner.ADDRESS, "a")
    for _ in range(2):
        ledger.release(Resource.SOCKETS, Owner.ADDRESS, "a")
    assert not ledger._accounts[Resource.SOCKETS, Owner.ADDRESS].held


def test_a_snapshot_shows_who_was_refused() -> None:
    """An operator sees every budget with its setting, and the owners with the most refusals first."""
    ledger, _ = make_ledger()
    ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "calm", 0.0)
    for _ in range(12):
        try:
            ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "greedy", 0.0)
        except RateLimited:
            continue
    rows = {(row["resource"], row["owner"]): row for row in ledger.snapshot()}
    assert len(rows) == len(budgets(SETTINGS))
    row = rows["requests", "address"]
    assert (row["setting"], row["rate"], row["burst"], row["refusals"]) == ("REQUEST_RATE", 2.0, 10.0, 2)
    assert [key["key"] for key in row["keys"]] == ["greedy", "calm"]
    assert row["keys"][0] == {"key": "greedy", "refusals": 2, "holds": 0, "left": 0.0}


def test_each_pair_of_resource_and_owner_has_one_budget() -> None:
    """The table has no pair twice, and every setting that it names exists."""
    table = budgets(SETTINGS)
    assert len({(budget.resource, budget.owner) for budget in table}) == len(table)
    names = {name.upper() for name in Settings.__dataclass_fields__}
    assert {budget.setting for budget in table} - {""} <= names


def test_the_lowest_rates_allow_one_at_once() -> None:
    """A budget below one would refuse every login or reservation for ever."""
    lowest = Settings(login_rate=0.1, guess_rate=0.01, reservation_rate=0.01, chat_rate=0.1, open_rate=0.01)
    kinds = {
        Resource.LOGINS, Resource.GUESSES, Resource.GUESTS, Resource.REGISTRATIONS, Resource.RESERVATIONS,
        Resource.CHATS, Resource.OPENINGS,
    }  # fmt: skip
    assert [one for one in budgets(lowest) if one.resource in kinds and one.burst < 1.0] == []


def test_every_request_can_be_paid() -> None:
    """No request costs more than the smallest budget that a server can be configured with."""
    smallest = min(
        budget.burst for budget in budgets(Settings(request_rate=1.0)) if budget.resource is Resource.REQUESTS
    )
    assert max(REQUEST_COSTS.values()) <= smallest


def test_a_classroom_behind_one_address_can_join_at_once() -> None:
    """With the default settings, 60 players of one address log in, find a lobby and connect in the same second."""
    ledger, _ = make_ledger(Settings())
    for player in range(60):
        ledger.charge(Resource.LOGINS, Owner.ADDRESS, "school", 0.0)
        for call in (Operation.LOGIN, Operation.PROFILE, Operation.FIND, Operation.PAGES, Operation.LIST):
            ledger.charge(Resource.REQUESTS, Owner.ADDRESS, "school", 0.0, REQUEST_COSTS[call])
        assert ledger.hold(Resource.SOCKETS, Owner.ADDRESS, "school"), player


def test_a_session_keeps_bytes_for_its_other_members() -> None:
    """A player spends at most a quarter of what a session may write at once, an address a half; what is refused is
    charged to nobody."""
    ledger, _ = make_ledger(Settings(store_rate=64_000.0))

    def spend(address: str, player: str) -> int:
        spent = 0
        while True:
            try:
                ledger.charge_store(0.0, 1000.0, address=address, player=player, session="T")
            except RateLimited:
                return spent
            spent += 1

    assert [spend("a", player) for player in ("p1", "p2", "p3")] == [16, 16, 0]
    assert [spend("b", player) for player in ("p4", "p1", "p5")] == [16, 0, 16]
    assert ledger.bucket(Resource.STORE_BYTES, Owner.PLAYER, "p3").level == 4 * 64_000
    assert ledger.bucket(Resource.STORE_BYTES, Owner.ADDRESS, "a").level == 128 * 64_000 - 32_000


def test_a_long_message_costs_more() -> None:
    """The message budget limits bytes as well as messages."""
    bucket, length = message_bucket(Settings(message_rate=10.0, message_burst=20, message_bytes_rate=1000.0))
    assert length == 100.0
    assert bucket.take(0.0, 1900 / length)
    assert not bucket.take(0.0, 200 / length)


def test_a_reserved_call_waits_for_its_player_and_address() -> None:
    """Calls beyond a budget wait in turn, on all sockets; others do not, and time ends the wait."""
    ledger, refusals = make_ledger(Settings(message_rate=1.0, message_burst=2))
    player, address = (Resource.STORE_CALLS, Owner.PLAYER), (Resource.STORE_CALLS, Owner.ADDRESS)
    waits = [ledger.reserve(*player, "p", 0.0) for _ in range(6)]
    assert waits == pytest.approx([0, 0, 0, 0, 0.5, 1.0]) and refusals[player] == 2
    assert ledger.reserve(*player, "q", 0.0) == 0
    assert ledger.reserve(*player, "p", 1.5) == 0
    waits = [ledger.reserve(*address, "a", 0.0) for _ in range(34)]
    assert waits == pytest.approx([*[0.0] * 32, 1 / 16, 2 / 16])
