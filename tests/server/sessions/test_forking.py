"""Forks of archived sessions on a real store with real solver processes: first state, life, limits."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import World, connected, until
from tests.server.archive.recorded import TOKEN, folder_of
from tests.server.archive.recorded import recorded as recorded
from tests.server.recordings.sessions import played
from tests.server.sessions.nodes import LEASE_MS, Site
from tests.support.one_store import store_url as store_url
from tussle.lobby.errors import Conflict, LobbyError, RateLimited, Refused
from tussle.lobby.forks import ForkEntry, ForkPlan, Forks
from tussle.lobby.settings import Settings
from tussle.server.archive.archive import Archive
from tussle.server.archive.excerpt import Excerpt, cut_excerpt
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import Verdict, verify
from tussle.server.modes.mode import Seat
from tussle.server.sessions import forking as module
from tussle.server.sessions.forking import AT_ONCE, WAITING, Forking, MadeFork
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation
from tussle.server.solver.pool import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools() -> AsyncIterator[list[Pool]]:
    """Two pools of one process each, for all tests of this module."""
    started = [Pool(1, timeout_s=60.0), Pool(1, timeout_s=60.0)]
    await asyncio.gather(*(pool.start() for pool in started))
    yield started
    for pool in started:
        await pool.close()


@pytest_asyncio.fixture(loop_scope="module")
async def site(store_url: str, pools: list[Pool], tmp_path: Path, recorded: Path) -> AsyncIterator[Site]:
    """A realm whose archive has the session TOKEN."""
    shutil.copytree(recorded, tmp_path / "archive")
    realm = f"test-{secrets.token_hex(4)}"
    settings = Settings(
        redis_url=store_url, realm=realm, data_dir=tmp_path, lease_ms=LEASE_MS, sim_speed=0.0, prove=False
    )
    async with connected(store_url, realm) as (store,):
        made = Site(World(store, settings), settings, pools)
        try:
            yield made
        finally:
            for node in made.nodes:
                await node.close()


def forking(site: Site, most_ticks: int = 3600) -> Forking:
    return Forking(site.settings.archive_address, site.pools[0], Forks(site.world.store), most_ticks)


async def opened(site: Site, made: MadeFork) -> str:
    """The lobby of a fork of one seat, whose member is connected and ready: it starts."""
    [player] = await site.world.players(1)
    entry = ForkEntry("", made.origin.parent, made.origin.tick, made.origin.exact)
    plan = ForkPlan(made.first, entry, tuple(seat.body for seat in made.spec.seats), root=made.origin.parent)
    seat = await site.world.seating.open_fork(player, made.spec.mode, plan, holder=site.world.holder)
    await site.world.enter(seat)
    return seat.session


def judged(site: Site, session: str) -> Verdict:
    return verify(load_record(Archive(site.settings.archive_address), session), check_contact=False)


async def test_a_fork_outlives_its_holders(site: Site) -> None:
    """One holder dies when it has begun the fork and not yet run it, the next one in the run. The first state has the
    recorded hash, the fork verifies from it to its end, can be forked itself, and without its first state the archive
    does not hold."""
    made = await forking(site).make(TOKEN, 24)
    record = load_record(Archive(site.settings.archive_address), TOKEN)
    assert (bytes.fromhex(made.origin.hash), made.ticks, made.private) == (record.hashes[24], 4, None)
    first = await site.node("one", watching=False)
    token = await opened(site, made)
    await site.world.runs.begin(token, first.address)
    await first.die()
    second = await site.node("two")
    run = await second.run(token)
    forked = await site.said(token, "forked")
    assert (forked["parent"], forked["parent_tick"], forked["tick"]) == (TOKEN, 24, 24)
    assert (run.spec.session, run.spec.seed) == (token, made.spec.seed)
    assert await site.world.store.call("EXISTS", site.world.store.keys.fork(token)) == 0
    await until(lambda: _reached(run.core, 40))
    await second.die()
    third = await site.node("three")
    recovered = await site.said(token, "recovered")
    assert recovered["exact"] is True
    await site.operators.end(token, "boss")
    await third.gone(token)
    verdict = judged(site, token)
    assert verdict.holds, verdict
    archive = Archive(site.settings.archive_address)
    again = await forking(site).make(token, load_record(archive, token).first_tick + 3)
    assert (again.origin.parent, again.origin.tick, again.private) == (token, 27, False)
    min(folder_of(archive, token).glob("*.parts")).unlink()
    assert not judged(site, token).holds


async def test_a_built_scene_of_bdf2_goes_on_in_its_fork(site: Site) -> None:
    """Between two checkpoints, after a joint broke and while pins move: the first state has the recorded hash, and its
    ticks are those of the parent, also in the fork's own archive, which verifies."""
    spec, inputs, _ = played("built", 200)
    spec = msgspec.structs.replace(spec, session="c5t9rb2n")
    volume = Archive(site.settings.archive_address).volume(spec.session, 1)
    await volume.write_manifest(spec, physics_id())
    simulation, here = Simulation.start(spec)
    volume.record(here, [])
    volume.keep(0, simulation.checkpoint())
    broken = []
    while here.tick < 137:
        given = inputs.get(here.tick + 1, [])
        here = simulation.advance(given, 1)
        volume.record(here, given)
        broken += [tick for tick, kind, _ in here.events if kind == "joint_broken"]
    await volume.flush()
    assert broken and broken[0] < 60
    made = await forking(site).make(spec.session, 137)
    assert (made.ticks, made.origin.exact, bytes.fromhex(made.origin.hash)) == (137, True, simulation.hash())
    fork, _ = Simulation.begin(
        msgspec.structs.replace(made.spec, session="d6u2sc4q", fork=made.origin), made.first.state
    )
    assert fork.advance([], 60).hashes == simulation.advance([], 60).hashes
    node = await site.node("one")
    token = await opened(site, made)
    run = await node.run(token)
    await until(lambda: _reached(run.core, 180))
    await site.operators.end(token, "boss")
    await node.gone(token)
    verdict = verify(load_record(Archive(site.settings.archive_address), token))
    assert verdict.holds and verdict.proofs > 0 and verdict.segments > 0, verdict


async def _reached(core: object, tick: int) -> bool:
    return bool(getattr(core, "tick", 0) >= tick)


async def test_who_sits_where_somebody_left_is_let_in(site: Site) -> None:
    """In a session in slots with two seats, of which the first was left: the host of the fork gets the second one, and
    a player who takes the first one joins by an input."""
    seats = (Seat(0, "p0", "n0"), Seat(1, "p1", "n1"))
    spec = SessionSpec("aaaaaaa3", "spring-damper", seats, {}, 3, {})
    volume = Archive(site.settings.archive_address).volume(spec.session, 1)
    simulation, here = Simulation.start(spec)
    await volume.write_manifest(spec, physics_id())
    volume.record(here, [])
    volume.keep(here.tick, simulation.checkpoint())
    volume.record(simulation.advance([Input(0, "leave")], 5), [Input(0, "leave")])
    await volume.flush()
    made = await forking(site).make(spec.session, 4)
    assert made.out == (0,)
    node = await site.node("one")
    ada, otto = await site.world.players(2)
    plan = ForkPlan(made.first, ForkEntry("", spec.session, 4, True), ("", ""), made.out, root=spec.session)
    first = await site.world.seating.open_fork(ada, spec.mode, plan, holder=node.address)
    second = await site.world.seating.join(otto, first.session)
    assert (first.seat, second.seat) == (1, 0)
    for seat in (first, second):
        await site.world.enter(seat)
    assert (await site.said(first.session, "joined"))["seat"] == 0
    await site.operators.end(first.session, "boss")
    await node.gone(first.session)
    assert judged(site, first.session).holds


async def test_a_first_state_that_is_lost_fails_the_fork(site: Site) -> None:
    """A fork whose first state is lost fails; it does not begin as a new session."""
    made = await forking(site).make(TOKEN, 10)
    node = await site.node("one", watching=False)
    token = await opened(site, made)
    await site.world.store.call("DEL", site.world.store.keys.fork(token))
    node.holder.start_session(token, 0)
    failed = await site.said(token, "failed")
    assert failed["reason"] == "solver_failed"


async def test_the_keys_of_a_fork_expire_with_its_lobby(site: Site) -> None:
    """A lobby that never ran: its first state goes with its other keys; the tree stays for as long as archives do."""
    from tussle.worker.cleanup import Cleanup

    made = await forking(site).make(TOKEN, 10)
    store, keys = site.world.store, site.world.store.keys
    token = await opened(site, made)
    [player] = await store.call("SMEMBERS", keys.session_players(token))
    await site.world.store.call("HSET", keys.session(token), "status", "filled")
    await site.world.seating.leave(player, token)
    assert await store.call("PTTL", keys.fork(token)) == -1
    assert await Cleanup(store, site.settings).handle(token)
    assert await store.call("PTTL", keys.fork(token)) > 0
    assert (await Forks(store).tree(token))[1][0].session == token


async def test_the_source_is_not_pruned_while_it_is_read(site: Site) -> None:
    """The worker's retention leaves an old archive alone until its fork is made."""
    from tussle.worker.retention import Retention

    settings = replace(site.settings, archive_days=1.0, recordings_days=0.0)
    retention = Retention(site.world.store, settings, clock=lambda: 2**33)
    await forking(site).make(TOKEN, 10)
    await retention.run_pass()
    assert folder_of(Archive(site.settings.archive_address)).exists()
    await site.world.store.call("DEL", site.world.store.keys.archive_pin(TOKEN))
    await retention.run_pass()
    assert not folder_of(Archive(site.settings.archive_address)).exists()


async def test_another_version_gives_the_nearest_checkpoint(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork of a session that another physics recorded is not exact, even at the tick of a checkpoint."""
    _answer(monkeypatch, site, physics=["of another version"])
    for tick, begin in ((24, 20), (20, 20)):
        made = await forking(site).make(TOKEN, tick)
        assert (made.origin.tick, made.origin.exact, made.ticks) == (begin, False, 0)


async def test_what_the_simulation_does_not_give_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another hash, another checkpoint, another mode: coded errors, and no world is left
    in the solver process."""
    record = load_record(Archive(site.settings.archive_address), TOKEN)
    for changes, code in (
        ({"digest": bytes(16)}, "diverged"),
        ({"checkpoint": (20, b"\xc1")}, "diverged"),
        ({"checkpoint": (20, b"\xc1"), "physics": ["another"]}, "no_fork"),
        ({"spec": msgspec.structs.replace(record.spec, mode="gone")}, "unknown_mode"),
    ):
        _answer(monkeypatch, site, **changes)
        with pytest.raises(LobbyError) as refused:
            await forking(site).make(TOKEN, 24)
        assert refused.value.reason == code
    for solver in site.pools[0].solvers:
        assert not solver.sessions
        assert solver._process is None or not solver._process.worlds


def _answer(monkeypatch: pytest.MonkeyPatch, site: Site, **changes: object) -> None:
    """Let the archive's reader give the excerpt of TOKEN with other fields."""
    record = load_record(Archive(site.settings.archive_address), TOKEN)

    async def read(url: str, session: str, tick: int) -> Excerpt:
        return msgspec.structs.replace(cut_excerpt(record, tick), **changes)

    monkeypatch.setattr(module, "read_excerpt", read)


async def test_a_session_that_is_over_cannot_be_forked(site: Site) -> None:
    """At its last tick an ended session cannot be forked; one tick before, it can."""
    spec = SessionSpec("aaaaaaa2", "spring-damper", (Seat(0, "p0", "n0"),), {}, 3, {"cycles": 12})
    volume = Archive(site.settings.archive_address).volume(spec.session, 1)
    simulation, here = Simulation.start(spec)
    await volume.write_manifest(spec, physics_id(), private=True)
    volume.record(here, [])
    volume.keep(here.tick, simulation.checkpoint())
    volume.record(simulation.advance([], 20), [])
    await volume.end()
    with pytest.raises(Conflict) as refused:
        await forking(site).make(spec.session, 12)
    assert refused.value.reason == "session_over"
    made = await forking(site).make(spec.session, 11)
    assert (made.origin.tick, made.private) == (11, True)


async def test_a_fork_has_limits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ticks, of bytes, of time; and of forks that are made at once and wait: the next one is refused."""
    _answer(monkeypatch, site)
    with pytest.raises(Refused) as refused:
        await forking(site, 3).make(TOKEN, 24)
    assert refused.value.reason == "too_far"
    assert (await forking(site, 4).make(TOKEN, 24)).ticks == 4
    for name, value, code in (
        ("STATE_BYTES", 1000, "too_large_to_fork"),
        ("SIMULATE_S", 0.0, "too_slow_to_fork"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            with pytest.raises(Refused) as refused:
                await forking(site).make(TOKEN, 24)
            assert refused.value.reason == code
    maker, going = forking(site), asyncio.Event()
    reading = 0

    async def read(url: str, session: str, tick: int) -> Excerpt:
        nonlocal reading
        reading += 1
        await going.wait()
        raise Refused("stopped", code="too_slow_to_fork")

    monkeypatch.setattr(module, "read_excerpt", read)
    asked = [asyncio.create_task(maker.make(TOKEN, 24)) for _ in range(AT_ONCE + WAITING)]

    async def all_read() -> bool:
        return reading == AT_ONCE

    await until(all_read)
    with pytest.raises(RateLimited) as busy:
        await maker.make(TOKEN, 24)
    assert busy.value.reason == "forks_busy"
    going.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, Refused) for answer in answers)
    assert reading == AT_ONCE + WAITING
    with pytest.raises(Refused):
        await maker.make(TOKEN, 24)
