"""A duel of one's own against a dummy, with parameters that the page itself does not offer, for the browser tests."""

from __future__ import annotations

from tests.support.person import Person

__all__ = ["brace", "practise"]

OPEN = """(params) => (async () => {
  const me = JSON.parse(localStorage["tussle.me"]);
  localStorage["tussle.hints"] = JSON.stringify(["hint.pull", "hint.soft", "hint.rim"]);
  const post = (path, body) => fetch(path, {
    method: "POST", headers: {"content-type": "application/json", authorization: `Bearer ${me.token}`},
    body: JSON.stringify(body),
  }).then((answer) => answer.json());
  const made = await post("/api/open", {mode: "duel", size: 2, private: true, ready: true, body: "cobble", params});
  await post(`/api/sessions/${made.session}/bots`, {skill: "dummy"});
  return made.session;
})()"""


def practise(person: Person, **params: float) -> str:
    """Open a duel with these parameters, until the person's first turn. Returns its token."""
    person.go()
    person.page.wait_for_selector("[data-session]")
    token = person.page.evaluate(OPEN, params)
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
