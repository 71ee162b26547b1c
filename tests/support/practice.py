"""A match of one's own against a bot, with parameters that the page itself does not offer, for the browser tests."""

from __future__ import annotations

from tests.support.person import Person

__all__ = ["brace", "can_act", "hit_until", "practise"]

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
    person.until("Boolean(localStorage['tussle.me'])")
    token = person.page.evaluate(OPEN, {"mode": mode, "skill": skill, "params": params})
    person.go(f"/#/s/{token}")
    person.page.reload()
    person.page.wait_for_selector("[data-test=launch]:enabled")
    return str(token)


def can_act(person: Person) -> bool:
    """Wait for the person's turn, or the end of the match; whether it is the turn."""
    over = "window.__test.state().phase === 'over'"
    person.until(f"{over} || Boolean(document.querySelector('[data-test=launch]:enabled'))")
    return not person.evaluate(over)


def hit_until(person: Person, done: str) -> bool:
    """Pull at the opponent, turn by turn; whether the expression came true before the match was over."""
    for _ in range(20):
        if not can_act(person) or person.evaluate(done):
            break
        turn = person.evaluate("window.__test.state().turn")
        assert person.pull(0.55)  # a whole pull may carry the person off the mat
        person.until(f"window.__test.state().turn > {turn} || window.__test.state().phase === 'over'")
    return bool(person.evaluate(done))


def brace(person: Person) -> None:
    """Stay where one is, until one's next turn or the end."""
    turn = person.evaluate("window.__test.state().turn")
    person.page.click("[aria-label='What to do'] >> text=Brace")
    person.page.click("[data-test=launch]")
    over = "window.__test.state().phase === 'over'"
    mine = f"window.__test.state().turn > {turn} && document.querySelector('[data-test=launch]:enabled')"
    person.until(f"{over} || Boolean({mine})")
