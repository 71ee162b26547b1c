"""Escape sequences: refused in chat and names, shown as text on a terminal in whatever part of a session they are."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from tests.support.gateway import lobby_of_one, socket_url
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.cli.finished import sentence
from tussle.cli.picture import Picture
from tussle.cli.redis import format_reply
from tussle.cli.sessions import sessions_table
from tussle.cli.watch import Screen
from tussle.lobby.errors import Refused
from tussle.lobby.text import check_text, escape_text
from tussle.lobby.wire.messages import Event, SeatView, SessionView

ENVIRONMENT = {"CHAT_RATE": "0.2", "MESSAGE_RATE": "5", "MESSAGE_BURST": "40"}

EVIL = (
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\u202egnp.exe",
    "a\rb",
    "a\nb",
    "a\x00b",
    "\u2066x",
    "\x7f",
)


@pytest.mark.parametrize("text", EVIL)
def test_control_characters_are_refused_and_escaped(text: str) -> None:
    """check_text refuses them with a code, escape_text makes them printable."""
    with pytest.raises(Refused) as refusal:
        check_text(text, field="text")
    assert refusal.value.reason == "bad_text"
    assert escape_text(text).isprintable()


def test_usual_text_is_neither_refused_nor_changed() -> None:
    """Letters of all scripts, emoji with joiners, and marks of direction."""
    for text in (
        "Grüße, 世界",
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
        "\u0645\u200f!",
        "tab-less [bold]text[/]",
    ):
        assert escape_text(check_text(text, field="text")) == text


def written(session: SessionView, *events: Event) -> str:
    """Everything that the commands print of a session."""
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=160, height=60, color_system=None)
    picture = Picture.of(session)
    for event in events:
        picture.apply(event)
    console.print(Screen(picture))
    console.print(sessions_table([session], now_ms=0.0, width=160))
    return shown.getvalue() + sentence(session, 80) + picture.verdict()


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_of_others_reaches_a_terminal_as_it_is(evil: str) -> None:
    """A session whose every text has control characters is drawn without any of them."""
    seats = tuple(
        SeatView(seat, f"p{seat}", f"{evil}{seat}", "person", evil, True, True) for seat in range(2)
    )
    view = SessionView(
        "k7qm2xpv", "running", evil, 2, evil, seats, 1, reason=evil, brief={"kind": evil, "seat": 0}
    )
    events = [
        Event(
            v,
            t,
            {"seat": 0, "name": evil, "text": evil, "reason": evil, "body": evil, "kind": evil, "end": evil},
        )
        for v, t in enumerate(
            ("chat", "seat_taken", "body_chosen", "failed", "action", "turn_ended", "out"), 1
        )
    ]
    text = written(view, *events)
    for character in set(evil) - set("ab\n"):
        if not character.isprintable():
            assert text.replace("\x1b[0m", "").count(character) == 0, (evil, character)
    assert "\x1b" not in format_reply(f"{evil}\nx") and "\u202e" not in format_reply(evil)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("evil", EVIL)
async def test_chat_and_names_with_control_characters_are_refused(site: Stack, evil: str) -> None:
    """Chat: bad_text, and nobody sees it. A name: bad_name."""
    async with lobby_of_one(site) as (_, line, _), Person(site.url) as otto:
        answer = await line.command("chat", {"text": evil})
        assert answer["d"]["code"] == "bad_text"
        refused = await otto.post("/api/login", {"name": f"x{evil}y"})
        assert refused.json()["code"] == "bad_name"
        assert "chat" not in line.kinds()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_seat_that_reconnects_has_no_new_budget(site: Stack) -> None:
    """Lines of chat and messages count for the seat: after a reconnection the next line is still refused."""
    async with lobby_of_one(site) as (_, line, _):
        began = time.monotonic()
        answers = [await line.command("chat", {"text": str(n)}) for n in range(4)]
        resume, last_id = line.resume, line.last_id
        for _ in range(4):
            async with Line.to(socket_url(site)) as again:
                await again.hello(resume=resume)
                resume = again.resume
                for _ in range(3):
                    last_id += 1
                    await again.say("chat", {"text": "more"}, last_id)
                    answers.append(await again.answer(last_id))
        refused = [answer["d"] for answer in answers if answer["t"] == "error"]
        assert {(one["code"], one["retry_after"] > 0) for one in refused} == {("rate_limited", True)}
        taken = len(answers) - len(refused)  # two at once, and one in five seconds
        assert 2 <= taken <= 2 + 0.2 * (time.monotonic() - began)
        sent = 0
        while sent < 100:  # the budget of messages is shared too: 40 at once, whatever the number of sockets
            async with Line.to(socket_url(site)) as again:
                await again.hello(resume=resume)
                resume = again.resume
                for _ in range(10):
                    await again.say("ping", {"at": 1.0})
                sent += 10
                try:
                    await again.wait(lambda line=again: line.kinds().count("pong") == 10)  # type: ignore[misc]
                except AssertionError:
                    assert again.closed is not None and again.closed[0] == 4013
                    return
        raise AssertionError("a hundred messages at once were accepted")
