"""Replay rooms on a real server: presenting, following, marks, chat, presence, refusals."""

from __future__ import annotations

import pytest

from tests.support.replay import joined, member, recorded
from tests.support.stack import Stack
from tests.support.stranger import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"SIM_SPEED": "0", "CHAT_RATE": "1000"}


async def test_everybody_follows_the_presenter(site: Stack) -> None:
    """Who presents moves all members; the token is refused to others until it is released; a late member gets the
    newest place."""
    token = await recorded(site)
    async with member(site.url, token, "ada") as ada, member(site.url, token, "otto") as otto:
        await otto.say("scrub", {"frame": 5}, 1)
        assert (await otto.until("error"))["d"]["code"] == "not_presenter"
        await ada.say("present", {}, 1)
        for line in (ada, otto):
            granted = (await line.until("presenter"))["d"]
            assert granted["grant"] == 1 and granted["player"]
        await otto.say("present", {}, 2)
        refused = await otto.until("error")
        assert (refused["d"]["code"], refused["id"]) == ("presenter_taken", 2)
        await ada.say("scrub", {"frame": 12, "playing": True, "speed": 0.5})
        for line in (ada, otto):
            shown = await line.until("scrub")
            assert shown["d"] == {"grant": 1, "n": 1, "frame": 12, "playing": True, "speed": 0.5}
            assert "v" not in shown
        async with Person(site.url) as late:
            await late.login(name="late")
            async with joined(site.url, token, late) as (_, welcome):
                assert (welcome["frame"], welcome["playing"], welcome["speed"]) == (12, True, 0.5)
                assert (welcome["grant"], welcome["n"], welcome["length"]) == (1, 1, 1000)
                assert welcome["presenter"] == granted["player"]
        await ada.say("release")
        assert (await otto.until("presenter", player=None))["d"]["grant"] == 1
        await otto.say("present")
        assert await ada.until("presenter", grant=2)
