"""What is restored from the store, and what is said of data that cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.server.sessions.nodes import Site
from tests.server.sessions.test_holder import pools as pools
from tests.server.sessions.test_holder import site as site
from tussle.server.sessions import holder as holder_module

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("journal", r"entry \d+-1 of the journal is damaged: .*malformed.*"),
        ("input", r"entry \d+-1 of the journal is damaged: .*seat.*"),
        ("text", r"entry \d+-1 of the journal is damaged: .*"),
        ("spec", r"the specification of the session is damaged: .*"),
        ("checkpoint", r"the checkpoint of the session is damaged: .*"),
    ],
)
async def test_damage_in_the_store_is_named(
    site: Site, what: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that cannot be restored fails with the code of damaged data, and the log says what is damaged."""
    one = await site.node("one")
    token, run = await site.duel(one)
    store, keys = site.world.store, site.world.store.keys
    entries = {"journal": b"garbage", "input": b'{"seat": "one"}', "text": b'{"seat":0,"kind":"\xff"}'}
    if what in entries:
        await one.context.runs.journal(run.fence, run.core.tick + 5, [entries[what]])
    await one.die()
    if what == "spec":
        await store.call("HSET", keys.session(token), "spec", '{"mode":')
    elif what == "checkpoint":
        await store.call("HSET", keys.checkpoint(token), "tick", "soon")
    seen: list[str] = []

    def note(event: str, **fields: Any) -> None:
        if event == "session_failed":
            seen.append(f"{fields['code']}: {fields['error']}")

    for level in ("error", "exception"):
        monkeypatch.setattr(holder_module.log, level, note)
    await site.node("two")
    assert (await site.said(token, "failed"))["reason"] == "damaged_data"
    assert len(seen) == 1 and re.fullmatch(f"damaged_data: {named}", seen[0])
