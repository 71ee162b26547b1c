"""Legal but costly play: floods of inputs that compile the scene, and a world that is too large, beside a small one."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.http import http_client
from tests.support.stack import Stack, until
from tests.support.stranger import Line, Person

pytestmark = pytest.mark.timeout(300)

FULL = ["halo", "ratchet"] * 12
"""As many bodies and vertices as a sandbox may have."""

HEAVY = {
    "bodies": [
        {
            "id": "floor", "kind": "static", "shape": {"kind": "slab", "params": {"size": [4, 0.2, 4]}},
            "material": {"density": 1000},
        },
        {
            "id": "soft", "kind": "elastic", "material": {"density": 300, "stiffness": 2e4}, "position": [0, 0.6, 0],
            "shape": {"kind": "block", "params": {"size": [0.5] * 3, "cells": [9] * 3}},
        },
    ]
}  # fmt: skip
"""A scene with an elastic body of a thousand vertices, whose tick takes 16 ms of an EPYC: twice what makes it heavy."""

FLOOD = 115
"""Messages that a connection may send at once."""


@contextlib.asynccontextmanager
async def sandbox(url: str, bodies: list[str], **more: Any) -> AsyncIterator[Line]:
    """A sandbox with one member, once it runs. more: fields of the request that opens it."""
    async with Person(url) as person:
        await person.login()
        seat = await person.ask(
            "/api/open",
            mode="sandbox",
            size=1,
            ready=True,
            private=True,
            **({"params": {"bodies": bodies}} | more),
        )
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            await line.wait(lambda: line.frames, 120.0)
            yield line


async def sample(url: str, name: str) -> float:
    """The sum of a metric over its labels."""
    async with http_client() as http:
        text = (await http.get(f"{url}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def act(line: Line, number: int, kind: str, d: dict[str, Any]) -> None:
    await line.send(json.dumps({"t": "act", "id": number, "d": {"kind": kind, "d": d}}))


async def test_a_flood_of_gravity_is_one_compilation_a_tick(store_url: str) -> None:
    """115 settings of gravity in a full sandbox: each is answered, all but a few as superseded, the newest one takes
    effect, no solver process dies, and the small sandbox in the same process keeps running."""
    async with Stack.up(
        store_url, f"attack-{secrets.token_hex(4)}", SOLVERS="1", SOLVER_TIMEOUT_S="5"
    ) as stack:
        server = await stack.server()
        async with sandbox(server.url, ["marl", "cobble"]) as small, sandbox(server.url, FULL) as full:
            for number in range(1, FLOOD + 1):
                await act(full, number, "gravity", {"strength": 0.1 * number})
            answers = [await full.answer(number) for number in range(1, FLOOD + 1)]
            assert all(answer["t"] == "ack" for answer in answers)
            applied = [answer for answer in answers if not answer["d"].get("superseded")]
            assert answers[-1] in applied
            # One a tick, and several times as many come in a tick.
            assert len({answer["d"]["tick"] for answer in applied}) == len(applied) <= FLOOD / 4, applied
            events = await full.until("gravity", strength=pytest.approx(0.1 * FLOOD))
            assert events["d"]["tick"] == answers[-1]["d"]["tick"]
            seen = len(small.frames)
            await small.wait(lambda: len(small.frames) > seen + 30, 60.0)
            assert not {"recovered", "failed", "ended"} & {*small.kinds(), *full.kinds()}
        assert not server.said("solver_hung") and not server.said("solver_failed")


async def test_a_seat_cannot_buy_more_solver_time_than_its_budget(store_url: str) -> None:
    """Spawns and removals, which do not supersede one another: the seat's budget is used up after some, the refusal
    says when to try again, and what was accepted is spread over ticks."""
    async with Stack.up(store_url, f"attack-{secrets.token_hex(4)}", INPUT_COST_BURST="500") as stack:
        server = await stack.server()
        async with sandbox(server.url, FULL[:22]) as line:
            for number in range(1, 31):
                if number % 2:
                    await act(line, number, "remove", {"body": f"{FULL[number // 2]}-{number // 2}"})
                else:
                    await act(line, number, "spawn", {"body": "caltrop", "position": [0.0, 3.5, 0.0]})
            answers = [await line.answer(number) for number in range(1, 31)]
            refused = [answer["d"] for answer in answers if answer["t"] == "error"]
            assert {one["code"] for one in refused} == {"too_costly"}
            assert all(one["retry_after"] > 0 for one in refused)
            taken = [answer["d"]["tick"] for answer in answers if answer["t"] == "ack"]
            assert 2 <= len(taken) <= 12
            assert len(set(taken)) >= len(taken) - 1  # about one compilation fits in the cost of a tick
            assert "failed" not in line.kinds()


async def test_a_heavy_session_is_slow_alone(store_url: str) -> None:
    """Two sandboxes with a large elastic body beside a small one on one core: the large ones move to a heavy process,
    and each announces its dilation to its members. All three go on."""
    async with Stack.up(
        store_url, f"attack-{secrets.token_hex(4)}",
        SOLVERS="1", HEAVY_SOLVERS="1", SIM_SPEED="4", LOG_LEVEL="info",
    ) as stack:  # fmt: skip
        server = await stack.server()
        async with (
            sandbox(server.url, ["marl", "cobble"]) as small,
            sandbox(server.url, [], params={}, scene=json.dumps(HEAVY)) as one,
            sandbox(server.url, [], params={}, scene=json.dumps(HEAVY)) as two,
        ):
            for line in (one, two):
                slow = await line.until("pace", ceiling_s=120.0)
                assert slow["d"]["dilation"] > 1.0
            await until(lambda: len(server.said("session_moved")) >= 2, "two moves", 60.0)
            assert all(line["heavy"] for line in server.said("session_moved"))
            assert await sample(server.url, "tussle_solver_moves_total") >= 2
            assert not {"recovered", "failed", "ended"} & {*small.kinds(), *one.kinds(), *two.kinds()}
            assert small.frames
