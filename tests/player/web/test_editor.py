"""The editor of a sandbox's scene in the browser: two build it together, run it, present it, and build on."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np

from tests.player.web.test_lobby import PHONE, open_lobby
from tests.support.mesh_files import as_stl
from tests.support.person import in_browser, serious

pytestmark = in_browser

READY = "Boolean(window.__edit) && window.__edit.scene().loaded && window.__edit.shapes()"
SAVED = "window.__edit.scene().busy === 0"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def body(name: str) -> str:
    """The expression for a body as the page shows it; undefined if it is not there."""
    return f"window.__edit.bodies().find((one) => one.id === '{name}')"


def choose(person: Any, name: str) -> None:
    person.page.click(f"[data-body={name}]")


def type_number(person: Any, field: str, text: str) -> None:
    person.page.fill(f"[data-test={field}]", text)
    person.page.keyboard.press("Enter")
    person.until(SAVED)


def checked(person: Any, expression: str) -> None:
    """Wait for a check of the present scene of which the expression is true."""
    person.until(
        "window.__edit.checked() && window.__edit.checked().version === window.__edit.scene().version"
        f" && ((check) => {expression})(window.__edit.checked())"
    )


def drag_gizmo(person: Any, name: str, *, across: bool = False) -> None:
    """Drag the part of the gizmo that lies along x from the body, to the right, or at a right angle to that."""
    stage = person.page.locator("[data-test=stage]")
    box = stage.bounding_box()
    x, y, z = person.evaluate(f"{body(name)}.position")
    at = person.evaluate(f"window.__edit.screen({x}, {y}, {z})")
    end = person.evaluate(f"window.__edit.screen({x + 0.2}, {y}, {z})")
    right, down = end["x"] - at["x"], end["y"] - at["y"]
    length = (right**2 + down**2) ** 0.5
    along = [right / length, down / length]
    mouse = person.page.mouse
    for reach in range(24, 90, 3):
        px, py = box["x"] + at["x"] + reach * along[0], box["y"] + at["y"] + reach * along[1]
        mouse.move(px, py)
        if stage.evaluate("(stage) => stage.style.cursor") == "move":
            break
    assert stage.evaluate("(stage) => stage.style.cursor") == "move", "no part of the gizmo"
    way = [-along[1], along[0]] if across else along
    mouse.down()
    mouse.move(px + 40 * way[0], py + 40 * way[1], steps=4)
    mouse.up()
    person.until(SAVED)


def drop_file(person: Any, name: str, data: bytes) -> None:
    """Drop a file onto the view."""
    person.evaluate(f"""
        (() => {{
            const bytes = Uint8Array.from(atob("{base64.b64encode(data).decode()}"), (one) => one.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "{name}"));
            const drop = new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }});
            document.querySelector("[data-test=stage]").dispatchEvent(drop);
            if (!drop.defaultPrevented) throw new Error("the browser would open the file");
        }})()
    """)


POINTED_AT = """
(([x, y, z]) => {
  const at = window.__edit.screen(x, y, z);
  return [...document.querySelectorAll("[data-test=stage] path.arrow.contact[visibility=visible]")].some((path) => {
    const [, px, py] = /L([-\\d.]+) ([-\\d.]+)/.exec(path.getAttribute("d")) ?? [0, NaN, NaN];
    return Math.hypot(px - at.x, py - at.y) < 1;
  });
})
"""
"""Whether an arrow in the view ends at a place of the scene."""

COLOURED = """
window.__edit.bodies().filter(({ position: [x, y, z] }) => {
  const canvas = document.querySelector("[data-test=stage] canvas.flat");
  const at = window.__edit.screen(x, y, z), ratio = canvas.width / canvas.clientWidth;
  const { data } = canvas.getContext("2d").getImageData(at.x * ratio - 4, at.y * ratio - 4, 9, 9);
  for (let i = 0; i < data.length; i += 4) {
    if (Math.abs(data[i] - 0xff) + Math.abs(data[i + 1] - 0x81) + Math.abs(data[i + 2] - 0x68) < 12) return true;
  }
  return false;
}).length
"""
"""How many bodies have the colour of an overlap, in the middle of their picture."""

HELD_BACK = """
const send = WebSocket.prototype.send;
window.__kept = null;
WebSocket.prototype.send = function (data) {
  if (window.__kept && String(data).includes('"lock"')) window.__kept.push([this, data]);
  else send.call(this, data);
};
window.__flush = () => {
  const kept = window.__kept;
  window.__kept = null;
  for (const [socket, data] of kept) send.call(socket, data);
};
"""
"""Makes a slow line: while ``__kept`` is a list, requests for locks wait until ``__flush``."""


def test_two_build_a_scene_run_it_present_it_and_build_on(person: Any) -> None:
    """One adds bodies, names a material, drags the gizmo, drops a file, makes an array; the other sees it, cannot
    change what is held, and builds on from a phone by keys. Of two changes of one version the second is a conflict that
    shows the first. Undo is refused where another was first. Overlaps are named and keep the scene from running; undo
    takes them back. A file of the scene is saved and opened. It runs with the bodies that were built, and ends; its
    recording is presented by one to the other and back; a moment of it is played on as a fork, and the next scene,
    which begins with the fork's, is built on."""
    mira = person("Mira", tier="C", color_scheme="dark")
    kei = person("Kei", **PHONE, color_scheme="light")
    mira.page.add_init_script(HELD_BACK)
    mira.go()
    mira.page.fill("#name", mira.name)
    mira.page.click("[role=radio]:has-text('Sandbox')")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=inspector]")
    token = mira.page.url.split("/s/")[1]
    mira.until(READY)
    kei.go(f"/#/s/{token}")
    kei.page.fill("[data-test=door] input", kei.name)
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=inspector]")
    kei.until(READY)
    first = kei.evaluate("window.__edit.bodies().length")

    # Add, and move it with the gizmo; the other page sees it. The rest needs no third dimension, which takes long to
    # draw without a graphics card.
    mira.page.click("[data-test=add-box]")
    mira.until(f"{body('box')} && {SAVED}")
    start = mira.evaluate(f"{body('box')}.position[0]")
    drag_gizmo(mira, "box")
    kei.until(f"{body('box')} && {body('box')}.position[0] > {start + 0.02}")
    mira.page.keyboard.press("2")
    drag_gizmo(mira, "box", across=True)
    kei.until(f"Math.abs({body('box')}.rotation[0]) < 0.999")
    mira.page.keyboard.press("3")
    size = mira.evaluate(f"{body('box')}.shape.params.size")
    drag_gizmo(mira, "box")
    kei.until(f"{body('box')}.shape.params.size.some((edge, i) => edge > {size}[i] + 0.02)")
    for _ in range(2):
        mira.page.keyboard.press("Control+z")
    kei.until(f"{body('box')}.rotation[0] === 1")
    mira.tier = "D"
    mira.go(f"/#/s/{token}")
    mira.page.wait_for_selector("[data-test=inspector]")
    mira.until(READY)

    # Say what it is made of.
    choose(mira, "box")
    mira.page.click("[data-test=material-steel]")
    kei.until(f"{body('box')} && {body('box')}.material.density === 7800")
    checked(mira, "check.ok")

    # What Mira holds is hers: Kei's page says so.
    choose(kei, "box")
    kei.page.wait_for_selector("[data-test=held]:has-text('Mira holds')")
    kei.page.wait_for_selector("[data-test=stage] .pin:has-text('Mira')")
    assert kei.page.is_disabled("[data-test=position-x]")
    choose(mira, "floor")
    kei.page.wait_for_selector("[data-test=held]", state="detached")
    kei.page.wait_for_selector("[data-test=stage] .pin:has-text('Mira') >> visible=true", state="detached")
    mira.page.keyboard.press("Escape")
    type_number(mira, "gravity-y", "-1.62")
    kei.until("window.__edit.world().gravity[1] === -1.62")
    mira.page.keyboard.press("Control+z")
    kei.until("window.__edit.world().gravity[1] < -9")
    before = kei.evaluate(f"{body('box')}.position")
    kei.page.locator("[data-test=stage]").focus()
    kei.page.keyboard.press("ArrowRight")
    kei.until(f"{SAVED} && {body('box')}.position[0] > {before[0] + 0.04}")
    mira.until(f"{body('box')}.position[0] > {before[0] + 0.04}")

    # While Kei holds the box Mira cannot undo; later her change of it is older than Kei's: nothing is undone.
    mira.page.click("[data-test=undo]")
    mira.page.wait_for_selector("text=Somebody else holds a body of that change")
    kei.page.keyboard.press("Escape")
    mira.until("window.__edit.scene().locks.every((one) => one[0] !== 'box' || one[1] === null)")
    version = mira.evaluate("window.__edit.scene().version")
    mira.page.click("[data-test=undo]")
    mira.page.wait_for_selector(
        "[data-test=conflict]:has-text('Kei changed box since. Undo would take that away too')"
    )
    mira.page.click("[data-test=keep]")
    assert mira.evaluate("window.__edit.scene().version") == version
    # Kei undoes and does it again, by keys.
    kei.page.keyboard.press("Control+z")
    mira.until(f"Math.abs({body('box')}.position[0] - {before[0]}) < 1e-6")
    kei.page.keyboard.press("Control+Shift+Z")
    mira.until(f"{body('box')}.position[0] > {before[0] + 0.04}")

    # Two change the same version: the second one sees the first one's change, and may repeat the own one.
    kei.page.keyboard.press("Escape")
    mira.until("window.__edit.scene().locks.every((one) => one[0] !== 'box' || one[1] === null)")
    choose(mira, "box")
    mira.evaluate("window.__kept = []")
    mira.page.fill("[data-test=material-damping]", "0.75")
    mira.page.keyboard.press("Enter")
    mira.until("window.__kept.length > 0")
    choose(kei, "box")
    type_number(kei, "material-friction", "0.125")
    kei.page.keyboard.press("Escape")
    version = kei.evaluate("window.__edit.scene().version")
    mira.until(f"window.__edit.scene().version >= {version}")
    mira.until("window.__edit.scene().locks.every((one) => one[0] !== 'box' || one[1] === null)")
    mira.evaluate("window.__flush()")
    mira.page.wait_for_selector("[data-test=conflict]:has-text('changed box first')")
    assert mira.evaluate("window.__edit.scene().conflicts[0].code") == "stale_version"
    mira.shoot("editor-conflict")
    mira.page.click("[data-test=again]")
    kei.until(f"{body('box')}.material.damping === 0.75")
    mira.page.keyboard.press("Escape")

    # A file that is dropped becomes a body; so does a mesh of the catalogue. A file that cannot is refused, and the
    # view shows where.
    points = np.array([[0.2, 0, 0], [-0.2, 0, 0], [0, 0.2, 0], [0, -0.2, 0], [0, 0, 0.2], [0, 0, -0.2]])
    sides = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    mira.page.click("[role=radio]:has-text('Mesh')")
    file = {"name": "open.stl", "mimeType": "model/stl", "buffer": as_stl(points, np.array(sides[1:]))}
    mira.page.set_input_files("[aria-label='Mesh file']", file)
    refused = mira.page.locator("[data-test=uploads] li:has-text('open.stl')")
    refused.locator("[role=alert]:has-text('open')").wait_for()
    where = refused.locator("button:has-text('Show where')")
    place = [float(number) for number in re.findall(r"-?[\d.]+", where.inner_text())]
    assert min(np.linalg.norm(points - np.array(place), axis=1)) < 0.3
    assert not mira.evaluate(f"{POINTED_AT}({place})")
    where.click()
    mira.until(f"{POINTED_AT}({place})")
    where.click()
    mira.until(f"!{POINTED_AT}({place})")
    refused.locator("button[aria-label='Close open.stl']").click()
    drop_file(mira, "gem.stl", as_stl(points, np.array(sides)))
    kei.until(f"{body('gem')} && {body('gem')}.shape.kind === 'mesh'")
    mira.page.click("[data-test=add-heart]")
    kei.until(f"{body('heart')} && {body('heart')}.kind === 'elastic'")
    checked(mira, "check.ok")
    mira.page.fill("[data-test=name]", "valentine")
    mira.page.keyboard.press("Enter")
    kei.until(f"{body('valentine')} && !{body('heart')}")

    # A click on a vertex pins it.
    mira.page.click("summary:has-text('Pins')")
    mira.page.click("[data-test=pick-pins]")
    box = mira.page.locator("[data-test=stage]").bounding_box()
    x, y, z = mira.evaluate(f"{body('valentine')}.position")
    at = mira.evaluate(f"window.__edit.screen({x}, {y}, {z})")
    mira.page.mouse.click(box["x"] + at["x"], box["y"] + at["y"])
    kei.until(f"{body('valentine')}.pins.length === 1 && {body('valentine')}.pins[0].vertices.length === 1")
    first += 2

    # Copies of an array are apart; a copy that is typed into another body is named, and undone.
    choose(mira, "box")
    mira.page.click("[data-test=array]")
    mira.page.fill("[data-test=array-count]", "3")
    mira.page.keyboard.press("Tab")
    mira.page.click("[data-test=array-make]")
    kei.until(f"{body('box-3')} && window.__edit.bodies().length === {first + 3}")
    checked(mira, "check.ok && check.smallest_gap > 0.01")
    there = mira.evaluate(f"{body('box-2')}.position")
    choose(mira, "box-3")
    type_number(mira, "position-x", str(there[0] + 0.1))
    checked(mira, "!check.ok && check.overlaps.length === 1")
    mira.page.wait_for_selector("[data-test=check] >> text=overlap")
    for one in (mira, kei):
        one.until(f"{COLOURED} === 2")
    assert mira.page.is_disabled("[data-test=ready]")
    mira.shoot("editor-overlap")
    mira.page.keyboard.press("Control+z")
    checked(mira, "check.ok")
    mira.until(f"{COLOURED} === 0")

    # On a screen and on a phone, dark and light, axe finds nothing serious; nothing is wider than the page.
    for one in (mira, kei):
        assert serious(one.page) == []
        one.shoot(f"editor-{one.name.lower()}")
    for width in (820, 390, 1280):
        mira.page.set_viewport_size({"width": width, "height": 800})
        assert mira.evaluate(WIDE) <= 0
    assert kei.evaluate(WIDE) <= 0

    # A file of the scene comes back as one step.
    mira.page.click("[data-test=save]")
    mira.page.fill("[data-test=save-name]", "Two of us")
    mira.page.click("[data-test=save-template]")
    mira.page.wait_for_selector("text=Two of us is a template")
    mira.page.click("[data-test=save]")
    with mira.page.expect_download() as saving:
        mira.page.click("[data-test=save-file]")
    scene = saving.value.path().read_bytes()
    choose(mira, "box-3")
    mira.page.click("[data-test=remove]")
    kei.until(f"!{body('box-3')}")
    mira.page.set_input_files(
        "[data-test=open-file]", {"name": "scene.json", "mimeType": "application/json", "buffer": scene}
    )
    kei.until(f"Boolean({body('box-3')})")

    for one in (mira, kei):
        one.page.click("[data-test=ready]")
    for one in (mira, kei):
        one.page.wait_for_selector("[data-test=palette]")
        one.until("Boolean(window.__test) && window.__test.places().length > 0")
    ids = mira.evaluate("window.__test.state().box.bodies.map((one) => one.id)")
    assert {"box", "box-2", "box-3"} <= set(ids)
    mira.until("window.__test.tick() > 5")
    mira.shoot("editor-run")

    # It ends when both leave. Each presents its recording to the other.
    for one in (mira, kei):
        one.page.click("[data-test=leave]")
    for one in (mira, kei):
        one.go(f"/r/{token}")
        one.until("Boolean(window.__replay && window.__replay.drawn())")
    for here, there in ((mira, kei), (kei, mira)):
        here.page.click("[data-test=present]")
        there.page.wait_for_selector("[data-test=presenter] >> text=is presenting")
        here.page.keyboard.press("Home")
        here.page.keyboard.press("ArrowRight")
        frame = here.evaluate("window.__replay.place().frame")
        there.until(f"window.__replay.place().frame === {frame}")
        here.page.click("[data-test=release]")
        there.page.wait_for_selector("[data-test=present]")

    # The present moment of the recording is a scene to build on, with the bodies where they are.
    kei.page.click("[data-test=new-from]")
    kei.page.wait_for_selector("[data-test=inspector]")
    kei.until(f"{READY} && {body('box-3')} && {body('valentine')}")
    assert kei.page.url.split("/s/")[1] != token
    kei.page.click("[data-test=leave]")

    # They play on from that moment, and build on from there.
    mira.page.click("[data-test=fork]")
    mira.page.wait_for_selector("[data-test=ready]")
    fork = re.search(r"/s/([0-9a-z]{8})", mira.page.url)
    assert fork and fork[1] != token
    kei.go(f"/#/s/{fork[1]}")
    kei.page.click("[data-test=join]")
    for one in (mira, kei):
        one.page.click("[data-test=ready]")
    for one in (mira, kei):
        one.until("Boolean(window.__test) && window.__test.state().box.bodies.some(({ id }) => id === 'gem')")
    mira.page.click("[data-test=new-from]")
    mira.page.wait_for_selector("[data-test=inspector]")
    mira.until(f"{READY} && {body('box-3')} && {body('valentine')}")
    next_one = mira.page.url.split("/s/")[1]
    assert next_one not in (token, fork[1])
    mira.page.click("[data-test=add-star]")
    mira.until(f"{body('star')} && {SAVED}")

    # The list of sessions has it for everybody, as a scene to begin with.
    kei.page.click("[data-test=leave]")
    kei.page.click(f"[data-session='{next_one}'] [data-test=new-from]")
    kei.page.wait_for_selector("[data-test=inspector]")
    kei.until(f"{READY} && {body('star')} && {body('valentine')}")
    assert kei.page.url.split("/s/")[1] not in (token, fork[1], next_one)

    # The editor begins another one: with this scene, and with a template of the catalogue or one's own.
    def begin(template: str, there: str) -> None:
        here = mira.page.url
        mira.page.click("[data-test=new]")
        mira.page.select_option("[data-test=new-template]", label=template)
        mira.page.click("[data-test=new-from]")
        mira.until(f"location.href !== '{here}' && {READY} && {there}")

    begin("This scene", body("star"))
    begin("Dominoes", f"!{body('star')} && window.__edit.bodies().length > 5")
    begin("Two of us", f"{body('valentine')} && !{body('star')}")
    mira.page.click("[data-test=leave]")

    # The own template is listed in the lobby, too, beside those of the catalogue.
    mira.page.select_option("[data-test=template]", label="Begin with: Two of us")
    mira.page.wait_for_selector("[data-test=new-from]:has-text('New from this')")
    kei.page.click("[data-test=leave]")


def test_pins_move_pairs_rub_and_the_integrator_is_chosen(person: Any) -> None:
    """A side of a body follows keyframes, two bodies have a friction of their own, the world takes bdf2; a change of
    gravity, another name and a removed body keep what is true of it. The scene runs, and the pinned side rises."""
    mira = person("Mira", tier="D", color_scheme="light")
    mira.go()
    mira.page.fill("#name", mira.name)
    mira.page.click("[role=radio]:has-text('Sandbox')")
    mira.page.check("text=New lobbies by code only")
    mira.page.click("[data-test=open]")
    mira.page.wait_for_selector("[data-test=inspector]")
    mira.until(READY)

    mira.page.click("[data-test=add-box]")
    mira.until(f"{body('box')} && {SAVED} && {READY}")
    mira.page.click("summary:has-text('Pins')")
    mira.page.click("[aria-label='Hold a side'] button:text-is('top')")
    mira.until(f"{body('box')}.pins.length === 1 && {SAVED}")
    mira.page.select_option("[data-test=pin-0-course]", "straight")
    mira.until(f"{body('box')}.pins[0].motion.until === 2")
    type_number(mira, "pin-0-spin", "0.5")
    mira.page.select_option("[data-test=pin-0-course]", "keys")
    mira.until(f"{body('box')}.pins[0].motion.keys[0].offset[1] === 1 && {SAVED}")
    type_number(mira, "pin-0-key-0-time", "1")
    mira.page.click("[data-test=pin-0-add-key]")
    mira.page.check("[data-test=pin-0-repeat]")
    mira.until(
        f"{body('box')}.pins[0].motion.repeat && {body('box')}.pins[0].motion.keys.length === 3 && {SAVED}"
    )
    type_number(mira, "pin-0-key-1-angle", "0.25")
    checked(mira, "check.ok")
    mira.page.locator("[data-test=pin-0-repeat]").scroll_into_view_if_needed()
    assert serious(mira.page) == []
    mira.shoot("editor-pin-motion")

    mira.page.click("[data-test=add-sphere]")
    mira.until(f"{body('ball')} && {SAVED}")
    choose(mira, "box")
    mira.page.click("[data-body=ball]", modifiers=["Shift"])
    mira.page.check("[data-test=pair-own-friction]")
    mira.until(f"window.__edit.world().pairs.length === 1 && {SAVED}")
    type_number(mira, "pair-friction", "0.9")
    mira.page.check("[data-test=pair-own-restitution]")
    mira.until(f"window.__edit.world().pairs[0].restitution === 0 && {SAVED}")
    mira.page.locator("[data-test=pair]").scroll_into_view_if_needed()
    mira.shoot("editor-pair")

    choose(mira, "box")
    mira.page.keyboard.press("Escape")
    mira.page.click("summary:has-text('Contact and steps')")
    mira.page.select_option("[data-test=integrator]", "bdf2")
    mira.until(f"window.__edit.world().integrator === 'bdf2' && {SAVED}")
    type_number(mira, "gravity-y", "-3")
    mira.page.click("[data-test=pairs] summary")
    mira.page.wait_for_selector("[data-test=pairs] >> text=µ 0.9")
    mira.page.locator("[data-test=pairs]").scroll_into_view_if_needed()
    mira.shoot("editor-integrator")
    choose(mira, "ball")
    mira.page.fill("[data-test=name]", "marble")
    mira.page.keyboard.press("Enter")
    mira.until(f"{body('marble')} && window.__edit.world().pairs[0].b === 'marble' && {SAVED}")
    mira.page.click("[data-test=remove]")
    mira.until(f"!{body('marble')} && window.__edit.world().pairs.length === 0 && {SAVED}")
    assert mira.evaluate("window.__edit.world().integrator") == "bdf2"

    checked(mira, "check.ok")
    start = mira.evaluate(f"{body('box')}.position[1]")
    kei = person("Kei", tier="D")
    kei.go(f"/#/s/{mira.page.url.split('/s/')[1]}")
    kei.page.fill("[data-test=door] input", kei.name)
    kei.page.click("[data-test=join]")
    kei.page.wait_for_selector("[data-test=inspector]")
    for one in (mira, kei):
        one.page.click("[data-test=ready]")
    mira.page.wait_for_selector("[data-test=palette]")
    mira.until("Boolean(window.__test) && window.__test.tick() > 5")
    mira.until(f"window.__test.places().some(({{ id, y }}) => id === 'box' && y > {start + 0.3})")


def press_on(person: Any, name: str) -> tuple[float, float]:
    """Press the middle of a body in the view, and return where that is."""
    box = person.page.locator("[data-test=stage]").bounding_box()
    x, y, z = person.evaluate(f"{body(name)}.position")
    at = person.evaluate(f"window.__edit.screen({x}, {y}, {z})")
    place = box["x"] + at["x"], box["y"] + at["y"]
    person.page.mouse.move(*place)
    person.page.mouse.down()
    return place


def test_a_late_refusal_of_a_drag_leaves_the_next_one(person: Any) -> None:
    """The request to hold a body is refused after that body was let go, while another one is dragged: that one goes on,
    and stays where it was dragged to."""
    mira, kei = person("Mira"), person("Kei")
    mira.page.add_init_script(HELD_BACK)
    kei.go(f"/#/s/{open_lobby(mira, 'Sandbox')}")
    kei.page.fill("[data-test=door] input", kei.name)
    kei.page.click("[data-test=join]")
    for one in (mira, kei):
        one.page.wait_for_selector("[data-test=inspector]")
        one.until(READY)
    for shape, name in (("box", "box"), ("sphere", "ball")):
        mira.page.click(f"[data-test=add-{shape}]")
        mira.until(f"{body(name)} && {SAVED}")
    mira.page.keyboard.press("Escape")
    kei.until(f"{body('box')} && {body('ball')}")
    mira.evaluate("window.__kept = []")
    x, y = press_on(mira, "box")
    mira.page.mouse.move(x + 30, y, steps=3)
    mira.until("window.__kept.length > 0")
    mira.page.mouse.up()
    choose(kei, "box")
    type_number(kei, "position-y", "1.5")
    asked = mira.evaluate("window.__kept.length")
    x, y = press_on(mira, "ball")
    mira.page.mouse.move(x + 20, y, steps=3)
    mira.until(f"window.__kept.length > {asked}")
    before = mira.evaluate(f"{body('ball')}.position[0]")
    mira.evaluate("window.__flush()")
    mira.until("window.__edit.scene().locks.some(([id, seat]) => id === 'ball' && seat !== null)")
    mira.page.mouse.move(x + 60, y, steps=3)
    mira.page.mouse.up()
    kei.until(f"Math.abs({body('ball')}.position[0] - {before}) > 0.05")
    for one in (mira, kei):
        one.leave()
