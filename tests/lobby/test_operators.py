"""Who is an operator: a record in the store or an entry of OPERATORS, never a name alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from tests.conftest import World
from tests.support.operators import ENTRY, SECRET
from tussle.lobby.accounts import Accounts, IssuedLogin, PlayerInfo
from tussle.lobby.errors import AuthError, NotFound
from tussle.lobby.operator_entries import format_entry
from tussle.lobby.operators import Operators
from tussle.lobby.roles import Role

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OTHER = "another secret"


def accounts_with(world: World, operators: str) -> Accounts:
    """The accounts of a server with this setting OPERATORS."""
    return Accounts(world.store, replace(world.settings, operators=operators), hasher=CHEAP)


async def operates(world: World, accounts: Accounts, login: IssuedLogin) -> bool:
    player = await accounts.authenticate(login.token)
    return Role.OPERATOR in Operators(world.scripts, world.seating).roles_of(player)


async def test_a_name_of_the_environment_belongs_to_its_secret(world: World) -> None:
    """A reserved name is refused to guests, to other secrets and to a guest's claim; its secret logs an operator in."""
    accounts = accounts_with(world, ENTRY)
    guest = await accounts.login()
    for name, secret, bearer in (
        ("boss", None, None), ("BOSS", OTHER, None), ("boss", OTHER, guest.token), (" boss ", OTHER, None),
    ):  # fmt: skip
        with pytest.raises(AuthError) as refused:
            await accounts.login(name, secret, bearer=bearer)
        assert refused.value.reason == "name_taken"
    assert not await world.store.call("EXISTS", world.store.keys.players_by_name)
    boss = await accounts.login("Boss", SECRET)
    again = await accounts.login("boss", SECRET)
    assert boss.player == again.player
    assert await operates(world, accounts, boss) and await operates(world, accounts, again)
    assert not await operates(world, accounts, guest)


async def test_who_registered_the_name_first_gets_nothing(world: World) -> None:
    """A player registers a name; then OPERATORS reserves it. The player's token has no rights, the entry's secret gives
    the name to a new player, and the old token stays without rights."""
    squatter = await world.accounts.login("boss", OTHER)
    accounts = accounts_with(world, ENTRY)
    assert not await operates(world, accounts, squatter)
    boss = await accounts.login("boss", SECRET)
    assert boss.player != squatter.player
    assert await operates(world, accounts, boss) and not await operates(world, accounts, squatter)
    assert (await accounts.authenticate(squatter.token)).name == f"boss#{squatter.player[-4:]}"
    with pytest.raises(AuthError):
        await accounts.login("boss", OTHER)


async def test_another_secret_in_the_environment_ends_the_old_tokens_rights(world: World) -> None:
    """After OPERATORS has another hash, a token of the old secret is no operator, also once the new secret was used."""
    old = accounts_with(world, ENTRY)
    before = await old.login("boss", SECRET)
    new = accounts_with(world, format_entry("boss", CHEAP.hash(OTHER)))
    assert not await operates(world, new, before)
    after = await new.login("boss", OTHER)
    assert await operates(world, new, after) and not await operates(world, new, before)
    without = accounts_with(world, "")
    assert not await operates(world, without, after)


async def test_operators_of_the_store_are_added_and_removed(world: World) -> None:
    """A new name and a registered one become operators by their secret; removal takes the rights of every token."""
    accounts = world.accounts
    ada = await accounts.login("Ada", SECRET)
    with pytest.raises(AuthError):
        await accounts.add_operator("ada", OTHER)
    assert not await operates(world, accounts, ada)
    assert await accounts.add_operator("ada", SECRET) == ada.player
    await accounts.add_operator("Bob", SECRET)
    bob = await accounts.login("bob", SECRET)
    assert await operates(world, accounts, ada) and await operates(world, accounts, bob)
    assert await accounts.operators() == ["Ada", "Bob"]
    assert await accounts.remove_operator("ADA") and not await accounts.remove_operator("ada")
    assert not await operates(world, accounts, ada)
    assert await accounts.operators() == ["Bob"]
    with pytest.raises(NotFound):
        await accounts.remove_operator("nobody")


async def test_a_lost_secret_is_replaced_by_a_new_player(world: World) -> None:
    """With ``replace`` the name goes to a new operator; the old player's tokens live on without name and rights."""
    accounts = world.accounts
    await accounts.add_operator("ada", SECRET)
    before = await accounts.login("ada", SECRET)
    player = await accounts.add_operator("ada", OTHER, replace=True)
    after = await accounts.login("ada", OTHER)
    assert after.player == player != before.player
    assert await operates(world, accounts, after) and not await operates(world, accounts, before)
    assert await accounts.operators() == ["ada"]


async def test_a_name_of_the_environment_is_not_added_to_the_store(world: World) -> None:
    """There is one secret for a name: the entry's."""
    with pytest.raises(AuthError, match="OPERATORS"):
        await accounts_with(world, ENTRY).add_operator("boss", SECRET)


def test_roles_come_from_the_record_alone() -> None:
    """The name of a player decides nothing."""
    operators = Operators.__new__(Operators)
    named = PlayerInfo("p1", "boss", "person", "", False)
    assert operators.roles_of(named) == {Role.OBSERVER}
    record = replace(named, operator=True, session="k7qm2xpv")
    assert operators.roles_of(record) == {Role.OBSERVER, Role.PLAYER, Role.OPERATOR}
