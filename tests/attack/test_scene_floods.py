"""Floods of edits: each editor, session and address writes within its budget, and the store keeps a bounded scene."""

from __future__ import annotations

import pytest

from tests.support.stack import Stack
from tests.support.stranger import Line, Person

ENVIRONMENT = {"STORE_RATE": "8192", "MESSAGE_RATE": "100000", "MESSAGE_BURST": "100000"}

LARGE = {
    "shape": {"kind": "box", "params": {"size": [0.2, 0.2, 0.2]}},
    "material": {"density": 400},
    "handles": [{"id": f"h{n}", "vertices": [0, 1, 2, 3, 4, 5, 6, 7] * 8} for n in range(20)],
}
"""The document of a body that is a few kilobytes large."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_flood_of_large_edits_is_refused_and_bounded(site: Stack) -> None:
    """Edits beyond the budget of the seat get rate_limited with retry_after; other commands still work."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", mode="sandbox", size=2, private=True)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            refused = None
            for n in range(40):
                answer = await line.command(
                    "edit", {"edits": [{"body": f"b{n}", "base": 0, "document": LARGE}]}
                )
                if answer["t"] == "error":
                    refused = answer["d"]
                    break
            assert refused is not None and refused["code"] == "rate_limited" and refused["retry_after"] > 0
            used = (await ada.get(f"/api/sessions/{seat['session']}/scene")).json()["used"]
            assert 0 < used["bytes"] < 40_000
            assert (await line.command("ready", {"ready": False}))["t"] == "ack"


async def test_an_undo_costs_what_the_edit_did(site: Stack) -> None:
    """Undo and redo of a large body end in rate_limited after a few steps, and change nothing then."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", mode="sandbox", size=2, private=True)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            await line.command("edit", {"edits": [{"body": "large", "base": 0, "document": LARGE}]})
            answers = [await line.command(("undo", "redo")[n % 2]) for n in range(40)]
            kinds = [answer["t"] for answer in answers]
            first = kinds.index("error")
            assert 2 <= first < 12
            assert answers[first]["d"]["code"] == "rate_limited" and answers[first]["d"]["retry_after"] > 0
            scene = (await ada.get(f"/api/sessions/{seat['session']}/scene")).json()
            assert scene["version"] == 2 + kinds.count("ack")
