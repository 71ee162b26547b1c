"""The bots of one process are shared out over the lobbies that want some, and failures are not repeated at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.lobby.bot_requests import BotRequest
from tussle.lobby.errors import Refused
from tussle.player import crew
from tussle.player.bots import Party, Tally
from tussle.player.crew import share_out


def request(session: str, wanted: int) -> BotRequest:
    return BotRequest(session, "sandbox", 16, wanted, "fair")


def test_a_host_that_wants_many_bots_does_not_get_them_all() -> None:
    """The last quarter is for lobbies without a bot, also while one lobby asks again and again; a lobby that asks at
    the same time gets as many as the first one."""
    [alone] = [Counter(one.session for one in share_out([request("a", 15)], {}, {}, 8, 8))]
    assert alone == {"a": 6}
    assert share_out([request("a", 9)], alone, {}, 2, 8) == []
    assert [one.session for one in share_out([request("a", 9), request("b", 1)], alone, {}, 2, 8)] == ["b"]
    both = Counter(one.session for one in share_out([request("a", 15), request("b", 15)], {}, {}, 8, 8))
    assert both == {"a": 3, "b": 3}


def test_an_address_with_many_lobbies_does_not_get_all_bots() -> None:
    """Its lobbies get the bots by turns, and leave the last quarter to an address that has none. A new lobby of the
    address whose bots play is still of that address. Two addresses that ask at once get bots by turns."""

    def of(group: str, *names: str) -> list[BotRequest]:
        return [BotRequest(name, "duel", 4, 3, "fair", group) for name in names]

    many = of("school", "a", "b", "c", "d", "e")
    sent = Counter(one.session for one in share_out(many, {}, {}, 8, 8))
    assert sent.total() == 6 and max(sent.values()) == 2
    groups = dict.fromkeys("abcde", "school")
    assert share_out(of("school", "f"), sent, {}, 2, 8, groups) == []
    both = [*of("school", "f"), *of("home", "x")]
    assert [one.session for one in share_out(both, sent, {}, 2, 8, groups)] == ["x"]
    together = Counter(one.session for one in share_out([*many, *of("home", "x", "y")], {}, {}, 8, 12))
    assert (together["x"] + together["y"], together.total()) == (2, 5), (
        "five by turns, the last quarter is kept"
    )


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 5), st.integers(0, 5)), max_size=8),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_no_lobby_gets_more_than_it_wants(lobbies: list[tuple[int, int, int]], free: int, busy: int) -> None:
    """Nor does the process send more than it has; one that has no bot gets one before another gets its second."""
    requests = [request(str(n), wanted) for n, (wanted, _, _) in enumerate(lobbies)]
    coming = {str(n): one for n, (_, one, _) in enumerate(lobbies)}
    at_work = {str(n): one + more for n, (_, one, more) in enumerate(lobbies)}
    sent = Counter(one.session for one in share_out(requests, at_work, coming, free, free + busy))
    assert sent.total() <= free
    for one in requests:
        assert sent[one.session] <= max(0, one.wanted - coming[one.session])
    starving = [
        one.session
        for one in requests
        if not at_work[one.session] and one.wanted > coming[one.session] and not sent[one.session]
    ]
    assert not starving or all(count + at_work[session] <= 1 for session, count in sent.items())


async def test_a_seat_that_cannot_be_taken_is_not_tried_at_every_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred looks in a row list one lobby whose seat is refused: one bot tries. Another lobby is served."""
    tried: list[str] = []
    looks = 0

    class Bot:
        token: str | None = "login"

        def __init__(self, *_: Any, **__: Any) -> None: ...

        async def __aenter__(self) -> Bot:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def login(self, *_: Any, **__: Any) -> None: ...

        async def aclose(self) -> None: ...

        async def bot_requests(self, _: str) -> list[BotRequest]:
            nonlocal looks
            looks += 1
            if looks > 100:
                raise asyncio.CancelledError
            return [request("refused", 1), *([request("other", 1)] if looks == 50 else [])]

        async def take_seat(self, session: str, _: str) -> None:
            tried.append(session)
            raise Refused("no", code="bad_params")

    monkeypatch.setattr(crew, "_Bot", Bot)
    monkeypatch.setattr(crew, "LOOK_S", 0.0)
    monkeypatch.setattr(crew, "decide_by_mode", lambda *_: None)
    with pytest.raises(asyncio.CancelledError):
        await crew.serve(Party(server_url="http://none.invalid", serve=4), Tally())
    assert tried == ["refused", "other"]
