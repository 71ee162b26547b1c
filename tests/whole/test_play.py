"""Whole sessions on real processes: played, watched, looked into, tuned and cleaned up."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import shlex
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.http import http_client
from tests.support.paths import ROOT
from tests.support.stack import Stack, alive, children, until
from tests.support.stranger import Line, Person, duel
from tests.support.witness import Witness, asked, fight, sessions
from tussle.lobby.launch import child_environment
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.lobby.wire.frames import decode_frame
from tussle.player.client import Client
from tussle.server.modes.registry import get_mode

QUICK = {"SIM_SPEED": "0", "BOT_TURN_S": "5", "TURN_S": "30"}


def realm() -> str:
    return f"whole-{secrets.token_hex(4)}"


async def test_a_duel_is_the_same_for_every_kind_of_client(whole_store: str) -> None:
    """A client written from the protocol's text and the Python client play, two observers watch: all four receive
    the same events, and ``running`` and ``ended`` once each."""
    async with Stack.up(whole_store, realm(), **QUICK) as stack:
        url = (await stack.server()).url
        async with Person(url) as ada, Client(url) as otto, Person(url) as viewer:
            await ada.login()
            await otto.login(kind="bot")
            await viewer.login()
            first = await ada.ask("/api/find", mode="duel", size=2)
            second = await otto.find(mode="duel", size=2)
            assert second.session == first["session"]
            place = await viewer.ask("/api/observe", session=first["session"])
            async with (
                Line.to(first["ws_url"]) as line,
                Line.to(place["ws_url"]) as watching,
                Witness.of(url, first["session"]) as witness,
            ):
                await watching.hello(ticket=place["ticket"])
                await line.hello(ticket=first["ticket"])

                async def play_otto() -> list[tuple[int, str, object]]:
                    rng, events = np.random.default_rng(7), []
                    async with otto.connect(second) as connection:
                        async for event in connection:
                            if event.t != "session":
                                events.append((event.v, event.t, event.d))
                            if event.t == "turn_started" and event.d["seat"] == connection.seat:
                                action = get_mode("duel").bot(event.d, connection.seat, "good", None, rng)
                                await connection.act(action.kind, **action.d)
                            if event.t == "ended":
                                return events
                    raise AssertionError("the connection ended before the session")

                received, _ = await asyncio.gather(play_otto(), fight(line))
                await watching.until("ended")
                await witness.until("ended")
                heard = {
                    "stranger": [(e["v"], e["t"], e["d"]) for e in line.events],
                    "observer": [(e["v"], e["t"], e["d"]) for e in watching.events],
                    "client": received,
                    "witness": [(e.v, e.t, e.d) for e in witness.events],
                }
                since = max(events[0][0] for events in heard.values())
                transcripts = {who: [e for e in events if e[0] >= since] for who, events in heard.items()}
                assert all(events == transcripts["stranger"] for events in transcripts.values())
                for events in heard.values():
                    kinds = [kind for _, kind, _ in events]
                    assert kinds.count("running") == kinds.count("ended") == 1
                    assert kinds.count("set_up") == kinds.count("result") == 1
                witness.assert_whole()
                drawn = [decode_frame(frame) for frame in watching.frames]
                assert [frame.tick for frame in drawn] == sorted({frame.tick for frame in drawn})
                assert min(frame.min_distance for frame in drawn) > 0


async def test_the_recipe_of_the_readme_works_verbatim(tmp_path: Path) -> None:
    """Every line is run verbatim with T and P filled in, with no worker around, and shows what it says."""
    text = (ROOT / "README.md").read_text()
    recipe = re.search(r"<!-- recipe:.*?-->\s*```bash\n(.*?)```", text, re.DOTALL)
    assert recipe is not None
    lines = recipe[1].splitlines()
    assert len(lines) >= 9
    async with (
        EmbeddedStore(Settings(data_dir=tmp_path)) as store,
        Stack.up(store.url, "main", **QUICK) as stack,
    ):
        url = (await stack.server()).url
        async with duel(url) as game:
            acting, other, _ = await game.turn()
            await acting.act("brace")
            await other.until("turn_ended")
            await other.until("turn_started")
            player = game.persons[0].player
            program = tmp_path / "bin" / "redis-cli"
            program.parent.mkdir()
            port = store.url.rpartition(":")[2]
            real = shutil.which("redis-cli")
            cli = shlex.join([sys.executable, "-P", "-m", "tussle", "redis", "--url", store.url])
            called = f"{real} -p {port}" if real else cli
            program.write_text(f'#!/bin/sh\nexec {called} "$@"\n')
            program.chmod(0o755)
            shown = {}
            for line in lines:
                filled = re.sub(r":player:P'", f":player:{player}'", line).replace(":T", f":{game.session}")
                done = await asyncio.to_thread(
                    subprocess.run,
                    ["bash", "-c", filled],
                    cwd=ROOT,
                    env={**child_environment(), "PATH": f"{program.parent}:{os.environ['PATH']}"},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, (filled, done.stdout, done.stderr)
                assert "ERR" not in done.stdout, (filled, done.stdout)
                shown[re.sub(r"\s+#.*", "", line).replace("redis-cli ", "")] = done.stdout

            def shown_by(part: str) -> str:
                return next(output for command, output in shown.items() if part in command)

            assert game.session in shown_by("sessions:running")
            assert "running" in shown_by("HGETALL '{main}:session:T'") and "holder" in shown_by("session:T'")
            for person in game.persons:
                assert person.player in shown_by(":players")
                assert person.player in shown_by(":order")
            assert "health" in shown_by(":player:P") and "body" in shown_by(":player:P")
            assert "turn_started" in shown_by(":events")
            assert "brace" in shown_by(":journal")
            assert game.session in shown_by("lifecycle")
            assert shown_by("TTL").split()[-1] == "-1"


async def test_a_bot_that_dies_on_its_turn_forfeits(whole_store: str) -> None:
    """kill -9: its turns are skipped at their deadline, the third skip is a forfeit, and the other has won."""
    async with Stack.up(whole_store, realm(), **{**QUICK, "BOT_TURN_S": "0.3"}) as stack:
        url = (await stack.server()).url
        async with Person(url) as ada:
            await ada.login()
            seat = await ada.ask("/api/find", mode="duel", size=2)
            async with Line.to(seat["ws_url"]) as line:
                await line.hello(ticket=seat["ticket"])
                bot = await stack.bots(1, 1, "--think", "5")
                rival = 1 - (line.seat or 0)
                silent = 0
                while True:
                    event = await line.until("turn_started", "ended")
                    if event["t"] == "ended":
                        break
                    if event["d"]["seat"] == rival:
                        silent += 1
                        await bot.kill()
                    else:
                        await line.act("brace")
                out = next(event for event in line.events if event["t"] == "out")
                assert (out["d"]["seat"], out["d"]["cause"]) == (rival, "forfeit")
                assert silent == 3
                result = next(event for event in line.events if event["t"] == "result")
                assert result["d"]["winner"] == line.seat
            assert not (await ada.get("/api/me")).json()["session"]


async def test_a_lone_client_that_dies_in_a_lobby_frees_its_seat(whole_store: str) -> None:
    """kill -9: after the grace the seat is free, and a lobby without anybody has ended."""
    async with Stack.up(whole_store, realm(), RECONNECT_GRACE_S="0.5", **QUICK) as stack:
        url = (await stack.server()).url
        bot = await stack.bots(1, 1)

        async def connected() -> list[dict[str, object]]:
            return [view for view in await sessions(url, "open") if view["seats"][0]["connected"]]

        lobby = (await asked(connected, "the bot in its lobby"))[0]
        token = str(lobby["session"])
        async with Person(url) as viewer:
            await viewer.login()
            place = await viewer.ask("/api/observe", session=token)
            async with Line.to(place["ws_url"]) as line:
                await line.hello(ticket=place["ticket"])
                await bot.kill()
                killed = time.monotonic()
                await line.until("seat_disconnected")
                await line.until("seat_left", reason="absent")
                await line.until("ended", reason="empty")
                assert time.monotonic() - killed < Settings().reconnect_grace_s
            assert (await viewer.look(token))["status"] == "ended"


async def test_an_odd_number_of_bots_ends_and_says_so(whole_store: str) -> None:
    """The bot without an opponent leaves within the lobby timeout; the process ends with 0."""
    async with Stack.up(whole_store, realm(), LOBBY_TIMEOUT_S="3", **QUICK) as stack:
        await stack.server()
        bots = await stack.bots(3, 1)
        assert await bots.wait(60.0) == 0, bots.output
        assert "2 matches" in bots.output
        assert "1 found no opponent" in bots.output


async def test_logs_are_json_and_debug_says_more(whole_store: str) -> None:
    """Every line of server and worker parses, with level, event and time; LOG_LEVEL=debug adds lines."""
    counted = {}
    for level in ("info", "debug"):
        async with Stack.up(whole_store, realm(), LOG_LEVEL=level, **QUICK) as stack:
            server = await stack.server()
            worker = await stack.worker()
            bots = await stack.bots(2, 1)
            assert await bots.wait(60.0) == 0, bots.output
            for process in (worker, server):
                await process.end()
                for line in process.lines:
                    assert {"event", "level", "timestamp", "process"} <= line.keys()
            levels = [line["level"] for line in server.lines + worker.lines]
            counted[level] = levels
    assert "debug" not in counted["info"] and "info" in counted["info"]
    assert "debug" in counted["debug"] and "info" in counted["debug"]


async def test_rate_speed_and_payload_are_settings(whole_store: str) -> None:
    """FRAME_HZ, FRAME_PRECISION and SIM_SPEED take effect in the welcome, in the frames and in /metrics."""
    size = {}
    for hz, precision, speed in ((30, "single", 3), (10, "half", 2)):
        environment = {
            "FRAME_HZ": str(hz),
            "FRAME_PRECISION": precision,
            "SIM_SPEED": str(speed),
            "TURN_S": "30",
        }
        async with Stack.up(whole_store, realm(), **environment) as stack:
            url = (await stack.server()).url
            async with duel(url) as game:
                acting, other, started = await game.turn()
                await acting.act("hop", azimuth=0.0, power=1.0)
                ended = await other.until("turn_ended")
                ticks = [
                    (struct.unpack_from("<II", data, 4)[1], at)
                    for data, at in zip(other.binary, other.arrivals, strict=True)
                    if data[0] == 1
                ]
                moved = [
                    (tick, at) for tick, at in ticks if started["d"]["tick"] < tick <= ended["d"]["tick"]
                ]
                dt = ended["d"]["time_sim"] / ended["d"]["tick"]
                steps = {b[0] - a[0] for a, b in itertools.pairwise(moved[:-1])}
                assert steps == {round(1 / (hz * dt))}
                simulated = (moved[-1][0] - moved[0][0]) * dt
                assert moved[-1][1] - moved[0][1] > 0.7 * simulated / speed
            async with http_client() as http:
                text = (await http.get(f"{url}/metrics")).text
            found = re.search(r"^tussle_frame_bytes (\S+)", text, re.MULTILINE)
            assert found is not None
            frames = [len(data) for data in other.frames]
            assert float(found[1]) in frames
            size[precision] = frames[0]
            assert re.search(r"^tussle_frame_bytes_sent_total [1-9]", text, re.MULTILINE)
    assert size["half"] < 0.7 * size["single"]


async def test_sigterm_ends_everything_cleanly(whole_store: str) -> None:
    """In the middle of a duel: connections close with 4001, exit codes are 0, and neither processes nor sockets nor
    connections to the store are left."""
    async with Stack.up(whole_store, realm(), **QUICK) as stack:
        server = await stack.server(SOLVERS="2")
        worker = await stack.worker()
        port = server.url.rpartition(":")[2]
        async with duel(server.url) as game:
            await game.turn()
            await until(lambda: len(children(server.pid)) == 2, "both solver processes", 30.0)
            below = children(server.pid)
            assert await server.end() == 0
            for line in game.lines:
                assert (await line.end())[0] == 4001
        assert await worker.end() == 0
        await until(lambda: not any(alive(pid) for pid in below), "the solvers' end", 30.0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(port))
        assert not [line for line in server.lines if line["level"] == "error"]


async def test_sigterm_ends_a_server_that_compiles_the_kernels(whole_store: str, tmp_path: Path) -> None:
    """The first start takes a minute. SIGTERM ends it at once, and no process is left."""
    async with Stack.up(whole_store, realm(), **QUICK) as stack:
        server = await stack.start("server", "server", PORT="0", NUMBA_CACHE_DIR=str(tmp_path))
        below = await until(lambda: children(server.pid), "its solver")
        assert await server.end(15.0) == 0, server.output
        await until(lambda: not any(alive(pid) for pid in below), "the solver's end", 30.0)
