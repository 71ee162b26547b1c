"""Scenes that several players edit: versions, conflicts, locks, undo, limits, and what is left of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import World, until
from tests.support.scenes import Room, SmallScenes, cube
from tussle.lobby.errors import Conflict, LobbyError, NotFound, RateLimited, Refused
from tussle.lobby.mesh_store import Meshes
from tussle.lobby.rules.scene_edits import assemble, digest, split
from tussle.lobby.scene_documents import Edit
from tussle.lobby.scene_store import SceneStore
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import Cleanup

HANDLES = [{"id": f"h{n}", "vertices": [0, 1, 2, 3] * 16} for n in range(64)]


async def refusal(work: Any) -> LobbyError:
    """The error that this raises."""
    with pytest.raises(LobbyError) as caught:
        await work
    return caught.value


async def test_a_scene_is_stored_at_its_first_edit(world: World) -> None:
    """Reading shows the mode's own scene and writes nothing; the first edit makes version 2, as the recipe says."""
    room = await Room.open(world)
    before = await world.keys()
    first = await room.scenes.listing(room.session)
    assert (first.version, first.editable, [body.body for body in first.bodies]) == (
        1,
        True,
        ["stone", "floor"],
    )
    assert await world.keys() == before
    assert await room.scenes.for_start(room.session) == ""

    made = await room.add(0, "cube-1", 1.0)
    keys = world.store.keys
    assert made.version == 2
    assert await world.store.call("ZCARD", keys.scene_bodies(room.session)) == 3
    stored = await world.hash(keys.scene_document(room.session, "cube-1"))
    assert stored["version"] == "2"
    assert stored["sha256"] == digest(stored["doc"].encode()) == made.bodies[0].sha256
    assert await room.scenes.for_start(room.session) == (await room.whole()).decode()
    assert [body["id"] for body in json.loads(await room.whole())["bodies"]] == ["stone", "floor", "cube-1"]


async def test_a_delta_equals_the_full_write(world: World) -> None:
    """The same change as a delta and as a whole document gives the same bytes and hash."""
    one, other = await Room.open(world), await Room.open(world)
    for room, change in (
        (one, {"delta": {"position": [0.5, 1, 0.0], "kind": "static"}}),
        (other, {"document": {**cube(0.5, 1.0), "kind": "static", "rotation": [1, 0, 0, 0]}}),
    ):
        made = await room.add(0, "cube-1", 0.25)
        token = await room.lock(0, "cube-1")
        await room.commit(0, Edit("cube-1", made.version, lock=token, **change))
    assert await one.whole() == await other.whole()
    back = await one.edit(0, "cube-1", {"kind": None})
    assert "kind" not in json.loads((await one.scenes.document(one.session, "cube-1")).data)
    assert back.bodies[0].sha256 == (await one.scenes.document(one.session, "cube-1")).sha256


async def test_of_two_concurrent_commits_one_wins(world: World, stores: list[Any]) -> None:
    """Two servers add the same body at once: one commits, the other gets the present version and document."""
    room = await Room.open(world)
    servers = [SceneStore(store, world.settings, SmallScenes()) for store in stores[:2]]

    async def add(member: int) -> Any:
        edits = [Edit("cube-1", 0, document=cube(float(member)))]
        return await servers[member].commit(room.session, room.players[member], 1, edits, room.charge)

    done = await asyncio.gather(add(0), add(1), return_exceptions=True)
    (lost,) = [one for one in done if isinstance(one, LobbyError)]
    (won,) = [one for one in done if not isinstance(one, BaseException)]
    assert lost.reason == "stale_version" and lost.detail is not None
    present = await room.scenes.document(room.session, "cube-1")
    assert (lost.detail["version"], lost.detail["sha256"]) == (won.version, won.bodies[0].sha256)
    assert bytes(lost.detail["document"]) == present.data


async def test_a_stale_base_is_refused_with_what_is_there(world: World) -> None:
    """An edit of an old version, and of a removed body, is refused; its detail has the present document, or null."""
    room = await Room.open(world)
    first = await room.add(0, "cube-1", 1.0)
    second = await room.edit(1, "cube-1", {"position": [2, 0.5, 0]})
    token = await room.lock(0, "cube-1")
    error = await refusal(room.commit(0, Edit("cube-1", first.version, lock=token, delta={"kind": "static"})))
    assert error.reason == "stale_version" and error.detail is not None
    assert error.detail["version"] == second.version
    assert json.loads(bytes(error.detail["document"]))["position"] == [2, 0.5, 0]
    await room.commit(0, Edit("cube-1", second.version, lock=token, remove=True))
    error = await refusal(room.commit(1, Edit("cube-1", second.version, delta={})))
    assert error.detail == {"body": "cube-1", "version": 0, "sha256": "", "document": None}


async def test_an_edit_needs_the_present_lock(world: World) -> None:
    """Without a lock, with an old one and with another's an edit is refused, and nothing changes."""
    room = await Room.open(world)
    made = await room.add(0, "cube-1", 1.0)
    before = await room.whole()

    def move(lock: int | None) -> Edit:
        return Edit("cube-1", made.version, lock=lock, delta={"position": [3, 1, 0]})

    assert (await refusal(room.commit(0, move(None)))).reason == "lock_required"
    old = await room.lock(0, "cube-1")
    new = await room.lock(0, "cube-1")
    assert new > old
    assert (await refusal(room.commit(0, move(old)))).reason == "stale_lock"
    held = await refusal(room.commit(1, move(None)))
    name = await world.store.call("HGET", world.store.keys.player(room.players[0]), "name")
    assert held.reason == "body_locked" and name in held.message
    assert (await refusal(room.commit(1, move(new)))).reason == "body_locked"
    assert (await refusal(room.lock(1, "cube-1"))).reason == "body_locked"
    listing = await room.scenes.listing(room.session)
    assert {body.body: body.lock for body in listing.bodies} == {"stone": None, "floor": None, "cube-1": 0}
    assert await room.whole() == before
    assert await room.scenes.unlock(room.session, room.players[1], {"cube-1": new}) == 0
    assert await room.scenes.unlock(room.session, room.players[0], {"cube-1": new}) == 1
    taken = await room.lock(1, "cube-1")
    assert taken > new
    assert (await room.commit(1, move(taken))).version == made.version + 1


async def test_a_lock_that_is_not_renewed_expires(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock lasts while it is renewed; without a renewal another player gets it after its lifetime."""
    monkeypatch.setattr("tussle.lobby.scene_store.LOCK_MS", 300)
    room = await Room.open(world)
    token = await room.lock(0, "world")
    key = world.store.keys.scene_lock(room.session, "world")
    assert 0 < await world.store.call("PTTL", key) <= 300
    monkeypatch.setattr("tussle.lobby.scene_store.LOCK_MS", 20_000)
    assert await room.scenes.renew(room.session, room.players[0], {"world": token}) == []
    assert await world.store.call("PTTL", key) > 300
    monkeypatch.setattr("tussle.lobby.scene_store.LOCK_MS", 50)
    assert await room.scenes.renew(room.session, room.players[0], {"world": token}) == []

    async def gone() -> bool:
        return not await world.store.call("EXISTS", key)

    await until(gone, 30)
    assert await room.lock(1, "world") > token
    assert await room.scenes.renew(room.session, room.players[0], {"world": token}) == ["world"]


async def test_a_player_who_lost_its_seat_keeps_no_lock(world: World) -> None:
    """The lock of a player who was unseated is not renewed but freed, and other members can take it."""
    room = await Room.open(world)
    token = await room.lock(1, "stone")
    await world.seating.unseat(room.players[1], room.session, "kicked")
    assert await room.scenes.renew(room.session, room.players[1], {"stone": token}) == ["stone"]
    assert await room.lock(0, "stone") > token


async def test_undo_restores_the_scene_and_redo_its_change(world: World) -> None:
    """Undo gives the former bytes and order back, step by step; redo gives each change again."""
    room = await Room.open(world)
    hashes = [digest(await room.whole())]
    await room.add(0, "cube-1", 1.0)
    hashes.append(digest(await room.whole()))
    await room.edit(0, "cube-1", {"position": [2, 0.5, 0]})
    hashes.append(digest(await room.whole()))
    await room.edit(0, "world", {"gravity": [0, -1.6, 0]})
    hashes.append(digest(await room.whole()))
    token = await room.lock(0, "stone")
    await room.commit(
        0,
        Edit("stone", 1, lock=token, remove=True),
        Edit("cube-2", 0, copy="cube-1", delta={"position": [4, 1, 0]}),
    )
    hashes.append(digest(await room.whole()))
    for expected in reversed(hashes[:-1]):
        await room.undo(0)
        assert digest(await room.whole()) == expected
    assert (await refusal(room.undo(0))).reason == "nothing_to_undo"
    for expected in hashes[1:]:
        await room.undo(0, redo=True)
        assert digest(await room.whole()) == expected
    assert (await refusal(room.undo(0, redo=True))).reason == "nothing_to_undo"
    assert (await refusal(room.undo(1))).reason == "nothing_to_undo"


async def test_undo_refuses_what_another_changed_since(world: World) -> None:
    """A step whose body another has changed, removed or locked is not undone; it is again once the other undid."""
    room = await Room.open(world)
    await room.add(0, "cube-1", 1.0)
    await room.edit(1, "cube-1", {"position": [2, 0.5, 0]})
    before = await room.whole()
    assert (await refusal(room.undo(0))).reason == "undo_conflict"
    assert await room.whole() == before
    await room.undo(1)
    token = await room.lock(1, "cube-1")
    assert (await refusal(room.undo(0))).reason == "body_locked"
    await room.scenes.unlock(room.session, room.players[1], {"cube-1": token})
    await room.undo(0)
    assert b"cube-1" not in await room.whole()
    await room.add(1, "cube-1", 5.0)
    assert (await refusal(room.undo(0, redo=True))).reason == "undo_conflict"


async def test_a_refused_undo_names_who_changed_the_body_and_goes_on_after_a_skip(world: World) -> None:
    """Undo never takes an older step in place of one that is refused. The refusal names the step, the body and the
    member; a skip drops that step, changes no body, and the next undo takes the step before."""
    room = await Room.open(world)
    other = await world.store.call(
        "HGET", world.store.keys.session_player(room.session, room.players[1]), "name"
    )
    await room.add(0, "own", 3.0)
    step = (await room.add(0, "cube-1", 1.0)).version
    theirs = await room.edit(1, "cube-1", {"position": [2, 0.5, 0]})
    before, keys = await room.whole(), world.store.keys
    steps = await world.hash(keys.scene_undo(room.session))
    for _ in range(2):
        error = await refusal(room.undo(0))
        assert error.reason == "undo_conflict" and other in error.message
        assert error.detail == {
            "step": step, "body": "cube-1", "version": theirs.version, "seat": 1, "name": other,
        }  # fmt: skip
    assert await room.whole() == before
    assert await world.hash(keys.scene_undo(room.session)) == steps
    assert not await room.scenes.skip(room.session, room.players[1], step), "it is a step of the other"
    assert await room.scenes.skip(room.session, room.players[0], step)
    assert not await room.scenes.skip(room.session, room.players[0], step)
    assert await room.whole() == before
    assert [body.body for body in (await room.undo(0)).bodies] == ["own"]
    assert (await refusal(room.undo(0))).reason == "nothing_to_undo"
    assert [body.body for body in (await room.undo(0, redo=True)).bodies] == ["own"]


async def test_a_refused_step_can_be_undone_once_the_other_undid(world: World) -> None:
    """A step that was refused stays; it is undone when the other's change is gone. The own later change of the same
    body is named as one's own."""
    room = await Room.open(world)
    await room.add(0, "own", 3.0)
    await room.add(0, "cube-1", 1.0)
    await room.edit(1, "cube-1", {"position": [2, 0.5, 0]})
    assert (await refusal(room.undo(0))).reason == "undo_conflict"
    await room.undo(1)
    assert [(await room.undo(0)).bodies[0].body for _ in range(2)] == ["cube-1", "own"]
    later = (await room.add(0, "cube-2", 1.0)).version + 1
    await room.edit(0, "cube-2", {"position": [2, 0.5, 0]})
    await room.scenes.skip(room.session, room.players[0], later)
    error = await refusal(room.undo(0))
    assert error.detail is not None and (error.detail["step"], error.detail["seat"]) == (later - 1, 0)
    (stranger,) = await world.players(1)
    assert (await refusal(room.scenes.skip(room.session, stranger, later - 1))).reason == "not_member"


async def test_steps_of_players_who_left_make_room(world: World) -> None:
    """When the steps of many who have left fill the list, those are forgotten, and the members keep theirs."""
    room = await Room.open(world)
    await room.add(1, "theirs", 1.0)
    undo = world.store.keys.scene_undo(room.session)
    ghosts = [part for n in range(127) for part in (f"undo:ghost-{n}", "2")]
    await world.store.call("HSET", undo, *ghosts)
    await room.add(0, "own", 2.0)
    await room.add(0, "own-2", 3.0)
    assert await world.store.call("HLEN", undo) == 2
    assert [body.body for body in (await room.undo(1)).bodies] == ["theirs"]
    for body in ("own-2", "own"):
        assert [one.body for one in (await room.undo(0)).bodies] == [body]


async def test_a_scene_is_read_in_a_few_commands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many bodies it has, a list and a whole scene take three commands, and both are of one version."""
    room = await Room.open(world)
    await room.commit(0, *(Edit(f"cube-{n}", 0, document=cube(n)) for n in range(40)))
    sent: list[str] = []
    batch, run, call = Store.batch, Store.run, Store.call

    async def count_batch(store: Store, commands: Any) -> Any:
        sent.extend(command[0] for command in commands)
        return await batch(store, commands)

    async def count_run(store: Store, name: str, *rest: Any) -> Any:
        sent.append(name)
        return await run(store, name, *rest)

    async def count_call(store: Store, *command: Any, **options: Any) -> Any:
        sent.append(command[0])
        return await call(store, *command, **options)

    for name, counted in (("batch", count_batch), ("run", count_run), ("call", count_call)):
        monkeypatch.setattr(Store, name, counted)
    listing, whole = await room.scenes.snapshot(room.session)
    assert sent == ["HGET", "ZRANGE", "scene_read"]
    assert await room.scenes.listing(room.session) == listing
    assert (listing.version, len(listing.bodies)) == (2, 42)
    assert whole == await room.whole()
    assert {body["id"] for body in json.loads(whole)["bodies"]} == {body.body for body in listing.bodies}


async def test_edits_keep_a_lobby_open_for_half_a_day_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit lets the lobby wait longer, but not beyond EDITING_MS after it was opened."""
    room = await Room.open(world)
    session = world.store.keys.session(room.session)
    opened_at = int(await world.store.call("HGET", session, "opened_at"))
    monkeypatch.setattr("tussle.lobby.scene_store.EDITING_MS", 700_000)
    monkeypatch.setattr(room.scenes, "_wait_ms", 650_000)
    await room.add(0, "cube-1", 1.0)
    first = int(await world.store.call("HGET", session, "closes_at"))
    assert opened_at + 650_000 <= first < opened_at + 700_000
    monkeypatch.setattr(room.scenes, "_wait_ms", 5_000_000)
    await room.lock(1, "cube-1")
    assert int(await world.store.call("HGET", session, "closes_at")) == opened_at + 700_000
    await room.add(0, "cube-2", 2.0)
    assert int(await world.store.call("HGET", session, "closes_at")) == opened_at + 700_000


async def test_a_command_that_is_repeated_has_one_effect(world: World, stores: list[Any]) -> None:
    """The same command at another server gets the same answer; one that had no effect is stale."""
    room = await Room.open(world)
    player, other = room.players[0], SceneStore(stores[0], world.settings, SmallScenes())
    edits = [Edit("cube-1", 0, document=cube(1.0))]
    made = await room.scenes.commit(room.session, player, 7, edits, room.charge)
    assert await other.commit(room.session, player, 7, edits, room.charge) == made
    undone = await room.scenes.undo(room.session, player, 9, room.charge)
    assert await other.undo(room.session, player, 9, room.charge) == undone
    assert undone.bodies[0].version == 0
    assert (await refusal(other.commit(room.session, player, 8, edits, room.charge))).reason == "stale_id"
    assert (await room.scenes.listing(room.session)).version == 3


async def test_limits_have_codes_and_change_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many bodies, vertices or bytes, and the removal of the last body, are refused whole."""
    room = await Room.open(world)
    await room.add(0, "cube-1", 1.0)
    before = await room.whole()
    new = [Edit(f"cube-{n}", 0, document=cube(n)) for n in range(2, 4)]
    for name, most, code in (
        ("BODIES_MAX", 4, "too_many_bodies"),
        ("VERTICES_MAX", 39, "too_many_vertices"),
        ("SCENE_BYTES", len(before) + 100, "scene_too_large"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"tussle.lobby.scene_store.{name}", most)
            assert (await refusal(room.commit(0, *new))).reason == code
    locks = {body: await room.lock(0, body) for body in ("stone", "floor", "cube-1")}
    listing = await room.scenes.listing(room.session)
    gone = [Edit(one.body, one.version, lock=locks[one.body], remove=True) for one in listing.bodies]
    assert (await refusal(room.commit(0, *gone))).reason == "scene_empty"
    large = {**cube(1), "handles": [{"id": "h", "vertices": [0] * 9000}]}
    assert (await refusal(room.commit(0, Edit("x", 0, document=large)))).reason == "document_too_large"
    assert await room.whole() == before


async def test_the_work_of_an_edit_is_paid_before_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of a large body are charged, and refused if they are more than a scene, before any is made."""
    room = await Room.open(world, 1)
    await room.commit(0, Edit("large", 0, document=cube(1) | {"handles": HANDLES}))

    def never(*_: Any) -> Any:
        raise AssertionError("a copy was made")

    monkeypatch.setattr("tussle.lobby.scene_store.apply", never)
    spent = room.spent
    many = [Edit(f"copy-{n}", 0, copy="large") for n in range(64)]
    assert (await refusal(room.commit(0, *many))).reason == "scene_too_large"
    assert room.spent == spent
    with pytest.raises(AssertionError, match="a copy was made"):
        await room.commit(0, *many[:4])
    assert room.spent > spent + 4 * 8000


async def test_an_undo_is_paid_like_the_edit_that_it_restores(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each undo and redo of a large body is charged both documents. One that is refused changes nothing, and the next
    is refused before anything is read from the log; so is a command that is repeated."""
    room = await Room.open(world, 1)
    await room.commit(0, Edit("large", 0, document=cube(1) | {"handles": HANDLES}))
    size = len((await room.scenes.document(room.session, "large")).data)
    for redo in (False, True):
        spent = room.spent
        await room.undo(0, redo=redo)
        assert room.spent - spent >= size
    calls: list[Any] = []
    call = world.store.call

    async def seen(*command: Any) -> Any:
        calls.append(command[0])
        return await call(*command)

    def broke(size: int) -> None:
        raise RateLimited("too many bytes", retry_after=1.0)

    before = await room.whole()
    monkeypatch.setattr(world.store, "call", seen)
    player = room.players[0]
    repeated = room.ids[player]
    for command in (repeated + 1, repeated):
        assert (
            await refusal(room.scenes.undo(room.session, player, command, broke))
        ).reason == "rate_limited"
    assert not {"XRANGE", "XREVRANGE"} & set(calls)
    assert await room.whole() == before


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (Edit("x", 0), "bad_edit"),
        (Edit("x", 0, document=cube(0), remove=True), "bad_edit"),
        (Edit("world", 0, document={}), "bad_edit"),
        (Edit("world", 1, remove=True), "bad_edit"),
        (Edit("x", 0, copy="nobody"), "no_such_body"),
        (Edit("x", 0, document={**cube(0), "id": "y"}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "wheels": 4}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "position": [1e9, 0, 0]}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "rotation": [0, 0, 0, 0]}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "kind": "rail"}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "pins": [{"vertices": [8]}]}), "bad_scene"),
        (Edit("x", 0, document={**cube(0), "shape": {"kind": "cow", "params": {}}}), "bad_scene"),
        (
            Edit("x", 0, document={**cube(0), "shape": {"kind": "mesh", "params": {"sha256": "0" * 64}}}),
            "unknown_mesh",
        ),
        (
            Edit("x", 0, document={**cube(0), "shape": {"kind": "mesh", "params": {"path": "/etc/passwd"}}}),
            "bad_scene",
        ),
    ],
)
async def test_a_bad_edit_is_refused_with_its_code(world: World, edit: Edit, code: str) -> None:
    """An edit that is not valid gets the code that says why."""
    room = await Room.open(world, 1)
    await room.add(0, "cube-1", 1.0)
    assert (await refusal(room.commit(0, edit))).reason == code
    assert (await room.scenes.listing(room.session)).version == 2


async def test_only_a_waiting_sandbox_is_edited_by_its_members(world: World) -> None:
    """A duel has no scene to edit, a stranger may not edit, and after the start nobody may."""
    room = await Room.open(world, 2, size=2)
    await room.add(0, "cube-1", 1.0)
    (stranger,) = await world.players(1)
    edits = [Edit("x", 0, document=cube(0))]
    error = await refusal(room.scenes.commit(room.session, stranger, 1, edits, room.charge))
    assert error.reason == "not_member"
    duel, _ = await world.starting()
    assert (await refusal(room.scenes.listing(duel))).reason == "not_editable"
    token = await room.lock(0, "cube-1")
    for player in room.players:
        await world.seating.set_ready(player, room.session, True)
    assert await world.status(room.session) == "starting"
    skipping = room.scenes.skip(room.session, room.players[0], 2)
    for work in (room.add(0, "x", 0.0), room.undo(0), room.lock(1, "floor"), skipping):
        assert (await refusal(work)).reason == "not_editable"
    assert await room.scenes.renew(room.session, room.players[0], {"cube-1": token}) == ["cube-1"]
    assert not (await room.scenes.listing(room.session)).editable
    with pytest.raises(NotFound):
        await room.scenes.listing("22222222")


async def test_a_scene_that_ran_can_be_read_until_it_expires(world: World) -> None:
    """The log goes when the session runs; the documents stay, and expire with the keys of the session."""
    await world.register()
    room = await Room.open(world, 1, size=1)
    await room.add(0, "cube-1", 1.0)
    await room.undo(0)
    await room.undo(0, redo=True)
    before = await room.whole()
    await world.seating.set_ready(room.players[0], room.session, True)
    fence, _ = await world.begin(room.session)
    await world.runs.running(fence, 0, b"spec", 1 / 60)
    assert await room.whole() == before
    await world.runs.finish(fence, 1, [], None)
    assert await Cleanup(world.store, world.settings).handle(room.session)
    left = [key for key in await world.keys() if room.session in key]
    assert not any(key.endswith((":log", ":undo", ":removed")) for key in left)
    assert any(key.endswith(":scene:body:cube-1") for key in left)
    for key in left:
        assert ":scene" not in key or await world.store.call("PTTL", key) > 0, key


async def test_a_scene_that_nobody_played_is_deleted_at_once(world: World) -> None:
    """When the last member leaves the lobby, the worker deletes its scene with the log."""
    room = await Room.open(world, 1)
    await room.add(0, "cube-1", 1.0)
    await room.add(0, "cube-2", 2.0)
    await room.undo(0)
    await world.seating.leave(room.players[0], room.session)
    assert await Cleanup(world.store, world.settings).handle(room.session)
    assert not [key for key in await world.keys() if f"{room.session}:scene" in key]


async def test_the_log_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old entries of the log are removed by their bytes; a step that is too old is refused."""
    monkeypatch.setattr("tussle.lobby.scene_store.LOG_BYTES", 2000)
    room = await Room.open(world)
    await room.add(0, "cube-1", 1.0)
    for n in range(20):
        await room.edit(1, "cube-1", {"position": [n, 0.5, 0]})
    keys = world.store.keys
    assert 2 <= await world.store.call("XLEN", keys.scene_log(room.session)) <= 8
    assert int(await world.store.call("HGET", keys.scene_edits(room.session), "log_bytes")) <= 2000
    error = await refusal(room.undo(0))
    assert (error.reason, error.detail) == ("undo_conflict", {"step": 2})
    await room.scenes.skip(room.session, room.players[0], 2)
    assert (await refusal(room.undo(0))).reason == "nothing_to_undo"


async def test_an_edited_lobby_waits_longer(world: World) -> None:
    """An edit moves the deadline of its lobby, and members see when it closes."""
    room = await Room.open(world, 1)
    before = (await world.views.view(room.session)).closes_at
    await room.add(0, "cube-1", 1.0)
    after = (await world.views.view(room.session)).closes_at
    assert after > before + 300_000
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, f"lobby:{room.session}") == str(after)


async def test_a_given_scene_is_the_first_version(world: World) -> None:
    """A lobby that was opened with a scene begins with it, in canonical form, also at the start."""
    parts = split(SmallScenes().make("sandbox", {}))
    document = assemble(parts.world.data, (body.data for body in parts.bodies)).decode()
    room = await Room.open(world, 1, scene=document)
    assert (await room.scenes.listing(room.session)).version == 1
    assert await room.whole() == document.encode()
    assert await room.scenes.for_start(room.session) == document
    with pytest.raises(Refused):
        await room.scenes.read('{"bodies": []}')
    with pytest.raises(Conflict):
        await room.scenes.read('{"bodies": [' + " " * 300_000 + "]}")


async def test_a_scene_takes_a_mesh_that_is_ready(world: World) -> None:
    """A body may name a ready mesh, whose vertices count; an upload that is not ready, or nothing, is unknown_mesh."""
    room, keys = await Room.open(world, 1), world.store.keys
    meshes = Meshes(world.store)
    room.scenes = SceneStore(world.store, world.settings, SmallScenes(), meshes.sizes)
    ready, upload = "a" * 64, "b" * 64
    await world.store.call("HSET", keys.mesh(ready), "state", "ready", "ready", ready, "vertices", 30)
    await world.store.call("HSET", keys.mesh(upload), "state", "working", "ready", "", "vertices", 0)

    def bunny(body: str, sha256: str) -> Edit:
        return Edit(body, 0, document={**cube(1), "shape": {"kind": "mesh", "params": {"sha256": sha256}}})

    for sha256 in (upload, "c" * 64, "session:x"):
        assert (await refusal(room.commit(0, bunny("x", sha256)))).reason == "unknown_mesh"
    before = (await room.scenes.listing(room.session)).vertices
    await room.commit(0, bunny("x", ready))
    await room.commit(0, Edit("y", 0, copy="x", delta={"position": [3, 1, 0]}))
    await room.edit(0, "x", {"position": [2, 1, 0]})
    assert (await room.scenes.listing(room.session)).vertices == before + 60
    await room.undo(0)
    again = await Room.open(world, 1, scene=(await room.whole()).decode())
    again.scenes = room.scenes
    assert await again.whole() == await room.whole()


async def test_a_body_with_a_joint_is_not_removed_alone(world: World) -> None:
    """Nor by an undo; a joint needs its bodies; both go in one message."""
    room = await Room.open(world)
    made = await room.add(0, "cube-1", 1.0)
    joint = {"id": "pin", "kind": "ball", "a": "cube-1", "b": "stone", "anchor": [0, 1, 0]}
    wrong = await refusal(room.edit(0, "world", {"joints": [{**joint, "a": "nobody"}]}))
    assert wrong.reason == "bad_joint" and "joint pin needs the body nobody" in wrong.message
    bad = await refusal(room.edit(0, "world", {"joints": [{**joint, "axis": [0, 0, 0]}]}))
    assert bad.reason == "bad_scene" and "joint 'pin'" in bad.message
    await room.edit(1, "world", {"joints": [joint]})
    before = await room.whole()
    token = await room.lock(0, "cube-1")
    gone = Edit("cube-1", made.version, lock=token, remove=True)
    assert (await refusal(room.commit(0, gone))).reason == "bad_joint"
    undo = room.scenes.undo(room.session, room.players[0], room.next_id(room.players[0]), room.charge)
    assert (await refusal(undo)).reason == "bad_joint"
    assert await room.whole() == before
    lock = await room.lock(0, "world")
    about = await room.scenes.document(room.session, "world")
    await room.commit(0, gone, Edit("world", about.version, lock=lock, delta={"joints": None}))
    assert [body["id"] for body in json.loads(await room.whole())["bodies"]] == ["stone", "floor"]
