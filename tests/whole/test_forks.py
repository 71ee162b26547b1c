"""A session is forked while it runs and after its end: the first state is the recorded one, also if servers die."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from tests.support.stack import Stack
from tests.support.stranger import Duel, Line, Person, duel
from tests.support.witness import asked, fight, verified
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import Record, load_record
from tussle.server.simulation.simulation import Simulation


def record_of(stack: Stack, session: str) -> Record:
    return load_record(Archive(str(stack.data_dir / "archive")), session)


async def recorded(stack: Stack, session: str, tick: int) -> Record:
    """The record of a session, once it has a tick."""

    async def there() -> Record | None:
        record = await asyncio.to_thread(record_of, stack, session)
        return record if max(record.hashes, default=0) >= tick else None

    found: Record = await asked(there, f"tick {tick} in the archive")
    return found


def first_hash(record: Record) -> bytes:
    """The hash of the state that a session really began with."""
    tick = min(record.checkpoints)
    return Simulation.restore(record.spec, record.checkpoints[tick][0].data).hash()


@contextlib.asynccontextmanager
async def sat_down(fork: dict[str, object], host: Person, guest: Person) -> AsyncIterator[tuple[Line, Line]]:
    """Both seats of a forked duel, connected, once it runs."""
    first = await host.ask("/api/join", session=fork["session"], ready=True)
    second = await guest.ask("/api/join", session=fork["session"], ready=True)
    async with Line.to(first["ws_url"]) as one, Line.to(second["ws_url"]) as two:
        await one.hello(ticket=first["ticket"])
        await two.hello(ticket=second["ticket"])
        for line in (one, two):
            await line.until("running")
        yield one, two


async def act_once(match: Duel) -> int:
    """Play one turn. Returns the tick of the input."""
    acting, _, _ = await match.turn()
    answer = await acting.act("launch", azimuth=90.0, elevation=20.0, power=0.4)
    return int(answer["d"]["tick"])


async def test_a_fork_begins_with_the_recorded_state(whole_store: str) -> None:
    """A duel is forked in the middle of a throw while it runs. The server is killed before the fork begins; its first
    state has the recorded hash. It is played to its end, verifies, and is forked itself."""
    realm = f"whole-{secrets.token_hex(4)}"
    async with Stack.up(
        whole_store, realm, SIM_SPEED="0", LEASE_MS="900", CHECKPOINT_S="0.3", RECONNECT_GRACE_S="30"
    ) as stack:
        server = await stack.server()
        async with Person(server.url) as eve, Person(server.url) as mia:
            for person in (eve, mia):
                await person.login()
            async with duel(server.url, body="cobble", rounds=2) as match:
                threw = await act_once(match)
                await match.lines[0].until("turn_ended")
                source = await recorded(stack, match.session, threw + 10)
                fork = await eve.ask(f"/api/sessions/{match.session}/fork", tick=threw + 10, ready=True)
                assert (fork["parent"], fork["parent_tick"], fork["exact"]) == (
                    match.session,
                    threw + 10,
                    True,
                )
                await server.kill()
            server = await stack.again(server)
            view = await eve.look(fork["session"])
            assert (view["status"], view["parent"], view["parent_tick"]) == (
                "open",
                match.session,
                threw + 10,
            )
            async with sat_down(fork, eve, mia) as lines:
                forked = await lines[0].until("forked")
                assert forked["d"]["parent"] == match.session
                assert first_hash(record_of(stack, fork["session"])) == source.hashes[threw + 10]
                await asyncio.gather(*(fight(line) for line in lines))
            await verified(stack, fork["session"])
            whole = record_of(stack, fork["session"])
            started = next(tick for tick in sorted(whole.inputs) if tick > threw + 10) - 1
            again = await eve.ask(f"/api/sessions/{fork['session']}/fork", tick=started, seat=1)
            assert (again["seat"], again["parent"], again["parent_tick"]) == (1, fork["session"], started)
            tree = (await eve.get(f"/api/sessions/{fork['session']}/forks")).json()
            assert tree["root"] == match.session
            assert [(one["parent"], one["session"]) for one in tree["forks"]] == [
                (match.session, fork["session"]),
                (fork["session"], again["session"]),
            ]
