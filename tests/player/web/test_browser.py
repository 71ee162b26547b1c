"""The web client in a real browser against real processes: pointer, keys, touch, observers, lost connections,
accessibility."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.support.person import Person, in_browser, serious
from tests.support.practice import practise

pytestmark = in_browser

CROSSED = """
window.__crossed = 0;
(function look() {
  const over = document.querySelector("[data-test=over]")?.getBoundingClientRect();
  for (const one of over ? document.querySelectorAll(".flying") : []) {
    const at = one.getBoundingClientRect();
    const beside = at.right <= over.left || at.left >= over.right || at.bottom <= over.top || at.top >= over.bottom;
    if (!beside) window.__crossed += 1;
  }
  window.__slowly ||= Boolean(document.querySelector(".stage.slowly"));
  if (over && window.__slowly && document.querySelector(".stage.slowly, .fragments")) window.__crossed += 1;
  requestAnimationFrame(look);
})();
"""
"""Counts the frames in which the number of a blow is over the result, or the last blow is shown again beside it."""

LAUNCHED = "window.__test.state().log.some((row) => row.parts[0].text.startsWith('Mira launched'))"


def test_a_person_plays_a_bot_to_the_end(person: Any) -> None:
    """Find a seat, choose a body, get ready, play by pulling and by keys, and read who won; watch it again from the
    result, and from the list of one's own matches."""
    mira = person("Mira", tier="C")
    mira.go()
    mira.page.wait_for_selector("[data-session]")
    mira.page.wait_for_timeout(1500)
    mira.shoot("lobby")
    mira.find_seat()
    mira.page.locator("[data-test=bodies] label", has_text="Cobble").click()
    mira.page.wait_for_selector("text=Ready as Cobble")
    mira.page.wait_for_timeout(2500)
    mira.shoot("waiting")
    mira.ready(bots=True)
    mira.evaluate(CROSSED)
    mira.play()
    mira.shoot("over")
    mira.page.wait_for_timeout(1500)  # the last numbers fly for 0.65 s after their blow is seen
    assert mira.evaluate("window.__crossed") == 0
    rows = mira.page.locator("[data-test=log] li").all_inner_texts()
    assert any("Mira launched Cobble" in row for row in rows)
    assert any("N·s" in row for row in rows)
    assert re.match(r"\d+ ms", mira.page.inner_text("[data-test=rtt]"))
    winner = mira.evaluate("window.__test.state().result.winner")
    assert mira.page.locator("[data-test=quick]").count() == 0
    assert "in the rematch" in mira.page.inner_text("[data-test=chat-closed]")  # where one can talk now
    mira.page.click("[data-test=over] [data-test=watch-again]")
    mira.until("Boolean(window.__replay && window.__replay.drawn())")
    token = mira.page.url.partition("/r/")[2][:8]
    mira.go()
    mira.page.click("[role=radio]:has-text('Ended')")
    mira.page.click("[data-test=list-mine]")
    mira.until("document.querySelectorAll('[data-test=sessions] [data-session]').length === 1")
    row = mira.page.locator(f"[data-test=sessions] [data-session='{token}']")
    assert "Mira" in row.inner_text() and ("Ended" if winner is None else " won") in row.inner_text()
    row.locator("[data-test=watch-again]").click()
    mira.until("Boolean(window.__replay && window.__replay.drawn())")
    assert token in mira.page.url


def test_two_people_play_each_other(person: Any) -> None:
    """One opens a lobby by code, the other follows the link; they talk, get ready, play; both see the same end."""
    ada, kei, lena = person("Ada"), person("Kei"), person("Lena")
    ada.go()
    ada.page.fill("#name", "Ada")
    ada.page.check("text=New lobbies by code only")
    ada.page.click("[data-test=open]")
    token = "".join(ada.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=ready]")
    kei.page.fill("[aria-label='Message everyone']", "I took the jack. Sorry in advance.")
    kei.page.keyboard.press("Enter")
    ada.page.wait_for_selector("[data-test=chat] >> text=Sorry in advance")
    ada.page.click("[data-test=ready]")
    lena.go(f"/#/s/{token}")
    lena.page.click("[data-test=door] button:has-text('Watch')")
    kei.ready()
    for one in (ada, lena):
        one.page.wait_for_selector("[data-test=stage]")
    ada.play(280, kei)
    kei.page.wait_for_selector("[data-test=over]")
    lena.page.wait_for_selector("[data-test=over]")
    ends = [one.evaluate("JSON.stringify(window.__test.state().result.places)") for one in (ada, kei, lena)]
    assert ends[0] == ends[1] == ends[2]
    assert lena.page.locator("[data-test=launch]").count() == 0
    assert "Sorry in advance" in ada.page.inner_text("[data-test=chat]")


def test_a_lost_connection_comes_back_to_the_seat(person: Any) -> None:
    """The connection is cut twice in a duel: both banners show, the seat is kept, every event is handled once."""
    mira = person("Mira")
    mira.find_seat()
    mira.ready(bots=True)
    mira.until("window.__test && window.__test.state().phase === 'acting'")
    mira.remember_banners()
    for count in (1, 2):
        mira.evaluate("window.__test.drop()")
        mira.until(f"window.__banners.filter((name) => name === 'lost').length >= {count}")
        mira.until(f"window.__banners.filter((name) => name === 'back').length >= {count}")
    mira.shoot("back")
    mira.play()
    versions = mira.evaluate("window.__test.state().log.map((row) => row.v)")
    assert versions == sorted(set(versions))
    mira.until("window.__test.state().status === 'ended'")


def test_a_reload_keeps_the_seat(person: Any) -> None:
    """After a reload in a waiting lobby the page has the same seat and the same chat."""
    mira = person("Mira")
    mira.go()
    mira.page.fill("#name", "Mira")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=ready]")
    mira.page.fill("[aria-label='Message everyone']", "still here")
    mira.page.keyboard.press("Enter")
    mira.page.wait_for_selector("[data-test=chat] >> text=still here")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=ready]")
    mira.page.wait_for_selector("[data-test=chat] >> text=still here")
    assert "Mira, you" in mira.page.inner_text("[data-test=seats]")
    mira.leave()
    mira.page.wait_for_selector("[data-test=find]")


def test_keyboard_only(person: Any) -> None:
    """From the first Tab to the first launch without a pointer, without WebGL, with reduced motion."""
    mira = person("Mira", reduced_motion="reduce", color_scheme="light")
    mira.go()
    press = mira.page.keyboard.press
    mira.page.wait_for_selector("[data-test=find]")
    mira.reach("at.id === 'name'")
    mira.page.keyboard.type("Mira")
    mira.reach("at.dataset.test === 'find'")
    press("Enter")
    mira.page.wait_for_selector("[data-test=bodies] input")
    mira.reach("at.name === 'body'")
    press("ArrowRight")
    mira.reach("at.dataset.test === 'ready'")
    press("Space")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    before = mira.page.inner_text("[data-test=bearing]")
    mira.reach("at.dataset.test === 'stage'")
    press("ArrowRight")
    press("ArrowUp")
    mira.page.wait_for_timeout(300)
    assert mira.page.inner_text("[data-test=bearing]") != before
    assert mira.evaluate("window.__test.tier()") == "D"
    mira.shoot("keyboard")
    press("Enter")
    mira.until(LAUNCHED)
    mira.leave()


def test_a_phone(person: Any) -> None:
    """390 x 700 px and a finger: nothing overflows sideways, the dock finds a seat; clock, mat and Launch are in sight
    together, and Launch can be tapped."""
    mira = person(
        "Mira", viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True, color_scheme="light"
    )
    mira.find_seat()
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert mira.evaluate(overflow) <= 0
    mira.shoot("phone-waiting")
    mira.ready(bots=True)
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    assert mira.evaluate(overflow) <= 0
    mira.page.wait_for_timeout(500)
    mira.shoot("phone-duel")
    for least in (185, 240):  # with the first hint, and without it
        clock, mat, aim, launch = (
            mira.page.locator(part).bounding_box()
            for part in (".clock", ".stage", "[data-test=aim]", "[data-test=launch]")
        )
        assert 0 <= clock["y"] < clock["y"] + clock["height"] <= mat["y"]
        assert mat["height"] >= least and mat["y"] + mat["height"] <= aim["y"]
        assert launch["y"] + launch["height"] <= 700
        if mira.page.locator("[data-test=hint]").count():
            mira.page.click("[data-test=hint-skip]")
            mira.page.wait_for_timeout(500)
    mira.page.tap("[data-test=launch]")
    mira.until(LAUNCHED)
    mira.leave()
    mira.page.wait_for_selector(".dock")
    assert mira.evaluate(overflow) <= 0
    mira.shoot("phone-lobby")


@pytest.mark.usefixtures("duels")
@pytest.mark.parametrize(
    ("scheme", "width", "height"),
    [("light", 1440, 900), ("dark", 1440, 900), ("dark", 768, 1024), ("light", 390, 844)],
)
def test_every_screen_is_accessible_and_fits(person: Any, scheme: str, width: int, height: int) -> None:
    """Lobby, door, waiting lobby and duel, on three widths: axe finds nothing serious, nothing overflows
    sideways; each is kept as a picture."""
    mira = person(
        "Mira",
        tier="C" if width == 1440 else "D",
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        has_touch=width < 500,
    )

    def look(screen: str) -> None:
        mira.page.wait_for_timeout(600)
        mira.shoot(f"{screen}-{scheme}-{width}")
        assert serious(mira.page) == []
        assert (
            mira.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        )

    mira.go()
    mira.page.wait_for_selector("[data-session]")
    look("lobby")
    token = mira.page.locator("[data-session]").first.get_attribute("data-session")
    mira.go(f"/#/s/{token}")
    mira.page.reload()
    mira.page.wait_for_selector("[data-test=door]")
    look("door")
    mira.find_seat()
    look("waiting")
    mira.ready(bots=True)
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    look("duel")
    mira.page.keyboard.press("Enter")
    mira.until(LAUNCHED)
    mira.leave()


def test_one_drags_a_body_and_another_sees_it_move(person: Any) -> None:
    """In a sandbox: a body follows the hand, the other page sees who holds it and the same motion."""
    mira, kei = person("Mira", tier="C"), person("Kei")
    mira.go()
    mira.page.fill("#name", "Mira")
    mira.page.click("text=Sandbox")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    token = "".join(mira.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=ready]")
    mira.page.click("[data-test=ready]")
    kei.page.click("[data-test=ready]")
    for one in (mira, kei):
        one.page.wait_for_selector("[data-test=palette]")
        one.until("Boolean(window.__test) && window.__test.places().length > 0")
    place = mira.resting()[0]
    box = mira.page.locator("[data-test=stage]").bounding_box()
    x, y = box["x"] + place["px"], box["y"] + place["py"]
    mouse = mira.page.mouse
    mouse.move(x, y)
    mouse.down()
    mira.until("window.__test.state().box.leases.length > 0")
    for step in range(1, 11):
        mouse.move(x - 8 * step, y - 12 * step)
        mira.page.wait_for_timeout(80)
    kei.until("window.__test.state().box.leases.length > 0")
    where = f"window.__test.places().find((one) => one.id === '{place['id']}')"
    for one in (mira, kei):
        one.until(f"Math.hypot({where}.x - {place['x']}, {where}.y - {place['y']}) > 0.15")
    mira.shoot("sandbox")
    kei.shoot("sandbox-other")
    mouse.up()
    mira.until("window.__test.state().box.leases.length === 0")
    mira.page.click("[data-test=freeze]")
    kei.until("window.__test.state().box.frozen")
    kei.leave()
    mira.leave()


def open_spring(ada: Person) -> None:
    """Open a session of the spring-damper by the first page, and begin it."""
    ada.go()
    ada.page.fill("#name", "Ada")
    ada.page.click("text=Spring")
    ada.page.check("text=New lobbies by code only")
    ada.page.click("[data-test=open]")
    ada.page.click("[data-test=ready]")
    ada.page.wait_for_selector("[data-test=plot]")


def test_a_run_that_the_store_has_forgotten_is_not_asked_for_again(person: Any) -> None:
    """The page follows a run over the streams until it is done, or until the server says that there is none."""
    ada = person("Ada")
    asked: list[str] = []

    def forget(route: Any) -> None:
        asked.append(route.request.url)
        problem = {"code": "no_such_run", "detail": "there is no such run", "status": 404}
        route.fulfill(status=404, content_type="application/problem+json", body=json.dumps(problem))

    ada.page.route("**/api/springs/*", forget)
    open_spring(ada)
    with ada.page.expect_response("**/api/springs/*"):
        ada.page.click("[data-test=trigger]")
    ada.page.wait_for_timeout(1500)  # six more looks
    assert len(asked) == 1
    ada.page.unroute("**/api/springs/*")
    ada.wrong.clear()  # the browser itself notes every answer that is an error


def test_the_button_starts_a_run_of_the_spring_damper(person: Any) -> None:
    """The button starts a run in the session and one of the two solver processes over streams; both are plotted on top
    of the closed form."""
    ada = person("Ada")
    open_spring(ada)
    ada.page.click("[data-test=trigger]")
    ada.until(
        "Boolean(window.__test) && window.__test.state().spring.run >= 2 && window.__test.state().spring.n >= 20"
    )
    assert ada.evaluate("window.__test.state().spring.error") < 1e-9
    ada.page.wait_for_selector("[data-test=streams]:has-text('step 1000 of 1000')")
    assert float(ada.page.inner_text("[data-test=streams-error]").removesuffix(" m")) < 1e-9
    for path, least in (("steps", 20), ("closed", 1000), ("streamed", 1000)):
        drawn = ada.page.get_attribute(f"[data-test={path}]", "d")
        assert drawn.startswith("M0.0 ") and drawn.count("L") >= least
    token = ada.page.url.partition("/s/")[2][:8]
    assert f"positions' '*' name {token} in '{{" in ada.page.inner_text("[data-test=by-hand]")
    assert ada.page.get_attribute("[data-test=sound]", "aria-label") == "Sound: off"
    ada.page.locator("[data-test=trigger]").press("m")
    ada.until("document.querySelector('[data-test=sound]').ariaLabel === 'Sound: 60 %'")
    ada.page.click("[data-test=sound]")
    ada.page.fill("[data-test=volume]", "0.25")
    ada.until("localStorage.getItem('tussle.volume') === '0.25'")
    ada.shoot("spring-damper")
    assert serious(ada.page) == []
    ada.page.click("[data-test=sound]")
    ada.page.fill("[data-test=rig-h]", "0.05")
    ada.page.fill("[data-test=rig-m]", "0.0001")  # with k = 1 and this step it does not oscillate
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_selector("[data-test=rig-stuck]")
    assert ada.page.is_disabled("[data-test=new-rig]")
    ada.page.fill("[data-test=rig-m]", "2")
    ada.page.keyboard.press("Enter")
    ada.page.click("[data-test=new-rig]")
    ada.until(f"/\\/s\\/(?!{token})/.test(location.hash) && window.__test.state().session !== '{token}'")
    ada.until("window.__test.state().spring.n >= 5")
    assert ada.evaluate("window.__test.state().spring.scheme") == {
        "m": 2, "k": 1, "zeta": 0.01, "h": 0.05, "cycles": 1000,
    }  # fmt: skip
    ada.leave()


def test_a_curling_is_played_down_the_sheet(person: Any) -> None:
    """Two people slide stones: by keys within the fan of bearings, by a pull; the board counts ends and points."""
    mira, kei = (
        person("Mira", tier="C"),
        person("Kei", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True),
    )
    mira.go()
    mira.page.fill("#name", "Mira")
    mira.page.click("[role=radio]:has-text('Curling')")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    token = "".join(mira.page.inner_text("[data-test=code]").split()).lower()
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", "Kei")
    kei.page.click("[data-test=join]")
    kei.page.click("[data-test=ready]")
    mira.page.click("[data-test=ready]")
    mira.page.wait_for_selector("[data-test=launch]:enabled")
    mira.until("window.__test.places().length === 1")
    for _ in range(30):
        mira.page.keyboard.press("ArrowLeft")
    assert mira.page.inner_text("[data-test=bearing]") == "−10.0°"
    mira.page.keyboard.press("PageUp")
    mira.page.keyboard.press("Enter")
    mira.until("window.__test.state().log.some((row) => row.parts[0].text.startsWith('Mira slid a stone'))")
    mira.shoot("curling-slid")
    kei.page.wait_for_selector("[data-test=launch]:enabled")
    kei.until("window.__test.places().some((one) => one.seat === 1)")
    stone = kei.evaluate("window.__test.places().find((one) => one.seat === 1)")
    box = kei.page.locator("[data-test=stage]").bounding_box()
    kei.page.mouse.move(box["x"] + stone["px"], box["y"] + stone["py"])
    kei.page.mouse.down()
    kei.page.mouse.move(box["x"] + stone["px"], box["y"] + stone["py"] + 20, steps=2)
    kei.page.mouse.move(box["x"] + stone["px"] + 3, box["y"] + stone["py"] + 40, steps=2)
    kei.page.mouse.up()
    kei.until("window.__test.state().log.some((row) => row.parts[0].text.startsWith('Kei slid a stone'))")
    end = time.monotonic() + 150
    while mira.evaluate("window.__test.state().curling.scored.length") < 1:
        assert time.monotonic() < end, "the first end was not scored"
        for one in (mira, kei):
            if one.can_act:
                one.page.keyboard.press("ArrowUp")
                one.page.keyboard.press("Enter")
        mira.page.wait_for_timeout(150)
    mira.shoot("curling")
    kei.shoot("curling-phone")
    board = "(({curling, seats}) => JSON.stringify([curling.scored, seats.map((seat) => seat.score)]))"
    boards = [one.evaluate(f"{board}(window.__test.state())") for one in (mira, kei)]
    assert boards[0] == boards[1]
    assert serious(mira.page) == []
    assert serious(kei.page) == []
    mira.leave()
    kei.page.wait_for_selector("[data-test=over]:has-text('You win')")


def test_a_long_sheet_is_upright_on_a_tall_screen(person: Any) -> None:
    """On a tablet held upright the house is at the top, and a pull downwards slides the stone up to it."""
    mira = person("Mira", viewport={"width": 820, "height": 1180})
    practise(mira, mode="curling", turn_s=60)
    near, far = mira.evaluate("[window.__test.screen(-3, 0, 0), window.__test.screen(3, 0, 0)]")
    assert abs(near["x"] - far["x"]) < 1
    assert near["y"] - far["y"] > 300
    mira.until("window.__test.places().length === 1")
    stone = mira.evaluate("window.__test.places()[0]")
    box = mira.page.locator("[data-test=stage]").bounding_box()
    x, y = box["x"] + stone["px"], box["y"] + stone["py"]
    mira.page.mouse.move(x, y)
    mira.page.mouse.down()
    mira.page.mouse.move(x, y + 20, steps=2)
    mira.page.mouse.move(x + 2, y + 60, steps=2)
    mira.page.mouse.up()
    mira.until(f"window.__test.places().find((one) => one.id === '{stone['id']}').py < {stone['py']} - 100")
    mira.shoot("curling-upright")
