"""Replay rooms for tests: a recording that only the store knows, and members who speak the protocol by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from tests.support.stack import Stack
from tests.support.stranger import Line, Message, Person
from tussle.lobby.ids import new_session_token
from tussle.lobby.store.store import Store

__all__ = ["joined", "member", "recorded", "replay_url"]


@contextlib.asynccontextmanager
async def opened(site: Stack) -> AsyncIterator[Store]:
    """A connection to the store of a stack."""
    store = await Store.connect(site.store_url, site.realm)
    try:
        yield store
    finally:
        await store.close()


async def recorded(site: Stack, length: int = 1000, status: str = "ended") -> str:
    """The token of a session in this status whose recording has so many frames, as the store has it."""
    token = new_session_token()
    async with opened(site) as store:
        keys = store.keys
        await store.call("HSET", keys.session(token), "status", status, "mode", "duel", "size", "2", "v", "0")
        await store.call("HSET", keys.recording(token), "length", length)
        for key in (keys.session(token), keys.recording(token)):
            await store.call("EXPIRE", key, 300)
    return token


def replay_url(url: str, token: str) -> str:
    return f"{url.replace('http', 'ws', 1)}/replay/{token}"


@contextlib.asynccontextmanager
async def joined(url: str, token: str, person: Person) -> AsyncIterator[tuple[Line, Message]]:
    """A person in a room, and its welcome."""
    async with Line.to(replay_url(url, token)) as line:
        await line.say("hello", {"token": person.token})
        yield line, (await line.until("welcome"))["d"]


@contextlib.asynccontextmanager
async def member(url: str, token: str, name: str) -> AsyncIterator[Line]:
    """A new guest in a room."""
    async with Person(url) as person:
        await person.login(name=name)
        async with joined(url, token, person) as (line, _):
            yield line
