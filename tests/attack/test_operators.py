"""Becoming an operator without a secret: by a name, its spellings, or a login from before."""

from __future__ import annotations

import pytest

from tests.support.operators import ENTRY, SECRET
from tests.support.stack import Stack
from tests.support.stranger import Person

ENVIRONMENT = {"SOLVERS": "1", "OPERATORS": ENTRY, "GUESS_RATE": "5"}

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = {
    "/api/admin/ban": {"player": "ada"},
    "/api/admin/unban": {"player": "ada"},
    "/api/admin/notice": {"text": "hello"},
    "/api/admin/drain": {"server": "s"},
    "/api/drain": {},
    "/api/sessions/k7qm2xpv/end": {},
}


async def test_a_name_of_an_operator_gives_nothing_without_its_secret(site: Stack) -> None:
    """Registering it first, in any spelling, as a guest or from a guest's login, is refused, and no call is allowed."""
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "boss")
    async with Person(site.url) as thief, Person(site.url) as boss:
        await thief.login()
        for name in ("boss", "BOSS", " boss ", wide):
            for body in ({"name": name}, {"name": name, "secret": "a secret of theirs"}):
                answer = await thief.post("/api/login", body)
                assert (answer.status_code, answer.json()["code"]) == (401, "name_taken"), body
        for path, body in CALLS.items():
            answer = await thief.post(path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), path
        await boss.login(name="boss", secret=SECRET)
        answer = await boss.post("/api/admin/notice", {"text": "hello"})
        assert answer.status_code == 200, answer.text
