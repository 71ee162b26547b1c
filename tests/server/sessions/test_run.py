"""What the members of a session learn of a store that hangs while the run waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import until
from tests.server.sessions.nodes import Site, admitted
from tests.server.sessions.test_holder import pools as pools
from tests.server.sessions.test_holder import site as site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_members_learn_of_a_store_that_hangs_while_the_run_waits_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run waits for the journal and sees no lapse of the lease. The members are notified once all the same, and
    when the store answers and the session goes on."""
    one = await site.node("one")
    token, run = await site.duel(one)
    answers, journal = asyncio.Event(), run._publication.journal

    async def hang(batch: Any) -> Any:
        await answers.wait()
        return await journal(batch)

    notices: list[str] = []
    monkeypatch.setattr(run._publication, "journal", hang)
    monkeypatch.setattr(
        run._audience, "notify", lambda state, reason, _=0: notices.append(f"{state} {reason}")
    )
    waiting = admitted(run, run.core.seat or 0, 1)
    announcing = asyncio.create_task(one.holder.announce_outages())
    one.tasks[0].cancel()  # it renews no more

    async def notified() -> bool:
        return bool(notices)

    await until(notified)
    assert notices == ["paused the store does not answer"]
    one.tasks[0] = asyncio.create_task(one.lease.keep())
    answers.set()
    await waiting
    await site.said(token, "turn_started", 2)
    assert notices == ["paused the store does not answer", "resumed "]
    announcing.cancel()
