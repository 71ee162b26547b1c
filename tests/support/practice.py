"""A match of one's own against a bot, with parameters that the page itself does not offer, for the browser tests."""

from __future__ import annotations

from tests.support.person import Person

__all__ = ["brace", "practise"]

OPEN = """({mode, skill, params}) => (async () => {
  const me = JSON.parse(localStorage["tussle.me"]);
  const hints = ["pull", "soft", "rim", "slide", "guard", "button"];
  localStorage["tussle.hints"] = JSON.stringify(hints.map((name) => `hint.${name}`));
  const post = (path, body) => fetch(path, {
    method: "POST", headers: {"content-type": "application/json", authorization: `Bearer ${me.token}`},
    body: JSON.stringify(body),
  }).then((answer) => answer.json());
  const body = mode === "curling" ? undefined : "cobble";
  const made = await post("/api/open", {mode, size: 2, private: true, ready: true, body, params});
  await post(`/api/sessions/${made.session}/bots`, {skill});
  return made.session;
})()"""


def practise(person: Person, mode: str = "duel", skill: str = "dummy", **params: float) -> str:
    """Open a match for two with these parameters, until the person's first turn. Returns its token."""
    person.go()
    person.page.wait_for_selector("[data-session]")
    token = person.page.evaluate(OPEN, {"mode": mode, "skill": skill, "params": params})
    person.go(f"/#/s/{token}")
    person.page.reload()
    person.page.wait_for_selector("[data-test=launch]:enabled")
    return str(token)


def brace(person: Person) -> None:
    """Stay where one is, until one's next turn or the end."""
    turn = person.evaluate("window.__test.state().turn")
    person.page.click("[aria-label='What to do'] >> text=Brace")
    person.page.click("[data-test=launch]")
    over = "window.__test.state().phase === 'over'"
    mine = f"window.__test.state().turn > {turn} && document.querySelector('[data-test=launch]:enabled')"
    person.until(f"{over} || Boolean({mine})")
