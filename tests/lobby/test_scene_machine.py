"""Several clients that edit one scene over two servers, against a model: locks, versions, undo and redo of each.

After every step the whole scene is compared with the model: documents, versions, locks and counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import World, connected
from tests.support.scenes import Room, SmallScenes, cube, documents_of, read_log, replay_log
from tussle.lobby.errors import Conflict, LobbyError
from tussle.lobby.scene_documents import Edit
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.settings import Settings

T = TypeVar("T")

MEMBERS = 3
BODIES = ("stone", "floor", "a", "b", "c")

members = st.integers(0, MEMBERS - 1)
servers = st.integers(0, 1)
bodies = st.sampled_from(BODIES)


@dataclass
class Content:
    """A document in the model. ``made``: the version whose edit first gave it this content."""

    place: float | None
    made: int


ABSENT = Content(None, 0)
"""A body that the scene never had; ``place`` is None of one that was removed."""


@dataclass
class Model:
    """The scene: contents and versions of bodies, locks, and the steps of each member."""

    contents: dict[str, Content] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    version: int = 1
    locks: dict[str, tuple[int, int]] = field(default_factory=dict)
    undo: dict[int, list[int]] = field(default_factory=lambda: {m: [] for m in range(MEMBERS)})
    redo: dict[int, list[int]] = field(default_factory=lambda: {m: [] for m in range(MEMBERS)})
    log: dict[int, list[tuple[str, Content, Content]]] = field(default_factory=dict)
    authors: dict[int, int] = field(default_factory=dict)

    def content(self, body: str) -> Content:
        return self.contents.get(body, ABSENT)

    def present(self, body: str) -> bool:
        return self.content(body).place is not None

    def foreign(self, member: int, body: str) -> bool:
        return body in self.locks and self.locks[body][0] != member

    def write(self, changes: list[tuple[str, Content]]) -> None:
        """Commit changes as the next version."""
        self.version += 1
        for body, content in changes:
            self.contents[body] = content
            if content.place is None:
                self.versions.pop(body, None)
                self.locks.pop(body, None)
            else:
                self.versions[body] = self.version


class SceneMachine(RuleBasedStateMachine):
    """One session, three members, two servers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.url = url

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        realm = f"test-{secrets.token_hex(4)}"
        stores = self.do(self.stack.enter_async_context(connected(self.url, realm, 2)))
        world = World(stores[0], Settings(redis_url=self.url, realm=realm, data_dir=Path("unused")))
        self.room = self.do(Room.open(world, MEMBERS))
        self.servers = [SceneStore(store, world.settings, SmallScenes()) for store in stores]
        self.first = documents_of(json.loads(self.do(self.room.whole())))
        self.names = [
            self.do(stores[0].call("HGET", stores[0].keys.session_player(self.room.session, player), "name"))
            for player in self.room.players
        ]
        self.model = Model({"stone": Content(0.0, 1), "floor": Content(0.0, 1)}, {"stone": 1, "floor": 1})

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()

    def attempt(self, work: Coroutine[Any, Any, T]) -> T | str:
        """The result, or the code of the refusal."""
        try:
            return self.do(work)
        except LobbyError as error:
            return error.reason

    def commit(self, server: int, member: int, *edits: Edit) -> Any:
        player, room = self.room.players[member], self.room
        return self.attempt(
            self.servers[server].commit(room.session, player, room.next_id(player), edits, room.charge)
        )

    # locks

    @rule(member=members, server=servers, body=bodies)
    def lock(self, member: int, server: int, body: str) -> None:
        done = self.attempt(
            self.servers[server].lock(self.room.session, self.room.players[member], f"c{member}", body)
        )
        if not self.model.present(body):
            assert done == "no_such_body"
        elif self.model.foreign(member, body):
            assert done == "body_locked"
        else:
            assert isinstance(done, int)
            assert done > max((token for _, token in self.model.locks.values()), default=0)
            self.model.locks[body] = member, done

    @rule(member=members, server=servers, body=bodies)
    def unlock(self, member: int, server: int, body: str) -> None:
        holder, token = self.model.locks.get(body, (member, 1))
        freed = self.do(
            self.servers[server].unlock(self.room.session, self.room.players[member], {body: token})
        )
        assert freed == (body in self.model.locks and holder == member)
        if freed:
            del self.model.locks[body]

    # edits

    @rule(member=members, server=servers, body=bodies, place=st.integers(-9, 9))
    def add(self, member: int, server: int, body: str, place: int) -> None:
        done = self.commit(server, member, Edit(body, 0, document=cube(place)))
        if self.model.present(body):
            assert done == "stale_version"
        else:
            self.committed(member, done, [(body, Content(place, self.model.version + 1))])

    @rule(
        member=members,
        server=servers,
        chosen=st.lists(bodies, min_size=1, max_size=2, unique=True),
        place=st.none() | st.integers(-9, 9),
        stale=st.booleans(),
        bare=st.booleans(),
    )
    def edit(
        self, member: int, server: int, chosen: list[str], place: int | None, stale: bool, bare: bool
    ) -> None:
        """Move bodies, or remove them (place None), of an old version or without a lock too."""
        edits, expected = [], ""
        for body in chosen:
            version = self.model.versions.get(body, 0)
            base = max(1, version - 1) if stale else max(1, version)
            mine = self.model.locks.get(body, (-1, 0))
            lock = None if bare else mine[1] or 999
            change: dict[str, Any] = (
                {"remove": True} if place is None else {"delta": {"position": [place, 0.5, 0]}}
            )
            edits.append(Edit(body, base, lock=lock, **change))
            expected = expected or ("stale_version" if base != version else "")
        if not expected:
            expected = self.refused(member, edits)
        done = self.commit(server, member, *edits)
        if expected:
            assert done == expected
        else:
            made = self.model.version + 1
            self.committed(member, done, [(body, Content(place, made)) for body in chosen])

    def refused(self, member: int, edits: list[Edit]) -> str:
        """The code with which the store refuses edits of the present versions; '' if it commits them."""
        for edit in edits:
            held = self.model.locks.get(edit.body)
            if edit.lock is not None and (held is None or held[1] != edit.lock):
                return "stale_lock"
            if held is not None and held[0] != member:
                return "body_locked"
            if edit.lock is None:
                return "lock_required"
        left = len(self.model.versions) - sum(edit.remove for edit in edits)
        return "" if left else "scene_empty"

    def committed(self, member: int, done: Any, changes: list[tuple[str, Content]]) -> None:
        assert not isinstance(done, str), done
        model = self.model
        model.log[model.version + 1] = [(body, model.content(body), content) for body, content in changes]
        model.write(changes)
        model.authors[model.version] = member
        assert done.version == model.version
        model.undo[member].append(model.version)
        model.redo[member].clear()

    # undo and redo

    @rule(member=members, server=servers, redo=st.booleans())
    def step(self, member: int, server: int, redo: bool) -> None:
        model, player, room = self.model, self.room.players[member], self.room
        taken, put = (model.redo, model.undo) if redo else (model.undo, model.redo)
        undoing = self.servers[server].undo(
            room.session, player, room.next_id(player), room.charge, redo=redo
        )
        if not taken[member]:
            assert self.attempt(undoing) == "nothing_to_undo"
            return
        version = taken[member][-1]
        entry = model.log[version]
        changes = [(body, after if redo else before) for body, before, after in entry]
        expected = self.refused_step(member, version, changes, redo)
        if isinstance(expected, dict):
            with pytest.raises(Conflict) as refused:
                self.do(undoing)
            assert refused.value.reason == "undo_conflict"
            assert refused.value.detail == {**expected, "name": self.names[expected["seat"]]}
        elif expected:
            assert self.attempt(undoing) == expected
        else:
            self.do(undoing)
            model.write(changes)
            put[member].append(taken[member].pop())

    @rule(member=members, server=servers, redo=st.booleans(), newest=st.booleans())
    def skip(self, member: int, server: int, redo: bool, newest: bool) -> None:
        """Drop the newest step, which a refusal names, or one that the member does not have."""
        steps = (self.model.redo if redo else self.model.undo)[member]
        step = steps.pop() if newest and steps else 10_000
        done = self.do(self.servers[server].skip(self.room.session, self.room.players[member], step))
        assert done is (step != 10_000)

    def refused_step(
        self, member: int, version: int, changes: list[tuple[str, Content]], redo: bool
    ) -> str | dict[str, Any]:
        """The code with which the store refuses to undo or redo a step, or the detail of undo_conflict; '' if it does
        not refuse. Who changed a body: the author of the newer one of its content and of what the step needs."""
        model = self.model
        for body, before, after in model.log[version]:
            if model.foreign(member, body):
                return "body_locked"
            made, needed = model.content(body).made, (before if redo else after).made
            if made != needed:
                seat = model.authors[max(made, needed)]
                return {"step": version, "body": body, "version": model.versions.get(body, 0), "seat": seat}
        left = len(model.versions) + sum(
            (new.place is not None) - model.present(body) for body, new in changes
        )
        return "" if left else "scene_empty"

    # the whole state

    @invariant()
    def the_store_is_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        model, room = self.model, self.room
        listing = self.do(self.servers[0].listing(room.session))
        assert listing.version == model.version
        assert {body.body: body.version for body in listing.bodies} == model.versions
        seats = {body: member for body, (member, _) in model.locks.items()}
        assert {body.body: body.lock for body in listing.bodies if body.lock is not None} == seats
        scene = json.loads(self.do(self.servers[1].whole(room.session)))
        places = {body["id"]: body.get("position", [0])[0] for body in scene["bodies"]}
        assert places == {body: model.content(body).place for body in model.versions}
        assert listing.vertices == 8 * len(model.versions)
        log = self.do(read_log(room.world.store, room.session))
        assert replay_log(self.first, log) == documents_of(scene)
        stored = [body.body for body in listing.bodies]
        assert stored == [body["id"] for body in scene["bodies"]]


@pytest.mark.timeout(240)
def test_any_sequence_of_edits_agrees_with_the_model(store_url: str) -> None:
    """No sequence of locks, edits, undo and redo of three members over two servers disagrees with the model."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: SceneMachine(store_url),
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(60)
def test_a_step_that_another_changed_is_refused_until_it_is_skipped(store_url: str) -> None:
    """The model and the store agree when a member's newest step is of a body that another has removed since: it is
    refused, and the step before it is undone only after a skip; a redo whose base another has undone is refused too."""
    machine = SceneMachine(store_url)
    try:
        machine.begin()
        machine.add(0, 0, "a", 1)
        machine.add(0, 1, "b", 2)
        machine.lock(1, 0, "b")
        machine.edit(1, 1, ["b"], None, False, False)
        machine.step(0, 0, False)
        assert machine.model.undo[0] == [2, 3] and machine.model.present("a")
        machine.skip(0, 0, False, True)
        machine.step(0, 1, False)
        assert machine.model.undo[0] == [] and not machine.model.present("a")
        machine.step(0, 1, True)
        machine.lock(1, 0, "a")
        machine.edit(1, 1, ["a"], 5, False, False)
        machine.unlock(1, 0, "a")
        machine.lock(0, 0, "a")
        machine.edit(0, 1, ["a"], 7, False, False)
        machine.unlock(0, 0, "a")
        machine.step(0, 0, False)
        machine.step(1, 0, False)
        assert machine.model.content("a").place == 1
        machine.step(0, 1, True)
        assert len(machine.model.redo[0]) == 1
        machine.skip(0, 0, True, True)
        machine.step(0, 1, True)
        machine.the_store_is_the_model()
    finally:
        machine.teardown()
