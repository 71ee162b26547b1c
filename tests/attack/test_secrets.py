"""Guessing secrets and holding up logins with registrations."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter

import pytest

from tests.support.stack import Stack
from tests.support.stranger import Person

ENVIRONMENT = {"SOLVERS": "1", "GUESS_RATE": "0.01", "LOGIN_RATE": "5"}
"""One guess of a name, and the next after 100 s; 50 logins, 20 logins with a secret and 15 registrations of an
address."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_other_spellings_of_a_name_share_its_guesses(site: Stack) -> None:
    """Spaces around a name, its case and fullwidth letters do not give a guesser more tries."""
    name, wide = "victim", "".join(chr(ord(letter) + 0xFEE0) for letter in "victim")
    spellings = [name, f"{name} ", f"  {name}", name.upper(), wide, wide.upper()]
    async with Person(site.url) as thief:
        answers = [
            await thief.post("/api/login", {"name": spelling, "secret": secrets.token_hex(8)})
            for spelling in spellings
        ]
    codes = Counter(answer.json().get("code", "registered") for answer in answers)
    assert codes == {"registered": 1, "rate_limited": 5}
    assert all(answer.json()["retry_after"] > 0 for answer in answers if answer.status_code == 429)


async def test_another_server_gives_no_more_guesses(site: Stack) -> None:
    """A guess of a name at one server: the next one is refused at both, and counted there."""
    [other] = await site.more_servers(1)
    async with Person(site.url) as thief, Person(other.url) as again:

        async def guess(person: Person) -> str:
            answer = await person.post(
                "/api/login", {"name": "second victim", "secret": secrets.token_hex(8)}
            )
            assert answer.status_code != 429 or answer.json()["retry_after"] > 0
            return str(answer.json().get("code", "registered"))

        assert [await guess(person) for person in (thief, again, thief)] == [
            "registered", "rate_limited", "rate_limited",
        ]  # fmt: skip
        assert (
            'refusals_total{owner="name",resource="guesses"} 1.0' in (await again.http.get("/metrics")).text
        )
    assert await other.end() == 0


async def test_an_address_registers_a_bounded_number_of_names(site: Stack) -> None:
    """Registrations beyond the budget of the address are refused at once, before their secrets are hashed."""
    async with Person(site.url) as thief:
        answers = await asyncio.gather(
            *(thief.post("/api/login", {"name": f"new name {i}", "secret": "a secret"}) for i in range(18))
        )
    codes = Counter(answer.json().get("code", "registered") for answer in answers)
    assert codes["registered"] <= 15 and codes["rate_limited"] >= 3
    assert set(codes) == {"registered", "rate_limited"}
