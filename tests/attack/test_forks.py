"""Forks over HTTP, from archives of every kind: the first state, refusals, and budgets."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio

from tests.server.archive.recorded import TOKEN
from tests.server.archive.recorded import recorded as recorded
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person
from tests.support.witness import asked, keys_of, store_of
from tussle.lobby.errors import NotFound
from tussle.lobby.forks import ForkEntry, Forks
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import load_record
from tussle.server.http.fork_routes import visible
from tussle.server.modes.mode import Seat
from tussle.server.sessions.forking import Forking
from tussle.server.simulation.simulation import SessionSpec, Simulation
from tussle.server.solver.pool import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"TRUSTED_PROXIES": "127.0.0.1", "FORK_TICKS": "9"}

_addresses = iter(range(1, 250))


@pytest_asyncio.fixture(loop_scope="module")
async def ada(site: Stack) -> AsyncIterator[Person]:
    """A guest who is logged in, at an address of its own."""
    async with Person(site.url) as person:
        person.http.headers["x-forwarded-for"] = f"10.0.0.{next(_addresses)}"
        yield await person.login()


@pytest.fixture(scope="module")
def folder(site: Stack, recorded: Path) -> Path:
    """The server's archive, with the two recorded sessions."""
    place = site.data_dir / "archive"
    shutil.copytree(recorded, place, dirs_exist_ok=True)
    return place


async def fork(person: Person, session: str, tick: Any, **more: Any) -> Any:
    return await person.post(f"/api/sessions/{session}/fork", {"tick": tick, **more})


async def first_state(site: Stack, session: str) -> Simulation:
    """The keys of a fork that has not begun."""
    async with store_of(site) as store:
        spec, state = await store.call("HMGET", store.keys.fork(session), "spec", "state", raw=True)
    return Simulation.begin(msgspec.json.decode(spec, type=SessionSpec), state)[0]


async def test_any_recorded_tick_can_be_forked(site: Stack, ada: Person, folder: Path) -> None:
    """At a checkpoint, after inputs, after another holder took over: the first state has the recorded
    hash. These archives do not say whether the session was private, so its forks are
    private."""
    record = load_record(Archive(str(folder)), TOKEN)
    for tick in (10, 19, 33, 39):
        answer = (await fork(ada, TOKEN, tick)).json()
        assert (answer["parent"], answer["parent_tick"], answer["exact"], answer["seat"]) == (
            TOKEN,
            tick,
            True,
            0,
        )
        assert (await first_state(site, answer["session"])).hash() == record.hashes[tick]
        view = await ada.look(answer["session"])
        assert (view["mode"], view["size"], view["parent"], view["parent_tick"], view["exact"]) == (
            "sandbox", 1, TOKEN, tick, True,
        )  # fmt: skip
        listed = (await ada.get("/api/sessions")).json()["sessions"]
        assert answer["session"] not in [row["session"] for row in listed]
        await ada.ask("/api/leave", session=answer["session"])
    assert 'tussle_forks_total{exact="true"} 4.0' in (await ada.get("/metrics")).text


@pytest.mark.parametrize(
    ("tick", "status", "code"),
    [
        (41, 404, "tick_not_recorded"),
        (2**53, 404, "tick_not_recorded"),
        (2**53 + 1, 400, "bad_request"),
        (-1, 400, "bad_request"),
        (1.5, 400, "bad_request"),
        ("10", 400, "bad_request"),
        (True, 400, "bad_request"),
        (None, 400, "bad_request"),
    ],
)
async def test_a_tick_that_is_not_recorded_is_refused(
    site: Stack, ada: Person, folder: Path, tick: Any, status: int, code: str
) -> None:
    """A refusal has a code, and writes nothing except the pin of the archive."""
    async with store_of(site) as store:
        before = await keys_of(store)
        assert_problem(await fork(ada, TOKEN, tick), status, code)
        assert {key for key in await keys_of(store) - before if "pin" not in key} == set()


async def test_what_cannot_be_forked_is_refused(site: Stack, ada: Person, folder: Path) -> None:
    """Refused are an unknown session, one without an archive, a missing seat, a player with another seat."""
    assert_problem(await fork(ada, "aaaaaaa9", 1), 404, "no_such_session")
    assert_problem(await fork(ada, "no-token", 1), 404, "no_such_session")
    assert_problem(await ada.get("/api/sessions/aaaaaaa9/forks"), 404, "no_such_session")
    assert_problem(await fork(ada, TOKEN, 10, seat=1), 422, "bad_seat", "seat")
    assert_problem(await fork(ada, TOKEN, 40), 422, "too_far", "tick")
    lobby = await ada.ask("/api/open", private=True)
    assert_problem(await fork(ada, TOKEN, 10), 409, "in_session")
    async with Person(site.url) as otto:
        await otto.login()
        assert_problem(await fork(otto, lobby["session"], 0), 404, "not_archived")


async def test_a_damaged_archive_is_refused(site: Stack, ada: Person, folder: Path) -> None:
    """A flipped byte, a missing part or a missing manifest refuses a fork. Damage after the tick does not."""
    damaged = folder / "aaaaaaa2"
    for change in (_flip_first, _cut_first, lambda place: (place / "manifest-000001.json").unlink()):
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(folder / TOKEN, damaged)
        change(damaged)
        problem = assert_problem(await fork(ada, damaged.name, 19), 400, "damaged_archive")
        assert problem["detail"]
    (folder / "aaaaaaa3").mkdir()
    (folder / "aaaaaaa3" / "end.json").write_bytes(b"\xff{}")
    assert_problem(await fork(ada, "aaaaaaa3", 1), 400, "damaged_archive")


def _flip_first(place: Path) -> None:
    parts = place / "000001.parts"
    data = bytearray(parts.read_bytes())
    data[200] ^= 1
    parts.write_bytes(data)


def _cut_first(place: Path) -> None:
    parts = place / "000001.parts"
    parts.write_bytes(parts.read_bytes()[100:])


async def test_forks_have_a_price(site: Stack, folder: Path) -> None:
    """A player has one fork in progress, six at once and then one in ten seconds. The first one here waits for a file
    until it is written, and is refused because the file is empty."""
    stuck = folder / "aaaaaaa4" / "manifest-000001.json"
    stuck.parent.mkdir()
    os.mkfifo(stuck)
    async with Person(site.url) as otto, store_of(site) as store:
        otto.http.headers["x-forwarded-for"] = "10.0.1.1"
        await otto.login()
        first = asyncio.create_task(fork(otto, "aaaaaaa4", 1))

        async def is_read() -> bool:
            return bool(await store.call("EXISTS", store.keys.archive_pin("aaaaaaa4")))

        await asked(is_read, "the first fork")
        problems = [(await fork(otto, TOKEN, 10)).json() for _ in range(6)]
        assert [problem["code"] for problem in problems] == ["forks_busy"] * 5 + ["rate_limited"]
        assert all(problem["retry_after"] > 0 for problem in problems)
        os.close(await asyncio.to_thread(os.open, stuck, os.O_WRONLY))
        assert_problem(await first, 400, "damaged_archive")


async def test_a_fork_is_as_private_as_its_parent(site: Stack, ada: Person) -> None:
    """A fork of a public session is public, unless it is asked to be private; then trees do not show it. One of a
    private session is private. The archive knows it after the session's keys have gone."""
    archive = Archive(str(site.data_dir / "archive"))
    for token, private in (("aaaaaaa5", False), ("aaaaaaa6", True)):
        spec = SessionSpec(token, "spring-damper", (Seat(0, "p0", "n0"),), {}, 3, {})
        volume = archive.volume(token, 1)
        simulation, here = Simulation.start(spec)
        await volume.write_manifest(spec, "other physics", private=private)
        volume.record(here, [])
        volume.keep(here.tick, simulation.checkpoint())
        volume.record(simulation.advance([], 5), [])
        await volume.flush()
    for token, wish, listed, shown in (
        ("aaaaaaa5", False, True, True),
        ("aaaaaaa5", True, False, False),
        ("aaaaaaa6", False, False, True),
    ):
        seat = (await fork(ada, token, 3, private=wish)).json()
        assert (seat["parent_tick"], seat["exact"]) == (0, False)
        rows = (await ada.get("/api/sessions")).json()["sessions"]
        assert [row["parent"] for row in rows if row["session"] == seat["session"]] == [token] * listed
        tree = (await ada.get(f"/api/sessions/{token}/forks")).json()
        assert (seat["session"] in [one["session"] for one in tree["forks"]]) is shown
        own = (await ada.get(f"/api/sessions/{seat['session']}/forks")).json()
        assert (own["root"], seat["session"] in [one["session"] for one in own["forks"]]) == (token, True)
        await ada.ask("/api/leave", session=seat["session"])


async def test_a_hidden_parent_hides_its_forks_when_it_is_forgotten() -> None:
    """A tree keeps its newest entries. Those whose hidden parent is gone stay hidden, but for who asks from there."""
    entries = [
        ForkEntry("33333333", "22222222", 5, True),
        ForkEntry("55555555", "44444444", 7, True),  # 44444444 was hidden
        ForkEntry("66666666", "55555555", 8, True),
    ]
    for asked_from in ("22222222", "33333333"):
        assert [entry.session for entry in visible(entries, "22222222", asked_from)] == ["33333333"]
    shown = [entry.session for entry in visible(entries, "22222222", "55555555")]
    assert shown == ["33333333", "55555555", "66666666"]


async def test_a_fork_of_nothing_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that has no archive is refused before a process is started to read it, and before it is pinned."""

    def never(*_: Any) -> Any:
        raise AssertionError("work was done")

    monkeypatch.setattr("tussle.server.sessions.forking.read_excerpt", never)
    forking = Forking(str(tmp_path), cast(Pool, None), cast(Forks, SimpleNamespace(pin=never)), 9)
    with pytest.raises(NotFound) as refused:
        await forking.make("aaaaaaaa", 0)
    assert refused.value.reason == "not_archived"
