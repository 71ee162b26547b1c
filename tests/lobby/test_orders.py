"""Operators' orders: every server reads each order once, in order, from its own start on."""

from __future__ import annotations

import pytest

from tests.conftest import HOLDER, World
from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.operators import Operators
from tussle.lobby.orders import NOTICE_LENGTH, OrderLog


async def test_a_server_reads_what_was_ordered_after_its_start(world: World) -> None:
    """Orders of before are not repeated; later ones come once, oldest first."""
    operators, log = Operators(world.scripts, world.seating), OrderLog(world.store)
    assert await log.newest() == "0-0"
    await operators.notify("of yesterday", "boss")
    start = await log.newest()
    assert await log.read(start) == []
    ada = await world.accounts.login()
    seat = await world.find(ada.player)
    await operators.notify("to all", "boss")
    await operators.notify("to one", "boss", seat.session)
    await operators.ban(ada.player, "boss")
    await operators.drain(HOLDER.id, "boss")
    orders = await log.read(start)
    assert [(one.kind, one.target, one.text, one.by) for one in orders] == [
        ("notice", "", "to all", "boss"),
        ("notice", seat.session, "to one", "boss"),
        ("ban", ada.player, "", "boss"),
        ("drain", f"{HOLDER.id}:{HOLDER.nonce}", "", "boss"),
    ]
    assert await log.read(orders[-1].id) == []


@pytest.mark.parametrize(
    "text", ["", "   ", "x" * (NOTICE_LENGTH + 1), "two\nlines", "\x1b[31mred", "\u202eturned", "a\x00b"]
)
async def test_a_notice_is_one_printable_line(world: World, text: str) -> None:
    """Empty, long, and control or invisible characters: refused before anything is sent."""
    log = OrderLog(world.store)
    with pytest.raises(Refused) as refused:
        await log.notify(text, "boss")
    assert refused.value.reason == "bad_notice"
    assert await log.newest() == "0-0"


async def test_an_order_needs_its_target(world: World) -> None:
    """A session or a server that does not exist is refused."""
    operators = Operators(world.scripts, world.seating)
    with pytest.raises(NotFound) as refused:
        await operators.notify("hello", "boss", "k7qm2xpv")
    assert refused.value.reason == "no_such_session"
    with pytest.raises(NotFound) as refused:
        await operators.drain("nowhere", "boss")
    assert refused.value.reason == "no_such_server"
