"""Leases of servers: a server id belongs to one boot at a time."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tussle.lobby.errors import Fenced


async def test_a_lease_is_renewed_by_its_boot_only(world: World) -> None:
    """``renew`` returns True for the boot with the lease, False for another boot and after the lease ended."""
    assert await world.servers.renew("s1", "boot-1", 60_000, ["a", "b", "c"])
    assert not await world.servers.renew("s1", "boot-2", 60_000, ["d"])
    [info] = await world.servers.alive()
    assert (info.id, info.nonce, info.url, info.sessions) == ("s1", "boot-1", "http://one:8420", 3)
    await world.store.call("DEL", world.store.keys.server("s1"))
    assert not await world.servers.renew("s1", "boot-1", 60_000, ["a", "b", "c"])
    assert not await world.store.call("EXISTS", world.store.keys.server("s1"))


async def test_a_name_belongs_to_one_boot(world: World) -> None:
    """Another boot cannot register the id before the lease is released; the same boot can register again."""
    await world.servers.register("s1", "boot-1", "http://one:8420", "physics-1", 60_000)
    with pytest.raises(Fenced) as refused:
        await world.servers.register("s1", "boot-2", "http://two:8420", "physics-1", 60_000)
    assert refused.value.reason == "server_id_taken"
    await world.servers.release("s1", "boot-2")
    assert (await world.servers.get("s1")) is not None
    await world.servers.release("s1", "boot-1")
    assert await world.servers.get("s1") is None
    await world.servers.register("s1", "boot-2", "http://two:8420", "physics-1", 60_000)


async def test_a_lease_ends_by_itself(world: World) -> None:
    """A server that does not renew is not alive. Its last renewal is kept until ``forget_silent`` drops an old one."""
    await world.servers.register("s2", "boot-1", "http://two:8420", "physics-1", 60_000)
    assert [info.id for info in await world.servers.alive()] == ["s1", "s2"]
    await world.store.call("PEXPIRE", world.store.keys.server("s2"), 1)
    while await world.store.call("EXISTS", world.store.keys.server("s2")):
        pass
    assert [info.id for info in await world.servers.alive()] == ["s1"]
    servers = world.store.keys.servers
    await world.servers.forget_silent(())
    assert await world.store.call("ZRANGE", servers, 0, -1) == ["s1:boot-1", "s2:boot-1"]
    await world.store.call("ZADD", servers, 1, "s2:boot-1")
    await world.servers.forget_silent({("s2", "boot-1")})
    assert await world.store.call("ZCARD", servers) == 2
    await world.servers.forget_silent({("s1", "boot-1")})
    assert await world.store.call("ZRANGE", servers, 0, -1) == ["s1:boot-1"]
