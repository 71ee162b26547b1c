"""Processes die, stop and restart in the middle of play: sessions go on and no acknowledged input is lost.

Each test then simulates its session again from the archive: every public tick has the recorded hash.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path

from tests.support.built_scene import built_scene
from tests.support.operators import ENTRY
from tests.support.stack import Process, Stack, children, until
from tests.support.stranger import Line, Person
from tests.support.witness import Witness, asked, keys_of, running, sessions, store_of, verified
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore, free_port
from tussle.lobby.store.store import Store
from tussle.server.physics.stored_meshes import use_meshes

LEASE_S = 1.5
"""A shorter lease lapses by itself on a busy machine, and the session moves before its server is killed."""

FLOWING = {
    "SIM_SPEED": "6", "BOT_TURN_S": "5", "TURN_S": "30", "LEASE_MS": str(round(LEASE_S * 1000)), "CHECKPOINT_S": "0.3",
}  # fmt: skip
"""Fast enough for a test, slow enough that a death comes in the middle of something."""


def realm() -> str:
    return f"whole-{secrets.token_hex(4)}"


class Opponents:
    """Two bots, each a process, in a match of one end of curling. It has a fixed number of turns, eight or sixteen: a
    duel may be decided by the turn before a death."""

    def __init__(self, think_s: float) -> None:
        self.bots: list[Process] = []
        self._think_s = think_s

    @classmethod
    async def of(cls, stack: Stack, think_s: float = 0.1) -> Opponents:
        """Start them. They find the lobby of a person who leaves it: a bot that opens one plays three ends. think_s:
        how long they take for a turn, at least [s]."""
        those = cls(think_s)
        async with Person(stack.url) as host:
            await host.login()
            seat = await host.ask("/api/open", mode="curling", size=2, ready=False, params={"ends": 1})
            await those._start(stack)

            async def joined() -> bool:
                return len((await host.look(seat["session"]))["seats"]) == 2

            await asked(joined, "the first bot in its seat", 60.0)
            await host.ask("/api/leave", session=seat["session"])
        await those._start(stack)
        return those

    async def _start(self, stack: Stack) -> None:
        self.bots.append(await stack.bots(1, 1, "--mode", "curling", "--think", str(self._think_s)))

    async def played(self, ceiling_s: float = 60.0) -> None:
        """Wait until both have played the match, and none has lost its seat."""
        for bot in self.bots:
            assert await bot.wait(ceiling_s) == 0, bot.output
            assert "1 matches" in bot.output
            assert "lost" not in bot.output.splitlines()[-1]


def holder_of(stack: Stack, view: dict[str, object]) -> tuple[Process, Process]:
    """The server that holds a session, and the other one."""
    url = str(view["ws_url"]).replace("ws", "http", 1).removesuffix("/ws")
    holder = next(server for server in stack.servers if server.url == url)
    return holder, next(server for server in stack.servers if server is not holder)


async def test_the_death_of_the_holder_loses_nothing(whole_store: str) -> None:
    """kill -9 of the server that runs a session: the other one goes on from the last tick, clients come back by
    themselves, events are without a gap, and the record is reproduced from the first tick to the last."""
    async with Stack.up(whole_store, realm(), **FLOWING) as stack:
        await stack.more_servers(2)
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        holder, other = holder_of(stack, view)
        async with Witness.of(other.url, view["session"]) as witness:
            await witness.until("turn_ended")
            await holder.kill()
            recovered = await witness.until("recovered")
            assert recovered.d["exact"] is True
            assert recovered.epoch >= 2
            await witness.until("ended")
            witness.assert_whole()
        await bots.played()
        await verified(stack, view["session"])


async def test_the_death_of_the_holder_of_a_built_scene_changes_no_bit(whole_store: str) -> None:
    """kill -9 of the server that runs a scene of its member: a mesh of the catalogue, a pinned body, a rail. The other
    one goes on from the exact tick, and every tick has the hash of an undisturbed run. The member sends its input and
    chat again there, since an acknowledgement might be lost: both are acknowledged and have no second effect."""
    async with Stack.up(whole_store, realm(), **FLOWING) as stack:
        first, _ = await stack.more_servers(2)
        async with Person(first.url) as ada:
            await ada.login()
            seat = await ada.ask("/api/open", mode="sandbox", size=1, ready=True, scene=built_scene())
            session = seat["session"]
            async with Line.to(seat["ws_url"]) as line:
                await line.hello(ticket=seat["ticket"])
                await line.until("set_up")
                given = await line.act("gravity", strength=9.0)
                assert given["t"] == "ack", given
                await line.command("chat", {"text": "once"})
                holder, other = holder_of(stack, await ada.look(session))
                async with Witness.of(other.url, session) as witness, Person(other.url) as there:
                    there.token = ada.token

                    async def past(tick: int) -> bool:
                        return int((await there.look(session))["tick"]) >= tick

                    await asked(lambda: past(30), "thirty ticks")
                    await holder.kill()
                    recovered = await witness.until("recovered")
                    assert recovered.d["exact"] is True
                    async with Line.to(other.url.replace("http", "ws", 1) + "/ws") as back:
                        await back.hello(resume=line.resume, last_v=None)
                        assert back.last_id == 2
                        back.last_id = 0
                        assert await back.act("gravity", strength=9.0) == given
                        assert (await back.command("chat", {"text": "once"}))["t"] == "ack"
                        assert (await back.act("gravity", strength=9.0))["d"]["tick"] > given["d"]["tick"]
                    now = (await there.look(session))["tick"]
                    await asked(lambda: past(now + 30), "thirty more ticks")
                    await there.ask("/api/leave", session=session)
                    await witness.until("ended")
        use_meshes(str(stack.data_dir / "archive"))
        assert (await verified(stack, session)).ticks >= 60


async def test_a_holder_that_sleeps_and_wakes_harms_nobody(whole_store: str) -> None:
    """SIGSTOP for more than two leases, then SIGCONT: another server has taken the session over, and the store
    refuses the writes of the old holder, which goes on as a server."""
    async with Stack.up(whole_store, realm(), **FLOWING) as stack:
        await stack.more_servers(2)
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        holder, other = holder_of(stack, view)
        async with Witness.of(other.url, view["session"]) as witness:
            await witness.until("turn_ended")
            holder.send(signal.SIGSTOP)
            await witness.until("recovered")
            await asyncio.sleep(2 * LEASE_S)  # the two leases of the sleep are what is tested
            holder.send(signal.SIGCONT)
            await witness.until("ended")
            witness.assert_whole()
        await bots.played()
        await verified(stack, view["session"])
        again = await stack.bots(2, 1, SERVER_URL=holder.url)
        assert await again.wait(60.0) == 0, again.output
        assert "2 matches" in again.output


async def test_a_server_started_again_under_its_name_goes_on(whole_store: str) -> None:
    """The only server has a fixed SERVER_ID. It is killed and started again at once, waits for the end of its former
    lease and restores its session; clients reconnect by themselves."""
    async with Stack.up(whole_store, realm(), SERVER_ID="fixed", **FLOWING) as stack:
        first = await stack.server()
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        async with Witness.of(first.url, view["session"]) as witness:
            await witness.until("turn_ended")
            await first.kill()
            again = await stack.start("server", "server", PORT=first.url.rpartition(":")[2])
            again.url = first.url
            recovered = await witness.until("recovered")
            assert (recovered.d["exact"], recovered.d["holder"]) == (True, "fixed")
            await witness.until("ended")
            witness.assert_whole()
        await bots.played()
        await verified(stack, view["session"])


async def test_a_pause_outlives_the_death_of_the_holder(whole_store: str) -> None:
    """An operator has paused the session when its server is killed: the other one holds it paused, nothing happens
    until the operator lets it go on; then it is played to its end."""
    async with Stack.up(whole_store, realm(), OPERATORS=ENTRY, **FLOWING) as stack:
        await stack.more_servers(2)
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        holder, other = holder_of(stack, view)
        async with Witness.of(other.url, view["session"]) as witness, Person(other.url) as boss:
            await boss.login(name="boss", secret="a secret of mine")
            await witness.until("turn_ended")
            await boss.ask(f"/api/sessions/{view['session']}/pause")
            await until(lambda: holder.said("session_paused"), "the holder to pause")
            await holder.kill()
            recovered = await witness.until("recovered")
            assert recovered.d["exact"] is True
            assert (await boss.look(view["session"]))["status"] == "paused"
            heard = [event.t for event in witness.events[witness.events.index(recovered) :]]
            assert not {"turn_started", "turn_ended", "action"} & set(heard)
            await boss.ask(f"/api/sessions/{view['session']}/resume")
            await witness.until("ended")
            witness.assert_whole()
        await bots.played()
        await verified(stack, view["session"])


async def test_the_death_of_a_solver_is_repaired_in_place(whole_store: str) -> None:
    """kill -9 of the solver process in mid-turn: the same server restores the world, with equal hashes, and no
    client is disconnected."""
    async with Stack.up(whole_store, realm(), **FLOWING) as stack:
        server = await stack.server()
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        async with Witness.of(server.url, view["session"]) as witness:
            await witness.until("action")
            (solver,) = children(server.pid)
            os.kill(solver, signal.SIGKILL)
            await witness.until("ended")
            witness.assert_whole()
            assert {event.epoch for event in witness.events if event.epoch} == {1}
            assert witness.connection.reconnections == 0
        assert server.said("solver_died")
        await bots.played()
        await verified(stack, view["session"])


async def test_draining_moves_sessions_between_two_ticks(whole_store: str) -> None:
    """SIGTERM of the holder: it hands its session to the other server and ends with 0; no tick is computed twice."""
    async with Stack.up(whole_store, realm(), **FLOWING) as stack:
        await stack.more_servers(2)
        bots = await Opponents.of(stack)
        view = (await running(stack.url))[0]
        holder, other = holder_of(stack, view)
        async with Witness.of(other.url, view["session"]) as witness:
            await witness.until("turn_ended")
            assert await holder.end() == 0
            recovered = await witness.until("recovered")
            assert recovered.d["exact"] is True
            assert recovered.d["ticks_again"] == 0
            await witness.until("ended")
            witness.assert_whole()
        assert holder.said("session_handed_over")
        await bots.played()
        verdict = await verified(stack, view["session"])
        assert verdict.unrecorded == 0


async def test_sessions_pause_while_the_store_is_away(tmp_path: Path) -> None:
    """kill -9 of the store, started again on its data: sessions pause and go on; with STORE_FSYNC=always nothing that
    was acknowledged is lost."""
    port = free_port()
    settings = Settings(data_dir=tmp_path, store_fsync="always")
    with EmbeddedStore(settings, port=port) as store:
        async with Stack.up(store.url, realm(), **FLOWING) as stack:
            server = await stack.server()
            bots = await Opponents.of(stack)
            view = (await running(stack.url))[0]
            async with Witness.of(server.url, view["session"]) as witness:
                await witness.until("turn_ended")
                assert store.pid is not None
                os.kill(store.pid, signal.SIGKILL)
                store.stop()
                await until(lambda: server.said("lease_not_renewed"), "the server to notice")
                await store.start_async()
                await witness.until("ended")
                witness.assert_whole()
            await bots.played()
            await verified(stack, view["session"])


async def test_the_death_of_a_worker_leaks_nothing(whole_store: str) -> None:
    """Sessions that ended with no worker, and those that a worker died on: the next one sets the expiry of every key,
    and once that is over no key and no index entry of any session is left."""
    quick = {"SIM_SPEED": "0", "EXPIRY_S": "3", "SWEEP_S": "0.3", "CLAIM_IDLE_S": "0.3"}
    async with Stack.up(whole_store, realm(), **quick) as stack:
        server = await stack.server()
        first = await stack.bots(6, 1)
        assert await first.wait(60.0) == 0, first.output
        async with store_of(stack) as store:
            assert len(await sessions(server.url, "ended")) == 3
            await assert_lives(store, kept=True)
            doomed = await stack.worker()
            doomed.send(signal.SIGSTOP)
            second = await stack.bots(6, 1)
            assert await second.wait(60.0) == 0, second.output
            doomed.send(signal.SIGCONT)
            await asked(lambda: cleaned(store), "a first session to be cleaned up")
            await doomed.kill()
            await stack.worker()
            await asked(lambda: all_expire(store), "every key to have its expiry")
            await asked(lambda: nothing_left(store), "every session to be gone")
            left = await keys_of(store, "sessions:*") | await keys_of(store, "deadlines")
            assert not left, left


async def cleaned(store: Store) -> bool:
    ended = await store.call("ZRANGE", store.keys.ended, 0, -1)
    return any([await store.call("PTTL", store.keys.session(token)) != -1 for token in ended]) or not ended


async def assert_lives(store: Store, *, kept: bool) -> None:
    for key in await keys_of(store, "session:*"):
        assert (await store.call("PTTL", key) == -1) is kept, key


async def all_expire(store: Store) -> bool:
    lives = [await store.call("PTTL", key) for key in await keys_of(store, "session:*")]
    assert all(life <= 3000 for life in lives)
    return all(life != -1 for life in lives)


async def nothing_left(store: Store) -> bool:
    return not await keys_of(store, "session:*") and not await store.call("ZCARD", store.keys.ended)
