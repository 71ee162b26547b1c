"""The workbench for modes, /playground: two seats and the log of all messages in one page."""

from __future__ import annotations

import re
from typing import Any

from tests.support.person import in_browser, serious

pytestmark = in_browser


def test_one_plays_both_seats_and_sees_every_message(person: Any) -> None:
    """Both guests are in the same duel. Each acts in its turn with the controls that the mode offers; a message that
    the server refuses says why; the log has what went both ways. The login of the browser is not touched."""
    mira = person("Mira")
    mira.go("/playground")
    mira.page.fill("[data-test=ground-mode]", "duel")
    mira.page.fill("[data-test=ground-params]", '{"turn_s": 600}')
    mira.page.click("[data-test=ground-begin]")
    for _ in range(2):
        mira.until("document.querySelectorAll('[data-test=ground-act]:enabled').length === 1")
        turn = mira.page.locator("[data-test^=ground-]:has([data-test=ground-act]:enabled)").first
        acting = turn.get_attribute("data-test")
        turn.get_by_label("power").fill("0.05")
        turn.locator("[data-test=ground-act]").click()
        mira.page.wait_for_selector(f"[data-test={acting}] [data-test=ground-turn] >> text=Waits")
    log = "[data-test=ground-log] summary"
    for message in ("1 → hello", "2 → hello", "1 ← welcome", "1 → act", "2 → act", "1 ← turn_started"):
        mira.page.wait_for_selector(f"{log} >> text={message}")
    first = mira.page.locator("[data-test=ground-0]")
    first.locator("[data-test=ground-type]").fill("act")
    first.locator("[data-test=ground-data]").fill('{"kind": "fly", "d": {}}')
    first.locator("[data-test=ground-send]").click()
    mira.page.wait_for_selector(
        "[data-test=ground-0] [data-test=ground-said] >> text=/not_your_turn|world_moving|unknown_kind/"
    )
    assert mira.evaluate("localStorage.getItem('tussle.me')") is None
    assert serious(mira.page) == []
    mira.shoot("playground")


def test_nobody_waits_in_a_mode_without_turns(person: Any) -> None:
    """The sandbox runs for all of its members; a message of one's own acts in it."""
    mira = person("Mira")
    mira.go("/playground")
    mira.page.fill("[data-test=ground-mode]", "sandbox")
    mira.page.click("[data-test=ground-begin]")
    mira.page.wait_for_selector("[data-test=ground-0] [data-test=ground-turn] >> text=running")
    first = mira.page.locator("[data-test=ground-0]")
    first.locator("[data-test=ground-type]").fill("act")
    first.locator("[data-test=ground-data]").fill('{"kind": "gravity", "d": {"strength": 5}}')
    first.locator("[data-test=ground-send]").click()
    mira.page.wait_for_selector("[data-test=ground-log] summary >> text=1 ← ack")


def test_a_seat_without_an_answer_says_so(person: Any) -> None:
    """The server falls silent for all seats, and comes back."""
    mira = person("Mira")
    answers = {"on": True}

    def connect(socket: Any) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda data: socket.send(data) if answers["on"] else None)

    mira.page.route_web_socket(re.compile(r"/ws$"), connect)
    mira.go("/playground")
    mira.page.click("[data-test=ground-begin]")
    turns = "[data-test=ground-0] [data-test=ground-turn]"
    mira.page.wait_for_selector(f"{turns} >> text=/Its turn|Waits/")
    answers["on"] = False
    mira.page.wait_for_selector(f"{turns} >> text=No answer")
    answers["on"] = True
    mira.page.wait_for_selector(f"{turns} >> text=/Its turn|Waits/")


def test_params_that_a_mode_refuses_are_explained(person: Any) -> None:
    """Nothing is opened then, and no seat is left behind."""
    mira = person("Mira")
    mira.go("/playground")
    mira.page.fill("[data-test=ground-params]", '{"turn_s": "long"}')
    mira.page.click("[data-test=ground-begin]")
    mira.page.wait_for_selector("[data-test=ground-problem]")
    assert mira.page.locator("[data-test=ground-act]").count() == 0
    mira.wrong.clear()  # the browser itself notes every answer that is an error
