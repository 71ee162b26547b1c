import { describe, expect, it } from "vitest";
import { EMPTY_SCENE, hasGap, holderOf, shown, unread, withAck, withBody, withChanges, withConflict, withList, withLock, withPending, withoutConflict, withoutLocksOf } from "../src/session/scene";
import type { SceneState } from "../src/session/scene";
import type { SceneListing } from "../src/wire/answers";
import type { Raw } from "../src/wire/scene";

const doc = (id: string, y = 0): Raw => ({ id, position: [0, y, 0] });
const list = (version: number, ...bodies: [string, number][]): SceneListing => ({ version, editable: true, world: { body: "world", version: 1, sha256: "world1", lock: null }, bodies: bodies.map(([body, v]) => ({ body, version: v, sha256: `${body}${v}`, lock: null })), limits: {}, used: {} });
const read = (state: SceneState, body: string, version: number, document: Raw = doc(body)): SceneState => withBody(state, { body, version, sha256: `${body}${version}`, document });
const ids = (state: SceneState): string[] => [...shown(state).keys()];

const opened = ["world", "a", "b"].reduce((state, body) => read(state, body, 1), withList(EMPTY_SCENE, list(3, ["a", 1], ["b", 1])));

describe("the local scene", () => {
  it("reads what the list names, and keeps documents whose version is still there", () => {
    expect(unread(withList(EMPTY_SCENE, list(3, ["a", 1])))).toEqual(["world", "a"]);
    expect(unread(opened)).toEqual([]);
    expect(unread(withList(opened, list(5, ["a", 2], ["b", 1], ["c", 1])))).toEqual(["a", "c"]);
    expect(ids(withList(opened, list(4, ["a", 1])))).toEqual(["world", "a"]);
  });

  it("shows the document of before until the new one is read", () => {
    const changed = withChanges(opened, 4, [{ body: "a", version: 2 }]);
    expect(unread(changed)).toEqual(["a"]);
    expect(shown(changed).get("a")).toEqual(doc("a"));
    expect(shown(read(changed, "a", 2, doc("a", 5))).get("a")).toEqual(doc("a", 5));
    // An older read comes too late.
    expect(unread(read(changed, "a", 1))).toEqual(["a"]);
  });

  it("notices a gap, closes it in any order, and forgets it with the list", () => {
    const ahead = withChanges(opened, 5, [{ body: "b", version: 2 }]);
    expect([ahead.version, hasGap(ahead)]).toEqual([3, true]);
    const closed = withChanges(ahead, 4, [{ body: "a", version: 2 }]);
    expect([closed.version, hasGap(closed)]).toEqual([5, false]);
    expect(hasGap(withList(ahead, list(5, ["a", 2], ["b", 2])))).toBe(false);
  });

  it("drops news that are older than what it knows", () => {
    const newer = withChanges(opened, 5, [{ body: "a", version: 3, sha256: "x" }]);
    expect(withChanges(newer, 4, [{ body: "a", version: 2 }]).rows.get("a")?.version).toBe(3);
    const removed = withChanges(opened, 5, [{ body: "a", version: 0 }]);
    expect(ids(withChanges(removed, 4, [{ body: "a", version: 2 }]))).toEqual(["world", "b"]);
    expect(ids(withList(removed, list(4, ["a", 2], ["b", 1])))).toEqual(["world", "b"]);
    // A body of the same name that came later is another one, whatever its number.
    expect(unread(withChanges(removed, 6, [{ body: "a", version: 1 }]))).toEqual(["a"]);
  });

  it("shows an own edit at once, and keeps its document when it was taken", () => {
    const pending = withPending(opened, 7, new Map([["a", doc("a", 2)], ["b", null], ["c", doc("c")]]));
    expect(ids(pending)).toEqual(["world", "a", "c"]);
    expect(shown(pending).get("a")).toEqual(doc("a", 2));
    const taken = withAck(pending, 7, 4, [{ body: "a", version: 2, sha256: "x" }, { body: "b", version: 0 }, { body: "c", version: 1 }]);
    expect(taken.pending).toEqual([]);
    expect(unread(taken)).toEqual([]);
    expect(ids(taken)).toEqual(["world", "a", "c"]);
    // The broadcast of the own edit says nothing new.
    expect(unread(withChanges(taken, 4, [{ body: "a", version: 2 }]))).toEqual([]);
  });

  it("takes the broadcast of an own edit before its answer", () => {
    const pending = withPending(opened, 7, new Map([["a", doc("a", 2)]]));
    const heard = withChanges(pending, 4, [{ body: "a", version: 2 }]);
    const taken = withAck(heard, 7, 4, [{ body: "a", version: 2, sha256: "x" }]);
    expect([taken.version, shown(taken).get("a"), unread(taken)]).toEqual([4, doc("a", 2), []]);
  });

  it("shows the present version after a conflict, and keeps what was wanted", () => {
    const present = { body: "a", version: 4, sha256: "p", document: doc("a", 9) };
    const conflict = withConflict(opened, { body: "a", code: "stale_version", message: "", mine: doc("a", 1), present, seat: 1 });
    expect(shown(conflict).get("a")).toEqual(doc("a", 9));
    expect(conflict.conflicts[0]?.mine).toEqual(doc("a", 1));
    expect(withoutConflict(conflict, "a").conflicts).toEqual([]);
  });

  it("knows who holds a body until the lock or the seat is gone", () => {
    const held = withLock(withLock(opened, "a", 2), "b", 1);
    expect([holderOf(held, "a"), holderOf(held, "b"), holderOf(held, "nobody")]).toEqual([2, 1, null]);
    expect(holderOf(withLock(held, "a", null), "a")).toBeNull();
    expect([holderOf(withoutLocksOf(held, 2), "a"), holderOf(withoutLocksOf(held, 2), "b")]).toEqual([null, 1]);
    // Another version does not free it.
    expect(holderOf(withChanges(held, 4, [{ body: "a", version: 2 }]), "a")).toBe(2);
  });
});
