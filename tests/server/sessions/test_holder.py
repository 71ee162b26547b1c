"""The holder on a real store with real solver processes: sessions start, are taken over and end.

A node is a server without sockets. When it dies, its tasks end and its lease is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import World, connected, until
from tests.server.sessions.nodes import LAUNCH, LEASE_MS, TURN_S, Node, Site, acted, admitted
from tussle.lobby.claims import Claims
from tussle.lobby.errors import Conflict, ScriptError
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings
from tussle.server.archive.verify import load_record, verify
from tussle.server.gateway.relay_client import Relays
from tussle.server.sessions.core import Superseded
from tussle.server.sessions.lease import SCRIPT_TRIES
from tussle.server.sessions.run import Run
from tussle.server.simulation.simulation import Advance, Input
from tussle.server.solver.pool import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools() -> AsyncIterator[list[Pool]]:
    """Two pools of one process each, for all tests of this module."""
    started = [Pool(1, timeout_s=60.0), Pool(1, timeout_s=60.0)]
    for pool in started:
        await pool.start()
    yield started
    for pool in started:
        await pool.close()


@pytest_asyncio.fixture(loop_scope="module")
async def site(store_url: str, pools: list[Pool], tmp_path: Path) -> AsyncIterator[Site]:
    realm = f"test-{secrets.token_hex(4)}"
    settings = Settings(
        redis_url=store_url, realm=realm, data_dir=tmp_path, lease_ms=LEASE_MS, sim_speed=0.0, turn_s=TURN_S,
        bot_turn_s=TURN_S, checkpoint_s=60.0, prove=False,
    )  # fmt: skip
    async with connected(store_url, realm) as (store,):
        made = Site(World(store, settings), settings, pools)
        try:
            yield made
        finally:
            for node in made.nodes:
                await node.close()


async def test_a_session_leaves_nothing_behind(site: Site) -> None:
    """An operator ends a paused session: its waiting input is refused, no world and no file stays open, and the archive
    is whole."""
    node = await site.node("one")
    token, run = await site.duel(node)
    await acted(run, 1)
    await site.said(token, "turn_started", 2)
    await site.paused(token, run)
    waiting = admitted(run, run.core.seat or 0, 1 if run.core.seat else 2)
    await site.operators.end(token, "boss")
    with pytest.raises(Conflict) as refused:
        async with asyncio.timeout(30):
            await waiting
    assert refused.value.reason == "not_running"
    await node.gone(token)
    node.nothing_left(token)
    record = load_record(node.archive, token)
    assert record.ended and record.whole
    assert await site.world.status(token) == "ended"
    verdict = await asyncio.to_thread(lambda: verify(load_record(node.archive, token), check_contact=False))
    assert verdict.holds, verdict


async def test_a_session_that_fails_leaves_nothing_behind(site: Site) -> None:
    """The solver process is killed in every call: the session ends as failed, with reason solver_failed; its archive
    has an end."""
    node = await site.node("one")
    token, run = await site.duel(node)
    [solver] = node.pool.solvers
    killing = asyncio.create_task(keep_killing(node))
    try:
        await acted(run, 1)
        assert (await site.said(token, "failed"))["reason"] == "solver_failed"
        await node.gone(token)
    finally:
        killing.cancel()
        await asyncio.wait([killing])
    node.nothing_left(token)
    await solver.start()  # for the other tests
    assert await site.world.status(token) == "failed"
    verdict = await asyncio.to_thread(lambda: verify(load_record(node.archive, token), check_contact=False))
    assert verdict.holds, verdict


async def keep_killing(node: Node) -> None:
    """Kill the solver process in every advance and restore."""
    [solver] = node.pool.solvers
    while True:
        process = solver._process
        if process is not None and any(c.op in ("advance", "restore") for c in process.waiting.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.process.pid, signal.SIGKILL)
        await asyncio.sleep(0)


@pytest.mark.parametrize("order", ["pause", "end"])
async def test_orders_that_come_while_a_world_is_set_up_take_effect(site: Site, order: str) -> None:
    """The order comes when the store has the session as running and the holder does not have its run yet."""
    node = await site.node("one", watching=False)
    runs, running = node.context.runs, node.context.runs.running

    async def running_and_operated(*args: Any) -> Any:
        answer = await running(*args)
        await (site.operators.pause if order == "pause" else site.operators.end)(args[0].session, "boss")
        audience = node.audiences.get(args[0].session, 0)
        kind = "session_paused" if order == "pause" else "end_asked"
        asked = [e.v for e in await site.world.views.events(args[0].session, 0) if e.t == kind]

        async def heard() -> bool:
            return audience.v >= asked[0]

        audience.offer(answer.events)
        audience.wake()
        await until(heard)
        return answer

    runs.running = running_and_operated  # type: ignore[method-assign]
    site.world.holder = node.address
    token, _ = await site.world.starting()
    node.holder.start_session(token, await site.world.views.newest_v(token))
    if order == "end":
        assert (await site.said(token, "ended"))["reason"] == "ended_by_operator"
        return
    run = await node.run(token)
    waiting = admitted(run, run.core.seat or 0, 1)
    left = await site.left_ms(token)
    assert left > 0
    assert (await site.world.views.view(token)).status == "paused"
    events = await site.world.views.newest_v(token)
    await site.operators.resume(token, "boss")
    await waiting
    assert await site.world.views.newest_v(token) > events


async def test_a_paused_session_stays_paused_in_other_hands(site: Site) -> None:
    """Its holder dies while an operator has it paused. The next holder keeps it paused. After the
    resume the turn has the time that it had left."""
    one, two = await site.node("one"), await site.node("two")
    token, run = await site.duel(one)
    await site.paused(token, run)
    left = await site.left_ms(token)
    assert left > 0
    await one.die()
    run = await two.run(token)
    recovered = await site.said(token, "recovered")
    assert recovered["exact"] is True
    assert (await site.world.views.view(token)).status == "paused"
    assert left <= await site.left_ms(token) <= left + LEASE_MS  # the dead were alive when they last renewed
    waiting = admitted(run, run.core.seat or 0, 1)
    before = await site.world.store.now_ms()
    assert not waiting.done()
    await site.operators.resume(token, "boss")
    await waiting
    await site.said(token, "turn_started", 2)
    assert (await site.world.views.view(token)).turn_ends_at >= before
    assert await site.left_ms(token) == -1


async def test_a_holder_that_slept_gives_up_a_paused_session(site: Site) -> None:
    """The lease ends while the session is paused, and another server claims it. The old holder notices by itself, and
    the turn loses no time."""
    one, two = await site.node("one"), await site.node("two")
    token, run = await site.duel(one)
    await site.paused(token, run)
    left = await site.left_ms(token)
    one.tasks[0].cancel()  # it renews no more
    await site.world.store.call("DEL", site.world.store.keys.server("one"))
    await two.run(token)
    await site.said(token, "recovered")
    one.tasks[0] = asyncio.create_task(one.lease.keep())
    await one.gone(token)
    one.nothing_left(token)
    assert two.holder.holds(token)
    assert (await site.world.views.view(token)).status == "paused"
    assert left <= await site.left_ms(token) <= left + LEASE_MS


async def test_an_absence_during_a_pause_takes_nothing_from_the_turn(site: Site) -> None:
    """The holder's lease lapses and no server claims the session: it stays paused and keeps the time of its turn."""
    one = await site.node("one")
    token, run = await site.duel(one)
    await site.paused(token, run)
    left, lapses = await site.left_ms(token), one.lease.lapses
    one.tasks[0].cancel()

    async def lapsed() -> bool:
        return not one.lease.held()

    async def noticed() -> bool:
        return run._lapses_seen > lapses

    await until(lapsed)
    run.core.arm(time.monotonic() - 100.0)  # the pause has been long
    one.tasks[0] = asyncio.create_task(one.lease.keep())
    await until(noticed)
    assert one.holder.holds(token)
    assert await site.left_ms(token) == left
    await site.operators.resume(token, "boss")
    await acted(run, 1)
    await site.said(token, "turn_started", 2)


async def test_the_next_holder_ends_a_session_whose_end_was_asked_for(site: Site) -> None:
    """An operator ends the session while its holder is dead and no server has claimed it."""
    one = await site.node("one")
    token, _ = await site.duel(one)
    await one.die()
    await site.operators.end(token, "boss")
    two = await site.node("two")
    assert (await site.said(token, "ended"))["reason"] == "ended_by_operator"
    await two.gone(token)
    two.nothing_left(token)


async def test_a_boot_claims_the_sessions_of_the_one_before_at_once(site: Site) -> None:
    """A server that starts again under its fixed id claims at once. Another one waits until its lease is steady."""
    one = await site.node("fixed")
    token, _ = await site.duel(one)
    await one.die()
    other = await site.node("other", watching=False)
    await other.holder.look_around()
    assert not other.holder.holds(token)
    again = await site.node("fixed", watching=False)
    await again.holder.look_around()
    assert again.holder.holds(token)
    run = await again.run(token)
    view = await site.world.views.view(token)
    assert run.core.deadline is not None
    assert view.turn_ends_at - await site.world.store.now_ms() > 0
    await acted(run, 1)


async def test_draining_hands_over_what_runs_and_what_is_paused(site: Site) -> None:
    """No tick is computed again. A paused session stays paused, with the time left of its turn."""
    one = await site.node("one")
    running, first = await site.duel(one)
    paused, second = await site.duel(one)
    await acted(first, 1)
    await site.said(running, "turn_started", 2)
    await site.paused(paused, second)
    left = await site.left_ms(paused)
    two = await site.node("two")
    await one.holder.stop()
    for token in (running, paused):
        one.nothing_left(token)
        await two.run(token)
        recovered = await site.said(token, "recovered")
        assert (recovered["exact"], recovered["ticks_again"]) == (True, 0)
    assert await site.left_ms(paused) == left
    await acted(two.holder.runs[running], 1)


async def test_draining_waits_for_a_world_that_is_being_set_up(site: Site) -> None:
    """The server is stopped while it builds a world: the session is handed over once it is built, and goes on."""
    one, two = await site.node("one", watching=False), await site.node("two")
    runs, running = one.context.runs, one.context.runs.running
    stopping: list[asyncio.Task[None]] = []

    async def stopped_before(*args: Any) -> Any:
        stopping.append(asyncio.create_task(one.holder.stop()))
        await until(target_chosen)
        return await running(*args)

    async def target_chosen() -> bool:
        return bool(one.holder._handover_targets)

    runs.running = stopped_before  # type: ignore[method-assign]
    site.world.holder = one.address
    token, _ = await site.world.starting()
    one.holder.start_session(token, await site.world.views.newest_v(token))
    run = await two.run(token)
    await stopping[0]
    assert (await site.said(token, "recovered"))["ticks_again"] == 0
    one.nothing_left(token)
    await acted(run, 1)


async def test_an_input_finds_its_session_in_the_gap_between_two_holders(site: Site) -> None:
    """The store assigns the session to a server that has not restored it yet: the input is kept, and answered later."""
    one = await site.node("one")
    token, run = await site.duel(one)
    seat = run.core.seat or 0
    two = await site.node("two", watching=False)
    relays = Relays(two.views, two.servers, two.holder)
    audience = two.audiences.get(token, await two.views.newest_v(token))
    await one.holder.stop()
    assert not two.holder.holds(token)
    remote = relays.remote(audience)
    async with asyncio.timeout(60):
        tick = await admitted(remote, seat, 1)
    stored = await two.context.runs.read_journal(token)
    assert [entry[0] for entry in stored] == [tick]
    assert json.loads(stored[0][2])["kind"] == "launch"
    await relays.close()


async def test_an_input_may_answer_an_event_as_soon_as_it_is_public(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client on another server reads the event of its turn in the store before the holder has its answer from the
    store. Its input is taken, and its clock begins when the event is public."""
    _, run = await site.duel(await site.node("a"))
    publish, sent = run._publication.publish, list[Any]()

    async def publish_slowly(advance: Advance) -> None:
        await publish(advance)
        if (
            not sent
            and advance.seat is not None
            and any(kind == "turn_started" for _, kind, _ in advance.events)
        ):
            await asyncio.sleep(0.3)
            sent.append(admitted(run, advance.seat, 1))
            sent.append(time.monotonic())

    monkeypatch.setattr(run._publication, "publish", publish_slowly)
    await acted(run, 1)
    async with asyncio.timeout(60):
        while len(sent) < 2 or run.core.deadline is None:  # noqa: ASYNC110
            await asyncio.sleep(0)  # it is there until the input is journaled
        assert run.core.deadline >= sent[1] + TURN_S - 0.1
        assert await sent[0] > 0


async def test_the_specification_is_drawn_once(site: Site) -> None:
    """The solver process dies while it builds the first world. The second world has the same specification and seed."""
    node = await site.node("one")
    [solver] = node.pool.solvers
    pid = solver.pid
    assert pid is not None
    checkpoint, killed = solver.checkpoint_world, []

    async def killed_before(session: str, *, check_contact: bool) -> Any:
        if not killed:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
        return await checkpoint(session, check_contact=check_contact)

    solver.checkpoint_world = killed_before  # type: ignore[method-assign]
    try:
        token, run = await site.duel(node)
    finally:
        del solver.checkpoint_world  # type: ignore[method-assign]
    assert killed and solver.pid != pid
    await acted(run, 1)
    await site.said(token, "turn_started", 2)
    await site.operators.end(token, "boss")
    await site.said(token, "ended")
    await node.gone(token)
    [manifest] = load_record(node.archive, token).manifests
    assert manifest.spec == run.spec
    verdict = await asyncio.to_thread(lambda: verify(load_record(node.archive, token), check_contact=False))
    assert verdict.holds, verdict


async def test_a_lost_process_is_not_a_failure_of_its_worlds(site: Site) -> None:
    """The solver process is killed between calls, three times: each time the world is restored at the same tick."""
    node = await site.node("one")
    token, run = await site.duel(node)
    [solver] = node.pool.solvers
    kept = await run._world.take_checkpoint(run.core.tick, check_contact=False)
    for _ in range(3):
        pid = solver.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

        async def gone(pid: int = pid) -> bool:
            return solver.pid != pid

        await until(gone)
        again = await run._world.take_checkpoint(run.core.tick, check_contact=False)
        assert (again.tick, again.data) == (kept.tick, kept.data)
    await acted(run, 1)
    await site.said(token, "turn_started", 2)


async def ended_after(site: Site, node: Node, token: str) -> int:
    """End a session after the turn that runs, if it does not end by itself. Returns its last tick; nothing is left."""
    run = node.holder.runs.get(token)

    async def turned() -> bool:
        return run is None or run.core.over or run.core.phase == "acting"

    await until(turned, 60.0)
    if await site.world.status(token) == "running":
        await site.operators.end(token, "boss")
    await node.gone(token)
    node.nothing_left(token)
    record = load_record(node.archive, token)
    assert record.ended and record.whole
    return record.last_tick


async def test_a_session_moves_to_another_process_to_the_bit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of long ticks beside another one moves to a heavy process while its world moves. No tick is missing in
    its record, every hash is reproduced, and nothing of it is left in the process that it came from."""
    monkeypatch.setattr("tussle.server.solver.usage.HEAVY_TICK_S", 0.0)
    monkeypatch.setattr("tussle.server.solver.usage.LIGHT_TICK_S", 0.0)
    # the test is not to wait for other programs
    monkeypatch.setattr("tussle.server.solver.solver_calls.HEAVY_NICE", 0)
    pool = Pool(1, timeout_s=60.0, heavy=1)
    await pool.start()
    site.pools.insert(0, pool)
    try:
        node = await site.node("one")
        [light, heavy] = pool.solvers
        await heavy.start()
        token, run = await site.duel(node)
        other, _ = await site.duel(node)
        await acted(run, 1)

        async def moved() -> bool:
            return token in heavy.sessions and token not in light.sessions

        await until(moved, 60.0)
        assert light._process is not None and token not in light._process.worlds
        assert other in light.sessions
        owners = [
            await site.world.store.call("HGET", site.world.store.keys.session(t), "host")
            for t in (token, other)
        ]
        assert (heavy._owners, light._owners) == ({token: owners[0]}, {other: owners[1]})
        ended = await ended_after(site, node, token)
        await ended_after(site, node, other)
        verdict = await asyncio.to_thread(
            lambda: verify(load_record(node.archive, token), check_contact=False)
        )
        assert verdict.holds, verdict
        assert verdict.ticks == ended
    finally:
        site.pools.remove(pool)
        await pool.close()


async def test_a_move_that_fails_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heavy process dies in each restore: the session goes on where it is, and its record is reproduced."""
    monkeypatch.setattr("tussle.server.solver.usage.HEAVY_TICK_S", 0.0)
    monkeypatch.setattr("tussle.server.solver.usage.LIGHT_TICK_S", 0.0)
    pool = Pool(1, timeout_s=60.0, heavy=1)
    await pool.start()
    site.pools.insert(0, pool)
    try:
        node = await site.node("one")
        [light, heavy] = pool.solvers
        await heavy.start()
        tried = []

        async def restore_world(*args: Any, **kwargs: Any) -> Any:
            tried.append(args)
            assert heavy.pid is not None
            os.kill(heavy.pid, signal.SIGKILL)
            return await type(heavy).restore_world(heavy, *args, **kwargs)

        monkeypatch.setattr(heavy, "restore_world", restore_world)
        token, run = await site.duel(node)
        await site.duel(node)
        await acted(run, 1)

        async def has_tried() -> bool:
            return bool(tried)

        await until(has_tried, 60.0)
        assert token in light.sessions
        await ended_after(site, node, token)
        verdict = await asyncio.to_thread(
            lambda: verify(load_record(node.archive, token), check_contact=False)
        )
        assert verdict.holds, verdict
    finally:
        site.pools.remove(pool)
        await pool.close()


async def test_the_next_holder_knows_which_inputs_were_superseded(site: Site) -> None:
    """Three settings of gravity come in one tick. The newest is journaled, the older ones are superseded. The holder
    dies; the next one gives each of them the same answer again, and applies none."""
    one, two = await site.node("one"), await site.node("two")
    site.world.holder = one.address
    [player] = await site.world.players(1)
    seat = await site.world.seating.open(
        player, "sandbox", 1, holder=one.address, params={"bodies": ["marl"]}
    )
    await site.world.enter(seat)
    token = seat.session
    one.holder.start_session(token, await site.world.views.newest_v(token))
    run = await one.run(token)
    await site.paused(token, run)
    answers: dict[int, list[Any]] = {1: [], 2: [], 3: []}

    def send(run: Run, number: int) -> None:
        d = {"strength": 4.0 + number}
        run.accept_input(0, number, "gravity", d, time.monotonic(), answers[number].append, False)

    for number in answers:
        send(run, number)
    await site.operators.resume(token, "boss")

    async def answered() -> bool:
        return all(answers.values())

    await until(answered)
    tick = answers[3][0]
    assert isinstance(tick, int)
    assert answers == {1: [Superseded(tick)], 2: [Superseded(tick)], 3: [tick]}
    assert await site.said(token, "gravity")
    await one.die()
    run = await two.run(token)
    for number in answers:
        send(run, number)
    assert answers == {1: [Superseded(tick)] * 2, 2: [Superseded(tick)] * 2, 3: [tick] * 2}
    await site.operators.end(token, "boss")
    await two.gone(token)
    events = await site.world.views.events(token, 0)
    assert [event.d["strength"] for event in events if event.t == "gravity"] == [7.0]
    record = await asyncio.to_thread(load_record, two.archive, token)
    verdict = await asyncio.to_thread(lambda: verify(record, check_contact=False))
    assert verdict.holds, verdict
    taken = record.manifests[1].taken_over  # the archive says what the next holder continued
    assert taken is not None and taken.tick in record.taken_over
    assert taken.head is not None and taken.head.epoch == record.manifests[0].epoch


async def test_a_run_that_nobody_watches_stays_so_in_other_hands(site: Site) -> None:
    """A run pauses because nobody is connected, and its holder dies. The next holder keeps it paused, with the time
    that the turn had left, and ends it as unattended after a time of its own."""
    site.settings = dataclasses.replace(site.settings, idle_s=0.3, unattended_s=4.0)
    one, two = await site.node("one"), await site.node("two")
    token, _ = await site.duel(one)
    paused = await site.said(token, "session_paused")
    assert paused["reason"] == "unattended"
    left = await site.left_ms(token)
    assert left > 0
    await one.die()
    run = await two.run(token)
    assert (await site.said(token, "recovered"))["exact"] is True

    async def is_kept() -> bool:
        return run._paused and run._unattended

    await until(is_kept)
    assert (await site.world.views.view(token)).status == "paused"
    assert left <= await site.left_ms(token) <= left + LEASE_MS
    assert (await site.said(token, "ended"))["reason"] == "unattended"
    await two.gone(token)
    two.nothing_left(token)


async def test_an_operator_may_keep_an_empty_run_or_let_it_run(site: Site) -> None:
    """An operator's pause of a run that is paused because nobody is connected stays when somebody connects, and lets it
    live on. An operator's resume gives it all of IDLE_S again."""
    site.settings = dataclasses.replace(site.settings, idle_s=0.3, unattended_s=3.0)
    node = await site.node("one")
    token, run = await site.duel(node)
    await site.said(token, "session_paused")
    await site.operators.resume(token, "boss")
    await site.said(token, "session_paused", 2)
    await site.operators.pause(token, "boss")

    async def kept() -> bool:
        return run._paused and not run._unattended

    await until(kept)
    node.audiences.get(token, 0).on_attended()
    await asyncio.sleep(3.5)  # longer than UNATTENDED_S: this is what is tested
    assert (await site.world.views.view(token)).status == "paused"
    await site.operators.end(token, "boss")
    assert (await site.said(token, "ended"))["reason"] == "ended_by_operator"


async def test_another_physics_goes_on_where_an_input_does_not_fit(site: Site) -> None:
    """A holder of another physics takes over, and a journaled input does not fit its world. The replay and the journal
    stop there, ``recovered`` reports the loss, the turn is published again and the session goes on."""
    one = await site.node("one")
    token, run = await site.duel(one)
    first = run.core.seat or 0
    await acted(run, 1)
    await site.said(token, "turn_started", 2)
    await site.paused(token, run)
    tick, fence = run.core.tick, run.fence
    # In the other physics the second turn began later: its input has a tick at which this world does not wait.
    misfit = Input(seat=run.core.seat or 0, kind="launch", id=1, d=dict(LAUNCH))
    await one.context.runs.journal(fence, tick + 7, [json.dumps(
        {"seat": misfit.seat, "kind": misfit.kind, "id": misfit.id, "d": misfit.d}
    ).encode()])  # fmt: skip
    await one.context.runs.publish(fence, tick + 9, [(tick + 9, "blow", {"n": 1})])
    store = site.world.store
    await one.die()
    await store.call("HSET", store.keys.session(token), "physics_id", "another")
    await site.operators.resume(token, "boss")
    unheld, _ = await Claims(store).look([], HolderAddress("nobody", "", ""))
    assert [u.physics_id for u in unheld] == ["another"]
    two = await site.node("two", watching=False)
    assert await Claims(store).claim(unheld[0], two.address)
    await two.holder.look_around()
    target = await two.run(token)
    recovered = await site.said(token, "recovered")
    assert (recovered["exact"], recovered["inputs_lost"], recovered["tick"]) == (False, 1, tick)
    assert (target.core.phase, target.core.tick) == ("acting", tick)
    assert [entry[0] for entry in await two.context.runs.read_journal(token)] == [1 + fence_tick(run, first)]
    again = await site.said(token, "turn_started", 3)
    assert again["seat"] == target.core.seat == misfit.seat
    assert await acted(target, 1) == tick + 1
    await site.said(token, "turn_started", 4)
    assert await site.world.status(token) == "running"


def fence_tick(run: Run, seat: int) -> int:
    """The tick before the first input of a seat."""
    return run.admissions.acknowledged[seat, 1] - 1


async def test_an_exact_takeover_does_not_guess(site: Site) -> None:
    """With the same physics and a journal that does not fit, the session fails as diverged. It does not go on with a
    world that differs from the published one."""
    one = await site.node("one")
    token, run = await site.duel(one)
    await one.context.runs.journal(run.fence, run.core.tick + 5, [b'{"seat": 0, "kind": "launch", "id": 1}'])
    await one.die()
    await site.node("two")
    assert (await site.said(token, "failed"))["reason"] == "diverged"


async def test_a_session_whose_script_is_broken_fails_loudly(site: Site) -> None:
    """The journal script has a fault: the session ends as failed with the code, its input is dropped, and the
    call is not retried for ever."""
    node = await site.node("one")
    token, run = await site.duel(node)
    calls = 0

    async def broken(*_: Any) -> None:
        nonlocal calls
        calls += 1
        raise ScriptError("a script failed: user_script:3: attempt to index a nil value")

    node.context.runs.journal = broken  # type: ignore[method-assign, assignment]
    waiting = admitted(run, run.core.seat or 0, 1)
    assert (await site.said(token, "failed"))["reason"] == "script_error"
    with pytest.raises(Conflict):
        await waiting
    await node.gone(token)
    node.nothing_left(token)
    assert calls == SCRIPT_TRIES
    assert await site.world.status(token) == "failed"
