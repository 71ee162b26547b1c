"""Recordings in a real browser: watch again, present together, bookmarks and views, play on from a moment, rewind."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.person import in_browser, serious
from tussle.player.blocking import BlockingClient

pytestmark = [*in_browser, pytest.mark.usefixtures("duels")]

WIDTHS = ((1440, 900), (820, 1100), (390, 844))
DRAWN = "Boolean(window.__replay && window.__replay.drawn())"


def watch_again(person: Any) -> str:
    """Open the newest recording of a second or more from the list of the lobby, and pause it at its start. Returns its
    token. A body may fall at once."""
    for place in range(12):
        person.go()
        person.page.click("[role=radio]:has-text('Ended')")
        person.page.select_option("[data-test=list-mode]", "duel")
        person.page.locator("[data-test=sessions] [data-test=watch-again]").nth(place).click()
        person.until(DRAWN)
        if person.evaluate("window.__replay.end()") > 1:
            break
    person.until("window.__replay.place().frame > 0")  # it plays by itself
    person.page.keyboard.press("ArrowLeft")  # pauses
    person.page.keyboard.press("Home")
    assert not person.evaluate("window.__replay.playing()")
    found = re.search(r"/r/([0-9a-z]{8})", person.page.url)
    assert found
    return found[1]


def frame_of(person: Any) -> int:
    return int(person.evaluate("window.__replay.place().frame"))


def drag(person: Any, *shares: float) -> None:
    """Press on the timeline and move over these shares of it."""
    box = person.page.locator(".lane").bounding_box()
    y = box["y"] + 30
    person.page.mouse.move(box["x"] + shares[0] * box["width"], y)
    person.page.mouse.down()
    for share in shares[1:]:
        person.page.mouse.move(box["x"] + share * box["width"], y)
    person.page.mouse.up()


def test_a_recording_is_watched_by_pointer_and_by_key(person: Any) -> None:
    """From the list of ended sessions: play, step, speed, drag, follow a body, arrows, a line of the log, a link to the
    moment; at three widths, in both themes, nothing is wider than the page, and axe finds nothing serious."""
    mira = person("Mira", tier="C", color_scheme="dark")
    token = watch_again(mira)
    press = mira.page.keyboard.press
    press("End")
    last = frame_of(mira)
    assert last > 24  # it plays past frame 20 below
    press("Home")
    press("ArrowRight")
    press("Shift+ArrowRight")
    press("ArrowLeft")
    assert frame_of(mira) == 10
    press("+")
    assert mira.evaluate("window.__replay.speed()") == 2
    press("Space")
    mira.until("window.__replay.place().frame > 20")
    press("Space")
    assert mira.evaluate("window.__replay.playing()") is False
    drag(mira, 0.2, 0.5, 0.75)
    assert 0.6 * last < frame_of(mira) < 0.9 * last
    mira.page.locator("[data-test=log] button").first.click()
    assert frame_of(mira) < 0.2 * last
    press("v")
    press("c")
    assert mira.page.locator("[data-test=velocity][aria-pressed=true]").count() == 1
    assert mira.page.locator("[data-test=follow]").input_value() != ""
    press("0")
    assert mira.page.locator(".plot").count() == 4
    mira.page.click("[data-test=kinds]")
    mira.page.wait_for_selector("[data-test=energy-kinetic] .plot")
    assert mira.page.locator("[data-test=energy-friction]").count() == 1
    theme = itertools.cycle(("light", "dark"))
    for width, height in WIDTHS:
        mira.page.set_viewport_size({"width": width, "height": height})
        assert mira.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert serious(mira.page) == []
        mira.shoot(f"replay-{width}")
        mira.page.emulate_media(color_scheme=next(theme))
    middle = round(mira.evaluate("window.__replay.end()") / 2, 1)
    mira.tier = "D"
    mira.go(f"/r/{token}#t={middle}")
    mira.until(f"{DRAWN} && Math.abs(window.__replay.place().time - {middle}) < 1e-6")


COVERED = """(() => {
  const head = document.querySelector("[data-test=head]");
  const line = head.getBoundingClientRect(), drop = getComputedStyle(head, "::before");
  const top = line.top + parseFloat(drop.top), reach = (Math.SQRT2 * parseFloat(drop.width)) / 2;
  const tip = { left: line.left - 7, right: line.left + 9, top, bottom: top + parseFloat(drop.height) / 2 + reach };
  const cross = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const texts = document.createTreeWalker(document.querySelector("[data-test=tracks]"), NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const box = range.getBoundingClientRect();
    if (texts.currentNode.data.trim() && [line, tip].some((one) => cross(one, box))) found.push(texts.currentNode.data);
  }
  return found;
})()"""
"""The texts of the timeline that the playhead crosses: its line, or the lower half of its drop."""


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_nothing_covers_the_mat_or_the_timeline(person: Any, width: int, height: int) -> None:
    """At its first and last moment the playhead crosses no letter, not even that of a short last turn. On a phone,
    the buttons of the camera are below the stage, and act."""
    mira = person("Mira")
    watch_again(mira)
    mira.page.set_viewport_size({"width": width, "height": height})
    mira.evaluate("document.fonts.ready.then(() => true)")
    mira.evaluate("document.querySelector('.turns i:last-child').style.left = 'calc(100% - 8px)'")
    for key in ("Home", "End"):
        mira.page.keyboard.press(key)
        mira.await_frame()
        assert mira.evaluate(COVERED) == []
    over = mira.evaluate("document.querySelectorAll('[data-test=stage] :is(button, select)').length")
    assert (over == 0) is (width <= 760)
    mira.page.click("[data-test=velocity]")
    mira.page.wait_for_selector("[data-test=velocity][aria-pressed=true]")


def test_the_first_view_of_a_recording_is_kept(person: Any) -> None:
    """After "Make this the first view" another page that opens the recording begins with that camera."""
    mira, kei = person("Mira", tier="C"), person("Kei", tier="C")
    token = watch_again(mira)
    mira.page.wait_for_selector("[data-test=bookmark-name]")  # the room is open
    box = mira.page.locator("[data-test=stage]").bounding_box()
    plain = mira.evaluate("window.__replay.camera()")
    mira.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mira.page.mouse.wheel(0, -400)
    mira.until(f"Math.abs(window.__replay.camera().position[1] - {plain['position'][1]}) > 0.1")
    mira.page.click("[data-test=first-view]")
    mira.page.wait_for_selector("[data-test=views] >> text=First view")
    camera = mira.page.locator("[data-test=views] button").first
    camera.click()
    wanted = mira.evaluate("window.__replay.camera()")
    kei.go(f"/r/{token}")
    kei.until(f"{DRAWN} && window.__replay.camera() !== null")
    kei.until(
        f"window.__replay.camera().position.every((x, i) => Math.abs(x - {wanted['position']}[i]) < 0.02)"
    )


def test_the_loss_of_a_room_is_shown_until_it_is_back(person: Any) -> None:
    """A server that falls silent, and then a lost connection, have words; the bookmarks come back by themselves."""
    mira = person("Mira")
    answers = {"on": True}
    sockets: list[Any] = []

    def connect(socket: Any) -> None:
        if not answers["on"]:
            socket.close()
            return
        server = socket.connect_to_server()
        server.on_message(lambda data: socket.send(data) if answers["on"] else None)
        sockets.append(socket)

    mira.page.route_web_socket(re.compile(r"/replay/"), connect)
    watch_again(mira)
    mira.page.wait_for_selector("[data-test=bookmark-name]")
    assert mira.page.locator("[data-test=room-lost]").count() == 0
    answers["on"] = False
    mira.page.wait_for_selector("[data-test=room-lost] >> text=The server does not answer.")
    sockets[-1].close()
    mira.page.wait_for_selector("[data-test=room-lost] >> text=Connection lost.")
    assert serious(mira.page) == []
    mira.shoot("replay-lost")
    answers["on"] = True
    mira.page.wait_for_selector("[data-test=room-lost]", state="detached")
    mira.page.wait_for_selector("[data-test=bookmark-name]")


def test_an_upload_is_watched_like_any_recording(person: Any, tmp_path: Path) -> None:
    """A copy of some frames, sent by a script, has a page of its own with the frames and the room."""
    mira = person("Mira")
    token = watch_again(mira)
    with BlockingClient(mira.url) as ada:
        ada.login("Ada")
        ada.recording(token).derive(str(tmp_path / "copy.zarr"), slice(5, 25))
        upload = ada.upload_recording(str(tmp_path / "copy.zarr"), title="First turn").attributes["session"]
    assert upload != token
    mira.go(f"/r/{upload}")
    mira.until(DRAWN)
    mira.page.wait_for_selector("[data-test=bookmark-name]")  # the room is open
    mira.page.keyboard.press("End")
    assert frame_of(mira) == 19
    assert mira.page.locator("[data-test=fork]").count() == 0  # the server has no state of it to play on from
    mira.page.keyboard.press("f")
    mira.page.keyboard.press("Home")
    assert frame_of(mira) == 0 and f"/r/{upload}" in mira.page.url
    mira.go(f"/r/{token}")
    mira.page.wait_for_selector("[data-test=fork]")


def test_two_watch_together_and_play_on(person: Any) -> None:
    """One presents and scrubs, the other follows, breaks away, keeps a bookmark, and comes back; a line of chat
    reaches both. A new lobby begins with the moment and is played on: Ada launches in it. While it runs it is rewound,
    and left for live, by a player and by an observer who comes late."""
    ada, kei = person("Ada"), person("Kei")
    token = watch_again(ada)
    kei.go(f"/r/{token}")
    kei.until(DRAWN)
    ada.page.click("[data-test=present]")
    kei.page.wait_for_selector("[data-test=presenter] >> text=is presenting")
    drag(ada, 0.1, 0.2, 0.3)
    there = frame_of(ada)
    assert there > 5
    kei.until(f"window.__replay.place().frame === {there}")
    kei.page.click("[data-test=break-away]")
    ada.page.keyboard.press("ArrowRight")
    kei.page.fill("[data-test=bookmark-name]", "the blow")
    kei.page.keyboard.press("Enter")
    ada.page.wait_for_selector("[data-test=bookmarks] >> text=the blow")
    assert frame_of(kei) == there
    kei.page.click("[data-test=come-back]")
    kei.until(f"window.__replay.place().frame === {there + 1}")
    kei.page.fill("[aria-label='Message everyone here']", "one contact or two?")
    kei.page.keyboard.press("Enter")
    ada.page.wait_for_selector("[data-test=chat] >> text=one contact or two?")
    ada.shoot("replay-presenting")
    kei.shoot("replay-following")
    ada.page.click("[data-test=release]")
    kei.page.wait_for_selector("[data-test=present]")
    ada.page.locator("[data-test=bookmarks] button").first.click()
    tick = ada.evaluate("window.__replay.place().tick")
    assert ada.page.locator("[data-test=new-from]").is_enabled()  # a duel's moment is a scene, too
    ada.page.click("[data-test=fork]")
    ada.page.wait_for_selector("[data-test=ready]")
    assert token not in ada.page.url
    ada.ready(bots=True)
    fork = re.search(r"/s/([0-9a-z]{8})", ada.page.url)
    assert fork
    ada.until(f"window.__test && window.__test.state().tick >= {tick}")
    ada.page.wait_for_selector("[data-test=launch]:enabled", timeout=60_000)
    begun = ada.evaluate("window.__test.state().tick")
    assert begun >= tick
    me = ada.evaluate("window.__test.state().seats.find((one) => one.seat === window.__test.seat()).name")
    ada.page.click("[data-test=launch]")
    ada.until(
        f"window.__test.state().log.some((row) => row.tick > {begun}"
        f" && row.parts[0].text.startsWith('{me.partition('#')[0]} launched'))"
    )
    ada.until(f"window.__test.state().tick > {begun}")
    lena = person("Lena")
    lena.go(f"/#/s/{fork[1]}")
    lena.page.click("[data-test=door] button:has-text('Watch')")
    lena.page.wait_for_selector("[data-test=rewind]")
    for one in (ada, lena):
        one.page.click("[data-test=rewind]")
        one.until(DRAWN)
        one.page.keyboard.press("Home")
        one.until(f"Math.abs(window.__replay.place().tick - {tick}) <= 2")
        one.page.click("[data-test=live]")
        one.page.wait_for_selector("[data-test=stage]")
        one.until(f"window.__test.state().tick > {begun}")
        assert "/r/" not in one.page.url and fork[1] in one.page.url
    assert lena.evaluate("window.__test.seat()") is None
